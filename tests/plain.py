# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The oracle for derivatives: an independent scan that JAX differentiates plainly.

It runs one row at a time under `jax.vmap`, turns sequences round by gathering and knows
nothing of the library's scan, masks or rule. Its step is the reference's.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax import Bidirectional, LSTMParams, LSTMState, Residual, Reverse, Stack
from lstm_jax.testing import reference_step


def _layer(
    cell: LSTMParams,
    x: Any,
    state: Any,
    reset_state: Any,
    reverse: bool,
    length: Any,
    resets: Any,
    truncate: int | None,
) -> Any:
    steps = x.shape[0]
    s = jnp.arange(steps)
    where = jnp.clip(length - 1 - s, 0, steps) if reverse else s  # time of each place
    # The boundary that is crossed on the way to each place, numbered by its later step.
    later = where + 1 if reverse else where
    inside = (later < length) & (later > 0)
    pad = jnp.zeros(1, bool)
    at_reset = jnp.concatenate([resets, pad])[later] & (inside | (later == 0))
    if reverse:
        at_reset &= inside
    at_cut = (
        jnp.zeros(steps, bool) if truncate is None else inside & (later % truncate == 0)
    )

    def body(carry: Any, inputs: Any) -> Any:
        x, live, reset, cut = inputs
        entering = jax.tree.map(
            lambda a, r: jnp.where(
                reset, r, jnp.where(cut, jax.lax.stop_gradient(a), a)
            ),
            carry,
            reset_state,
        )
        new, y = reference_step(cell, entering, x, xp=jnp)
        new = jax.tree.map(lambda a, b: jnp.where(live, a, b), new, carry)
        return LSTMState(*new), jnp.where(live, y, 0.0)

    inputs = x[where], s < length, at_reset, at_cut
    state, y = jax.lax.scan(body, LSTMState(*state), inputs)
    if reverse:
        y = jnp.where((s < length)[:, None], y[where], 0.0)
    return y, state


def _row(
    params: Any, x: Any, state: Any, reset_state: Any, reverse: bool, *a: Any
) -> Any:
    match params:
        case LSTMParams():
            return _layer(params, x, state, reset_state, reverse, *a)
        case Reverse(inner):
            return _row(inner, x, state, reset_state, not reverse, *a)
        case Residual(inner):
            y, state = _row(inner, x, state, reset_state, reverse, *a)
            return x + y, state
        case Bidirectional(one, two, merge):
            f, s = _row(one, x, state[0], reset_state[0], reverse, *a)
            b, r = _row(two, x, state[1], reset_state[1], not reverse, *a)
            joined = {
                "concat": lambda: jnp.concatenate([f, b], -1),
                "sum": lambda: f + b,
                "mul": lambda: f * b,
                "ave": lambda: 0.5 * (f + b),
            }
            return joined[merge](), (s, r)
        case Stack(layers):
            states = []
            for k, layer in enumerate(layers):
                x, new = _row(layer, x, state[k], reset_state[k], reverse, *a)
                states.append(new)
            return x, tuple(states)
    raise TypeError(params)


def plain(
    params: Any,
    x: Any,
    state: Any,
    *,
    lengths: Any = None,
    resets: Any = None,
    reset_state: Any = None,
    truncate: int | None = None,
) -> Any:
    """`apply` by other means: x (*B, T, I), a state for params, maybe to broadcast."""
    *batch, steps, _ = x.shape
    rows = math.prod(batch)

    def spread(tree: Any) -> Any:
        return jax.tree.map(
            lambda a: jnp.broadcast_to(a, (*batch, a.shape[-1])).reshape(
                rows, a.shape[-1]
            ),
            tree,
        )

    lengths = jnp.full(batch, steps) if lengths is None else lengths
    resets = jnp.zeros((*batch, steps), bool) if resets is None else resets
    reset_state = (
        jax.tree.map(jnp.zeros_like, state) if reset_state is None else reset_state
    )
    flat = x.reshape(rows, *x.shape[-2:])
    valid = jnp.arange(steps)[None] < lengths.reshape(rows, 1)
    flat = jnp.where(valid[:, :, None], flat, 0.0)
    y, state = jax.vmap(
        lambda x, s, r, n, k: _row(params, x, s, r, False, n, k, truncate)
    )(
        flat,
        spread(state),
        spread(reset_state),
        lengths.reshape(rows),
        resets.reshape(rows, steps),
    )
    return jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), (y, state))
