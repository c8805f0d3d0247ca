# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX, out: a network as a graph of LSTM operators that keeps this library's contract.

Inside the graph time stands in front, as the operator has it by default; onnxruntime
knows no other layout.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax._params import Bidirectional, Params, Residual, Reverse, Stack
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.checks.params import check_params
from lstm_jax.convert._arrays import on_host
from lstm_jax.convert._onnx_graph import Graph, alike, attributes, onnx_type, weights
from lstm_jax.convert._systems import refuse

LOWEST_OPSET = 13  # the first in which Unsqueeze takes its axes as an input
BFLOAT16_OPSET = 22  # the first whose LSTM takes bfloat16
LARGEST_MODEL = 2**31 - 1  # bytes, by the encoding of its messages
DTYPES = ("float16", "bfloat16", "float32", "float64")


def to_onnx(
    params: Params,
    *,
    opset: int = 22,
    dynamic: bool = True,
    batch: int | None = None,
    steps: int | None = None,
    lengths: bool = True,
    state: bool = True,
) -> Any:
    """Writes a model that gives what `apply` gives, ragged and empty rows included.

    Its inputs are all required, and stand in this order:

    - `x` (B, T, I); what it has in the padding never matters;
    - `lengths` (B,) int32; they are clipped to [0, T];
    - the initial state, each array (B, H), in the order of `jax.tree.leaves(state)`
      and named by its path there: `state.h` of a bare layer, `state.0.c` of the first
      in a `Stack`, `state.0.1.h` of the backward direction in the first.

    Its outputs are `y` (B, T, features) and the final state, with `final` in the place
    of `state`. Its LSTM nodes are named by the same paths, `lstm.0`. The two layers of
    a `Bidirectional` are one node where that can hold both: not if it stands in a
    `Reverse`, or if hidden size, clip or coupling differ.

    All arrays have the promoted dtype of params, and 16-bit types are the runtime's
    matter; onnxruntime on CPU has LSTM in float32 alone. ONNX keeps clip, alpha and
    beta in float32.

    Args:
        params: of any structure.
        opset: version of the operators, from 13 to the newest that onnx knows.
        dynamic: whether a size that is not given may change from call to call; False
            asks for both.
        batch: B, where it is fixed.
        steps: T, where it is fixed.
        lengths: False leaves that input out: every row has T steps.
        state: False leaves those inputs out: every row begins with zeros.

    Returns:
        An onnx.ModelProto, checked.

    Raises:
        NotImplementedError: ONNX cannot express the network; all reasons at once.
        ValueError: the opset or a size is out of range, or a size is missing.
        TypeError: one of them is not an integer.

    Example:
        >>> import jax, lstm_jax
        >>> model = to_onnx(lstm_jax.init(jax.random.key(0), 3, 5))
        >>> [value.name for value in model.graph.input]
        ['x', 'lengths', 'state.0.h', 'state.0.c']
        >>> [value.name for value in model.graph.output]
        ['y', 'final.0.h', 'final.0.c']

    References:
        ONNX operator LSTM, versions 7, 14 and 22.
    """
    from onnx import checker, defs, helper

    import lstm_jax

    call = "to_onnx"
    _integer(call, "opset", opset, LOWEST_OPSET, defs.onnx_opset_version())
    sizes = {"batch": batch, "steps": steps}
    for name, size in sizes.items():
        if size is not None:
            _integer(call, name, size, 1)
    missing = [name for name, size in sizes.items() if size is None]
    if missing and not dynamic:
        raise ValueError(
            f"{call}: {' and '.join(missing)} must be given with dynamic=False."
        )
    refuse(call, "onnx", params, _more(params, opset))
    inputs, _ = check_params(call, params)
    params = on_host(call, params)
    writer = _Writer(
        Graph(), _dtype(params), batch or "B", steps or "T", lengths, state
    )
    writer.network(params, inputs)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        writer.graph.proto("lstm_jax"),
        opset_imports=opsets,
        # The oldest that will do, since runtimes refuse versions newer than theirs.
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="lstm_jax",
        producer_version=lstm_jax.__version__,
    )
    checker.check_model(model, full_check=True)
    return model


