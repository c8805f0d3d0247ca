# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a traced program contains."""

from collections.abc import Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


def equations(jaxpr: Any, loops: int = 0) -> Iterator[tuple[JaxprEqn, int]]:
    """Every equation of a program and of those inside it, with the loops around it."""
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        yield equation, loops
        inside = loops + (equation.primitive.name in ("scan", "while"))
        if equation.primitive.name == "by_platform":
            run = equation.params["forms"].of(jax.default_backend())
            kinds = [var.aval for var in equation.invars]
            yield from equations(jax.make_jaxpr(run)(*kinds), inside)
        for value in jax.tree.leaves(
            list(equation.params.values()),
            is_leaf=lambda v: isinstance(v, ClosedJaxpr | Jaxpr),
        ):
            if isinstance(value, ClosedJaxpr | Jaxpr):
                yield from equations(value, inside)


def size(f: Any, *args: Any) -> int:
    """The number of equations of a function's program."""
    return sum(1 for _ in equations(jax.make_jaxpr(f)(*args)))


def products(f: Any, shape: tuple[int, int], *args: Any) -> list[int]:
    """The loops around each product that gives a matrix of this shape, or turned."""
    shapes = shape, shape[::-1]
    return [
        loops
        for equation, loops in equations(jax.make_jaxpr(f)(*args))
        if equation.primitive.name == "dot_general"
        and getattr(equation.outvars[0].aval, "shape", None) in shapes
    ]
