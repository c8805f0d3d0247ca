# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The continual embedded Reber grammar as a machine of integers, for the device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.reber import REBER, SYMBOLS

Place = tuple[str, int]  # the outer T or P, and where in the string


class Machine(NamedTuple):
    """What follows at each of P places; a place is what has been read of a string.

    Attributes:
        symbol: (P, 2) the symbol that bit 0 and bit 1 choose; one where one is legal.
        place: (P, 2) the place after that symbol.
        legal: (P, 7) bool: what may follow.
    """

    symbol: np.ndarray
    place: np.ndarray
    legal: np.ndarray


class Reader(NamedTuple):
    """Where streams (N,) are.

    Attributes:
        symbol: (N,) int32: the symbol to be read now.
        place: (N,) int32: the place after it.
    """

    symbol: jax.Array
    place: jax.Array


def _machine() -> Machine:
    """Writes out the grammar; place 0 is that after a string's first B."""
    last = len(REBER)  # Reber's own states come first, then the outer symbol, then E
    follow: dict[Place, dict[str, Place]] = {("", 0): {s: (s, 0) for s in "PT"}}
    for outer in "PT":
        for state, moves in enumerate(REBER):
            follow[outer, state] = {s: (outer, to) for s, to in moves.items()}
        follow[outer, last] = {outer: (outer, last + 1)}
        follow[outer, last + 1] = {"E": ("", 1)}
    follow["", 1] = {"B": ("", 0)}
    number = {place: n for n, place in enumerate(follow)}
    ways = [sorted(moves.items()) for moves in follow.values()]
    pairs = [(way[0], way[-1]) for way in ways]
    return Machine(
        np.array([[SYMBOLS.index(s) for s, _ in pair] for pair in pairs], np.int32),
        np.array([[number[to] for _, to in pair] for pair in pairs], np.int32),
        np.array([[s in moves for s in SYMBOLS] for moves in follow.values()]),
    )


MACHINE = _machine()


def begin(count: int) -> Reader:
    """Streams that are about to give the B of their first string."""
    first = jnp.full(count, SYMBOLS.index("B"), jnp.int32)
    return Reader(first, jnp.zeros(count, jnp.int32))


def bits(streams: np.ndarray, position: int, count: int) -> np.ndarray:
    """Random bits (count, N) int32, a function of their place.

    Args:
        streams: (N, ...) integers that name the streams.
        position: chunks of each stream before this one.
        count: symbols of the chunk.
    """
    drawn = [
        np.random.default_rng([*name, position]).integers(0, 2, count, np.int32)
        for name in streams
    ]
    return np.stack(drawn, -1)


def move(reader: Reader, bit: jax.Array) -> Reader:
    """The next symbols, chosen by bits (N,) where two are legal."""
    symbol, place = jnp.asarray(MACHINE.symbol), jnp.asarray(MACHINE.place)
    return Reader(symbol[reader.place, bit], place[reader.place, bit])


def legal(reader: Reader) -> jax.Array:
    """What may follow, (7, N)."""
    return jnp.asarray(MACHINE.legal.T)[:, reader.place]


def right(reader: Reader, y: jax.Array) -> jax.Array:
    """Whether the legal symbols are the most active of the outputs y (7, N)."""
    allowed = legal(reader)
    lowest = jnp.min(jnp.where(allowed, y, jnp.inf), 0)
    return lowest > jnp.max(jnp.where(allowed, -jnp.inf, y), 0)
