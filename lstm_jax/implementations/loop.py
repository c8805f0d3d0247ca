# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Loop: a Python loop, the second opinion."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._chunks import sequence_length
from lstm_jax._inputs import Request
from lstm_jax._masks import Body
from lstm_jax.implementations.base import Implementation


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Loop(Implementation):
    """A Python loop: the thing that a scan is compared with.

    The program grows with T, and JAX differentiates it without any rule of this
    library: it serves as a second opinion. Cannot run a symbolic T.

    Example:
        >>> Loop()
        Loop()
    """

    def iterate(self, body: Body, carry: Any, xs: Any, reverse: bool) -> Any:
        """Runs a body of `lax.scan` step by step."""
        steps = range(sequence_length(xs))
        if not steps:  # nothing to stack, but outputs still have shapes
            return lax.scan(body, carry, xs)
        ys = []
        for t in reversed(steps) if reverse else steps:
            carry, y = body(carry, jax.tree.map(lambda a: a[t], xs))  # noqa: B023
            ys.append(y)
        if reverse:
            ys.reverse()
        return carry, jax.tree.map(lambda *parts: jnp.stack(parts), *ys)

    def unsupported(self, request: Request) -> list[str]:
        """A loop needs a number of steps."""
        if isinstance(request.steps, int):
            return []
        return ["a Python loop needs a number of steps, and T is symbolic"]
