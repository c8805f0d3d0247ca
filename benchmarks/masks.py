# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""`masks`: what dropout, zoneout and DropConnect cost, in time and in memory."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import Progress

import lstm_jax
from benchmarks import cases
from benchmarks.worker import seconds_a_call
from lstm_jax import Regularizer

NONE = "none"
KINDS = {
    NONE: None,
    "input_dropout, each step": Regularizer(input_dropout=0.2, locked=False),
    "recurrent_dropout, locked": Regularizer(recurrent_dropout=0.2),
    "recurrent_dropout, each step": Regularizer(recurrent_dropout=0.2, locked=False),
    "zoneout_h": Regularizer(zoneout_h=0.1),
    "zoneout_h and zoneout_c": Regularizer(zoneout_h=0.1, zoneout_c=0.1),
    "weight_drop": Regularizer(weight_drop=0.3),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    rows: tuple[str, ...] = ("small", "mid")
    """Shapes, by name."""
    rounds: int = 7
    """Times that each is asked, in turn."""
    seconds: float = 0.3
    """How long each is measured a time; one call at least."""


SMOKE = Settings(rows=("smoke",), rounds=1, seconds=0.0)


def programs(row: cases.Row) -> dict[tuple[str, str], Any]:
    """The compiled programs of a row by kind and by what they compute."""
    params = lstm_jax.init(jax.random.key(0), row.inputs, row.hidden)
    x = jnp.asarray(cases.problem(row).x)
    key = jax.random.key(1)
    found = {}
    for name, regularizer in KINDS.items():

        def run(params: Any, x: Any, key: Any, own: Any = regularizer) -> jax.Array:
            more = {} if own is None else {"regularizer": own, "key": key}
            return lstm_jax.apply(params, x, time_major=True, **more)[0]

        def loss(*args: Any, run: Any = run) -> jax.Array:
            return jnp.mean(jnp.square(run(*args)))

        for what, function in (("forward", run), ("train", jax.grad(loss))):
            compiled = jax.jit(function).lower(params, x, key).compile()
            call = lambda of=compiled: jax.block_until_ready(of(params, x, key))  # noqa: E731
            call()
            memory: Any = compiled.memory_analysis()
            found[name, what] = call, memory.temp_size_in_bytes
    return found


def run(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Compiles and times every kind; times are seconds a call, one a round."""
    jax.config.update("jax_platforms", "cpu")
    task = progress.add_task("masks", total=len(settings.rows))
    entries = []
    for name in settings.rows:
        made = programs({**cases.ROWS, **cases.SMOKE}[name])
        times: dict[Any, list[float]] = {which: [] for which in made}
        for _ in range(settings.rounds):
            for which, (call, _) in made.items():
                times[which].append(seconds_a_call(call, settings.seconds))
        entries += [
            {
                "row": name,
                "name": kind,
                "what": what,
                "bytes": made[kind, what][1],
                "seconds": times[kind, what],
            }
            for kind, what in made
        ]
        progress.advance(task)
    return {"kinds": entries}


def over_none(entry: dict[str, Any], entries: list[dict[str, Any]]) -> float:
    """How often its time holds that without a mask: the median over rounds."""
    same = (entry["row"], entry["what"], NONE)
    (none,) = (e for e in entries if (e["row"], e["what"], e["name"]) == same)
    return float(np.median(np.divide(entry["seconds"], none["seconds"])))
