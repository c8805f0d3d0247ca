# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tables, from what results.json holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments._registry import Row
from experiments._results import counted, spread, table, wrapped

PUBLISHED = {"LSTM": 8.45, "GRU": 8.43, "RNN": 8.91, "TCN": 8.10}  # Bai et al. 2018
WHAT = {
    "V": "forget gate and peepholes",
    "NIG": "no input gate",
    "NFG": "no forget gate",
    "NOG": "no output gate",
    "NIAF": "candidate not squashed",
    "NOAF": "output not squashed",
    "NP": "no peepholes",
    "CIFG": "coupled gates, f = 1 - i",
    "FGR": "gates see the last gates",
    "GRU": "gated recurrent unit",
    "RNN": "tanh network",
}
BASELINES = {"GRU", "RNN"}


def middle(values: Sequence[float] | np.ndarray, form: str = ".2f") -> str:
    """The median."""
    return f"{np.median(values):{form}}"


def ends(values: Sequence[float] | np.ndarray, form: str = ".2f") -> str:
    """The range."""
    return f"{min(values):{form}} to {max(values):{form}}"


def stack_name(document: dict[str, Any]) -> str:
    """The published network, in words."""
    settings = document["settings"]
    return f"LSTM, {settings['stack_layers']} layers of {settings['stack_units']}"


def differences(document: dict[str, Any]) -> dict[str, np.ndarray]:
    """Of each cell, its test loss minus vanilla's of the same seed."""
    found = document["results"]["variants"]
    vanilla = np.asarray(found["V"]["test"])
    return {name: np.asarray(found[name]["test"]) - vanilla for name in ordered(found)}


def ordered(found: dict[str, Any]) -> list[str]:
    """Names of the cells in the order of WHAT."""
    return [name for name in WHAT if name in found]


def _frames(count: int) -> str:
    return "the last frame" if count == 1 else f"the last {count} frames"


def against_published(document: dict[str, Any]) -> str:
    """The network beside the published one, and what needs no recurrence."""
    results = document["results"]
    stack = results["stack"]
    rows = [
        (
            stack_name(document),
            f"{stack['parameters']:,}",
            middle(stack["test"]),
            ends(stack["test"]),
            middle(stack["valid"]),
            f"{PUBLISHED['LSTM']:.2f}",
        )
    ]
    for one in sorted(results["regressions"], key=lambda one: -one["frames"]):
        seen = one["frames"] * 88
        rows.append(
            (
                f"logistic regression on {_frames(one['frames'])}",
                f"{(seen + 1) * 88:,}",
                f"{one['test']:.2f}",
                "",
                f"{one['valid']:.2f}",
                "",
            )
        )
    for name, count in (("repetition", 2 * 88), ("frequency", 88)):
        test, valid = (f"{results[name][split]:.2f}" for split in ("test", "valid"))
        rows.append((f"{name} of each key", f"{count}", test, "", valid, ""))
    header = (
        "nats a frame",
        "parameters",
        "test",
        f"range over {counted(len(stack['test']), 'seed')}",
        "validation",
        "published test",
    )
    return table(header, rows)


def against_vanilla(document: dict[str, Any]) -> str:
    """The variants beside vanilla."""
    results, settings = document["results"], document["settings"]
    found, apart = results["variants"], differences(document)
    rows = []
    for name in sorted(apart, key=lambda name: np.median(found[name]["test"])):
        one, less = found[name], apart[name]
        vanilla = name == "V"
        rows.append(
            (
                f"{name}: {WHAT[name]}",
                f"{one['parameters']:,}",
                f"{one['learning_rate']:g}",
                f"{np.median(one['epoch']):.0f}",
                middle(one["valid"], ".3f"),
                middle(one["test"], ".3f"),
                ends(one["test"], ".3f"),
                "" if vanilla else middle(less, "+.3f"),
                "" if vanilla else ends(less, "+.3f"),
                "" if vanilla else f"{(less < 0).sum()} of {len(less)}",
            )
        )
    header = (
        f"one layer of {settings['variant_units']}",
        "parameters",
        "rate",
        "best epoch",
        "validation",
        "test",
        "range",
        "minus vanilla",
        "range",
        "seeds that beat vanilla",
    )
    return table(header, rows) + "\n" + verdict(document)


