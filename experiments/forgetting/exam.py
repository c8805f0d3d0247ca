# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Test streams: how many symbols a net predicts until it is wrong for the first time.

The nets are the last axis of all arrays, and each stream has a net of its own. Streams
that have failed are dropped, so that the few that go on for long cost little.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.forgetting import grammar

FEWEST = 64  # streams side by side; a program is compiled for each power of two
CHUNK = 1000  # symbols between two looks at who is left


class Net(NamedTuple):
    """A kind of net.

    Attributes:
        begin: params -> the state that a stream begins with.
        step: (params, state, reader) -> (state, y (7, N)).
        memory: state -> the norm of c (N,).
    """

    begin: Callable[[Any], Any]
    step: Callable[[Any, Any, grammar.Reader], tuple[Any, jax.Array]]
    memory: Callable[[Any], jax.Array]


class Streams(NamedTuple):
    """Streams under way.

    Attributes:
        state: of the net that reads.
        reader: where the stream is.
        alive: (N,) whether all has been predicted.
        length: (N,) symbols predicted.
    """

    state: Any
    reader: grammar.Reader
    alive: jax.Array
    length: jax.Array


@partial(jax.jit, static_argnums=0)
def read_chunk(
    net: Net, params: Any, streams: Streams, bits: jax.Array
) -> tuple[Streams, jax.Array]:
    """As many symbols of all streams as there are bits (count, N).

    Returns:
        The streams, and the norm of c (count, N).
    """

    def one(streams: Streams, bit: jax.Array) -> tuple[Streams, jax.Array]:
        state, reader, alive, length = streams
        state, y = net.step(params, state, reader)
        alive = alive & grammar.right(reader, y)
        reader = grammar.move(reader, bit)
        return Streams(state, reader, alive, length + alive), net.memory(state)

    return jax.lax.scan(one, streams, bits)


def pick(tree: Any, which: np.ndarray) -> Any:
    """Entries of the last axis."""
    return jax.tree.map(lambda a: np.take(a, which, -1), jax.device_get(tree))


def begin(net: Net, params: Any) -> Streams:
    """A stream for each net, before its first symbol."""
    state = net.begin(params)
    reader = grammar.begin(jax.tree.leaves(state)[0].shape[-1])
    alive = jnp.ones(reader.place.shape, bool)
    return Streams(state, reader, alive, jnp.zeros_like(reader.place))


def lengths(
    net: Net,
    params: Any,
    names: np.ndarray,
    longest: int,
    common: int,
    taking: np.ndarray | None = None,
) -> np.ndarray:
    """Symbols until the first wrong prediction.

    Args:
        net: what kind the nets are of.
        params: of N nets.
        names: (M, N, ...) integers: M streams for each net.
        longest: where streams end.
        common: where a net's streams end if it has failed in one of them; if all went
            further, they end at its first failure.
        taking: (N,) which nets take part; None for all.

    Returns:
        (M, N) integers.
    """
    count, nets = names.shape[:2]
    names = names.reshape(count * nets, -1)
    found = np.zeros(count * nets, int)
    own = np.arange(count * nets)  # which stream each lane has
    params = pick(params, own % nets)
    streams = begin(net, params)
    if taking is not None:
        streams = streams._replace(alive=jnp.tile(taking, count))
    for position in range(-(-longest // CHUNK)):
        whole = np.all(found.reshape(count, nets) >= position * CHUNK, 0)
        kept = np.logical_or(whole, position * CHUNK < common)
        left = np.flatnonzero(np.asarray(streams.alive) & kept[own % nets])
        if not len(left):
            break
        size = max(FEWEST, 1 << (len(left) - 1).bit_length())
        if size < len(own):
            # What fills up repeats a stream, and so finds the same.
            lanes = np.resize(left, size)
            params, streams = pick((params, streams), lanes)
            own = own[lanes]
        bits = grammar.bits(names[own], position, CHUNK)
        streams, _ = read_chunk(net, params, streams, bits)
        found[own] = np.asarray(streams.length)
    found = found.reshape(count, nets)
    return np.minimum(found, np.maximum(found.min(0), common))


def norms(net: Net, params: Any, names: np.ndarray, longest: int) -> np.ndarray:
    """The norm of c (longest, N) along streams, right or wrong, mean over M of them.

    Args:
        net: what kind the nets are of.
        params: of N nets.
        names: (M, N, ...) integers: M streams for each net.
        longest: symbols.
    """
    count, nets = names.shape[:2]
    names = names.reshape(count * nets, -1)
    params = pick(params, np.arange(count * nets) % nets)
    streams, found = begin(net, params), []
    for position in range(-(-longest // CHUNK)):
        bits = grammar.bits(names, position, CHUNK)
        streams, norm = read_chunk(net, params, streams, bits)
        found.append(np.asarray(norm).reshape(CHUNK, count, nets).mean(1))
    return np.concatenate(found)[:longest]
