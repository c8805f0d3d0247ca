# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trained LSTMs of other libraries and formats, in and out, exactly.

A library is imported only where one of its own objects is read or made.
"""

from lstm_jax.convert._onnx_read import from_onnx
from lstm_jax.convert._torch import from_torch, to_torch

__all__ = ["from_onnx", "from_torch", "to_torch"]
