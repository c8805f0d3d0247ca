# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The LSTM operator of onnxruntime; it has no gradient."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.cases import Problem, Weights
from benchmarks.peers import Peer

DEVICES = 1


def _packed(w: np.ndarray) -> np.ndarray:
    """Columns i, f, g, o to rows i, o, f, g."""
    i, f, g, o = np.split(w, 4, -1)
    return np.ascontiguousarray(np.concatenate([i, o, f, g], -1).T)


def _arrays(both: tuple[Weights, ...]) -> dict[str, np.ndarray]:
    """W, R and B of the operator, with an axis in front for the directions."""
    biases = [np.concatenate([_packed(w.b), 0 * w.b]) for w in both]
    return {
        "W": np.stack([_packed(w.w_x) for w in both]),
        "R": np.stack([_packed(w.w_h) for w in both]),
        "B": np.stack(biases),
    }


def _model(problem: Problem) -> bytes:
    nodes: list[Any] = []
    constants: dict[str, np.ndarray] = {
        "merge": np.array([0, 0, -1]),
        "axis": np.array([1]),
    }
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, problem.x.shape)]
    lengths = ""
    if problem.lengths is not None:
        lengths = "lengths"
        constants[lengths] = problem.lengths
    x = "x"
    for k, both in enumerate(problem.layers):
        constants |= {f"{name}{k}": value for name, value in _arrays(both).items()}
        nodes += [
            helper.make_node(
                "LSTM",
                [x, f"W{k}", f"R{k}", f"B{k}", lengths],
                [f"directions{k}"],
                hidden_size=both[0].w_h.shape[0],
                direction="bidirectional" if len(both) == 2 else "forward",
            ),
        ]
        if len(both) == 1:
            axis = helper.make_node("Squeeze", [f"directions{k}", "axis"], [f"y{k}"])
            nodes.append(axis)
        else:  # (T, 2, B, H) to (T, B, 2H)
            nodes += [
                helper.make_node(
                    "Transpose", [f"directions{k}"], [f"turned{k}"], perm=[0, 2, 1, 3]
                ),
                helper.make_node("Reshape", [f"turned{k}", "merge"], [f"y{k}"]),
            ]
        x = f"y{k}"
    graph = helper.make_graph(
        nodes,
        "lstm",
        inputs,
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [None] * 3)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def make(problem: Problem) -> Peer:
    """A model of one node a layer, its weights constant, its result where it was."""
    session = onnxruntime.InferenceSession(
        _model(problem), providers=["CPUExecutionProvider"]
    )
    last = problem.layers[-1]
    width = sum(w.w_h.shape[0] for w in last)
    y = np.empty((*problem.x.shape[:2], width), np.float32)
    binding = session.io_binding()
    binding.bind_cpu_input("x", problem.x)
    name = f"y{len(problem.layers) - 1}"
    binding.bind_output(name, "cpu", 0, np.float32, y.shape, y.ctypes.data)

    def forward() -> np.ndarray:
        session.run_with_iobinding(binding)
        return y

    return Peer(forward, None, None)
