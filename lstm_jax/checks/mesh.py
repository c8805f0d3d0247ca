# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Checks of meshes, and of batches that are split over one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

from lstm_jax.checks.messages import Layout, check_lengths, kind_of, raise_first


def mesh_problems(mesh: Any, axes: Any, automatic: bool = True) -> list[Any]:
    """What is wrong with a mesh; arrays from anywhere may enter automatic axes."""
    names = getattr(mesh, "axis_names", None)
    if names is None:
        kind = kind_of(mesh)
        return [TypeError(f"mesh must be a jax.sharding.Mesh; got {kind}.")]
    found: list[Any] = [
        f"axis must be an axis of the mesh, one of {names}; got {axis!r}."
        for axis in dict.fromkeys(axes)
        if axis not in names
    ]
    if automatic and any(kind != AxisType.Auto for kind in mesh.axis_types):
        found.append(
            f"mesh must have automatic axes; got {mesh.axis_types}. Pass "
            "axis_types=(jax.sharding.AxisType.Auto, ...) to jax.make_mesh."
        )
    return found


def check_mesh(call: str, mesh: Any, axis: Any, automatic: bool = True) -> None:
    """Raises what `mesh_problems` finds."""
    raise_first(call, "", mesh_problems(mesh, (axis,), automatic))


def _named_rows(call: str, tree: Any, axes: Any) -> list[tuple[str, int, Any]]:
    """The path, the number of rows and the shape of every array of a batch."""
    found = []
    named = jax.tree_util.tree_leaves_with_path(tree)
    for (path, a), k in zip(named, jax.tree.leaves(axes), strict=True):
        name, shape = f"batch{jax.tree_util.keystr(path)}", jnp.shape(a)
        if not 0 <= k < len(shape):
            raise ValueError(
                f"{call}: batch_axis must be an axis of {name}, counted from 0; got "
                f"{k} for shape {shape}."
            )
        found.append((name, shape[k], shape))
    return found


def check_rows(
    call: str, tree: Any, axes: Any, axis: str, mesh: Any, local: bool = False
) -> None:
    """Checks that the devices of a mesh, or of this process, divide a batch."""
    check_mesh(call, mesh, axis, automatic=not local)
    number = (mesh.local_mesh if local else mesh).shape[axis]
    for name, size, shape in _named_rows(call, tree, axes):
        if size % number:
            raise ValueError(
                f"{call}: {name} must have a batch that the {number} devices of the "
                f"mesh axis {axis!r} divide; got {size} rows in shape {shape}. "
                "lstm_jax.sharding.pad_batch adds rows of length 0."
            )


def check_same_batch(
    call: str, tree: Any, axes: Any, lengths: Any, number: Any
) -> None:
    """Checks that every array has as many rows as there are lengths."""
    if not isinstance(number, int | np.integer) or number < 1:
        raise ValueError(
            f"{call}: number must be a positive number of devices; got {number!r}."
        )
    layout = tuple(getattr(lengths, "shape", ()))
    if len(layout) != 1:
        raise ValueError(f"{call}: lengths must have shape (B,); got {layout}.")
    check_lengths(call, lengths, Layout(None, layout))
    for name, size, shape in _named_rows(call, tree, axes):
        if size != layout[0]:
            raise ValueError(
                f"{call}: {name} must have {layout[0]} rows (from lengths); got {size} "
                f"in shape {shape}."
            )
