# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Ways of running a recurrence, each a frozen dataclass that owns its knobs."""

import dataclasses
import math
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._cell import Join, advance, cast, project, same
from lstm_jax._cudnn import Cudnn
from lstm_jax._params import LSTMState
from lstm_jax._recurrence import Course, Driven, joined, recurrence
from lstm_jax._scan import Body, chunked, divisor, guarded, length

CACHED = 2**24  # bytes of x·W_x beyond which it should not be made for all steps
SYMBOLIC_SEGMENT = 128  # steps in a segment where T has no number to take a root of


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Scan:
    """`jax.lax.scan`: one program whatever the length; keeps the whole contract.

    Attributes:
        unroll: steps in one iteration of the compiled loop. More compile time; of use
            only for very small steps. Cannot run a symbolic T.
        window: steps whose input product x·W_x is taken together, inside an outer scan
            over windows; None takes it for all steps at once, which needs (T, B, 4H).
            Only for this library's cells: a foreign step has no such product. A
            gradient keeps (T, B, 4H) anyway, and takes it for all steps.
        checkpoint: steps in a segment of which only the entering state is kept for the
            gradient, the rest being computed again; "sqrt" chooses about a third of the
            square root of T, so that memory grows with the square root; None keeps
            everything.

    Example:
        >>> Scan(checkpoint="sqrt")
        Scan(unroll=1, window=None, checkpoint='sqrt')

    References:
        Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost (checkpoint).
    """

    unroll: int = 1
    window: int | None = None
    checkpoint: int | Literal["sqrt"] | None = None

    def segment(self, steps: Any) -> Any:
        """The number of steps in a checkpointed segment of a sequence; None for all.

        A segment costs about nine times the memory that its entering state does, which
        puts the best length at a third of the root. One that divides T is preferred:
        it needs no second program for what is left over.
        """
        if self.checkpoint != "sqrt":
            return self.checkpoint
        if not isinstance(steps, int):
            return SYMBOLIC_SEGMENT
        aim = max(1, math.isqrt(steps) // 3)
        return divisor(steps, aim) or aim

    def _segments(self, run: Body, carry: Any, xs: Any, reverse: bool) -> Any:
        steps = self.segment(length(xs))
        again = jax.checkpoint(run, prevent_cse=False)
        return chunked(run, carry, xs, steps, reverse, inner=again)

    def iterate(self, body: Body, carry: Any, xs: Any, reverse: bool) -> Any:
        """Runs any body of `lax.scan`."""
        run = partial(lax.scan, body, reverse=reverse, unroll=self.unroll)
        return self._segments(run, carry, xs, reverse)

    def layer(
        self, driven: Driven, reverse: bool, join: Join = same
    ) -> tuple[LSTMState, jax.Array]:
        """Runs one layer of this library; or with `join` a part of one's units."""
        course = Course(reverse, self.window, self.unroll, join)

        def run(state: LSTMState, xs: Any) -> tuple[LSTMState, jax.Array]:
            (x, stepped), controls = xs
            # Cast inside: the sum of the segments' gradients is a wide one.
            cell = cast(driven.cell, x.dtype)
            return recurrence(
                course,
                Driven(
                    cell, x, driven.fixed, stepped, state, driven.reset_state, controls
                ),
            )

        xs = (driven.x, driven.stepped), driven.controls
        return self._segments(run, driven.state, xs, reverse)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Loop:
    """A Python loop: the thing that a scan is compared with.

    The program grows with T, and JAX differentiates it without any rule of this
    library: it serves as a second opinion. Cannot run a symbolic T.

    Example:
        >>> Loop()
        Loop()
    """

    def iterate(self, body: Body, carry: Any, xs: Any, reverse: bool) -> Any:
        """Runs any body of `lax.scan`."""
        steps = range(length(xs))
        if not steps:  # nothing to stack, but outputs still have shapes
            return lax.scan(body, carry, xs)
        ys = []
        for t in reversed(steps) if reverse else steps:
            carry, y = body(carry, jax.tree.map(lambda a: a[t], xs))  # noqa: B023
            ys.append(y)
        if reverse:
            ys.reverse()
        return carry, jax.tree.map(lambda *parts: jnp.stack(parts), *ys)

    def layer(self, driven: Driven, reverse: bool) -> tuple[LSTMState, jax.Array]:
        """Runs one layer of this library."""

        def step(state: LSTMState, inputs: Any) -> tuple[LSTMState, jax.Array]:
            x, stepped = inputs
            noise = joined(driven.fixed, stepped)
            cell = cast(driven.cell, x.dtype)  # here, so that gradients add up wide
            state, _, _ = advance(cell, project(cell, x), state, noise)
            return state, state.h

        body = guarded(step, driven.reset_state)
        xs = (driven.x, driven.stepped), driven.controls
        return self.iterate(body, driven.state, xs, reverse)


Stepwise = Scan | Loop  # those that run steps one after another, of any kind
Implementation = Stepwise | Cudnn


def default(
    steps: Any, rows: Any, columns: int, itemsize: int, platform: str
) -> tuple[Scan, str]:
    """What runs where nothing is asked for, and why.

    On a CPU, x·W_x for all steps is slower to write and read again than a product a
    window once it leaves the cache: windows of 8 steps, or of up to 16 if that divides
    T. Elsewhere, for sizes without a number, and for what fits, `Scan()`.

    Args:
        steps: T; an int, or symbolic.
        rows: the product of *B; likewise.
        columns: 4 H of the widest layer.
        itemsize: bytes of an entry.
        platform: "cpu", "gpu" or "tpu".
    """
    known = isinstance(steps, int) and isinstance(rows, int)
    if known and platform == "cpu" and steps * rows * columns * itemsize >= CACHED:
        return Scan(window=divisor(steps, 8) or 8), "x·W_x of all steps fits no cache"
    return Scan(), "default"
