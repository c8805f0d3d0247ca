# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Keras: what a layer's configuration means, by the version of Keras that wrote it."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lstm_jax._activation_functions import ActivationFn
from lstm_jax._params import Reverse, Stack
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.cells.options import CellOptions

SAME = ("elu", "relu", "sigmoid", "softplus", "softsign", "tanh")
HARD_SIGMOID = {2: 0.2, 3: 1 / 6}  # the slope, by the major version
DIRECT = ("LSTM", "CuDNNLSTM")
# They do nothing when a model is used, or only make the mask that lengths stand for.
PASSED_OVER = ("InputLayer", "Dropout", "SpatialDropout1D", "Masking")
DEFAULTS = {"activation": "tanh", "recurrent_activation": "sigmoid"}
# Keras' own layers that have LSTM in their name and are none.
OTHERS = re.compile(r"ConvLSTM\dD(Cell)?")


def activation(
    spec: Any, major: int | None, where: str, reasons: list[str]
) -> ActivationFn:
    """The function that a configuration names; a reason is added if it is none of ours.

    Args:
        spec: a name, None, or the configuration of a layer used as a function.
        major: the version of Keras that wrote it, 2 or 3; None if nothing says.
        where: what has it, for the reason.
        reasons: of refusal, collected.
    """
    if spec is None or spec == "linear":
        return ActivationFn("affine", 1.0, 0.0)
    if isinstance(spec, str) and spec in SAME:
        return ActivationFn(spec)
    if spec == "hard_sigmoid" and major is not None:
        return ActivationFn("hard_sigmoid", HARD_SIGMOID[major], 0.5)
    if spec == "hard_sigmoid":
        spec = (
            "hard_sigmoid, which Keras 2 and 3 compute differently and nothing says "
            "which wrote it"
        )
    if spec == "leaky_relu" and major == 3:
        return ActivationFn("leaky_relu", 0.2)
    if isinstance(spec, Mapping):
        options, name = spec.get("config"), spec.get("class_name")
        if name == "LeakyReLU" and isinstance(options, Mapping):
            slope = options.get("negative_slope", options.get("alpha", 0.3))
            return ActivationFn("leaky_relu", float(slope))
        if name == "ELU" and isinstance(options, Mapping):
            return ActivationFn("elu", float(options.get("alpha", 1.0)))
        spec = options if isinstance(options, str) else name
    reasons.append(f"activation {spec} (in {where})")
    return ActivationFn("tanh")


def cell_options(
    config: Mapping[str, Any], major: int | None, where: str, reasons: list[str]
) -> CellOptions:
    """The options that an LSTM's configuration asks for."""
    gate, candidate = (
        activation(config[name], major, where, reasons)
        for name in ("recurrent_activation", "activation")
    )
    return CellOptions(gate, candidate, candidate)


def reverse(params: Any) -> Any:
    """`Reverse` of a layer; of each layer of a stack of cells, which is the same."""
    if isinstance(params, Stack):
        return Stack(tuple(Reverse(layer) for layer in params.layers))
    return Reverse(params)


def single(cells: list[LSTMParams], stacked: bool) -> Any:
    """The network of the cells of one recurrent layer."""
    return Stack(tuple(cells)) if stacked else cells[0]


SIDES = ("forward_layer", "backward_layer")


class Recurrent(NamedTuple):
    """A recurrent layer's configuration.

    Attributes:
        cells: configurations of its cells.
        stacked: whether they stand in a `StackedRNNCells`.
        backwards: `go_backwards`.
    """

    cells: list[Mapping[str, Any]]
    stacked: bool
    backwards: bool


