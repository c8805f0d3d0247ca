# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The tables of the README and the figure."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments._figure import BLACK, BLUE, GREY, VERMILION, saved
from experiments._registry import Row
from experiments._results import table
from experiments.battery_1997.tasks import READINGS
from experiments.battery_1997.training import CRITERIA

# Each course, and whose layout and budget its nets have.
CASES = {
    "reber 3x2": "reber 3x2",
    "reber 4x1": "reber 4x1",
    "reber modern": "reber 3x2",
    "adding": "adding",
    "adding modern": "adding",
    "order": "order",
    "order modern": "order",
}
# Hochreiter and Schmidhuber 1997: sequences to success with the cell of 1997.
PUBLISHED = {"reber 3x2": 8440, "reber 4x1": 39740, "adding": 74000, "order": 31390}
CELL = {"reber 3x2": "1997, 3 blocks of 2", "reber 4x1": "1997, 4 blocks of 1"}
TITLE = {"reber": "embedded Reber", "adding": "adding", "order": "temporal order 6a"}
SAID = {
    "mean error": "mean error < {mean}",
    "mean square": "mean squared error < {mean}",
    "all": "all of the last {window:,} < {each}",
    "both": "mean error < {mean}, and all < {each}",
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


def spread(first: Sequence[int]) -> str:
    """How many have succeeded; the median of those, and their range."""
    reached = [n for n in first if n]
    share = f"{len(reached)} of {len(first)}"
    if not reached:
        return share
    ends = f"{min(reached):,} to {max(reached):,}"
    return f"{share}: {np.median(reached):,.0f} ({ends})"


def _reber_table(results: dict[str, Any]) -> str:
    rows = [
        (
            name,
            str(results[case]["weights"]),
            f"{results[case]['rate']:g}",
            spread(results[case]["both sets"]),
            spread(results[case]["training set"]),
            f"{PUBLISHED[case]:,}" if case in PUBLISHED else "",
        )
        for case, name in REBER.items()
    ]
    head = "embedded Reber", "weights", "rate", "both sets right", "training set right"
    return table((*head, "published"), rows)


def _end_table(
    results: dict[str, Any], case: str, title: str, said: dict[str, str]
) -> str:
    groups = list(_groups(results, case))
    cells = [
        (f"{group['weights']} weights, rate {group['rate']:g}", *names)
        for names, group in groups
    ]
    head = [title, *(", ".join(part for part in cell[1:] if part) for cell in cells)]
    rows = [["weights, learning rate", *(cell[0] for cell in cells)]]
    rows += [
        [said[criterion], *(spread(group[criterion]) for _, group in groups)]
        for criterion in CRITERIA
    ]
    for name, key, form in (
        ("fresh sequences wrong", "wrong", "{:.0f}"),
        ("mean error on them", "mean_error", "{:.4f}"),
    ):
        row = [name]
        for _, group in groups:
            low, middle, high = np.quantile(group[key], (0, 0.5, 1))
            row.append(
                f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"
            )
        rows.append(row)
    return table(head, rows)


def _groups(
    results: dict[str, Any], case: str
) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Names, of the cell and of the reading, and what was found."""
    for name, key in (("1997", case), ("modern", f"{case} modern")):
        for n, group in enumerate(results[key]):
            reading = READINGS[n] if case == "adding" else ""
            yield (name, reading), group


def tables(document: dict[str, Any]) -> str:
    """Renders sequences to success, and the tests."""
    results, settings = document["results"], document["settings"]
    window, fresh = settings["window"], settings["fresh"]
    told = []
    for case, mean, each in (("adding", 0.01, 0.04), ("order", 0.1, 0.3)):
        said = {
            key: text.format(mean=mean, each=each, window=window)
            for key, text in SAID.items()
        }
        title = "adding" if case == "adding" else "temporal order 6a"
        told.append(_end_table(results, case, title, said))
    given = ", ".join(
        f"{results[case]['budget']:,} ({name})" for case, name in REBER.items()
    )
    ends = ", ".join(
        f"{results[case][0]['budget']:,} ({case})"
        for case in ("adding", "adding modern", "order", "order modern")
    )
    return "\n".join(
        [
            f"How many of {len(settings['seeds'])} seeds have succeeded; sequences"
            f" until then, median and range of those that have. Budget: {given}.",
            "",
            _reber_table(results),
            f"The same for {settings['fewer']} seeds, and how many of {fresh:,} fresh"
            " sequences a net gets wrong, median and range over all seeds."
            f" Published: {PUBLISHED['adding']:,} (adding), {PUBLISHED['order']:,}"
            f" (order); 1 of 2,560 wrong in both. Budget: {ends}.",
            "",
            *told,
        ]
    )


def counts(results: dict[str, Any]) -> dict[str, list[Count]]:
    """What the figure shows, task by task: success by the strictest criterion."""
    shown = {
        "embedded Reber": [
            Count(
                name,
                BLUE if case in PUBLISHED else VERMILION,
                results[case]["both sets"],
                results[case]["budget"],
                PUBLISHED.get(case),
            )
            for case, name in REBER.items()
        ]
    }
    for case, title in (("adding", "adding"), ("order", "temporal order 6a")):
        shown[title] = [
            Count(
                f"{cell}, {reading}" if reading else cell,
                BLUE if cell == "1997" else VERMILION,
                group["both"],
                group["budget"],
                PUBLISHED[case] if cell == "1997" else None,
            )
            for (cell, reading), group in _groups(results, case)
        ]
    return shown


def compare(document: dict[str, Any]) -> list[Row]:
    """Sequences to success beside the published numbers."""
    results = document["results"]
    shown = counts(results)
    first = shown["embedded Reber"][:2] + shown["adding"][:1]
    first += shown["temporal order 6a"][:1]
    names = "Reber, 3 blocks of 2", "Reber, 4 blocks of 1", "adding", "temporal order"
    rows = [
        Row(
            f"{name}: sequences to success, cell of 1997",
            spread(count.first),
            f"{count.published:,}",
        )
        for name, count in zip(names, first, strict=True)
    ]
    for title, counted in shown.items():
        modern = next(c for c in counted if c.name.startswith("modern"))
        rows.append(Row(f"{title}: the same, modern cell", spread(modern.first), ""))
    return rows[:6]


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws a point a seed, on a line a cell."""
    shown = counts(document["results"])
    heights = [len(counted) for counted in shown.values()]
    with saved(folder / "sequences.png", 9.5, 1.6 + 0.42 * sum(heights)) as figure:
        axes = figure.subplots(len(shown), 1, sharex=True, height_ratios=heights)
        for ax, (title, counted) in zip(axes, shown.items(), strict=True):
            ax.set_title(title, loc="left")
            for y, count in enumerate(counted):
                _line(ax, y, count)
            ax.set_yticks(range(len(counted)), [count.name for count in counted])
            ax.set_ylim(len(counted) - 0.5, -0.5)
            ax.tick_params(axis="y", length=0)
        axes[-1].set_xscale("log")
        axes[-1].set_xlabel(
            "sequences to success: a point a seed, | their median, ◆ published, "
            "⨯ not within the budget"
        )


def _line(ax: Any, y: int, count: Count) -> None:
    """One line of points."""
    reached = [n for n in count.first if n]
    failed = len(count.first) - len(reached)
    shift = 0.22 * np.sin(2.4 * np.arange(len(reached)))
    points = {"s": 22, "alpha": 0.55, "linewidths": 0}
    ax.scatter(sorted(reached), y + shift, color=count.colour, **points)
    if reached:
        at = np.median(reached)
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
