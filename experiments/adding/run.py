# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trains seven nets to add, at four lengths, and tests them at longer ones."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from rich.progress import Progress

from experiments._run_cache import RunCache
from experiments._training import seed_keys
from experiments.adding import learning, nets
from experiments.adding.figures import draw
from experiments.adding.report import compare, tables
from experiments.adding.task import SECOND_ONLY

__all__ = ["SMOKE", "Settings", "compare", "draw", "run", "tables"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network each, side by side; of its start and its sequences."""
    lengths: tuple[int, ...] = (50, 100, 200, 400)
    """Steps of the training sequences; each net is trained at each."""
    cells: tuple[str, ...] = tuple(nets.CELLS)
    """Which cells; the LSTM has four starts, the others have one."""
    longer: tuple[int, ...] = (1, 2, 4)
    """Tested at so many times the length of training."""
    units: int = 32
    """Units of every net."""
    batch_size: int = 16
    """Sequences in an update."""
    updates: int = 1000
    """Updates by Adam; the rate falls as a cosine."""
    every: int = 50
    """Updates in one point of a learning curve."""
    rates: tuple[float, ...] = (3e-3, 1e-2, 3e-2, 1e-1)
    """Learning rates to choose from, for each net at each length."""
    search_up_to: int = 200
    """Lengths above this take the rates of the longest one up to it."""
    search_seed: int = 100
    """Of the nets that choose the rate, and of the validation and test sequences."""
    validation: int = 512
    """Sequences that choose the rate."""
    test: int = 512
    """Sequences that are tested on, at each length the same for all nets."""
    clip: float = 1.0
    """Highest norm of a gradient."""


SMOKE = Settings(
    seeds=(0, 1),
    lengths=(6,),
    longer=(1,),
    cells=("IRNN",),
    units=4,
    batch_size=8,
    updates=20,
    every=5,
    rates=(1e-3, 1e-2),
    validation=32,
    test=32,
)


def budget(settings: Settings) -> learning.Budget:
    """What every net is given."""
    return learning.Budget(
        settings.units,
        settings.batch_size,
        settings.updates,
        settings.every,
        settings.clip,
    )


def key(settings: Settings, stream: int, length: int) -> jax.Array:
    """Of held-out sequences."""
    return jax.random.fold_in(seed_keys([settings.search_seed], stream)[0], length)


def search(
    settings: Settings, cell: str, length: int, cache: RunCache, on_progress: Any
) -> dict[str, np.ndarray]:
    """Trains one net of each start with each rate.

    Returns:
        By name of the net: validation errors (rates,).
    """
    rates = settings.rates
    trained = learning.train(
        budget(settings),
        length,
        cell,
        [settings.search_seed] * len(rates),
        [rates] * len(nets.CELLS[cell]),
        partial(cache.loop, f"search {cell} {length}"),
        on_progress,
    )
    held_out = key(settings, learning.VALIDATE, length)
    errors, _ = learning.held_out(
        trained.learner.params, held_out, length, settings.validation
    )
    return dict(zip(nets.CELLS[cell], np.asarray(errors), strict=True))


def choose(
    rates: Sequence[float], errors: Sequence[float], shorter: float | None
) -> float:
    """Chooses a net's rate at one length.

    Args:
        rates: to choose from.
        errors: validation errors (rates,).
        shorter: the rate at the next shorter length, None at the shortest.

    Returns:
        The rate with the lowest error; `shorter` where no net has learned more than one
        number, since such errors differ by little but noise.
    """
    if shorter is not None and min(errors) >= SECOND_ONLY:
        return shorter
    return rates[int(np.argmin(errors))]


def study(
    settings: Settings,
    cell: str,
    length: int,
    rates: dict[str, float],
    cache: RunCache,
    on_progress: Any,
) -> dict[str, Any]:
    """Trains with all seeds at one length, and tests.

    Returns:
        `nets`: by name, learning curves (seeds, points) and test errors (seeds,) by
        length; and `constant`: by length, the error of the constant 1.
    """
    trained = learning.train(
        budget(settings),
        length,
        cell,
        settings.seeds,
        [[rates[name]] * len(settings.seeds) for name in nets.CELLS[cell]],
        partial(cache.loop, f"train {cell} {length}"),
        on_progress,
    )
    tests = {}
    for steps in (length * times for times in settings.longer):
        sequences = key(settings, learning.TEST, steps), steps, settings.test
        tests[str(steps)] = learning.held_out(trained.learner.params, *sequences)
    curves = learning.capped(trained.curve)
    found = {
        name: {
            "curve": curves[n],
            "test": {steps: errors[n] for steps, (errors, _) in tests.items()},
        }
        for n, name in enumerate(nets.CELLS[cell])
    }
    constant = {steps: error for steps, (_, error) in tests.items()}
    return {"nets": found, "constant": constant}


def parameters(settings: Settings) -> dict[str, int]:
    """How many numbers each net learns."""
    counts = {}
    for cell in settings.cells:
        for name, start in nets.CELLS[cell].items():
            draw = partial(nets.init, start, settings.units, settings.lengths[0])
            shapes = jax.eval_shape(draw, jax.random.key(0))
            counts[name] = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    return counts


def run(settings: Settings, progress: Progress, cache: RunCache) -> dict[str, Any]:
    """Goes through all cells and lengths."""
    lengths = sorted(settings.lengths)
    searched = [n for n in lengths if n <= settings.search_up_to] or lengths[:1]
    chunks = (len(lengths) + len(searched)) * budget(settings).points
    total = len(settings.cells) * chunks
    task_id = progress.add_task("adding", total=total, note="compiling")

    def on_progress(what: str, error: float) -> None:
        progress.update(task_id, advance=1, note=f"{what}: error {error:.2g}")

    found: dict[str, Any] = {str(n): {} for n in lengths}
    choice: dict[str, Any] = {str(n): {} for n in searched}
    constant: dict[str, float] = {}
    with jax.enable_x64(False):
        for cell in settings.cells:
            rates: dict[str, float] = {}
            for length in lengths:
                what = f"{cell}, T = {length}"
                if length in searched:
                    report = partial(on_progress, f"{what}, search")
                    make = partial(search, settings, cell, length, cache, report)
                    errors = cache(f"{what}, search", make)
                    rates = {
                        name: choose(settings.rates, own, rates.get(name))
                        for name, own in errors.items()
                    }
                    choice[str(length)] |= {
                        name: {"errors": own, "rate": rates[name]}
                        for name, own in errors.items()
                    }
                report = partial(on_progress, what)
                make = partial(study, settings, cell, length, rates, cache, report)
                part = cache(what, make)
                found[str(length)] |= part["nets"]
                constant |= part["constant"]
        return {
            "constant": constant,
            "nets": found,
            "parameters": parameters(settings),
            "search": choice,
        }
