# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Functions of which each platform has its own form, chosen as a program is lowered.

While JAX traces it is not known for which platform: a program may be exported, compiled
for another device, or lowered for several. `lax.platform_dependent` would do, but for
its gradient, which keeps what any of the forms needs.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lstm_jax._compat import (
    cotangent_type,
    enable_x64,
    is_export,
    manual_axes,
    setting,
)
from lstm_jax._types import type_of

PLATFORMS = ("cpu", "gpu", "tpu")
# What JAX calls them where it lowers.
LOWERED = {"cpu": "cpu", "cuda": "gpu", "rocm": "gpu", "tpu": "tpu"}


def by_platform(
    form: Callable[[str | None], Callable[..., Any]], given: Any, tangents: Any = ()
) -> Any:
    """Runs the form of the platform that a program is lowered for.

    Derivatives of a linear function have forms too; those of any other, and second
    ones, are JAX's own of the plain form.

    Args:
        form: of "cpu", "gpu" or "tpu", or None for the plain one, gives a function
            (given, tangents) -> a tree; all of them compute the same.
        given: a tree of arrays.
        tangents: a tree of arrays in which every form is linear.

    Returns:
        The tree that the forms give.
    """
    (one, first), (two, second) = jax.tree.flatten(given), jax.tree.flatten(tangents)
    settings = _settings()  # those of lowering may be others

    def flat(platform: str | None) -> Callable[..., list[Any]]:
        def run(*args: Any) -> list[Any]:
            given = jax.tree.unflatten(first, args[: len(one)])
            tangents = jax.tree.unflatten(second, args[len(one) :])
            with contextlib.ExitStack() as stack:
                for context, value in settings:
                    stack.enter_context(context(value))
                return jax.tree.leaves(form(platform)(given, tangents))

        return run

    plain = jax.make_jaxpr(form(None), return_shape=True)
    jaxpr, shapes = plain(given, tangents)
    kinds = tuple(map(jax.typeof, (*one, *two)))
    forms = _Forms(flat, len(one), {kinds: tuple(jaxpr.out_avals)})
    out = _by_platform.bind(*one, *two, forms=forms)
    return jax.tree.unflatten(jax.tree.structure(shapes), out)


def mapped_axes_first(tree: Any) -> Any:
    """The identity, after which an axis of `vmap` leads in every array or in none.

    JAX takes the axes that a custom_jvp's function gives for those that its rule gives.
    """
    return by_platform(lambda _: lambda given, tree: tree, (), tree)


def step_major(sequence: jax.Array) -> jax.Array:
    """The identity, after which a sequence (T, ...) lies in memory step by step.

    The compiler for TPUs may make the rows of a product its outermost axis, and then
    transposes each step that a loop reads. This constrains the layout there, but not in
    an export, since JAX by default serialises no layout constraint. On other platforms
    it does nothing.
    """
    return cast("jax.Array", _step_major.bind(sequence))


def _settings() -> list[tuple[Callable[[Any], Any], Any]]:
    """The settings of JAX that change what is traced, with their values."""
    return [
        (jax.default_matmul_precision, setting("jax_default_matmul_precision")),
        (enable_x64, setting("jax_enable_x64")),
        (jax.numpy_dtype_promotion, setting("jax_numpy_dtype_promotion")),
        (jax.numpy_rank_promotion, setting("jax_numpy_rank_promotion")),
    ]


@dataclasses.dataclass(frozen=True, eq=False)
class _Forms:
    """Functions of flat arrays to a list of arrays.

    Attributes:
        of: gives that of a platform, or the plain one.
        given: how many arguments, the first ones, it is not linear in.
        known: the types of results by those of arguments. JAX asks for them each time
            that it copies an equation, and a trace of the form would be the answer.
    """

    of: Callable[[str | None], Callable[..., list[Any]]]
    given: int
    known: dict[tuple[Any, ...], tuple[Any, ...]] = dataclasses.field(
        default_factory=dict
    )


_by_platform = Primitive("by_platform")
_by_platform.multiple_results = True


@_by_platform.def_impl
def _(*args: Any, forms: _Forms) -> list[Any]:
    if setting("jax_disable_jit"):
        return forms.of(None)(*args)
    return jax.jit(lambda *args: _by_platform.bind(*args, forms=forms))(*args)


@_by_platform.def_abstract_eval
def _(*kinds: Any, forms: _Forms) -> tuple[Any, ...]:
    if kinds not in forms.known:
        trace = jax.make_jaxpr(forms.of(None))
        forms.known[kinds] = tuple(trace(*map(type_of, kinds)).out_avals)
    return forms.known[kinds]


