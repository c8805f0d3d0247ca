# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""This library with the batch over as many devices as there are cores."""

import math
import os
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import lstm_jax
from benchmarks.cases import Problem
from benchmarks.peers import Peer

DEVICES = os.cpu_count() or 1


def make(problem: Problem) -> Peer:
    """`apply` inside `shard_map`; a batch that cannot be shared out stays whole."""
    batch = problem.x.shape[1]
    number = math.gcd(batch, jax.device_count())
    mesh = jax.make_mesh(
        (number,),
        ("data",),
        axis_types=(AxisType.Auto,),
        devices=jax.devices()[:number],
    )
    params: Any = lstm_jax.LSTMParams(problem.w_x, problem.w_h, problem.b)
    params = jax.device_put(params, NamedSharding(mesh, P()))
    x = jax.device_put(problem.x, NamedSharding(mesh, P(None, "data")))

    def run(params: Any, x: Any) -> jax.Array:
        return lstm_jax.apply(params, x, time_major=True)[0]

    def loss(params: Any, x: Any) -> jax.Array:
        mean = jnp.mean(jnp.square(run(params, x)))
        return jax.lax.pmean(mean, "data")

    rows = P(None, "data")
    forward = jax.jit(
        jax.shard_map(run, mesh=mesh, in_specs=(P(), rows), out_specs=rows)
    )
    train = jax.jit(
        jax.grad(jax.shard_map(loss, mesh=mesh, in_specs=(P(), rows), out_specs=P()))
    )
    return Peer(
        lambda: jax.block_until_ready(forward(params, x)),
        lambda: jax.block_until_ready(train(params, x)),
        lambda gradient: gradient.w_h,
    )