class Entry(NamedTuple):
    """An LSTM in a model's configuration.

    Attributes:
        names: of the models around it and its own.
        place: the path of its group in a Keras 3 weights file.
        parts: the layer, or the forward and the backward one.
        merge: of two directions; None leaves them apart.
        nested: whether it stands in a model within the model.
        reason: why this library cannot express it; then it has no parts.
        unclear: why it cannot be told what it is, likewise.
        guessed: whether Keras' defaults were assumed, as nothing says what it has.
    """

    names: tuple[str, ...]
    place: tuple[str, ...]
    parts: list[Recurrent]
    merge: Any = "concat"
    nested: bool = False
    reason: str = ""
    unclear: str = ""
    guessed: bool = False

    @property
    def labels(self) -> list[str]:
        """The names of its networks: two, where nothing merges the directions."""
        name = "/".join(self.names)
        apart = len(self.parts) == 2 and self.merge is None
        return [f"{name}/{side}" for side in SIDES] if apart else [name]


def kind(layer: Mapping[str, Any]) -> str:
    """The class of a layer; of one that is not Keras' own, with a package before it."""
    registered = layer.get("registered_name")
    if isinstance(registered, str) and registered:
        return registered if ">" in registered else f">{registered}"
    return str(layer["class_name"])


def recurrent(layer: Mapping[str, Any]) -> Recurrent | None:
    """What a layer's configuration has of LSTM cells, or None if it is another one."""
    config = layer["config"]
    if kind(layer) == "CuDNNLSTM":  # whose configuration leaves out what it has to have
        config = {**config, **DEFAULTS, "use_bias": True}
    if kind(layer) in DIRECT:
        return Recurrent([config], False, bool(config.get("go_backwards")))
    if kind(layer) != "RNN":
        return None
    cell = config["cell"]
    stacked = kind(cell) == "StackedRNNCells"
    cells = cell["config"]["cells"] if stacked else [cell]
    if not cells or any(kind(c) != "LSTMCell" for c in cells):
        return None
    configs = [c["config"] for c in cells]
    return Recurrent(configs, stacked, bool(config.get("go_backwards")))


def directions(layer: Mapping[str, Any]) -> list[Recurrent]:
    """The forward and the backward layer of a Bidirectional, or a layer; [] if none."""
    if kind(layer) != "Bidirectional":
        found = recurrent(layer)
        return [] if found is None else [found]
    config = layer["config"]
    forward, back = recurrent(config["layer"]), config.get("backward_layer")
    if forward is None:
        return []
    if back is None:
        return [forward, forward._replace(backwards=not forward.backwards)]
    backward = recurrent(back)
    return [] if backward is None else [forward, backward]


def entries(model: Mapping[str, Any]) -> Iterator[Entry]:
    """Every LSTM of a model's configuration, and what looks like one.

    Args:
        model: with `class_name` and `config`, which lists layers.
    """
    yield from _within(model, (), (), False)


