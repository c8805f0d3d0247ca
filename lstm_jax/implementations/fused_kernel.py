# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A scan as one Pallas kernel for a TPU: the carry never leaves VMEM.

    grid (row tiles, blocks of time)     tiles are independent, blocks follow each other
    a block                              a loop over its steps
    a step                               any body, traced for the rows of one tile

What is the same at every step stays in VMEM; what each step reads and gives streams
through it a block at a time.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from lstm_jax._compat import like_varying, varying_axes
from lstm_jax._dtypes import accum_dtype
from lstm_jax.implementations.fused_plan import (
    Kernel,
    KernelBody,
    Plan,
    make_plan,
    stored_dtype,
    stored_shape,
)


class Arrays(NamedTuple):
    """What enters a scan, or the tangents of that, by role; trees.

    Attributes:
        shared: the same for all steps and rows.
        rows: (rows, …) the same for all steps.
        carry: (rows, …) enters the first step.
        xs: (T, rows, …).
    """

    shared: Any
    rows: Any
    carry: Any
    xs: Any


@dataclasses.dataclass(frozen=True, eq=False)
class _Program:
    """A scan without its arrays."""

    how: Kernel
    body: KernelBody
    by_rows: bool
    linear: bool
    reverse: bool
    tree: Any  # of Arrays

    def one_step(self, arrays: Arrays) -> Any:
        """The types that the body is given, for all rows."""
        x = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), arrays.xs
        )
        plain = partial(jax.tree.map, lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype))
        return (*map(plain, arrays[:3]), x)


def scan(
    how: Kernel,
    body: KernelBody,
    by_rows: bool,
    arrays: Arrays,
    reverse: bool,
    linear: bool = False,
) -> tuple[Any, Any, Any]:
    """Runs a body over all steps in one kernel. It has no derivative of its own.

    Args:
        how: knobs.
        body: (shared, rows, carry, x) -> (carry, sums, y); it closes over no array.
        by_rows: no row of the body's results depends on another one; then rows may be
            tiled, and `vmap` may make more of them.
        arrays: what enters, with at least one step and one row.
        reverse: from the last step to the first.
        linear: the body is linear in the carry and in the second part of x, a pair.

    Returns:
        The last carry, the sum over all steps of `sums`, and the tree of ys (T, …).

    Raises:
        NotImplementedError: the kernel cannot be made, with all reasons.
    """
    flat, tree = jax.tree.flatten(arrays)
    program = _Program(how, body, by_rows, linear, reverse, tree)
    run = custom_vmap(lambda *flat: _launch(program, flat))
    run.def_vmap(partial(_batched, program))
    return run(*flat)


def _batched(program: _Program, size: int, mapped: Any, *flat: Any) -> tuple[Any, Any]:
    """Under `vmap`: more rows, or where that cannot be, one more axis of the grid."""
    arrays = jax.tree.unflatten(program.tree, flat)
    where = jax.tree.unflatten(program.tree, mapped)
    own = [
        jax.ShapeDtypeStruct(a.shape[m:], a.dtype)
        for a, m in zip(flat, mapped, strict=True)
    ]
    types = program.one_step(jax.tree.unflatten(program.tree, own))
    _, sums, _ = jax.eval_shape(program.body, *types)
    if (
        any(jax.tree.leaves(where.shared))
        or jax.tree.leaves(sums)
        or not program.by_rows
    ):
        axes = [0 if m else None for m in mapped]
        out = jax.vmap(lambda *flat: _launch(program, flat), axes)(*flat)
        return out, jax.tree.map(lambda a: True, out)
    merged = Arrays(
        arrays.shared,
        merge_rows(arrays.rows, 0, size, where.rows),
        merge_rows(arrays.carry, 0, size, where.carry),
        merge_rows(arrays.xs, 1, size, where.xs),
    )
    carry, sums, ys = scan(
        program.how, program.body, True, merged, program.reverse, program.linear
    )
    out = split_rows(carry, 0, size), sums, split_rows(ys, 1, size)
    return out, jax.tree.map(lambda a: True, out)


