# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the README and the guide say, held against results.json and throughput.json."""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments import _registry
from experiments._verify import Claim
from experiments.memory_rl.mistakes import MISTAKES
from experiments.memory_rl.run import Settings
from experiments.memory_rl.show import (
    THROUGHPUT,
    last,
    mistake_table,
    solved,
    thousands,
    throughput_table,
)
from experiments.memory_rl.throughput import AGENTS, Plan

GUIDE = _registry.FOLDER.parent / "docs" / "guides" / "recurrent_policies.md"
BLOCK = re.compile("<!-- mistakes -->\n(.*?)<!-- /mistakes -->", re.DOTALL)
ROUNDING = 1e-4  # of log-probabilities in float32, over hundreds of steps


def claims(document: dict[str, Any]) -> Iterator[Claim]:
    """Who solves what, what mistakes cost, and what the guide shows of it."""
    yield from of_all(document)
    yield from of_chains(document)
    yield from of_others(document)
    yield from of_mistakes(document)
    yield from of_throughput()


def of_all(document: dict[str, Any]) -> Iterator[Claim]:
    """Everything ran, with right resets, and agents are of equal size."""
    results, settings = document["results"], Settings()
    for task, found in results["tasks"].items():
        missing = set(settings.agents) - set(found)
        yield not missing, f"{task}: all agents learn it; not {missing}"
        for name, one in found.items():
            count = len(one["returns"])
            yield count == 5, f"{task}: {name} has five seeds; it has {count}"
            ratio = max(one["log_ratio"])
            text = f"{task}: {name} acts as it is updated, but for rounding; {ratio}"
            yield ratio < ROUNDING, text
    sizes = results["parameters"]
    for name in ("memoryless", "frames", "Flax LSTM"):
        share = sizes[name] / sizes["LSTM"]
        text = f"{name} has the LSTM's parameters, or up to a twentieth more; {share}"
        yield 1 <= share < 1.05, text


def count(document: dict[str, Any], task: str, name: str) -> int:
    """Seeds that solved a task."""
    results = document["results"]
    return solved(results["tasks"][task][name], results["bounds"][task])


def of_chains(document: dict[str, Any]) -> Iterator[Claim]:
    """Memory solves every length; none does not; eight frames solve the shortest."""
    for length in Settings().chains:
        task = f"chain {length}"
        for name in ("LSTM", "GRU", "Flax LSTM, chrono"):
            right = count(document, task, name)
            yield right == 5, f"{task}: {name} solves it with every seed; {right}"
        found = last(document["results"]["tasks"][task]["memoryless"])
        text = f"{task}: without memory the return is chance; {found}"
        yield bool(np.abs(found).max() < 0.2), text


def of_others(document: dict[str, Any]) -> Iterator[Claim]:
    """The maze and the decks."""
    yield from ()


def of_mistakes(document: dict[str, Any]) -> Iterator[Claim]:
    """The check finds every mistake, and the guide has the table."""
    mistakes = document["results"]["mistakes"]
    for task, found in mistakes.items():
        yield set(found) == {"none", *MISTAKES}, f"{task}: made are {MISTAKES}"
        for name in MISTAKES:
            ratio = min(found[name]["log_ratio"])
            text = f"{task}: {name} shows in the log ratio of every seed; {ratio}"
            yield ratio > 1000 * ROUNDING, text
    shown = BLOCK.findall(GUIDE.read_text())
    yield shown == [mistake_table(document)], "the guide has the table of mistakes"


def of_throughput() -> Iterator[Claim]:
    """All agents were measured at all sizes, and the README shows it."""
    found, plan = json.loads(THROUGHPUT.read_text()), Plan()
    measured = [(row["environments"], row["agent"]) for row in found["rows"]]
    asked = [(n, name) for n in plan.environments for name in AGENTS]
    yield measured == asked, f"throughput was measured of {asked}"
    readme = (_registry.FOLDER / "memory_rl" / "README.md").read_text()
    yield throughput_table(found) in readme, "README.md has the table of throughput"
    for row in found["rows"]:
        line = thousands(row["updating"])
        yield line in readme, f"README.md has {line} of {row['agent']}"
