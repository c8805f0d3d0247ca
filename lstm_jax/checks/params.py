# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Checks of parameters and of states that mirror them."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._dtypes import result_dtype
from lstm_jax._params import Bidirectional, Params, Residual, Reverse, Stack
from lstm_jax._state import state_types
from lstm_jax.cells.base import Cell
from lstm_jax.checks.cell import check_cell
from lstm_jax.checks.messages import (
    Layout,
    check_floating,
    kind_of,
)

MERGES = ("concat", "sum", "mul", "ave")


def check_network(
    call: str,
    params: Any,
    features: Any,
    source: str = "x",
    path: str = "params",
    causal: bool = False,
) -> Any:
    """Checks a structure against the width of its input; the width of its output."""
    match params:
        case Cell():
            inputs, width = check_cell(call, params, path)
            if features is not None and inputs != features:
                raise ValueError(
                    f"{call}: {path} must have an input size of {features} (the width "
                    f"of {source}); got {inputs}."
                )
            return width
        case Stack(layers):
            if not isinstance(layers, tuple | list) or not layers:
                raise ValueError(
                    f"{call}: {path}.layers must be a tuple of one layer or more; got "
                    f"{layers!r}."
                )
            for k, layer in enumerate(layers):
                own = f"{path}.layers[{k}]"
                features = check_network(call, layer, features, source, own, causal)
                source = f"the output of {own}"
            return features
        case Residual(inner):
            own = f"{path}.inner"
            width = check_network(call, inner, features, source, own, causal)
            if features is not None and width != features:
                raise ValueError(
                    f"{call}: {path} adds its input of width {features} ({source}) to "
                    f"its output, which must have that width; got {width}."
                )
            return width
        case Reverse() | Bidirectional() if causal:
            raise NotImplementedError(
                f"{call}: {path} is {kind_of(params)}, which needs the whole sequence; "
                "a step goes forward only. Use lstm_jax.apply."
            )
        case Reverse(inner):
            return check_network(call, inner, features, source, f"{path}.inner")
        case Bidirectional(forward, backward, merge):
            if merge not in MERGES:
                raise ValueError(
                    f"{call}: {path}.merge must be one of {', '.join(MERGES)}; got "
                    f"{merge!r}."
                )
            one = check_network(call, forward, features, source, f"{path}.forward")
            two = check_network(call, backward, features, source, f"{path}.backward")
            if merge == "concat":
                return one + two
            if one != two:
                raise ValueError(
                    f"{call}: {path}.merge={merge!r} needs two outputs of one width; "
                    f"got {one} and {two}."
                )
            return one
    raise TypeError(
        f"{call}: {path} must be LSTMParams or another Cell, Stack, Bidirectional, "
        f"Reverse or Residual; got {kind_of(params)}."
    )


def _first(params: Any) -> tuple[Any, str]:
    """The layer that reads the input first, or what stands in its place."""
    path, node = "params", params
    while True:
        match node:
            case Stack(layers) if isinstance(layers, tuple | list) and layers:
                path, node = f"{path}.layers[0]", layers[0]
            case Bidirectional():
                path, node = f"{path}.forward", node.forward
            case Reverse(inner) | Residual(inner):
                path, node = f"{path}.inner", inner
            case _:
                return node, path


def check_params(call: str, params: Any, causal: bool = False) -> tuple[Any, str]:
    """Checks params by themselves; their input size and the layer it is found in."""
    first, path = _first(params)
    size = None
    if isinstance(first, Cell):
        size, _ = check_cell(call, first, path)
    check_network(call, params, size, f"the input of {path}", causal=causal)
    return size, path


