# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Figures from the JSON of the last measurements."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import memory as memories
from experiments import _figure

COLOURS = (
    _figure.BLUE,
    _figure.SKY,
    _figure.VERMILION,
    _figure.GREY,
    _figure.GREEN,
    _figure.ORANGE,
    _figure.PURPLE,
    _figure.BLACK,
)
Lines = dict[str, list[tuple[float, float]]]


def _draw(path: Path, panels: list[tuple[str, str, Lines]]) -> None:
    """Panels of (title, axis, lines), both axes logarithmic."""
    with _figure.saved(path, 5.5 * len(panels), 4) as figure:
        all_axes = np.atleast_1d(figure.subplots(1, len(panels)))
        for axes, (title, along, lines) in zip(all_axes, panels, strict=True):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            ends = [np.log(points[-1][1]) for points in lines.values()]
            spread = np.ptp([np.log(y) for p in lines.values() for _, y in p]) or 1.0
            places = np.exp(_figure.apart(ends, spread / 18))
            for (name, points), place, colour in zip(lines.items(), places, COLOURS):  # noqa: B905
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=colour, marker="o")
                _figure.label(axes, x[-1], place, name, colour)
            axes.set_xlabel(along)
            axes.set_title(title)


def _draw_loops(found: dict[str, Any], path: Path) -> None:
    run: dict[str, Lines] = {"forward": {}, "gradient": {}}
    make: Lines = {}
    for way in found["results"]["ways"]:
        name, what, steps = (way[key] for key in ("name", "what", "steps"))
        milliseconds = 1e3 * float(np.median(way["seconds"]))
        run[what].setdefault(name, []).append((steps, milliseconds))
        if what == "gradient":
            seconds = way["trace_seconds"] + way["compile_seconds"]
            make.setdefault(name, []).append((steps, seconds))
    panels = [(f"{what}: run, ms", "T", lines) for what, lines in run.items()]
    _draw(path, [*panels, ("gradient: trace and compile, s", "T", make)])


def _draw_scaling(found: dict[str, Any], path: Path) -> None:
    keys = {"T": "steps", "B": "batch", "H": "hidden"}
    panels = []
    for axis, key in keys.items():
        lines: Lines = {}
        for row in found["results"]["rows"]:
            if row["axis"] == axis:
                for name, values in row["train"].items():
                    point = row[key], 1e3 * float(np.median(values))
                    lines.setdefault(name, []).append(point)
        panels.append((f"gradient against {axis}, ms", axis, lines))
    _draw(path, panels)


def _draw_memory(found: dict[str, Any], path: Path) -> None:
    lines: Lines = {}
    for entry in found["results"]["lengths"]:
        name = memories.OURS.get(entry["name"], entry["name"])
        lines.setdefault(name, []).append((entry["steps"], entry["bytes"] / 1e6))
    _draw(path, [("temporaries of the gradient, MB", "T", lines)])


FIGURES = {
    "scan-vs-loop": _draw_loops,
    "scaling": _draw_scaling,
    "memory": _draw_memory,
}


def draw(found: dict[str, dict[str, Any]], folder: Path) -> None:
    """Draws the figures into a folder."""
    for name, one in FIGURES.items():
        one(found[name], folder / f"{name}.png")
