# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The differentiable recurrence of one layer.

Its tangent is a linear scan over (dh, dc), driven by dz = dzx + h_{t-1} dW_h with that
product, and the projection's, taken for a chunk of many steps at once (see
`tangent_chunk`). Transposed by JAX it becomes a reverse scan that gives dz, and the
program has one matrix product for dW_h.
Because the rule is a `jax.custom_jvp` of plain JAX, forward mode, reverse mode and any
mixture of them work. Only the matrix products are treated specially: JAX differentiates
the elementwise part, so that every cell has the rule; the standard cell brings its
closed form, which is faster.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.custom_derivatives import SymbolicZero

from lstm_jax._chunks import chunked, divisor
from lstm_jax._compat import linear, transposes_any_scan
from lstm_jax._forward import Residuals, StaticArgs
from lstm_jax._inputs import LayerInputs
from lstm_jax._masks import Body, masked_step, tree_zeros
from lstm_jax._matmul import (
    matmul,
    matmul_by_columns,
    matmul_by_transpose,
    sequence_matmul,
)
from lstm_jax._platforms import by_platform, mapped_axes_first
from lstm_jax._types import zeros
from lstm_jax.cells.lstm import (
    gate_leaves,
    input_leaves,
    is_standard,
    pointwise,
    preactivation,
    project,
    project_output,
    zoneout,
)
from lstm_jax.cells.lstm_fast import standard_jvp, standard_partials
from lstm_jax.cells.lstm_params import LSTMParams, LSTMState


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def recurrence(static: StaticArgs, inputs: LayerInputs) -> tuple[LSTMState, jax.Array]:
    """Runs one layer over a sequence.

    Args:
        static: direction, chunks, unrolling, and what runs the loops.
        inputs: the arrays, with the cell cast to the dtype of x.

    Returns:
        The state after the step that is processed last, and y (T, *B, H or P).
    """
    return mapped_axes_first(static.primal(static, inputs))


