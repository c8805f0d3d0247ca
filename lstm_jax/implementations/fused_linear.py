# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A linear scan of which the transpose is one kernel.

forward mode      `lax.scan`
its transpose     one kernel, in which a step is the transpose of a step
second order      of both: that of `lax.scan`
`vmap`            more rows of the same, or another axis of the kernel's grid
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lstm_jax._compat import cotangent_type, like_varying, varying_axes
from lstm_jax._dtypes import accum_dtype
from lstm_jax._types import type_of, zeros
from lstm_jax.implementations.fused_kernel import Arrays, merge_rows, scan, split_rows
from lstm_jax.implementations.fused_plan import Kernel


class Given(NamedTuple):
    """What a linear scan may depend on in any way.

    Attributes:
        shared: the same for all steps and rows.
        rows: (rows, …) the same for all steps.
        xs: (T, rows, …).
    """

    shared: Any
    rows: Any
    xs: Any


# Of one step: (given, tangents) -> (carry, y); closes over no array
LinearBody = Callable[[Given, Arrays], tuple[Any, Any]]


def linear_scan(
    how: Kernel,
    body: LinearBody,
    by_rows: bool,
    given: Given,
    tangents: Arrays,
    reverse: bool,
) -> tuple[Any, Any]:
    """Runs a linear body over all steps.

    Args:
        how: knobs of the kernel.
        body: of one step, in which xs are those of the step.
        by_rows: as `scan` of the kernel takes it.
        given: what it is not differentiated by, in first order.
        tangents: what it is linear in; all floating.
        reverse: from the last step to the first.

    Returns:
        The last carry, and the tree of ys (T, …).
    """
    (one, first), (two, second) = (jax.tree.flatten(t) for t in (given, tangents))
    rule = _Rule(how, body, by_rows, reverse, first, second)
    out = _linear.bind(*one, *two, rule=rule)
    return jax.tree.unflatten(rule.out_tree(one + two), out)


@dataclasses.dataclass(frozen=True, eq=False)
class _Rule:
    """A linear scan without its arrays, from flat arrays to flat arrays."""

    how: Kernel
    body: LinearBody
    by_rows: bool
    reverse: bool
    given: Any  # trees
    tangents: Any

    @property
    def residuals(self) -> int:
        """The number of arrays that it is not linear in; they come first."""
        return self.given.num_leaves

    def trees(self, args: Any) -> tuple[Given, Arrays]:
        n = self.residuals
        return (
            jax.tree.unflatten(self.given, args[:n]),
            jax.tree.unflatten(self.tangents, args[n:]),
        )

    def forward(self, *args: Any) -> tuple[Any, Any]:
        given, tangents = self.trees(args)

        def step(carry: Any, xs: Any) -> tuple[Any, Any]:
            x, dx = xs
            own = tangents._replace(carry=carry, xs=dx)
            return self.body(given._replace(xs=x), own)

        xs = given.xs, tangents.xs
        return lax.scan(step, tangents.carry, xs, reverse=self.reverse)

    def flat(self, *args: Any) -> list[Any]:
        return jax.tree.leaves(self.forward(*args))

    def out_tree(self, args: Any) -> Any:
        return jax.tree.structure(jax.eval_shape(self.forward, *args))

    def back(self, like: Any, residuals: Any, cotangents: Any) -> list[Any]:
        """The cotangents of the tangents, in one kernel."""
        return self._transposed(like, residuals, cotangents, self._kernel)

    def plain_back(self, like: Any, residuals: Any, cotangents: Any) -> list[Any]:
        """The same as a scan, which JAX differentiates."""
        return self._transposed(like, residuals, cotangents, self._scan)

    def _kernel(self, body: Any, arrays: Arrays) -> Any:
        return scan(self.how, body, self.by_rows, arrays, not self.reverse, linear=True)

    def _scan(self, body: Any, arrays: Arrays) -> Any:
        shared, rows, carry, xs = arrays
        one = jax.tree.map(lambda a: a[0], xs)
        _, sums, _ = jax.eval_shape(body, shared, rows, carry, one)
        zero = jax.tree.map(lambda a: zeros(a, accum_dtype(a.dtype)), sums)

        def step(state: Any, x: Any) -> Any:
            total, carry = state
            carry, more, y = body(shared, rows, carry, x)
            wide = jax.tree.map(lambda t, m: t + m.astype(t.dtype), total, more)
            return (wide, carry), y

        (total, end), ys = lax.scan(step, (zero, carry), xs, reverse=not self.reverse)
        total = jax.tree.map(lambda t, s: t.astype(s.dtype), total, sums)
        return end, total, ys

    def _transposed(self, like: Any, residuals: Any, cotangents: Any, run: Any) -> Any:
        given, tangents = self.trees([*residuals, *like])
        out = self.out_tree([*residuals, *like])
        end, dys = jax.tree.unflatten(out, cotangents)

        def body(shared: Any, rows: Any, carry: Any, xs: Any) -> Any:
            (total, dcarry), (x, dy) = carry, xs
            own = Given(shared, rows, x)
            count = jax.tree.leaves(carry)[0].shape[0]

            def of_tile(a: Any) -> Any:
                shape = (count, *a.shape[2:]) if self.by_rows else a.shape[1:]
                return jax.ShapeDtypeStruct(shape, a.dtype)

            plain = lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype)  # noqa: E731
            types = Arrays(
                jax.tree.map(plain, tangents.shared),
                jax.tree.map(plain, total),
                jax.tree.map(plain, dcarry),
                jax.tree.map(of_tile, tangents.xs),
            )
            step = jax.linear_transpose(partial(self.body, own), types)
            (back,) = step((dcarry, dy))
            total = jax.tree.map(jnp.add, total, back.rows)
            return (total, back.carry), back.shared, back.xs

        zero = jax.tree.map(zeros, tangents.rows)
        arrays = Arrays(given.shared, given.rows, (zero, end), (given.xs, dys))
        (rows, carry), shared, xs = run(body, arrays)
        return jax.tree.leaves(Arrays(shared, rows, carry, xs))

    def batched(self, args: Any, dims: Any, size: int) -> tuple[Any, Any]:
        """Under `vmap`."""
        given, tangents = self.trees(args)
        at, dat = self.trees([d is not None for d in dims])
        if not self.by_rows or any(jax.tree.leaves((at.shared, dat.shared))):
            rule = _Mapped(self, tuple(dims), size)
            return _linear.bind(*args, rule=rule), [0] * rule.results(args)
        front = [
            a if d is None else jnp.moveaxis(a, d, 0)
            for a, d in zip(args, dims, strict=True)
        ]
        given, tangents = self.trees(front)
        merged = (
            (
                given.shared,
                merge_rows(given.rows, 0, size, at.rows),
                merge_rows(given.xs, 1, size, at.xs),
            ),
            (
                tangents.shared,
                merge_rows(tangents.rows, 0, size, dat.rows),
                merge_rows(tangents.carry, 0, size, dat.carry),
                merge_rows(tangents.xs, 1, size, dat.xs),
            ),
        )
        out = _linear.bind(*jax.tree.leaves(merged), rule=self)
        n = len(jax.tree.leaves(tangents.carry))
        out = split_rows(out[:n], 0, size) + split_rows(out[n:], 1, size)
        return out, [0] * len(out)


