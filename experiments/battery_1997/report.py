# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The tables of the README and the figure."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import NullLocator

from experiments._figure import BLACK, BLUE, GREY, VERMILION, saved
from experiments._registry import Row
from experiments._results import table
from experiments.battery_1997.tasks import READINGS

# Each course, and whose layout and budget its nets have.
CASES = {
    "reber 3x2": "reber 3x2",
    "reber each step": "reber 3x2",
    "reber 4x1": "reber 4x1",
    "reber modern": "reber 3x2",
    "adding": "adding",
    "adding linear": "adding",
    "adding modern": "adding",
    "order": "order",
    "order modern": "order",
}
# Hochreiter and Schmidhuber 1997: sequences to success with the cell of 1997.
PUBLISHED = {"reber 3x2": 8440, "reber 4x1": 39740, "adding": 74000, "order": 31390}
CELL = {
    "reber 3x2": "1997, 3 blocks of 2",
    "reber each step": "1997, the same, an update a step",
    "reber 4x1": "1997, 4 blocks of 1",
    "adding": "1997",
    "adding linear": "1997, linear output",
    "order": "1997",
}
TITLE = {"reber": "embedded Reber", "adding": "adding", "order": "temporal order 6a"}
# Bounds of the mean error and of each error.
LIMITS = {"adding": (0.01, 0.04), "order": (0.1, 0.3)}
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
    told = f"{middle:,.0f}" if np.isfinite(middle) else f"> {budget:,}"
    return f"{share}: {told} ({min(reached):,} to {max(reached):,})"


def groups(results: dict[str, Any], task: str) -> Iterator[tuple[str, str, Any]]:
    """Name of the course, name of the line, and what was found, line by line."""
    for course in CASES:
        if course in results and course.startswith(task):
            for n, group in enumerate(results[course]):
                cell = CELL.get(course, "modern")
                reading = f", {READINGS[n]}" if task == "adding" else ""
                yield course, cell + reading, group


def _table(results: dict[str, Any], task: str, said: dict[str, str]) -> str:
    """A row a course and reading; a column a criterion."""
    rows = []
    for course, name, group in groups(results, task):
        start = group["start"]
        given = f"{group['rate']:g}" + (f", {start}" if start else "")
        published = f"{PUBLISHED[CASES[course]]:,}" if course in CELL else ""
        row = [name, str(group["weights"]), given, f"{group['budget']:,}"]
        row += [successes(group[criterion], group["budget"]) for criterion in said]
        if "wrong" in group:
            low, middle, high = np.quantile(group["wrong"], (0, 0.5, 1))
            row.append(f"{middle:.0f} ({low:.0f} to {high:.0f})")
        rows.append([*row, published])
    head = [TITLE[task], "weights", "learning rate", "budget", *said.values()]
    tests = ["fresh sequences wrong"] if task != "reber" else []
    return table([*head, *tests, "published"], rows)


def tables(document: dict[str, Any]) -> str:
    """Renders sequences to success, and the tests."""
    results, settings = document["results"], document["settings"]
    told = []
    for task, said in (
        ("reber", {"both sets": "both sets right", "training set": "training set"}),
        ("adding", _said("adding")),
        ("order", _said("order")),
    ):
        if any(groups(results, task)):
            told += [_table(results, task, said), ""]
    return "\n".join(
        [
            "How many seeds have succeeded: sequences until then, the median of all"
            " seeds and the range of those that have. Fresh sequences wrong: of"
            f" {settings['fresh']:,}, median and range over all seeds. “Mean” and"
            f" “all” are over the last {settings['window']:,} sequences.",
            "",
            *told,
        ]
    )


def _said(task: str) -> dict[str, str]:
    """The readings of success in words."""
    mean, each = LIMITS[task]
    return {key: text.format(mean=mean, each=each) for key, text in SAID.items()}


def counts(results: dict[str, Any]) -> dict[str, list[Count]]:
    """What the figure shows, task by task."""
    return {
        f"{title}: {CRITERION[task]}": [
            Count(
                name,
                BLUE if course in CELL else VERMILION,
                group[SHOWN[task]],
                group["budget"],
                PUBLISHED[CASES[course]] if course in CELL else None,
            )
            for course, name, group in groups(results, task)
        ]
        for task, title in TITLE.items()
        if any(groups(results, task))
    }


def compare(document: dict[str, Any]) -> list[Row]:
    """Sequences to success with the cell of 1997 beside the published numbers."""
    results, said = document["results"], _said("adding")
    shown = [
        (f"embedded Reber, {CELL[c]}", c, "both sets") for c in CELL if "reber" in c
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
            successes(results[course][0][criterion], results[course][0]["budget"]),
            f"{PUBLISHED[CASES[course]]:,}",
        )
        for what, course, criterion in shown
        if course in results
    ]


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws a point a seed, on a line a cell."""
    shown = counts(document["results"])
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