def check_input(
    call: str, params: Any, x: Any, axes: str, causal: bool = False
) -> None:
    """Checks params, and x against their input size; x has the axes named."""
    size, path = check_params(call, params, causal)
    fix = " One-hot or embed integer tokens first."
    check_floating(call, "x", x, fix if hasattr(x, "dtype") else "")
    least = axes.count(",")
    if len(x.shape) < least or x.shape[-1] != size:
        raise ValueError(
            f"{call}: x must have shape {axes} with I={size} (the input size of "
            f"{path}); got {tuple(x.shape)}."
        )


def _fits(shape: tuple[Any, ...], batch: tuple[Any, ...], own: tuple[Any, ...]) -> bool:
    """Whether a leaf of this shape is (*B, *own) or broadcasts to it over *B."""
    axes = len(shape) - len(own)
    if not 0 <= axes <= len(batch) or shape[axes:] != own:
        return False
    against = batch[len(batch) - axes :]
    return all(
        (isinstance(a, int) and a == 1) or a == b
        for a, b in zip(shape[:axes], against, strict=True)
    )


def check_state(
    call: str, name: str, params: Params, value: Any, layout: Layout
) -> None:
    """Checks that a state mirrors params and broadcasts over the batch."""
    match params:
        case Reverse(inner) | Residual(inner):
            check_state(call, name, inner, value, layout)
        case Bidirectional(forward, backward):
            _members(call, name, value, 2, "(forward, backward) of Bidirectional")
            for k, part in enumerate((forward, backward)):
                check_state(call, f"{name}[{k}]", part, value[k], layout)
        case Stack(layers):
            kind = f"the {len(layers)} states of Stack"
            _members(call, name, value, len(layers), kind)
            for k, part in enumerate(layers):
                check_state(call, f"{name}[{k}]", part, value[k], layout)
        case Cell():
            _cell_state(call, name, params, value, layout)


def _members(call: str, name: str, value: Any, count: int, kind: str) -> None:
    if isinstance(value, tuple | list) and len(value) == count:
        return
    got = kind_of(value)
    if isinstance(value, tuple | list):
        got = f"{got} of {len(value)}"
    raise ValueError(
        f"{call}: {name} must be a tuple or list, {kind}; got {got}. "
        "lstm_jax.zero_state(params, batch_shape) makes one."
    )


def _cell_state(call: str, name: str, cell: Cell, value: Any, layout: Layout) -> None:
    like = state_types(cell, (), result_dtype(cell))
    flat = isinstance(like, tuple) and all(hasattr(a, "shape") for a in like)
    if flat:
        fields = getattr(type(like), "_fields", range(len(like)))
        kind = f"({', '.join(map(str, fields))}) of {kind_of(cell)}"
        _members(call, name, value, len(like), kind)
        parts = list(value)
    elif hasattr(like, "shape"):
        parts = [value]
    else:
        parts = jax.tree.leaves(value)
        if jax.tree.structure(value) != jax.tree.structure(like):  # type: ignore[operator]
            raise ValueError(
                f"{call}: {name} must have the structure {jax.tree.structure(like)}, "
                f"of {kind_of(cell)}; got {jax.tree.structure(value)}. "
                "lstm_jax.zero_state(params, batch_shape) makes one."
            )
    named = jax.tree_util.tree_leaves_with_path(like)
    for (path, own), part in zip(named, parts, strict=True):
        leaf = f"{name}{jax.tree_util.keystr(path)}"
        if jnp.issubdtype(own.dtype, jnp.floating):
            check_floating(call, leaf, part)
        elif getattr(part, "dtype", None) != own.dtype:
            got = getattr(part, "dtype", kind_of(part))
            raise TypeError(f"{call}: {leaf} must have dtype {own.dtype}; got {got}.")
        shape = tuple(part.shape)
        if not _fits(shape, layout.batch, own.shape):
            turned = layout.swapped is not None and _fits(
                shape, layout.swapped, own.shape
            )
            raise ValueError(
                f"{call}: {leaf} must have shape {(*layout.batch, *own.shape)}, or "
                f"broadcast to it over the batch axes (from x and params); got {shape}."
                + (layout.hint if turned else "")
            )
