# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The figure, from what results.json holds."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from experiments import _figure
from experiments._figure import BLACK, BLUE, GREY, ORANGE, SKY, VERMILION
from experiments.odyssey.showing import (
    BASELINES,
    PUBLISHED,
    WHAT,
    ordered,
    stack_name,
)


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws the learning curve, and every variant beside vanilla."""
    with _figure.saved(folder / "odyssey.png", 11, 4.4) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
        _curve(left, document)
        _dots(right, document)


def _curve(axes: Axes, document: dict[str, Any]) -> None:
    """Validation of the published network, beside lines for the test split."""
    results = document["results"]
    curves = np.asarray(results["stack"]["curve"])
    epochs = 1 + np.arange(curves.shape[1])
    _figure.band(axes, epochs, curves, BLUE)
    best = min(results["regressions"], key=lambda one: one["test"])
    lines = {
        "ours, test": (float(np.median(results["stack"]["test"])), BLUE),
        "published LSTM, test": (PUBLISHED["LSTM"], ORANGE),
        "published RNN, test": (PUBLISHED["RNN"], VERMILION),
        "published TCN, test": (PUBLISHED["TCN"], SKY),
        "regression, test": (best["test"], GREY),
    }
    low, high = PUBLISHED["TCN"] - 0.15, float(np.median(curves, 0)[:5].max())
    axes.set_ylim(low, min(high, 9.4))
    for y, colour in lines.values():
        axes.axhline(y, color=colour, linestyle="--", linewidth=1.3)
    _figure.label_ends(axes, float(epochs[-1]), lines, 0.09)
    axes.set_xlim(0, float(epochs[-1]))
    axes.set_title(f"{stack_name(document)}: validation")
    axes.set_xlabel("epoch")
    axes.set_ylabel("nats a frame")


def _dots(axes: Axes, document: dict[str, Any]) -> None:
    """Test loss of every cell and seed."""
    found = document["results"]["variants"]
    names = sorted(ordered(found), key=lambda k: -float(np.median(found[k]["test"])))
    for y, name in enumerate(names):
        test = found[name]["test"]
        colour = BLACK if name == "V" else GREY if name in BASELINES else BLUE
        axes.plot(test, [y] * len(test), "o", color=colour, alpha=0.4, markersize=5)
        axes.plot(np.median(test), y, "|", color=colour, markersize=16, mew=2.4)
    axes.axvline(float(np.median(found["V"]["test"])), color=BLACK, linewidth=0.9)
    axes.set_yticks(range(len(names)), [f"{WHAT[k]}  {k}" for k in names])
    axes.set_title(f"one layer of {document['settings']['variant_units']}: test")
    axes.set_xlabel("nats a frame")
