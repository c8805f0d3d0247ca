# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Counts sequences to success on the tasks of 1997."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from rich.progress import Progress

from experiments import _seeds
from experiments._parts import Parts
from experiments.battery_1997 import tasks
from experiments.battery_1997.nets import LAYOUTS, Net, literal, modern, weights
from experiments.battery_1997.report import (
    CASES,
    CELL,
    LIMITS,
    PUBLISHED,
    compare,
    draw,
    tables,
)
from experiments.battery_1997.training import (
    CRITERIA,
    Bars,
    Course,
    Draw,
    Found,
    Trials,
    until_all_strings,
    until_right,
    update,
    update_each_step,
)
from lstm_jax.initializers import BiasInit, chrono, forget_bias

__all__ = ["SMOKE", "Settings", "compare", "draw", "run", "tables"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    seeds: tuple[int, ...] = tuple(range(30))
    """One net each, side by side; of its start and of its sequences."""
    fewer: int = 10
    """Adding and temporal order take the first so many seeds."""
    budget: float = 3.0
    """Sequences at most, in units of the number published for the cell of 1997."""
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
    """Sequences of adding and temporal order that test a net that has succeeded."""
    courses: tuple[str, ...] = tuple(CASES)
    """Which to run."""
    rates: tuple[float, ...] = (0.5, 0.5, 0.1, 0.2, 0.5, 0.5, 1.0, 0.5, 1.0)
    """Learning rates, in the order of the courses as they are by default."""


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

    def __init__(self, settings: Settings, progress: Progress, parts: Parts) -> None:
        self.settings, self.progress, self.parts = settings, progress, parts

    def trials(self, choices: int, seeds: int, rate: float, stream: int) -> Trials:
        """The first so many seeds for each of the choices, seeds in the inner loop."""
        key = _seeds.keys(self.settings.seeds[:seeds], stream)
        count = choices * seeds
        return Trials(
            jnp.tile(key, choices),
            jnp.repeat(jnp.arange(choices), seeds),
            jnp.full(count, rate),
        )

    def start(self, name: str) -> tuple[str, BiasInit]:
        """How the biases of modern cells begin, and the rule."""
        if CASES[name].startswith("reber"):
            return "forget bias 1", forget_bias(1.0)
        return "chrono", chrono(self.settings.steps)

    def nets(self, name: str, choices: int, seeds: int) -> Net:
        """Nets for those trials, of 1997 or modern."""
        init = partial(literal, layout=LAYOUTS[CASES[name]])
        if name not in CELL:
            rule = self.start(name)[1]
            init = partial(modern, layout=LAYOUTS[CASES[name]], bias_init=rule)
        key = _seeds.keys(self.settings.seeds[:seeds], 0)
        # Compiled with all optimizations this takes longer than it runs.
        quick = {"xla_backend_optimization_level": 0}
        nets = jax.jit(jax.vmap(init), compiler_options=quick)(jnp.tile(key, choices))
        return nets.replace(linear=name == "adding linear")

    def course(
        self, name: str, draw: Draw, nets: Net, trials: Trials, size: int
    ) -> Course:
        """A course with its budget, which shows how far it is."""
        budget = int(self.settings.budget * PUBLISHED[CASES[name]])
        count = len(trials.choice)
        task = self.progress.add_task(name, total=budget, note="compiling")

        def tell(sequences: int, done: int) -> None:
            note = f"{done} of {count} nets have succeeded"
            self.progress.update(task, completed=sequences, note=note)

        rule = update_each_step if name == "reber each step" else update
        return Course(name, rule, draw, nets, trials, budget, size, tell)


def about(work: Work, course: Course, rate: float) -> dict[str, Any]:
    """What a reader of the results has to know of a course."""
    return {
        "weights": weights(jax.tree.map(lambda a: a[0], course.nets)),
        "rate": rate,
        "start": "" if course.name in CELL else work.start(course.name)[0],
        "budget": course.budget,
    }


def reber(work: Work, name: str, rate: float) -> list[dict[str, Any]]:
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
    trials = work.trials(1, count, rate, 1)
    trials = trials._replace(choice=jnp.arange(count) % settings.pairs)
    course = work.course(
        name,
        partial(tasks.reber_sample, sets=train),
        work.nets(name, 1, count),
        trials,
        settings.look,
    )
    first = until_all_strings(work.parts, course, sets)
    found = {"training set": first[:, 0].tolist(), "both sets": first[:, 1].tolist()}
    return [about(work, course, rate) | found]


def at_the_end(work: Work, name: str, rate: float) -> list[dict[str, Any]]:
    """Adding or temporal order.

    Returns:
        Results for each reading of adding, or a list of one.
    """
    settings, fewer = work.settings, work.settings.fewer
    # The modern cell takes the first reading alone.
    readings = len(tasks.READINGS) if name == "adding" else 1
    if CASES[name] == "adding":
        draw = partial(tasks.adding, steps=settings.steps)
    else:
        draw = partial(tasks.temporal_order, steps=settings.steps)
    bars = Bars(*LIMITS[CASES[name]], settings.window)
    course = work.course(
        name,
        draw,
        work.nets(name, readings, fewer),
        work.trials(readings, fewer, rate, 1),
        settings.stretch,
    )
    tests = work.trials(readings, fewer, rate, 2).key
    found = until_right(work.parts, course, bars, tests, settings.fresh)
    results = []
    for n in range(readings):
        mine = Found(*(a[n * fewer : (n + 1) * fewer].tolist() for a in found))
        results.append(
            about(work, course, rate)
            | dict(zip(CRITERIA, zip(*mine.first, strict=True), strict=True))
            | {"wrong": mine.wrong, "mean_error": mine.mean_error}
        )
    return results


def run(settings: Settings, progress: Progress, parts: Parts) -> dict[str, Any]:
    """Runs every course; gives a list of results for each, one a reading."""
    work = Work(settings, progress, parts)
    results = {}
    with jax.enable_x64(False):
        for name in settings.courses:
            case, rate = CASES[name], settings.rates[list(CASES).index(name)]
            one = reber if case.startswith("reber") else at_the_end
            results[name] = one(work, name, rate)
    return results
