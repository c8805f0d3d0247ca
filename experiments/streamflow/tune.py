# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tries settings on the validation years: python -m experiments.streamflow.tune.

What it finds stands in tuning.json; what stands there already is not tried again. The
test years are not looked at, and the seeds are not those of the run.
"""

import dataclasses
import itertools
from typing import Any

import jax
import numpy as np

from experiments._run_cache import RunCache
from experiments._training import TuningLog
from experiments.streamflow.nets import Rates
from experiments.streamflow.run import TUNING, Settings, rates
from experiments.streamflow.series import SPLITS, read
from experiments.streamflow.train import job, train

SEEDS = 100, 101
BASE = {
    "average": 0.98,
    "batch_size": 4,
    "dropout": 0.4,
    "learning_rate": 5e-3,
    "power": 1.0,
    "units": 32,
    "updates": 600,
}
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"learning_rate": 2e-3},
    {"learning_rate": 1e-2},
    {"dropout": 0.0},
    {"dropout": 0.2},
    {"power": 0.5},
    {"power": 0.75},
    {"average": 0.0},
    {"learning_rate": 2e-2},
    {"learning_rate": 1e-2, "dropout": 0.2},
    {"learning_rate": 1e-2, "power": 0.75},
    {"learning_rate": 1e-2, "average": 0.0},
    {"learning_rate": 1e-2, "units": 64},
    {"learning_rate": 4e-2},
    {"learning_rate": 2e-2, "dropout": 0.2},
    {"learning_rate": 2e-2, "power": 0.75},
    {"learning_rate": 2e-2, "units": 64},
)


def shapes(tried: dict[str, Any]) -> list[tuple[str, Any]]:
    """Settings that networks side by side must have in common."""
    return sorted(item for item in tried.items() if item[0] not in Rates._fields)


def side_by_side(tried: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Trains networks that differ in their rates alone, two seeds of each."""
    series, split = read(), SPLITS["forwards"]
    settings = [dataclasses.replace(Settings(), **t) for t in tried]
    jobs = [
        job(one, series, split, rates(one), seed) for one in settings for seed in SEEDS
    ]

    def on_progress(n: int, state: Any) -> None:
        best = np.asarray(state.curve).max(1).reshape(-1, len(SEEDS))
        print(n, np.round(np.median(best, 1), 3), flush=True)

    with RunCache.temporary("streamflow", settings[0]) as cache:
        state = train(settings[0], series, jobs, cache, on_progress)
    curves = np.asarray(state.curve, float).reshape(len(tried), len(SEEDS), -1)
    return [
        {
            "choose": curve.max(1).tolist(),
            "settings": one,
            "update": ((curve.argmax(1) + 1) * settings[0].every).tolist(),
        }
        for one, curve in zip(tried, curves, strict=True)
    ]


def main() -> None:
    """Tries what tuning.json does not have."""
    log = TuningLog(TUNING)
    tried = [BASE | change for change in CHANGES]
    missing = sorted((t for t in tried if {"settings": t} not in log), key=shapes)
    for _, group in itertools.groupby(missing, shapes):
        with jax.enable_x64(False):
            log.add(*side_by_side(list(group)))


if __name__ == "__main__":
    main()
