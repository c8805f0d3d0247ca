# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The three tasks: what a net sees, and what is asked of it."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import reber

# What to do when the mark falls on the first pair, whose marker is -1 otherwise.
READINGS = ("marker 1, value 0", "marker -1, value ignored", "marker 1, value ignored")


class Sample(NamedTuple):
    """One sequence of T steps, padding included.

    Attributes:
        x: (T, I) the input.
        target: (T, O) what the outputs should be.
        asked: (T,) 1 where they are compared with it, 0 elsewhere.
    """

    x: jax.Array
    target: jax.Array
    asked: jax.Array


def _below(uniform: jax.Array, count: int) -> jax.Array:
    """Integers below a count from numbers U[0, 1)."""
    return jnp.floor(uniform * count).astype(int)


def _at_the_end(x: jax.Array, target: jax.Array, length: jax.Array) -> Sample:
    """A sequence that is asked about once, at its last step."""
    time = jnp.arange(len(x))
    return Sample(
        x,
        jnp.broadcast_to(target, (len(x), len(target))),
        (time == length - 1).astype(x.dtype),
    )


def adding(key: jax.Array, reading: jax.Array, steps: int) -> Sample:
    """Two of the numbers are marked: their sum, scaled to [0, 1].

    Args:
        key: a JAX random key.
        reading: index into `READINGS`.
        steps: T of the paper; at least 20.

    Returns:
        A `Sample` with I = 2, a value and a marker, and O = 1.
    """
    time = jnp.arange(steps + steps // 10)
    drawn = jax.random.uniform(key, (len(time) + 3,))
    length = steps + _below(drawn[0], steps // 10 + 1)
    one, two = _below(drawn[1], 10), _below(drawn[2], steps // 2 - 1)
    value = 2.0 * drawn[3:] - 1.0
    two = two + (two >= one)  # among those that are not marked yet
    marked = (time == one) | (time == two)
    first = time == 0
    marker = jnp.where(marked, 1.0, 0.0)
    marker = jnp.where(first & ((reading == 1) | ~marked), -1.0, marker)
    marker = jnp.where(time == length - 1, -1.0, marker)
    value = jnp.where(first & marked & (reading == 0), 0.0, value)
    total = jnp.sum(jnp.where(marked & ~first, value, 0.0))
    x = jnp.stack([value, marker], -1)
    return _at_the_end(x, 0.5 + total[None] / 4.0, length)


def temporal_order(key: jax.Array, choice: jax.Array, steps: int) -> Sample:
    """Symbols E, noise of a to d with two of X and Y in it, B: which two, in order?

    Args:
        key: a JAX random key.
        choice: there is none.
        steps: least length, 100 in the paper; the two stand 10 to 20 and 50 to 60
            hundredths of it after the beginning.

    Returns:
        A `Sample` with I = 8, E B a b c d X Y, and O = 4, XX XY YX YY.
    """
    time = jnp.arange(steps + steps // 10)
    drawn = jax.random.uniform(key, (len(time) + 5,))
    length = steps + _below(drawn[0], steps // 10 + 1)
    kinds = _below(drawn[1:3], 2)
    tenth = steps // 10
    shifts = _below(drawn[3:5], tenth + 1)
    one, two = tenth + shifts[0], 5 * tenth + shifts[1]
    symbol = 2 + _below(drawn[5:], 4)
    symbol = jnp.where(time == one, 6 + kinds[0], symbol)
    symbol = jnp.where(time == two, 6 + kinds[1], symbol)
    symbol = jnp.where(time == length - 1, 1, jnp.where(time == 0, 0, symbol))
    target = jax.nn.one_hot(2 * kinds[0] + kinds[1], 4)
    return _at_the_end(jax.nn.one_hot(symbol, 8), target, length)


class Strings(NamedTuple):
    """Strings of the embedded Reber grammar, padded to N symbols.

    Attributes:
        symbols: (…, N) int32.
        legal: (…, N, 7) bool: what may follow; nothing in the padding.
    """

    symbols: np.ndarray
    legal: np.ndarray


def strings(pair: int, count: int) -> tuple[list[reber.String], list[reber.String]]:
    """A training set and a test set of `count` strings each.

    Strings are drawn as the grammar has them, so that short ones come more than once;
    those of the training set are not used for testing.

    Args:
        pair: which pair of sets.
        count: strings in each.

    Returns:
        Both lists.
    """
    rng = np.random.default_rng([1997, pair])
    train = [reber.embedded(rng) for _ in range(count)]
    seen = {s.symbols.tobytes() for s in train}
    test: list[reber.String] = []
    while len(test) < count:
        string = reber.embedded(rng)
        if string.symbols.tobytes() not in seen:
            test.append(string)
    return train, test


def distinct(strings: list[reber.String]) -> list[reber.String]:
    """Each string once."""
    return list({s.symbols.tobytes(): s for s in strings}.values())


def padded(sets: Sequence[list[reber.String]]) -> Strings:
    """Sets of strings as arrays, (sets, strings, N)."""
    steps = max(len(s.symbols) for strings in sets for s in strings)
    shape = len(sets), max(map(len, sets)), steps
    symbols, legal = np.zeros(shape, np.int32), np.zeros((*shape, 7), bool)
    for n, strings in enumerate(sets):
        for k, string in enumerate(strings):
            symbols[n, k, : len(string.symbols)] = string.symbols
            legal[n, k, : len(string.symbols)] = string.legal
    return Strings(symbols, legal)


def reber_sample(
    key: jax.Array, chosen: jax.Array, sets: Strings, all_legal: bool = False
) -> Sample:
    """A string of the chosen set; after each of its symbols the next is asked for.

    Where `all_legal`, it is all symbols that may be the next.
    """
    n = _below(jax.random.uniform(key), sets.symbols.shape[1])
    symbols = jnp.asarray(sets.symbols)[chosen, n]
    x = jax.nn.one_hot(symbols, len(reber.SYMBOLS))
    legal = jnp.asarray(sets.legal)[chosen, n]
    target = legal.astype(x.dtype) if all_legal else jnp.roll(x, -1, 0)
    return Sample(x, target, legal.any(-1).astype(x.dtype))


def all_right(y: jax.Array, legal: jax.Array) -> jax.Array:
    """Whether the legal symbols are everywhere the most active outputs.

    Args:
        y: (…, N, 7) outputs.
        legal: (…, N, 7).

    Returns:
        (…,) bool.
    """
    least = jnp.min(jnp.where(legal, y, jnp.inf), -1)
    most = jnp.max(jnp.where(legal, -jnp.inf, y), -1)
    return jnp.all((least > most) | ~legal.any(-1), -1)
