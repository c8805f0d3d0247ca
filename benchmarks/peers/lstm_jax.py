# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""This library on one device."""

import lstm_jax
from benchmarks.cases import Problem
from benchmarks.peers import Peer
from benchmarks.peers._jax import peer

DEVICES = 1


def make(problem: Problem) -> Peer:
    """`apply` as a user calls it."""
    params = lstm_jax.LSTMParams(problem.w_x, problem.w_h, problem.b)
    return peer(
        lambda params, x: lstm_jax.apply(params, x, time_major=True)[0],
        params,
        problem.x,
        lambda gradient: gradient.w_h,
    )
