# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a user writes first: a scan over concat([x, h]) @ W."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.cases import Weights
from benchmarks.peers._jax import Layer, network

DEVICES = 1


def step(params: Any, state: Any, x: Any) -> tuple[Any, jax.Array]:
    """One step, as the body of a scan."""
    (w, b), (h, c) = params, state
    z = jnp.concatenate([x, h], -1) @ w + b
    i, f, g, o = jnp.split(z, 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def run(params: Any, x: Any) -> jax.Array:
    """Gives y (T, B, H) of x (T, B, I)."""
    zero = jnp.zeros((x.shape[1], params[1].shape[0] // 4), x.dtype)
    return jax.lax.scan(partial(step, params), (zero, zero), x)[1]


def layer(weights: Weights) -> Layer:
    """The weights of input and state in one matrix."""
    w = jnp.concatenate([weights.w_x, weights.w_h])
    inputs = weights.w_x.shape[0]
    return Layer((w, weights.b), run, lambda g: (g[0][:inputs], g[0][inputs:], g[1]))


make = partial(network, layer)
