# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""dm-haiku's LSTM under dynamic_unroll; it adds 1 to the forget gate as it runs."""

from typing import Any

import haiku as hk
import jax.numpy as jnp

from benchmarks.cases import Problem
from benchmarks.peers import Peer
from benchmarks.peers._jax import gates, peer, permuted

DEVICES = 1


def make(problem: Problem) -> Peer:
    """One matrix, gates in the order i, g, f, o."""
    inputs, hidden = problem.w_x.shape[0], problem.w_h.shape[0]

    def unroll(x: Any) -> Any:
        core = hk.LSTM(hidden, name="lstm")
        return hk.dynamic_unroll(core, x, core.initial_state(x.shape[1]))[0]

    network: Any = hk.without_apply_rng(hk.transform(unroll))
    b = jnp.asarray(problem.b).at[hidden : 2 * hidden].add(-1.0)
    w = jnp.concatenate([problem.w_x, problem.w_h])
    params = {"lstm/linear": {"w": permuted(w, "igfo"), "b": permuted(b, "igfo")}}
    return peer(
        network.apply,
        params,
        problem.x,
        lambda gradient: gates(gradient["lstm/linear"]["w"][inputs:], "igfo"),
    )
