# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""flax.linen.RNN over OptimizedLSTMCell."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from benchmarks.cases import Problem
from benchmarks.peers import Peer
from benchmarks.peers._jax import peer

DEVICES = 1


def make(problem: Problem) -> Peer:
    """One kernel a gate, biases beside the state's."""
    hidden = problem.w_h.shape[0]
    weights: dict[str, Any] = {}
    for k, gate in enumerate("ifgo"):
        own = slice(k * hidden, (k + 1) * hidden)
        weights[f"i{gate}"] = {"kernel": problem.w_x[:, own]}
        weights[f"h{gate}"] = {"kernel": problem.w_h[:, own], "bias": problem.b[own]}
    module: Any = nn.RNN(nn.OptimizedLSTMCell(hidden), time_major=True)
    return peer(
        module.apply,
        {"params": {"cell": weights}},
        problem.x,
        lambda gradient: jnp.concatenate(
            [gradient["params"]["cell"][f"h{gate}"]["kernel"] for gate in "ifgo"], -1
        ),
    )
