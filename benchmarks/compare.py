# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""`peers`: this library beside all others, asked in turn on one machine."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from benchmarks import cases
from benchmarks.peers import NAMES, OURS

BOUND = 2e-5  # largest difference in float32 over the largest value


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


SMOKE = Settings(rows=("smoke",), rounds=2, seconds=0.01)


class Worker:
    """A library in a process of its own."""

    def __init__(self, name: str) -> None:
        # The benchmark measures what users have by default.
        environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
        environment["JAX_PLATFORMS"] = "cpu"  # where all of them can run
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(self, **request: Any) -> Any:
        """Sends a request and waits for the answer."""
        assert self.process.stdin and self.process.stdout
        line = ""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"peers: {self.name} died on {request}; is it installed? "
                f"`python -m benchmarks.worker {self.name}` shows why."
            )
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin and self.process.stdout
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def loaded(worker: Worker, row: cases.Row, folder: Path) -> Mapping[str, np.ndarray]:
    """What a library computes for a row, after it has compiled all."""
    file = folder / f"{worker.name}.npz"
    worker.ask(do="load", row=list(row), to=str(file))
    with np.load(file) as found:
        return dict(found)


def check(name: str, got: Any, expected: Any) -> None:
    """Libraries that compute different things cannot be compared."""
    for what, value in got.items():
        error = np.abs(value - expected[what]).max() / np.abs(expected[what]).max()
        if not error < BOUND:
            raise AssertionError(
                f"peers: {what} of {name} differs by {error:.2g} of the largest value."
            )


def run(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Measures every row; times are seconds a call, one a round."""
    rows = {**cases.ROWS, **cases.SMOKE}
    task = progress.add_task("peers", total=len(settings.rows) * settings.rounds)
    workers = [Worker(name) for name in settings.libraries]
    found: dict[str, Any] = {}
    try:
        limits = []
        for name in settings.rows:
            with tempfile.TemporaryDirectory() as folder:
                results = [loaded(w, rows[name], Path(folder)) for w in workers]
            for worker, result in zip(workers, results, strict=True):
                check(worker.name, result, results[0])
            times: dict[str, dict[str, list[float]]] = {"forward": {}, "train": {}}
            for _ in range(settings.rounds):
                limits.append(workers[0].ask(do="limit", seconds=settings.seconds))
                for worker, result in zip(workers, results, strict=True):
                    for what, by_name in times.items():
                        if what == "train" and "w_h" not in result:
                            continue
                        taken = worker.ask(
                            do="time", what=what, seconds=settings.seconds
                        )
                        by_name.setdefault(worker.name, []).append(taken)
                progress.advance(task)
            found[name] = {**rows[name]._asdict(), "flops": rows[name].flops, **times}
    finally:
        for worker in workers:
            worker.close()
    return {"limit_flops": limits, "rows": found}


def ratios(row: dict[str, Any], what: str) -> dict[str, float]:
    """How often each library's time holds ours: medians of the ratios in each round.

    Ours is the better of one device and sharded over the cores, by its median.
    """
    times = {name: np.asarray(values) for name, values in row[what].items()}
    ours = min((times[name] for name in OURS if name in times), key=np.median)
    return {name: float(np.median(values / ours)) for name, values in times.items()}
