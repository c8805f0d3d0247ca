# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The differentiable recurrence of one layer.

Its tangent is a linear scan over (dh, dc), driven by dz = dzx + h_{t-1} dW_h with that
product, and the projection's, taken for a window of many steps at once (see
`tangent_window`). Transposed by JAX it becomes a reverse scan that gives dz, and the
program has one matrix product for dW_h.
Because the rule is a `jax.custom_jvp` of plain JAX, forward mode, reverse mode and any
mixture of them work. Only the matrix products are treated specially: JAX differentiates
the elementwise part, so that every cell has the rule; the standard cell brings its
closed form, which is faster.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from lstm_jax._cell import (
    Join,
    Noise,
    advance,
    along_slopes,
    gate_part,
    input_part,
    is_standard,
    matmul,
    matmul_by_columns,
    mix,
    output,
    pointwise,
    project,
    same,
    sequence_matmul,
    slopes,
    zoneout,
)
from lstm_jax._compat import linear
from lstm_jax._params import LSTMParams, LSTMState, SplitNorm
from lstm_jax._scan import Body, Controls, blank, chunked, divisor, guarded, length
from lstm_jax._types import evaluated, typed, zeros


@dataclasses.dataclass(frozen=True)
class Course:
    """How the scan runs: direction, what changes no value, and how outputs are joined.

    All static: `join` compares by value, or the recurrence is traced anew.
    """

    reverse: bool = False
    window: int | None = None
    unroll: int = 1
    join: Join = same


class Saved(NamedTuple):
    """What the tangent needs of every step.

    Attributes:
        pre: the pre-activations, as `squash` gives them.
        h: the output that entered, after resets.
        c: the cell state that entered, after resets.
        m: the output before its projection; None without one.
    """

    pre: tuple[jax.Array, ...]
    h: jax.Array
    c: jax.Array
    m: jax.Array | None


class Driven(NamedTuple):
    """All that enters the recurrence.

    Attributes:
        cell: the layer; what runs the recurrence has `cast` it to the dtype of x.
        x: (T, *B, I).
        fixed: masks that are the same at all steps.
        stepped: masks of every step, each with a leading T.
        state: h (*B, H or P) and c (*B, H) that enter first.
        reset_state: like `state`; None where there are no resets.
        controls: of every step.
    """

    cell: LSTMParams
    x: jax.Array
    fixed: Noise
    stepped: Noise
    state: LSTMState
    reset_state: LSTMState | None
    controls: Controls


def joined(fixed: Noise, stepped: Noise) -> Noise:
    return Noise(*(s if f is None else f for f, s in zip(fixed, stepped, strict=True)))


def _step(course: Course, driven: Driven, save: bool) -> Body:
    """One step from its projected input; emits y, or y and what is saved of it."""
    cell = driven.cell

    def step(state: LSTMState, inputs: Any) -> tuple[LSTMState, Any]:
        zx, stepped = inputs
        noise = joined(driven.fixed, stepped)
        new, pre, inside = advance(cell, zx, state, noise, course.join)
        if not save:
            return new, new.h
        m = None if cell.projection is None else inside.m.astype(new.h.dtype)
        return new, (new.h, Saved(pre, state.h, state.c, m))

    return guarded(step, driven.reset_state)


