# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the README says, held against results.json."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments._verify import Claim
from experiments.digits import tasks
from experiments.digits.run import standard_error
from experiments.digits.settings import Settings

GATED = "LSTM", "LSTM-zoneout", "LSTM-norm", "GRU"
MACHINE = "support vector machine"


def last(document: dict[str, Any], task: str, net: str) -> np.ndarray:
    """Held-out accuracy (5,) of a network after its last epoch."""
    found = document["results"]["tasks"][task][net]
    return np.asarray(found["held_out_accuracy"])[:, -1]


def claims(document: dict[str, Any]) -> Iterator[Claim]:
    """Which networks read what; who is level with whom; what order and noise do."""
    yield from of_all(document)
    yield from of_rows(document)
    yield from of_pixels(document)
    yield from of_order(document)
    for task in document["settings"]["tasks"]:
        plain, zoneout = (last(document, task, n) for n in ("LSTM", "LSTM-zoneout"))
        one, other = np.median(zoneout), plain.max()
        text = f"{task}: zoneout gains no more than a seed does"
        yield one <= other, f"{text}; {one}, {other}"


def of_all(document: dict[str, Any]) -> Iterator[Claim]:
    """Every network read every task, and the LSTM rows with an accuracy of 95%."""
    results, settings = document["results"]["tasks"], Settings()
    yield set(results) == set(settings.tasks), f"the tasks are {settings.tasks}"
    for task, found in results.items():
        yield set(found) == set(settings.nets), f"{task}: read by {settings.nets}"
        for net in found:
            shape = last(document, task, net).shape
            yield shape == (5,), f"{task}: {net} has five seeds; it has {shape}"
    lowest = last(document, "rows", "LSTM").min()
    text = "the LSTM reads rows with an accuracy of 0.95 with every seed"
    yield lowest >= 0.95, f"{text}; one has {lowest}"


def beliefs(document: dict[str, Any], kind: str) -> Any:
    """Medians in order and permuted, and each baseline with two standard errors."""
    settings, results = document["settings"], document["results"]
    usual, permuted = (
        {net: np.median(last(document, task, net)) for net in settings["nets"]}
        for task in (kind, f"{kind}-permuted")
    )
    bases = results["baselines"][tasks.input_of(kind)]
    digits = settings["held_out"]
    bands = {name: (a, 2 * standard_error(a, digits)) for name, a in bases.items()}
    return usual, permuted, bands["logistic regression"], bands[MACHINE]


def of_rows(document: dict[str, Any]) -> Iterator[Claim]:
    """Row by row, gated networks are level with the support vector machine."""
    usual, permuted, (logistic, around), (machine, near) = beliefs(document, "rows")
    bases = f"machine {machine} ± {near}, regression {logistic} ± {around}"
    for net in GATED:
        found, mixed = usual[net], permuted[net]
        text = f"rows: {net}, {found}, is level with the machine; {bases}"
        yield abs(found - machine) <= near, text
        text = f"rows: {net}, {found}, is above the regression; {bases}"
        yield found - logistic > around, text
        text = f"permuted rows: {net}, {mixed}, is below the machine; {bases}"
        yield machine - mixed > near, text
        lowest = last(document, "rows-permuted", net).min()
        text = f"permuted rows: {net}, {lowest} at least, is above the regression"
        yield lowest > logistic, f"{text}; {bases}"


def of_pixels(document: dict[str, Any]) -> Iterator[Claim]:
    """Pixel by pixel, three networks are level with the logistic regression."""
    usual, permuted, (logistic, around), (machine, near) = beliefs(document, "pixels")
    bases = f"machine {machine} ± {near}, regression {logistic} ± {around}"
    for net in ("LSTM", "LSTM-zoneout", "GRU"):
        text = f"pixels: {net}, {usual[net]}, is level with the regression; {bases}"
        yield abs(usual[net] - logistic) <= around, text
    for net in ("LSTM-norm", "RNN"):
        text = f"pixels: {net}, {usual[net]}, is below the regression; {bases}"
        yield logistic - usual[net] > around, text
    for net, found in usual.items():
        text = f"pixels: {net}, {found}, is below the machine; {bases}"
        yield machine - found > near, text
    for net, found in permuted.items():
        text = f"permuted pixels: {net}, {found}, is below the regression; {bases}"
        yield logistic - found > around, text
    rates, tried = document["results"]["rates"]["pixels"], document["settings"]["rates"]
    for net in GATED:
        rate = rates[net]["rate"]
        text = f"pixels: the rate of {net}, {rate}, is inside of those tried"
        yield min(tried) < rate < max(tried), text


def of_order(document: dict[str, Any]) -> Iterator[Claim]:
    """A random order costs gated networks most pixel by pixel, and the RNN nothing."""
    (rows, mixed_rows, *_), (pixels, mixed_pixels, *_) = (
        beliefs(document, kind) for kind in ("rows", "pixels")
    )
    for net in GATED:
        more, less = pixels[net] - mixed_pixels[net], rows[net] - mixed_rows[net]
        text = f"{net}: a random order of pixels costs more than one of rows, and that"
        yield more > less > 0, f"{text} more than 0; {more}, {less}"
    for kind in ("rows", "pixels"):
        usual, permuted = (
            last(document, task, "RNN") for task in (kind, f"{kind}-permuted")
        )
        text = f"{kind}: every seed of the RNN is better in a random order"
        found = f"{permuted.min()} at least, {usual.max()} at most"
        yield usual.max() < permuted.min(), f"{text}; {found}"