def _integer(
    call: str, name: str, value: Any, lowest: int, highest: int | None = None
) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{call}: {name} must be an integer; got {value!r}.")
    if value < lowest or (highest is not None and value > highest):
        bounds = "or more" if highest is None else f"to {highest}"
        raise ValueError(f"{call}: {name} must be {lowest} {bounds}; got {value}.")


def _dtype(params: Params) -> np.dtype:
    """The promoted dtype of all weights; 64 bits stay, even if JAX has them off."""
    dtypes = [a.dtype for a in jax.tree.leaves(params)]
    with jax.numpy_dtype_promotion("standard"):
        return functools.reduce(jnp.promote_types, dtypes)


def _more(params: Params, opset: int) -> Iterator[str]:
    """What the operator's types leave out."""
    dtypes = {a.dtype.name for a in jax.tree.leaves(params)}
    if unknown := sorted(dtypes - set(DTYPES)):
        yield f"weights in {', '.join(unknown)}"
        return
    dtype = _dtype(params)
    if dtype == jnp.bfloat16 and opset < BFLOAT16_OPSET:
        yield f"weights in bfloat16 below opset {BFLOAT16_OPSET}"
    if sum(a.size for a in jax.tree.leaves(params)) * dtype.itemsize > LARGEST_MODEL:
        yield "more than 2 GiB of weights in one message"


