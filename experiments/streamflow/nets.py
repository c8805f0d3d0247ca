# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The network, its loss, and the run-off that it predicts."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import lstm_jax
from experiments._training import Network


class Rates(NamedTuple):
    """What may differ between networks that are trained side by side.

    Attributes:
        learning_rate: highest step of Adam.
        dropout: share of the LSTM's outputs that the linear layer does not see.
        power: of run-off in the loss, in (0, 1].
        average: decay of the running average of parameters.
    """

    learning_rate: Any
    dropout: Any
    power: Any
    average: Any


def init(inputs: int, units: int, forget: float, key: jax.Array) -> Network:
    """Draws a network."""
    one, two = jax.random.split(key)
    bias = lstm_jax.initializers.forget_bias(forget)
    return Network(
        lstm_jax.init_cell(one, inputs, units, bias_init=bias),
        lstm_jax.initializers.glorot_uniform()(two, (units, 1))[:, 0],
        jnp.zeros(()),
    )


def windows(values: jax.Array, starts: jax.Array, length: int) -> jax.Array:
    """Windows (B, length, ...) of values (N, ...), from each of the starts (B,)."""
    return values[starts[:, None] + jnp.arange(length)]


def outputs(network: Network, x: jax.Array, warm_up: int) -> jax.Array:
    """What the LSTM gives (B, days, H) after a warm-up of x (B, warm_up + days, I)."""
    y, _ = lstm_jax.apply(network.cell, x)
    return y[:, warm_up:]


def loss(
    network: Network,
    rates: Rates,
    x: jax.Array,
    runoff: jax.Array,
    known: jax.Array,
    keep: jax.Array,
) -> jax.Array:
    """Mean squared error of run-off to some power, over the known days.

    Args:
        network: in training.
        rates: its power and dropout.
        x: (B, warm_up + days, I).
        runoff: (B, days), in standard deviations.
        known: (B, days) whether the day counts.
        keep: (B, days, H) which outputs dropout lets pass.
    """
    y = outputs(network, x, x.shape[1] - runoff.shape[1])
    error = (y * keep / (1 - rates.dropout)) @ network.w + network.b
    error -= runoff**rates.power
    return jnp.sum(jnp.square(error) * known) / jnp.maximum(1, jnp.sum(known))


def predict(network: Network, power: Any, x: jax.Array, warm_up: int) -> jax.Array:
    """Run-off (B, days) in standard deviations; what would be negative is 0."""
    y = outputs(network, x, warm_up) @ network.w + network.b
    return jnp.maximum(0, y) ** (1 / power)


def efficiency(predicted: Any, observed: Any, known: Any) -> Any:
    """Nash-Sutcliffe efficiency: 1 less the squared error over the variance.

    Args:
        predicted: run-off, of any shape; NumPy's or JAX's array.
        observed: likewise, finite where missing as well.
        known: which days count.
    """
    mean = (observed * known).sum() / known.sum()
    spread = ((observed - mean) ** 2 * known).sum()
    return 1 - ((predicted - observed) ** 2 * known).sum() / spread
