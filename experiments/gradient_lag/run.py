# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Measures gradient against lag, before and after training on recall."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.progress import Progress

import lstm_jax
from experiments._run_cache import RunCache
from experiments._training import Learner, run_steps, seed_keys, stack
from experiments.gradient_lag.gradients import (
    closed_form_error,
    lstm_against_lag,
    rnn_against_lag,
)
from experiments.gradient_lag.nets import Start, lstms, rnns
from experiments.gradient_lag.show import compare, draw, tables

__all__ = ["SMOKE", "Settings", "compare", "draw", "run", "tables"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network each, side by side; of its start, its data and its loss."""
    units: int = 64
    """Units of the one layer."""
    symbols: int = 8
    """Width of the input: how many symbols there are to recall."""
    batch_size: int = 16
    """Sequences in a batch."""
    steps: int = 201
    """Steps of a measured sequence: lags from 0 to one less."""
    train_steps: int = 50
    """Steps of a training sequence."""
    updates: int = 1500
    """Updates by Adam."""
    learning_rate: float = 3e-3
    """Step of Adam."""
    clip: float = 1.0
    """Highest norm of a gradient while training."""
    stride: int = 5
    """From one lag that is kept to the next."""


SMOKE = Settings(seeds=(0, 1), units=8, batch_size=4, train_steps=10, updates=5)


class Readout(NamedTuple):
    """A network with the linear layer that reads its last h."""

    network: Any
    w: jax.Array


def recall(settings: Settings, steps: int, key: jax.Array) -> tuple[jax.Array, Any]:
    """Sequences that begin with a symbol and go on with noise.

    Returns:
        x (steps, B, symbols): a one-hot vector, then N(0, 1); and the symbols (B,).
    """
    one, two = jax.random.split(key)
    symbols = jax.random.randint(one, (settings.batch_size,), 0, settings.symbols)
    first = jax.nn.one_hot(symbols, settings.symbols)[None]
    noise = jax.random.normal(two, (steps - 1, *first.shape[1:]))
    return jnp.concatenate([first, noise.astype(first.dtype)]), symbols


def train(settings: Settings, network: Any, key: jax.Array) -> tuple[Any, jax.Array]:
    """Trains one network to name the first symbol at the last step.

    Returns:
        The network, and the share of symbols named right over the last 20 updates.
    """
    optimizer = optax.chain(
        optax.clip_by_global_norm(settings.clip), optax.adam(settings.learning_rate)
    )
    one, two = jax.random.split(key)
    w = jax.random.normal(one, (settings.units, settings.symbols))
    readout = Readout(network, w * settings.units**-0.5)

    def loss(readout: Readout, carry: Any, batch: jax.Array, _: Any) -> Any:
        x, symbols = recall(settings, settings.train_steps, batch)
        y, _ = lstm_jax.apply(readout.network, x, time_major=True)
        logits = y[-1] @ readout.w
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, symbols)
        return entropy.mean(), (carry, jnp.mean(logits.argmax(-1) == symbols))

    learner = Learner(readout, optimizer.init(readout))
    keys = jax.random.split(two, settings.updates)
    learner, _, right = run_steps(loss, optimizer, learner, keys)
    return learner.params.network, right[-20:].mean()


def to_float64(tree: Any) -> Any:
    """The tree in float64: over 200 steps gradients leave the range of float32."""
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), tree)


def measured(
    settings: Settings, against_lag: Callable[..., Any], networks: Any
) -> dict[str, Any]:
    """What lag does to networks (starts, seeds), as lists of that shape."""

    def one(network: Any, key: jax.Array) -> dict[str, jax.Array]:
        data, loss = jax.random.split(key)
        x, _ = recall(settings, settings.steps, data)
        v = jax.random.normal(loss, (settings.units,))
        found = against_lag(network, x.astype(v.dtype), v)
        return {k: a[:: settings.stride] for k, a in found.items()}

    with jax.enable_x64(True):
        seeds = jax.vmap(one)
        results = jax.jit(jax.vmap(seeds, (0, None)))(
            to_float64(networks), seed_keys(settings.seeds, 2)
        )
        return jax.tree.map(lambda a: np.asarray(a).tolist(), results)


def started(settings: Settings, starts: Mapping[str, Start]) -> Any:
    """Untrained networks (starts, seeds)."""
    with jax.enable_x64(False):
        keys = seed_keys(settings.seeds, 0)
        drawn = [jax.jit(jax.vmap(init))(keys) for init in starts.values()]
        return stack(drawn)


def study(
    settings: Settings,
    starts: Mapping[str, Start],
    against_lag: Callable[..., Any],
    on_progress: Callable[[str], None],
) -> dict[str, Any]:
    """Measures networks of all starts, trains them, and measures again.

    Returns:
        Results by the name of the start.
    """
    networks = started(settings, starts)
    with jax.enable_x64(False):
        on_progress("at the start")
        before = measured(settings, against_lag, networks)
        on_progress("training")
        seeds = jax.vmap(partial(train, settings))
        trained, right = jax.jit(jax.vmap(seeds, (0, None)))(
            networks, seed_keys(settings.seeds, 1)
        )
        jax.block_until_ready(right)
        on_progress("after training")
        after = measured(settings, against_lag, trained)
    return {
        name: {
            "untrained": {key: value[n] for key, value in before.items()},
            "trained": {key: value[n] for key, value in after.items()},
            "accuracy": right[n].tolist(),
        }
        for n, name in enumerate(starts)
    }


def run(settings: Settings, progress: Progress, cache: RunCache) -> dict[str, Any]:
    """Measures plain RNNs and LSTMs."""
    task = progress.add_task("gradient_lag", total=6, note="")

    def on_progress(cell: str, note: str) -> None:
        progress.update(task, advance=1, note=f"{cell}: {note}")

    inputs, units = settings.symbols, settings.units
    rnn_starts, lstm_starts = (
        rnns(inputs, units),
        lstms(inputs, units, settings.train_steps),
    )
    rnn_results = cache(
        "rnn",
        lambda: study(
            settings, rnn_starts, rnn_against_lag, partial(on_progress, "RNN")
        ),
    )
    lstm_results = cache(
        "lstm",
        lambda: study(
            settings, lstm_starts, lstm_against_lag, partial(on_progress, "LSTM")
        ),
    )
    networks = started(settings, lstm_starts)
    with jax.enable_x64(True):
        key = jax.random.key(settings.seeds[0])
        x = jax.random.normal(key, (settings.steps, settings.batch_size, inputs))
        v = jax.random.normal(jax.random.fold_in(key, 1), (units,))
        error = jax.jit(jax.vmap(jax.vmap(lambda p: closed_form_error(p, x, v))))
        worst = float(error(to_float64(networks)).max())
    return {
        "closed_form_error": worst,
        "lags": list(range(0, settings.steps, settings.stride)),
        "lstm": lstm_results,
        "rnn": rnn_results,
        "symbols_by_chance": 1 / settings.symbols,
    }
