# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What all cells need to draw their parameters."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax._dtypes import accum_dtype
from lstm_jax.initializers import BiasInit, WeightInit, biases, weights


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


class Drawing(NamedTuple):
    """The initialisers of a cell, and the dtype of what they draw.

    What a user's function gives back is checked: its kind, dtype and shape.
    """

    call: str
    kernel_init: WeightInit
    recurrent_init: WeightInit
    bias_init: BiasInit
    dtype: jnp.dtype

    def blocks(
        self, name: str, keys: jax.Array, rows: int, columns: Sequence[int]
    ) -> jax.Array:
        """A block (rows, n) for each n of `columns` and its key, side by side."""
        init, wide = getattr(self, name), accum_dtype(self.dtype)
        blocks = [
            weights(self.call, name, init, key, (rows, n), wide)
            for key, n in zip(keys, columns, strict=True)
        ]
        return jnp.concatenate(blocks, 1).astype(self.dtype)

    def biases(self, key: jax.Array, units: int, gates: str) -> jax.Array:
        """The biases of the gates, (G·H,)."""
        wide = accum_dtype(self.dtype)
        b = biases(self.call, self.bias_init, key, units, gates, wide)
        return b.astype(self.dtype)