def verdict(document: dict[str, Any]) -> str:
    """Which variants lie on one side of vanilla with every seed."""
    apart = differences(document)
    apart = {k: v for k, v in apart.items() if k != "V" and k not in BASELINES}
    sides = {
        "better than vanilla with every seed": [
            k for k, v in apart.items() if max(v) < 0
        ],
        "worse with every seed": [k for k, v in apart.items() if min(v) > 0],
        "better with some, worse with others": [
            k for k, v in apart.items() if min(v) <= 0 <= max(v)
        ],
    }
    lines = [f"{side}: {', '.join(names) or 'none'}" for side, names in sides.items()]
    rates = document["settings"]["variant"]["learning_rates"]
    highest = [
        name
        for name, one in document["results"]["variants"].items()
        if one["learning_rate"] == max(rates)
    ]
    return wrapped(
        f"Of the variants, {'; '.join(lines)}. The highest of the {len(rates)} "
        f"learning rates was picked for: {', '.join(highest) or 'none'}. Each cell is "
        f"trained for {document['settings']['variant']['epochs']} epochs."
    )


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in after.items() if value != before[name]}


def _said(recipe: dict[str, Any]) -> str:
    """Settings of a recipe, in words."""
    return ", ".join(
        f"{name.replace('_', ' ')} {value[0] if isinstance(value, list) else value}"
        for name, value in recipe.items()
        if name != "epochs"
    )


def tuning(document: dict[str, Any]) -> str:
    """What was tried before, on validation alone."""
    tried = document["results"]["tuning"]
    rows = []
    for one in tried:
        first = next(other for other in tried if other["net"] == one["net"])
        recipe = one["recipe"]
        said = recipe if one is first else _changed(first["recipe"], recipe)
        rows.append(
            (
                f"{one['net']}: {_said(said) or 'the same'}",
                f"{one['valid']:.3f}",
                f"{one['epoch']} of {recipe['epochs']}",
            )
        )
    minutes = sum(one["seconds"] for one in tried) / 60
    said = wrapped(
        "The first row of a network has all of its settings, the others what differs "
        f"from it. The {len(tried)} networks took {minutes:.0f} minutes of one core; "
        "all have one seed, which the run does not use."
    )
    header = "tried", "validation, nats a frame", "best epoch"
    return f"{table(header, rows)}\n{said}"


def tables(document: dict[str, Any]) -> str:
    """Renders all of the README's tables."""
    minutes = document["wall_seconds"] / 60
    return "\n".join(
        (
            against_published(document),
            against_vanilla(document),
            tuning(document),
            f"The run took {minutes:.0f} minutes.\n",
        )
    )


CLAIMS = {  # Greff et al. 2017
    "NFG": "matters most",
    "NOAF": "matters most",
    "CIFG": "costs nothing",
    "NP": "costs nothing",
}


def compare(document: dict[str, Any]) -> list[Row]:
    """The numbers that answer the question."""
    settings, test = document["settings"], document["results"]["stack"]["test"]
    less = differences(document)
    cells = [name for name in less if name != "V" and name not in BASELINES]
    better = [name for name in cells if max(less[name]) < 0]
    rows = [
        Row(
            f"{stack_name(document)}, nats a frame",
            spread(test, ".2f"),
            f"{PUBLISHED['LSTM']} (Bai et al. 2018)",
        ),
        Row(
            f"variants of {settings['variant_units']} units that beat vanilla "
            "with every seed",
            f"{', '.join(better) or 'none'} of {len(cells)}",
            "none (Greff et al. 2017)",
        ),
    ]
    rows += [
        Row(
            f"{WHAT[name]}, minus vanilla",
            spread(less[name], "+.3f"),
            f"{claim} (Greff et al. 2017)",
        )
        for name, claim in CLAIMS.items()
        if name in less
    ]
    return rows
