# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Gradient against lag."""

from experiments._registry import About

ABOUT = About(
    question="How much of the gradient comes back after k steps, in RNNs and LSTMs?",
    data="made on the spot: a symbol, then noise",
)
