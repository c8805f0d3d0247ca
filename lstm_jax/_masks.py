# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Lengths, masks, resets and truncation, over any step of any kind.

The primal scan, its tangent and a user's own step all pass through here, so that the
semantic contract is written once.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._types import is_random_key

Body = Callable[[Any, Any], tuple[Any, Any]]  # what lax.scan takes


class StepMasks(NamedTuple):
    """What happens at each step, laid out for the direction of processing.

    Attributes:
        valid: (T, *B) the step counts; it is not padding, and no mask hides it.
        reset: (T, *B) the state entering the step is the reset state.
        cut: (T,) or (T, *B) no gradient enters the step through the state.
    """

    valid: Any = None
    reset: Any = None
    cut: Any = None


def valid_steps(steps: Any, lengths: Any, mask: Any = None) -> Any:
    """(T, *B) which steps count, by lengths (*B,) or mask (T, *B); None for all."""
    if lengths is None:
        return mask
    t = jnp.arange(steps)
    # No wider than JAX's integers, no narrower than T may need.
    lengths = jnp.asarray(lengths, t.dtype)
    return lax.expand_dims(t, range(1, 1 + lengths.ndim)) < lengths[None]


def step_masks(
    steps: Any,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    truncate: int | None = None,
    reverse: bool = False,
) -> StepMasks:
    """Lays out lengths (*B,) or mask, resets (both (T, *B)) and truncation."""
    valid = valid_steps(steps, lengths, mask)
    t = jnp.arange(steps)
    cut = None if truncate is None else (t > 0) & (t % truncate == 0)
    if lengths is not None and resets is not None:
        resets = resets & valid  # there is nothing beyond the length
    if cut is not None and valid is not None:
        acts = valid if resets is None else valid | resets
        cut = lax.expand_dims(cut, range(1, valid.ndim)) & _between(acts)
    if reverse:  # a boundary before step t is met on entering step t - 1
        resets, cut = jax.tree.map(partial(shifted, by=-1), (resets, cut))
    return StepMasks(valid, resets, cut)


def shifted(sequence: jax.Array, by: int) -> jax.Array:
    """A sequence (T, ...) moved by some steps, later ones if positive; zeros enter."""
    zero = jnp.zeros((), sequence.dtype)
    rest = [(0, 0, 0)] * (sequence.ndim - 1)
    return lax.pad(sequence, zero, [(by, -by, 0), *rest])


def _between(acts: jax.Array) -> jax.Array:
    """(T, *B) whether the state changes on both sides of the boundary before t.

    Where it does not, it is the one given or the last one, and so is its gradient.

    Args:
        acts: (T, *B) the step counts, or the state is reset.
    """
    steps = acts.shape[0]
    t = lax.expand_dims(jnp.arange(steps), range(1, acts.ndim))
    first = jnp.where(acts, t, steps).min(0, initial=steps)
    last = jnp.where(acts, t, -1).max(0, initial=-1)
    return (first[None] < t) & (t <= last[None])


def select(mask: jax.Array, a: Any, b: Any) -> Any:
    """`where` over trees, with the mask on the leading axes of every leaf."""

    def leaf(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(lax.expand_dims(mask, range(mask.ndim, a.ndim)), a, b)

    return jax.tree.map(leaf, a, b)


def tree_zeros(tree: Any) -> Any:
    """Zeros of the same types; random keys, which have no zero, stay."""
    return jax.tree.map(lambda a: a if is_random_key(a) else jnp.zeros_like(a), tree)


def masked_step(
    step: Body, reset_state: Any, at_cut: Callable[[Any], Any] = lax.stop_gradient
) -> Body:
    """Makes a step obey its `StepMasks`, which come beside its input.

    Args:
        step: (state, x) -> (state, y).
        reset_state: enters where a reset is; a tree like the state.
        at_cut: what becomes of a state that enters across a cut; a tangent is zero.

    Returns:
        (state, (x, masks)) -> (state, y): a body for `lax.scan`.
    """

    def body(state: Any, inputs: tuple[Any, StepMasks]) -> tuple[Any, Any]:
        x, masks = inputs
        if masks.cut is not None:
            state = select(masks.cut, at_cut(state), state)
        if masks.reset is not None:
            state = select(masks.reset, reset_state, state)
        new, y = step(state, x)
        if masks.valid is not None:
            new = select(masks.valid, new, state)
            y = select(masks.valid, y, tree_zeros(y))
        return new, y

    return body
