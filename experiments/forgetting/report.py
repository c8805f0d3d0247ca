# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The kinds of nets, and what is shown of them."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import _figure
from experiments._registry import Row
from experiments._results import table

# gated, kept, reset, decay; see cell.Rules.
PAPER = {
    "no forget gate": (False, 1.0, False, 1.0),
    "external reset": (False, 1.0, True, 1.0),
    "forget gates": (True, 1.0, False, 1.0),
    "forget gates, decay": (True, 1.0, False, 0.99),
}
LEGAL = "; all legal"
BLOCKS = {
    name + ending: (*kind, both)
    for ending, both in (("", False), (LEGAL, True))
    for name, kind in PAPER.items()
}
MODERN = "modern LSTM"
PUBLISHED = dict(zip(PAPER, ("0%", "74%", "18%", "62%"), strict=True))
SOURCE = "Gers et al. 2000"
COLOURS = (
    _figure.VERMILION,
    _figure.ORANGE,
    _figure.SKY,
    _figure.BLUE,
    _figure.GREEN,
)


def perfect(document: dict[str, Any], name: str) -> np.ndarray:
    """Which nets of a kind foretold all of ten test streams, and were stopped."""
    found = document["results"]["kinds"][name]
    if "perfect_after" in found:
        return np.asarray(found["perfect_after"]) > 0
    longest = document["settings"]["longest"]
    return (np.asarray(found["lengths"]) >= longest).all(0)


def million(document: dict[str, Any], name: str) -> np.ndarray:
    """Which nets of a kind foretold all of the longer, fresh streams at the end."""
    lengths = np.asarray(document["results"]["kinds"][name]["lengths"])
    return (lengths >= document["settings"]["million"]).all(0)


def means(document: dict[str, Any], name: str) -> np.ndarray:
    """Each net's mean number of symbols before its first error, at the end."""
    lengths = np.asarray(document["results"]["kinds"][name]["lengths"])
    return np.minimum(lengths, document["settings"]["common"]).mean(0)


def share(which: np.ndarray) -> str:
    """How many of how many, and as a percentage."""
    return f"{which.mean():.0%} ({which.sum()} of {which.size})"


def spread(values: np.ndarray) -> str:
    """Median and range."""
    low, middle, high = np.percentile(values, (0, 50, 100))
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"


def tables(document: dict[str, Any]) -> str:
    """Renders who is perfect, how far the others come, and how large c becomes."""
    settings, kinds = document["settings"], document["results"]["kinds"]
    tests, last = settings["tests"], document["results"]["points"][-1]
    rows = []
    for name in (*BLOCKS, MODERN):
        found = kinds[name]
        done = perfect(document, name)
        norms = np.asarray(found["norms"])
        after = np.asarray(found.get("perfect_after", ()))
        rows.append(
            (
                name,
                PUBLISHED.get(name.removesuffix(LEGAL), ""),
                share(done),
                share(million(document, name)),
                spread(means(document, name)),
                f"{np.median(after[after > 0]):,.0f}" if (after > 0).any() else "",
                spread(np.asarray(found["streams"])) if "streams" in found else "",
                f"{np.median(norms[-1]):.1f}",
            )
        )
    header = (
        "",
        "published: perfect",
        f"perfect, {tests} × {settings['longest']:,}",
        f"at the end, {tests} × {settings['million']:,}",
        f"right at a stretch, at most {settings['common']:,}",
        "training symbols until perfect",
        "training streams",
        f"norm of c at symbol {last:,}",
    )
    return (
        table(header, rows)
        + f"\nMedians, and ranges over {len(settings['seeds'])} seeds.\n"
    )


def compare(document: dict[str, Any]) -> list[Row]:
    """Shares of perfect nets beside the published ones."""
    settings = document["settings"]
    what = f"perfect nets, {settings['tests']} × {settings['longest']:,} symbols: "
    return [
        Row(what + name, share(perfect(document, name)), f"{published}, {SOURCE}")
        for name, published in PUBLISHED.items()
    ]


def _lines(axes: Any, x: Any, curves: dict[str, np.ndarray], gap: float) -> None:
    """Draws medians and ranges over the seeds, names beside the ends."""
    ends = []
    for curve, colour in zip(curves.values(), COLOURS, strict=False):
        middle = np.median(curve, 1)
        axes.fill_between(
            x, curve.min(1), curve.max(1), color=colour, alpha=0.12, linewidth=0
        )
        axes.plot(x, middle, color=colour)
        ends.append(middle[-1])
    heights = 10 ** _figure.apart(np.log10(ends), gap)
    for name, height, colour in zip(curves, heights, COLOURS, strict=False):
        _figure.label(axes, x[-1], float(height), name, colour)


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws the norm of c along a stream, and the lengths foretold while training."""
    results, kinds = document["results"], document["results"]["kinds"]
    checked = np.asarray(results["checked"]) / 1e6
    with _figure.saved(folder / "forgetting.png", 16, 4.6) as figure:
        left, middle, right = figure.subplots(1, 3)
        norms = {k: np.asarray(kinds[k]["norms"]) for k in (*PAPER, MODERN)}
        _lines(left, results["points"], norms, 0.2)
        left.set(xscale="log", yscale="log", xlabel="symbol of the stream")
        left.set_ylim(bottom=0.1)
        left.set_title("norm of c along a test stream")
        for axes, ending, title in (
            (middle, "", "the target is the symbol that comes"),
            (right, LEGAL, "all legal symbols are targets"),
        ):
            curves = {k: np.asarray(kinds[k + ending]["curve"]) for k in PAPER}
            _lines(axes, checked, curves, 0.2)
            axes.set(yscale="log", xlabel="training symbols, millions", title=title)
            axes.set_ylim(1, 2 * document["settings"]["common"])
        middle.set_ylabel("symbols foretold at a stretch")
