# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Counts sequences to success on the tasks of 1997."""

import dataclasses
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from rich.progress import Progress

from experiments._run_cache import RunCache
from experiments._training import seed_keys
from experiments.battery_1997 import tasks
from experiments.battery_1997.cases import CASES, LIMITS, Case, task
from experiments.battery_1997.nets import Net, literal, modern, weights
from experiments.battery_1997.report import compare, draw, tables
from experiments.battery_1997.training import (
    CRITERIA,
    Bars,
    Draw,
    Found,
    TrainingRun,
    Trials,
    until_all_strings,
    until_right,
    update,
    update_each_step,
)
from lstm_jax.initializers import chrono, forget_bias

__all__ = ["SMOKE", "Settings", "compare", "draw", "run", "tables"]

TUNING = Path(__file__).with_name("tuning.json")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    seeds: tuple[int, ...] = tuple(range(30))
    """One net each, side by side; of its start and of its sequences."""
    fewer: int = 10
    """Adding and temporal order take the first so many seeds."""
    budget: float = 3.0
    """Sequences at most, in units of the number published for the task, rounded up."""
    pairs: int = 3
    """Pairs of training and test sets of Reber strings, in turn among the seeds."""
    strings: int = 256
    """Strings in a set."""
    look: int = 100
    """Reber sequences between two looks at all strings."""
    steps: int = 100
    """Steps of adding and temporal order at least; a tenth more at most."""
    window: int = 2000
    """Sequences that have to be right in a row."""
    stretch: int = 1000
    """Sequences of adding and temporal order in one program."""
    fresh: int = 2560
    """Sequences of adding and temporal order that test a net in the end."""
    courses: tuple[str, ...] = tuple(CASES)
    """Which to run."""
    rate: float = 0.0
    """Learning rate of all courses; with 0 each has its own."""


SMOKE = Settings(
    seeds=(0, 1),
    fewer=2,
    budget=0.002,
    pairs=1,
    strings=16,
    look=40,
    steps=20,
    window=20,
    stretch=30,
    fresh=20,
    courses=("reber 3x2", "adding linear", "adding modern"),
)


class Work:
    """What all courses of one run share."""

    def __init__(self, settings: Settings, progress: Progress, cache: RunCache) -> None:
        self.settings, self.progress, self.cache = settings, progress, cache

    def trials(self, choices: int, seeds: int, rate: float, stream: int) -> Trials:
        """The first so many seeds for each of the choices, seeds in the inner loop."""
        key = seed_keys(self.settings.seeds[:seeds], stream)
        count = choices * seeds
        return Trials(
            jnp.tile(key, choices),
            jnp.repeat(jnp.arange(choices), seeds),
            jnp.full(count, rate),
        )

    def nets(self, case: Case, choices: int, seeds: int) -> Net:
        """Nets for those trials, of 1997 or modern."""
        init = partial(literal, layout=case.layout)
        if case.modern:
            bias = case.forget_bias
            start = chrono(self.settings.steps) if bias is None else forget_bias(bias)
            init = partial(modern, layout=case.layout, bias_init=start)
        key = seed_keys(self.settings.seeds[:seeds], 0)
        # Compiled with all optimizations this takes longer than it runs.
        quick = {"xla_backend_optimization_level": 0}
        nets = jax.jit(jax.vmap(init), compiler_options=quick)(jnp.tile(key, choices))
        return nets.replace(linear=case.linear)

    def training_run(
        self, name: str, case: Case, draw: Draw, nets: Net, trials: Trials, size: int
    ) -> TrainingRun:
        """Nets with their budget, and a progress bar."""
        budget = math.ceil(self.settings.budget * case.unit / size) * size
        count = len(trials.choice)
        task_id = self.progress.add_task(name, total=budget, note="compiling")

        def on_progress(sequences: int, done: int) -> None:
            note = f"{done} of {count} nets have succeeded"
            self.progress.update(task_id, completed=sequences, note=note)

        rule = update_each_step if case.each_step else update
        return TrainingRun(name, rule, draw, nets, trials, budget, size, on_progress)


def about(case: Case, trained: TrainingRun) -> dict[str, Any]:
    """What the results say of the nets of a course."""
    start = ""
    if case.modern:
        bias = case.forget_bias
        start = "chrono" if bias is None else f"forget bias {bias:g}"
    return {
        "weights": weights(jax.tree.map(lambda a: a[0], trained.nets)),
        "rate": case.rate,
        "start": start,
        "budget": trained.budget,
    }


def reber(work: Work, name: str, case: Case) -> list[dict[str, Any]]:
    """Embedded Reber strings.

    Returns:
        A list of one.
    """
    settings = work.settings
    drawn = [tasks.strings(pair, settings.strings) for pair in range(settings.pairs)]
    train = tasks.padded([pair[0] for pair in drawn])
    halves = [s for half in zip(*drawn, strict=True) for s in half]
    both = tasks.padded([tasks.distinct(strings) for strings in halves])
    sets = jax.tree.map(lambda a: a.reshape(2, settings.pairs, *a.shape[1:]), both)
    count = len(settings.seeds)
    trials = work.trials(1, count, case.rate, 1)
    trials = trials._replace(choice=jnp.arange(count) % settings.pairs)
    draw = partial(tasks.reber_sample, sets=train, all_legal=case.all_legal)
    nets = work.nets(case, 1, count)
    trained = work.training_run(name, case, draw, nets, trials, settings.look)
    first = until_all_strings(work.cache, trained, sets)
    found = {"training set": first[:, 0].tolist(), "both sets": first[:, 1].tolist()}
    return [about(case, trained) | found]


def at_the_end(work: Work, name: str, case: Case) -> list[dict[str, Any]]:
    """Adding or temporal order.

    Returns:
        Results for each reading of adding, or a list of one.
    """
    settings, fewer = work.settings, work.settings.fewer
    # The other nets take the first reading alone.
    readings = len(tasks.READINGS) if name == "adding" else 1
    sequences = {"adding": tasks.adding, "order": tasks.temporal_order}[task(name)]
    trained = work.training_run(
        name,
        case,
        partial(sequences, steps=settings.steps),
        work.nets(case, readings, fewer),
        work.trials(readings, fewer, case.rate, 1),
        settings.stretch,
    )
    bars = Bars(*LIMITS[task(name)], settings.window)
    tests = work.trials(readings, fewer, case.rate, 2).key
    found = until_right(work.cache, trained, bars, tests, settings.fresh)
    results = []
    for n in range(readings):
        mine = Found(*(a[n * fewer : (n + 1) * fewer].tolist() for a in found))
        results.append(
            about(case, trained)
            | dict(zip(CRITERIA, zip(*mine.first, strict=True), strict=True))
            | {"wrong": mine.wrong}
        )
    return results


def learned(work: Work, name: str, case: Case) -> list[dict[str, Any]]:
    """What became of the nets of a course, a dict a reading."""
    one = reber if task(name) == "reber" else at_the_end
    with jax.enable_x64(False):
        return one(work, name, case)


def run(settings: Settings, progress: Progress, cache: RunCache) -> dict[str, Any]:
    """Runs every course; gives a list of results for each, one a reading."""
    work = Work(settings, progress, cache)
    results = {}
    for name in settings.courses:
        case = CASES[name]
        case = case._replace(rate=settings.rate or case.rate)
        results[name] = learned(work, name, case)
    return {"courses": results, "tuning": json.loads(TUNING.read_text())}
