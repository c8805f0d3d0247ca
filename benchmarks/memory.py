# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""`memory`: temporary bytes of the compiled gradient against T, and its time."""

import dataclasses
from typing import Any

from rich.progress import Progress

from benchmarks.cases import Row
from benchmarks.peers import JAX
from benchmarks.workers import load, one_round, started

OURS = {"lstm_jax": "Scan()", "lstm_jax_checkpoint": 'Scan(checkpoint="sqrt")'}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    steps: tuple[int, ...] = (16, 64, 256, 1024, 4096)
    """T."""
    batch: int = 16
    """Rows."""
    inputs: int = 64
    """Width of x."""
    hidden: int = 128
    """Units."""
    libraries: tuple[str, ...] = (*OURS, *JAX)
    """Libraries, by name: those in JAX."""
    rounds: int = 5
    """Times that each is asked, in turn."""
    seconds: float = 0.2
    """How long each is measured a time; one call at least."""


SMOKE = Settings(steps=(8,), batch=2, inputs=3, hidden=5, rounds=1, seconds=0.0)


def run(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Compiles and times every length; times are seconds a call, one a round."""
    if not set(settings.libraries) <= {*OURS, *JAX}:
        raise SystemExit(f"memory: libraries must be among {(*OURS, *JAX)}.")
    task = progress.add_task("memory", total=len(settings.steps))
    found = []
    with started(settings.libraries) as workers:
        for steps in settings.steps:
            row = Row(steps, settings.batch, settings.inputs, settings.hidden)
            load(workers, row)
            times: dict[str, dict[str, list[float]]] = {"train": {}}
            for k in range(settings.rounds):
                one_round(workers, k, settings.seconds, times)
            found += [
                {
                    "name": worker.name,
                    "steps": steps,
                    "bytes": worker.ask(do="memory"),
                    "seconds": times["train"][worker.name],
                }
                for worker in workers
            ]
            progress.advance(task)
    return {"lengths": found}
