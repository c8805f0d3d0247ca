# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The seven nets: four cells, of which the LSTM has four starts."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import lstm_jax
from experiments._training import Network
from lstm_jax import variants
from lstm_jax.initializers import chrono, forget_bias, glorot_uniform

INPUTS = 2
Start = Callable[[jax.Array, int, int], Any]  # (key, H, T) -> the cell's parameters


def identity(key: jax.Array, shape: tuple[int, int], dtype: Any = None) -> jax.Array:
    """Recurrent weights of which every unit starts as an adder of its own."""
    return jnp.eye(*shape, dtype=dtype)


def _cell(name: str, key: jax.Array, units: int, length: int, **options: Any) -> Any:
    return variants.init(name, key, INPUTS, units, **options)


def _chrono(key: jax.Array, units: int, length: int) -> Any:
    return _cell("NP", key, units, length, bias_init=chrono(length))


# By the cell, then by the start: starts of one cell run in one program.
CELLS: Mapping[str, Mapping[str, Start]] = {
    "RNN": {"RNN": partial(_cell, "RNN")},
    "IRNN": {
        "IRNN": partial(
            _cell,
            "RNN",
            activation="relu",
            recurrent_init=identity,
            kernel_init=jax.nn.initializers.normal(1e-3),
        )
    },
    "GRU": {"GRU": partial(_cell, "GRU")},
    "LSTM": {
        f"LSTM, forget bias {bias}": partial(
            _cell, "NP", bias_init=forget_bias(float(bias))
        )
        for bias in (0, 1, 3)
    }
    | {"LSTM, chrono": _chrono},
}


def init(start: Start, units: int, length: int, key: jax.Array) -> Network:
    """Draws a network."""
    one, two = jax.random.split(key)
    return Network(
        start(one, units, length),
        glorot_uniform()(two, (units, 1)),
        jnp.zeros(1),
    )


def answers(network: Network, x: jax.Array) -> jax.Array:
    """Reads sequences (T, B, 2) and gives one number each (B,)."""
    y, _ = lstm_jax.apply(network.cell, x, time_major=True)
    return (y[-1] @ network.w + network.b[None])[:, 0]


def names() -> list[str]:
    """Of all nets, in the order of `CELLS`."""
    return [name for starts in CELLS.values() for name in starts]