def sublayers(model: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The configurations of a model's layers, or None if it is no model."""
    config = model["config"]
    if isinstance(config, list):  # a Sequential of Keras 2.1 and before
        return config
    found = config.get("layers")
    return found if isinstance(found, list) else None


def _within(
    model: Mapping[str, Any],
    names: tuple[str, ...],
    place: tuple[str, ...],
    nested: bool,
) -> Iterator[Entry]:
    counts: Counter[str] = Counter()
    for layer in sublayers(model) or ():
        group = snake_case(kind(layer).rpartition(">")[2])
        number, counts[group] = counts[group], counts[group] + 1
        here = (*place, "layers", f"{group}_{number}" if number else group)
        yield from _entry(layer, (*names, name_of(layer)), here, nested)


def _entry(
    layer: Mapping[str, Any],
    names: tuple[str, ...],
    place: tuple[str, ...],
    nested: bool,
) -> Iterator[Entry]:
    if parts := directions(layer):
        merge = layer["config"].get("merge_mode", "concat")
        yield Entry(names, place, parts, merge, nested)
    elif kind(layer) == "TimeDistributed":
        inner = layer["config"]["layer"]
        names = (*names, name_of(inner))
        yield from _entry(inner, names, (*place, "layer"), nested)
    elif sublayers(layer) is not None:
        yield from _within(layer, names, place, True)
    elif found := like(layer):
        reason = f"{kind(found)} (in {'/'.join(names)})"
        yield Entry(names, place, [], reason=reason)


def name_of(layer: Mapping[str, Any]) -> str:
    """The name of a layer."""
    config = layer["config"]
    return str(config["name"] if "name" in config else layer["name"])


def like(tree: Any) -> Mapping[str, Any] | None:
    """What has the options of an LSTM, somewhere in a configuration."""
    if isinstance(tree, list):
        return next((found for part in tree if (found := like(part))), None)
    if not isinstance(tree, Mapping):
        return None
    config = tree.get("config")
    if isinstance(config, Mapping) and "class_name" in tree:
        own = "unit_forget_bias" in config or kind(tree) in (*DIRECT, "LSTMCell")
        if own and not OTHERS.fullmatch(kind(tree)):
            return tree
    return next((found for part in tree.values() if (found := like(part))), None)


def snake_case(name: str) -> str:
    """The name of a class as Keras 3 calls its groups.

    Example:
        >>> snake_case("TimeDistributed"), snake_case("LSTM"), snake_case("CuDNNLSTM")
        ('time_distributed', 'lstm', 'cu_dnnlstm')
    """
    name = re.sub(r"\W", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def chain(model: Mapping[str, Any]) -> list[str] | None:
    """The names of the LSTMs from the lowest on; None if the model is no plain stack.

    It is one if each reads the whole sequence of the one below, and nothing is between.
    """
    layers = {name_of(layer): layer for layer in sublayers(model) or ()}
    lstms = [name for name, layer in layers.items() if directions(layer)]
    ordered = list(layers)
    reads = {
        name: _inbound(layer["inbound_nodes"])
        if "inbound_nodes" in layer
        else set(ordered[k - 1 : k] if k else [])
        for k, (name, layer) in enumerate(layers.items())
    }
    above: dict[str | None, str] = {}
    for name in lstms:
        below = _below(layers, reads, name)
        if below in above or below is NOT_PLAIN:
            return None
        above[below] = name
    order: list[str] = []
    at = above.get(None)
    while at is not None:
        order.append(at)
        at = above.get(at)
    gives = all(_gives_sequence(layers[name]) for name in order[:-1])
    return order if len(order) == len(lstms) and gives else None


NOT_PLAIN = ""  # no layer has it for a name


def _below(layers: Any, reads: dict[str, set[str]], name: str) -> str | None:
    """The LSTM that feeds a layer, through nothing that computes; None if none does."""
    at = name
    while True:
        sources = reads[at] & set(layers)
        if not sources:
            return None
        if len(sources) > 1:
            return NOT_PLAIN
        (at,) = sources
        if directions(layers[at]):
            return at
        if kind(layers[at]) not in PASSED_OVER:
            return NOT_PLAIN if _feeds(layers, reads, at) else None


def _feeds(layers: Any, reads: dict[str, set[str]], name: str) -> bool:
    """Whether an LSTM, or a model that may hold one, stands before a layer."""
    waiting, seen = [name], set()
    while waiting:
        at = waiting.pop()
        if at in layers and at not in seen:
            seen.add(at)
            inner = sublayers(layers[at]) is not None
            if directions(layers[at]) or inner or like(layers[at]):
                return True
            waiting += reads[at]
    return False


def _inbound(tree: Any) -> set[str]:
    """The layers that a layer's calls read, as Keras 2 and 3 write them."""
    match tree:
        case [str() as name, int(), int(), *_]:
            return {name}
        case list():
            return set().union(*map(_inbound, tree))
        case Mapping():
            return set().union(*map(_inbound, tree.values()))
    return set()


def _gives_sequence(layer: Mapping[str, Any]) -> bool:
    config = layer["config"]
    inner = config["layer"]["config"] if kind(layer) == "Bidirectional" else config
    return bool(inner.get("return_sequences"))
