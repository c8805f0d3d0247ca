# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Predicts the run-off of a basin from its weather, in two directions of time."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.progress import Progress

from experiments._run_cache import RunCache
from experiments.streamflow.nets import Rates, efficiency
from experiments.streamflow.series import (
    SPLITS,
    Series,
    Split,
    climatology,
    days,
    persistence,
    read,
)
from experiments.streamflow.show import compare, draw, tables
from experiments.streamflow.train import State, job, runoff, train

__all__ = ["SMOKE", "Settings", "compare", "draw", "run", "tables"]

TUNING = Path(__file__).parent / "tuning.json"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)
    """One network each and for each split of the years, side by side."""
    units: int = 32
    """Units of the one layer."""
    forget_bias: float = 3.0
    """Bias of the forget gate at the start."""
    warm_up: int = 365
    """Days of weather that are read before the first day that is predicted."""
    days: int = 365
    """Days of a window that the loss sees."""
    batch_size: int = 4
    """Windows in a minibatch."""
    updates: int = 600
    """Updates by Adam; its step falls as a cosine."""
    every: int = 20
    """The networks are compared on the validation years every so many updates."""
    learning_rate: float = 2e-2
    """Highest step of Adam."""
    dropout: float = 0.4
    """Share of the outputs that the linear layer does not see while training."""
    power: float = 1.0
    """Of run-off in the loss."""
    average: float = 0.98
    """Decay of the running average of parameters, which is what is used."""
    clip: float = 1.0
    """Highest norm of a gradient."""
    hydrograph: int = 2005
    """Water year that the figure shows."""


SMOKE = Settings(seeds=(0, 1), units=4, days=20, batch_size=2, updates=4, every=2)


def rates(settings: Settings) -> Rates:
    """The rates of all networks of a run."""
    return Rates(*(getattr(settings, name) for name in Rates._fields))


def measures(
    predicted: np.ndarray, series: Series, split: Split, known: np.ndarray
) -> dict[str, float]:
    """Efficiency in each part of a split; spread and bias in the test years.

    Args:
        predicted: (N,) run-off, mm/day; finite on the known days.
        series: holds what was observed.
        split: whose years are judged.
        known: (N,) which days count.

    Returns:
        Efficiency in `train`, `choose`, `test` and `apart`; `alpha`, the ratio of the
        standard deviations, predicted over observed; `beta`, the difference of the
        means in standard deviations of what was observed.
    """
    one, two = (np.where(known, a, 0) for a in (predicted, series.observed))
    found = {}
    for name, years in split._asdict().items():
        part = days(series.dates, years)
        found[name] = efficiency(one[part], two[part], known[part])
    part = days(series.dates, split.test)
    test = np.flatnonzero(known[part]) + part.start
    spread = two[test].std()
    found["alpha"] = one[test].std() / spread
    found["beta"] = (one[test] - two[test]).mean() / spread
    return {name: float(value) for name, value in found.items()}


def judged(predicted: np.ndarray, series: Series, split: Split) -> dict[str, Any]:
    """Measures of the networks (S, N) one by one, of their mean, and of baselines.

    All count the same days: those on which each of them has a value.
    """
    others = {
        "mean of the LSTMs": predicted.mean(0),
        "SAC-SMA": series.sac_sma,
        "climatology": climatology(series, split.train),
        "persistence": persistence(series),
    }
    everything = np.stack([series.observed, *predicted, *others.values()])
    known = np.isfinite(everything).all(0)
    one_by_one = [measures(network, series, split, known) for network in predicted]
    return {
        "LSTM": {name: [m[name] for m in one_by_one] for name in one_by_one[0]},
        "others": {
            name: measures(values, series, split, known)
            for name, values in others.items()
        },
        "years": split._asdict(),
    }


def hydrograph(predicted: np.ndarray, series: Series, year: int) -> dict[str, Any]:
    """One water year, in mm/day to two digits."""
    part = days(series.dates, (year, year))
    lines = {
        "SAC-SMA": series.sac_sma[part],
        "highest": predicted[:, part].max(0),
        "lowest": predicted[:, part].min(0),
        "median": np.median(predicted[:, part], 0),
        "observed": series.observed[part],
    }
    return {name: np.round(line, 2).tolist() for name, line in lines.items()} | {
        "year": year
    }


def run(settings: Settings, progress: Progress, cache: RunCache) -> dict[str, Any]:
    """Trains one network for each seed and split, all side by side, and judges them."""
    series = read()
    jobs = [
        job(settings, series, split, rates(settings), seed)
        for split in SPLITS.values()
        for seed in settings.seeds
    ]
    total = settings.updates // settings.every
    task = progress.add_task("streamflow", total=total, note="compiling")

    def on_progress(n: int, state: State) -> None:
        value = np.median(np.asarray(state.curve)[:, n])
        progress.update(task, completed=n + 1, note=f"efficiency {value:.3f}")

    with jax.enable_x64(False):
        state = train(settings, series, jobs, cache, on_progress)
    predicted = runoff(settings, series, jobs, state.best)
    shape = len(SPLITS), len(settings.seeds)
    predicted = predicted.reshape(*shape, -1)
    updates = (np.argmax(state.curve, 1) + 1).reshape(shape) * settings.every
    splits = {
        name: judged(mine, series, split) | {"update": chosen.tolist()}
        for (name, split), mine, chosen in zip(
            SPLITS.items(), predicted, updates, strict=True
        )
    }
    return {
        "splits": splits,
        "hydrograph": hydrograph(predicted[0], series, settings.hydrograph),
        "parameters": sum(a[0].size for a in jax.tree.leaves(state.learner.params)),
        "tuning": json.loads(TUNING.read_text()),
    }
