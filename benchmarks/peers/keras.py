# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""keras.layers.LSTM on JAX, called without state so that jit can take it."""

import os

os.environ["KERAS_BACKEND"] = "jax"

from typing import Any

import jax.numpy as jnp
import keras

from benchmarks.cases import Problem
from benchmarks.peers import Peer
from benchmarks.peers._jax import peer

DEVICES = 1


def make(problem: Problem) -> Peer:
    """Gates in this library's order; batch first, as Keras has it."""
    inputs, hidden = problem.w_x.shape[0], problem.w_h.shape[0]
    layer = keras.layers.LSTM(hidden, return_sequences=True)
    layer.build((None, None, inputs))
    fixed = [v.value for v in layer.non_trainable_variables]

    def run(params: Any, x: Any) -> Any:
        y, _ = layer.stateless_call(params, fixed, x)
        return jnp.moveaxis(y, 1, 0)

    params = [problem.w_x, problem.w_h, problem.b]
    return peer(run, params, problem.x.swapaxes(0, 1).copy(), lambda g: g[1])
