# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trains nets side by side: the starts of one cell down, lanes across.

A lane is a seed with a learning rate for each start, so that the search over rates and
the run over seeds are one and the same.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments._training import Learner, Network, run_steps, seed_keys, stack
from experiments.adding import nets, task

CAP = 1e6  # larger errors, and those that are no number, count as this one
START, TRAIN, VALIDATE, TEST = range(4)  # streams of random keys


@dataclasses.dataclass(frozen=True)
class Budget:
    """What every net is given.

    Attributes:
        units: H.
        batch_size: sequences in an update.
        updates: of Adam; the rate falls to nothing over them, as a cosine.
        every: updates that go into one point of a learning curve.
        clip: highest norm of a gradient.
    """

    units: int
    batch_size: int
    updates: int
    every: int
    clip: float

    @property
    def points(self) -> int:
        """Of a learning curve."""
        return self.updates // self.every


class Trained(NamedTuple):
    """A network in training.

    Attributes:
        learner: whose parameters are a `Network`.
        curve: (points,) mean squared error, a mean over each chunk of updates.
    """

    learner: Learner
    curve: jax.Array


def optimizer(budget: Budget, rate: Any) -> optax.GradientTransformation:
    """Adam with clipped gradients."""
    return optax.chain(
        optax.clip_by_global_norm(budget.clip),
        optax.adam(optax.cosine_decay_schedule(rate, budget.updates)),
    )


def squared_error(network: Network, x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean over the batch."""
    return jnp.mean(jnp.square(nets.answers(network, x) - y))


def train_chunk(
    budget: Budget, length: int, trained: Trained, key: jax.Array, rate: Any, n: Any
) -> Trained:
    """Trains one network for `every` updates, each on new sequences."""

    def loss(network: Network, carry: Any, batch: Any, key: jax.Array) -> Any:
        x, y = task.sequences(key, length, budget.batch_size)
        return squared_error(network, x, y), (carry, {})

    learner, errors, _ = run_steps(
        loss,
        optimizer(budget, rate),
        trained.learner,
        key=key,
        first=n * budget.every,
        steps=budget.every,
    )
    return Trained(learner, trained.curve.at[n].set(errors.mean()))


@partial(jax.jit, static_argnums=(0, 1))
def train_chunks(
    budget: Budget, length: int, trained: Any, keys: Any, rates: Any, n: Any
) -> Any:
    """`train_chunk` of nets (starts, lanes), keys (lanes,), rates (starts, lanes)."""
    lanes = jax.vmap(partial(train_chunk, budget, length), (0, 0, 0, None))
    return jax.vmap(lanes, (0, None, 0, None))(trained, keys, rates, n)


def begin(budget: Budget, length: int, cell: str, keys: jax.Array) -> Trained:
    """Draws a net for each start of a cell and each key (lanes,).

    It does so step by step, where one orthogonal matrix is compiled for all of them.
    """

    def one(start: nets.Start, key: jax.Array) -> Trained:
        network = nets.init(start, budget.units, length, key)
        learner = Learner(network, optimizer(budget, 1.0).init(network))
        return Trained(learner, jnp.zeros(budget.points))

    return stack(
        [
            stack([one(start, key) for key in keys])
            for start in nets.CELLS[cell].values()
        ]
    )


def train(
    budget: Budget,
    length: int,
    cell: str,
    seeds: Sequence[int],
    rates: Any,
    loop: Callable[..., Any],
    on_progress: Callable[[float], None],
) -> Trained:
    """Trains all starts of a cell.

    Args:
        budget: of each net.
        length: T.
        cell: of `nets.CELLS`.
        seeds: (lanes,), which decide start and sequences.
        rates: (starts, lanes), of Adam.
        loop: `RunCache.loop` with its name.
        on_progress: called after each chunk with the median error of the nets.

    Returns:
        Trained nets, every leaf (starts, lanes, …).
    """
    trained = begin(budget, length, cell, seed_keys(seeds, START))
    rates = jnp.asarray(rates, trained.curve.dtype)
    keys = seed_keys(seeds, TRAIN)

    def chunk(n: int, trained: Trained) -> Trained:
        trained = train_chunks(budget, length, trained, keys, rates, n)
        on_progress(float(np.median(trained.curve[..., n])))
        return trained

    return loop(trained, chunk, budget.points)


@partial(jax.jit, static_argnums=(2, 3))
def held_out(
    networks: Any, key: jax.Array, length: int, count: int
) -> tuple[jax.Array, jax.Array]:
    """Squared errors on new sequences, the same for all.

    Returns:
        The error of networks (starts, lanes), and that of the constant 1.
    """
    x, y = task.sequences(key, length, count)
    lanes = jax.vmap(squared_error, (0, None, None))
    errors = jax.vmap(lanes, (0, None, None))(networks, x, y)
    return capped(errors), jnp.mean(jnp.square(y - 1))


def capped(errors: jax.Array) -> jax.Array:
    """Errors as JSON can have them."""
    return jnp.nan_to_num(jnp.minimum(errors, CAP), nan=CAP)
