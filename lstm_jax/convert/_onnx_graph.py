# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX, out: the parts of a graph, and what one LSTM operator holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstm_jax._activation_functions import ActivationFn
from lstm_jax._params import Params
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert._arrays import bias, reorder
from lstm_jax.convert._onnx import ACTIVATIONS, ORDER, PEEPHOLES

TYPES = {  # of ONNX's TensorProto, by NumPy's names
    "float16": "FLOAT16",
    "bfloat16": "BFLOAT16",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "int32": "INT32",
    "int64": "INT64",
}


def onnx_type(dtype: Any) -> int:
    """The number that ONNX has for a dtype."""
    from onnx import TensorProto

    return getattr(TensorProto, TYPES[np.dtype(dtype).name])


class Graph:
    """A graph as it is written; values are spoken of by their names."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def proto(self, name: str) -> Any:
        """The finished onnx.GraphProto."""
        from onnx import helper

        constants = list(self.constants.values())
        return helper.make_graph(self.nodes, name, self.inputs, self.outputs, constants)

    def input(self, name: str, shape: Sequence[int | str], dtype: Any) -> str:
        """An input of the graph."""
        from onnx import helper

        value = helper.make_tensor_value_info(name, onnx_type(dtype), shape)
        self.inputs.append(value)
        return name

    def output(
        self, value: str, name: str, shape: Sequence[int | str], dtype: Any
    ) -> None:
        """An output of the graph."""
        from onnx import helper

        self.node("Identity", [value], [name])
        info = helper.make_tensor_value_info(name, onnx_type(dtype), shape)
        self.outputs.append(info)

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str] = (),
        **attributes: Any,
    ) -> str:
        """A node; its first output, named by a count where no name is given."""
        from onnx import helper

        outputs = outputs or [f"{operator}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))
        return outputs[0]

    def constant(self, name: str, value: Any) -> str:
        """An array that is part of the graph."""
        from onnx import helper

        self.constants[name] = helper.make_tensor(
            name, onnx_type(value.dtype), value.shape, value.tobytes(), raw=True
        )
        return name

    def scalar(self, value: Any) -> str:
        """A constant number, stored once."""
        return self.constant(f"{value.dtype}.{value}", np.asarray(value))

    def axes(self, axis: int) -> str:
        """A constant list of one axis, stored once."""
        return self.constant(f"axes.{axis}", np.array([axis], np.int64))


def weights(cells: Sequence[LSTMParams], dtype: Any) -> dict[str, np.ndarray | None]:
    """W, R, B and P of an operator, a row for each direction; None if none has it."""
    biased = any(cell.b is not None for cell in cells)
    watching = any(cell.peephole is not None for cell in cells)
    found = {
        "W": np.stack([_gates(cell, cell.w_x).T for cell in cells]),
        "R": np.stack([_gates(cell, cell.w_h).T for cell in cells]),
        "B": np.stack([_biases(cell) for cell in cells]) if biased else None,
        "P": np.stack([_peepholes(cell) for cell in cells]) if watching else None,
    }
    return {k: None if a is None else a.astype(dtype) for k, a in found.items()}


def _gates(cell: LSTMParams, w: np.ndarray) -> np.ndarray:
    """Columns in the operator's order, zeros for a coupled forget gate."""
    if cell.options.coupled:
        i, g, o = np.split(w, 3, -1)
        w = np.concatenate([i, np.zeros_like(i), g, o], -1)
    return reorder(w, "ifgo", ORDER)


def _biases(cell: LSTMParams) -> np.ndarray:
    """Those of the input, and zeros for those of the recurrence."""
    b = _gates(cell, bias(cell))
    return np.concatenate([b, np.zeros_like(b)])


def _peepholes(cell: LSTMParams) -> np.ndarray:
    units = cell.w_h.shape[0]
    if cell.peephole is None:
        return np.zeros(len(PEEPHOLES) * units, cell.w_h.dtype)
    rows = dict(zip(cell.options.gates.replace("g", ""), cell.peephole, strict=True))
    none = np.zeros_like(cell.peephole[0])
    return np.concatenate([rows.get(gate, none) for gate in PEEPHOLES])


def alike(forward: Params, backward: Params) -> bool:
    """Whether one operator of two directions can hold both."""
    if not isinstance(forward, LSTMParams) or not isinstance(backward, LSTMParams):
        return False
    one, two = (
        (cell.w_h.shape[0], cell.options.coupled, cell.options.clip)
        for cell in (forward, backward)
    )
    return one == two


def attributes(cells: Sequence[LSTMParams], reverse: bool) -> dict[str, Any]:
    """What an operator is told beside its weights; defaults of options are left out."""
    options = cells[0].options
    single = "reverse" if reverse else "forward"
    activations: list[Any] = [
        activation
        for cell in cells
        for activation in (
            cell.options.gate_activation,
            cell.options.candidate_activation,
            cell.options.output_activation,
        )
    ]
    found: dict[str, Any] = {
        "hidden_size": cells[0].w_h.shape[0],
        "direction": "bidirectional" if len(cells) == 2 else single,
        "activations": [ACTIVATIONS[a.name].name for a in activations],
        "activation_alpha": _numbers(activations, "alpha"),
        "activation_beta": _numbers(activations, "beta"),
        "input_forget": int(options.coupled),
        "clip": options.clip,
    }
    return {name: value for name, value in found.items() if value}


def _numbers(activations: Sequence[ActivationFn], field: str) -> list[float]:
    """Alphas or betas of those that take one; the operator counts no others."""
    found = []
    for activation in activations:
        default = getattr(ACTIVATIONS[activation.name], field)
        if default is not None:
            own = getattr(activation, field)
            found.append(float(default if own is None else own))
    return found
