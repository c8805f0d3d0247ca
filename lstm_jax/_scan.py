# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Lengths, resets, truncation and chunks of time, over any step of any kind.

The primal scan, its tangent and a user's own step all pass through here, so that the
semantic contract is written once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lstm_jax._types import extended

Body = Callable[[Any, Any], tuple[Any, Any]]  # what lax.scan takes


class Controls(NamedTuple):
    """What happens at each step, laid out for the direction of processing.

    Attributes:
        valid: (T, *B) the step is not padding.
        reset: (T, *B) the state entering the step is the reset state.
        cut: (T,) or (T, *B) no gradient enters the step through the state.
    """

    valid: Any = None
    reset: Any = None
    cut: Any = None


def controls(
    steps: Any, lengths: Any, resets: Any, truncate: int | None, reverse: bool
) -> Controls:
    """Lays out lengths (*B,), resets (T, *B) and truncation for every step."""
    t = jnp.arange(steps)
    valid = cut = None
    if lengths is not None:
        # No wider than JAX's integers, no narrower than T may need.
        lengths = jnp.asarray(lengths, t.dtype)
        valid = lax.expand_dims(t, range(1, 1 + lengths.ndim)) < lengths[None]
    if truncate is not None:
        cut = (t > 0) & (t % truncate == 0)
    if not reverse:
        return Controls(valid, resets, cut)

    def entering(boundary: Any) -> Any:
        """A boundary before step t is met, backward, on entering step t - 1."""
        if boundary is None:
            return None
        if valid is not None:  # beyond the length there is nothing to come from
            missing = range(boundary.ndim, valid.ndim)
            boundary = lax.expand_dims(boundary, missing) & valid
        ahead = [(-1, 1, 0)] + [(0, 0, 0)] * (boundary.ndim - 1)
        return lax.pad(boundary, False, ahead)

    return Controls(valid, entering(resets), entering(cut))


def array(value: Any) -> Any:
    """An array for what has no dtype of its own, as a list of numbers or of tracers."""
    if value is None or hasattr(value, "dtype"):
        return value
    traced = any(isinstance(v, jax.core.Tracer) for v in jax.tree.leaves(value))
    return (jnp if traced else np).asarray(value)


def select(mask: jax.Array, a: Any, b: Any) -> Any:
    """`where` over trees, with the mask on the leading axes of every leaf."""

    def leaf(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(lax.expand_dims(mask, range(mask.ndim, a.ndim)), a, b)

    return jax.tree.map(leaf, a, b)


def blank(tree: Any) -> Any:
    """Zeros of the same types; random keys, which have no zero, stay."""
    return jax.tree.map(lambda a: a if extended(a) else jnp.zeros_like(a), tree)


def guarded(
    step: Body, reset_state: Any, at_cut: Callable[[Any], Any] = lax.stop_gradient
) -> Body:
    """Makes a step obey its `Controls`, which come beside its input.

    Args:
        step: (state, x) -> (state, y).
        reset_state: enters where a reset is; a tree like the state.
        at_cut: what becomes of a state that enters across a cut; a tangent is zero.

    Returns:
        (state, (x, controls)) -> (state, y): a body for `lax.scan`.
    """

    def body(carry: Any, inputs: tuple[Any, Controls]) -> tuple[Any, Any]:
        x, control = inputs
        state = carry
        if control.cut is not None:
            state = select(control.cut, at_cut(state), state)
        if control.reset is not None:
            state = select(control.reset, reset_state, state)
        state, y = step(state, x)
        if control.valid is not None:
            state = select(control.valid, state, carry)
            y = select(control.valid, y, blank(y))
        return state, y

    return body


def length(xs: Any) -> Any:
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
        xs: (inputs, controls), trees of (T, ...).
        steps: steps in a chunk; None for all.
        reverse: the last chunk is processed first.
        inner: what runs a whole chunk inside the scan, if not `run`.

    Returns:
        The carry after all chunks and the tree of (T, ...) that `run` would give.
    """
    total = length(xs)
    fixed = isinstance(total, int)
    if steps is None or (fixed and total <= steps):
        return run(carry, xs)
    if not fixed:
        xs = _padded(xs, steps)
    count = length(xs) // steps
    whole = count * steps
    rest = length(xs) - whole

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
    """Fills the last chunk of a symbolic T with steps that are not valid.

    They repeat the last step's input, so that a step is only run on what is real.
    """
    inputs, control = xs
    total = length(xs)
    missing = (total + steps - 1) // steps * steps - total
    valid = control.valid
    if valid is None:
        valid = jnp.ones(total, bool)

    def repeat(a: jax.Array) -> jax.Array:
        last = jnp.broadcast_to(a[-1:], (missing, *a.shape[1:]))
        return jnp.concatenate([a, last])

    inputs, control = jax.tree.map(repeat, (inputs, control._replace(valid=None)))
    after = [(0, missing, 0)] + [(0, 0, 0)] * (valid.ndim - 1)
    return inputs, control._replace(valid=lax.pad(valid, False, after))
