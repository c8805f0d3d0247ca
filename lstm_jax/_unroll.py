# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""unroll: the semantic contract for anybody's step function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._chunks import sequence_length
from lstm_jax._inputs import Request
from lstm_jax._masks import masked_step, select, step_masks, tree_zeros, valid_steps
from lstm_jax._sequence import sequence_args
from lstm_jax._types import (
    is_random_key,
    match_manual_axes,
    match_type,
    typed_eval_shape,
)
from lstm_jax.checks.unroll import check_kept, check_unroll
from lstm_jax.implementations.base import Implementation, check_implementation
from lstm_jax.implementations.scan import Scan

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def unroll(
    step: Step,
    params: Any,
    state: Any,
    xs: Any,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reset_state: Any = None,
    time_major: bool = True,
    reverse: bool = False,
    truncate: int | None = None,
    implementation: Implementation | None = None,
) -> tuple[Any, Any]:
    """Unrolls any step function over time, differentiated by JAX.

    With everything optional left out it is::

        for t in range(T):
            state, ys[t] = step(params, state, xs[t])

    Call it under `jax.jit`: a scan that is called eagerly is compiled anew each time.

    Args:
        step: step(params, state, x_t) -> (state, y_t); the state keeps its structure,
            shapes and dtypes.
        params: whatever the step wants.
        state: tree that enters first; with lengths, mask or resets, leaves (*B, …).
        xs: tree of (T, *B, …); random keys may be among its leaves, one a step.
        lengths: (*B,) integers: from there on the state stays, ys is zero, and the step
            is given x = 0, where it must be finite, its derivative included.
        mask: (T, *B) booleans in place of lengths: likewise where it is False.
        resets: (T, *B) booleans: True where a new sequence begins; they act where the
            mask is False too, but not beyond the length.
        reset_state: tree like the state with which it begins; zeros if None.
        time_major: False where xs, ys, mask and resets are (B, T, …).
        reverse: from the last valid step to the first; ys in the order of xs.
        truncate: no gradient passes the state across t = k, 2k, 3k, …
        implementation: `Scan(...)`, `Loop()` or another `Implementation`; None for
            `Scan()`.

    Returns:
        The state after the step that is processed last, and the tree of ys (T, …).

    Raises:
        ValueError: shapes or values that disagree.
        TypeError: dtypes or kinds that disagree; a step that changes its state's type.
        NotImplementedError: the implementation cannot run this.

    Example:
        >>> import jax.numpy as jnp
        >>> def step(decay, total, x):
        ...     total = decay * total + x
        ...     return total, total
        >>> unroll(step, 0.5, jnp.zeros(()), jnp.ones(4))[1].tolist()
        [1.0, 1.5, 1.75, 1.875]
    """
    call = "unroll"
    implementation = Scan() if implementation is None else implementation
    args = sequence_args(
        lengths,
        mask,
        resets,
        reset_state=reset_state,
        time_major=time_major,
        truncate=truncate,
    )
    check_unroll(call, xs, state, args)
    params, state, xs, args = match_manual_axes((params, state, xs, args))
    state, xs = jax.tree.map(jnp.asarray, (state, xs))
    if not time_major:
        xs, mask, resets = jax.tree.map(_swap_axes, (xs, args.mask, args.resets))
        args = args.replace(mask=mask, resets=resets)
    steps = sequence_length(xs)
    check_implementation(call, implementation, Request(steps, args=args))
    valid = valid_steps(steps, args.lengths, args.mask)
    if valid is not None:
        xs = select(valid, xs, tree_zeros(xs))

    def step_of_params(state: Any, x_t: Any) -> tuple[Any, Any]:
        return step(params, state, x_t)

    after, _ = typed_eval_shape(step_of_params, state, jax.tree.map(_one_step, xs))
    check_kept(call, state, after)
    state = jax.tree.map(match_type, state, after)
    start = args.reset_state
    if args.resets is not None:
        given = tree_zeros(state) if start is None else start
        start = jax.tree.map(
            lambda g, k: match_type(jnp.asarray(g, k.dtype), k), given, after
        )
    masks = step_masks(steps, args.lengths, args.mask, args.resets, truncate, reverse)
    body = masked_step(step_of_params, start)
    state, ys = implementation.iterate(body, state, (xs, masks), reverse)
    return state, ys if time_major else jax.tree.map(_swap_axes, ys)


def _swap_axes(a: jax.Array) -> jax.Array:
    return jnp.swapaxes(a, 0, 1)


def _one_step(a: jax.Array) -> Any:
    """The type of one step of a sequence, even where there is none: that of a sum."""
    if is_random_key(a):
        return jax.ShapeDtypeStruct(a.shape[1:], a.dtype)
    return typed_eval_shape(lambda a: a.sum(0, dtype=a.dtype), a)