def tangent_chunk(inputs: LayerInputs) -> int | None:
    """Steps of which the tangent takes its products together; None for all.

    About 2 H rows make a product with dW_h as fast as it gets, and what the chunk needs
    stays in the cache. A divisor of T between that and twice as much, so that no
    remainder needs a product of its own; all steps where there is none, and in 16 bits,
    in which the sum of the chunks would be rounded. Rows under `vmap` are not seen.
    """
    if inputs.x.dtype.itemsize < 4:
        return None
    steps, *batch = inputs.x.shape[:-1]
    if not all(isinstance(size, int) for size in (steps, *batch)):
        return None
    rows = max(1, math.prod(batch))
    aim = max(4, 2 * inputs.state.c.shape[-1] // rows)
    found = divisor(steps, aim)
    return found if found and 2 * found <= steps else None


def is_nonzero(tangent: Any) -> bool:
    """Whether a tangent is known not to be zero by its type."""
    return tangent is not None and not isinstance(tangent, SymbolicZero)


def jvp_of_nonzero(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
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
    nonzero = [k for k, t in enumerate(directions) if is_nonzero(t)]
    if not nonzero:
        return None

    def of_nonzero(*values: Any) -> Any:
        full = list(flat)
        for k, value in zip(nonzero, values, strict=True):
            full[k] = value
        return f(*jax.tree.unflatten(tree, full))

    _, tangent = jax.jvp(
        of_nonzero, [flat[k] for k in nonzero], [directions[k] for k in nonzero]
    )
    return tangent


def _plus(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return a if b is None else b
    return a + b


@partial(recurrence.defjvp, symbolic_zeros=True)
def _rule(static: StaticArgs, primals: Any, tangents: Any) -> tuple[Any, Any]:
    (inputs,), (tangent,) = primals, tangents
    end, (y, saved) = static.with_residuals(static, inputs)
    end, y = mapped_axes_first((end, y))
    # None for the zeros: no symbolic one passes jax.checkpoint.
    tangent = jax.tree.map(lambda t: t if is_nonzero(t) else None, tangent)
    if static.whole_steps or not transposes_any_scan():
        # Until jax 0.10.1 the form of the tangent is that of the default backend.
        platform = None if static.whole_steps else jax.default_backend()
        run = partial(_tangent, static, platform, (inputs, saved))
        return (end, y), linear(run, tangent)
    form = partial(partial, _tangent, static)
    return (end, y), by_platform(form, (inputs, saved), tangent)


def _tangent(
    static: StaticArgs,
    platform: str | None,
    given: tuple[LayerInputs, Residuals],
    dinputs: Any,
) -> Any:
    """The tangents of the last state and of y; linear in `dinputs`.

    Chunks, and products by columns, are for the caches of a CPU. On a GPU each step
    computes the standard cell's derivatives again: that takes no kernel more, and less
    memory than derivatives kept for all steps.
    """
    inputs, saved = given
    cell: Any = inputs.cell
    dcell, dx = dinputs.cell, dinputs.x
    dgates = gate_leaves(dcell)
    cached = platform == "cpu"
    inputs_product = partial(project, product=sequence_matmul if cached else matmul)
    weights_product = matmul_by_columns if cached else matmul
    steps = tangent_chunk(inputs) if cached else None
    recurrent: Callable[..., jax.Array] = matmul
    of_step = cell
    if cached:  # a step of the gradient would transpose w_h, each by itself
        turned = jax.lax.optimization_barrier(cell.w_h.T)
        recurrent, of_step = matmul_by_transpose, cell.replace(w_h=turned)
    hoisted = is_standard(cell) and not static.whole_steps and platform != "gpu"

    def chunk(dstate: LSTMState, xs: Any) -> tuple[LSTMState, jax.Array]:
        (x, dx, saved, stepped), masks = xs
        # The products of all steps at once, each only if its factor is differentiated.
        dzx = jvp_of_nonzero(
            inputs_product, (input_leaves(cell), x), (input_leaves(dcell), dx)
        )
        dzh, dp = (
            None if dw is None else weights_product(a, dw)
            for a, dw in ((saved.h, dcell.w_h), (saved.m, dcell.projection))
        )
        dpre = preactivation(cell, dzx, dzh)
        local: Any = saved.pre, saved.c
        if hoisted:
            g_mask = stepped.g if inputs.fixed.g is None else inputs.fixed.g[None]
            local = standard_partials(saved.pre[0], saved.c, g_mask)

        def step_of(given: Any, tangents: Any) -> Body:
            (cell, fixed), (dgates, dreset) = given, tangents

            def step(dstate: LSTMState, xs: Any) -> tuple[LSTMState, jax.Array]:
                (local, stepped), (dpre, dp) = xs
                masks = inputs._replace(fixed=fixed).drop_masks(stepped)
                dzh = preactivation(cell, None, recurrent(dstate.h, cell.w_h))
                dpre = tuple(_plus(a, b) for a, b in zip(dpre, dzh, strict=True))
                if hoisted:
                    dm, dc = standard_jvp(local, dpre[0], dstate.c)
                else:
                    pre, c = local
                    of = cell, pre, c, masks.g
                    dm, dc = pointwise_jvp(*of, dgates, dpre, dstate.c)
                dh = project_output(cell, dm, static.gather, dp)
                dh = zoneout(masks.h, dstate.h, dh)
                return LSTMState(dh, zoneout(masks.c, dstate.c, dc)), dh

            masked = masked_step(step, dreset, at_cut=tree_zeros)

            def body(dstate: LSTMState, xs: Any) -> tuple[LSTMState, jax.Array]:
                (local, masks), linear = xs
                return masked(dstate, ((local, linear), masks))

            if static.whole_steps:
                return body
            # Otherwise JAX's transpose computes what depends on no tangent, such as
            # masks broadcast to (B, H), in a loop before, and keeps it for all steps.
            return jax.checkpoint(body, prevent_cse=False)

        xs = ((local, stepped), masks), (dpre, dp)
        given, tangents = (of_step, inputs.fixed), (dgates, dreset)
        return static.linear_scan(static, step_of, given, tangents, dstate, xs)

    def pointwise_jvp(
        cell: Any, pre: Any, c: Any, g_mask: Any, dgates: Any, dpre: Any, dc: Any
    ) -> Any:
        """The tangents of m and c, from what a step saved."""
        if is_standard(cell):
            (z,), (dz,) = pre, dpre
            return standard_jvp(standard_partials(z, c, g_mask), dz, dc)

        def part(gates: LSTMParams, pre: Any, c: jax.Array) -> Any:
            inside = pointwise(gates, pre, c, g_mask)
            return inside.m, inside.c

        return jvp_of_nonzero(part, (gate_leaves(cell), pre, c), (dgates, dpre, dc))

    def dense(tangent: Any, primal: Any) -> Any:
        """Tangents of states as arrays: a scan carries no symbolic zero."""
        return jax.tree.map(lambda p, t: zeros(p) if t is None else t, primal, tangent)

    dstart = dense(dinputs.state, inputs.state)
    dreset = dense(dinputs.reset_state, inputs.reset_state)
    xs = (inputs.x, dx, saved, inputs.stepped), inputs.step_masks
    if static.whole_steps:
        return chunk(dstart, xs)
    run = jax.checkpoint(chunk, prevent_cse=False)
    return chunked(run, dstart, xs, steps, static.reverse)
