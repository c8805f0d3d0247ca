# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""`peers`: this library beside all others, asked in turn on one machine."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from benchmarks import cases
from benchmarks.peers import NAMES, OURS, RAGGED
from benchmarks.workers import load, one_round, started

LIMIT = "scan_by_hand"  # any that loads JAX


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    rows: tuple[str, ...] = tuple(cases.ROWS)
    """Shapes, by name."""
    libraries: tuple[str, ...] = NAMES
    """Libraries, by name; the first is what the others' results are compared with."""
    rounds: int = 7
    """Times that every library is asked."""
    seconds: float = 0.3
    """How long a library is measured each time; one call at least."""
    against: Path | None = None
    """Another checkout of this project: its lstm_jax is one more library."""
    torch_python: Path | None = None
    """An interpreter that has torch, where this one has not."""


SMOKE = Settings(rows=tuple(cases.SMOKE), rounds=1, seconds=0.0)


def run(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Measures every row; times are seconds a call, one a round."""
    rows = {**cases.ROWS, **cases.SMOKE}
    for what, given, known in (
        ("rows", settings.rows, tuple(rows)),
        ("libraries", settings.libraries, NAMES),
    ):
        if not given or not set(given) <= set(known):
            raise SystemExit(f"peers: {what} must be among {known}; got {given}.")
    if settings.against and not (settings.against / "benchmarks").is_dir():
        raise SystemExit(
            "peers: against must be a folder with another checkout of this project; "
            f"got {settings.against}."
        )
    if not set(OURS) & set(settings.libraries):
        raise SystemExit(f"peers: libraries must hold one of {OURS}: ratios are to it.")
    task = progress.add_task("peers", total=len(settings.rows) * settings.rounds)
    found: dict[str, Any] = {}
    limits = []
    other = OURS[:1] if settings.against else ()
    with (
        started(settings.libraries, torch=settings.torch_python) as own,
        started(other, settings.against) as others,
        started([LIMIT]) as (limit,),
    ):
        for name in settings.rows:
            row = rows[name]
            workers = [w for w in own + others if row.ragged or w.name not in RAGGED]
            load(workers, row)
            times: dict[str, dict[str, list[float]]] = {"forward": {}, "train": {}}
            for k in range(settings.rounds):
                limits.append(limit.ask(do="limit", seconds=settings.seconds))
                one_round(workers, k, settings.seconds, times)
                progress.advance(task)
            found[name] = {**row.measures(), **times}
    return {"limit_flops": limits, "rows": found}


def ratios(row: dict[str, Any], what: str, ours: tuple[str, ...]) -> dict[str, float]:
    """How often each library's time holds ours: medians of the ratios in each round.

    Ours is that of `ours` with the lowest median, where there are several.
    """
    times = {name: np.asarray(values) for name, values in row[what].items()}
    best = min((times[name] for name in ours if name in times), key=np.median)
    return {name: float(np.median(values / best)) for name, values in times.items()}
