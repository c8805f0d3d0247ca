# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trains a small network; as a script, as one of two processes that share the batch.

python -m tests.two_processes PROCESS PORT OUT
"""

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType

import lstm_jax
from lstm_jax.sharding import data_parallel, replicate, shard_batch

ROWS, STEPS, UPDATES = 8, 6, 5


def problem() -> tuple[Any, Any]:
    """Parameters, and a ragged batch of x, lengths and target; from a seed."""
    rng = np.random.default_rng(0)
    params = lstm_jax.init(jax.random.key(0), 3, 5, bidirectional=True, dtype=float)
    x = rng.standard_normal((ROWS, STEPS, 3))
    lengths = np.array([6, 1, 5, 6, 0, 3, 2, 4])
    return params, (x, lengths, rng.standard_normal((ROWS, STEPS, 10)))


def valid_steps(x: Any, lengths: Any, target: Any) -> jax.Array:
    return lengths.sum()


def loss(params: Any, x: Any, lengths: Any, target: Any) -> jax.Array:
    """The mean over all valid steps."""
    y, _ = lstm_jax.apply(params, x, lengths=lengths)
    valid = jnp.arange(STEPS)[None, :, None] < lengths[:, None, None]
    total = jnp.sum(jnp.where(valid, (y - target) ** 2, 0))
    return total / lengths.sum().astype(y.dtype)


def train(value_and_grad: Callable[..., Any], params: Any, batch: Any) -> Any:
    """The parameters after a few updates, and the loss before each."""
    optimiser = optax.adam(1e-2)
    state = optimiser.init(params)

    @jax.jit
    def update(params: Any, state: Any, *batch: Any) -> Any:
        value, gradient = value_and_grad(params, *batch)
        change, state = optimiser.update(gradient, state, params)
        return optax.apply_updates(params, change), state, value

    values = []
    for _ in range(UPDATES):
        params, state, value = update(params, state, *batch)
        values.append(value)
    return params, values


def main(process: int, port: str, out: str) -> None:
    """Half of the rows, on two devices of this process' own."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 2)
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, process)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    params, batch = problem()
    own = slice(process * ROWS // 2, (process + 1) * ROWS // 2)
    half = shard_batch(jax.tree.map(lambda a: a[own], batch), mesh)
    step = data_parallel(jax.value_and_grad(loss), mesh, weight=valid_steps)
    leaves = jax.tree.leaves(train(step, replicate(params, mesh), half))
    np.savez(out, *(np.asarray(a) for a in leaves))
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
