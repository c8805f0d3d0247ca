# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the README says, held against results.json."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments._verify import Claim
from experiments.battery_1997 import training

WEIGHTS = {
    "reber 3x2": 276,
    "reber 4x1": 264,
    "order": 156,
    "adding": 93,
    "adding linear": 93,
}


def claims(document: dict[str, Any]) -> Iterator[Claim]:
    """How modern nets were tuned, what to believe, and the bars of the paper."""
    courses = document["results"]["courses"]
    yield from of_tuning(document)
    yield from of_courses(courses)
    yield from of_the_paper(courses)


def of_tuning(document: dict[str, Any]) -> Iterator[Claim]:
    """Modern nets take the best of the tuning, which saw none of the run's seeds."""
    tried = document["results"]["tuning"]
    seeds = {seed for one in tried for seed in one["seeds"]}
    both = seeds & set(document["settings"]["seeds"])
    yield bool(seeds), "the tuning names its seeds"
    yield not both, f"the tuning saw none of the run's seeds; it saw {both}"
    for name in ("reber modern", "adding modern", "order modern"):
        bar = "mean error" if name == "adding modern" else "success"

        def merit(one: dict[str, Any], bar: str = bar) -> tuple[int, float]:
            _, rate, *_ = re.split("[ ,]+", one["tried"])
            return sum(n > 0 for n in one[bar]), -float(rate)

        best = max((one for one in tried if one["course"] == name), key=merit)["tried"]
        groups = document["results"]["courses"][name]
        used = [f"rate {found['rate']:g}, {found['start']}" for found in groups]
        yield used == [best], f"{name} takes the best tried, {best}; it takes {used}"


def of_courses(courses: dict[str, Any]) -> Iterator[Claim]:
    """What the README says to believe."""

    def share(course: str, bar: str) -> float:
        return float(np.mean(np.asarray(courses[course][0][bar]) > 0))

    for course in ("reber 3x2", "reber each step", "reber 4x1"):
        found = share(course, "both sets")
        yield found < 0.5, f"{course}: less than half succeed; {found}"
    found = share("reber modern", "both sets")
    yield 0.3 < found < 0.7, f"reber modern: half succeed to 0.2; {found}"
    wide, found = courses["reber 8x2"][0], share("reber 8x2", "both sets")
    yield found > 0.75, f"reber 8x2: more than 0.75 succeed; {found}"
    median = np.median(wide["both sets"])
    text = "reber 8x2: after less than twice the published 8,440"
    yield median < 2 * 8_440, f"{text}; after {median}"
    weights = wide["weights"]
    text = f"reber 8x2 has nearly five times the weights; {weights}"
    yield weights < 5 * 276 < weights + 276, text
    for bar in ("mean error", "all", "both"):
        found = share("adding linear", bar)
        yield found == 1, f"adding linear: all succeed by {bar}; {found}"
        found = share("adding modern", bar)
        yield found < 1, f"adding modern: not all succeed by {bar}; {found}"
    found = share("order", "both")
    yield found == 1, f"order: all succeed; {found}"
    found = share("order modern", "both")
    yield found < 1, f"order modern: not all succeed; {found}"
    for course in ("adding", "order"):
        old, new = (
            np.median([n or np.inf for n in courses[name][0]["mean error"]])
            for name in (course, f"{course} modern")
        )
        text = f"{course}: the modern net takes more than half as long"
        yield new > 0.5 * old, f"{text}; {new}, {old}"


def of_the_paper(courses: dict[str, Any]) -> Iterator[Claim]:
    """Seeds and weights as they must be; a factor of two where that is said."""
    for name, weights in WEIGHTS.items():
        found = {group["weights"] for group in courses[name]}
        yield found == {weights}, f"{name} has {weights} weights; it has {found}"
    for name, groups in (("adding", 3), ("adding linear", 1)):
        count = len(courses[name])
        yield count == groups, f"{name} has {groups} groups of seeds; it has {count}"
    count = len(courses["reber 3x2"][0]["both sets"])
    yield count >= 30, f"reber 3x2 has 30 seeds or more; it has {count}"
    for group in courses["adding"]:
        for name in training.CRITERIA:
            count = len(group[name])
            yield count >= 10, f"adding by {name} has 10 seeds or more; it has {count}"
    for course, bar, published in (
        ("adding", "mean error", 74_000),
        ("adding linear", "mean error", 74_000),
        ("adding linear", "all", 74_000),
        ("adding linear", "both", 74_000),
        ("order", "both", 31_390),
    ):
        found = courses[course][0][bar]
        median = np.median(found)
        yield all(found), f"{course} by {bar}: every seed succeeds"
        text = f"{course} by {bar}: the published {published} to a factor of two"
        yield published / 2 < median < published * 2, f"{text}; {median}"