def merge_rows(tree: Any, axis: int, size: int, mapped: Any) -> Any:
    """Makes a leading mapped axis part of the rows, which stand at `axis`."""

    def merge(a: jax.Array, is_mapped: bool) -> jax.Array:
        if not is_mapped:
            a = jnp.broadcast_to(a[None], (size, *a.shape))
        a = jnp.moveaxis(a, 0, axis)
        return a.reshape(
            *a.shape[:axis], size * a.shape[axis + 1], *a.shape[axis + 2 :]
        )

    return jax.tree.map(merge, tree, mapped)


def split_rows(tree: Any, axis: int, size: int) -> Any:
    """The inverse, with the mapped axis in front."""

    def split(a: jax.Array) -> jax.Array:
        rows = a.shape[axis] // size
        a = a.reshape(*a.shape[:axis], size, rows, *a.shape[axis + 1 :])
        return jnp.moveaxis(a, axis, 0)

    return jax.tree.map(split, tree)


def _launch(program: _Program, flat: Any) -> tuple[Any, Any, Any]:
    """Makes the rows whole tiles, and calls the kernel."""
    arrays = jax.tree.unflatten(program.tree, flat)
    steps = jax.tree.leaves(arrays.xs)[0].shape[0]
    types = program.one_step(arrays)
    plan = make_plan(program.how, program.body, program.by_rows, steps, types)
    more = plan.tiles * plan.tile - plan.rows
    if not more:
        return _call(program, plan, steps, arrays)
    last = partial(_add_rows, more)
    zeros = partial(_add_rows, more, fill=0)
    shared, rows, carry, xs = arrays
    if program.linear:
        carry, xs = zeros(0, carry), (last(1, xs[0]), zeros(1, xs[1]))
    else:
        carry, xs = last(0, carry), last(1, xs)
    wide = Arrays(shared, last(0, rows), carry, xs)
    carry, sums, ys = _call(program, plan, steps, wide)
    own = partial(lax.slice_in_dim, start_index=0, limit_index=plan.rows)
    return (
        jax.tree.map(partial(own, axis=0), carry),
        sums,
        jax.tree.map(partial(own, axis=1), ys),
    )


def _add_rows(more: int, axis: int, tree: Any, fill: int | None = None) -> Any:
    """Copies of the last row: where a step is finite for it, it is for them."""

    def leaf(a: jax.Array) -> jax.Array:
        last = lax.slice_in_dim(a, a.shape[axis] - 1, a.shape[axis], axis=axis)
        if fill is not None:
            last = jnp.zeros_like(last)
        shape = (*a.shape[:axis], more, *a.shape[axis + 1 :])
        return jnp.concatenate([a, jnp.broadcast_to(last, shape)], axis)

    return jax.tree.map(leaf, tree)


def _store(a: jax.Array, by_rows: bool, lead: int = 0) -> jax.Array:
    """An array as it stands in VMEM; `lead` axes are in front of that."""
    shape = (*a.shape[:lead], *stored_shape(a.shape[lead:], by_rows))
    return a.astype(stored_dtype(a.dtype)).reshape(shape)


def _load(value: jax.Array, like: Any) -> jax.Array:
    value = value.reshape(like.shape)
    return value != 0 if like.dtype == bool else value


