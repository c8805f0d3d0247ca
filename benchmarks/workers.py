# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Libraries in processes of their own, asked in turn."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import Row

BOUND = 2e-5  # largest difference in float32 over the largest value


class Worker:
    """A library in a process of its own.

    Args:
        name: of a module in benchmarks/peers.
        checkout: another checkout of this project, whose modules run; its name then
            ends in "@" and the folder's.
        python: another interpreter that runs it.
    """

    def __init__(
        self, name: str, checkout: Path | None = None, python: Path | None = None
    ) -> None:
        # The benchmark measures what users have by default.
        own = ("JAX_", "XLA_", "OMP_", "MKL_", "KMP_", "ORT_", "TF_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}
        environment["JAX_PLATFORMS"] = "cpu"  # where all of them can run
        self.name = f"{name}@{checkout.name}" if checkout else name
        if checkout:
            environment.pop("PYTHONPATH", None)
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [python or sys.executable, "-m", "benchmarks.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
            cwd=checkout,  # the first place where Python looks for modules
        )

    def ready(self) -> None:
        """Waits until the library is there."""
        self._answer("its start")

    def ask(self, **request: Any) -> Any:
        """Sends a request and waits for the answer."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._answer(request)

    def _answer(self, request: Any) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            last = (self.errors.read().strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"benchmarks: {self.name} died on {request}: {last}")
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin and self.process.stdout
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


@contextlib.contextmanager
def started(
    names: Iterable[str], checkout: Path | None = None, torch: Path | None = None
) -> Iterator[list[Worker]]:
    """A process for each library, all of them ready; `torch` is an interpreter."""
    workers: list[Worker] = []
    try:
        for name in names:
            workers.append(Worker(name, checkout, torch if name == "torch" else None))
        for worker in workers:
            worker.ready()
        yield workers
    finally:
        for worker in workers:
            worker.close()


def load(workers: Iterable[Worker], row: Row) -> None:
    """Gives all libraries a row, and refuses what does not compute the same."""
    first: Mapping[str, np.ndarray] | None = None
    with tempfile.TemporaryDirectory() as folder:
        for worker in workers:
            file = Path(folder) / f"{worker.name}.npz"
            worker.ask(do="load", row=list(row))
            worker.ask(do="save", to=str(file))
            with np.load(file) as found:
                got = dict(found)
            first = got if first is None else first
            check(worker.name, got, first)


def check(name: str, got: Any, expected: Any) -> None:
    """Libraries that compute different things cannot be compared."""
    for what, value in got.items():
        if what not in expected:
            raise AssertionError(
                f"benchmarks: {what} of {name} has nothing to be compared with; the "
                "first library must have a gradient."
            )
        if value.shape != expected[what].shape:
            raise AssertionError(
                f"benchmarks: {what} of {name} has shape {value.shape}, not "
                f"{expected[what].shape}."
            )
        error = np.abs(value - expected[what]).max() / np.abs(expected[what]).max()
        if not error < BOUND:
            raise AssertionError(
                f"benchmarks: {what} of {name} differs by {error:.2g} of the largest "
                "value."
            )


def one_round(
    workers: Sequence[Worker],
    number: int,
    seconds: float,
    times: dict[str, dict[str, list[float]]],
) -> None:
    """Adds to times[what][name] the time of a call of every library, in turn.

    Another one begins each round, so that none is always measured after the same.
    """
    first = number % len(workers)
    for worker in (*workers[first:], *workers[:first]):
        for what, by_name in times.items():
            taken = worker.ask(do="time", what=what, seconds=seconds)
            if taken is not None:
                by_name.setdefault(worker.name, []).append(taken)
