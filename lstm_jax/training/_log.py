# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a run says while it runs: JSON lines, a progress bar, TensorBoard."""

import importlib.util
import json
import math
import os
import sys
from pathlib import Path
from typing import Any


class Log:
    r"""Lines of numbers, one for each stretch of steps.

    JSON lines always go to `log.jsonl`, each step once however often the run was
    killed. A progress bar is shown on a terminal, and TensorBoard files are written
    where tensorboardX is installed.

    Attributes:
        folder: made when it is first written to.
        progress: a `rich.progress.Progress` to add a task to, whose field `note` has
            the numbers; None for one of its own if the standard error is a terminal.
        tensorboard: whether to write its files; None for where it is installed.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> log = Log(folder, tensorboard=False)
        >>> log.begin(0, 200)
        >>> log.write(100, {"loss": 1.5})
        >>> log.close()
        >>> (folder / "log.jsonl").read_text()
        '{"step": 100, "loss": 1.5}\n'
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        progress: Any = None,
        tensorboard: bool | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.progress = progress
        self.tensorboard = tensorboard
        self._task: Any = None
        self._own: Any = None
        self._events: Any = None

    @property
    def path(self) -> Path:
        """The file of JSON lines."""
        return self.folder / "log.jsonl"

    def begin(self, step: int, steps: int) -> None:
        """Goes on after a step: lines of later ones, and torn ones, are taken out.

        Args:
            step: from which the run goes on.
            steps: at which it will end.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = [line for line in self._lines() if line["step"] <= step]
        beside = self.path.with_suffix(".tmp")
        beside.write_text("".join(json.dumps(line) + "\n" for line in kept))
        os.replace(beside, self.path)
        wanted = self.tensorboard
        if wanted is None:
            wanted = importlib.util.find_spec("tensorboardX") is not None
        if wanted:
            from tensorboardX import SummaryWriter

            self._events = SummaryWriter(
                str(self.folder), purge_step=step + 1, filename_suffix=f".{step}"
            )
        if self.progress is None and sys.stderr.isatty():
            self._own = _bar()
            self._own.start()
        bar = self.progress or self._own
        if bar is not None:
            self._task = bar.add_task(
                "training", total=steps, completed=step, note="compiling"
            )

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Writes one line.

        Args:
            step: the number of steps done.
            values: name to number or string; what is not finite becomes a string,
                since JSON has no such number.
        """
        line = {"step": step} | {name: _fit(value) for name, value in values.items()}
        line["step"] = step  # whatever values say: `begin` goes by it
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        numbers = {n: v for n, v in values.items() if not isinstance(v, str)}
        if self._events is not None:
            for name, value in numbers.items():
                self._events.add_scalar(name, value, step)
        bar = self.progress or self._own
        if bar is not None:
            note = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            bar.update(self._task, completed=step, note=note)

    def close(self) -> None:
        """Ends the bar and the files; `begin` opens them again."""
        if self._events is not None:
            self._events.close()
        if self._own is not None:
            self._own.stop()
        self._events = self._own = None

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        lines = []
        for text in self.path.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:  # torn when the run was killed
                continue
        return lines


def _fit(value: Any) -> Any:
    if isinstance(value, str) or math.isfinite(value):
        return value
    return str(value)


def _bar() -> Any:
    try:
        from rich.console import Console
        from rich.progress import (
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'a progress bar needs rich: pip install "lstm_jax[training]"',
            name=error.name,
        ) from error
    return Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
