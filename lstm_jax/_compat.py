# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What older releases of JAX have under another name, or not at all.

Each function asks for the feature, never for a version, and says until which release
of JAX it is needed.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax import lax


def setting(name: str) -> Any:
    """The value of a setting of JAX here; its types leave them out."""
    return getattr(jax.config, name)


def enable_x64(on: bool) -> Any:
    """A context in which JAX has 64-bit types, or has not; until jax 0.8."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(on)
    from jax.experimental import enable_x64  # type: ignore[attr-defined]

    return enable_x64(on)


def linear(f: Callable[[Any], Any], tangents: Any) -> Any:
    """f(tangents), for an f that is linear and that JAX must be able to transpose.

    Until jax 0.10.1 only the rule of `lax.scan` itself makes a scan that can be
    transposed: the tangent of a linear f is f, with the scans of that rule.
    """
    zeros = jax.tree.map(lambda t: lax.full_like(t, 0), tangents)
    return jax.jvp(f, (zeros,), (tangents,))[1]


@functools.cache
def transposes_any_scan() -> bool:
    """Whether JAX transposes a linear scan that no rule of its own has made.

    Until jax 0.10.1 it does not; see `linear`.
    """

    def cumulative(xs: Any) -> Any:
        return lax.scan(lambda carry, x: (carry + x, carry), xs[0], xs)[1]

    try:
        two = jax.ShapeDtypeStruct((2,), "float32")
        jax.eval_shape(jax.linear_transpose(cumulative, two), two)
    except Exception:  # which one differs from release to release
        return False
    return True


def varying_axes(kind: Any) -> frozenset[Any]:
    """The manual mesh axes over which an array of a type varies.

    Args:
        kind: what `jax.typeof` gives, or a ShapeDtypeStruct that has such axes.
    """
    if hasattr(kind, "manual_axis_type"):
        manual = kind.manual_axis_type
        return frozenset() if manual is None else frozenset(manual.varying)
    return getattr(kind, "vma", None) or frozenset()  # until jax 0.10.0


def manual_axes(kind: Any) -> dict[str, Any]:
    """What a type says of manual mesh axes, as arguments of ShapeDtypeStruct."""
    if not hasattr(kind, "manual_axis_type"):
        return {"vma": kind.vma} if varying_axes(kind) else {}  # until jax 0.10.0
    manual = kind.manual_axis_type
    return {} if manual is None or manual.empty else {"manual_axis_type": manual}


def cotangent_type(kind: Any) -> Any:
    """The type of a type's cotangents, which is another one on some meshes.

    What is reduced has cotangents that are not yet summed, and the reverse; in older
    releases no type says so.
    """
    return kind.to_ct_aval() if hasattr(kind, "to_ct_aval") else kind


def has_manual_axes(like: jax.ShapeDtypeStruct) -> bool:
    """Whether a ShapeDtypeStruct says over which manual mesh axes it varies."""
    name = "manual_axis_type" if hasattr(like, "manual_axis_type") else "vma"
    return getattr(like, name, None) is not None


def vary(a: jax.Array, axes: Any) -> jax.Array:
    """An array that varies over manual mesh axes over which it has not varied yet."""
    if hasattr(lax, "pcast"):
        return lax.pcast(a, axes, to="varying")
    return lax.pvary(a, axes)  # type: ignore[attr-defined]  # until jax 0.8


def like_varying(shape: Any, dtype: Any, axes: frozenset[Any]) -> jax.ShapeDtypeStruct:
    """The type of an array that varies over manual axes of the mesh of the context."""
    if not axes:
        return jax.ShapeDtypeStruct(shape, dtype)
    mesh = jax.sharding.get_abstract_mesh()
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    given: Any = {"vma": axes}  # until jax 0.10.0
    if "manual_axis_type" in jax.ShapeDtypeStruct.__slots__:
        given = {"manual_axis_type": jax.sharding.ManualAxisType(varying=axes)}
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding, **given)


def is_export(ctx: Any) -> bool:
    """Whether a lowering rule's context is that of an export.

    JAX documents no way to ask. If the one used here goes, the answer is yes.
    """
    parameters = getattr(ctx.module_context, "lowering_parameters", None)
    return getattr(parameters, "for_export", True)


def bind_again(equation: Any, arguments: Any) -> Any:
    """What an equation of a traced program gives for other arguments."""
    params = equation.primitive.get_bind_params(equation.params)
    functions: Any = ()
    if isinstance(params, tuple):  # until jax 0.10
        functions, params = params
    return equation.primitive.bind(*functions, *arguments, **params)
