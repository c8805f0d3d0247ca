# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The ten networks: four starts of a plain RNN, six of an LSTM."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

import lstm_jax
from lstm_jax import variants
from lstm_jax.initializers import (
    WeightInit,
    chrono,
    forget_bias,
    torch_bias,
    torch_uniform,
)
from lstm_jax.variants import RNNParams

Start = Callable[[jax.Array], Any]  # key -> parameters


def rnn_last(params: RNNParams, x: jax.Array) -> jax.Array:
    """The last h (B, H) of sequences (T, B, I)."""
    start = variants.zero_state(params, (x.shape[1],))
    return lstm_jax.unroll(variants.step, params, start, x)[0]


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


def gaussian(gain: float) -> WeightInit:
    """N(0, gain²/H): with a gain above 1 a large tanh network without input is chaotic.

    References:
        Sompolinsky, Crisanti, Sommers 1988, Chaos in Random Neural Networks.
    """

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        return gain * jax.random.normal(key, shape, dtype) * shape[0] ** -0.5

    return init


def rnns(inputs: int, units: int) -> Family:
    """Plain RNNs."""

    def start(**inits: Any) -> Start:
        return lambda key: variants.init("RNN", key, inputs, units, **inits)

    uniform = torch_uniform(units)
    zero = forget_bias(0.0)
    return Family(
        {
            "uniform ±1/√H": start(
                kernel_init=uniform, recurrent_init=uniform, bias_init=torch_bias()
            ),
            "orthogonal": start(bias_init=zero),
            "gain 1.5": start(recurrent_init=gaussian(1.5), bias_init=zero),
            "gain 3": start(recurrent_init=gaussian(3.0), bias_init=zero),
        },
        rnn_last,
    )


def lstms(inputs: int, units: int, steps: int) -> Family:
    """LSTMs: every start differs in the biases alone."""

    def start(bias: Any) -> Start:
        return lambda key: lstm_jax.init_cell(key, inputs, units, bias_init=bias)

    biases = {f"forget bias {b}": start(forget_bias(float(b))) for b in (0, 1, 2, 3, 5)}
    return Family(biases | {"chrono": start(chrono(steps))}, lstm_last)
