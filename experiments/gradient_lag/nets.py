# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The ten networks: four starts of a plain RNN, six of an LSTM."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import lstm_jax
from lstm_jax.initializers import (
    chrono,
    forget_bias,
    glorot_uniform,
    orthogonal,
    torch_uniform,
)

Start = Callable[[jax.Array], Any]  # key -> parameters


class RNNParams(NamedTuple):
    """h_t = tanh(x_t w_x + h_{t-1} w_h + b); a cell that is not the library's own.

    Attributes:
        w_x: (I, H).
        w_h: (H, H).
        b: (H,).
    """

    w_x: jax.Array
    w_h: jax.Array
    b: jax.Array


def rnn_step(
    params: RNNParams, h: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One step of a plain RNN, as `lstm_jax.unroll` takes it."""
    h = jnp.tanh(x @ params.w_x + h @ params.w_h + params.b[None])
    return h, h


def rnn_last(params: RNNParams, x: jax.Array) -> jax.Array:
    """The last h (B, H) of sequences (T, B, I)."""
    start = jnp.zeros((x.shape[1], len(params.b)), x.dtype)
    return lstm_jax.unroll(rnn_step, params, start, x)[0]


def lstm_last(params: lstm_jax.LSTMParams, x: jax.Array) -> jax.Array:
    """The last h (B, H) of sequences (T, B, I)."""
    return lstm_jax.apply(params, x, time_major=True)[0][-1]


class Family(NamedTuple):
    """Networks that differ in where they start, and in nothing else.

    Attributes:
        starts: initialisers by name.
        last: (params, x (T, B, I)) -> the last h (B, H).
    """

    starts: Mapping[str, Start]
    last: Callable[[Any, jax.Array], jax.Array]


def gaussian(gain: float) -> Callable[..., jax.Array]:
    """N(0, gain²/H): with a gain above 1 a large tanh network without input is chaotic.

    References:
        Sompolinsky, Crisanti, Sommers 1988, Chaos in Random Neural Networks.
    """

    def init(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return gain * jax.random.normal(key, shape, float) * shape[0] ** -0.5

    return init


def rnns(inputs: int, units: int) -> Family:
    """Plain RNNs."""

    def start(w_x: Any, w_h: Any, b: Any = None) -> Start:
        def init(key: jax.Array) -> RNNParams:
            one, two, three = jax.random.split(key, 3)
            return RNNParams(
                w_x(one, (inputs, units)),
                w_h(two, (units, units)),
                jnp.zeros(units) if b is None else b(three, (units,)),
            )

        return init

    uniform = torch_uniform(units)
    return Family(
        {
            "uniform ±1/√H": start(uniform, uniform, uniform),
            "orthogonal": start(glorot_uniform(), orthogonal()),
            "gain 1.5": start(glorot_uniform(), gaussian(1.5)),
            "gain 3": start(glorot_uniform(), gaussian(3.0)),
        },
        rnn_last,
    )


def lstms(inputs: int, units: int, steps: int) -> Family:
    """LSTMs: every start differs in the biases alone."""

    def start(bias: Any) -> Start:
        return lambda key: lstm_jax.init_cell(key, inputs, units, bias_init=bias)

    biases = {f"forget bias {b}": start(forget_bias(float(b))) for b in (0, 1, 2, 3, 5)}
    return Family(biases | {"chrono": start(chrono(steps))}, lstm_last)
