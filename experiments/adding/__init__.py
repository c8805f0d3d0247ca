# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The adding problem at an equal budget."""

from experiments._registry import About

ABOUT = About(
    question="Which net adds two marked numbers, and how far apart may they stand?",
    cost="about half an hour on one CPU core",
    data="made on the spot: random numbers, two of them marked",
)
