# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""`scan-vs-loop`: one program for any length, beside programs that grow with it."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import Progress

import lstm_jax
from benchmarks.worker import seconds_a_call

Run = Callable[[Any, Any], jax.Array]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    lengths: tuple[int, ...] = (8, 32, 128, 512, 1024, 4096)
    """T."""
    longest_loop: int = 512
    """Longest T for which a program that grows with T is compiled."""
    batch: int = 16
    """Rows."""
    inputs: int = 32
    """Width of x."""
    hidden: int = 64
    """Units."""
    rounds: int = 7
    """Times that each is asked, in turn."""
    seconds: float = 0.1
    """How long each is measured a time; one call at least."""


SMOKE = Settings(
    lengths=(4, 8), longest_loop=4, batch=2, inputs=3, hidden=5, rounds=2, seconds=0.01
)


def whole(implementation: Any) -> Run:
    """A whole sequence as one program."""

    def run(params: Any, x: Any) -> jax.Array:
        return lstm_jax.apply(
            params, x, time_major=True, implementation=implementation
        )[0]

    return run


def stepwise(params: Any, x: Any) -> jax.Array:
    """A Python loop over a jitted step: one small program, called T times."""
    state = lstm_jax.zero_state(params, x.shape[1:2])
    ys = []
    for x_t in x:
        state, y = STEP(params, state, x_t)
        ys.append(y)
    return jnp.stack(ys)


STEP = jax.jit(lstm_jax.lstm_step)
PROGRAMS: dict[str, Run] = {
    "Scan()": whole(lstm_jax.Scan()),
    "Scan(unroll=4)": whole(lstm_jax.Scan(unroll=4)),
    "Loop()": whole(lstm_jax.Loop()),
}
STEPWISE = "Python loop over a jitted step"


def compiled(run: Run, gradient: bool, params: Any, x: Any) -> dict[str, Any]:
    """A program with the time it took to make, its size and its temporaries."""

    def loss(params: Any, x: Any) -> jax.Array:
        return jnp.mean(jnp.square(run(params, x)))

    function = jax.jit(jax.grad(loss) if gradient else run)
    start = time.perf_counter()
    lowered = function.lower(params, x)
    traced = time.perf_counter()
    program = lowered.compile()
    done = time.perf_counter()
    memory: Any = program.memory_analysis()
    return {
        "call": lambda: jax.block_until_ready(program(params, x)),
        "trace_seconds": traced - start,
        "compile_seconds": done - traced,
        "program_lines": lowered.as_text().count("\n"),
        "temporary_bytes": memory.temp_size_in_bytes,
    }


def one_length(settings: Settings, steps: int) -> list[dict[str, Any]]:
    """Every way of running T steps, forward and with its gradient."""
    key = jax.random.key(0)
    params = lstm_jax.init_cell(key, settings.inputs, settings.hidden)
    x = jax.random.normal(key, (steps, settings.batch, settings.inputs))
    ways = []
    for gradient in (False, True):
        what = "gradient" if gradient else "forward"
        for name, run in PROGRAMS.items():
            if name == "Loop()" and steps > settings.longest_loop:
                continue
            made = compiled(run, gradient, params, x)
            ways.append({"name": name, "what": what, "steps": steps, **made})
    call = lambda: jax.block_until_ready(stepwise(params, x))  # noqa: E731
    ways.append({"name": STEPWISE, "what": "forward", "steps": steps, "call": call})
    expected = np.asarray(ways[0]["call"]())
    for way in ways:
        first = way["call"]()
        if way["what"] == "forward":
            np.testing.assert_allclose(np.asarray(first), expected, atol=1e-5)
    return ways


def run(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Measures every length; `seconds` are those of a call, one a round."""
    task = progress.add_task("scan-vs-loop", total=len(settings.lengths))
    found = []
    for steps in settings.lengths:
        ways = one_length(settings, steps)
        times: list[list[float]] = [[] for _ in ways]
        for _ in range(settings.rounds):
            for own, way in zip(times, ways, strict=True):
                own.append(seconds_a_call(way["call"], settings.seconds))
        for own, way in zip(times, ways, strict=True):
            del way["call"]
            found.append({**way, "seconds": own})
        progress.advance(task)
    return {"ways": found}
