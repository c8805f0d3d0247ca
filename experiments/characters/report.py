# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tables of the characters, and our numbers beside the published ones."""

import math
from typing import Any

from experiments._registry import Row
from experiments._results import spread, table

PUBLISHED = {"minGRU": 1.548, "Mamba": 1.575}
SOURCE = "Feng et al. 2024"
ORDER = 6  # highest of the n-grams that the question names


def best_ngram(document: dict[str, Any], orders: int = ORDER) -> dict[str, Any]:
    """The n-gram up to this order that best predicted the end of the training text."""
    tried = [n for n in document["results"]["ngrams"] if n["order"] <= orders]
    return min(tried, key=lambda n: n["chosen_at_nats"])


def arranged(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The small networks of the sweep, by what all windows have the same."""
    settings = document["settings"]
    sweep = sorted(document["results"]["sweep"], key=lambda s: s["window"])
    lanes, batch = settings["small_lanes"], settings["batch"]
    return {
        "same lanes": [s for s in sweep if s["lanes"] == lanes],
        "same batch": [s for s in sweep if s["lanes"] == batch // s["window"]],
    }


def large(document: dict[str, Any]) -> str:
    """The large network's name."""
    settings = document["settings"]
    return f"LSTM, {settings['num_layers']} × {settings['hidden_size']}"


def tables(document: dict[str, Any]) -> str:
    """Renders the losses on the last tenth, and a sample."""
    sample = document["results"]["sample"].splitlines()
    return "\n".join(
        [
            _held_out(document),
            _training(document),
            _ngrams(document),
            _sweep(document),
            "A sample of the large network:\n",
            *(f"    {line}" for line in sample),
            "",
        ]
    )


def _held_out(document: dict[str, Any]) -> str:
    """All that predicted the last tenth, the best first."""
    results = document["results"]
    orders = document["settings"]["orders"]
    ngrams = {
        n["order"]: n for n in (best_ngram(document), best_ngram(document, orders))
    }
    found = {
        f"{large(document)}, one seed": results["held_out_nats"],
        **{f"{order}-gram": n["held_out_nats"] for order, n in ngrams.items()},
        "xz, given the training text": results["xz"]["given_training_nats"],
        "xz, alone": results["xz"]["alone_nats"],
        **{f"{name}, published ({SOURCE})": nats for name, nats in PUBLISHED.items()},
    }
    rows = [
        (name, f"{nats:.3f}", f"{nats / math.log(2):.3f}")
        for name, nats in sorted(found.items(), key=lambda item: item[1])
    ]
    return table(("held out", "nats a character", "bits a character"), rows)


def _training(document: dict[str, Any]) -> str:
    """What the large network cost."""
    results = document["results"]
    row = (
        large(document),
        f"{results['parameters']:,}",
        f"{results['train_nats'][-1]:.3f}",
        f"{results['training_seconds'] / 60:.1f}",
    )
    header = ("training", "parameters", "nats, last steps", "minutes")
    return table(header, [row])


def _ngrams(document: dict[str, Any]) -> str:
    """Each order of the n-grams."""
    rows = [
        (
            str(n["order"]),
            ", ".join(f"{d:.1f}" for d in n["discounts"]),
            f"{n['chosen_at_nats']:.3f}",
            f"{n['held_out_nats']:.3f}",
        )
        for n in document["results"]["ngrams"]
    ]
    header = (
        "order of the n-gram",
        "discounts of 1, 2, 3 or more",
        "nats where chosen",
        "nats held out",
    )
    return table(header, rows)


def _sweep(document: dict[str, Any]) -> str:
    """Each window of the small networks, in both arrangements."""
    rows = [
        (
            f"{network['window']}, {arrangement}",
            str(network["lanes"]),
            str(network["steps"]),
            f"{network['learning_rate']:g}",
            spread(network["held_out_nats"]),
        )
        for arrangement, networks in arranged(document).items()
        for network in networks
    ]
    size = document["settings"]["small_size"]
    seeds = len(document["settings"]["seeds"])
    header = (
        f"window of an LSTM of {size}",
        "lanes",
        "steps",
        "rate",
        f"nats held out, median and range of {seeds} seeds",
    )
    return table(header, rows)


def compare(document: dict[str, Any]) -> list[Row]:
    """The large network, what it must beat, and what the window does."""
    results = document["results"]
    published = ", ".join(f"{name} {nats}" for name, nats in PUBLISHED.items())
    ngram = best_ngram(document)
    unit = "nats a character, held out"
    rows = [
        Row(
            f"{large(document)}, {unit}",
            f"{results['held_out_nats']:.3f} (one seed)",
            f"{published} ({SOURCE})",
        ),
        Row(
            f"best n-gram of order up to {ORDER}, {unit}",
            f"{ngram['held_out_nats']:.3f} (order {ngram['order']})",
            "",
        ),
        Row(
            f"xz given the training text, {unit}",
            f"{results['xz']['given_training_nats']:.3f}",
            "",
        ),
    ]
    for arrangement, networks in arranged(document).items():
        ends = [
            f"{n['window']}: {spread(n['held_out_nats'])}"
            for n in (networks[0], networks[-1])
        ]
        rows.append(Row(f"small LSTM by window, {arrangement}", "; ".join(ends), ""))
    return rows
