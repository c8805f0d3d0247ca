# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Learning curves: a panel a task, a line a network."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from experiments import _figure
from experiments.digits import tasks

COLOURS = {
    "LSTM": _figure.BLUE,
    "LSTM-zoneout": _figure.SKY,
    "LSTM-norm": _figure.PURPLE,
    "GRU": _figure.GREEN,
    "RNN": _figure.VERMILION,
    "logistic regression": _figure.BLACK,
    "support vector machine": _figure.GREY,
}
TITLES = {
    "rows": "28 rows of 28 pixels",
    "rows-permuted": "28 rows, pixels permuted",
    "pixels": "196 means of pixels, one by one",
    "pixels-permuted": "196 means, permuted",
}


def panel(axes: Axes, found: dict[str, Any], baselines: dict[str, float]) -> None:
    """Error against epochs, on a log scale, and the baselines."""
    ends, last = {}, 1.0
    for name, one in found.items():
        curves = 1 - np.asarray(one["held_out_accuracy"])
        epochs, colour = np.arange(1, curves.shape[1] + 1), COLOURS[name]
        ends[name] = _figure.band(axes, epochs, curves, colour), colour
        last = float(epochs[-1])
    for name, accuracy in baselines.items():
        error, colour = 1 - accuracy, COLOURS[name]
        axes.hlines(error, 1, last, colour, linestyle="--", linewidth=1.2)
        ends[name] = error, colour
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = np.log10(axes.get_ylim())
    _figure.label_ends(axes, last, ends, (high - low) / 16)
    axes.set_xlabel("epoch")


def draw(document: dict[str, Any], path: Path) -> None:
    """Draws held-out error against epochs for every task."""
    results = document["results"]
    names = document["settings"]["tasks"]
    columns = min(2, len(names))
    lines = -(-len(names) // columns)
    with _figure.saved(path, 6.5 * columns, 4.2 * lines) as figure:
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes, task in zip(grid.flat, names, strict=False):
            panel(
                axes,
                results["tasks"][task],
                results["baselines"][tasks.input_of(task)],
            )
            axes.set_title(TITLES[task])
        for row in grid:
            row[0].set_ylabel("held-out error")
        for axes in grid.flat[len(names) :]:
            axes.set_axis_off()
