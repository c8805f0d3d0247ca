# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Cells of the literature, by class and by name: `init(name, ...)`.

Each is a `lstm_jax.Cell` and runs wherever `LSTMParams` does. What `CellOptions` can
say is an `LSTMParams`; the others have classes of their own. `step` and `zero_state`
are `lstm_jax.lstm_step` and `lstm_jax.zero_state`.
"""

from lstm_jax._state import zero_state
from lstm_jax._step import lstm_step as step
from lstm_jax.cells.fgr import FGRParams, FGRState
from lstm_jax.cells.gru import GRUParams, GRUTrace
from lstm_jax.cells.lstm1997 import LSTM1997Params, LSTM1997State, LSTM1997Trace
from lstm_jax.cells.rnn import RNNParams, RNNTrace
from lstm_jax.variants._names import init, names

__all__ = [
    "FGRParams",
    "FGRState",
    "GRUParams",
    "GRUTrace",
    "LSTM1997Params",
    "LSTM1997State",
    "LSTM1997Trace",
    "RNNParams",
    "RNNTrace",
    "init",
    "names",
    "step",
    "zero_state",
]