@dataclasses.dataclass(frozen=True, eq=False)
class _Mapped:
    """A linear scan under `vmap`, where its rows cannot be made more."""

    inner: Any
    dims: tuple[int | None, ...]
    size: int

    @property
    def residuals(self) -> int:
        return self.inner.residuals

    def flat(self, *args: Any) -> list[Any]:
        return jax.vmap(self.inner.flat, self.dims, axis_size=self.size)(*args)

    def results(self, args: Any) -> int:
        return len(jax.eval_shape(self.flat, *args))

    def back(self, like: Any, residuals: Any, cotangents: Any) -> list[Any]:
        return self._over(self.inner.back, like, residuals, cotangents)

    def plain_back(self, like: Any, residuals: Any, cotangents: Any) -> list[Any]:
        return self._over(self.inner.plain_back, like, residuals, cotangents)

    def _over(self, back: Any, like: Any, residuals: Any, cotangents: Any) -> list[Any]:
        axes, n = self.dims, self.residuals

        def one(a: Any, axis: int | None) -> Any:
            if axis is None:
                return a
            shape = *a.shape[:axis], *a.shape[axis + 1 :]
            return like_varying(shape, a.dtype, varying_axes(a))

        own = tuple(map(one, like, axes[n:]))
        run = jax.vmap(partial(back, own), (list(axes[:n]), 0), axis_size=self.size)
        return [
            a.sum(0) if axis is None else jnp.moveaxis(a, 0, axis)
            for a, axis in zip(run(residuals, cotangents), axes[n:], strict=True)
        ]

    def batched(self, args: Any, dims: Any, size: int) -> tuple[Any, Any]:
        rule = _Mapped(self, tuple(dims), size)
        return _linear.bind(*args, rule=rule), [0] * rule.results(args)


_linear = Primitive("lstm_linear_scan")
_linear.multiple_results = True


@_linear.def_impl
def _(*args: Any, rule: Any) -> list[Any]:
    return jax.jit(rule.flat)(*args)


@_linear.def_abstract_eval
def _(*types: Any, rule: Any) -> Any:
    return jax.make_jaxpr(rule.flat)(*map(type_of, types)).out_avals


mlir.register_lowering(
    _linear,
    mlir.lower_fun(lambda *args, rule: rule.flat(*args), multiple_results=True),
)


def _batch(args: Any, dims: Any, *, rule: Any) -> Any:
    pairs = zip(args, dims, strict=True)
    size = next(a.shape[d] for a, d in pairs if d is not None)
    return rule.batched(args, dims, size)


def _jvp(primals: Any, tangents: Any, *, rule: Any) -> Any:
    n = rule.residuals
    out = _linear.bind(*primals, rule=rule)
    dense = [ad.instantiate_zeros(t) for t in tangents]
    if all(isinstance(t, ad.Zero) for t in tangents[:n]):
        return out, _linear.bind(*primals[:n], *dense[n:], rule=rule)
    return out, jax.jvp(rule.flat, tuple(primals), tuple(dense))[1]


def _transpose(cotangents: Any, *args: Any, rule: Any) -> list[Any]:
    n = rule.residuals
    like = tuple(
        type_of(cotangent_type(a.aval) if ad.is_undefined_primal(a) else a)
        for a in args[n:]
    )
    dense = [ad.instantiate_zeros(c) for c in cotangents]
    return [None] * n + list(_backward(rule, like, list(args[:n]), dense))


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _backward(rule: Any, like: Any, residuals: Any, cotangents: Any) -> list[Any]:
    return rule.back(like, residuals, cotangents)


@_backward.defjvp
def _(rule: Any, like: Any, primals: Any, tangents: Any) -> tuple[Any, Any]:
    out = _backward(rule, like, *primals)
    return out, jax.jvp(partial(rule.plain_back, like), primals, tangents)[1]


ad.primitive_jvps[_linear] = _jvp
ad.primitive_transposes[_linear] = _transpose
batching.primitive_batchers[_linear] = _batch
