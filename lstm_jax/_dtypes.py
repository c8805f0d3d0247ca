# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Dtypes: promotion, and the one in which sums are taken."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def result_dtype(*trees: Any) -> jnp.dtype:
    """The promoted dtype of all floating leaves, under JAX's standard promotion.

    JAX's default where there are none.
    """

    def is_floating(a: Any) -> bool:
        kind: Any = getattr(a, "dtype", a)
        return isinstance(a, float) or jnp.issubdtype(kind, jnp.floating)

    floating = [a for a in jax.tree.leaves(trees) if is_floating(a)]
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*floating) if floating else jnp.result_type(float)


def accum_dtype(dtype: Any) -> jnp.dtype:
    """The dtype of the cell state and of all sums: float32 for 16-bit types."""
    return jnp.dtype(jnp.float32 if jnp.dtype(dtype).itemsize < 4 else dtype)


def as_array(value: Any) -> Any:
    """An array for what has no dtype of its own: a list of numbers or of tracers."""
    if value is None or hasattr(value, "dtype"):
        return value
    traced = any(isinstance(v, jax.core.Tracer) for v in jax.tree.leaves(value))
    return (jnp if traced else np).asarray(value)
