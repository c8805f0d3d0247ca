# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Predicts the next frame of Bach's chorales with LSTMs that lack a part."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.progress import Progress

from experiments._run_cache import RunCache
from experiments.odyssey import baselines, fitting
from experiments.odyssey.chorales import chorales
from experiments.odyssey.drawing import draw
from experiments.odyssey.recipe import Recipe
from experiments.odyssey.showing import compare, tables

__all__ = ["SMOKE", "Settings", "compare", "draw", "run", "tables"]

TUNING = Path(__file__).with_name("tuning.json")

# The best of tuning.json, by validation.
STACK = Recipe(
    epochs=24,
    rows=6,
    learning_rates=(1e-2,),
    between_dropout=0.4,
    output_dropout=0.4,
    fresh_starts=0.12,
    weight_decay=1e-4,
    averaging=0.98,
)
# Vanilla's best of tuning.json, but for epochs and learning rates. Those were set by
# hand: few epochs, so that the whole run takes less than forty minutes, and three
# rates, of which validation picks one for each variant.
VARIANT = Recipe(
    epochs=16,
    rows=6,
    learning_rates=(1.5e-2, 4e-2, 1e-1),
    input_dropout=0.1,
    output_dropout=0.2,
    weight_decay=1e-4,
    averaging=0.98,
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of start, order and dropout."""
    stack_layers: int = 2
    """Layers of the network beside the published one."""
    stack_units: int = 200
    """Units of each of its layers."""
    stack: Recipe = STACK
    """How it is trained."""
    variants: tuple[str, ...] = (
        *("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR"),
        *("GRU", "RNN"),
    )
    """Names of the cells that are compared, each by itself in one layer."""
    variant_units: int = 64
    """Units of each of them."""
    variant: Recipe = VARIANT
    """How each of them is trained; validation picks the learning rate."""
    frames: tuple[int, ...] = (1, 4)
    """Last frames that logistic regressions see."""
    penalties: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    """Penalties of their weights; the best one by validation is taken."""
    pieces: int = 0
    """Of each split, from its start; 0 for all."""


SMOKE = Settings(
    seeds=(0, 1, 2),
    stack_layers=1,
    stack_units=8,
    stack=dataclasses.replace(STACK, epochs=2, rows=2, learning_rates=(3e-3, 1e-2)),
    variants=("V",),
    variant_units=8,
    variant=dataclasses.replace(VARIANT, epochs=2, rows=2, learning_rates=(3e-3, 1e-2)),
    frames=(1,),
    penalties=(4.0,),
    pieces=12,
)


def trained(
    trainer: fitting.Trainer,
    seeds: Sequence[int],
    cache: RunCache,
    chunk: int,
    on_progress: Callable[[int], None],
) -> dict[str, Any]:
    """Networks of all seeds at the learning rate with the lowest validation loss.

    It is the median over the seeds, of each the loss of the best epoch.
    """
    rates, count = trainer.recipe.learning_rates, len(seeds)
    tried = fitting.fit(
        trainer,
        [*seeds] * len(rates),
        np.repeat(rates, count).tolist(),
        cache,
        str(trainer.name),
        chunk=chunk,
        on_progress=on_progress,
    )
    losses = np.median(tried.valid.min(1).reshape(-1, count), 1)
    best = int(losses.argmin())
    valid, chosen = jax.tree.map(
        lambda a: a[best * count :][:count], (tried.valid, tried.chosen)
    )
    return {
        "curve": valid.tolist(),
        "epoch": (1 + valid.argmin(1)).tolist(),
        "learning_rate": rates[best],
        "parameters": trainer.parameters,
        "rates_valid": losses.tolist(),
        "test": np.asarray(trainer.test(chosen)).tolist(),
        "valid": valid.min(1).tolist(),
    }


def epochs(recipe: Recipe, seeds: int) -> int:
    """Of all networks of one kind."""
    return len(recipe.learning_rates) * seeds * recipe.epochs


def run(settings: Settings, progress: Progress, cache: RunCache) -> dict[str, Any]:
    """Trains all networks, and fits what they are compared with."""
    pieces = chorales(settings.pieces or None)
    seeds, stack, variant = settings.seeds, settings.stack, settings.variant
    total = epochs(stack, len(seeds))
    total += epochs(variant, len(seeds)) * len(settings.variants)
    task = progress.add_task("odyssey", total=total, note="")

    def train(
        name: str | int, units: int, recipe: Recipe, data: fitting.Splits, chunk: int
    ) -> dict[str, Any]:
        note = f"{name}, {units} units"
        progress.update(task, note=note)
        return trained(
            fitting.Trainer(name, units, recipe, data),
            seeds,
            cache,
            chunk,
            lambda epochs: progress.update(task, advance=epochs),
        )

    with jax.enable_x64(False):
        data = fitting.splits(pieces, stack.rows)
        layers = settings.stack_layers
        results = {"stack": train(layers, settings.stack_units, stack, data, 8)}
        data = fitting.splits(pieces, variant.rows)
        results["variants"] = {
            name: train(name, settings.variant_units, variant, data, 16)
            for name in settings.variants
        }
        regressions = cache(
            "regressions",
            lambda: baselines.regressions(pieces, settings.frames, settings.penalties),
        )
    split = dict(zip(("valid", "test"), pieces[1:], strict=True))
    return results | {
        "frames": {k: sum(len(p) - 1 for p in v) for k, v in pieces._asdict().items()},
        "frequency": {
            k: baselines.frequency(pieces.train, p) for k, p in split.items()
        },
        "repetition": {
            k: baselines.repetition(pieces.train, p) for k, p in split.items()
        },
        "regressions": regressions,
        "tuning": json.loads(TUNING.read_text()),
    }
