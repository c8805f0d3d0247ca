# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""This library on one device, without the steps of rows that have ended."""

from benchmarks.cases import Problem
from benchmarks.peers import Peer
from benchmarks.peers.lstm_jax import make as make_plain
from lstm_jax import Packed

DEVICES = 1


def make(problem: Problem) -> Peer:
    """Forward alone: its gradient is that of `Scan`."""
    return make_plain(problem, Packed())._replace(train=None, gradients=None)
