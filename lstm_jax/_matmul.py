# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Matrix products: accumulated in float32 at least, and fast to transpose."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from lstm_jax._dtypes import accum_dtype


def expand_like(vector: jax.Array, like: jax.Array) -> jax.Array:
    """Adds leading axes to a vector until it has as many as `like`."""
    return lax.expand_dims(vector, range(like.ndim - vector.ndim))


def matmul(a: jax.Array, w: jax.Array) -> jax.Array:
    """(..., K) times (K, N), accumulated and returned in the accumulation dtype."""
    return jnp.matmul(a, w, preferred_element_type=accum_dtype(w.dtype))


def matmul_by_transpose(a: jax.Array, turned: jax.Array) -> jax.Array:
    """`matmul` of a and w, from the transpose of w.

    Its own transpose, in a, is a product with what is there, so that a loop over steps
    transposes nothing. Alone, in forward mode, it transposes w at every step instead.
    """
    last = a.ndim - 1
    return lax.dot_general(
        a,
        turned,
        (((last,), (1,)), ((), ())),
        preferred_element_type=accum_dtype(turned.dtype),
    )


def add_bias(z: jax.Array, b: Any) -> jax.Array:
    """The sum z + b, where there is a b."""
    return z if b is None else z + expand_like(jnp.asarray(b, z.dtype), z)


def matmul_by_columns(a: jax.Array, w: jax.Array) -> jax.Array:
    """`matmul` of a sequence (T, *B, K), of which the transpose in w is fast.

    That transpose, the gradient of w, is aᵀ times a cotangent. It reaches the speed of
    a square product where both are matrices in memory and aᵀ has been copied before;
    left as sums over T and over *B, the compiler copies the cotangent, which is wider.
    T goes behind *B, since an axis that is sharded can only lead when axes are merged;
    where another one is, in a mesh with explicit axes, they stay apart. Alone, in
    forward mode, it costs a copy of a and of the result.
    """
    if any(jax.typeof(a).sharding.spec[2:-1]):
        return matmul(a, w)
    steps, *batch, width = a.shape
    rows = math.prod(batch) * steps
    columns = jnp.moveaxis(a, (-1, 0), (0, -1)).reshape(width, rows)
    product = lax.dot_general(
        lax.optimization_barrier(columns),
        w,
        (((0,), (0,)), ((), ())),
        preferred_element_type=accum_dtype(w.dtype),
    )
    return jnp.moveaxis(product.reshape(*batch, steps, w.shape[-1]), -2, 0)


@jax.custom_jvp
def sequence_matmul(a: jax.Array, w: jax.Array) -> jax.Array:
    """`matmul` of a sequence (T, *B, K) whose gradient of w is `matmul_by_columns`."""
    return matmul(a, w)


@partial(sequence_matmul.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (a, w), (da, dw) = primals, tangents
    parts = [
        product(*factors)
        for product, factors in ((matmul, (da, w)), (matmul_by_columns, (a, dw)))
        if not any(isinstance(f, SymbolicZero) for f in factors)
    ]
    return matmul(a, w), sum(parts[1:], parts[0])
