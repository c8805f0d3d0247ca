# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Streamflow of one basin."""

from experiments._registry import About

ABOUT = About(
    question="Does an LSTM predict a river's run-off better than SAC-SMA does?",
    data="CAMELS basin 01031500: 35 years of weather and run-off, a day a line",
)
