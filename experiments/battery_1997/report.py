# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The tables of the README and the figure."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import NullLocator

from experiments._figure import BLACK, BLUE, GREY, VERMILION, saved
from experiments._registry import Row
from experiments._results import spread, table, wrapped
from experiments.battery_1997.cases import CASES, LIMITS, Case, task
from experiments.battery_1997.tasks import READINGS

TITLE = {"reber": "embedded Reber", "adding": "adding", "order": "temporal order 6a"}
CRITERION = {
    "reber": "all strings of both sets right",
    "adding": f"mean error of the last sequences below {LIMITS['adding'][0]}",
    "order": f"mean error of the last sequences below {LIMITS['order'][0]}, "
    "and all right",
}
SHOWN = {"reber": "both sets", "adding": "mean error", "order": "both"}
SAID = {
    "mean error": "mean error < {mean}",
    "mean square": "mean square < {mean}",
    "all": "all < {each}",
    "both": "mean error and all",
}


class Count(NamedTuple):
    """Sequences to success of some nets.

    Attributes:
        name: of what has been trained.
        colour: of the cell.
        first: one number a seed, 0 for never.
        budget: how long each was given.
        published: the number in the paper; None where it has none.
    """

    name: str
    colour: str
    first: Sequence[int]
    budget: int
    published: int | None


def successes(first: Sequence[int], budget: int) -> str:
    """How many have succeeded, the median of all, and the range of those that have."""
    reached = [n for n in first if n]
    share = f"{len(reached)} of {len(first)}"
    if not reached:
        return share
    middle = np.median([n or np.inf for n in first])
    median = f"{middle:,.0f}" if np.isfinite(middle) else f"> {budget:,}"
    return f"{share}: {median} ({min(reached):,} to {max(reached):,})"


def _published(case: Case) -> str:
    """Sequences to success in the paper; empty where it has no such net."""
    return f"{case.unit:,}" if case.as_published else ""


def groups(courses: dict[str, Any], of: str) -> Iterator[tuple[Case, str, Any]]:
    """The case, the name of the line, and what was found, line by line of a task."""
    for course, case in CASES.items():
        if course in courses and task(course) == of:
            for n, group in enumerate(courses[course]):
                reading = f", {READINGS[n]}" if of == "adding" else ""
                yield case, case.name + reading, group


def _table(courses: dict[str, Any], of: str, said: dict[str, str]) -> str:
    """A row a course and reading; a column a criterion."""
    rows = []
    for case, name, group in groups(courses, of):
        start = group["start"]
        given = f"{group['rate']:g}" + (f", {start}" if start else "")
        row = [name, str(group["weights"]), given, f"{group['budget']:,}"]
        row += [successes(group[criterion], group["budget"]) for criterion in said]
        if "wrong" in group:
            row.append(spread(group["wrong"], ".0f"))
        rows.append([*row, _published(case)])
    head = [TITLE[of], "weights", "learning rate", "budget", *said.values()]
    tests = ["fresh sequences wrong"] if of != "reber" else []
    return table([*head, *tests, "published"], rows)


def _tried(tuning: list[dict[str, Any]], courses: dict[str, str]) -> str:
    """What tune.py has tried on some courses, which have these names in the table."""
    rows = [
        (
            said,
            one["tried"],
            str(one["weights"]),
            successes(one["success"], one["budget"]),
            successes(one["mean error"], one["budget"]) if "mean error" in one else "",
        )
        for course, said in courses.items()
        for one in tuning
        if one["course"] == course
    ]
    head = ["", "tried", "weights", "sequences to success", "mean error alone"]
    width = 5 if any(row[-1] for row in rows) else 4
    return table(head[:width], [row[:width] for row in rows])


def tables(document: dict[str, Any]) -> str:
    """Renders sequences to success, the tests, and what else was tried."""
    courses, settings = document["results"]["courses"], document["settings"]
    tuning = document["results"]["tuning"]
    sections = [
        wrapped(
            "How many seeds have succeeded: sequences until then, the median of all "
            "seeds and the range of those that have. Fresh sequences wrong: of "
            f"{settings['fresh']:,}, median and range over all seeds. “Mean” and “all” "
            f"are over the last {settings['window']:,} sequences."
        )
    ]
    for of, said in (
        ("reber", {"both sets": "both sets right", "training set": "training set"}),
        ("adding", _said("adding")),
        ("order", _said("order")),
    ):
        if any(groups(courses, of)):
            sections.append(_table(courses, of, said))
    sections += [
        "Other settings for Reber with the cell of 1997, seeds from 100 up:\n",
        _tried(
            tuning,
            {
                "reber 3x2": "an update a sequence",
                "reber each step": "an update a step",
            },
        ),
        "Settings tried for the modern cell, seeds from 100 up:\n",
        _tried(tuning, {course: course for course in CASES if CASES[course].modern}),
    ]
    return "\n".join(sections)


