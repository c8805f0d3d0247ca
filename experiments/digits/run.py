# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trains recurrent networks to read handwritten digits in four ways."""

import itertools
import math
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.progress import Progress

from experiments import data
from experiments._registry import Row
from experiments._results import counted, spread, table
from experiments._run_cache import RunCache
from experiments.digits import figure, tasks
from experiments.digits.settings import NetName, Settings
from experiments.digits.training import Plan, choose, train

SMOKE = Settings(
    seeds=(0, 1),
    tasks=("rows", "rows-permuted"),
    nets=("RNN",),
    train=200,
    held_out=100,
    rows_units=16,
    rows_epochs=3,
    rates=(3e-2,),
)


def plan_of(settings: Settings, kind: str, net: NetName) -> Plan:
    """How a network learns to read rows, or pixels."""
    units, batch, epochs = (
        getattr(settings, f"{kind}_{what}") for what in ("units", "batch", "epochs")
    )
    return Plan(settings, net, *tasks.steps_and_inputs(kind), units, batch, epochs)


def read(settings: Settings, task: str, digits: data.Digits) -> data.Digits:
    """The digits as a task has them read, with mean 0 and deviation 1."""
    x, held_out = (
        tasks.sequences(task, a, settings.order_seed)
        for a in (digits.x, digits.held_out_x)
    )
    mean, deviation = x.mean(), x.std()
    return digits._replace(
        x=(x - mean) / deviation, held_out_x=(held_out - mean) / deviation
    )


def study(
    settings: Settings,
    kind: str,
    net: NetName,
    digits: data.Digits,
    progress: Progress,
    cache: RunCache,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Chooses a network's learning rate, and trains one a seed on every task.

    Args:
        settings: what is to be done.
        kind: rows or pixels.
        net: the network.
        digits: the images.
        progress: shows the epochs.
        cache: of the run.

    Returns:
        The rate with what chose it; learning curves by task.
    """
    bar = progress.add_task(f"{kind} {net}", total=None, note="compiling")

    def on_progress(losses: np.ndarray, accuracies: np.ndarray) -> None:
        note = f"loss {np.median(losses):.3f}, accuracy {np.median(accuracies):.3f}"
        progress.update(bar, advance=1, note=note)

    plan = plan_of(settings, kind, net)
    loop = partial(cache.loop, f"{kind} {net} rate")
    rate = choose(plan, read(settings, kind, digits), loop, on_progress)
    rates = [rate["rate"]] * len(settings.seeds)
    curves: dict[str, Any] = {}
    for task in settings.tasks:
        if tasks.kind_of(task) == kind:
            loop = partial(cache.loop, f"{task} {net}")
            own = read(settings, task, digits)
            found = train(plan, own, settings.seeds, rates, loop, on_progress)
            curves[task] = {name: values.tolist() for name, values in found.items()}
    return rate, curves


def run(settings: Settings, progress: Progress, cache: RunCache) -> dict[str, Any]:
    """Trains the networks and the baselines."""
    digits = data.digits(settings.train, settings.held_out, settings.split_seed)
    kinds = sorted({tasks.kind_of(task) for task in settings.tasks}, reverse=True)
    rates: dict[str, Any] = {kind: {} for kind in kinds}
    curves: dict[str, Any] = {task: {} for task in settings.tasks}
    for kind, net in itertools.product(kinds, settings.nets):
        with jax.enable_x64(False):
            rates[kind][net], found = study(
                settings, kind, net, digits, progress, cache
            )
        for task, one in found.items():
            curves[task][net] = one
    baselines = cache("baselines", lambda: tasks.baselines(digits))
    return {"baselines": baselines, "rates": rates, "tasks": curves}


def accuracy(found: dict[str, Any]) -> str:
    """Held-out accuracy after the last epoch: median and range over the seeds."""
    last = [curve[-1] for curve in found["held_out_accuracy"]]
    return spread(last)


def accuracy_table(document: dict[str, Any]) -> str:
    """A table of held-out accuracy."""
    settings, results = document["settings"], document["results"]
    names = settings["tasks"]
    rows = [
        [net, *(accuracy(results["tasks"][task][net]) for task in names)]
        for net in settings["nets"]
    ]
    for method in results["baselines"][tasks.ALL]:
        values = [results["baselines"][tasks.input_of(task)][method] for task in names]
        rows.append([f"{method}, all at once", *(f"{value:.3f}" for value in values)])
    return table(["held-out accuracy", *names], rows)


def rate_table(document: dict[str, Any]) -> str:
    """A table of the learning rates, and of the accuracies that chose them."""
    settings, results = document["settings"], document["results"]["rates"]
    kinds = sorted(results, reverse=True)
    rows = [
        [net, *(chosen(results[kind][net]) for kind in kinds)]
        for net in settings["nets"]
    ]
    listed = ", ".join(f"{rate:g}" for rate in settings["rates"])
    return table([f"learning rate (validation accuracy at {listed})", *kinds], rows)


def chosen(found: dict[str, Any]) -> str:
    """A learning rate, and the accuracy of each that was tried."""
    tried = ", ".join(f"{value:.3f}" for value in found["validation_accuracy"])
    return f"{found['rate']:g} ({tried})" if tried else f"{found['rate']:g}"


def standard_error(accuracy: float, digits: int) -> float:
    """Of an accuracy measured on so many digits."""
    return math.sqrt(accuracy * (1 - accuracy) / digits)


def tables(document: dict[str, Any]) -> str:
    """Renders accuracy after the last epoch, and the learning rates."""
    settings = document["settings"]
    task, digits = settings["tasks"][0], settings["held_out"]
    best = max(document["results"]["baselines"][tasks.input_of(task)].values())
    error = standard_error(best, digits)
    return (
        f"{accuracy_table(document)}\n"
        f"Median and range over {counted(len(settings['seeds']), 'seed')}, after the "
        f"last epoch.\nOn {digits:,} held-out digits an accuracy of {best:.3f} has a "
        f"standard error of {error:.3f}.\n\n{rate_table(document)}"
    )


PUBLISHED = {
    ("rows", "LSTM"): "",
    ("rows-permuted", "LSTM"): "",
    ("pixels", "LSTM"): "0.989, 60,000 digits of 784 pixels (Cooijmans 2016)",
    ("pixels-permuted", "LSTM"): "0.902, likewise",
    ("pixels-permuted", "LSTM-zoneout"): "0.959, likewise, but zoneout with recurrent "
    "batch normalization (Krueger 2016)",
}


def compare(document: dict[str, Any]) -> list[Row]:
    """The LSTM beside the logistic regression, and the published numbers."""
    results = document["results"]
    rows = []
    for (task, net), published in PUBLISHED.items():
        if net in results["tasks"].get(task, {}):
            base = results["baselines"][tasks.input_of(task)]["logistic regression"]
            ours = f"{accuracy(results['tasks'][task][net])}; logistic regression "
            rows.append(Row(f"{net}, {task}: accuracy", f"{ours}{base:.3f}", published))
    return rows


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws the learning curves."""
    figure.draw(document, folder / "learning_curve.png")
