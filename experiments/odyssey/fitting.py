# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Training of several networks in one program, of which validation picks the epoch."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments._run_cache import RunCache
from experiments._training import Learner, Network, params_ema, run_steps
from experiments.odyssey.chorales import KEYS, Chorales, Rows, log_odds, pack
from experiments.odyssey.nets import init, nats
from experiments.odyssey.recipe import Recipe


class Splits(NamedTuple):
    """What networks see: rows to train on, to choose by, and to report.

    Attributes:
        train: a whole number of batches.
        valid: in one batch.
        test: in one batch.
        odds: (88,) log-odds of the keys in training.
    """

    train: Rows
    valid: Rows
    test: Rows
    odds: np.ndarray


def splits(pieces: Chorales, rows: int) -> Splits:
    """Packs the pieces for batches of so many rows."""
    frames = np.concatenate(pieces.train)
    return Splits(
        pack(pieces.train, rows),
        pack(pieces.valid),
        pack(pieces.test),
        log_odds(frames.sum(0, dtype=np.int64), len(frames)).astype(np.float32),
    )


def bounded(nats: jax.Array) -> jax.Array:
    """Nats a frame, or what a coin for each key would have, if that is less.

    A network that diverged, to NaN perhaps, has a number that can be compared.
    """
    return jnp.fmin(nats, KEYS * np.log(2))


class Run(NamedTuple):
    """A network on its way; in a program, a leading axis of networks.

    Attributes:
        learner: whose optimizer has the average of parameters, which is what is judged.
        chosen: the average after the epoch that was best by validation.
        train: (epochs,) nats a frame with dropout, the mean over the epoch.
        valid: (epochs,) nats a frame of the average; infinite where still to come.
    """

    learner: Learner
    chosen: Network
    train: jax.Array
    valid: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class Trainer:
    """Trains networks of one kind under one recipe.

    On one core a product of stacked matrices takes longer than one product after
    another: that is why networks are mapped over in one program, and not vectorised.

    Attributes:
        name: what `nets.init` takes.
        units: of each layer.
        recipe: how it is trained.
        data: what it is trained on.
    """

    name: str | int
    units: int
    recipe: Recipe
    data: Splits

    @property
    def updates(self) -> int:
        """Updates in an epoch."""
        return len(self.data.train.x) // self.recipe.rows

    @property
    def parameters(self) -> int:
        """Numbers that are trained."""
        shapes = jax.eval_shape(self.start, 0).chosen
        return sum(int(np.prod(a.shape)) for a in jax.tree.leaves(shapes))

    def optimizer(self, rate: Any) -> optax.GradientTransformation:
        """AdamW with clipped gradients and a step that falls as a cosine."""
        total = self.updates * self.recipe.epochs

        def decay(count: Any) -> Any:
            # Young averages forget their start sooner than the decay alone would let.
            return jnp.minimum(self.recipe.averaging, (1 + count) / (10 + count))

        return optax.chain(
            optax.clip_by_global_norm(self.recipe.clip),
            optax.adamw(
                lambda n: rate * optax.cosine_decay_schedule(1.0, total)(n),
                weight_decay=self.recipe.weight_decay,
            ),
            params_ema(decay),
        )

    def start(self, seed: Any) -> Run:
        """The run of a seed before its first epoch."""
        odds = jnp.asarray(self.data.odds)
        # Epochs fold in the numbers below this one.
        key = jax.random.fold_in(jax.random.key(seed), self.recipe.epochs)
        network = init(self.name, self.units, odds, key)
        curve = jnp.full(self.recipe.epochs, jnp.inf)
        learner = Learner(network, self.optimizer(0.0).init(network))
        return Run(learner, network, curve, curve)

    def epoch(self, rate: Any, seed: Any, run: Run, n: Any) -> Run:
        """Epoch n of a run, and its validation."""
        key = jax.random.fold_in(jax.random.key(seed), n)
        shuffle, noise = jax.random.split(key)
        train = self.data.train

        def loss(network: Network, carry: Any, chosen: Any, key: jax.Array) -> Any:
            rows = jax.tree.map(lambda a: jnp.asarray(a)[chosen], train)
            mean = nats(network, rows, self.recipe, key)
            return mean.value, (carry, mean)

        order = jax.random.permutation(shuffle, len(train.x)).reshape(self.updates, -1)
        learner, _, means = run_steps(
            loss, self.optimizer(rate), run.learner, order, key=noise
        )
        average = learner.opt_state[-1].average
        valid = bounded(nats(average, self.data.valid, self.recipe).value)
        better = valid < run.valid.min()
        return Run(
            learner,
            jax.tree.map(partial(jnp.where, better), average, run.chosen),
            run.train.at[n].set(bounded(jax.tree.map(jnp.sum, means).value)),
            run.valid.at[n].set(valid),
        )

    @cached_property
    def begin(self) -> Any:
        """Jitted: seeds (N,) -> runs before their first epoch."""
        return jax.jit(jax.vmap(self.start))

    @cached_property
    def run_epochs(self) -> Any:
        """Jitted: (rates (N,), seeds (N,), runs, epochs (n,)) -> runs after these."""

        def one(epochs: jax.Array, given: Any) -> Run:
            rate, seed, run = given
            step = partial(self.epoch, rate, seed)
            return jax.lax.scan(lambda run, n: (step(run, n), None), run, epochs)[0]

        def all_of_them(rates: Any, seeds: Any, runs: Run, epochs: jax.Array) -> Run:
            return jax.lax.map(partial(one, epochs), (rates, seeds, runs))

        return jax.jit(all_of_them)

    @cached_property
    def test(self) -> Any:
        """Jitted: networks (N, …) -> nats a frame of the test split (N,)."""

        def one(network: Network) -> jax.Array:
            return bounded(nats(network, self.data.test, self.recipe).value)

        return jax.jit(partial(jax.lax.map, one))


def fit(
    trainer: Trainer,
    seeds: Sequence[int],
    rates: Sequence[float],
    cache: RunCache,
    name: str,
    *,
    chunk: int,
    on_progress: Callable[[int], None] = lambda epochs: None,
) -> Run:
    """Trains one network a seed.

    Args:
        trainer: of the networks.
        seeds: of start, order and dropout.
        rates: learning rate of each.
        cache: keeps the run.
        name: of the part.
        chunk: epochs at most between two times that the run is saved.
        on_progress: called with the number of epochs done since the last call.

    Returns:
        The runs after the last epoch, NumPy's arrays.
    """
    each = jnp.asarray(rates, jnp.float32), jnp.asarray(seeds, jnp.uint32)
    chunk = math.gcd(trainer.recipe.epochs, chunk)

    def go(n: int, runs: Run) -> Run:
        runs = trainer.run_epochs(*each, runs, n * chunk + jnp.arange(chunk))
        jax.block_until_ready(runs)
        on_progress(len(seeds) * chunk)
        return runs

    count = trainer.recipe.epochs // chunk
    runs: Run = cache.loop(name, trainer.begin(each[1]), go, count)
    return runs
