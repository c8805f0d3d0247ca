# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Checks of cells: that a class defines what it must, and keeps what it promises."""

from typing import Any

import jax

from lstm_jax.cells.base import Cell
from lstm_jax.checks.messages import raise_first

_REQUIRED = ("input_size", "output_size")


def check_cell(call: str, cell: Cell, path: str = "params") -> tuple[int, int]:
    """Checks one layer against itself; its input size and its output size."""
    kind = type(cell)
    raise_first(call, f"{path}.", cell.check())
    missing = [name for name in _REQUIRED if not hasattr(cell, name)]
    if kind.zero_state is Cell.zero_state:
        missing.append("zero_state")
    if kind.step is Cell.step and kind.advance is Cell.advance:
        missing.append("step")
    elif kind.project is not Cell.project and kind.advance is Cell.advance:
        missing.append("advance, since it defines project")
    if "weight_drop" in cell.regularizers and not hasattr(cell, "w_h"):
        missing.append("w_h, since it names weight_drop")
    if missing:
        raise TypeError(
            f"{call}: {path} is a Cell, and {kind.__name__} must define "
            f"{', '.join(missing)}."
        )
    return cell.input_size, cell.output_size


def check_kept_types(cell: Cell, before: Any, after: Any, y: Any, dtype: Any) -> None:
    """Checks that a step gives its state back with the types that it had, and y."""
    call = f"{type(cell).__name__}.step"
    one, two = jax.tree.structure(before), jax.tree.structure(after)
    if one != two:  # type: ignore[operator]
        raise TypeError(
            f"{call}: the state must have the structure of zero_state, {one}; got "
            f"{two}."
        )
    named = jax.tree_util.tree_leaves_with_path(before)
    for (path, a), b in zip(named, jax.tree.leaves(after), strict=True):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            raise TypeError(
                f"{call}: the state must keep its shapes and dtypes; "
                f"state{jax.tree_util.keystr(path)} is {a.dtype}{list(a.shape)} and "
                f"becomes {b.dtype}{list(b.shape)}."
            )
    if y.shape[-1:] != (cell.output_size,) or y.dtype != dtype:
        raise TypeError(
            f"{call}: y must be {dtype}[*B, {cell.output_size}] (from x and "
            f"output_size); got {y.dtype}{list(y.shape)}."
        )
