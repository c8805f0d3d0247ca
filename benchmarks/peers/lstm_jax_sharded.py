# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""This library with the batch over as many devices as there are cores."""

import math
import os
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import lstm_jax
from benchmarks.cases import Problem
from benchmarks.peers import Peer
from benchmarks.peers.lstm_jax import gradients, network
from lstm_jax import sharding

# Where the system says which cores this process may use, and not how many there are.
ALLOWED = getattr(os, "sched_getaffinity", None)
DEVICES = len(ALLOWED(0)) if ALLOWED else os.cpu_count() or 1


def make(problem: Problem) -> Peer:
    """`apply` on each device's rows; a batch that cannot be shared out stays whole."""
    number = math.gcd(problem.x.shape[1], jax.device_count())
    devices = jax.devices()[:number]
    mesh = jax.make_mesh((number,), ("data",), (AxisType.Auto,), devices=devices)
    params = sharding.replicate(network(problem), mesh)
    batch: tuple[Any, ...] = (problem.x,)
    axes: tuple[int, ...] = (1,)
    if problem.lengths is not None:
        batch, axes = (*batch, problem.lengths), (1, 0)
    batch = sharding.shard_batch(batch, mesh, batch_axis=axes)

    def run(params: Any, x: Any, lengths: Any = None) -> jax.Array:
        return lstm_jax.apply(params, x, lengths=lengths, time_major=True)[0]

    def loss(params: Any, *batch: Any) -> jax.Array:
        return jnp.mean(jnp.square(run(params, *batch)))

    rows = tuple(P(*[None] * k, "data") for k in axes)
    forward = jax.jit(
        jax.shard_map(run, mesh=mesh, in_specs=(P(), *rows), out_specs=rows[0])
    )
    train = sharding.data_parallel(jax.grad(loss), mesh, batch_axis=axes)
    return Peer(
        lambda: jax.block_until_ready(forward(params, *batch)),
        lambda: jax.block_until_ready(train(params, *batch)),
        gradients,
    )
