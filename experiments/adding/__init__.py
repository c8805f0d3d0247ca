# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The adding problem at an equal budget."""

from experiments._registry import About

ABOUT = About(
    question="Which networks learn to add two marked numbers, and over how many steps?",
    data="generated: random numbers, two of them marked",
)