def _forward(course: Course, driven: Driven, save: bool) -> tuple[LSTMState, Any]:
    """The scan itself."""
    body = _step(course, driven, save)

    def window(state: LSTMState, xs: Any) -> tuple[LSTMState, Any]:
        (x, stepped), controls = xs
        xs = (project(driven.cell, x), stepped), controls
        return lax.scan(body, state, xs, reverse=course.reverse, unroll=course.unroll)

    xs = (driven.x, driven.stepped), driven.controls
    return chunked(window, driven.state, xs, course.window, course.reverse)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _saving(course: Course, driven: Driven) -> tuple[LSTMState, Any]:
    """`_forward` with save, in the memory of the projected input.

    Each step's pre-activations take the place of what they were made from: half the
    memory, and none that is fresh. To differentiate that would keep every version of
    the buffer, so that the derivative is the one of `_forward`.
    """
    steps = length(driven.x)
    # A norm of both shares needs them apart, and a slice needs a step.
    if isinstance(driven.cell.norm, SplitNorm) or (
        isinstance(steps, int) and not steps
    ):
        return _forward(course, driven, save=True)
    body = _step(course, driven, save=True)

    def step(carry: Any, inputs: Any) -> tuple[Any, Any]:
        state, buffer = carry
        t, stepped, control = inputs
        zx = lax.dynamic_index_in_dim(buffer, t, keepdims=False)
        state, (y, saved) = body(state, ((zx, stepped), control))
        buffer = lax.dynamic_update_index_in_dim(buffer, *saved.pre, t, 0)
        return (state, buffer), (y, saved._replace(pre=()))

    zx = project(driven.cell, driven.x)
    # What replaces it has the mesh type of the state too.
    both = lambda zx, h: zx + matmul(h, driven.cell.w_h)[None]  # noqa: E731
    like = evaluated(both, zx, driven.state.h)
    zx = typed(zx, like)
    xs = jnp.arange(steps), driven.stepped, driven.controls
    (end, buffer), (y, saved) = lax.scan(
        step, (driven.state, zx), xs, reverse=course.reverse, unroll=course.unroll
    )
    return end, (y, saved._replace(pre=(buffer,)))


@partial(_saving.defjvp, symbolic_zeros=True)
def _(course: Course, primals: Any, tangents: Any) -> tuple[Any, Any]:
    def run(driven: Driven) -> Any:
        return _forward(course, driven, save=True)

    out = run(*primals)
    pushed = _push(run, primals, tangents)
    return out, jax.tree.map(zeros, out) if pushed is None else pushed


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def recurrence(course: Course, driven: Driven) -> tuple[LSTMState, jax.Array]:
    """Runs one layer over a sequence.

    Args:
        course: direction, window and unrolling.
        driven: the arrays.

    Returns:
        The state after the step that is processed last, and y (T, *B, H or P).
    """
    return _forward(course, driven, save=False)


