# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""dm-haiku's LSTM under dynamic_unroll; it adds 1 to the forget gate as it runs."""

from functools import partial
from typing import Any

import haiku as hk
import jax.numpy as jnp

from benchmarks.cases import Weights
from benchmarks.peers._jax import Layer, gates, network, permuted

DEVICES = 1


def layer(weights: Weights) -> Layer:
    """One matrix, gates in the order i, g, f, o."""
    inputs, hidden = weights.w_x.shape[0], weights.w_h.shape[0]

    def unroll(x: Any) -> Any:
        core = hk.LSTM(hidden, name="lstm")
        return hk.dynamic_unroll(core, x, core.initial_state(x.shape[1]))[0]

    transformed: Any = hk.without_apply_rng(hk.transform(unroll))
    b = jnp.asarray(weights.b).at[hidden : 2 * hidden].add(-1.0)
    w = jnp.concatenate([weights.w_x, weights.w_h])

    def back(gradient: Any) -> tuple[Any, Any, Any]:
        w, b = (gates(gradient["lstm/linear"][name], "igfo") for name in "wb")
        return w[:inputs], w[inputs:], b

    return Layer(
        {"lstm/linear": {"w": permuted(w, "igfo"), "b": permuted(b, "igfo")}},
        transformed.apply,
        back,
    )


make = partial(network, layer)
