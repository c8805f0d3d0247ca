# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX, in: the names that nodes can see."""

import dataclasses
from collections.abc import Iterable
from typing import Any

Shape = tuple[int | None, ...]


@dataclasses.dataclass
class Scope:
    """The names that nodes of one graph, or of one call of a function, can see.

    Attributes:
        tensors: initializers.
        producers: nodes by their outputs.
        inputs: what is fed from outside.
        opsets: version by domain.
        shapes: of values, where the graph says them; None for a size that it does not.
        outer: the graph around, whose names are seen too.
        bound: of a called function, its inputs: the caller's scope and name.
        attributes: of a called function, what its nodes may refer to.
        known: values computed so far; None while one is being computed.
    """

    tensors: dict[str, Any]
    producers: dict[str, Any]
    inputs: frozenset[str]
    opsets: dict[str, int]
    shapes: dict[str, Shape]
    outer: "Scope | None" = None
    bound: dict[str, tuple["Scope", str]] = dataclasses.field(default_factory=dict)
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    known: dict[str, Any] = dataclasses.field(default_factory=dict)


def domain(name: str) -> str:
    """ONNX's own domain has two spellings."""
    return "" if name == "ai.onnx" else name


def shapes(values: Iterable[Any]) -> dict[str, Shape]:
    """The shapes that a graph says its values have."""
    found: dict[str, Shape] = {}
    for value in values:
        kind = value.type.tensor_type
        if value.type.HasField("tensor_type") and kind.HasField("shape"):
            sizes = (
                d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim
            )
            found[value.name] = tuple(n if n > 0 else None for n in sizes)
    return found


def opsets(proto: Any) -> dict[str, int]:
    """The versions of operators that a model or a function is written in."""
    return {domain(o.domain): o.version for o in proto.opset_import}
