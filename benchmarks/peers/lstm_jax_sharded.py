# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""This library with the batch over as many devices as there are cores."""

import math
import os
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

import lstm_jax
from benchmarks.cases import Problem
from benchmarks.peers import Peer
from lstm_jax.sharding import data_parallel, replicate, shard_batch

# Where the system says which cores this process may use, and not how many there are.
ALLOWED = getattr(os, "sched_getaffinity", None)
DEVICES = len(ALLOWED(0)) if ALLOWED else os.cpu_count() or 1


def make(problem: Problem) -> Peer:
    """`apply` on sharded rows; a batch that cannot be shared out stays whole."""
    batch = problem.x.shape[1]
    number = math.gcd(batch, jax.device_count())
    mesh = jax.make_mesh(
        (number,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:number],
    )
    params: Any = lstm_jax.LSTMParams(problem.w_x, problem.w_h, problem.b)
    params = replicate(params, mesh)
    x = shard_batch(problem.x, mesh, batch_axis=1)

    @jax.jit
    def forward(params: Any, x: Any) -> jax.Array:
        return lstm_jax.apply(params, x, time_major=True)[0]

    def loss(params: Any, x: Any) -> jax.Array:
        return jnp.mean(jnp.square(forward(params, x)))

    train = data_parallel(jax.grad(loss), mesh, batch_axis=1)
    return Peer(
        lambda: jax.block_until_ready(forward(params, x)),
        lambda: jax.block_until_ready(train(params, x)),
        lambda gradient: gradient.w_h,
    )
