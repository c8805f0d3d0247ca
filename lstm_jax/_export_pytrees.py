# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Lets `jax.export` serialise programs that take or give this library's pytrees.

A program's file names each class by "lstm_jax." and its name, and holds its static
fields as JSON; nothing in it is imported or run.
"""

import dataclasses
import json
from typing import Any

from jax import export

from lstm_jax._config import KINDS, build, describe
from lstm_jax._regularize import Regularizer
from lstm_jax.cells.base import DropMasks
from lstm_jax.cells.fgr import FGRState
from lstm_jax.cells.gru import GRUTrace
from lstm_jax.cells.lstm1997 import LSTM1997State, LSTM1997Trace
from lstm_jax.cells.lstm_params import LSTMState, StepTrace
from lstm_jax.cells.options import CellOptions
from lstm_jax.cells.rnn import RNNTrace
from lstm_jax.implementations.cudnn import Cudnn
from lstm_jax.implementations.loop import Loop
from lstm_jax.implementations.scan import Scan

_NAMED_TUPLES = (
    LSTMState,
    StepTrace,
    DropMasks,
    FGRState,
    GRUTrace,
    LSTM1997State,
    LSTM1997Trace,
    RNNTrace,
)
_STATIC = (CellOptions, Regularizer, Scan, Loop, Cudnn)


def _register_node(kind: type) -> None:
    """A node whose auxiliary data are its static fields, in their order."""

    def serialize(static: Any) -> bytes:
        return json.dumps(describe(list(static))).encode()

    def deserialize(data: bytes | bytearray) -> Any:
        return build("static", json.loads(bytes(data)), KINDS)

    _register(kind, serialize, deserialize)


def _register_static(kind: type) -> None:
    """A node without leaves, whose auxiliary data are itself."""

    def serialize(value: Any) -> bytes:
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return json.dumps({name: describe(v) for name, v in fields.items()}).encode()

    def deserialize(data: bytes | bytearray) -> Any:
        fields = json.loads(bytes(data))
        return kind(**{k: build(k, v, KINDS) for k, v in fields.items()})

    _register(kind, serialize, deserialize)


def _register(kind: Any, serialize: Any, deserialize: Any) -> None:
    export.register_pytree_node_serialization(
        kind,
        serialized_name=f"lstm_jax.{kind.__name__}",
        serialize_auxdata=serialize,
        deserialize_auxdata=deserialize,
    )


def register() -> None:
    """Registers every class that can stand in a program's arguments or results."""
    for state in _NAMED_TUPLES:
        export.register_namedtuple_serialization(
            state, serialized_name=f"lstm_jax.{state.__name__}"
        )
    for static in _STATIC:
        _register_static(static)
    for kind in KINDS.values():
        if getattr(kind, "_flax_dataclass", False):
            _register_node(kind)
