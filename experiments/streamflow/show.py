# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tables and figures from what results.json holds."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments._figure import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    label_ends,
    saved,
)
from experiments._registry import Row
from experiments._results import spread, table, wrapped
from experiments.streamflow.series import SPLITS

PUBLISHED = "published for this basin, other weather and years"
# In the order of the table.
COLOURS = {
    "mean of the LSTMs": GREEN,
    "SAC-SMA": VERMILION,
    "persistence": ORANGE,
    "climatology": GREY,
}


def _years(years: dict[str, list[int]], part: str) -> str:
    return "{}-{}".format(*years[part])


def _has_apart(years: dict[str, list[int]]) -> bool:
    """Whether some test years are validation years of another split."""
    return years["apart"] != years["test"]


def _of_split(name: str, split: dict[str, Any]) -> str:
    """Who predicted how well, with the water years above the numbers."""
    lstm, years = split["LSTM"], split["years"]
    heads = {
        "train": f"train, {_years(years, 'train')}",
        "choose": f"validation, {_years(years, 'choose')}",
        "test": f"**test, {_years(years, 'test')}**",
        "apart": f"of these {_years(years, 'apart')}",
        "alpha": "alpha",
        "beta": "beta",
    }
    if not _has_apart(years):
        del heads["apart"]
    rows = [
        (f"LSTM, {len(lstm['test'])} seeds", *(spread(lstm[what]) for what in heads))
    ]
    rows += [
        (who, *(f"{split['others'][who][what]:z.3f}" for what in heads))
        for who in COLOURS
    ]
    better = sum(v > split["others"]["SAC-SMA"]["test"] for v in lstm["test"])
    return (
        table((name, *heads.values()), rows)
        + f"\n{better} of {len(lstm['test'])} LSTMs do better than SAC-SMA in the "
        f"test years. Updates chosen: {min(split['update'])} to "
        f"{max(split['update'])}.\n"
    )


def _tuning(rows: list[dict[str, Any]]) -> str:
    """All that was tried, best first."""
    names = sorted(rows[0]["settings"])
    ranked = sorted(rows, key=lambda row: -np.median(row["choose"]))
    lines = [
        (spread(row["choose"]), *(f"{row['settings'][name]:g}" for name in names))
        for row in ranked
    ]
    return table(("efficiency", *(name.replace("_", " ") for name in names)), lines)


def tables(document: dict[str, Any]) -> str:
    """Renders a table for each split, and what was tried."""
    results = document["results"]
    splits = "\n".join(_of_split(name, results["splits"][name]) for name in SPLITS)
    seeds = len(results["tuning"][0]["choose"])
    measured = wrapped(
        "Nash-Sutcliffe efficiency by water years, median and range over seeds. For "
        "the test years also alpha, the standard deviation of the prediction over that "
        "of the observations, and beta, the mean of the prediction less that of the "
        "observations, in standard deviations of the observations."
    )
    tried = wrapped(
        "All settings that were tried, by their efficiency in the validation years of "
        f"the split forwards, with {seeds} seeds that the run does not use:"
    )
    return (
        f"{measured}\n{splits}\n"
        f"Each LSTM has {results['parameters']:,} parameters.\n\n"
        f"{tried}\n{_tuning(results['tuning'])}"
    )


def compare(document: dict[str, Any]) -> list[Row]:
    """Efficiency in the test years of both splits, and in those no choice saw."""
    rows = []
    for name in SPLITS:
        split = document["results"]["splits"][name]
        others = split["others"]
        span = f"efficiency, {name}, test {_years(split['years'], 'test')}"
        lstm = f"LSTM 0.750, {PUBLISHED}" if name == "forwards" else ""
        sac = f"10 runs' mean 0.674, {PUBLISHED}" if name == "forwards" else ""
        rows += [
            Row(f"{span}: LSTM", spread(split["LSTM"]["test"]), lstm),
            Row(f"{span}: SAC-SMA", f"{others['SAC-SMA']['test']:.3f}", sac),
            Row(f"{span}: persistence", f"{others['persistence']['test']:.3f}", ""),
        ]
        if _has_apart(split["years"]):
            alone = f"of these {_years(split['years'], 'apart')}"
            model = f"SAC-SMA {others['SAC-SMA']['apart']:.3f}"
            found = f"{spread(split['LSTM']['apart'])}; {model}"
            rows.append(Row(f"efficiency, {name}, {alone}: LSTM", found, ""))
    return rows


def _hydrograph(document: dict[str, Any], path: Path) -> None:
    """One test year: what was observed, and what was predicted."""
    lines = document["results"]["hydrograph"]
    year = lines["year"]
    days = np.datetime64(f"{year - 1}-10-01") + np.arange(len(lines["observed"]))
    with saved(path, 10, 4.2) as figure:
        axes = figure.subplots()
        axes.fill_between(
            days, lines["lowest"], lines["highest"], color=BLUE, alpha=0.25, linewidth=0
        )
        drawn = (
            ("observed", "observed", BLACK, 1.6),
            ("SAC-SMA", "SAC-SMA", VERMILION, 1.2),
            ("median", "LSTM, median and range over seeds", BLUE, 1.2),
        )
        for name, text, colour, width in drawn:
            axes.plot(days, lines[name], color=colour, linewidth=width, label=text)
        axes.legend(loc="upper left", frameon=False)
        axes.set_xlim(days[0], days[-1])
        axes.set_ylim(0)
        axes.set_ylabel("run-off, mm/day")
        axes.set_title(f"Piscataquis River, water year {year} (a test year)")


def _efficiencies(document: dict[str, Any], path: Path) -> None:
    """Every seed beside the baselines, for both splits."""
    splits = document["results"]["splits"]
    with saved(path, 10, 4.2) as figure:
        grid = figure.subplots(1, len(splits), sharey=True)
        for axes, name in zip(grid, SPLITS, strict=True):
            split = splits[name]
            values = split["LSTM"]["test"]
            seeds = np.arange(len(values))
            ends = {
                who: (split["others"][who]["test"], colour)
                for who, colour in COLOURS.items()
                if who != "climatology"
            }
            ends["median of the LSTMs"] = float(np.median(values)), BLUE
            for value, colour in ends.values():
                axes.axhline(value, color=colour, linestyle="--", linewidth=1.3)
            axes.scatter(seeds, values, color=BLUE, s=30, zorder=3)
            label_ends(axes, len(values) - 0.5, ends, 0.011)
            axes.set_xlim(-0.5, len(values) - 0.5)
            axes.set_xticks(seeds)
            axes.set_xlabel("seed")
            axes.set_title(
                f"{name}: trained on {_years(split['years'], 'train')},\n"
                f"tested on {_years(split['years'], 'test')}"
            )
        grid[0].set_ylabel("Nash-Sutcliffe efficiency, test years")


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws the hydrograph of a test year, and the efficiency of every seed."""
    _hydrograph(document, folder / "hydrograph.png")
    _efficiencies(document, folder / "efficiency.png")
