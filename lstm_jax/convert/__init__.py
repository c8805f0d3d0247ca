# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trained LSTMs of other libraries and formats, in and out, exactly.

A library is imported only where one of its own objects is read or made.
"""

from lstm_jax.convert._cudnn_weights import from_cudnn, to_cudnn
from lstm_jax.convert._equinox import from_equinox, to_equinox
from lstm_jax.convert._haiku import from_haiku, to_haiku
from lstm_jax.convert._keras import from_keras
from lstm_jax.convert._keras_file import from_keras_h5
from lstm_jax.convert._keras_write import to_keras
from lstm_jax.convert._linen import from_linen, to_linen
from lstm_jax.convert._nnx import from_nnx, to_nnx
from lstm_jax.convert._onnx_read import from_onnx
from lstm_jax.convert._onnx_write import to_onnx
from lstm_jax.convert._safetensors import from_safetensors, to_safetensors
from lstm_jax.convert._tflite import from_tflite_tensors
from lstm_jax.convert._torch import from_torch, to_torch
from lstm_jax.convert._torch_state import from_torch_state, to_torch_state

__all__ = [
    "from_cudnn",
    "from_equinox",
    "from_haiku",
    "from_keras",
    "from_keras_h5",
    "from_linen",
    "from_nnx",
    "from_onnx",
    "from_safetensors",
    "from_tflite_tensors",
    "from_torch",
    "from_torch_state",
    "to_cudnn",
    "to_equinox",
    "to_haiku",
    "to_keras",
    "to_linen",
    "to_nnx",
    "to_onnx",
    "to_safetensors",
    "to_torch",
    "to_torch_state",
]
