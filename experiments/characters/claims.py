# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the README says, held against results.json."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments._verify import Claim
from experiments.characters import report, run, sweep

BAR = 1.65  # required of this model


def claims(document: dict[str, Any]) -> Iterator[Claim]:
    """The large network, what it is compared with, and the windows of small ones."""
    results = document["results"]
    yield from of_the_large_network(results)
    yield from of_ngrams(results)
    yield from of_windows(document)


def of_the_large_network(results: dict[str, Any]) -> Iterator[Claim]:
    """The loss is below the published ones, and so below the bar."""
    nats, published = results["held_out_nats"], report.PUBLISHED
    text = "the held-out loss, minGRU's, Mamba's and 1.65 rise in this order"
    order = nats < published["minGRU"] < published["Mamba"] < BAR
    yield order, f"{text}; the loss is {nats}"
    count = results["held_out_characters"]
    yield count > 111_000, f"more than 111,000 characters are held out; {count} are"


def of_ngrams(results: dict[str, Any]) -> Iterator[Claim]:
    """High orders are below the published losses; the LSTM beats them all, and xz."""
    nats, ngrams = results["held_out_nats"], results["ngrams"]
    lowest = min(report.PUBLISHED.values())
    for ngram in ngrams[5:]:
        text = f"order {ngram['order']} is below the published {lowest}"
        found = ngram["held_out_nats"]
        yield found < lowest, f"{text}; it has {found}"
    orders = [ngram["order"] for ngram in ngrams[:6]]
    yield orders == [1, 2, 3, 4, 5, 6], f"orders start with 1 to 6; with {orders}"
    for ngram in ngrams:
        order, found = ngram["order"], ngram["held_out_nats"]
        yield nats < found, f"the LSTM beats order {order}: {nats}, {found}"
        count = ngram["held_out_characters"]
        same = count == results["held_out_characters"]
        yield same, f"order {order} is judged by the same characters; by {count}"
    best = min(results["xz"].values())
    yield nats < best, f"the LSTM beats xz: {nats}, {best}"


def of_windows(document: dict[str, Any]) -> Iterator[Claim]:
    """Short windows are as good as long ones; all see the same characters."""
    for name, networks in report.arranged(document).items():
        nats = {n["window"]: np.median(n["held_out_nats"]) for n in networks}
        text = f"{name}: a window of 5 is as good as the best to 0.01"
        yield nats[5] < min(nats.values()) + 0.01, f"{text}; {nats}"
        below = max(nats[5], nats[20], nats[50]) < min(nats[100], nats[200])
        yield below, f"{name}: windows of 5 to 50 beat those of 100 and 200; {nats}"
    found, settings = document["results"]["sweep"], run.Settings()
    rates = {small["learning_rate"] for small in found}
    tried = document["settings"]["rates"]
    text = "some of the rates chosen are at an end of the grid"
    yield bool(rates & {min(tried), max(tried)}), f"{text}; they are {rates}"

    pairs = sweep.arrangements(settings)
    named = {(s["window"], s["lanes"]): s for s in found}
    yield set(named) == set(pairs), "each window and its lanes was trained"
    text = f"nine or more, none of them twice; {len(pairs)} in {len(found)}"
    yield len(pairs) == len(found) >= 9, text
    windows = {window for window, _ in pairs}
    yield windows == {5, 20, 50, 100, 200}, f"the windows are 5 to 200; {windows}"
    for (window, lanes), small in named.items():
        name = f"window {window}, {lanes} lanes"
        seen = window * lanes * small["steps"]
        yield seen == settings.seen, f"{name}: saw {settings.seen}; saw {seen}"
        count = len(small["held_out_nats"])
        yield count == len(settings.seeds) == 5, f"{name}: five seeds; {count}"
        rate = small["learning_rate"]
        yield rate in settings.rates, f"{name}: the rate {rate} was tried"
