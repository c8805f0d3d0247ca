# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One look for all figures: colours, sizes, and labels beside the lines they name."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito: tells apart what the colour-blind see apart.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#7F7F7F"

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "lstm_jax",  # the same figure is the same file
}


SUFFIX: ContextVar[str | None] = ContextVar("SUFFIX", default=None)
METADATA = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}


@contextmanager
def as_svg() -> Iterator[None]:
    """Within it, figures are written as SVG whatever their paths end in."""
    token = SUFFIX.set(".svg")
    try:
        yield
    finally:
        SUFFIX.reset(token)


@contextmanager
def saved(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches, to be drawn on and then written to `path`."""
    path = path.with_suffix(SUFFIX.get() or path.suffix)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        figure.savefig(path, dpi=160, metadata=METADATA[path.suffix])


def apart(positions: Sequence[float] | np.ndarray, gap: float) -> np.ndarray:
    """Moves positions as little as it takes for neighbours to be `gap` apart."""
    order = np.argsort(positions)
    steps = gap * np.arange(len(order))
    # Less its share of the gaps, every position must be no lower than the one before:
    # isotonic regression, by pooling neighbours that are out of order.
    pools: list[list[float]] = []
    for value in np.asarray(positions, float)[order] - steps:
        pools.append([value])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    levels = np.concatenate([np.full(len(pool), np.mean(pool)) for pool in pools])
    moved = np.empty(len(order))
    moved[order] = levels + steps
    return moved


def band(axes: Axes, x: Any, curves: Any, colour: str, style: str = "-") -> float:
    """Draws the median of curves (seeds, points) over their range; gives its end."""
    low, middle, high = np.quantile(curves, (0, 0.5, 1), 0)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(x, middle, style, color=colour)
    return float(middle[-1])


def label(axes: Axes, x: float, y: float, name: str, colour: str) -> None:
    """Writes a line's name to the right of a point, in the line's colour."""
    axes.annotate(
        name,
        (x, y),
        xytext=(5, 0),
        textcoords="offset points",
        color=colour,
        va="center",
        fontsize=9,
        annotation_clip=False,
    )


def label_ends(
    axes: Axes, x: float, ends: Mapping[str, tuple[float, str]], gap: float
) -> None:
    """Writes names to the right of where lines end, moved apart where they overlap.

    Args:
        axes: its y scale has been set.
        x: where the lines end.
        ends: by name, the y of the line's end and its colour.
        gap: least distance between two names, in powers of ten on a log scale.
    """
    heights = np.asarray([y for y, _ in ends.values()])
    if axes.get_yscale() == "log":
        heights = 10 ** apart(np.log10(heights), gap)
    else:
        heights = apart(heights, gap)
    for y, (name, (_, colour)) in zip(heights, ends.items(), strict=True):
        label(axes, x, float(y), name, colour)
