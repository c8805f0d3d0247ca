# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A recurrent network over frames, and a linear layer for the 88 keys."""

import jax
import jax.numpy as jnp

import lstm_jax
from experiments._training import Network
from experiments.odyssey.chorales import KEYS, Rows
from experiments.odyssey.recipe import Recipe
from lstm_jax import training, variants


def init(name: str | int, units: int, odds: jax.Array, key: jax.Array) -> Network:
    """Draws a network.

    Args:
        name: of one of `variants.names()`; or a number of layers, for `lstm_jax.init`.
        units: of each layer.
        odds: (88,) where the last biases start: the keys' log-odds in training.
        key: a random key.
    """
    one, two = jax.random.split(key)
    cell = (
        lstm_jax.init(one, KEYS, units, num_layers=name)
        if isinstance(name, int)
        else variants.init(name, one, KEYS, units)
    )
    w = lstm_jax.initializers.glorot_uniform()(two, (units, KEYS))
    return Network(cell, w, odds)


def dropout(rate: float, a: jax.Array, key: jax.Array | None) -> jax.Array:
    """Dropout, anew for every step; none without a key."""
    if key is None or not rate:
        return a
    kept = jax.random.bernoulli(key, 1 - rate, a.shape)
    return jnp.where(kept, a / (1 - rate), 0)


def outputs(
    network: Network, rows: Rows, recipe: Recipe, key: jax.Array | None
) -> jax.Array:
    """The outputs of the recurrent layers: (B, T, units)."""
    x = jnp.asarray(rows.x, network.w.dtype)
    regularizer = None if key is None else recipe.regularizer()
    y, _ = lstm_jax.apply(
        network.cell, x, resets=rows.resets, regularizer=regularizer, key=key
    )
    return y


def nats(
    network: Network, rows: Rows, recipe: Recipe, key: jax.Array | None = None
) -> training.Mean:
    """Nats a frame: the sum over the keys, the mean over all frames together.

    Args:
        network: what predicts.
        rows: (B, T, …).
        recipe: its dropout is used where there is a key.
        key: for dropout; None for evaluation.
    """
    entry, inside, leaving, starts = (
        (None,) * 4 if key is None else jax.random.split(key, 4)
    )
    x = jnp.asarray(rows.x, network.w.dtype)
    rows = rows._replace(x=dropout(recipe.input_dropout, x, entry))
    if starts is not None and recipe.fresh_starts:
        drawn = jax.random.bernoulli(starts, recipe.fresh_starts, rows.resets.shape)
        rows = rows._replace(resets=rows.resets | drawn)
    y = outputs(network, rows, recipe, inside)
    y = dropout(recipe.output_dropout, y, leaving)
    return training.sigmoid_binary_cross_entropy(
        y @ network.w + network.b,
        jnp.asarray(rows.following, y.dtype),
        weights=rows.weights,
    )
