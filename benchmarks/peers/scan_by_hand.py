# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a user writes first: a scan over concat([x, h]) @ W."""

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.cases import Problem
from benchmarks.peers import Peer
from benchmarks.peers._jax import peer

DEVICES = 1


def run(params: Any, x: Any) -> jax.Array:
    """Gives y (T, B, H) of x (T, B, I)."""
    w, b = params
    zero = jnp.zeros((x.shape[1], b.shape[0] // 4), x.dtype)

    def step(state: Any, x: Any) -> Any:
        h, c = state
        z = jnp.concatenate([x, h], -1) @ w + b
        i, f, g, o = jnp.split(z, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return jax.lax.scan(step, (zero, zero), x)[1]


def make(problem: Problem) -> Peer:
    """The weights of input and state in one matrix."""
    w = jnp.concatenate([problem.w_x, problem.w_h])
    inputs = problem.w_x.shape[0]
    return peer(run, (w, problem.b), problem.x, lambda gradient: gradient[0][inputs:])
