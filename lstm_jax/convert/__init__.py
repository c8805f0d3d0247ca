# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trained LSTMs of other libraries and formats, in and out, exactly.

A library is imported only where one of its own objects is read or made.
"""

from lstm_jax.convert._keras import from_keras
from lstm_jax.convert._keras_file import from_keras_h5
from lstm_jax.convert._keras_write import to_keras
from lstm_jax.convert._torch import from_torch, to_torch

__all__ = ["from_keras", "from_keras_h5", "from_torch", "to_keras", "to_torch"]