def _said(of: str) -> dict[str, str]:
    """The readings of success in words."""
    mean, each = LIMITS[of]
    return {key: text.format(mean=mean, each=each) for key, text in SAID.items()}


def counts(courses: dict[str, Any]) -> dict[str, list[Count]]:
    """What the figure shows, task by task."""
    return {
        f"{title}: {CRITERION[of]}": [
            Count(
                name,
                VERMILION if case.modern else BLUE,
                group[SHOWN[of]],
                group["budget"],
                case.unit if case.as_published else None,
            )
            for case, name, group in groups(courses, of)
        ]
        for of, title in TITLE.items()
        if any(groups(courses, of))
    }


def compare(document: dict[str, Any]) -> list[Row]:
    """Sequences to success with the cell of 1997 beside the published numbers."""
    courses, said = document["results"]["courses"], _said("adding")
    shown = [
        (f"embedded Reber, {case.name}", course, "both sets")
        for course, case in CASES.items()
        if task(course) == "reber" and not case.modern
    ]
    shown += [(f"adding, {said[k]}", "adding", k) for k in ("mean error", "all")]
    shown += [
        (f"adding, linear output, {said[k]}", "adding linear", k)
        for k in ("mean error", "both")
    ]
    shown += [("temporal order", "order", "both")]
    return [
        Row(
            f"{what}: sequences to success",
            successes(courses[course][0][criterion], courses[course][0]["budget"]),
            _published(CASES[course]),
        )
        for what, course, criterion in shown
        if course in courses
    ]


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws a point a seed, on a line a cell."""
    shown = counts(document["results"]["courses"])
    heights = [len(counted) for counted in shown.values()]
    with saved(folder / "sequences.png", 9.5, 1.6 + 0.42 * sum(heights)) as figure:
        grid = figure.subplots(
            len(shown), 1, sharex=True, height_ratios=heights, squeeze=False
        )
        axes = grid[:, 0]
        for ax, (title, counted) in zip(axes, shown.items(), strict=True):
            ax.set_title(title, loc="left")
            for y, count in enumerate(counted):
                _line(ax, y, count)
            ax.set_yticks(range(len(counted)), [count.name for count in counted])
            ax.set_ylim(len(counted) - 0.5, -0.5)
            ax.tick_params(axis="y", length=0)
        axes[-1].set_xscale("log")
        ticks = [n * 10**k for k in range(1, 6) for n in (1, 2, 5)]
        low, high = axes[-1].get_xlim()
        axes[-1].set_xticks([t for t in ticks if low < t < high])
        axes[-1].xaxis.set_major_formatter("{x:,.0f}")
        axes[-1].xaxis.set_minor_locator(NullLocator())
        figure.supxlabel(
            "sequences to success: a point a seed, | the median of all\n"
            "◆ published, × never within the budget",
            fontsize=10,
        )


def _line(ax: Any, y: int, count: Count) -> None:
    """One line of points."""
    reached = [n for n in count.first if n]
    failed = len(count.first) - len(reached)
    shift = 0.22 * np.sin(2.4 * np.arange(len(reached)))
    points = {"s": 22, "alpha": 0.55, "linewidths": 0}
    ax.scatter(sorted(reached), y + shift, color=count.colour, **points)
    at = np.median([n or np.inf for n in count.first])
    if np.isfinite(at):
        ax.plot([at, at], [y - 0.36, y + 0.36], color=count.colour, linewidth=2.5)
    if failed:
        ax.plot(count.budget, y, "x", color=GREY)
        ax.annotate(
            f"{failed} of {len(count.first)}",
            (count.budget, y),
            xytext=(6, 0),
            textcoords="offset points",
            color=GREY,
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
    if count.published:
        ax.plot(count.published, y, "D", color=BLACK, markersize=6)
