# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Chunked scans.

A chunk is steps that are computed together; a segment is the steps between two
checkpoints. `Scan(window=…)` is a chunk of which the input product is taken at once; a
window of `lstm_jax.training` is the steps of truncated back-propagation.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._masks import Body


def sequence_length(xs: Any) -> Any:
    """The number of steps of a tree of sequences; an int, or symbolic."""
    return jax.tree.leaves(xs)[0].shape[0]


def divisor(steps: int, aim: int) -> int | None:
    """The smallest divisor of T between `aim` and twice that; None if there is none."""
    return next((k for k in range(aim, 2 * aim + 1) if steps % k == 0), None)


def chunked(
    run: Body, carry: Any, xs: Any, steps: Any, reverse: bool, inner: Body | None = None
) -> tuple[Any, Any]:
    """Runs a sequence as a scan over chunks of time, whatever their number.

    Args:
        run: (carry, xs) -> (carry, ys) over a sequence of any length.
        carry: what enters the chunk that is processed first.
        xs: (inputs, step masks), trees of (T, ...).
        steps: steps in a chunk; None for all.
        reverse: the last chunk is processed first.
        inner: what runs a whole chunk inside the scan, if not `run`.

    Returns:
        The carry after all chunks and the tree of (T, ...) that `run` would give.
    """
    total = sequence_length(xs)
    fixed = isinstance(total, int)
    if steps is None or (fixed and total <= steps):
        return run(carry, xs)
    if not fixed:
        xs = _padded(xs, steps)
    count = sequence_length(xs) // steps
    whole = count * steps
    rest = sequence_length(xs) - whole

    # The chunk that is not full is processed last.
    def fold(a: jax.Array) -> jax.Array:
        part = a[rest:] if reverse else a[:whole]
        return part.reshape(count, steps, *a.shape[1:])

    def unfold(a: jax.Array) -> jax.Array:
        return a.reshape(whole, *a.shape[2:])

    carry, ys = lax.scan(inner or run, carry, jax.tree.map(fold, xs), reverse=reverse)
    ys = jax.tree.map(unfold, ys)
    if not fixed:
        return carry, jax.tree.map(lambda a: a[:total], ys)
    if not rest:
        return carry, ys
    last = jax.tree.map(lambda a: a[:rest] if reverse else a[whole:], xs)
    carry, tail = run(carry, last)
    order = (tail, ys) if reverse else (ys, tail)
    return carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), *order)


def _padded(xs: Any, steps: int) -> Any:
    """Fills the last chunk of a symbolic T with steps that do not count.

    They repeat the last step's input, so that a step is only run on what is real.
    """
    inputs, masks = xs
    total = sequence_length(xs)
    missing = (total + steps - 1) // steps * steps - total

    def repeat_last(a: jax.Array) -> jax.Array:
        last = jnp.broadcast_to(a[-1:], (missing, *a.shape[1:]))
        return jnp.concatenate([a, last])

    def pad_false(a: jax.Array) -> jax.Array:
        return lax.pad(a, False, [(0, missing, 0)] + [(0, 0, 0)] * (a.ndim - 1))

    if masks.valid is None:
        masks = masks._replace(valid=jnp.ones(total, bool))
    return jax.tree.map(repeat_last, inputs), jax.tree.map(pad_false, masks)
