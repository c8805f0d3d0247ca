# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Cells of the literature by name, one call for all: `init`, `zero_state`, `step`.

What `CellOptions` can say is an `LSTMParams`, and runs under `lstm_jax.apply` too. The
others have parameters of their own and run under `lstm_jax.unroll`, which gives them
lengths, resets, reversal and truncation.
"""

from lstm_jax.variants._fgr import FGRParams, FGRState
from lstm_jax.variants._gru import GRUParams
from lstm_jax.variants._lstm1997 import LSTM1997Params, LSTM1997State
from lstm_jax.variants._names import init, names
from lstm_jax.variants._rnn import RNNParams
from lstm_jax.variants._step import step, zero_state

__all__ = [
    "FGRParams",
    "FGRState",
    "GRUParams",
    "LSTM1997Params",
    "LSTM1997State",
    "RNNParams",
    "init",
    "names",
    "step",
    "zero_state",
]
