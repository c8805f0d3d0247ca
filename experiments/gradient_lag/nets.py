# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The ten networks: four starts of a plain RNN, six of an LSTM."""

from collections.abc import Callable, Mapping
from typing import Any

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

Start = Callable[[jax.Array], Any]  # key -> parameters


def gaussian(gain: float) -> WeightInit:
    """N(0, gain²/H): with a gain above 1 a large tanh network without input is chaotic.

    References:
        Sompolinsky, Crisanti, Sommers 1988, Chaos in Random Neural Networks.
    """

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        return gain * jax.random.normal(key, shape, dtype) * shape[0] ** -0.5

    return init


def rnns(inputs: int, units: int) -> Mapping[str, Start]:
    """Plain RNNs, by name of the start."""

    def start(**inits: Any) -> Start:
        return lambda key: variants.init("RNN", key, inputs, units, **inits)

    uniform = torch_uniform(units)
    zero = forget_bias(0.0)
    return {
        "uniform ±1/√H": start(
            kernel_init=uniform, recurrent_init=uniform, bias_init=torch_bias()
        ),
        "orthogonal": start(bias_init=zero),
        "gain 1.5": start(recurrent_init=gaussian(1.5), bias_init=zero),
        "gain 3": start(recurrent_init=gaussian(3.0), bias_init=zero),
    }


def lstms(inputs: int, units: int, steps: int) -> Mapping[str, Start]:
    """LSTMs, which differ in the biases alone, by name of the start."""

    def start(bias: Any) -> Start:
        return lambda key: lstm_jax.init_cell(key, inputs, units, bias_init=bias)

    biases = {f"forget bias {b}": start(forget_bias(float(b))) for b in (0, 1, 2, 3, 5)}
    return biases | {"chrono": start(chrono(steps))}
