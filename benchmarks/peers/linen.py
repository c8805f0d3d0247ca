# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""flax.linen.RNN over OptimizedLSTMCell."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from benchmarks.cases import Weights
from benchmarks.peers._jax import Layer, network

DEVICES = 1


def layer(weights: Weights) -> Layer:
    """One kernel a gate, biases beside the state's."""
    hidden = weights.w_h.shape[0]
    cell: dict[str, Any] = {}
    for k, gate in enumerate("ifgo"):
        own = slice(k * hidden, (k + 1) * hidden)
        cell[f"i{gate}"] = {"kernel": weights.w_x[:, own]}
        cell[f"h{gate}"] = {"kernel": weights.w_h[:, own], "bias": weights.b[own]}
    module: Any = nn.RNN(nn.OptimizedLSTMCell(hidden), time_major=True)

    def back(gradient: Any) -> tuple[Any, Any, Any]:
        cell = gradient["params"]["cell"]

        def columns(kind: str, name: str) -> Any:
            return jnp.concatenate([cell[f"{kind}{gate}"][name] for gate in "ifgo"], -1)

        return columns("i", "kernel"), columns("h", "kernel"), columns("h", "bias")

    return Layer({"params": {"cell": cell}}, module.apply, back)


make = partial(network, layer)
