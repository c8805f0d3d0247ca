# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The LSTM operator of onnxruntime; it has no gradient."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.cases import Problem
from benchmarks.peers import Peer

DEVICES = 1


def _packed(w: np.ndarray) -> np.ndarray:
    """Columns i, f, g, o to rows i, o, f, g, with an axis for the direction."""
    i, f, g, o = np.split(w, 4, -1)
    return np.ascontiguousarray(np.concatenate([i, o, f, g], -1).T)[None]


def make(problem: Problem) -> Peer:
    """A model of one node, its weights constant."""
    hidden = problem.w_h.shape[0]
    b = _packed(problem.b)[0][None]
    weights = {
        "W": _packed(problem.w_x),
        "R": _packed(problem.w_h),
        "B": np.concatenate([b, 0 * b], -1),
    }
    float32 = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], hidden_size=hidden)],
        "lstm",
        [helper.make_tensor_value_info("x", float32, problem.x.shape)],
        [helper.make_tensor_value_info("y", float32, [None] * 4)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10
    )
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return Peer(lambda: session.run(None, {"x": problem.x})[0][:, 0], None, None)
