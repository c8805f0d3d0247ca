# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Checks of `unroll`, whose xs and state are any trees."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._inputs import SequenceArgs
from lstm_jax.checks.messages import (
    Layout,
    check_bool,
    check_leading,
    check_shape,
    check_steps,
    is_key,
)
from lstm_jax.checks.sequence import check_valid_steps


def check_unroll(call: str, xs: Any, state: Any, args: SequenceArgs) -> None:
    """Checks the arguments of `unroll`."""
    leaves = jax.tree_util.tree_leaves_with_path(xs)
    axes = 1 if args.time_major else 2
    if not leaves or not all(jnp.ndim(a) >= axes for _, a in leaves):
        shape = "(T, *B, …)" if args.time_major else "(B, T, …)"
        raise ValueError(f"{call}: xs must be a tree of arrays {shape}; got {xs!r}.")
    steps = jnp.shape(leaves[0][1])[axes - 1]
    batch = _batch(leaves[0][1], args)
    outer = _outer(steps, batch, args.time_major)
    if args.resets is not None:
        check_bool(call, "resets", args.resets)
        why = f"{'(T, *B)' if args.time_major else '(B, T)'}, the time and batch axes"
        check_shape(call, "resets", args.resets, outer, f"{why} of x")
    known = Layout(steps, batch or ())
    check_valid_steps(call, args.lengths, args.mask, known, outer, "xs")
    for path, a in leaves:
        where = f"xs{jax.tree_util.keystr(path)}"
        check_leading(call, where, a, outer, "T of the first leaf and *B")
    if batch is not None:
        for path, a in jax.tree_util.tree_leaves_with_path(state):
            where = f"state{jax.tree_util.keystr(path)}"
            check_leading(call, where, a, batch, "*B of lengths, mask or resets")
    _check_reset_state(call, state, args)
    check_steps(call, "truncate", args.truncate)


def _batch(first: Any, args: SequenceArgs) -> tuple[Any, ...] | None:
    """*B, as far as anything but xs tells it; None where nothing does."""
    if not args.time_major:
        return (jnp.shape(first)[0],)
    for masks in (args.resets, args.mask):
        if masks is not None:
            return tuple(getattr(masks, "shape", ()))[1:]
    return None if args.lengths is None else tuple(getattr(args.lengths, "shape", ()))


def _outer(steps: Any, batch: Any, time_major: bool) -> tuple[Any, ...]:
    return (steps, *(batch or ())) if time_major else (*batch, steps)


def _check_reset_state(call: str, state: Any, args: SequenceArgs) -> None:
    given = args.reset_state
    keys = [a for a in jax.tree.leaves(state) if is_key(a)]
    if args.resets is not None and given is None and keys:
        raise ValueError(
            f"{call}: reset_state must be given where the state holds random keys, "
            "which have no zero; got None."
        )
    if given is None:
        return
    if args.resets is None:
        raise ValueError(f"{call}: reset_state has no effect without resets.")
    got, want = jax.tree.structure(given), jax.tree.structure(state)
    if got != want:  # type: ignore[operator]
        raise ValueError(
            f"{call}: reset_state must have the structure of state, {want}; got {got}."
        )


def check_kept(call: str, before: Any, after: Any) -> None:
    """Checks that a step gave its state back with the types it had."""
    one, two = jax.tree.structure(before), jax.tree.structure(after)
    if one != two:  # type: ignore[operator]
        raise TypeError(
            f"{call}: step must return a state of the structure it was given, {one}; "
            f"got {two}."
        )
    named = jax.tree_util.tree_leaves_with_path(before)
    for (path, a), b in zip(named, jax.tree.leaves(after), strict=True):
        if (a.shape, a.dtype) != (b.shape, b.dtype) and not a.weak_type:
            raise TypeError(
                f"{call}: step must keep the shape and dtype of the state; "
                f"state{jax.tree_util.keystr(path)} is {a.dtype}{list(a.shape)} and "
                f"becomes {b.dtype}{list(b.shape)}."
            )
