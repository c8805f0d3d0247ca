# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""flax.nnx.RNN over OptimizedLSTMCell."""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import nnx

from benchmarks.cases import Weights
from benchmarks.peers._jax import Layer, network

DEVICES = 1


def layer(weights: Weights) -> Layer:
    """Both matrices fused, columns in this library's order."""
    inputs, columns = weights.w_x.shape
    cell: Any = nnx.OptimizedLSTMCell(inputs, columns // 4, rngs=nnx.Rngs(0))
    cell.dense_i.kernel[...] = jnp.asarray(weights.w_x)
    cell.dense_h.kernel[...] = jnp.asarray(weights.w_h)
    cell.dense_h.bias[...] = jnp.asarray(weights.b)
    module: Any = nnx.RNN(cell, time_major=True)
    split: Any = nnx.split(module, nnx.Param, ...)
    graph, params, rest = split

    def run(params: Any, x: Any) -> Any:
        zero = jnp.zeros((x.shape[1], columns // 4), x.dtype)
        return nnx.merge(graph, params, rest)(x, initial_carry=(zero, zero))

    def back(gradient: Any) -> tuple[Any, Any, Any]:
        from_x, from_h = gradient["cell"]["dense_i"], gradient["cell"]["dense_h"]
        return from_x["kernel"][...], from_h["kernel"][...], from_h["bias"][...]

    return Layer(params, run, back)


make = partial(network, layer)
