# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Flax's metadata of parameters, such as logical axes, from the initialisers it is in.

Flax's `with_partitioning` and its like make an initialiser give a box: an array with
metadata. The blocks of the gates are joined along their last axis, so that metadata of
a block are metadata of the parameter.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.core
import jax

from lstm_jax._params import Params, each_layer

# The parameters that each initialiser draws.
DRAWN = {
    "kernel_init": ("w_x", "projection"),
    "recurrent_init": ("w_h",),
    "bias_init": ("b",),
}


def is_box(value: Any) -> bool:
    """Whether an array carries metadata of linen's, or of nnx's."""
    linen = isinstance(value, flax.core.meta.AxisMetadata)
    return linen or type(value).__name__ == "VariableMetadata"


def unboxed(tree: Any) -> Any:
    """A tree of arrays without their boxes."""

    def array(a: Any) -> Any:
        if not is_box(a):
            return a
        return a.raw_value if hasattr(a, "raw_value") else jax.tree.leaves(a)[0]

    return jax.tree.map(array, tree, is_leaf=is_box)


def boxed(box: Any, array: Any) -> Any:
    """An array in a box like another."""
    if hasattr(box, "raw_value"):
        return type(box)(
            array, **{n: v for n, v in vars(box).items() if n != "raw_value"}
        )
    return box.replace_boxed(array)


def drawn(init: Callable[..., Params], fields: dict[str, Any], *given: Any) -> Params:
    """What `init` draws, each parameter in the box that its initialiser gave."""
    boxes: dict[str, Any] = {}

    def opening(name: str, function: Any) -> Any:
        if not callable(function):
            return function

        @functools.wraps(function)
        def draw(*args: Any) -> Any:
            value = function(*args)
            if is_box(value):
                boxes.update(dict.fromkeys(DRAWN[name], value))
            return unboxed(value) if is_box(value) else value

        return draw

    own = {name: opening(name, fields[name]) for name in DRAWN if name in fields}
    params = init(*given, **{**fields, **own})

    def layer(cell: Any) -> Any:
        found = {n: (box, getattr(cell, n, None)) for n, box in boxes.items()}
        return cell.replace(
            **{n: boxed(box, a) for n, (box, a) in found.items() if a is not None}
        )

    return each_layer(layer, params)
