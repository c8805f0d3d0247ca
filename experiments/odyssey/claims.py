# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the README says, held against results.json."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments._verify import Claim
from experiments.odyssey import showing
from lstm_jax import variants

NINE = {"V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR"}
FRAMES = {"train": 13578, "valid": 4526, "test": 4648}


def claims(document: dict[str, Any]) -> Iterator[Claim]:
    """The bars of the stack, how cells were compared, and what came of it."""
    yield from of_the_stack(document)
    yield from of_the_comparison(document)
    yield from of_the_cells(document)


def of_the_stack(document: dict[str, Any]) -> Iterator[Claim]:
    """Every seed is below the published loss: chosen on validation, judged on test."""
    results, settings = document["results"], document["settings"]
    size = settings["stack_layers"], settings["stack_units"]
    yield size == (2, 200), f"the stack has 2 layers of 200 units; it has {size}"
    frames = results["frames"]
    yield frames == FRAMES, f"the frames are {FRAMES}; they are {frames}"
    stack = results["stack"]
    count, worst = len(stack["test"]), max(stack["test"])
    yield count >= 5, f"five seeds of the stack or more; there are {count}"
    bar = showing.PUBLISHED["LSTM"]
    yield worst < bar, f"every seed is below the published {bar}; one has {worst}"
    for curve, epoch, valid in zip(
        stack["curve"], stack["epoch"], stack["valid"], strict=True
    ):
        text = f"validation loss {valid} of epoch {epoch} is the lowest of its curve"
        yield valid == min(curve) == curve[epoch - 1], text
    middle = np.median(stack["test"])
    best = min(one["test"] for one in results["regressions"])
    text = "the stack's median is below all regressions"
    yield middle < best, f"{text}; it is {middle}, the best of them {best}"


def of_the_comparison(document: dict[str, Any]) -> Iterator[Claim]:
    """Nine variants, all seeds, at the rate that validation picked, none at an end."""
    results, settings = document["results"], document["settings"]
    found, recipe = results["variants"], settings["variant"]
    names = set(found)
    yield names >= NINE, f"all nine variants are there; missing: {NINE - names}"
    known = set(variants.names())
    yield names <= known, f"all cells are the library's; not so: {names - known}"
    units, seeds = settings["variant_units"], len(settings["seeds"])
    yield units == 64, f"variants have 64 units; they have {units}"
    highest = max(recipe["learning_rates"])
    for name, one in found.items():
        count = len(one["test"])
        yield count == seeds, f"{name} has all {seeds} seeds; it has {count}"
        rates = dict(zip(recipe["learning_rates"], one["rates_valid"], strict=True))
        rate, middle = one["learning_rate"], np.median(one["valid"])
        text = f"{name} has the rate of the lowest median validation loss, {middle}"
        yield rates[rate] == min(rates.values()) == middle, f"{text}; it is {rate}"
        yield rate < highest, f"{name} did not pick the highest rate"
    penalties = settings["penalties"]
    for one in results["regressions"]:
        inside = min(penalties) < one["penalty"] < max(penalties)
        yield inside, f"the penalty {one['penalty']} is inside of those tried"
    for name in ("NFG", "NOAF", "NOG", "FGR"):
        epoch = np.median(found[name]["epoch"])
        last = recipe["epochs"]
        yield epoch == last, f"{name} is best in the last epoch, {last}; in {epoch}"
    epoch = np.median(found["V"]["epoch"])
    yield epoch < recipe["epochs"], f"V is best before the last epoch; in {epoch}"


def of_the_cells(document: dict[str, Any]) -> Iterator[Claim]:
    """Differences from vanilla, seed by seed; above 0 is worse."""
    found, less = document["results"]["variants"], showing.differences(document)
    yield not less["V"].any(), "vanilla differs from itself by 0"
    second = found["NFG"]["test"][1] - found["V"]["test"][1]
    yield less["NFG"][1] == second, "differences are taken within a seed"
    others = {k: v for k, v in less.items() if k not in showing.BASELINES | {"V"}}
    for name, values in others.items():
        text = f"{name} does not beat vanilla with every seed; {max(values)} at most"
        yield max(values) >= 0, text
    lowest = min(less["NP"])
    yield lowest <= 0, f"to have no peepholes costs nothing; {lowest} at least"
    bar = max(0, *less["CIFG"])
    for name in ("NFG", "NOAF", "NOG"):
        lowest = min(less[name])
        text = f"{name} is worse than vanilla and CIFG with every seed"
        yield lowest > bar, f"{text}; {lowest} at least, CIFG {bar} at most"
    middle = {name: np.median(values) for name, values in less.items()}
    for name in ("NFG", "NOAF"):
        text = f"NOG costs less than {name}: {middle['NOG']}, {middle[name]}"
        yield middle["NOG"] < middle[name], text
    worst = max(others, key=lambda name: middle[name])
    yield worst == "FGR", f"FGR is the worst; it is {worst}"
