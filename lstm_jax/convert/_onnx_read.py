# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX, in: every LSTM node of a model."""

import collections
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from lstm_jax._activation_functions import ActivationFn
from lstm_jax._params import Bidirectional, Params, Reverse
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.cells.options import CellOptions
from lstm_jax.convert._arrays import finished, reorder
from lstm_jax.convert._files import is_path, reading
from lstm_jax.convert._onnx import ACTIVATIONS, ORDER, PEEPHOLES
from lstm_jax.convert._onnx_fold import Unknown
from lstm_jax.convert._onnx_model import Model, Scope, domain, title
from lstm_jax.convert._systems import raise_reasons

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
DTYPES = ("float16", "bfloat16", "float32", "float64")
NAMES = {onnx.name.lower(): name for name, onnx in ACTIVATIONS.items()}
AB = ("alpha", "beta")
# Of these the operator's text gives no default, and runtimes differ.
NO_DEFAULT = ("affine", "scaled_tanh")


def from_onnx(source: Any) -> dict[str, Params]:
    """Reads every LSTM node of an ONNX model, those of its subgraphs included.

    Only weights are read: `sequence_lens`, `initial_h` and `initial_c` are arguments of
    a call, whatever they come from, and so is the layout of X (0 is `apply`'s
    `time_major=True`). Weights that are computed from constants are folded, and an
    initializer counts as constant though it may be a graph's input too. A function of
    the model is read once for each of its calls. The two biases become their sum,
    rounded once; numbers among the attributes, float32 in the file, become the shortest
    decimals that round to them.

    Args:
        source: an onnx.ModelProto, or the path of an `.onnx` file, which is read
            without the files that it may point to.

    Returns:
        Each node's parameters by its name, or by its first output where it has none;
        where several have one name, by the names of the nodes that they stand in and
        the first output, joined by slashes. `LSTMParams` for direction forward,
        `Reverse` for reverse, `Bidirectional` for both; in the dtype of the weights.

    Raises:
        ValueError: the file or the model is malformed, or holds no LSTM.
        TypeError: a dtype is not floating, or JAX would round it.
        NotImplementedError: weights depend on what is fed, or are not in the file; an
            LSTM is not ONNX's own, as quantised ones are not. All reasons at once.

    Example:
        >>> import numpy as np, onnx
        >>> from onnx import helper, numpy_helper
        >>> rng = np.random.default_rng(0)
        >>> shapes = {"W": (1, 20, 3), "R": (1, 20, 5), "B": (1, 40)}
        >>> node = helper.make_node("LSTM", ["X", *shapes], ["Y"], "lstm")
        >>> graph = helper.make_graph([node], "graph", [], [], [
        ...     numpy_helper.from_array(rng.normal(size=s).astype("f"), n)
        ...     for n, s in shapes.items()])
        >>> params = from_onnx(helper.make_model(graph))
        >>> params["lstm"].w_x.shape
        (3, 20)

    References:
        ONNX, operator LSTM: layout of the weights and meaning of the attributes.
    """
    call = "from_onnx"
    model = Model(call, _proto(call, source))
    found: list[tuple[tuple[str, ...], Any, Params]] = []
    reasons, others = [], set()
    for scope, node, path in model.nodes():
        if "LSTM" not in node.op_type.upper():
            others.add(node.op_type)
            continue
        own = domain(node.domain) == "" and node.op_type == "LSTM"
        written = model.function(node) is not None
        try:
            if own and not written:
                found.append((path, node, _layer(model, scope, node)))
            elif own or not written:
                whose = node.domain or "ai.onnx"
                raise Unknown(f"of domain {whose!r}, is not ONNX's own LSTM")
        except Unknown as error:
            reasons.append(f"{node.op_type} {title(node)!r}: {error}")
    raise_reasons(call, "cannot be read", reasons)
    if not found:
        operators = ", ".join(sorted(others)) or "no nodes at all"
        raise ValueError(
            f"{call}: the model must hold an LSTM node; it has {operators[:400]}."
        )
    return {
        name: finished(call, params) for name, params in _named(call, found).items()
    }


def _proto(call: str, source: Any) -> Any:
    import onnx

    if isinstance(source, onnx.ModelProto):
        proto = source
    elif is_path(source):
        with reading(call, source, "an ONNX model") as path:
            proto = onnx.load(path, format="protobuf", load_external_data=False)
    else:
        raise TypeError(
            f"{call}: source must be an onnx.ModelProto or a path; got "
            f"{type(source).__name__}."
        )
    if proto.ir_version < 1:
        raise ValueError(
            f"{call}: ir_version must be there, as in every ONNX model; it is not."
        )
    return proto


def _named(
    call: str, found: list[tuple[tuple[str, ...], Any, Params]]
) -> dict[str, Params]:
    """By names that are each there once."""
    counts = collections.Counter(title(node) for _, node, _ in found)
    result: dict[str, Params] = {}
    for path, node, params in found:
        name = title(node)
        if counts[name] > 1:
            name = "/".join([*path, next(filter(None, node.output), name)])
        if not name or name in result:
            raise ValueError(
                f"{call}: LSTM nodes must have names of their own; got {name!r} for "
                "two, or for one without outputs."
            )
        result[name] = params
    return result


def _layer(model: Model, scope: Scope, node: Any) -> Params:
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