@dataclasses.dataclass
class _Writer:
    """Writes a network into a graph.

    Attributes:
        graph: what is written so far.
        dtype: of all that floats.
        batch: B, or its name.
        steps: T, or its name.
        with_lengths: whether lengths are an input.
        with_state: whether initial states are inputs.
        lengths: value (B,), in [0, T]; "" if there are none.
        begun: value (B, 1), whether a row has any step; "" likewise.
    """

    graph: Graph
    dtype: np.dtype
    batch: int | str
    steps: int | str
    with_lengths: bool
    with_state: bool
    lengths: str = ""
    begun: str = ""

    def network(self, params: Params, inputs: int) -> None:
        """All from x to y."""
        graph = self.graph
        x = graph.input("x", (self.batch, self.steps, inputs), self.dtype)
        valid = self.mask(x) if self.with_lengths else ""
        if valid:  # before any product, since NaN times zero is NaN
            x = graph.node("Where", [valid, x, self.zero()])
        x = graph.node("Transpose", [x], perm=[1, 0, 2])
        y, width = self.structure(params, x, "", False)
        y = graph.node("Transpose", [y], perm=[1, 0, 2])
        if valid:  # ONNX does not say what its operator gives in the padding
            y = graph.node("Where", [valid, y, self.zero()])
        graph.output(y, "y", (self.batch, self.steps, width), self.dtype)
        graph.outputs.insert(0, graph.outputs.pop())  # before the final states

    def mask(self, x: str) -> str:
        """(B, T, 1), whether a step is within its row's length."""
        graph = self.graph
        zero, one = (graph.scalar(np.int64(k)) for k in (0, 1))
        given = graph.input("lengths", (self.batch,), np.int32)
        steps = graph.node("Gather", [graph.node("Shape", [x]), one])
        # In int64: shape inference takes a cast of a fixed size for int64 still.
        clipped = graph.node("Cast", [given], to=onnx_type(np.int64))
        clipped = graph.node("Max", [graph.node("Min", [clipped, steps]), zero])
        column = graph.node("Unsqueeze", [clipped, graph.axes(1)])
        self.lengths = graph.node("Cast", [clipped], to=onnx_type(np.int32))
        self.begun = graph.node("Less", [zero, column])
        times = graph.node("Range", [zero, steps, one])
        valid = graph.node("Less", [times, column])
        return graph.node("Unsqueeze", [valid, graph.axes(2)])

    def structure(
        self, params: Params, x: str, path: str, reverse: bool
    ) -> tuple[str, int]:
        """Any structure over x (T, B, I); its output and the width of that."""
        match params:
            case LSTMParams():
                return self.layer([params], x, path, reverse)[0]
            case Reverse(inner):
                return self.structure(inner, x, path, not reverse)
            case Residual(inner):
                y, width = self.structure(inner, x, path, reverse)
                return self.graph.node("Add", [x, y]), width
            case Stack(members):
                for k, member in enumerate(members):
                    x, width = self.structure(member, x, f"{path}.{k}", reverse)
                return x, width
            case Bidirectional(forward, backward, merge):
                if not reverse and alike(forward, backward):
                    return self.merged(
                        self.layer([forward, backward], x, path, False), merge
                    )
                one = self.structure(forward, x, f"{path}.0", reverse)
                two = self.structure(backward, x, f"{path}.1", not reverse)
                return self.merged([one, two], merge)
        raise AssertionError("checked before")

    def merged(self, parts: list[tuple[str, int]], merge: str) -> tuple[str, int]:
        """The outputs of two directions as one."""
        names, widths = zip(*parts, strict=True)
        if merge == "concat":
            return self.graph.node("Concat", names, axis=2), sum(widths)
        y = self.graph.node("Mul" if merge == "mul" else "Add", names)
        if merge == "ave":
            y = self.graph.node("Mul", [y, self.graph.scalar(self.dtype.type(0.5))])
        return y, widths[0]

    def layer(
        self, cells: list[LSTMParams], x: str, path: str, reverse: bool
    ) -> list[tuple[str, int]]:
        """One node, of one or two directions, over x (T, B, I); the output of each."""
        graph, units, name = self.graph, cells[0].w_h.shape[0], f"lstm{path}"
        arrays = {
            key: "" if array is None else graph.constant(f"{name}.{key}", array)
            for key, array in weights(cells, self.dtype).items()
        }
        paths = [path] if len(cells) == 1 else [f"{path}.0", f"{path}.1"]
        starts = [self.start(p, units) for p in paths]
        y, *ends = outputs = [f"{name}.{key}" for key in ("Y", "Y_h", "Y_c")]
        graph.node(
            "LSTM",
            [
                *(x, arrays["W"], arrays["R"], arrays["B"], self.lengths),
                *(self.stacked(both) for both in zip(*starts, strict=True)),
                arrays["P"],
            ],
            outputs,
            name=name,
            **attributes(cells, reverse),
        )
        each = [graph.scalar(np.int64(k)) for k in range(len(cells))]
        for k, p, start in zip(each, paths, starts, strict=True):
            for end, part, initial in zip(ends, "hc", start, strict=True):
                end = graph.node("Gather", [end, k], axis=0)
                if self.begun:  # onnxruntime gives zeros for rows of no step
                    kept = initial or self.zero()
                    end = graph.node("Where", [self.begun, end, kept])
                shape = (self.batch, units)
                graph.output(end, f"final{p}.{part}", shape, self.dtype)
        return [(graph.node("Gather", [y, k], axis=1), units) for k in each]

    def start(self, path: str, units: int) -> list[str]:
        """The initial h and c of a layer, each (B, H); "" if they are zeros."""
        if not self.with_state:
            return ["", ""]
        shape = (self.batch, units)
        return [
            self.graph.input(f"state{path}.{part}", shape, self.dtype) for part in "hc"
        ]

    def stacked(self, values: tuple[str, ...]) -> str:
        """(B, H) of each direction as (directions, B, H)."""
        if not all(values):
            return ""
        axis = self.graph.axes(0)
        rows = [self.graph.node("Unsqueeze", [value, axis]) for value in values]
        return rows[0] if len(rows) == 1 else self.graph.node("Concat", rows, axis=0)

    def zero(self) -> str:
        return self.graph.scalar(self.dtype.type(0))
