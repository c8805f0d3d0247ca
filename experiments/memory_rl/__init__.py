# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Recurrent reinforcement learning where one observation is not enough."""

from experiments._registry import About

ABOUT = About(
    question="What does a recurrent policy solve that one without memory cannot?",
    data="made on the spot: MemoryChain of gymnax, a T-maze, RepeatPrevious",
)
