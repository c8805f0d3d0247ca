# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the results of all experiments say, for their READMEs and for the site."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments import _registry, _results


def summary(link: Callable[[str], str]) -> str:
    """The table of our numbers beside the published ones.

    Args:
        link: name of an experiment -> where its name leads to.
    """
    rows: list[tuple[str, ...]] = []
    for name in _registry.names():
        found = _registry.load(name).compare(_results.committed(name))
        first = [f"[{name}]({link(name)})", *[""] * (len(found) - 1)]
        rows += [(head, *row) for head, row in zip(first, found, strict=True)]
    return _results.table(("experiment", "what", "ours", "published"), rows)


def made_by(document: dict[str, Any]) -> str:
    """Command, seeds, time, machine and versions of a run, in a line."""
    machine = document["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in document["versions"].items())
    seeds = [
        f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in document["settings"].items()
        if "seed" in key
    ]
    return (
        f"`{document['command']}`: {'; '.join(seeds)}; "
        f"{_results.cost(document)}, {machine['processor']}, {machine['platform']}; "
        f"{versions}.\n"
    )


def write() -> list[Path]:
    """Makes tables and figures of every experiment again from its results.json.

    Returns:
        The READMEs that have the tables.
    """
    written = []
    for name in _registry.names():
        folder, experiment = _registry.FOLDER / name, _registry.load(name)
        own = folder / "README.md"
        tables = experiment.tables(_results.committed(name))
        own.write_text(_results.fill(own.read_text(), tables))
        experiment.draw(_results.committed(name), folder)
        written.append(own)
    return written
