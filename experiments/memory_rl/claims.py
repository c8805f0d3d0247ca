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
    yield from of_costs(document)
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
    """Memory solves every length, none does not, and eight frames the shortest."""
    tasks = document["results"]["tasks"]
    for length in Settings().chains:
        task = f"chain {length}"
        for name in ("LSTM", "GRU", "Flax LSTM, chrono"):
            right = count(document, task, name)
            yield right == 5, f"{task}: {name} solves it with every seed; {right}"
        for name in ("memoryless", "frames"):
            found = np.abs(last(tasks[task][name])).max()
            if name == "frames" and length == 5:
                right = count(document, task, name)
                yield right == 5, f"{task}: frames solve it with every seed; {right}"
            else:
                yield bool(found < 0.2), f"{task}: {name} is at chance; {found}"
    for name, lengths in (("Flax LSTM", (5, 10)), ("LSTM, forget bias 1", (5, 10, 20))):
        for length in lengths:
            right = count(document, f"chain {length}", name)
            yield right == 5, f"chain {length}: {name}, every seed; {right}"
    right = count(document, "chain 40", "Flax LSTM")
    yield right == 0, f"chain 40: no seed of Flax LSTM as it comes; {right}"
    right = count(document, "chain 40", "LSTM, forget bias 1")
    yield 0 < right < 5, f"chain 40: some seeds with a forget bias of 1; {right}"


def of_others(document: dict[str, Any]) -> Iterator[Claim]:
    """The maze needs memory beyond eight frames; the easy deck does not."""
    for name in ("LSTM", "GRU", "Flax LSTM"):
        right = count(document, "maze 10", name)
        yield right == 5, f"maze 10: {name} solves it with every seed; {right}"
    for name in ("memoryless", "frames"):
        found = last(document["results"]["tasks"]["maze 10"][name])
        chance = document["results"]["bounds"]["maze 10"]["chance"]
        text = f"maze 10: {name} turns by a coin; {found}"
        yield bool(np.abs(found - chance).max() < 0.1), text
    for name in ("LSTM", "GRU", "Flax LSTM", "frames"):
        right = count(document, "repeat easy", name)
        yield right == 5, f"repeat easy: {name} solves it with every seed; {right}"
    found = last(document["results"]["tasks"]["repeat easy"]["memoryless"])
    yield bool(found.max() < 0), f"repeat easy: memoryless is below zero; {found}"


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


def of_costs(document: dict[str, Any]) -> Iterator[Claim]:
    """What is said of mistakes in the maze."""
    found, bounds = (document["results"][k]["maze 10"] for k in ("mistakes", "bounds"))
    ends = {name: last(one) for name, one in found.items()}
    right = {name: solved(one, bounds) for name, one in found.items()}
    worst = ends["no resets"].min()
    yield right["no resets"] == 5, f"without resets every seed solves it; {worst}"
    most = right["zeros for the entering state"]
    yield 2 < most <= 5, f"from zeros most seeds solve it; {most}"
    high = ends["flag one step early"].max()
    yield high < bounds["chance"], f"a flag too early earns less than a coin; {high}"
    for name in ("flag one step late", "cut every 16 steps"):
        some = right[name]
        yield 0 < some < 5, f"{name}: some of the seeds do not solve it; {some}"


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
    middle = {
        key: np.median(row["updating"])
        for key, row in zip(asked, found["rows"], strict=True)
    }
    for n in plan.environments:
        ratio = middle[n, "LSTM"] / middle[n, "Flax LSTM"]
        text = f"{n} environments: the LSTMs update within a quarter; {ratio}"
        yield bool(0.75 < ratio < 1.25), text
        ratio = middle[n, "Flax GRU"] / middle[n, "GRU"]
        text = f"{n} environments: Flax's GRU is faster from 256 on; {ratio}"
        yield bool(ratio > 1) == (n >= 256), text
    least = min(row["share"] for row in found["rows"])
    yield least > 0.5, f"the recurrence takes most of an update; at least {least}"
