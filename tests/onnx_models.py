# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX models of single operators, made without this library's writer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

OPSET = 21


def model(
    nodes: Sequence[Any],
    tensors: Mapping[str, Any] | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    *,
    opset: int = OPSET,
    ir_version: int = 10,
    functions: Sequence[Any] = (),
    more: Sequence[str] = (),
    types: Mapping[str, int] | None = None,
) -> Any:
    """A model with these nodes, initializers by name, and inputs and outputs.

    Args:
        nodes: of the graph.
        tensors: arrays.
        inputs: names; float32 unless `types` says otherwise.
        outputs: names, likewise.
        opset: version of ONNX's own operators.
        ir_version: of the file.
        functions: of the model.
        more: further domains.
        types: of inputs and outputs, numbers of TensorProto.
    """

    def info(name: str) -> Any:
        kind = (types or {}).get(name, onnx.TensorProto.FLOAT)
        return helper.make_tensor_value_info(name, kind, None)

    graph = helper.make_graph(
        list(nodes),
        "graph",
        [info(n) for n in inputs],
        [info(n) for n in outputs],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in (tensors or {}).items()],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)]
        + [helper.make_opsetid(name, 1) for name in more],
        ir_version=ir_version,
        functions=list(functions),
    )


def weights(
    rng: Any,
    inputs: int = 3,
    hidden: int = 2,
    directions: int = 1,
    dtype: Any = np.float32,
    peepholes: bool = False,
    scale: float = 0.5,
) -> dict[str, np.ndarray]:
    """W, R, B and P if asked for."""
    shapes = {
        "W": (directions, 4 * hidden, inputs),
        "R": (directions, 4 * hidden, hidden),
        "B": (directions, 8 * hidden),
    }
    if peepholes:
        shapes["P"] = (directions, 3 * hidden)
    return {n: (scale * rng.normal(size=s)).astype(dtype) for n, s in shapes.items()}


def lstm(
    name: str = "lstm",
    inputs: Sequence[str] = ("X", "W", "R", "B"),
    outputs: Sequence[str] = ("Y",),
    **attributes: Any,
) -> Any:
    """An LSTM node."""
    return helper.make_node("LSTM", inputs, outputs, name, **attributes)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node from names set apart by spaces; - is a name left out."""
    names = ["" if n == "-" else n for n in inputs.split()]
    return helper.make_node(operator, names, outputs.split(), **attributes)


def body(name: str, nodes: list[Any], inputs: str = "", outputs: str = "Y") -> Any:
    """A graph that is part of a node; names set apart by spaces."""

    def info(n: str) -> Any:
        return helper.make_tensor_value_info(n, 1, None)

    return helper.make_graph(
        nodes,
        name,
        [info(n) for n in inputs.split()],
        [info(n) for n in outputs.split()],
    )


def plain(**attributes: Any) -> Any:
    """The smallest model with an LSTM in it."""
    return model([lstm(**attributes)], weights(np.random.default_rng(0)), ["X"], ["Y"])


def session_of(proto: Any) -> Any:
    """A session of onnxruntime on one core."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(proto: Any, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What onnxruntime makes of a model, by the names of its outputs."""
    session = session_of(proto)
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))
