# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX, in: one LSTM node, its attributes and weights, checked against each other."""

import collections
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from lstm_jax._activation_functions import ActivationFn
from lstm_jax._params import Bidirectional, Params, Reverse
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.cells.options import CellOptions
from lstm_jax.convert._arrays import reorder
from lstm_jax.convert._onnx import ACTIVATIONS, ORDER, PEEPHOLES
from lstm_jax.convert._onnx_fold import Unknown
from lstm_jax.convert._onnx_model import Model, title
from lstm_jax.convert._onnx_scope import Scope, Shape

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
DTYPES = ("float16", "bfloat16", "float32", "float64")
NAMES = {onnx.name.lower(): name for name, onnx in ACTIVATIONS.items()}
AB = ("alpha", "beta")
# Of these the operator's text gives no default, and runtimes differ.
NO_DEFAULT = ("affine", "scaled_tanh")


def network(model: Model, scope: Scope, node: Any) -> Params:
    """The parameters of a node, as NumPy's arrays."""
    attributes = {
        name: _value(attribute)
        for name, attribute in model.checked_attributes(scope, node).items()
    }
    what = f"LSTM {title(node)!r}"

    def malformed(name: str, wanted: str, got: Any) -> ValueError:
        return ValueError(
            f"{model.call}: {name} of {what} must be {wanted}; got {got}."
        )

    direction = attributes.get("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise malformed("direction", "forward, reverse or bidirectional", direction)
    if attributes.get("layout", 0) not in (0, 1):
        raise malformed("layout", "0 or 1", attributes["layout"])
    if attributes.get("input_forget", 0) not in (0, 1):
        raise malformed("input_forget", "0 or 1", attributes["input_forget"])
    clip = attributes.get("clip", math.inf)
    if not clip > 0:
        raise malformed("clip", "positive", clip)
    directions = 2 if direction == "bidirectional" else 1
    functions = _activations(model.call, what, directions, attributes)
    weights = _weights(model, scope, node, directions, attributes.get("hidden_size"))
    _agree(model, scope, node, weights["R"], weights["W"], attributes.get("layout", 0))
    cells = []
    for k in range(directions):
        gate, candidate, output = functions[3 * k : 3 * k + 3]
        options = CellOptions(
            gate,
            candidate,
            output,
            coupled=bool(attributes.get("input_forget", 0)),
            clip=None if clip == math.inf else clip,
        )
        cells.append(_cell({name: a[k] for name, a in weights.items()}, options))
    if direction == "bidirectional":
        return Bidirectional(cells[0], cells[1])
    return Reverse(cells[0]) if direction == "reverse" else cells[0]


def _value(attribute: Any) -> Any:
    """An attribute in Python's types; float32 as the shortest decimal."""
    from onnx import helper

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        return float(str(np.float32(value))) if isinstance(value, float) else value

    value = helper.get_attribute_value(attribute)
    scalar = isinstance(value, bytes | float | int)
    return plain(value) if scalar else [plain(v) for v in value]


def _activations(
    call: str, what: str, directions: int, attributes: dict[str, Any]
) -> list[ActivationFn]:
    """Gate, candidate and output activation of each direction, in one list."""
    names = attributes.get("activations") or ["Sigmoid", "Tanh", "Tanh"] * directions
    if len(names) != 3 * directions:
        raise ValueError(
            f"{call}: activations of {what} must be {3 * directions}, three for each "
            f"direction; got {len(names)}."
        )
    left = {k: collections.deque(attributes.get(f"activation_{k}", ())) for k in AB}
    for kind, numbers in left.items():
        if not all(math.isfinite(n) for n in numbers):
            raise ValueError(
                f"{call}: activation_{kind} of {what} must be finite; got "
                f"{', '.join(map(str, numbers))}."
            )
    found = [_activation(name, left) for name in names]
    for kind, unused in left.items():
        if unused:
            raise ValueError(
                f"{call}: activation_{kind} of {what} must have a number for each "
                f"activation that takes one, at most; got {len(unused)} too many."
            )
    return found


def _activation(name: str, left: dict[str, collections.deque]) -> ActivationFn:
    """One activation, with the next of the numbers that are left if it takes any."""
    own = NAMES.get(name.lower())
    if own is None:
        raise Unknown(f"there is no activation {name!r} among ONNX's eleven")
    numbers: dict[str, float] = {}
    for kind in AB:
        if getattr(ACTIVATIONS[own], kind) is None:
            continue
        if left[kind]:
            numbers[kind] = left[kind].popleft()
        elif own in NO_DEFAULT:
            raise Unknown(f"{name} needs activation_{kind}, which has no default")
    return ActivationFn(own, **numbers)


def _weights(
    model: Model, scope: Scope, node: Any, directions: int, hidden_size: int | None
) -> dict[str, np.ndarray]:
    """W, R, B and P with one index for the direction, those that are there."""
    what = f"LSTM {title(node)!r}"
    if len(node.input) > len(INPUTS):
        raise ValueError(
            f"{model.call}: {what} must have at most {len(INPUTS)} inputs; got "
            f"{len(node.input)}."
        )
    given = {k: n for k, n in zip(INPUTS, node.input, strict=False) if n}
    if missing := [name for name in ("X", "W", "R") if name not in given]:
        raise ValueError(
            f"{model.call}: {what} must have inputs X, W and R; {', '.join(missing)} "
            "is not there."
        )
    found: dict[str, np.ndarray] = {}
    reasons = []
    for name in ("W", "R", "B", "P"):
        if name not in given:
            continue
        try:
            found[name] = model.constant(scope, given[name])
        except Unknown as error:
            reasons.append(f"{name} must be constant, and {error}")
    if reasons:
        raise Unknown("; ".join(reasons))
    for problem in _problems(found, directions, hidden_size):
        raise ValueError(f"{model.call}: {what} must have {problem}.")
    for name, array in found.items():
        if array.dtype.name not in DTYPES or array.dtype != found["W"].dtype:
            raise TypeError(
                f"{model.call}: {name} of {what} must have a dtype of "
                f"{', '.join(DTYPES)}, one for all; got {array.dtype} beside "
                f"{found['W'].dtype}."
            )
    model.spend(what, sum(a.nbytes for a in found.values()))
    return found


def _agree(
    model: Model, scope: Scope, node: Any, r: np.ndarray, w: np.ndarray, layout: int
) -> None:
    """Checks the inputs that are no weights, as far as the model says their shapes."""
    directions, _, units = r.shape
    state: tuple[Any, ...] = (directions, "B", units)
    sequence: tuple[Any, ...] = ("T", "B", w.shape[-1])
    if layout == 1:
        state, sequence = ("B", directions, units), ("B", "T", w.shape[-1])
    wanted = {"X": sequence, "sequence_lens": ("B",)}
    wanted |= dict.fromkeys(("initial_h", "initial_c"), state)
    given = dict(zip(INPUTS, node.input, strict=False))
    sizes: dict[Any, int] = {}
    for name, axes in wanted.items():
        shape = (
            model.shape(scope, given[name], name != "X") if given.get(name) else None
        )
        if shape is not None and not _fits(shape, axes, sizes):
            known = tuple(sizes.get(axis, axis) for axis in axes)
            raise ValueError(
                f"{model.call}: {name} of LSTM {title(node)!r} must have shape "
                f"{known}, by W {w.shape}, R {r.shape} and the inputs before; got "
                f"{shape}."
            )


def _fits(shape: Shape, axes: tuple[Any, ...], sizes: dict[Any, int]) -> bool:
    """Whether sizes are those of the axes; T and B are what they first are."""
    if len(shape) != len(axes):
        return False
    for size, axis in zip(shape, axes, strict=True):
        expected = axis if isinstance(axis, int) else sizes.get(axis, size)
        if size is not None and size != expected:
            return False
    sizes |= {a: n for a, n in zip(axes, shape, strict=True) if n is not None}
    return True


def _problems(
    found: dict[str, np.ndarray], directions: int, hidden_size: int | None
) -> Iterator[str]:
    units = found["R"].shape[-1] if found["R"].ndim else 0
    inputs = found["W"].shape[-1] if found["W"].ndim else 0
    if hidden_size not in (None, units):
        yield f"hidden_size {units}, by the shape of R; got {hidden_size}"
    wanted = {
        "W": (directions, 4 * units, inputs),
        "R": (directions, 4 * units, units),
        "B": (directions, 8 * units),
        "P": (directions, 3 * units),
    }
    for name, array in found.items():
        if array.shape != wanted[name]:
            yield f"{name} of shape {wanted[name]}; got {array.shape}"


def _cell(weights: dict[str, np.ndarray], options: CellOptions) -> LSTMParams:
    def gates(w: np.ndarray, order: str = ORDER) -> np.ndarray:
        wanted = "".join(gate for gate in options.gates if gate in order)
        return reorder(w, order, wanted, axis=0)

    b = p = None
    if "B" in weights:
        ours, recurrent = np.split(weights["B"], 2)
        with np.errstate(all="ignore"):
            b = gates(ours + recurrent)
    if "P" in weights:
        p = gates(weights["P"].reshape(3, -1), PEEPHOLES)
    return LSTMParams(
        gates(weights["W"]).T, gates(weights["R"]).T, b, p, options=options
    )
