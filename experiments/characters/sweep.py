# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""How far back gradients must go: a small network at several window lengths."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lstm_jax
from experiments._run_cache import RunCache
from experiments._training import Learner, run_steps, seed_keys, stack
from experiments.characters import model
from lstm_jax import training

CHUNKS = 10  # of a training run: points of its curve, and places to go on from


@dataclasses.dataclass(frozen=True)
class Settings(model.Settings):
    """Of the small networks, beside those of the large one."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One small network each, trained side by side."""
    windows: tuple[int, ...] = (5, 20, 50, 100, 200)
    """Characters between two steps of a small network."""
    small_size: int = 64
    """Units of its one layer."""
    small_embedding: int = 32
    """Features of a character at its entry."""
    small_lanes: int = 16
    """Lanes where all windows have the same; shorter ones have more steps."""
    batch: int = 1600
    """Characters of a step where all windows have the same; shorter have more lanes."""
    seen: int = 480_000
    """Characters that each small network is trained on, whatever its window."""
    rates: tuple[float, ...] = (8e-3, 16e-3, 32e-3, 64e-3, 128e-3)
    """Learning rates that each window tries, with the first seed and half the steps."""
    validation: int = 20_000
    """Characters that choose: the first of the last tenth of the training text."""


def arrangements(settings: Settings) -> list[tuple[int, int]]:
    """Windows with their lanes: all with the same lanes, then all of the same batch."""
    same_lanes = [(window, settings.small_lanes) for window in settings.windows]
    same_batch = [(window, settings.batch // window) for window in settings.windows]
    return list(dict.fromkeys(same_lanes + same_batch))


def schedule(steps: int) -> np.ndarray:
    """The share of the learning rate at each step: a short rise, then a cosine."""
    share = optax.warmup_cosine_decay_schedule(0.0, 1.0, max(steps // 20, 1), steps)
    return np.asarray(jax.vmap(share)(np.arange(1, steps + 1)), np.float32)


def optimizer(
    clip: float, rate: jax.Array, shares: jax.Array
) -> optax.GradientTransformation:
    """Adam with clipped gradients.

    Args:
        clip: highest norm of a gradient.
        rate: () highest learning rate.
        shares: (U,) of the rate, in the U steps of a chunk.
    """
    return optax.chain(
        optax.clip_by_global_norm(clip),
        optax.adam(lambda count: rate * shares[count % len(shares)]),
    )


def start(clip: float, lanes: int, network: model.Network) -> Learner:
    """A network before its first step."""
    tx = optimizer(clip, jnp.zeros(()), jnp.zeros(1))
    carry = lstm_jax.zero_state(network.lstm, (lanes,))
    return Learner(network, tx.init(network), carry)


def train_chunk(
    clip: float, rate: jax.Array, learner: Learner, batches: Any
) -> tuple[Learner, jax.Array]:
    """Trains one network on one window after another.

    Args:
        clip: highest norm of a gradient.
        rate: () highest learning rate.
        learner: carries the state of the network.
        batches: windows (U, …) and shares of the rate (U,).

    Returns:
        The learner, and the mean loss.
    """
    windows, shares = batches
    tx = optimizer(clip, rate, jnp.asarray(shares))
    learner, nats, _ = run_steps(partial(model.loss, None), tx, learner, windows)
    return learner, nats.mean()


class Sweep:
    """Small networks side by side at any window, compiled once for each shape."""

    def __init__(self, settings: Settings, text: model.Text, cache: RunCache) -> None:
        self.settings, self.text, self.cache = settings, text, cache
        cut = len(text.train) * 9 // 10
        self._fitted = text.train[:cut]
        self._chosen_on = text.train[cut : cut + settings.validation]
        chunk = partial(train_chunk, settings.clip)
        self._train_chunk = jax.jit(jax.vmap(chunk, (0, 0, None)))
        self._read = jax.jit(jax.vmap(model.read, (0, None)))

    def _init(self, key: jax.Array) -> model.Network:
        """Draws a small network."""
        settings = self.settings
        small = model.Settings(
            hidden_size=settings.small_size,
            embedding_size=settings.small_embedding,
            num_layers=1,
        )
        return model.init(small, len(self.text.alphabet), key)

    def nats(self, networks: model.Network, codes: np.ndarray) -> np.ndarray:
        """Cross entropies (N,) of a text that is read as one stream."""
        cut = model.stream(codes, self.settings.window)
        return np.asarray(self._read(networks, cut).value)

    def study(self, window: int, lanes: int) -> dict[str, Any]:
        """Chooses a learning rate on the training text; trains all seeds with it."""
        settings, name = self.settings, f"window {window}, {lanes} lanes"
        rates = np.asarray(settings.rates, np.float32)
        first = seed_keys(settings.seeds[:1] * len(rates), 3)
        tried, _ = self.train(
            f"{name}, rates", self._fitted, window, lanes, first, rates, CHUNKS // 2
        )
        nats = self.nats(tried, self._chosen_on)
        best = settings.rates[int(nats.argmin())]
        keys = seed_keys(settings.seeds, 3)
        networks, curves = self.train(
            name,
            self.text.train,
            window,
            lanes,
            keys,
            np.full(len(keys), best, np.float32),
            CHUNKS,
        )
        return {
            "held_out_nats": self.nats(networks, self.text.held_out),
            "lanes": lanes,
            "learning_rate": best,
            "parameters": sum(a[0].size for a in jax.tree.leaves(networks)),
            "steps": CHUNKS * self._steps(window, lanes),
            "train_nats": curves,
            "validation_nats": nats,
            "window": window,
        }

    def train(
        self,
        name: str,
        codes: np.ndarray,
        window: int,
        lanes: int,
        keys: jax.Array,
        rates: np.ndarray,
        chunks: int,
    ) -> tuple[model.Network, np.ndarray]:
        """Trains networks on the same windows.

        Args:
            name: of this part of the run.
            codes: text.
            window: characters between two steps.
            lanes: rows of a batch.
            keys: (N,) of the networks.
            rates: (N,) their highest learning rates.
            chunks: how long.

        Returns:
            The networks (N), and the mean loss (N, chunks) of each chunk.
        """
        each = self._steps(window, lanes)
        shares = schedule(each * chunks)
        batch = training.cycle(training.windows(model.pairs(codes), lanes, window))

        def one(n: int, state: Any) -> Any:
            learners, curves = state
            steps = range(n * each, (n + 1) * each)
            windows = jax.tree.map(lambda *a: np.stack(a), *map(batch, steps))
            batches = windows, shares[steps.start : steps.stop]
            learners, nats = self._train_chunk(rates, learners, batches)
            curves = curves.copy()
            curves[:, n] = nats
            return learners, curves

        curves = np.zeros((len(keys), chunks), np.float32)
        networks = stack([self._init(key) for key in keys])
        learners = jax.vmap(partial(start, self.settings.clip, lanes))(networks)
        learners, curves = self.cache.loop(name, (learners, curves), one, chunks)
        return learners.params, curves

    def _steps(self, window: int, lanes: int) -> int:
        """Steps of a chunk."""
        return self.settings.seen // (window * lanes * CHUNKS)


def run(
    settings: Settings,
    text: model.Text,
    on_progress: Callable[[str], None],
    cache: RunCache,
) -> list[dict[str, Any]]:
    """Studies all windows, in both arrangements."""
    sweep = Sweep(settings, text, cache)
    results = []
    for window, lanes in arrangements(settings):
        on_progress(f"window {window}, {lanes} lanes")
        study = partial(sweep.study, window, lanes)
        results.append(cache(f"sweep {window} {lanes}", study))
    return results
