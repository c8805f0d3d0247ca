# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""flax.nnx.RNN over OptimizedLSTMCell."""

from typing import Any

import jax.numpy as jnp
from flax import nnx

from benchmarks.cases import Problem
from benchmarks.peers import Peer
from benchmarks.peers._jax import peer

DEVICES = 1


def make(problem: Problem) -> Peer:
    """Both matrices fused, columns in this library's order."""
    inputs, columns = problem.w_x.shape
    cell: Any = nnx.OptimizedLSTMCell(inputs, columns // 4, rngs=nnx.Rngs(0))
    cell.dense_i.kernel[...] = jnp.asarray(problem.w_x)
    cell.dense_h.kernel[...] = jnp.asarray(problem.w_h)
    cell.dense_h.bias[...] = jnp.asarray(problem.b)
    module: Any = nnx.RNN(cell, time_major=True)
    split: Any = nnx.split(module, nnx.Param, ...)
    graph, params, rest = split

    def run(params: Any, x: Any) -> Any:
        zero = jnp.zeros((x.shape[1], columns // 4), x.dtype)
        return nnx.merge(graph, params, rest)(x, initial_carry=(zero, zero))

    return peer(
        run,
        params,
        problem.x,
        lambda gradient: gradient["cell"]["dense_h"]["kernel"][...],
    )
