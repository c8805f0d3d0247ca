# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Training: batches of ragged sequences, losses that know where a row ends."""

from lstm_jax.training._buckets import Batch, Buckets, plan_buckets
from lstm_jax.training._losses import (
    accuracy,
    sigmoid_binary_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
    squared_error,
)
from lstm_jax.training._mean import Mean, masked_mean, sequence_mask, zero_padding

__all__ = [
    "Batch",
    "Buckets",
    "Mean",
    "accuracy",
    "masked_mean",
    "plan_buckets",
    "sequence_mask",
    "sigmoid_binary_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "squared_error",
    "zero_padding",
]