def _call(
    program: _Program, plan: Plan, steps: int, arrays: Arrays
) -> tuple[Any, Any, Any]:
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import tpu as pltpu

    by_rows, block = program.by_rows, plan.block
    count = pl.cdiv(steps, block)
    shared = [*plan.consts, *jax.tree.leaves(arrays.shared)]
    rows, carry, xs = (jax.tree.leaves(part) for part in arrays[1:])
    at: Callable[[Any], Any] = lambda i: count - 1 - i if program.reverse else i  # noqa: E731

    def stored(a: Any, own: bool) -> tuple[int, ...]:
        return stored_shape(a.shape, own)

    def whole(a: Any) -> Any:
        shape = stored(a, False)
        once = pl.Buffered(1)
        return pl.BlockSpec(shape, lambda r, i: (0,) * len(shape), pipeline_mode=once)

    def tiled(a: Any) -> Any:
        shape = stored(a, by_rows)
        return pl.BlockSpec(shape, lambda r, i: (r, *(0,) * (len(shape) - 1)))

    def timed(a: Any) -> Any:
        shape = stored(a, by_rows)
        rest = (0,) * (len(shape) - 1)
        return pl.BlockSpec((block, *shape), lambda r, i: (at(i), r, *rest))

    def one_a_tile(a: Any) -> Any:
        shape = stored(a, False)
        return pl.BlockSpec((None, *shape), lambda r, i: (r, *(0,) * len(shape)))

    def kernel(*refs: Any) -> None:
        each = iter(refs)
        shared_refs, row_refs, entering, x_refs, leaving, sum_refs, y_refs = (
            [next(each) for _ in group]
            for group in (
                plan.shared,
                plan.row_types,
                plan.carry,
                plan.xs,
                plan.carry,
                plan.sums,
                plan.ys,
            )
        )
        i = pl.program_id(1)

        @pl.when(i == 0)
        def _() -> None:
            for new, old in zip(leaving, entering, strict=True):
                new[...] = old[...]
            for ref in sum_refs:
                ref[...] = jnp.zeros_like(ref)

        here: Any = block
        if steps % block:
            here = jnp.minimum(block, steps - at(i) * block)

        def step(j: Any, state: Any) -> Any:
            t = here - 1 - j if program.reverse else j
            given = [
                *(
                    _load(ref[...], a)
                    for ref, a in zip(shared_refs, plan.shared, strict=True)
                ),
                *(
                    _load(ref[...], a)
                    for ref, a in zip(row_refs, plan.row_types, strict=True)
                ),
                *(_load(value, a) for value, a in zip(state, plan.carry, strict=True)),
                *(_load(ref[t], a) for ref, a in zip(x_refs, plan.xs, strict=True)),
            ]
            out = iter(jax.core.eval_jaxpr(plan.jaxpr, [], *given))
            new = [_store(next(out), by_rows) for _ in plan.carry]
            for ref in sum_refs:
                ref[...] += _store(next(out).astype(ref.dtype), False)
            for ref in y_refs:
                ref[t] = _store(next(out), by_rows)
            return new

        state = lax.fori_loop(0, here, step, [ref[...] for ref in leaving])
        for ref, value in zip(leaving, state, strict=True):
            ref[...] = value

    axes = frozenset().union(
        *(varying_axes(jax.typeof(a)) for a in (*rows, *carry, *xs))
    )
    tile = plan.tiles * plan.tile if by_rows else None

    def result(a: Any, lead: tuple[int, ...], own: bool) -> Any:
        shape = (tile, *a.shape[1:]) if own and by_rows else a.shape
        dtype = stored_dtype(a.dtype) if own else accum_dtype(a.dtype)
        return like_varying((*lead, *stored_shape(shape, own and by_rows)), dtype, axes)

    out = pl.pallas_call(
        kernel,
        grid=(plan.tiles, count),
        in_specs=[
            *map(whole, plan.shared),
            *map(tiled, (*plan.row_types, *plan.carry)),
            *map(timed, plan.xs),
        ],
        out_specs=[
            *map(tiled, plan.carry),
            *map(one_a_tile, plan.sums),
            *map(timed, plan.ys),
        ],
        out_shape=[
            *(result(a, (), True) for a in plan.carry),
            *(result(a, (plan.tiles,), False) for a in plan.sums),
            *(result(a, (steps,), True) for a in plan.ys),
        ],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary"),
            vmem_limit_bytes=plan.limit,
        ),
        interpret=program.how.interpret,
        name="lstm_scan_backward" if program.linear else "lstm_scan",
    )(
        *(_store(a, False) for a in shared),
        *(_store(a, by_rows) for a in (*rows, *carry)),
        *(_store(a, by_rows, lead=1) for a in xs),
    )
    parts = iter(out)

    def back(a: Any, lead: int = 0) -> jax.Array:
        value = next(parts)
        shape = (*value.shape[:lead], *((tile, *a.shape[1:]) if by_rows else a.shape))
        value = value.reshape(shape)
        return value != 0 if a.dtype == bool else value

    end = [back(a) for a in plan.carry]
    sums = [next(parts).sum(0).reshape(a.shape).astype(a.dtype) for a in plan.sums]
    ys = [back(a, 1) for a in plan.ys]
    trees = plan.out_trees
    leaves = end, sums, ys
    return tuple(
        jax.tree.unflatten(t, part) for t, part in zip(trees, leaves, strict=True)
    )
