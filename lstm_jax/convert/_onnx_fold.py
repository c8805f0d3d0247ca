# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX, in: the operators that are computed where all they need is constant."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lstm_jax._text import quoted


class Unknown(Exception):
    """A value that is not constant, or cannot be folded; the reason is its text."""


Size = Callable[[list[np.ndarray], dict[str, Any]], int]


def _first(arrays: list[np.ndarray], _: Any) -> int:
    return arrays[0].size


def _total(arrays: list[np.ndarray], _: Any) -> int:
    return sum(a.size for a in arrays)


def _broadcast(arrays: list[np.ndarray], _: Any) -> int:
    return math.prod(np.broadcast_shapes(*(a.shape for a in arrays)))


def _product(values: Any) -> int:
    return math.prod(max(int(n), 1) for n in np.asarray(values).flat)


def _expanded(arrays: list[np.ndarray], _: Any) -> int:
    data, shape = arrays
    return math.prod(np.broadcast_shapes(data.shape, tuple(shape.tolist())))


def _range(arrays: list[np.ndarray], _: Any) -> int:
    start, limit, delta = (float(a.item()) for a in arrays)
    return max(math.ceil((limit - start) / delta), 0)


def _gathered(arrays: list[np.ndarray], attributes: dict[str, Any]) -> int:
    axis = attributes["axis"].i if "axis" in attributes else 0
    data, indices = arrays
    return data.size // max(data.shape[axis], 1) * indices.size


# The operators that are folded, each with the most elements that it can give.
FOLDED: dict[str, Size] = {
    **dict.fromkeys(
        "Cast CastLike Flatten Identity Neg Reciprocal Reshape Shape Size Slice Split "
        "Sqrt Squeeze Transpose Unsqueeze DequantizeLinear".split(),
        _first,
    ),
    **dict.fromkeys("Add Sub Mul Div Pow Where".split(), _broadcast),
    "Concat": _total,
    "ConstantOfShape": lambda arrays, _: _product(arrays[0]),
    "Expand": _expanded,
    "Gather": _gathered,
    "Range": _range,
    "Tile": lambda arrays, _: arrays[0].size * _product(arrays[1]),
}


@contextlib.contextmanager
def evaluating(what: str) -> Iterator[None]:
    """Makes whatever is raised a reason why a node is not folded."""
    try:
        with np.errstate(all="ignore"):
            yield
    except Exception as error:  # an evaluator raises whatever it likes
        raise Unknown(f"{what} cannot be folded ({quoted(error)})") from error


def evaluated(
    node: Any, attributes: dict[str, Any], opsets: dict[str, int], arrays: dict
) -> dict[str, np.ndarray]:
    """The outputs of a node by onnx's reference evaluator."""
    import onnx
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    bare = onnx.NodeProto()
    bare.CopyFrom(node)
    del bare.attribute[:]
    bare.attribute.extend(attributes.values())
    names = [name for name in node.output if name]
    any_type = onnx.TypeProto()
    graph = helper.make_graph(
        [bare],
        "fold",
        [helper.make_value_info(n, any_type) for n in arrays],
        [helper.make_value_info(n, any_type) for n in names],
    )
    version = helper.make_opsetid("", opsets[""])
    model = helper.make_model(graph, opset_imports=[version])
    made = ReferenceEvaluator(model).run(names, arrays)
    return {n: np.asarray(a) for n, a in zip(names, made, strict=True)}
