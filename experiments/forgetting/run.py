# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trains nets with and without forget gates on streams, and tests them on others."""

import dataclasses
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.progress import Progress

from experiments._run_cache import RunCache
from experiments._training import stack
from experiments.forgetting import cell, exam, grammar, modern, online
from experiments.forgetting.report import BLOCKS, MODERN, compare, draw, tables

__all__ = ["SMOKE", "Settings", "compare", "draw", "run", "tables"]
FINAL, TRACE, PRACTICE, CHECKS = 1, 2, 3, 10  # what streams are for
POINTS = 16  # of the curves that are kept
CHUNKS = 4  # of the modern LSTM's training


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    seeds: tuple[int, ...] = tuple(range(16))
    """One net of each kind each; of its start and of its streams."""
    blocks: int = 4
    """Memory blocks."""
    size: int = 2
    """Cells of a block; the modern LSTM has as many cells in all."""
    rate: float = 0.5
    """Learning rate of the memory blocks at first."""
    every: int = 100
    """Training streams between two decays of the rate, by 0.99, where it decays."""
    symbols: int = 2_000_000
    """Training symbols of each net at most."""
    streams: int = 30_000
    """Training streams of each net at most."""
    longest: int = 100_000
    """Symbols of a training stream, and of a test stream while training, at most."""
    checks: int = 40
    """How often training is interrupted for test streams."""
    tests: int = 10
    """Test streams of each net, each time."""
    common: int = 10_000
    """Symbols after which a net's test streams end once it has failed in one."""
    million: int = 1_000_000
    """Symbols of the last test streams at most."""
    window: int = 50
    """Symbols that the modern LSTM's gradient goes back."""
    lanes: int = 2
    """Streams that the modern LSTM reads side by side."""
    restart: int = 20
    """Windows after which it begins new ones."""
    adam: float = 1e-2
    """Highest learning rate of Adam; it falls to nothing as a cosine."""
    traced: int = 100_000
    """Symbols of the test streams along which the norm of c is followed."""


SMOKE = Settings(
    seeds=(0, 1),
    symbols=2_000,
    longest=1_000,
    checks=2,
    tests=2,
    common=1_000,
    million=1_000,
    window=10,
    traced=1_000,
)


def rules(count: int) -> cell.Rules:
    """The kinds of memory blocks, so many nets of each."""
    columns = zip(*BLOCKS.values(), strict=True)
    return cell.Rules(*(jnp.repeat(jnp.asarray(c), count) for c in columns))


def blocks_net() -> exam.Net:
    """How the nets of memory blocks read streams."""

    def begin(params: Any) -> Any:
        return cell.zero_state(params[1])

    def step(params: Any, state: Any, reader: Any) -> Any:
        rules, weights = params
        state = online.zero_where(rules.reset & (reader.place == 0), state)
        u = cell.seen(reader.symbol, state.h)
        return cell.cell_step(rules, weights, state.c, u)[:2]

    return exam.Net(begin, step, lambda s: jnp.linalg.norm(s.c, axis=(0, 1)))


def names(settings: Settings, purpose: int, count: int, kinds: int) -> np.ndarray:
    """Names (count, kinds · seeds, 3) of streams: all kinds read the same ones."""
    own = [[(s, purpose, n) for s in settings.seeds] for n in range(count)]
    return np.tile(np.asarray(own), (1, kinds, 1))


@partial(jax.jit, static_argnums=0)
def practise(
    plan: online.Plan, all_rules: cell.Rules, learner: Any, bits: jax.Array
) -> online.Learner:
    """Training on as many symbols as there are bits (count, N)."""

    def one(learner: online.Learner, bit: jax.Array) -> tuple[online.Learner, None]:
        return online.learn(plan, all_rules, learner, bit), None

    return jax.lax.scan(one, learner, bits)[0]


def first_learner(settings: Settings, kinds: int) -> online.Learner:
    """All nets of memory blocks before training; a seed's are the same in all kinds."""
    params = [
        cell.init(np.random.default_rng(seed), settings.blocks, settings.size)
        for seed in settings.seeds
    ]
    every = jax.tree.map(lambda *w: jnp.stack(w * kinds, -1), *params)
    return jax.device_get(online.begin(every))


