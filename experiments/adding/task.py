# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The adding problem: a sequence of numbers, two of them marked; wanted is their sum.

References:
    Hochreiter, Schmidhuber 1997, Long Short-Term Memory. Le, Jaitly, Hinton 2015, A
    Simple Way to Initialize Recurrent Networks of Rectified Linear Units.
"""

import jax
import jax.numpy as jnp

CONSTANT = 1 / 6  # variance of a sum of two U[0, 1]: the error of always answering 1
SECOND_ONLY = 1 / 12  # of one U[0, 1]: the error of remembering the second alone


def sequences(key: jax.Array, length: int, count: int) -> tuple[jax.Array, jax.Array]:
    """Draws sequences.

    Args:
        key: a random key.
        length: T, at least 2.
        count: B.

    Returns:
        x (T, B, 2): a number of U[0, 1], and 1 at one step of each half, 0 at all
        others; and y (B,), the sum of the two marked numbers.
    """
    half = length // 2
    drawn = jax.random.uniform(key, (length + 2, count))  # one draw: quick to compile
    numbers, one, two = drawn[:-2], drawn[-2], drawn[-1]
    one = jnp.floor(half * one)
    two = half + jnp.floor((length - half) * two)
    steps = jnp.arange(length, dtype=drawn.dtype)[:, None]
    marks = ((steps == one[None]) | (steps == two[None])).astype(drawn.dtype)
    return jnp.stack([numbers, marks], -1), jnp.sum(numbers * marks, 0)
