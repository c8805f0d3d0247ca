# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""LSTMs in JAX: a pure step, unrolled by scan, differentiable any way JAX can."""

from lstm_jax import initializers, sharding
from lstm_jax._apply import Plan, activations, apply, explain, lstm_step
from lstm_jax._config import check_config, config, from_config
from lstm_jax._implementations import Cudnn, Loop, Scan
from lstm_jax._init import init, init_cell, zero_state
from lstm_jax._params import (
    Activation,
    Activations,
    Bidirectional,
    CellOptions,
    GateNorm,
    LSTMParams,
    LSTMState,
    Residual,
    Reverse,
    SplitNorm,
    Stack,
)
from lstm_jax._regularize import Regularizer
from lstm_jax._unroll import unroll

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "Activations",
    "Bidirectional",
    "CellOptions",
    "Cudnn",
    "GateNorm",
    "LSTMParams",
    "LSTMState",
    "Loop",
    "Plan",
    "Regularizer",
    "Residual",
    "Reverse",
    "Scan",
    "SplitNorm",
    "Stack",
    "activations",
    "apply",
    "check_config",
    "config",
    "explain",
    "from_config",
    "init",
    "init_cell",
    "initializers",
    "lstm_step",
    "sharding",
    "unroll",
    "zero_state",
]
