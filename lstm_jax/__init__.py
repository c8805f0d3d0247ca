# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""LSTMs in JAX: a pure step, unrolled by scan, differentiable any way JAX can."""

from lstm_jax import _export_pytrees, initializers, sharding
from lstm_jax._activation_functions import ActivationFn
from lstm_jax._activations import activations
from lstm_jax._apply import Plan, apply, explain
from lstm_jax._config import check_config, config, from_config
from lstm_jax._init import init, init_cell
from lstm_jax._norms import GateNorm, SplitNorm
from lstm_jax._params import Bidirectional, Residual, Reverse, Stack
from lstm_jax._regularize import Regularizer
from lstm_jax._state import zero_state
from lstm_jax._step import lstm_step
from lstm_jax._unroll import unroll
from lstm_jax.cells.base import Cell, DropMasks
from lstm_jax.cells.lstm_params import LSTMParams, LSTMState, StepTrace
from lstm_jax.cells.options import CellOptions
from lstm_jax.implementations.base import Implementation
from lstm_jax.implementations.cudnn import Cudnn
from lstm_jax.implementations.fused import Fused
from lstm_jax.implementations.loop import Loop
from lstm_jax.implementations.packed import Packed
from lstm_jax.implementations.scan import Scan

_export_pytrees.register()

__version__ = "0.1.0"

__all__ = [
    "ActivationFn",
    "Bidirectional",
    "Cell",
    "CellOptions",
    "Cudnn",
    "DropMasks",
    "Fused",
    "GateNorm",
    "Implementation",
    "LSTMParams",
    "LSTMState",
    "Loop",
    "Packed",
    "Plan",
    "Regularizer",
    "Residual",
    "Reverse",
    "Scan",
    "SplitNorm",
    "Stack",
    "StepTrace",
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
