# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints that know whether they are whole.

A checkpoint is a folder named by its step, written by Orbax under another name and
renamed when it is complete. It has two items: `arrays`, a flat dictionary from the path
of each leaf to its array, and `about`, JSON: what the arrays are, with the SHA-256 of
each, and the SHA-256 of all that.
"""

import dataclasses
import errno
import functools
import json
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax._config import check_config, config
from lstm_jax._text import quoted
from lstm_jax.training import _leaves
from lstm_jax.training._steps import TrainState

# Errors of a machine in need, which say nothing about a file.
IN_NEED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM}
NEEDS = 'checkpoints need orbax-checkpoint: pip install "lstm_jax[training]"'


class Restored(NamedTuple):
    """What `Checkpoints.restore` found.

    Attributes:
        state: the `TrainState`.
        step: its step, which names the checkpoint.
        refused: step to reason, of newer checkpoints that are not whole.
    """

    state: TrainState
    step: int
    refused: dict[int, str]


class NotWhole(Exception):
    """A checkpoint is torn or corrupt."""


def _orbax() -> Any:
    try:
        import orbax.checkpoint
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(NEEDS, name=error.name) from error
    return orbax.checkpoint


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, in a folder of their own; one process writes.

    A run that is killed, even with SIGKILL and while a checkpoint is being written,
    goes on from the newest that is whole. Orbax notices a missing file but not a
    changed bit; here the SHA-256 of every leaf is part of the checkpoint.

    Attributes:
        folder: made when it is first written to.
        keep: how many of the newest stay; at least 2, since the newest may be torn.
        config: settings of the run, fit for JSON; restoring under others is an error.
            The architecture of the networks among the parameters is always saved.

    Example:
        >>> import jax, lstm_jax, optax, tempfile
        >>> from lstm_jax import training
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> state = training.create(params, optax.adam(1e-3), key=jax.random.key(1))
        >>> checkpoints = Checkpoints(tempfile.mkdtemp())
        >>> checkpoints.save(state)
        >>> checkpoints.restore(state).step
        0
    """

    folder: Path | str
    keep: int = 3
    config: Any = None

    def __post_init__(self) -> None:
        """Checks `keep`; Orbax wants an absolute path, and JSON strings as keys."""
        if self.keep < 2:
            raise ValueError(f"Checkpoints: keep must be at least 2; got {self.keep}.")
        folder = Path(self.folder).absolute()
        if folder.is_file():
            raise NotADirectoryError(
                f"Checkpoints: folder must be a folder; {folder} is a file. Pass a "
                "path of its own."
            )
        object.__setattr__(self, "folder", folder)
        plain = json.loads(json.dumps(self.config, allow_nan=False))
        object.__setattr__(self, "config", plain)

    def steps(self) -> list[int]:
        """Steps of which there is a checkpoint, whole or not, in ascending order."""
        names = (path.name for path in Path(self.folder).glob("*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step is."""
        return Path(self.folder) / f"{step:08d}"

    def save(self, state: TrainState) -> None:
        """Writes a checkpoint of a state, and deletes those that are too old.

        What stands in its place is replaced: it was not whole, or is what the same
        run wrote before it went back to an older one.

        Args:
            state: of which every leaf is saved.

        Raises:
            NotImplementedError: an array is spread over processes.
        """
        leaves = _leaves.paths(state)
        spread = [n for n, a in leaves.items() if not _leaves.addressable(a)]
        if spread:
            raise NotImplementedError(
                f"Checkpoints.save: arrays spread over processes: {', '.join(spread)}."
            )
        step = int(state.step)
        arrays = {name: _leaves.host(leaf) for name, leaf in leaves.items()}
        about = {
            "config": self.config,
            "leaves": {
                name: _leaves.kind(leaf) | {"sha256": _leaves.digest(arrays[name])}
                for name, leaf in leaves.items()
            },
            "networks": {
                n: config(p) for n, p in _leaves.networks(state.params).items()
            },
            "step": step,
        }
        about["sha256"] = _leaves.digest_json(about)
        ocp = _orbax()
        for torn in Path(self.folder).glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(torn)
        self._checkpointer.save(
            self.path(step),
            args=ocp.args.Composite(
                # Orbax has no arrays of size zero; `about` says all there is of them.
                arrays=ocp.args.StandardSave(
                    {n: a for n, a in arrays.items() if a.size}
                ),
                about=ocp.args.JsonSave(about),
            ),
            force=True,
        )
        older = [s for s in self.steps() if s < step]
        for s in older[: max(0, len(older) + 1 - self.keep)]:
            shutil.rmtree(self.path(s))

    def restore(self, like: TrainState) -> Restored | None:
        """Reads the newest checkpoint that is whole.

        Args:
            like: a state of the same run, as before its first step; arrays or
                `jax.ShapeDtypeStruct`. Its optimiser is taken over, and where its
                arrays are is where those of the result will be.

        Returns:
            `Restored`, or None where there is no checkpoint. Each that is not whole is
            a warning, which names what is wrong.

        Raises:
            ValueError: the checkpoint is of another architecture, optimiser or
                `config`; or there are checkpoints, but none is whole.
        """
        _orbax()  # missing, it is better missed now than after hours
        refused: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                state = self._read(step, like)
            except NotWhole as error:
                refused[step] = str(error)
                warnings.warn(
                    f"Checkpoints.restore: {self.path(step).name} is not whole: "
                    f"{error}; the one before is used.",
                    stacklevel=2,
                )
            else:
                return Restored(state, step, refused)
        if refused:
            reasons = "; ".join(f"{step}: {why}" for step, why in refused.items())
            raise ValueError(
                f"Checkpoints.restore: no checkpoint in {self.folder} is whole "
                f"({reasons}). Name another folder to start again."
            )
        return None

    @functools.cached_property
    def _checkpointer(self) -> Any:
        ocp = _orbax()
        return ocp.Checkpointer(ocp.CompositeCheckpointHandler())

    def _read(self, step: int, like: TrainState) -> TrainState:
        args = _orbax().args
        about = self._item(step, about=args.JsonRestore())
        if not isinstance(about, dict) or about.pop(
            "sha256", None
        ) != _leaves.digest_json(about):
            raise NotWhole("about differs from its SHA-256")
        if about["step"] != step:
            raise NotWhole(f"it holds step {about['step']}")
        wanted = _leaves.paths(like)
        self._compare(about, like, wanted)
        targets = {name: _leaves.target(leaf) for name, leaf in wanted.items()}
        empty = {
            n: jnp.zeros(a.shape, a.dtype) for n, a in targets.items() if not a.size
        }
        targets = {n: a for n, a in targets.items() if n not in empty}
        arrays = empty | self._item(step, arrays=args.StandardRestore(targets))
        for name, array in arrays.items():
            if _leaves.digest(np.asarray(array)) != about["leaves"][name]["sha256"]:
                raise NotWhole(f"leaf {name} differs from its SHA-256")
        leaves = [_leaves.like(arrays[name], leaf) for name, leaf in wanted.items()]
        return jax.tree.unflatten(jax.tree.structure(like), leaves)

    def _item(self, step: int, **item: Any) -> Any:
        """One item of a checkpoint; whatever Orbax says is wrong makes it not whole."""
        ((name, wanted),) = item.items()
        composite = _orbax().args.Composite(**{name: wanted})
        try:
            return self._checkpointer.restore(self.path(step), args=composite)[name]
        except (MemoryError, jax.errors.JaxRuntimeError):
            raise
        except Exception as error:  # Orbax and TensorStore raise many kinds
            if isinstance(error, OSError) and error.errno in IN_NEED:
                raise
            raise NotWhole(f"{name}: {quoted(error)}") from error

    def _compare(self, about: Any, like: TrainState, wanted: dict[str, Any]) -> None:
        """A whole checkpoint of something else is an error, never passed over."""
        call = f"Checkpoints.restore: checkpoint {about['step']}"
        if about["config"] != self.config:
            raise ValueError(
                f"{call} is of config {about['config']}; got {self.config}."
            )
        own = _leaves.networks(like.params)
        for name in about["networks"].keys() & own.keys():
            check_config(own[name], about["networks"][name])
        saved, got = (
            {n: {"shape": a["shape"], "dtype": a["dtype"]} for n, a in kinds.items()}
            for kinds in (
                about["leaves"],
                {n: _leaves.kind(a) for n, a in wanted.items()},
            )
        )
        differ = [
            f"{name} {saved.get(name, 'absent')}, got {got.get(name, 'absent')}"
            for name in sorted(saved | got)
            if saved.get(name) != got.get(name)
        ]
        if differ:
            raise ValueError(f"{call} has {'; '.join(differ[:5])}.")
