# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A large LSTM, small ones at several windows, n-grams and a compressor."""

import dataclasses
from typing import Any

import jax
from rich.progress import Progress

from experiments import data
from experiments._run_cache import RunCache
from experiments.characters import compression, model, ngrams, sweep
from experiments.characters.figures import draw
from experiments.characters.report import compare, tables

__all__ = ["SMOKE", "Settings", "compare", "draw", "run", "tables"]


@dataclasses.dataclass(frozen=True)
class Settings(sweep.Settings):
    """What can be changed from the command line."""

    orders: int = 8
    """Highest order of the n-grams, which predict from one character fewer."""
    first_discounts: tuple[float, ...] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    """Tried for each order: what is taken off a count of 1."""
    discount_steps: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6)
    """Tried with each of them: what is taken off besides for 2, and again for more."""


SMOKE = Settings(
    hidden_size=32,
    num_layers=1,
    steps=30,
    lanes=4,
    window=20,
    every=10,
    characters=20_000,
    sample=80,
    seeds=(0, 1),
    windows=(10,),
    small_size=32,
    small_embedding=64,
    small_lanes=4,
    batch=40,
    seen=2000,
    rates=(4e-3, 16e-3),
    validation=500,
    orders=3,
    first_discounts=(0.5, 0.9),
    discount_steps=(0.2,),
)


def run(settings: Settings, progress: Progress, cache: RunCache) -> dict[str, Any]:
    """Trains the large model, then the small ones; counts; compresses."""
    whole = data.shakespeare()
    whole = whole[: settings.characters or len(whole)]
    text = model.split(whole)
    cut = len(text.train)
    total = 2 + len(sweep.arrangements(settings))
    with jax.enable_x64(False):
        results = cache(
            "main", lambda: model.train(settings, text, cache.own, progress)
        )
        task = progress.add_task("baselines", total=total, note="")

        def on_progress(note: str) -> None:
            progress.update(task, advance=1, note=note)

        on_progress("xz")
        results["xz"] = cache("xz", lambda: compression.xz(whole[:cut], whole[cut:]))
        on_progress("n-grams")
        results["ngrams"] = cache(
            "ngrams",
            lambda: ngrams.study(
                text.train,
                text.held_out,
                len(text.alphabet),
                settings.orders,
                ngrams.grid(settings.first_discounts, settings.discount_steps),
            ),
        )
        results["sweep"] = sweep.run(settings, text, on_progress, cache)
    return results
