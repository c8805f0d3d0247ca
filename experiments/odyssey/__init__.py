# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A search-space odyssey: nine LSTMs on Bach's chorales."""

from experiments._registry import About

ABOUT = About(
    question="Which parts of the LSTM matter for predicting Bach's chorales?",
    data="JSB chorales, a file of 0.1 MB, downloaded or found by LSTM_JAX_DATA",
)
