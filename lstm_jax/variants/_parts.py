# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the cells with parameters of their own have in common."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax._cell import along, matmul, wide
from lstm_jax._init import _dtype, _size
from lstm_jax.initializers import WeightInit

Shapes = dict[str, tuple[int, ...]]


class Kind(NamedTuple):
    """A cell: functions of its parameters, which have been checked.

    Attributes:
        shapes: params -> the shape that each leaf must have, judged by that of w_x.
        zeros: (params, *B, dtype) -> the state of zeros.
        step: (params, state, x) -> (state, y); the state is typed like `zeros` in the
            dtype of x.
        demands: (call, params) raises for what is static.
        inputs: params -> I.
    """

    shapes: Callable[[Any], Shapes]
    zeros: Callable[[Any, tuple[int, ...], Any], Any]
    step: Callable[[Any, Any, jax.Array], tuple[Any, jax.Array]]
    demands: Callable[[str, Any], None] = lambda call, params: None
    inputs: Callable[[Any], int] = lambda params: params.w_x.shape[0]


def sizes(
    call: str, input_size: Any, hidden_size: Any, dtype: Any
) -> tuple[int, int, jnp.dtype]:
    """I, H and the dtype, checked."""
    inputs = _size(call, "input_size", input_size)
    return inputs, _size(call, "hidden_size", hidden_size), _dtype(call, dtype)


def draw(
    init: WeightInit, key: jax.Array, rows: int, columns: Sequence[int], dtype: Any
) -> jax.Array:
    """A block (rows, n) for each n of `columns`, side by side."""
    keys = jax.random.split(key, len(columns))
    blocks = [
        init(k, (rows, n), wide(dtype)) for k, n in zip(keys, columns, strict=True)
    ]
    return jnp.concatenate(blocks, 1).astype(dtype)


def product(a: jax.Array, w: Any) -> jax.Array:
    """The product a · w, accumulated and returned in the wide dtype of a."""
    return matmul(a, jnp.asarray(w, a.dtype))


def biased(z: jax.Array, b: Any) -> jax.Array:
    """The sum z + b, where there is a b."""
    return z if b is None else z + along(jnp.asarray(b, z.dtype), z)
