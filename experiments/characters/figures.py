# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The figure of the characters."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from experiments._figure import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    band,
    label_ends,
    saved,
)
from experiments.characters.report import (
    PUBLISHED,
    arranged,
    best_ngram,
    large,
)


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws the large network among the others, the n-grams, and the windows."""
    with saved(folder / "characters.png", 15, 4.4) as figure:
        one, two, three = figure.subplots(1, 3)
        _learning(one, document)
        _orders(two, document)
        _windows(three, document)
        one.set_ylabel("nats a character")


def _learning(axes: Axes, document: dict[str, Any]) -> None:
    """The large network's curve, and where others are on the held-out text."""
    results = document["results"]
    ngram = best_ngram(document)
    levels = {
        f"{large(document)}, held out": (results["held_out_nats"], BLUE),
        f"{ngram['order']}-gram": (ngram["held_out_nats"], ORANGE),
        "xz": (results["xz"]["given_training_nats"], GREY),
        **{f"{name}, published": (nats, BLACK) for name, nats in PUBLISHED.items()},
    }
    curve = results["train_nats"]
    axes.plot(results["step"], curve, color=BLUE)
    for nats, colour in levels.values():
        axes.axhline(nats, color=colour, linestyle="--", linewidth=1.2)
    heights = [nats for nats, _ in levels.values()]
    lowest, highest = min(*curve, *heights), max(heights)
    room = (highest - lowest) / 8
    axes.set_xlim(0, results["step"][-1])
    axes.set_ylim(lowest - room, highest + 3 * room)
    levels["training"] = curve[-1], BLUE
    label_ends(axes, results["step"][-1], levels, 0.7 * room)
    axes.set_title("large network")
    axes.set_xlabel("step")


def _orders(axes: Axes, document: dict[str, Any]) -> None:
    """The n-grams by order."""
    results = document["results"]
    orders = [n["order"] for n in results["ngrams"]]
    nats = [n["held_out_nats"] for n in results["ngrams"]]
    lstm = results["held_out_nats"]
    axes.axhline(lstm, color=BLUE, linestyle="--", linewidth=1.2)
    axes.plot(orders, nats, "o-", color=ORANGE)
    low, high = axes.get_ylim()
    edge = orders[-1] + 0.3
    axes.set_xlim(0.7, edge)
    ends = {"large LSTM": (lstm, BLUE), "n-gram": (nats[-1], ORANGE)}
    label_ends(axes, edge, ends, (high - low) / 15)
    axes.set_xticks(orders)
    axes.set_title("n-grams, held out")
    axes.set_xlabel("order")


def _windows(axes: Axes, document: dict[str, Any]) -> None:
    """The small networks by window: median and range of the seeds."""
    colours = {"same lanes": VERMILION, "same batch": GREEN}
    ends = {}
    for arrangement, networks in arranged(document).items():
        windows = [n["window"] for n in networks]
        nats = np.asarray([n["held_out_nats"] for n in networks])
        colour = colours[arrangement]
        end = band(axes, windows, nats.T, colour, "o-")
        ends[arrangement] = end, colour
    axes.set_xscale("log")
    axes.set_xticks(document["settings"]["windows"])
    axes.set_xticklabels(map(str, document["settings"]["windows"]))
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    label_ends(axes, windows[-1], ends, (high - low) / 15)
    axes.set_title(f"small networks, {document['settings']['seen']:,} characters")
    axes.set_xlabel("window, characters")
