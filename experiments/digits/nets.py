# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The five networks: what starts them, and what they make of a sequence."""

from typing import Any

import jax
import jax.numpy as jnp

import lstm_jax
from experiments.digits.settings import NetName, Settings
from lstm_jax import variants
from lstm_jax.initializers import BiasInit, chrono


def gru_chrono(t_max: int) -> BiasInit:
    """`chrono` for the GRU: its gate z keeps, as the forget gate does.

    References:
        Tallec, Ollivier 2018, Can Recurrent Neural Networks Warp Time?
    """

    def init(key: jax.Array, hidden_size: int, gates: str) -> jax.Array:
        kept = chrono(t_max)(key, hidden_size, "f")
        zeros = jnp.zeros_like(kept)
        return jnp.concatenate([kept if gate == "z" else zeros for gate in gates])

    return init


def init(
    name: NetName, key: jax.Array, inputs: int, units: int, steps: int
) -> lstm_jax.LSTMParams | variants.GRUParams | variants.RNNParams:
    """Draws a network; gates start with memories up to the length of a sequence."""
    match name:
        case "GRU":
            return variants.init(name, key, inputs, units, bias_init=gru_chrono(steps))
        case "RNN":
            return variants.init(name, key, inputs, units)
    norm = lstm_jax.SplitNorm if name == "LSTM-norm" else None
    return lstm_jax.init_cell(key, inputs, units, norm=norm, bias_init=chrono(steps))


def last(settings: Settings, name: NetName, params: Any, x: Any, key: Any) -> jax.Array:
    """The last output (B, H).

    Args:
        settings: for the rate of zoneout.
        name: of the network.
        params: what `init` gave.
        x: (B, T, I).
        key: for zoneout while training; None for evaluation.
    """
    regularizer = None
    if name == "LSTM-zoneout":
        share = settings.zoneout
        regularizer = lstm_jax.Regularizer(
            zoneout_h=share, zoneout_c=share, deterministic=key is None
        )
    y, _ = lstm_jax.apply(params, x, regularizer=regularizer, key=key)
    return y[:, -1]
