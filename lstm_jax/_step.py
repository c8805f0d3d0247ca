# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""lstm_step: one step of a network, the body of a scan."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._dtypes import as_array, result_dtype
from lstm_jax._params import Params, Residual, Stack, State, cast_layers
from lstm_jax._state import as_given, own_containers, state_types, to_dtype
from lstm_jax.checks.messages import check_values
from lstm_jax.checks.sequence import check_step


def network_step(params: Params, state: Any, x_t: jax.Array) -> tuple[Any, jax.Array]:
    """One step of a causal structure that has been cast to the dtype of x_t."""
    match params:
        case Residual(inner):
            new, y = network_step(inner, state, x_t)
            return new, x_t + y
        case Stack(members):
            states = []
            for layer, own in zip(members, state, strict=True):
                new, x_t = network_step(layer, own, x_t)
                states.append(new)
            return tuple(states), x_t
    cell: Any = params
    like = state_types(cell, x_t.shape[:-1], x_t.dtype)
    state = jax.tree.map(
        lambda a, k: jnp.broadcast_to(to_dtype(a, k), k.shape), state, like
    )
    return cell.step(state, x_t)


def lstm_step(params: Params, state: State, x: Any) -> tuple[State, jax.Array]:
    """One step of a network: the body of a `jax.lax.scan`.

    The equations, for one LSTM layer::

        i, f, g, o = σ(z_i), σ(z_f), tanh(z_g), σ(z_o)   z = x·w_x + h·w_h + b
        c_t = f * c + i * g
        h_t = o * tanh(c_t)

    Args:
        params: `LSTMParams` or another `Cell`, or a `Stack` or `Residual` of such.
        state: mirrors params: (h, c) with h (*B, H or P) and c (*B, H); broadcasts.
        x: (*B, I) floating.

    Returns:
        The state after the step, in the containers and dtypes given, and y (*B, H or
        P): the last layer's output.

    Raises:
        ValueError: shapes that disagree.
        TypeError: dtypes or kinds that disagree.
        NotImplementedError: params need the whole sequence (Reverse, Bidirectional).

    Example:
        >>> import functools, jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
        >>> xs = jax.random.normal(jax.random.key(1), (7, 2, 3))  # (T, B, I)
        >>> step = functools.partial(lstm_jax.lstm_step, params)
        >>> state, ys = jax.lax.scan(step, lstm_jax.zero_state(params, (2,)), xs)
        >>> ys.shape
        (7, 2, 5)

    References:
        As `apply`.
    """
    x = as_array(x)
    check_values("lstm_step", params=params, state=state, x=x)
    check_step("lstm_step", params, state, x)
    dtype = result_dtype(params, x)
    own, cast = own_containers(params, state), cast_layers(params, dtype)
    new, y = network_step(cast, own, jnp.asarray(x, dtype))
    return as_given(new, state), y
