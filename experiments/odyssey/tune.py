# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tries recipes on one seed, by validation alone: python -m experiments.odyssey.tune.

What tuning.json has already is not tried again.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import jax

from experiments._run_cache import RunCache
from experiments._training import TuningLog
from experiments.odyssey import fitting
from experiments.odyssey.chorales import chorales
from experiments.odyssey.recipe import Recipe

FILE = Path(__file__).with_name("tuning.json")
SEED = 100  # none of the seeds of the experiment

FIRST = Recipe(
    epochs=40,
    rows=6,
    learning_rates=(3e-3,),
    input_dropout=0.2,
    between_dropout=0.4,
    output_dropout=0.4,
    weight_decay=1e-4,
    averaging=0.98,
)
SHORT = dataclasses.replace(FIRST, epochs=24, learning_rates=(1e-2,))
VANILLA = dataclasses.replace(
    SHORT, input_dropout=0.1, between_dropout=0.0, output_dropout=0.2
)
# In the order in which they were tried.
STACKS: tuple[tuple[Recipe, dict[str, Any]], ...] = (
    (FIRST, {}),
    (FIRST, {"input_dropout": 0.1, "between_dropout": 0.5, "output_dropout": 0.6}),
    (FIRST, {"input_dropout": 0.4}),
    (FIRST, {"input_dropout": 0.3, "weight_drop": 0.5}),
    (FIRST, {"input_dropout": 0.3, "recurrent_dropout": 0.4}),
    (FIRST, {"input_dropout": 0.3, "weight_decay": 0.3}),
    (FIRST, {"input_dropout": 0.3, "rows": 3, "learning_rates": (2e-3,)}),
    (
        SHORT,
        {
            "rows": 2,
            "learning_rates": (1e-3,),
            "input_dropout": 0.1,
            "between_dropout": 0.3,
            "output_dropout": 0.3,
        },
    ),
    (
        SHORT,
        {"input_dropout": 0.1, "fresh_starts": 0.06, "learning_rates": (3e-3,)},
    ),
    (SHORT, {}),
    (SHORT, {"input_dropout": 0.1, "fresh_starts": 0.06}),
    (SHORT, {"learning_rates": (2e-2,)}),
    (SHORT, {"input_dropout": 0.1}),
    (SHORT, {"input_dropout": 0.0, "fresh_starts": 0.12}),
    (
        SHORT,
        {
            "input_dropout": 0.0,
            "fresh_starts": 0.12,
            "between_dropout": 0.5,
            "output_dropout": 0.5,
        },
    ),
)
VANILLAS: tuple[tuple[Recipe, dict[str, Any]], ...] = (
    (VANILLA, {}),
    (VANILLA, {"learning_rates": (2e-2,)}),
    (VANILLA, {"rows": 3}),
    (
        VANILLA,
        {"input_dropout": 0.0, "output_dropout": 0.3, "learning_rates": (2e-2,)},
    ),
)


def attempt(name: str | int, units: int, recipe: Recipe) -> dict[str, Any]:
    """Trains one network, and tells the best of its epochs by validation."""
    data = fitting.splits(chorales(), recipe.rows)
    trainer = fitting.Trainer(name, units, recipe, data)
    start = time.perf_counter()
    with jax.enable_x64(False), RunCache.temporary("odyssey", recipe) as cache:
        rate = recipe.learning_rates[0]
        found = fitting.fit(trainer, [SEED], [rate], cache, "try", chunk=recipe.epochs)
    valid = found.valid[0]
    return {
        "epoch": int(1 + valid.argmin()),
        "seconds": time.perf_counter() - start,
        "train": float(found.train[0, -1]),
        "valid": float(valid.min()),
    }


def main() -> None:
    """Tries what has not been tried."""
    log = TuningLog(FILE)
    for name, units, recipes in ((2, 200, STACKS), ("V", 64, VANILLAS)):
        for base, changes in recipes:
            recipe = dataclasses.replace(base, **changes)
            net = f"{name} layers of {units}" if name == 2 else f"{name} of {units}"
            key = {"net": net, "recipe": dataclasses.asdict(recipe)}
            key = json.loads(json.dumps(key))
            if key not in log:
                log.add(key | attempt(name, units, recipe))
                print(net, changes, log.rows[-1]["valid"])


if __name__ == "__main__":
    main()
