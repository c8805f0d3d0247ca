# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Figures of the adding problem: learning curves, and errors at longer lengths."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import _figure
from experiments.adding.task import CONSTANT

COLOURS = {
    "RNN": _figure.GREY,
    "IRNN": _figure.PURPLE,
    "GRU": _figure.VERMILION,
    "LSTM, forget bias 0": _figure.ORANGE,
    "LSTM, forget bias 1": _figure.GREEN,
    "LSTM, forget bias 3": _figure.SKY,
    "LSTM, chrono": _figure.BLUE,
}
FLOOR, CEILING = 1e-5, 10.0
GAP = 0.27  # between names, in powers of ten
WIDTH, HEIGHT = 4.3, 4.6  # of a panel, in inches


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws both."""
    learning(document, folder / "learning.png")
    longer(document, folder / "longer.png")


def line(axes: Any, x: Any, values: Any, colour: str) -> float:
    """Draws errors (seeds, points) inside the panel; gives the median's end."""
    return _figure.band(axes, x, np.clip(values, FLOOR, CEILING), colour)


def name_ends(axes: Any, x: float, ends: dict[str, float]) -> None:
    """Names the lines at their ends, those that diverged as such."""
    axes.set_xlim(right=x)
    named = {
        name.replace("forget bias", "bias") + (", diverged" if y >= CEILING else ""): (
            y,
            COLOURS.get(name, _figure.BLACK),
        )
        for name, y in ends.items()
    }
    _figure.label_ends(axes, x, named, GAP)


def panels(document: dict[str, Any], figure: Any) -> dict[str, Any]:
    """One panel for each length of training, with the constant's error."""
    lengths = sorted(document["results"]["nets"], key=int)
    row = np.atleast_1d(figure.subplots(1, len(lengths), sharey=True))
    row[0].set_ylabel("mean squared error")
    for axes, length in zip(row, lengths, strict=True):
        axes.set_yscale("log")
        axes.set_ylim(FLOOR, CEILING)
        axes.set_title(f"trained at T = {length}")
        axes.axhline(CONSTANT, color=_figure.BLACK, linestyle="--", linewidth=1)
    return dict(zip(lengths, row, strict=True))


def width(document: dict[str, Any]) -> float:
    """Of a figure with all panels."""
    return WIDTH * len(document["results"]["nets"])


def learning(document: dict[str, Any], path: Path) -> None:
    """Draws the training error, which is one on new sequences, against updates."""
    every = document["settings"]["every"]
    with _figure.saved(path, width(document), HEIGHT) as figure:
        for length, axes in panels(document, figure).items():
            ends = {"constant 1": CONSTANT}
            for name, net in document["results"]["nets"][length].items():
                curves = np.asarray(net["curve"])
                updates = every * (1 + np.arange(curves.shape[1]))
                ends[name] = line(axes, updates, curves, COLOURS[name])
            axes.set_xlabel("updates")
            name_ends(axes, float(updates[-1]), ends)


def longer(document: dict[str, Any], path: Path) -> None:
    """Draws the test error against the length of the test."""
    with _figure.saved(path, width(document), HEIGHT) as figure:
        for length, axes in panels(document, figure).items():
            ends = {"constant 1": CONSTANT}
            for name, net in document["results"]["nets"][length].items():
                tested = sorted(net["test"], key=int)
                errors = [net["test"][steps] for steps in tested]
                steps = np.asarray(tested, float)
                ends[name] = line(axes, steps, np.transpose(errors), COLOURS[name])
            axes.set_xscale("log", base=2)
            axes.set_xticks(steps, tested)
            axes.set_xlabel("tested at")
            name_ends(axes, float(steps[-1]), ends)
