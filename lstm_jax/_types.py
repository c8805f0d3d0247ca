# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Array types as `shard_map` and explicit meshes see them.

There, an array's type says over which mesh axes it varies and how it is sharded, and a
scan refuses a carry that leaves with another type than it came with.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from lstm_jax import _compat

Tree = TypeVar("Tree")


def _varying(a: Any) -> frozenset[Any]:
    """The manual mesh axes over which an array varies."""
    return _compat.varying_axes(jax.typeof(a))


def is_random_key(a: Any) -> bool:
    """Whether an array is of random keys, which have no zero and no sum."""
    return bool(jnp.issubdtype(jax.typeof(a).dtype, jax.dtypes.extended))


def typed_eval_shape(f: Callable[..., Any], *args: Any) -> Any:
    """`jax.eval_shape`, of which the result is an argument for JAX in any mesh.

    In a `shard_map` over some axes of a mesh but not all, jax 0.10.2 says over which an
    array varies and leaves out the mesh, and no function of JAX takes that.
    """
    mesh = jax.sharding.get_abstract_mesh()

    def on_mesh(a: Any) -> Any:
        if a.sharding is not None or not _compat.has_manual_axes(a):
            return a
        return a.update(sharding=NamedSharding(mesh, P()))

    return jax.tree.map(on_mesh, jax.eval_shape(f, *args))


def match_manual_axes(tree: Tree) -> Tree:
    """Makes every array of a tree vary over the mesh axes that any varies over.

    Doing it once, outside of all loops, leaves one sum over the mesh for each gradient
    instead of one a step. Outside of `shard_map` nothing changes.
    """
    axes = frozenset().union(*(_varying(a) for a in jax.tree.leaves(tree)))
    if not axes:
        return tree

    def cast(a: Any) -> Any:
        missing = tuple(axes - _varying(a))
        return _compat.vary(a, missing) if missing else a

    return jax.tree.map(cast, tree)


def type_of(a: Any) -> jax.ShapeDtypeStruct:
    """The type of an array, or the one that a rule of a primitive is given for it.

    JAX takes it as an argument; until jax 0.10 it does not take the latter.
    """
    kind = a if isinstance(a, jax.core.ShapedArray) else jax.typeof(a)
    sharding = None if kind.sharding.mesh.empty else kind.sharding
    manual = _compat.manual_axes(kind)
    if manual and sharding is None:
        sharding = NamedSharding(jax.sharding.get_abstract_mesh(), P())
    return jax.ShapeDtypeStruct(
        kind.shape,
        kind.dtype,
        sharding=sharding,
        weak_type=kind.weak_type,
        **manual,
    )


def zeros(like: Any, dtype: Any = None) -> jax.Array:
    """Zeros with the shape and mesh type of an array or ShapeDtypeStruct."""
    return lax.full_like(like, 0, dtype)


def match_type(value: Any, like: Any) -> jax.Array:
    """`value` with the shape (by broadcasting) and mesh type of `like`."""
    value = jnp.broadcast_to(value, like.shape)
    if is_random_key(value):
        return value
    zero = zeros(like, value.dtype)
    kind = jax.typeof(zero)
    if not _varying(zero) and not any(kind.sharding.spec):
        return value
    # Elementwise operations give what is replicated the type of what is not.
    return value | zero if value.dtype == bool else value + zero
