# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What all peers in JAX share: networks of layers, jit, the loss, and waiting.

The libraries' own lengths cost more than they save, where they have any: here they run
over the padding too, what they give there is set to 0, and the other direction is
turned round by a gather.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.cases import Problem, Weights
from benchmarks.peers import Peer

Run = Callable[[Any, Any], jax.Array]


class Layer(NamedTuple):
    """One layer of a library in one direction.

    Attributes:
        params: any tree of arrays.
        run: (params, x) -> y, both with time in front, or both with the batch.
        weights: a gradient of params -> those of w_x, w_h and b of `Weights`.
    """

    params: Any
    run: Run
    weights: Callable[[Any], tuple[Any, Any, Any]]


def turned(x: jax.Array, lengths: Any, time: int) -> jax.Array:
    """The valid part of every row from its end to its beginning."""
    if lengths is None:
        return jnp.flip(x, time)
    t = jnp.arange(x.shape[time])
    order = jnp.where(t < lengths[:, None], lengths[:, None] - 1 - t, t)
    order = order if time else order.T
    return jnp.take_along_axis(x, order[..., None], time)


def network(
    make: Callable[[Weights], Layer], problem: Problem, batch_major: bool = False
) -> Peer:
    """A peer from a library's single layer."""
    layers = [[make(w) for w in both] for both in problem.layers]
    time = int(batch_major)
    lengths = None if problem.lengths is None else jnp.asarray(problem.lengths)

    def run(params: Any, x: jax.Array) -> jax.Array:
        for own, both in zip(params, layers, strict=True):
            ys = [both[0].run(own[0], x)]
            if len(both) == 2:
                back = both[1].run(own[1], turned(x, lengths, time))
                ys.append(turned(back, lengths, time))
            x = jnp.concatenate(ys, -1) if len(ys) == 2 else ys[0]
        if lengths is None:
            return x
        valid = jnp.arange(x.shape[time]) < lengths[:, None]
        return jnp.where((valid if time else valid.T)[..., None], x, 0)

    params = [[layer.params for layer in both] for both in layers]
    x = problem.x.swapaxes(0, 1) if batch_major else problem.x

    def gradients(found: Any) -> Any:
        return [
            [layer.weights(own) for layer, own in zip(both, mine, strict=True)]
            for both, mine in zip(layers, found, strict=True)
        ]

    return peer(run, params, x, gradients, batch_major)


def peer(
    run: Run,
    params: Any,
    x: Any,
    gradients: Callable[[Any], Any],
    batch_major: bool = False,
    compiler_options: dict[str, Any] | None = None,
) -> Peer:
    """A peer from a pure function.

    Args:
        run: (params, x) -> y, 0 in the padding.
        params: any tree of arrays.
        x: in whatever layout `run` takes.
        gradients: as of `Peer`.
        batch_major: y is (B, T, …).
        compiler_options: as of `jax.jit`.
    """
    params, x = jax.tree.map(jnp.asarray, (params, x))

    def loss(params: Any, x: Any) -> jax.Array:
        return jnp.mean(jnp.square(run(params, x)))

    forward = jax.jit(run, compiler_options=compiler_options)
    train = jax.jit(jax.grad(loss), compiler_options=compiler_options)

    return Peer(
        lambda: jax.block_until_ready(forward(params, x)),
        lambda: jax.block_until_ready(train(params, x)),
        gradients,
        batch_major,
        {"forward": forward, "train": train},
        (params, x),
    )


def gates(w: Any, order: str) -> Any:
    """Columns that stand in another order as i, f, g, o, and back for "ifgo" itself."""
    parts = dict(zip(order, jnp.split(jnp.asarray(w), 4, -1), strict=True))
    return jnp.concatenate([parts[gate] for gate in "ifgo"], -1)


def permuted(w: Any, order: str) -> Any:
    """Columns i, f, g, o in another order."""
    parts = dict(zip("ifgo", jnp.split(jnp.asarray(w), 4, -1), strict=True))
    return jnp.concatenate([parts[gate] for gate in order], -1)
