# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The battery of 1997."""

from experiments._registry import About

ABOUT = About(
    question="How soon does the cell of 1997 learn the tasks of 1997, and the modern?",
    data="made on the spot: strings of Reber's grammar, marked numbers, symbols",
)
