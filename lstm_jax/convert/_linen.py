# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Flax linen: LSTMCell and OptimizedLSTMCell, RNN, Bidirectional and Sequential."""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import flax.core
import flax.traverse_util

from lstm_jax._activation_functions import explicit
from lstm_jax._params import Bidirectional, Params, Reverse, Stack, each_layer
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert._arrays import finished, on_device, on_host
from lstm_jax.convert._flax import split, split_kernels, structure, two_activations
from lstm_jax.convert._systems import FEATURES, raise_reasons, refuse, used

NAMES = {gate: f"i{gate}" for gate in "ifgo"}
OTHERS = {
    frozenset("ir iz in hr hz hn".split()): "GRUCell",
    frozenset("if in hf hn".split()): "MGUCell",
    frozenset("i h".split()): "SimpleCell",
    frozenset("ih hh".split()): "ConvLSTMCell",
}


def from_linen(params: Any, module: Any = None) -> Params:
    """Reads the parameters of a Flax linen LSTM.

    Both cells store the same names. Beware that Flax carries `(c, h)`, and
    `lstm_jax.apply` takes and gives `(h, c)`. An RNN with reverse=True and without
    keep_order gives its outputs in the order of processing; a `Reverse` gives them in
    the original order. dtype, time_major, return_carry and unroll are no matter of the
    weights.

    Args:
        params: the "params" collection, or the variables with it, of an RNN, a
            Bidirectional, a Sequential of them, or a cell. Of a larger model, the
            sub-tree: where an RNN is made in a compact method, its cell's own
            ("OptimizedLSTMCell_0"), and for a Bidirectional made there a dictionary
            of `forward_rnn` and `backward_rnn` with the cells' trees.
        module: the module, where it has other gate_fn, activation_fn, merge_fn or
            reverse than Flax' defaults, which weights do not say.

    Returns:
        `LSTMParams` for a cell or an RNN, `Reverse` for an RNN with reverse=True,
        `Bidirectional`, or a `Stack` for Sequential. In the dtype of the weights.

    Raises:
        ValueError: names or shapes are not of an LSTM.
        TypeError: something is no mapping; a dtype is not floating, or JAX would
            round it.
        NotImplementedError: another cell, or functions that this library does not
            have; all reasons at once.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp, lstm_jax
        >>> x = jnp.ones((2, 7, 3), "float32")
        >>> rnn = nn.RNN(nn.OptimizedLSTMCell(5))
        >>> variables = rnn.init(jax.random.key(0), x)
        >>> y, state = lstm_jax.apply(from_linen(variables), x)
        >>> bool(jnp.allclose(y, rnn.apply(variables, x), atol=1e-6))
        True

    References:
        Flax, `flax.linen.RNN` and the cells: names and layout of the weights.
    """
    call = "from_linen"
    tree = _tree(call, params)
    skeleton = _guess(call, tree) if module is None else _of_module(call, module)
    return finished(call, _filled(call, skeleton, tree, "params"))


def to_linen(params: Params, module: Any = None) -> dict[str, Any]:
    """The "params" collection for an RNN of a Flax linen LSTM cell, or several.

    Flax' cells always have a bias: None becomes zeros. Beware that Flax carries
    `(c, h)`.

    Args:
        params: `LSTMParams`, `Reverse`, `Bidirectional`, or a `Stack` of them.
        module: what the parameters are for. It is needed where they have activations,
            a merge or a direction other than Flax' defaults, which weights do not
            say, and is checked to have the same.

    Returns:
        Nested names to arrays: {"cell": …} for an RNN, whose value is for a cell
        alone; {"forward_rnn": …, "backward_rnn": …} for a Bidirectional;
        {"layers_0": …, …} for a Sequential. If the module is a cell, its own tree.

    Raises:
        ValueError: the module is of another architecture.
        NotImplementedError: Flax, or Flax without the module, cannot express the
            network; all reasons at once.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5, dtype="float32")
        >>> rnn, x = nn.RNN(nn.OptimizedLSTMCell(5)), jnp.ones((2, 7, 3), "float32")
        >>> rnn.apply({"params": to_linen(params)}, x).shape
        (2, 7, 5)
    """
    import flax.linen as nn

    call = "to_linen"
    unsaid = _unsaid(params) if module is None else ()
    refuse(call, "linen", params, itertools.chain(unsaid, two_activations(params)))
    if module is not None:
        _same(call, _of_module(call, module), params)
    tree = _written(call, on_host(call, params))
    bare = type(module) in (nn.LSTMCell, nn.OptimizedLSTMCell)
    return tree["cell"] if bare else tree


def _tree(call: str, params: Any) -> dict[str, Any]:
    """The collection as a dictionary, without the boxes of partitioned weights."""
    if not isinstance(params, Mapping):
        raise TypeError(
            f"{call}: params must be a mapping of names; got {type(params).__name__}."
        )
    tree = _plain(flax.core.meta.unbox(params))
    return tree.get("params", tree)


