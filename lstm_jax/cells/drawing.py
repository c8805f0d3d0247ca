# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What all cells need to draw their parameters."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._dtypes import accum_dtype
from lstm_jax.initializers import WeightInit


def positive_size(call: str, name: str, value: Any) -> int:
    """A size as an int."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ValueError(f"{call}: {name} must be a positive integer; got {value!r}.")
    return int(value)


def floating_dtype(call: str, dtype: Any) -> jnp.dtype:
    """A floating dtype as JAX has it; None for its default."""
    dtype = jnp.dtype(jax.dtypes.canonicalize_dtype(float if dtype is None else dtype))
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"{call}: dtype must be floating; got {dtype}.")
    return dtype


def draw_blocks(
    init: WeightInit, keys: jax.Array, rows: int, columns: Sequence[int], dtype: Any
) -> jax.Array:
    """A block (rows, n) for each n of `columns` and its key, side by side."""
    blocks = [
        init(key, (rows, n), accum_dtype(dtype))
        for key, n in zip(keys, columns, strict=True)
    ]
    return jnp.concatenate(blocks, 1).astype(dtype)
