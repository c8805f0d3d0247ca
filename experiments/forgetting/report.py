# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The kinds of nets, and what is shown of them."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import _figure
from experiments._registry import Row
from experiments._results import spread, table, wrapped
from experiments.forgetting import cell, modern

# gated, reset, decay; see cell.Rules.
PAPER = {
    "no forget gate": (False, False, 1.0),
    "external reset": (False, True, 1.0),
    "forget gates": (True, False, 1.0),
    "forget gates, decay": (True, False, 0.99),
}
LEGAL = "; all legal"
BLOCKS = {
    name + ending: (*kind, both)
    for ending, both in (("", False), (LEGAL, True))
    for name, kind in PAPER.items()
}
MODERN = "modern LSTM"
PUBLISHED = dict(zip(PAPER, ("0%", "74%", "18%", "62%"), strict=True))
PUBLISHED_TESTS = "10 × 1,000,000"
SOURCE = "Gers et al. 2000"
COLOURS = (
    _figure.VERMILION,
    _figure.ORANGE,
    _figure.SKY,
    _figure.BLUE,
    _figure.GREEN,
)


def perfect(document: dict[str, Any], name: str) -> np.ndarray:
    """Which nets predicted all test streams: blocks in any test, LSTMs in the last."""
    found = document["results"]["kinds"][name]
    if "perfect_after" in found:
        return np.asarray(found["perfect_after"]) > 0
    longest = document["settings"]["longest"]
    return (np.asarray(found["lengths"]) >= longest).all(0)


def million(document: dict[str, Any], name: str) -> np.ndarray:
    """Which nets of a kind predicted all of the longer, fresh streams at the end."""
    lengths = np.asarray(document["results"]["kinds"][name]["lengths"])
    return (lengths >= document["settings"]["million"]).all(0)


def means(document: dict[str, Any], name: str) -> np.ndarray:
    """Each net's mean number of symbols before its first error, at the end."""
    lengths = np.asarray(document["results"]["kinds"][name]["lengths"])
    return np.minimum(lengths, document["settings"]["common"]).mean(0)


def share(which: np.ndarray) -> str:
    """How many of how many, and as a percentage."""
    return f"{which.mean():.0%} ({which.sum()} of {which.size})"


def weights(settings: dict[str, Any]) -> tuple[int, int, int]:
    """Weights of blocks with forget gates, of those without, and of the modern LSTM."""
    rng, blocks, size = np.random.default_rng(0), settings["blocks"], settings["size"]
    params = cell.init(rng, blocks, size), modern.init(rng, blocks * size)
    gated, lstm = (sum(w.size for w in jax.tree.leaves(p)) for p in params)
    return gated, gated - params[0].w_f.size, lstm


def note(settings: dict[str, Any]) -> str:
    """What must be known to read the table."""
    gated, ungated, lstm = weights(settings)
    text = (
        f"Medians, and ranges over {len(settings['seeds'])} seeds. Memory blocks are "
        f"tested {settings['checks']} times during training, and count as perfect if "
        f"they predict all of {settings['tests']} streams in any of these tests. The "
        f"modern LSTM is tested only at the end. It has {lstm} weights; memory blocks "
        f"have {gated} with forget gates and {ungated} without. The norm of c is the "
        f"mean over {settings['tests']} streams."
    )
    return wrapped(text)


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
                spread(means(document, name), ",.0f"),
                f"{np.median(after[after > 0]):,.0f}" if (after > 0).any() else "",
                spread(found["streams"], ",.0f") if "streams" in found else "",
                f"{np.median(norms[-1]):,.1f}",
            )
        )
    header = (
        "",
        f"published: perfect, {PUBLISHED_TESTS}",
        f"perfect, {tests} × {settings['longest']:,}",
        f"at the end, {tests} × {settings['million']:,}",
        f"symbols until wrong, at most {settings['common']:,}",
        "training symbols until perfect",
        "training streams",
        f"norm of c at symbol {last:,}",
    )
    return f"{table(header, rows)}\n{note(settings)}"


def compare(document: dict[str, Any]) -> list[Row]:
    """Shares of perfect nets, for either target, beside the published ones."""
    settings = document["settings"]
    what = f"perfect nets, {settings['tests']} × {settings['longest']:,} symbols: "
    return [
        Row(
            what + name,
            f"{share(perfect(document, name))}; where all legal symbols are targets "
            f"{share(perfect(document, name + LEGAL))}",
            f"{published} at {PUBLISHED_TESTS} symbols, {SOURCE}",
        )
        for name, published in PUBLISHED.items()
    ]


def _shares(axes: Any, document: dict[str, Any], ending: str) -> None:
    """Draws how many nets have become perfect by when, and how many published."""
    end = document["settings"]["symbols"] / 1e6
    ends = {}
    for name, colour in zip(PAPER, COLOURS, strict=False):
        found = document["results"]["kinds"][name + ending]
        after = np.asarray(found["perfect_after"]) / 1e6
        times = np.sort(after[after > 0])
        shares = 100 * np.arange(len(times) + 1) / len(after)
        times = np.concatenate([[0.0], times, [end]])
        axes.step(times, [*shares, shares[-1]], where="post", color=colour)
        published = float(PUBLISHED[name].rstrip("%"))
        axes.plot(end, published, "o", color=colour, mfc="none", clip_on=False)
        ends[name] = float(shares[-1]), colour
    _figure.label_ends(axes, end * 1.02, ends, 6.0)
    axes.set(xlim=(0, end), ylim=(-3, 100), xlabel="training symbols, millions")


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws the norm of c along test streams, and who became perfect when."""
    results = document["results"]
    with _figure.saved(folder / "forgetting.png", 16, 4.6) as figure:
        left, middle, right = figure.subplots(1, 3)
        left.set(xscale="log", yscale="log", xlabel="symbol of the stream")
        x, ends = results["points"], {}
        for name, colour in zip((*PAPER, MODERN), COLOURS, strict=True):
            norms = np.asarray(results["kinds"][name]["norms"])
            ends[name] = _figure.band(left, x, norms.T, colour), colour
        _figure.label_ends(left, x[-1], ends, 0.28)
        left.set_ylim(bottom=1.0)
        left.set_title("norm of c, mean over test streams")
        _shares(middle, document, "")
        middle.set_title("perfect, %; target: the symbol that comes")
        middle.plot([], [], "o", color=_figure.GREY, mfc="none", label="published")
        middle.legend(loc="upper left", frameon=False)
        _shares(right, document, LEGAL)
        right.set_title("perfect, %; targets: all legal symbols")