def _jvp(primals: Any, tangents: Any, forms: _Forms) -> tuple[Any, Any]:
    out = _by_platform.bind(*primals, forms=forms)
    live = [k for k, t in enumerate(tangents) if not isinstance(t, ad.Zero)]
    if live and live[0] >= forms.given:
        linear = map(ad.instantiate_zeros, tangents[forms.given :])
        return out, _by_platform.bind(*primals[: forms.given], *linear, forms=forms)

    def of_live(*args: Any) -> list[Any]:
        full = list(primals)
        for k, arg in zip(live, args, strict=True):
            full[k] = arg
        return forms.of(None)(*full)

    along = [tangents[k] for k in live]
    return out, jax.jvp(of_live, [primals[k] for k in live], along)[1]


def _transpose(cotangents: Any, *args: Any, forms: _Forms) -> list[Any]:
    given, linear = args[: forms.given], args[forms.given :]
    # Types of the results; JAX already gives an undefined primal that of its cotangent.
    kinds = tuple(
        a.aval if ad.is_undefined_primal(a) else cotangent_type(jax.typeof(a))
        for a in linear
    )
    types = [type_of(cotangent_type(kind)) for kind in kinds]
    live = [k for k, c in enumerate(cotangents) if not isinstance(c, ad.Zero)]

    def of(platform: str | None) -> Callable[..., list[Any]]:
        def run(*args: Any) -> list[Any]:
            forward = partial(forms.of(platform), *args[: forms.given])

            def of_live(*tangents: Any) -> list[Any]:
                out = forward(*tangents)
                return [out[k] for k in live]

            back = jax.linear_transpose(of_live, *types)
            return list(back(list(args[forms.given :])))

        return run

    values = *given, *(cotangents[k] for k in live)
    known = {tuple(map(jax.typeof, values)): kinds}
    out = _by_platform.bind(*values, forms=_Forms(of, forms.given, known))
    return [None] * forms.given + out


def _batch(args: Any, dims: Any, forms: _Forms) -> tuple[list[Any], list[int]]:
    def of(platform: str | None) -> Callable[..., list[Any]]:
        return jax.vmap(forms.of(platform), in_axes=tuple(dims))

    out = _by_platform.bind(*args, forms=_Forms(of, forms.given))
    return out, [0] * len(out)


def _lower(name: str | None, ctx: Any, *args: Any, forms: _Forms) -> Any:
    run = forms.of(None if name is None else LOWERED[name])

    def checked(*args: Any) -> list[Any]:
        out = run(*args)
        for got, known in zip(map(jax.typeof, out), ctx.avals_out, strict=True):
            if not _alike(got, known):
                raise TypeError(
                    f"by_platform: the form of {name} must give {known}, as the plain "
                    f"one does; got {got}."
                )
        return out

    return mlir.lower_fun(checked, multiple_results=True)(ctx, *args)


def _alike(kind: Any, other: Any) -> bool:
    """Whether two types are of the same arrays on the same devices."""
    same = kind.shape == other.shape and kind.dtype == other.dtype
    return same and manual_axes(kind) == manual_axes(other)


ad.primitive_jvps[_by_platform] = _jvp
ad.primitive_transposes[_by_platform] = _transpose
batching.primitive_batchers[_by_platform] = _batch
mlir.register_lowering(_by_platform, partial(_lower, None))
for _name in LOWERED:
    mlir.register_lowering(_by_platform, partial(_lower, _name), platform=_name)

_step_major = Primitive("step_major")
_step_major.def_impl(lambda sequence: sequence)
_step_major.def_abstract_eval(lambda kind: kind)
ad.deflinear2(_step_major, lambda cotangent, _: [cotangent])


def _batch_behind_time(args: Any, dims: Any) -> tuple[jax.Array, int]:
    return step_major(jnp.moveaxis(args[0], dims[0], 1)), 1


def _lower_for_tpu(ctx: Any, sequence: Any) -> Any:
    from jax.experimental.layout import Layout, with_layout_constraint

    def lay_out(a: jax.Array) -> jax.Array:
        return with_layout_constraint(a, Layout(tuple(range(a.ndim))))

    if is_export(ctx):
        return [sequence]
    return mlir.lower_fun(lay_out, multiple_results=False)(ctx, sequence)


batching.primitive_batchers[_step_major] = _batch_behind_time
mlir.register_lowering(_step_major, lambda ctx, sequence: [sequence])
mlir.register_lowering(_step_major, _lower_for_tpu, platform="tpu")
