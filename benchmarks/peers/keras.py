# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""keras.layers.LSTM on JAX, called without state so that jit can take it."""

import os

os.environ["KERAS_BACKEND"] = "jax"

from functools import partial
from typing import Any

import keras

from benchmarks.cases import Weights
from benchmarks.peers._jax import Layer, network

DEVICES = 1


def layer(weights: Weights) -> Layer:
    """Gates in this library's order; batch first, as Keras has it."""
    inputs, hidden = weights.w_x.shape[0], weights.w_h.shape[0]
    own = keras.layers.LSTM(
        hidden,
        return_sequences=True,
        recurrent_initializer="zeros",  # replaced; the default one has no bfloat16
    )
    own.build((None, None, inputs))
    fixed = [v.value for v in own.non_trainable_variables]

    def run(params: Any, x: Any) -> Any:
        return own.stateless_call(params, fixed, x)[0]

    return Layer(list(weights), run, tuple)


make = partial(network, layer, batch_major=True)