def tangent_window(driven: Driven) -> int | None:
    """Steps of which the tangent takes its products together; None for all.

    About 2 H rows make a product with dW_h as fast as it gets, and what the window
    needs stays in the cache. A divisor of T between that and twice as much, so that no
    remainder needs a product of its own; all steps where there is none, and in 16 bits,
    in which the sum of the windows would be rounded. Rows under `vmap` are not seen.
    """
    if driven.x.dtype.itemsize < 4:
        return None
    steps, *batch = driven.x.shape[:-1]
    if not all(isinstance(size, int) for size in (steps, *batch)):
        return None
    rows = max(1, math.prod(batch))
    aim = max(4, 2 * driven.state.c.shape[-1] // rows)
    found = divisor(steps, aim)
    return found if found and 2 * found <= steps else None


def _live(tangent: Any) -> bool:
    return tangent is not None and not isinstance(tangent, SymbolicZero)


def _push(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """The tangent of f along the tangents that are not zero; None if all are."""
    flat, tree = jax.tree.flatten(primals)
    shapes: list[Any] = [jax.tree.structure(p) for p in primals]
    # None stands for the zero tangent of a leaf, or of a whole argument.
    directions = [
        tangent
        for shape, given in zip(shapes, tangents, strict=True)
        for tangent in (
            [None] * shape.num_leaves if given is None else shape.flatten_up_to(given)
        )
    ]
    live = [k for k, t in enumerate(directions) if _live(t)]
    if not live:
        return None

    def along_live(*values: Any) -> Any:
        full = list(flat)
        for k, value in zip(live, values, strict=True):
            full[k] = value
        return f(*jax.tree.unflatten(tree, full))

    _, tangent = jax.jvp(
        along_live, [flat[k] for k in live], [directions[k] for k in live]
    )
    return tangent


def _plus(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return a if b is None else b
    return a + b


@partial(recurrence.defjvp, symbolic_zeros=True)
def _rule(course: Course, primals: Any, tangents: Any) -> tuple[Any, Any]:
    (driven,), (pushed,) = primals, tangents
    end, (y, saved) = _saving(course, driven)
    # None for the zeros: no symbolic one passes jax.checkpoint.
    pushed = jax.tree.map(lambda t: t if _live(t) else None, pushed)
    tangent = linear(partial(_tangent, course, driven, saved), pushed)
    return (end, y), tangent


def _tangent(course: Course, driven: Driven, saved: Saved, pushed: Any) -> Any:
    """The tangents of the last state and of y; linear in `pushed`."""
    cell, dcell = driven.cell, pushed.cell
    dgates, dx = gate_part(dcell), pushed.x
    inputs = partial(project, product=sequence_matmul)

    def window(dstate: LSTMState, xs: Any) -> tuple[LSTMState, jax.Array]:
        (x, dx, saved, stepped), controls = xs
        # The products of all steps at once, each only if its factor is differentiated.
        dzx = _push(inputs, (input_part(cell), x), (input_part(dcell), dx))
        da, dp = (
            matmul_by_columns(a, dw) if _live(dw) else None
            for a, dw in ((saved.h, dcell.w_h), (saved.m, dcell.projection))
        )
        dpre = mix(cell, dzx, da)
        if is_standard(cell):
            factor = stepped.g if driven.fixed.g is None else driven.fixed.g[None]
            local: Any = slopes(saved.pre[0], saved.c, factor)
        else:
            local = saved.pre, saved.c

        def step(dstate: LSTMState, inputs: Any) -> tuple[LSTMState, jax.Array]:
            local, stepped, dpre, dp = inputs
            noise = joined(driven.fixed, stepped)
            da = mix(cell, None, matmul(dstate.h, cell.w_h))
            dpre = tuple(_plus(a, b) for a, b in zip(dpre, da, strict=True))
            if is_standard(cell):
                dm, dc = along_slopes(local, dpre[0], dstate.c)
            else:
                dm, dc = tangent_of_pointwise(*local, noise.g, dgates, dpre, dstate.c)
            dh = zoneout(noise.h, dstate.h, output(cell, dm, course.join, dp))
            return LSTMState(dh, zoneout(noise.c, dstate.c, dc)), dh

        body = guarded(step, dreset, at_cut=blank)
        xs = (local, stepped, dpre, dp), controls
        return lax.scan(body, dstate, xs, reverse=course.reverse, unroll=course.unroll)

    # Recomputing the elementwise part keeps z, h and c alone for the reverse scan.
    @partial(jax.checkpoint, prevent_cse=False)
    def tangent_of_pointwise(pre, c, factor, dgates, dpre, dc):  # type: ignore[no-untyped-def]
        def part(gates: LSTMParams, pre: Any, c: jax.Array) -> Any:
            inside = pointwise(gates, pre, c, factor)
            return inside.m, inside.c

        return _push(part, (gate_part(cell), pre, c), (dgates, dpre, dc))

    def dense(tangent: Any, primal: Any) -> Any:
        """Tangents of states as arrays: a scan carries no symbolic zero."""
        return jax.tree.map(lambda p, t: zeros(p) if t is None else t, primal, tangent)

    dstart = dense(pushed.state, driven.state)
    dreset = dense(pushed.reset_state, driven.reset_state)
    xs = (driven.x, dx, saved, driven.stepped), driven.controls
    steps = tangent_window(driven)
    run = jax.checkpoint(window, prevent_cse=False)
    return chunked(run, dstart, xs, steps, course.reverse)
