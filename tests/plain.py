# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The oracle for derivatives: an independent scan that JAX differentiates plainly.

It runs one row at a time under `jax.vmap`, turns sequences round by gathering and knows
nothing of the library's scan, masks or rule. Its step is the reference's.

A layer is compiled by itself, with direction and truncation as arguments and rows in
fours: outside `jax.jit`, networks of all structures share the programs of their layers.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax import Bidirectional, LSTMParams, LSTMState, Residual, Reverse, Stack
from lstm_jax.testing import reference_step


@jax.jit
def _layer(
    cell: LSTMParams,
    x: Any,
    state: Any,
    reset_state: Any,
    reverse: Any,
    length: Any,
    resets: Any,
    truncate: Any,
) -> Any:
    steps = x.shape[0]
    s = jnp.arange(steps)
    # The time of each place.
    where = jnp.where(reverse, jnp.clip(length - 1 - s, 0, steps), s)
    # The boundary that is crossed on the way to each place, numbered by its later step.
    later = jnp.where(reverse, where + 1, where)
    inside = (later < length) & (later > 0)
    pad = jnp.zeros(1, bool)
    start = ~reverse & (later == 0)
    at_reset = jnp.concatenate([resets, pad])[later] & (inside | start)
    at_cut = inside & (later % truncate == 0)

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
    return jnp.where((s < length)[:, None], y[where], 0.0), state


def _row(
    params: Any, x: Any, state: Any, reset_state: Any, reverse: bool, *a: Any
) -> Any:
    match params:
        case LSTMParams():
            return _layer(params, x, state, reset_state, jnp.asarray(reverse), *a)
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
    batch, steps = x.shape[:-2], x.shape[-2]
    lengths = np.full(batch, steps) if lengths is None else lengths
    resets = np.zeros((*batch, steps), bool) if resets is None else resets
    if reset_state is None:
        reset_state = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), state)
    # A stretch longer than any sequence is never cut.
    cut = jnp.asarray(steps + 1 if truncate is None else truncate)
    lengths = _rows(lengths, batch, ())

    def spread(state: Any) -> Any:
        return jax.tree.map(lambda a: _rows(a, batch, a.shape[-1:]), state)

    out = jax.vmap(lambda *a: _row(params, *a[:3], False, *a[3:], cut))(
        _without_padding(_rows(x, batch, x.shape[-2:]), lengths),
        spread(state),
        spread(reset_state),
        lengths,
        _rows(resets, batch, (steps,)),
    )
    return jax.tree.map(lambda a: _apart(a, batch), out)


@partial(jax.jit, static_argnums=(1, 2))
def _rows(a: Any, batch: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """Rows in front, and then some that are thrown away."""
    rows = math.prod(batch)
    a = jnp.broadcast_to(a, (*batch, *shape)).reshape(rows, *shape)
    return jnp.pad(a, [(0, -rows % 4), *[(0, 0)] * len(shape)])


@partial(jax.jit, static_argnums=1)
def _apart(a: Any, batch: tuple[int, ...]) -> Any:
    return a[: math.prod(batch)].reshape(*batch, *a.shape[1:])


@jax.jit
def _without_padding(x: Any, lengths: Any) -> Any:
    valid = jnp.arange(x.shape[1])[None] < lengths[:, None]
    return jnp.where(valid[:, :, None], x, 0.0)
