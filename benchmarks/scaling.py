# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""`scaling`: run time and gradient against T, B and H, on one device and on all."""

import dataclasses
from typing import Any

from rich.progress import Progress

from benchmarks.cases import Row
from benchmarks.peers import OURS
from benchmarks.workers import load, one_round, started


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    steps: tuple[int, ...] = (16, 64, 256, 1024)
    """T."""
    batch: tuple[int, ...] = (2, 8, 32, 128)
    """B."""
    hidden: tuple[int, ...] = (32, 128, 512)
    """H."""
    libraries: tuple[str, ...] = ("lstm_jax", "lstm_jax_sharded", "torch")
    """Libraries, by name; ours on one device and on all must be among them."""
    middle: tuple[int, int, int, int] = (64, 32, 128, 128)
    """T, B, I and H, of which one is varied; I with H."""
    rounds: int = 5
    """Times that each is asked, in turn."""
    seconds: float = 0.2
    """How long each is measured a time; one call at least."""


SMOKE = Settings(
    steps=(2, 4),
    batch=(2, 4),
    hidden=(3,),
    middle=(2, 2, 3, 3),
    rounds=1,
    seconds=0.0,
)


def rows(settings: Settings) -> list[tuple[str, Row]]:
    """What varies, and the row."""
    middle = Row(*settings.middle)
    return [
        *(("T", middle._replace(steps=n)) for n in settings.steps),
        *(("B", middle._replace(batch=n)) for n in settings.batch),
        *(("H", middle._replace(inputs=n, hidden=n)) for n in settings.hidden),
    ]


def run(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Measures every row; times are seconds a call, one a round."""
    if not set(OURS[:2]) <= set(settings.libraries):
        raise SystemExit(f"scaling: libraries must hold {OURS[:2]}.")
    planned = rows(settings)
    task = progress.add_task("scaling", total=len(planned))
    found = []
    with started(settings.libraries) as workers:
        for axis, row in planned:
            load(workers, row)
            times: dict[str, dict[str, list[float]]] = {"forward": {}, "train": {}}
            for k in range(settings.rounds):
                one_round(workers, k, settings.seconds, times)
            found.append({"axis": axis, **row.measures(), **times})
            progress.advance(task)
    return {"rows": found}
