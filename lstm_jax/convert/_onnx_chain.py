# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX, in: whether the LSTM nodes of a model feed each other in one sequence."""

from collections.abc import Mapping
from typing import Any

from lstm_jax.convert._onnx_fold import Unknown
from lstm_jax.convert._onnx_model import Model
from lstm_jax.convert._onnx_read import Lstm

# What stands between two layers without computing anything.
BETWEEN = {"Identity", "Dropout", "Squeeze", "Reshape", "Transpose", "Gather", "Concat"}


def chain(model: Model, lstms: Mapping[str, Lstm]) -> list[str] | None:
    """The names from the lowest layer on; None where the model is no plain stack."""
    outputs = {
        lstm.node.output[0]: name for name, lstm in lstms.items() if not lstm.path
    }
    below: dict[str, str | None] = {}
    for name, lstm in lstms.items():
        if lstm.path:
            return None
        try:
            below[name] = _source(model, lstm, outputs)
        except Unknown:
            return None
    above = {source: name for name, source in below.items()}
    order: list[str] = []
    at = above.get(None)
    while at is not None and at not in order:
        order.append(at)
        at = above.get(at)
    return order if len(order) == len(lstms) else None


def _source(model: Model, lstm: Lstm, outputs: Mapping[str, str]) -> str | None:
    """The LSTM whose sequence a node reads as it is; None if it reads no LSTM's.

    Raises:
        Unknown: it reads what is computed from one.
    """
    producers, passed = lstm.scope.producers, set()
    value = lstm.node.input[0]
    while value not in outputs:
        node = producers.get(value)
        if node is None or node.op_type not in BETWEEN:
            if _upstream(producers, value, set(outputs)):
                raise Unknown("something is computed between two layers")
            return None
        passed.add(node.op_type)
        value = node.input[0]
        if node.op_type == "Concat":
            value = _joined(model, lstm, node)
    both = any(
        a.name == "direction" and a.s == b"bidirectional"
        for a in producers[value].attribute
    )
    if both and not passed & {"Concat", "Transpose"}:
        raise Unknown("the directions are not joined")
    return outputs[value]


def _joined(model: Model, lstm: Lstm, node: Any) -> str:
    """The sequence of which a node joins the directions in their order."""
    made = lstm.scope.producers
    parts = [made[name] for name in node.input if name in made]
    gathered = [part for part in parts if part.op_type == "Gather"]
    if len(gathered) != len(node.input):
        raise Unknown("other things are joined")
    order = [model.constant(lstm.scope, part.input[1]).item() for part in parts]
    sources = {part.input[0] for part in parts}
    if len(sources) > 1 or order != list(range(len(parts))):
        raise Unknown("other things are joined")
    return sources.pop()


def _upstream(producers: Mapping[str, Any], value: str, wanted: set[str]) -> bool:
    """Whether a value is computed from one of those wanted."""
    waiting, seen = [value], set()
    while waiting:
        name = waiting.pop()
        if name in wanted:
            return True
        if name in producers and name not in seen:
            seen.add(name)
            waiting += producers[name].input
    return False
