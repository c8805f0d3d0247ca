# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The LSTM of today: forget bias 1, the whole gradient in windows, and Adam."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lstm_jax
from experiments._training import Learner, Network, run_steps
from experiments.forgetting import exam, grammar, online
from experiments.forgetting.cell import INPUTS, OUTPUTS


def init(rng: np.random.Generator, cells: int) -> Network:
    """One net: U(±1/√H), biases 0, of the forget gates 1."""

    def draw(*shape: int) -> jax.Array:
        drawn = rng.uniform(-(cells**-0.5), cells**-0.5, shape)
        return jnp.asarray(drawn.astype(np.float32))

    b = jnp.repeat(jnp.array([0.0, 1.0, 0.0, 0.0]), cells)  # i, f, g, o
    lstm = lstm_jax.LSTMParams(draw(INPUTS, 4 * cells), draw(cells, 4 * cells), b)
    return Network(lstm, draw(cells, OUTPUTS), jnp.zeros(OUTPUTS))


def begin(optimizer: Any, params: Network, lanes: int) -> Learner:
    """One net before its first window; it carries its states and its streams."""
    state = lstm_jax.zero_state(params.cell, (lanes,))
    return Learner(params, optimizer.init(params), (state, grammar.begin(lanes)))


def loss(params: Network, carry: Any, batch: Any, _: Any) -> Any:
    """Cross entropy of a window.

    Args:
        params: of one net.
        carry: its states and streams.
        batch: bits (T, lanes) of its streams; and () whether new streams begin here.
    """
    bits, fresh = batch
    state, reader = carry
    reader = online.tree_where(fresh, grammar.begin(bits.shape[1]), reader)

    def read(reader: grammar.Reader, bit: jax.Array) -> tuple[Any, jax.Array]:
        following = grammar.move(reader, bit)
        return following, jnp.stack([reader.symbol, following.symbol])

    reader, symbols = jax.lax.scan(read, reader, bits)
    x = jax.nn.one_hot(symbols[:, 0], INPUTS)
    state = online.zero_where(fresh, state)
    h, state = lstm_jax.apply(params.cell, x, state, time_major=True)
    entropy = optax.softmax_cross_entropy_with_integer_labels(
        h @ params.w + params.b, symbols[:, 1]
    )
    return entropy.mean(), ((state, reader), {})


def train(optimizer: Any, learner: Learner, bits: jax.Array, fresh: jax.Array) -> Any:
    """Steps of Adam of one net: bits (windows, T, lanes), new streams (windows,)."""
    return run_steps(loss, optimizer, learner, (bits, fresh))[0]


def _begin(params: Network) -> Any:
    """The state of N nets, N the last axis."""
    return jax.vmap(lambda p: lstm_jax.zero_state(p.cell), -1, -1)(params)


@partial(jax.vmap, in_axes=-1, out_axes=-1)
def _step(params: Network, state: Any, reader: grammar.Reader) -> Any:
    x = jax.nn.one_hot(reader.symbol, INPUTS)
    state, h = lstm_jax.lstm_step(params.cell, state, x)
    return state, h @ params.w + params.b


NET = exam.Net(_begin, _step, lambda state: jnp.linalg.norm(state.c, axis=0))
