# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Learning to forget: the embedded Reber grammar as one stream without an end."""

from experiments._registry import About

ABOUT = About(
    question="Does an LSTM without forget gates fail when its state is never reset?",
    data="made on the spot: strings of the embedded Reber grammar, one after another",
)