def train_blocks(
    settings: Settings, net: exam.Net, cache: RunCache, on_progress: Any
) -> Any:
    """Trains all nets of memory blocks, side by side.

    Returns:
        A dict of the learner, of each net's mean test length at each check (checks,
        N), and of the symbols after which it was perfect (N,), 0 where it never was.
    """
    kinds, count = len(BLOCKS), settings.symbols // settings.checks
    all_rules, own = rules(len(settings.seeds)), names(settings, PRACTICE, 1, kinds)[0]
    plan = online.Plan(
        settings.rate, settings.every, settings.longest, settings.streams
    )

    def chunk(n: int, state: Any) -> Any:
        on_progress(f"memory blocks, symbol {n * count:,}")
        learner, taking = state["learner"], ~np.asarray(state["learner"].stopped)
        learner = practise(plan, all_rules, learner, grammar.bits(own, n, count))
        tests = names(settings, CHECKS + n, settings.tests, kinds)
        lengths = exam.lengths(
            net,
            (all_rules, learner.params),
            tests,
            settings.longest,
            settings.common,
            taking,
        )
        perfect = taking & (lengths >= settings.longest).all(0)
        means = np.minimum(lengths, settings.common).mean(0)
        state["lengths"][n] = np.where(taking, means, state["lengths"][n - 1])
        return state | {
            "learner": learner._replace(stopped=learner.stopped | perfect),
            "perfect": np.where(perfect, (n + 1) * count, state["perfect"]),
        }

    start = {
        "learner": first_learner(settings, kinds),
        "lengths": np.zeros((settings.checks, len(own))),
        "perfect": np.zeros(len(own), int),
    }
    return cache.loop("blocks", start, chunk, settings.checks)


def train_modern(settings: Settings, cache: RunCache, on_progress: Any) -> Any:
    """Trains the LSTMs of today on as many symbols; nets are the last axis."""
    updates = settings.symbols // (settings.window * settings.lanes)
    optimizer = optax.adam(optax.cosine_decay_schedule(settings.adam, updates))
    train = jax.jit(jax.vmap(partial(modern.train, optimizer), (0, 0, None)))
    count = updates // CHUNKS
    shape = count, settings.window, settings.lanes

    def chunk(n: int, trained: Any) -> Any:
        on_progress(f"modern LSTM, update {n * count:,}")
        own = names(settings, PRACTICE, 1, 1)[0]
        bits = grammar.bits(own, n, math.prod(shape))
        fresh = np.arange(n * count, (n + 1) * count) % settings.restart == 0
        return train(trained, bits.T.reshape(-1, *shape), fresh)

    def begin(seed: int) -> Any:
        rng = np.random.default_rng(seed)
        params = modern.init(rng, settings.blocks * settings.size)
        return modern.begin(optimizer, params, settings.lanes)

    start = jax.device_get(stack([begin(seed) for seed in settings.seeds]))
    trained = cache.loop("modern", start, chunk, CHUNKS)
    return jax.tree.map(lambda a: np.moveaxis(a, 0, -1), trained.params)


def last_tests(settings: Settings, net: exam.Net, params: Any, kinds: int) -> Any:
    """Fresh and longer test streams, and the norm of c along others.

    Returns:
        A dict of lengths (tests, N), and of norms (points, N): of c after so many
        symbols, mean over the test streams.
    """
    lengths = exam.lengths(
        net,
        params,
        names(settings, FINAL, settings.tests, kinds),
        settings.million,
        settings.common,
    )
    own = names(settings, TRACE, settings.tests, kinds)
    norms = exam.norms(net, params, own, settings.traced)
    return {"lengths": lengths, "norms": norms[points(settings.traced) - 1]}


def points(longest: int) -> np.ndarray:
    """Places of a stream, evenly spaced on a logarithmic scale."""
    return np.unique(np.geomspace(10, longest, POINTS).astype(int))


def by_kind(names: Any, seeds: int, **arrays: Any) -> dict[str, dict[str, Any]]:
    """Arrays (..., kinds · seeds) taken apart: by kind, each (..., seeds)."""
    return {
        name: {
            k: np.asarray(a)[..., n * seeds :][..., :seeds] for k, a in arrays.items()
        }
        for n, name in enumerate(names)
    }


def run(settings: Settings, progress: Progress, cache: RunCache) -> dict[str, Any]:
    """Trains and tests all kinds of nets."""
    task = progress.add_task("forgetting", total=settings.checks + 6, note="")

    def on_progress(note: str) -> None:
        progress.update(task, advance=1, note=note)

    seeds = len(settings.seeds)
    with jax.enable_x64(False):
        all_rules = rules(seeds)
        net = blocks_net()
        state = train_blocks(settings, net, cache, on_progress)
        on_progress("memory blocks, last tests")
        params = all_rules, state["learner"].params
        tested = cache("last", lambda: last_tests(settings, net, params, len(BLOCKS)))
        today = train_modern(settings, cache, on_progress)
        on_progress("modern LSTM, last tests")
        found = cache("modern", lambda: last_tests(settings, modern.NET, today, 1))
    every = max(1, settings.checks // POINTS)
    kinds = by_kind(
        BLOCKS,
        seeds,
        curve=state["lengths"][every - 1 :: every],
        perfect_after=state["perfect"],
        streams=state["learner"].streams,
        **tested,
    ) | by_kind([MODERN], seeds, **found)
    return jax.tree.map(
        lambda a: a.tolist(),
        {
            "checked": np.arange(every, settings.checks + 1, every)
            * (settings.symbols // settings.checks),
            "kinds": kinds,
            "points": points(settings.traced),
        },
    )
