# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What all peers in JAX share: jit, the loss, and waiting for results."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.peers import Peer


def peer(
    run: Callable[[Any, Any], jax.Array],
    params: Any,
    x: Any,
    w_h: Callable[[Any], Any],
) -> Peer:
    """A peer from a pure function.

    Args:
        run: (params, x) -> y (T, B, H).
        params: any tree of arrays.
        x: in whatever layout `run` takes.
        w_h: gradient of params -> dW_h (H, 4H).
    """
    params, x = jax.tree.map(jnp.asarray, (params, x))
    forward = jax.jit(run)
    train = jax.jit(jax.grad(lambda params, x: jnp.mean(jnp.square(run(params, x)))))
    return Peer(
        lambda: jax.block_until_ready(forward(params, x)),
        lambda: jax.block_until_ready(train(params, x)),
        w_h,
    )


def gates(w: Any, order: str) -> Any:
    """Columns that stand in another order as i, f, g, o, and back for "ifgo" itself."""
    parts = dict(zip(order, jnp.split(jnp.asarray(w), 4, -1), strict=True))
    return jnp.concatenate([parts[gate] for gate in "ifgo"], -1)


def permuted(w: Any, order: str) -> Any:
    """Columns i, f, g, o in another order."""
    parts = dict(zip("ifgo", jnp.split(jnp.asarray(w), 4, -1), strict=True))
    return jnp.concatenate([parts[gate] for gate in order], -1)
