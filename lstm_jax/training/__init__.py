# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Training: a step from any loss, epochs as scans, streams, buckets, checkpoints.

Thin over Optax, Flax's `TrainState` and Orbax.
"""

from lstm_jax.training._buckets import Batch, Buckets, plan_buckets
from lstm_jax.training._checkpoints import Checkpoints, Restored
from lstm_jax.training._fit import Diverged, fit
from lstm_jax.training._log import Log
from lstm_jax.training._losses import (
    accuracy,
    sigmoid_binary_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
    squared_error,
)
from lstm_jax.training._mean import Mean, masked_mean, sequence_mask, zero_padding
from lstm_jax.training._steps import Outcome, TrainState, create, epoch, train_step
from lstm_jax.training._windows import Windows, cycle, windows

__all__ = [
    "Batch",
    "Buckets",
    "Checkpoints",
    "Diverged",
    "Log",
    "Mean",
    "Outcome",
    "Restored",
    "TrainState",
    "Windows",
    "accuracy",
    "create",
    "cycle",
    "epoch",
    "fit",
    "masked_mean",
    "plan_buckets",
    "sequence_mask",
    "sigmoid_binary_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "squared_error",
    "train_step",
    "windows",
    "zero_padding",
]
