# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Scan: `jax.lax.scan`, with the differentiable recurrence where a cell has it."""

import dataclasses
import math
from functools import partial
from typing import Any, Literal

import jax
from jax import lax

from lstm_jax._chunks import chunked, divisor, sequence_length
from lstm_jax._forward import StaticArgs
from lstm_jax._inputs import LayerInputs, Request
from lstm_jax._masks import Body, masked_step
from lstm_jax._platforms import step_major
from lstm_jax._recurrence import recurrence
from lstm_jax.cells.lstm import GatherOutput, identity
from lstm_jax.checks.messages import steps_problem
from lstm_jax.implementations.base import Implementation

SYMBOLIC_SEGMENT = 128  # steps in a segment where T has no number to take a root of


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Scan(Implementation):
    """`jax.lax.scan`: one program whatever the length; keeps the whole contract.

    Attributes:
        unroll: steps in one iteration of the compiled loop. More compile time; of use
            only for very small steps. Cannot run a symbolic T.
        window: steps whose input product x·W_x is taken together, inside an outer scan
            over windows; None takes it for all steps at once, which needs (T, B, 4H).
            Only for cells: a bare step function has no such product. A gradient keeps
            (T, B, 4H) anyway, and takes it for all steps.
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
        steps = self.segment(sequence_length(xs))
        again = jax.checkpoint(run, prevent_cse=False)
        return chunked(run, carry, xs, steps, reverse, inner=again)

    def iterate(self, body: Body, carry: Any, xs: Any, reverse: bool) -> Any:
        """Runs any body of `lax.scan`."""
        run = partial(lax.scan, body, reverse=reverse, unroll=self.unroll)
        return self._segments(run, carry, xs, reverse)

    def layer(
        self, inputs: LayerInputs, reverse: bool, gather: GatherOutput = identity
    ) -> tuple[Any, jax.Array]:
        """Runs one layer; with `gather` a part of one's units."""
        static = self.static_args(reverse, gather)

        def run(state: Any, xs: Any) -> tuple[Any, jax.Array]:
            (x, stepped), masks = xs
            own = inputs._replace(x=x, stepped=stepped, state=state, step_masks=masks)
            if not own.cell.deferred_product:
                return _scan_cell(static, own)
            # Cast inside: the sum of the segments' gradients is a wide one.
            return recurrence(static, own._replace(cell=own.cell.cast(x.dtype)))

        xs = (inputs.x, inputs.stepped), inputs.step_masks
        return self._segments(run, inputs.state, xs, reverse)

    def static_args(self, reverse: bool, gather: GatherOutput) -> StaticArgs:
        """How the differentiable recurrence runs.

        A way of running with a loop of its own derives from this class and gives its
        `primal` and `with_residuals` here: the derivative rule stays.
        """
        return StaticArgs(
            reverse, window=self.window, unroll=self.unroll, gather=gather
        )

    def unsupported(self, request: Request) -> list[str]:
        """Unrolling needs a number of steps, and a window an input product."""
        reasons = []
        if self.unroll > 1 and not isinstance(request.steps, int):
            reasons.append("unroll > 1 needs a number of steps, and T is symbolic")
        if self.window is not None and request.params is None:
            reasons.append("window hoists x·W_x, which a bare step does not have")
        return reasons

    def check(self) -> list[str | Exception]:
        """Numbers of steps."""
        unroll = self.unroll
        if isinstance(unroll, bool) or not isinstance(unroll, int) or unroll < 1:
            return [f"unroll must be a positive number of steps; got {unroll!r}."]
        problems = [steps_problem("window", self.window)]
        if self.checkpoint != "sqrt":
            problems.append(steps_problem("checkpoint", self.checkpoint, ', or "sqrt"'))
        return [problem for problem in problems if problem]


def _scan_cell(static: StaticArgs, inputs: LayerInputs) -> tuple[Any, jax.Array]:
    """Runs a cell that JAX differentiates step by step; projects its input first."""
    dtype = inputs.x.dtype

    def step(state: Any, xs: Any) -> tuple[Any, jax.Array]:
        zx, stepped = xs
        # Cast inside the loop: gradients are summed over its steps in the wider dtype.
        return inputs.cell.cast(dtype).advance(state, zx, inputs.drop_masks(stepped))

    body = masked_step(step, inputs.reset_state)

    def window(state: Any, xs: Any) -> tuple[Any, jax.Array]:
        (x, stepped), masks = xs
        zx = step_major(inputs.cell.cast(dtype).project(x))
        return static.scan(body, state, ((zx, stepped), masks))

    xs = (inputs.x, inputs.stepped), inputs.step_masks
    return chunked(window, inputs.state, xs, static.window, static.reverse)