def _plain(tree: Any) -> Any:
    if not isinstance(tree, Mapping):
        return tree
    return {str(name): _plain(inner) for name, inner in tree.items()}


def _of_module(call: str, module: Any) -> Any:
    import flax.linen as nn

    skeleton, reasons = structure(nn, module)
    raise_reasons(call, "this library cannot express", reasons)
    return skeleton


def _guess(call: str, tree: Any) -> Any:
    """The network that names speak of; what they do not is Flax' default."""
    tree = _unwrapped(tree)
    if not isinstance(tree, Mapping):
        return LSTMParams(None, None)
    if "forward_rnn" in tree or "backward_rnn" in tree:
        return Bidirectional(LSTMParams(None, None), LSTMParams(None, None))
    if not tree or not all(_layer(name) for name in tree):
        return LSTMParams(None, None)
    numbers = sorted(int(name.removeprefix("layers_")) for name in tree)
    if numbers != list(range(len(numbers))):
        raise_reasons(
            call,
            "this library cannot express",
            [
                "what stands without weights between the layers "
                f"{', '.join(f'layers_{k}' for k in numbers)}"
            ],
        )
    return Stack(tuple(_guess(call, tree[f"layers_{k}"]) for k in numbers))


def _layer(name: str) -> bool:
    return re.fullmatch(r"layers_\d+", name) is not None


def _unwrapped(tree: Any) -> Any:
    """What stands under a name alone, as "cell", "RNN_0", "OptimizedLSTMCell_0"."""
    while isinstance(tree, Mapping) and len(tree) == 1:
        ((name, inner),) = tree.items()
        if _layer(name) or not isinstance(inner, Mapping):
            break
        tree = inner
    return tree


def _filled(call: str, skeleton: Any, tree: Any, where: str) -> Any:
    """The skeleton with the arrays of a tree."""
    tree = _unwrapped(tree)

    def part(inner: Any, name: str) -> Any:
        return _filled(call, inner, tree[name], f"{where}.{name}")

    match skeleton:
        case Reverse(inner):
            return Reverse(_filled(call, inner, tree, where))
        case Bidirectional(forward, backward, merge):
            _names(call, tree, ["forward_rnn", "backward_rnn"], where)
            both = part(forward, "forward_rnn"), part(backward, "backward_rnn")
            return Bidirectional(*both, merge=merge)
        case Stack(members):
            names = [f"layers_{k}" for k in range(len(members))]
            _names(call, tree, names, where)
            return Stack(tuple(map(part, members, names)))
    _is_lstm(call, tree, where)
    arrays = split_kernels(call, where, tree, NAMES)
    return LSTMParams(**arrays, options=skeleton.options)


def _names(call: str, tree: Any, expected: list[str], where: str) -> None:
    got = sorted(tree) if isinstance(tree, Mapping) else type(tree).__name__
    if got != sorted(expected):
        raise ValueError(
            f"{call}: {where} must have the names {', '.join(expected)}; got "
            f"{', '.join(got) if isinstance(got, list) else got}."
        )


def _is_lstm(call: str, tree: Any, where: str) -> None:
    """Says what stands there where no cell does."""
    if not isinstance(tree, Mapping):
        raise TypeError(
            f"{call}: {where} must be a mapping of names; got {type(tree).__name__}."
        )
    if other := OTHERS.get(frozenset(tree)):
        raise_reasons(call, "this library cannot express", [f"{other} (in {where})"])
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    mark = f"/{NAMES['g']}/kernel"
    cells = [name.removesuffix(mark) for name in flat if name.endswith(mark)]
    if cells:
        raise ValueError(
            f"{call}: {where} must be of one LSTM; its cells stand at "
            f"{', '.join(cells)}. Pass one of these sub-trees."
        )


def _unsaid(params: Params) -> Iterator[str]:
    """What weights do not say, and Flax' defaults are not."""
    for feature, path in used(params):
        if feature in ("activations", "merge", "reverse"):
            yield f"{FEATURES[feature]} without its module (in {path}; pass it)"


def _same(call: str, skeleton: Any, params: Params) -> None:
    """Raises where a module is not what the parameters are of."""
    got, expected = (each_layer(_functions, tree) for tree in (skeleton, params))
    if got != expected:
        raise ValueError(
            f"{call}: module must have the structure and activations of params, "
            f"{expected}; got {got}."
        )


def _functions(cell: LSTMParams) -> str:
    """The activations of a layer, where a default is one however it is said."""
    options = cell.options
    both = options.gate_activation, options.output_activation
    return " and ".join(f"{a.name}({a.alpha}, {a.beta})" for a in map(explicit, both))


def _written(call: str, params: Any) -> dict[str, Any]:
    match params:
        case Reverse(inner):
            return _written(call, inner)
        case Bidirectional(forward, backward):
            return {
                "forward_rnn": _written(call, forward),
                "backward_rnn": _written(call, backward),
            }
        case Stack(members):
            return {f"layers_{k}": _written(call, m) for k, m in enumerate(members)}
    return {"cell": on_device(call, split(params, NAMES))}
