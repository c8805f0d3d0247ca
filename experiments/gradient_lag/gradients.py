# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Gradients with respect to the state of every step, and their norms against lag.

The loss is L = Σ_b v · h_T for a fixed random v. Zeros are added to the state after
every step; the gradient with respect to them is that with respect to the state.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import lstm_jax
from lstm_jax import variants


def state_gradients(
    step: Callable[..., Any], params: Any, state: Any, x: jax.Array, v: jax.Array
) -> Any:
    """The gradient of L with respect to the state after every step.

    Args:
        step: (params, state, x_t) -> (state, y_t); h is the state, or its first leaf.
        params: of the step.
        state: tree of (B, H) that enters first.
        x: (T, B, I).
        v: (H,).

    Returns:
        A tree like the state with leaves (T, B, H). The parts of a state, h and c, are
        held to be independent.
    """

    def perturbed(params: Any, state: Any, inputs: Any) -> tuple[Any, None]:
        x_t, zeros = inputs
        state, _ = step(params, state, x_t)
        return jax.tree.map(jnp.add, state, zeros), None

    def loss(zeros: Any) -> jax.Array:
        last, _ = lstm_jax.unroll(perturbed, params, state, (x, zeros))
        return jnp.sum(jax.tree.leaves(last)[0] @ v)

    zeros = jax.tree.map(lambda s: jnp.zeros((len(x), *s.shape), s.dtype), state)
    return jax.grad(loss)(zeros)


def cell_path_step(
    params: lstm_jax.LSTMParams, state: lstm_jax.LSTMState, x: jax.Array
) -> tuple[lstm_jax.LSTMState, jax.Array]:
    """An LSTM step whose gradient enters by the cell state alone, not by h."""
    h, c = state
    blocked = lstm_jax.LSTMState(jax.lax.stop_gradient(h), c)
    return lstm_jax.lstm_step(params, blocked, x)


def against_lag(gradient: jax.Array) -> jax.Array:
    """Norms over batch and units of (T, B, H), last step first, relative to it."""
    norm = jnp.sqrt(jnp.sum(jnp.square(gradient), (1, 2)))[::-1]
    return norm / norm[0]


def rnn_against_lag(
    params: variants.RNNParams, x: jax.Array, v: jax.Array
) -> dict[str, jax.Array]:
    """Relative norms (T,) of ∂L/∂h of a plain RNN."""
    start = lstm_jax.zero_state(params, (x.shape[1],))
    return {"h": against_lag(state_gradients(lstm_jax.lstm_step, params, start, x, v))}


def cell_gradient(
    step: Callable[..., Any], params: lstm_jax.LSTMParams, x: jax.Array, v: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """∂L/∂h and ∂L/∂c (T, B, H), the latter through h_t = o_t tanh(c_t) as well."""
    start = lstm_jax.zero_state(params, (x.shape[1],))
    h, c = state_gradients(step, params, start, x, v)
    trace = lstm_jax.activations(params, x, time_major=True)
    return h, c + h * trace.o * (1 - jnp.tanh(trace.c) ** 2)


def lstm_against_lag(
    params: lstm_jax.LSTMParams, x: jax.Array, v: jax.Array
) -> dict[str, jax.Array]:
    """What lag does to the gradients of an LSTM.

    Returns:
        Relative norms (T,) of ∂L/∂h (`h`), of ∂L/∂c (`c`), and of the part of ∂L/∂c
        that comes by the cell path Π f_t (`path`).
    """
    h, c = cell_gradient(lstm_jax.lstm_step, params, x, v)
    _, path = cell_gradient(cell_path_step, params, x, v)
    return {"h": against_lag(h), "c": against_lag(c), "path": against_lag(path)}


def closed_form_error(
    params: lstm_jax.LSTMParams, x: jax.Array, v: jax.Array
) -> jax.Array:
    """How far the cell path is from σ(b_f)^k where that is exact.

    It is where the forget gate sees its bias only, so the gate's weights are set to 0.

    Returns:
        The largest relative deviation over all lags, sequences and units.
    """
    units = len(v)
    forget = slice(units, 2 * units)  # columns stand in the order i, f, g, o
    constant = lstm_jax.LSTMParams(
        params.w_x.at[:, forget].set(0), params.w_h.at[:, forget].set(0), params.b
    )
    _, path = cell_gradient(cell_path_step, constant, x, v)
    lag = jnp.arange(len(x), dtype=x.dtype)[::-1]
    kept = jax.nn.sigmoid(params.b[forget])[None] ** lag[:, None]
    return jnp.max(jnp.abs(path / (path[-1][None] * kept[:, None]) - 1))
