# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tables of the adding problem, and its numbers beside the published ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments._registry import Row
from experiments._results import counted, table, wrapped
from experiments.adding.learning import CAP
from experiments.adding.nets import names
from experiments.adding.task import SECOND_ONLY

SOLVED = 1e-2  # a mean squared error below it; the constant's is 0.167
# Root mean squared error at 100, 200 and 400, trained at 100 on 16,000 sequences.
PUBLIC = {
    "RNN": (0.386, 0.401, 0.406),
    "GRU": (0.0129, 0.198, 0.426),
    "LSTM": (0.0105, 0.038, 0.105),
}
PUBLIC_TRAINED, PUBLIC_TESTED = "100", ("100", "200", "400")
BAI = {"GRU": "5.3e-05", "LSTM": "0.164"}
# Which of our nets stand beside a published one: where `init_cell` starts, and chrono.
OURS = {
    "RNN": ("RNN",),
    "GRU": ("GRU",),
    "LSTM": ("LSTM, forget bias 1", "LSTM, chrono"),
}


def number(value: float) -> str:
    """Two significant digits."""
    if value >= CAP:
        return "diverged"
    if value < 0.01 or value >= 1000:
        return f"{value:.1e}"
    return f"{value:.0f}" if value >= 10 else f"{value:#.2g}"


def spread(values: Sequence[float] | np.ndarray) -> str:
    """Median and range."""
    low, middle, high = map(number, np.quantile(values, (0, 0.5, 1)).tolist())
    return middle if low == high else f"{middle} ({low} to {high})"


def known(found: dict[str, Any]) -> dict[str, Any]:
    """The same in the order of `nets.names`; JSON has sorted it."""
    return {name: found[name] for name in names() if name in found}


def solved(values: Sequence[float]) -> str:
    """How many seeds solve the task, of all."""
    return f"{sum(v < SOLVED for v in values)}/{len(values)}"


def at_their_length(results: dict[str, Any]) -> str:
    """Errors at the length of training."""
    lengths = list(map(str, sorted(map(int, results["nets"]))))
    header = ["", "parameters"]
    for length in lengths:
        header += [f"T = {length}", "solved"]
    rows = []
    for name in known(results["parameters"]):
        row = [name, f"{results['parameters'][name]:,}"]
        for length in lengths:
            errors = results["nets"][length][name]["test"][length]
            row += [spread(errors), solved(errors)]
        rows.append(row)
    constant = ["the constant 1", "0"]
    for length in lengths:
        constant += [number(results["constant"][length]), ""]
    return table(header, [*rows, constant])


def at_longer(results: dict[str, Any], length: str) -> str:
    """Errors of nets trained at one length, tested at that and at longer ones."""
    found = results["nets"][length]
    tested = sorted(next(iter(found.values()))["test"], key=int)
    header = [f"trained at T = {length}", *(f"tested at {n}" for n in tested)]
    rows = [
        [
            name,
            *(spread(net["test"][n]) for n in tested),
        ]
        for name, net in known(found).items()
    ]
    constant = (number(results["constant"][n]) for n in tested)
    return table(header, [*rows, ["the constant 1", *constant]])


def search(document: dict[str, Any]) -> str:
    """Validation errors; bold at the rate chosen, italic at one carried over."""
    rates, found = document["settings"]["rates"], document["results"]["search"]
    lengths = sorted(found, key=int)
    header = [""] + [f"T = {n}, {rate:g}" for n in lengths for rate in rates]
    rows = []
    for name in known(found[lengths[0]]):
        row = [name]
        for length in lengths:
            net = found[length][name]
            chosen = length == lengths[0] or min(net["errors"]) < SECOND_ONLY
            for rate, error in zip(rates, net["errors"], strict=True):
                mark = ("**" if chosen else "*") if rate == net["rate"] else ""
                row.append(f"{mark}{number(error)}{mark}")
        rows.append(row)
    return table(header, rows)


def tables(document: dict[str, Any]) -> str:
    """All of them."""
    results, settings = document["results"], document["settings"]
    sequences = settings["updates"] * settings["batch_size"]
    lengths = sorted(results["nets"], key=int)
    return "\n".join(
        [
            wrapped(
                f"Mean squared error on {settings['test']} new sequences of the "
                f"training length T, after training on {sequences:,}: median (range) "
                f"over {counted(len(settings['seeds']), 'seed')}, and how many of them "
                f"solve the task (an error below {SOLVED:g}). A single number means "
                "that all seeds agree to two digits."
            ),
            at_their_length(results),
            "Comparison with published numbers:\n",
            table(
                ("", "median (range)", "published"),
                beside_bai(results) + beside_the_public_run(results),
            ),
            "The same networks tested on longer sequences:\n",
            *(at_longer(results, length) for length in lengths),
            wrapped(
                "Search for the learning rate: validation error of one network for "
                "each length and rate. Bold: the rate chosen. Italic: the rate carried "
                "over from the next shorter length, where no error is below 1/12."
            ),
            search(document),
        ]
    )


def beside_bai(results: dict[str, Any]) -> list[Row]:
    """Errors at the greatest length beside those of Bai 2018."""
    longest = max(results["nets"], key=int)
    found = results["nets"][longest]
    rows = []
    for cell, published in BAI.items():
        for name in filter(found.__contains__, OURS[cell]):
            errors = found[name]["test"][longest]
            rows.append(
                Row(
                    f"{name}, mean squared error at T = {longest}",
                    f"{spread(errors)}, {solved(errors)} solved",
                    f"{published} at T = 600 (Bai 2018)",
                )
            )
    return rows


def beside_the_public_run(results: dict[str, Any]) -> list[Row]:
    """Root mean squared errors of nets trained at one length, at three lengths."""
    found = results["nets"].get(PUBLIC_TRAINED, {})
    rows = []
    for cell, published in PUBLIC.items():
        for name in filter(found.__contains__, OURS[cell]):
            test = found[name]["test"]
            if set(PUBLIC_TESTED) <= set(test):
                ours = [spread(np.sqrt(test[n])) for n in PUBLIC_TESTED]
                rows.append(
                    Row(
                        f"{name}, trained at T = {PUBLIC_TRAINED}: root mean squared "
                        f"error at {', '.join(PUBLIC_TESTED)}",
                        "; ".join(ours),
                        "; ".join(map(str, published)) + " (a public run)",
                    )
                )
    return rows


def compare(document: dict[str, Any]) -> list[Row]:
    """Gated nets beside Bai 2018 and beside a public run."""
    results = document["results"]
    rows = beside_bai(results) + beside_the_public_run(results)
    return [row for row in rows if not row.what.startswith("RNN")]
