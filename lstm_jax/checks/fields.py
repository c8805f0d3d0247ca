# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What can be wrong with a cell whose first field is a matrix w_x (I, columns)."""

from collections.abc import Callable
from typing import Any

from lstm_jax.checks.messages import dtype_problem, kind_of, shape_problem

Shapes = Callable[[int, int], dict[str, tuple[int, ...]]]


def matrix_problems(cell: Any, shapes: Shapes) -> list[str | Exception]:
    """Problems of dtype and shape.

    Args:
        cell: the layer; biases, whose names begin with b, may be None.
        shapes: (rows of w_x, its columns) -> the shape that each field must have.
    """
    shape = getattr(cell.w_x, "shape", None)
    if shape is None or len(shape) != 2:
        got = kind_of(cell.w_x) if shape is None else tuple(shape)
        return [f"w_x must have two axes, (I, …); got {got}."]
    for name, expected in shapes(*shape).items():
        leaf = getattr(cell, name)
        if leaf is None and name.startswith("b"):
            continue
        if problem := dtype_problem(name, leaf):
            return [TypeError(problem)]
        if problem := shape_problem(name, leaf, expected, "from the other fields"):
            return [problem]
    return []
