# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""equinox's LSTMCell, vmapped over the batch and scanned."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from benchmarks.cases import Weights
from benchmarks.peers._jax import Layer, network

DEVICES = 1


def layer(weights: Weights) -> Layer:
    """Rows are gates, in this library's order."""
    inputs, hidden = weights.w_x.shape[0], weights.w_h.shape[0]
    cell = eqx.tree_at(
        lambda c: (c.weight_ih, c.weight_hh, c.bias),
        eqx.nn.LSTMCell(inputs, hidden, key=jax.random.key(0)),
        tuple(jnp.asarray(a) for a in (weights.w_x.T, weights.w_h.T, weights.b)),
    )
    params, static = eqx.partition(cell, eqx.is_array)

    def run(params: Any, x: Any) -> jax.Array:
        step = jax.vmap(eqx.combine(params, static))
        zero = jnp.zeros((x.shape[1], hidden))

        def body(state: Any, x: Any) -> Any:
            state = step(x, state)
            return state, state[0]

        return jax.lax.scan(body, (zero, zero), x)[1]

    return Layer(params, run, lambda g: (g.weight_ih.T, g.weight_hh.T, g.bias))


make = partial(network, layer)
