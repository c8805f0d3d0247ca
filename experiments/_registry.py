# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Which experiments there are, found by looking."""

import dataclasses
import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress

    from experiments._run_cache import RunCache

FOLDER = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class About:
    """What an experiment is, in two lines.

    Attributes:
        question: what it asks.
        data: what it runs on, and where that comes from.
    """

    question: str
    data: str


class Row(NamedTuple):
    """One number of ours beside the published one.

    Attributes:
        what: is measured.
        ours: from results.json, with its spread.
        published: with its source; empty where nothing comparable is.
    """

    what: str
    ours: str
    published: str


class Experiment(Protocol):
    """The module run.py of an experiment."""

    Settings: type[Any]
    SMOKE: Any

    def run(
        self, settings: Any, progress: "Progress", cache: "RunCache"
    ) -> dict[str, Any]:
        """Does the work, and gives a tree of numbers, strings, lists and dicts.

        What is finished goes through `cache`, so that a stopped run can go on.
        """

    def tables(self, document: dict[str, Any]) -> str:
        """Renders the tables of the README from what results.json holds."""

    def compare(self, document: dict[str, Any]) -> list[Row]:
        """The few numbers that answer the question, beside the published ones."""

    def draw(self, document: dict[str, Any], folder: Path) -> None:
        """Draws the figures from what results.json holds."""


def names() -> list[str]:
    """Names of all experiments, in alphabetical order."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules([str(FOLDER)])
        if (FOLDER / module.name / "run.py").exists()
    )


def about(name: str) -> About:
    """What an experiment is, without importing what it needs to run."""
    return importlib.import_module(f"experiments.{name}").ABOUT


def load(name: str) -> Experiment:
    """The module that runs an experiment."""
    return importlib.import_module(f"experiments.{name}.run")
