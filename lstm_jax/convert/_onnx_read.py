# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX, in: every LSTM node of a model."""

import collections
from typing import Any, NamedTuple

from lstm_jax._params import Params
from lstm_jax.convert._arrays import finished
from lstm_jax.convert._files import is_path, reading
from lstm_jax.convert._onnx_fold import Unknown
from lstm_jax.convert._onnx_model import Model, title
from lstm_jax.convert._onnx_node import network
from lstm_jax.convert._onnx_scope import Scope, domain
from lstm_jax.convert._systems import chosen, only, raise_reasons


def from_onnx(source: Any, *, names: Any = None) -> dict[str, Params]:
    """Reads every LSTM node of an ONNX model, those of its subgraphs included.

    Only weights are read: `sequence_lens`, `initial_h` and `initial_c` are arguments of
    a call, whatever they come from, and so is the layout of X (0 is `apply`'s
    `time_major=True`). Weights that are computed from constants are folded, and an
    initializer counts as constant though it may be a graph's input too. A function of
    the model is read once for each of its calls. The two biases become their sum,
    rounded once; numbers among the attributes, float32 in the file, become the shortest
    decimals that round to them.

    Args:
        source: an onnx.ModelProto, or the path of an `.onnx` file. Of weights that lie
            in other files (external data) those are read that are needed, where they
            lie in the folder of the model or below it; no link is followed.
        names: of the nodes to read, by the names below; None for all. Nothing else is
            read, and what of it cannot be read is no matter.

    Returns:
        Each node's parameters by its name, or by its first output where it has none;
        where several have one name, by the names of the nodes that they stand in and
        the first output, joined by slashes. `LSTMParams` for direction forward,
        `Reverse` for reverse, `Bidirectional` for both; in the dtype of the weights.

    Raises:
        ValueError: the file or the model is malformed, or holds no LSTM; shapes of
            inputs do not agree; a name is of no node.
        TypeError: a dtype is not floating, or JAX would round it.
        NotImplementedError: weights depend on what is fed, or are not there; an
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
    model, found = lstms(call, source)
    known, clash = named(found)
    wanted = chosen(call, names, known)
    reasons: list[str] = []
    result: dict[str, Params] = {}
    for name in wanted:
        lstm = known[name]
        try:
            result[name] = read(model, lstm)
        except Unknown as error:
            reasons.append(f"{lstm.node.op_type} {title(lstm.node)!r}: {error}")
        except (ValueError, TypeError) as error:
            others = [other for other in wanted if other != name]
            raise type(error)(f"{error}{only(others)}") from error
    raise_reasons(call, "cannot be read", reasons, only(result))
    if names is None and clash is not None:
        raise ValueError(
            f"{call}: LSTM nodes must have names of their own; got {clash!r} for two, "
            "or for one without outputs."
        )
    return {name: finished(call, params) for name, params in result.items()}


class Lstm(NamedTuple):
    """A node that is an LSTM, or is called so.

    Attributes:
        scope: that it stands in.
        node: as the model has it.
        path: the names of the nodes that it stands in.
    """

    scope: Scope
    node: Any
    path: tuple[str, ...]


def lstms(call: str, source: Any) -> tuple[Model, list[Lstm]]:
    """A model and its nodes that are LSTMs or are called so; at least one."""
    model = _model(call, source)
    found, others = [], set()
    for scope, node, path in model.nodes():
        if "LSTM" not in node.op_type.upper():
            others.add(node.op_type)
        elif _own(node) or model.function(node) is None:
            found.append(Lstm(scope, node, path))
    if not found:
        operators = ", ".join(sorted(others)) or "no nodes at all"
        raise ValueError(
            f"{call}: the model must hold an LSTM node; it has {operators}."
        )
    return model, found


def _own(node: Any) -> bool:
    return domain(node.domain) == "" and node.op_type == "LSTM"


def read(model: Model, lstm: Lstm) -> Params:
    """The parameters of a node, as NumPy's arrays."""
    if not _own(lstm.node) or model.function(lstm.node) is not None:
        whose = lstm.node.domain or "ai.onnx"
        raise Unknown(f"of domain {whose!r}, is not ONNX's own LSTM")
    return network(model, lstm.scope, lstm.node)


def _model(call: str, source: Any) -> Model:
    import onnx

    path = None
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
    return Model(call, proto, path)


def named(found: list[Lstm]) -> tuple[dict[str, Lstm], str | None]:
    """By their names, and a name that is none or that two have."""
    counts = collections.Counter(title(lstm.node) for lstm in found)
    result: dict[str, Lstm] = {}
    clash = None
    for lstm in found:
        name = title(lstm.node)
        if counts[name] > 1:
            name = "/".join([*lstm.path, next(filter(None, lstm.node.output), name)])
        if not name or name in result:
            clash = name
        else:
            result[name] = lstm
    return result, clash
