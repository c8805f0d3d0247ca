# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The next character of tiny Shakespeare."""

from experiments._registry import About

ABOUT = About(
    question="How well does an LSTM predict the next character of a text, beside "
    "n-grams and xz?",
    data="tiny Shakespeare, a file of 1.1 MB, downloaded or found by LSTM_JAX_DATA",
)
