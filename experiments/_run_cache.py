# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Cached results of a run, so that one that was stopped goes on from there."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lstm_jax
from experiments._registry import FOLDER
from experiments._results import versions

LIBRARY = Path(lstm_jax.__file__).parent


class RunCache:
    """Results and loop states of one run, each a file in the run's folder.

    They are valid for the same settings, versions and code, the library's included: a
    change to any of these starts afresh.

    Attributes:
        folder: for results.json, figures, and all else that a run leaves.
        own: folder of this run's files; removed when the run is done.
        earlier: seconds that the results found in the cache took.
    """

    def __init__(self, folder: Path, name: str, settings: Any) -> None:
        self.folder, self.earlier = folder, 0.0
        code = (
            *FOLDER.glob("*.py"),
            *(FOLDER / name).glob("*.py"),
            *LIBRARY.rglob("*.py"),
        )
        sources = [path.read_text() for path in sorted(code)]
        made_by = [dataclasses.asdict(settings), versions(), sources]
        digest = hashlib.sha256(json.dumps(made_by).encode()).hexdigest()
        self.own = folder / "cache" / digest[:16]

    @classmethod
    @contextlib.contextmanager
    def temporary(cls, name: str, settings: Any) -> "Iterator[RunCache]":
        """A cache that goes with its folder."""
        with tempfile.TemporaryDirectory() as folder:
            yield cls(Path(folder), name, settings)

    def __call__(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` returns, or returned before the run was stopped.

        Args:
            name: unique in this experiment.
            make: () -> a tree of dicts, lists, strings, numbers and arrays.

        Returns:
            The tree as JSON has it, arrays as lists.
        """
        path = self._path(name, "json")
        if not path.exists():
            start, before = time.perf_counter(), self.earlier
            result = jax.tree.map(_plain, make())
            seconds = time.perf_counter() - start + self.earlier - before
            text = json.dumps({"result": result, "seconds": seconds})
            _replace(path, lambda new: new.write_text(text))
            return json.loads(text)["result"]
        found = json.loads(path.read_text())
        self.earlier += found["seconds"]
        return found["result"]

    def loop(
        self,
        name: str,
        state: Any,
        chunk: Callable[[int, Any], Any],
        count: int,
        done: Callable[[Any], bool] = lambda state: False,
    ) -> Any:
        """A loop whose state is saved after every chunk of steps.

        Equivalent to::

            for n in range(count):
                if done(state):
                    break
                state = chunk(n, state)

        Args:
            name: unique in this experiment.
            state: any tree of arrays; no typed random keys.
            chunk: (n, state) -> state.
            count: number of chunks at most.
            done: whether to stop early.

        Returns:
            The last state, with NumPy's arrays.
        """
        path = self._path(name, "npz")
        leaves, treedef = jax.tree.flatten(state)
        begin, seconds = 0, 0.0
        if path.exists():
            with np.load(path) as found:
                begin, seconds = int(found["chunks"]), float(found["seconds"])
                saved = [found[f"leaf{k}"] for k in range(len(leaves))]
                state = jax.tree.unflatten(treedef, saved)
            self.earlier += seconds
        start = time.perf_counter()
        for n in range(begin, count):
            if done(state):
                break
            state = jax.device_get(chunk(n, state))
            arrays = {f"leaf{k}": a for k, a in enumerate(jax.tree.leaves(state))}
            arrays["chunks"] = np.asarray(n + 1)
            arrays["seconds"] = np.asarray(seconds + time.perf_counter() - start)

            def save(new: Path, arrays: dict[str, np.ndarray] = arrays) -> None:
                with new.open("wb") as file:
                    np.savez(file, **arrays)  # type: ignore[arg-type]

            _replace(path, save)
        return jax.device_get(state)

    def clear(self) -> None:
        """Removes this run's files alone, which results.json supersedes."""
        shutil.rmtree(self.own, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.own.parent.rmdir()  # unless another run has been stopped here

    def _path(self, name: str, suffix: str) -> Path:
        self.own.mkdir(parents=True, exist_ok=True)
        return self.own / f"{name.replace('/', '-')}.{suffix}"


def _plain(leaf: Any) -> Any:
    """A leaf as JSON has it."""
    if isinstance(leaf, jax.Array | np.ndarray | np.generic):
        return np.asarray(leaf).tolist()
    return leaf


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file in one go: a stopped run leaves the old one or the new one."""
    new = path.with_suffix(".new")
    write(new)
    os.replace(new, path)
