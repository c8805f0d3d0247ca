# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Packed: steps of rows that have ended are left out, by shapes that are fixed."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._chunks import chunked, divisor
from lstm_jax._forward import StaticArgs, scan_primal
from lstm_jax._inputs import LayerInputs, Request
from lstm_jax._masks import StepMasks, select
from lstm_jax._params import layers
from lstm_jax._types import typed_eval_shape, zeros
from lstm_jax.cells.lstm import GatherOutput
from lstm_jax.cells.lstm_params import LSTMState
from lstm_jax.implementations.scan import Scan

STEPS = 8  # in a window, or up to twice as many where that divides T


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Packed(Scan):
    """`Scan`, which computes a ragged batch's valid steps and few others.

    Time is cut into windows. In each of them the rows with a step that counts are put
    together, and the window runs on the smallest of some fixed numbers of rows that has
    room for them: B/k, 2B/k, … of B, rounded up, or none. Results are those of `Scan`,
    in the order given. It pays in inference, on a CPU, where the mean length is well
    below T. A gradient runs all steps, as that of `Scan` does; so does a call without
    lengths and mask, with a symbolic B, or with rows that an explicit mesh axis splits.

    Every number of rows is a program of its own, compiled for the windows of each layer
    and direction, and again for a rest of T. Under `vmap` of lengths, mask or resets
    all of them run. Rows that an automatic mesh axis splits are put together across
    devices, unless each device has a call of its own, as in a `shard_map`.

    Attributes:
        unroll: as of `Scan`.
        window: steps in a window, at the end of which rows are chosen anew; None for 8,
            or for up to 16 if that divides T.
        checkpoint: as of `Scan`; it cuts time before windows do.
        classes: k, how many numbers of rows there are beside none.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> x, lengths = jax.numpy.ones((4, 32, 3)), jax.numpy.array([32, 8, 3, 0])
        >>> y, _ = lstm_jax.apply(
        ...     params, x, lengths=lengths, implementation=lstm_jax.Packed())
        >>> y.shape
        (4, 32, 5)

    References:
        `torch.nn.utils.rnn.pack_padded_sequence` has the same aim, with as many numbers
        of rows as the lengths ask for.
    """

    classes: int = 4
    instead: ClassVar[str] = " Scan() can."

    def static_args(self, reverse: bool, gather: GatherOutput) -> StaticArgs:
        """How the differentiable recurrence runs."""
        static = super().static_args(reverse, gather)
        return dataclasses.replace(static, primal=_PackedPrimal(self.classes))

    def unsupported(self, request: Request) -> list[str]:
        """Cells and steps that are not differentiated by this library's own rule."""
        if request.params is None:
            return ["a bare step has no rows that could be told apart"]
        kinds = {
            type(cell).__name__
            for cell in layers(request.params)
            if not cell.deferred_product
        }
        why = "step by step, and would keep what every number of rows needs"
        reasons = [f"JAX differentiates {kind} {why}" for kind in sorted(kinds)]
        return reasons + super().unsupported(request)

    def check(self) -> list[str | Exception]:
        """As of `Scan`, and a number of classes."""
        classes = self.classes
        if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
            return [f"classes must be a positive number; got {classes!r}."]
        return super().check()


@dataclasses.dataclass(frozen=True)
class _PackedPrimal:
    """`primal` of `StaticArgs`.

    Attributes:
        classes: as of `Packed`.
    """

    classes: int

    def __call__(
        self, static: StaticArgs, inputs: LayerInputs
    ) -> tuple[LSTMState, jax.Array]:
        """The last state and y."""
        valid, reset, _ = inputs.step_masks
        steps, *batch, _ = inputs.x.shape
        rows = math.prod(batch)
        if valid is None or valid.ndim != 1 + len(batch) or not isinstance(rows, int):
            return scan_primal(static, inputs)
        rowed = inputs.x, inputs.state, inputs.stepped, inputs.step_masks
        if any(any(jax.typeof(a).sharding.spec) for a in jax.tree.leaves(rowed)):
            return scan_primal(static, inputs)

        def flat(a: jax.Array, k: int) -> jax.Array:
            return a.reshape(*a.shape[:k], rows, *a.shape[k + len(batch) :])

        # What is cut is a gradient, of which there is none here.
        inputs = inputs._replace(step_masks=StepMasks(valid, reset))
        inputs = _each_with_rows(inputs, flat)
        aim = divisor(steps, STEPS) if isinstance(steps, int) else None
        window = static.window or aim or STEPS
        static = dataclasses.replace(static, window=None)  # within a window

        def run(state: LSTMState, xs: Any) -> tuple[LSTMState, jax.Array]:
            (x, stepped), masks = xs
            own = inputs._replace(x=x, stepped=stepped, state=state, step_masks=masks)
            return _on_live_rows(static, own, self.classes)

        xs = (inputs.x, inputs.stepped), inputs.step_masks
        end, y = chunked(run, inputs.state, xs, window, static.reverse)
        end = jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), end)
        return end, y.reshape(steps, *batch, *y.shape[2:])


def _each_with_rows(
    inputs: LayerInputs, f: Callable[[jax.Array, int], jax.Array]
) -> LayerInputs:
    """f(array, its first batch axis) of all arrays that have one."""
    states = inputs.fixed, inputs.state, inputs.reset_state
    # Zoneout has one rate for all rows at evaluation.
    of_state = lambda a: f(a, 0) if a.ndim else a  # noqa: E731
    fixed, state, reset_state = jax.tree.map(of_state, states)
    sequences = inputs.x, inputs.stepped, inputs.step_masks
    x, stepped, masks = jax.tree.map(lambda a: f(a, 1), sequences)
    return LayerInputs(inputs.cell, x, fixed, stepped, state, reset_state, masks)


def _on_live_rows(
    static: StaticArgs, inputs: LayerInputs, classes: int
) -> tuple[LSTMState, jax.Array]:
    """Runs a window on those of the rows (B,) with something to do, and few others."""
    valid, reset, _ = inputs.step_masks
    live = (valid if reset is None else valid | reset).any(0)
    rows = live.shape[0]
    order = jnp.argsort(~live)
    place = jnp.argsort(order)  # of each row, when the live ones are first
    _, y_type = typed_eval_shape(partial(scan_primal, static), inputs)

    def on(count: int) -> Callable[[LayerInputs], tuple[LSTMState, jax.Array]]:
        def some(inputs: LayerInputs) -> tuple[LSTMState, jax.Array]:
            first = order[:count]
            part = _each_with_rows(inputs, lambda a, k: jnp.take(a, first, k))
            end, y = scan_primal(static, part)
            inside, source = place < count, jnp.minimum(place, count - 1)
            end = jax.tree.map(lambda a: jnp.take(a, source, 0), end)
            y = jnp.where(inside[:, None], jnp.take(y, source, 1), 0)
            return select(inside, end, inputs.state), y

        if not count:
            return lambda inputs: (inputs.state, zeros(y_type))
        return some if count < rows else partial(scan_primal, static)

    parts = max(1, min(classes, rows))
    counts = [-(-rows * k // parts) for k in range(parts + 1)]
    number = live.sum()
    which = (number[None] > jnp.asarray(counts[:-1], number.dtype)).sum()
    return lax.switch(which, [on(count) for count in counts], inputs)
