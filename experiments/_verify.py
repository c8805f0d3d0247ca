# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Holds what is committed, numbers and text, against each other."""

import dataclasses
import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments import _registry, _report, _results

Claim = tuple[bool | np.bool_, str]
NUMBER = re.compile(r"\d+\.\d+|\d{1,3}(?:,\d{3})+")
HEADINGS = ["What differs from the paper", "What to believe"]


def everything() -> Iterator[tuple[str, list[Claim]]]:
    """Each experiment with its claims, and at last the report with its own.

    A claim is whether it holds, and what it says.
    """
    for name in _registry.names():
        document = _results.committed(name)
        yield name, [*of_folder(name, document), *own(name, document)]
    yield "report", list(of_report())


def own(name: str, document: dict[str, Any]) -> list[Claim]:
    """What an experiment says of its results."""
    module = importlib.import_module(f"experiments.{name}.claims")
    return list(module.claims(document))


def of_folder(name: str, document: dict[str, Any]) -> Iterator[Claim]:
    """The README shows what results.json holds, which is of a full run."""
    folder, experiment = _registry.FOLDER / name, _registry.load(name)
    readme = (folder / "README.md").read_text()
    found = _results.BLOCK.findall(readme)
    yield len(found) == 1, f"README.md has one block of results; it has {len(found)}"
    filled = _results.fill(readme, experiment.tables(document))
    yield readme == filled, "README.md has the tables of results.json"
    seeds = document["settings"]["seeds"]
    yield len(seeds) >= 5, f"there are five seeds or more; there are {len(seeds)}"
    command = f"python -m experiments run {name}"
    yield document["command"] == command, f"results.json was made by {command}"
    seconds = document["wall_seconds"]
    yield seconds < 40 * 60, f"the run took less than 40 minutes; it took {seconds} s"
    settings = plain(experiment.Settings())
    yield document["settings"] == settings, "results.json has the default settings"
    headings = re.findall("^## (.+)$", readme, re.MULTILINE)
    yield headings[-2:] == HEADINGS, f"README.md ends with {HEADINGS}"
    figures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme)
    yield bool(figures), "README.md shows a figure"
    for figure in figures:
        yield (folder / figure).exists(), f"the figure {figure} is there"
    # Measured numbers stand in the block of results alone.
    prose = _results.BLOCK.sub("", readme)
    rows = experiment.compare(document)
    ours = {n for row in rows for n in NUMBER.findall(row.ours)}
    published = {n for row in rows for n in NUMBER.findall(row.published)}
    again = sorted((ours - published) & set(NUMBER.findall(prose)))
    yield not again, f"README.md's prose repeats no measured number; it has {again}"


def plain(settings: Any) -> Any:
    """Settings as results.json has them."""
    return json.loads(json.dumps(_results.rounded(dataclasses.asdict(settings))))


def of_report() -> Iterator[Claim]:
    """What the site shows of all experiments together."""
    documents = {name: _results.committed(name) for name in _registry.names()}
    hours = sum(d["wall_seconds"] for d in documents.values()) / 3600
    yield hours < 4, f"all runs took less than 4 hours; they took {hours:.2f}"
    text = _report.summary(lambda name: name)
    for name, document in documents.items():
        linked = text.count(f"[{name}]({name})")
        yield linked == 1, f"the summary links {name} once; it does {linked} times"
        for row in _registry.load(name).compare(document):
            line = " | ".join(row) + " |"
            yield line in text, f"the summary has the line {line}"
        version = document["versions"]["jax"]
        made = _report.made_by(document)
        yield version in made, f"the line about the run has jax {version} of {name}"
