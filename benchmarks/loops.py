# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""`scan-vs-loop`: one program for any length, beside programs that grow with it."""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import Progress

import lstm_jax
from benchmarks.peers import scan_by_hand
from benchmarks.worker import seconds_a_call

Run = Callable[[Any, Any], jax.Array]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    lengths: tuple[int, ...] = (8, 32, 128, 512, 1024, 4096)
    """T."""
    longest_loop: int = 128
    """Longest T for programs that grow with it: at 128 one compiles for minutes."""
    batch: int = 16
    """Rows."""
    inputs: int = 32
    """Width of x."""
    hidden: int = 64
    """Units."""
    streaming: tuple[int, ...] = (64, 512)
    """Units of a step that is called alone, with one row."""
    rounds: int = 7
    """Times that each is asked, in turn."""
    seconds: float = 0.1
    """How long each is measured a time; one call at least."""


SMOKE = Settings(
    lengths=(4, 8),
    longest_loop=4,
    batch=2,
    inputs=3,
    hidden=5,
    streaming=(5,),
    rounds=1,
    seconds=0.0,
)


def whole(implementation: Any) -> Run:
    """A whole sequence as one program."""

    def run(params: Any, x: Any) -> jax.Array:
        return lstm_jax.apply(
            params, x, time_major=True, implementation=implementation
        )[0]

    return run


def fused(params: Any) -> tuple[jax.Array, jax.Array]:
    """The same weights as a user's scan has them."""
    return jnp.concatenate([params.w_x, params.w_h]), params.b


def stepwise(params: Any, x: Any) -> list[jax.Array]:
    """A Python loop over a jitted step: one small program, called T times.

    Its outputs stay apart: to stack them is no part of the loop.
    """
    state = lstm_jax.zero_state(params, x.shape[1:2])
    ys = []
    for x_t in x:
        state, y = STEP(params, state, x_t)
        ys.append(y)
    return ys


STEP = jax.jit(lstm_jax.lstm_step)
STEP_BY_HAND = jax.jit(scan_by_hand.step)
PROGRAMS: dict[str, Run] = {
    "Scan()": whole(lstm_jax.Scan()),
    "Scan(unroll=4)": whole(lstm_jax.Scan(unroll=4)),
    "Loop()": whole(lstm_jax.Loop()),
}
BY_HAND = "scan by hand"
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


def same(got: Any, expected: Any) -> None:
    """What differs cannot be compared."""
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), got, expected)


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
        made = compiled(scan_by_hand.run, gradient, fused(params), x)
        ways.append({"name": BY_HAND, "what": what, "steps": steps, **made})
    call = lambda: jax.block_until_ready(stepwise(params, x))  # noqa: E731
    ways.append({"name": STEPWISE, "what": "forward", "steps": steps, "call": call})
    for what, joined in (("forward", lambda y: y), ("gradient", fused)):
        named = {way["name"]: way["call"]() for way in ways if way["what"] == what}
        expected = joined(named["Scan()"])
        if what == "forward":
            named[STEPWISE] = np.stack(named[STEPWISE])
        for name, got in named.items():
            same(got if name == BY_HAND else joined(got), expected)
    return ways


def streaming(settings: Settings, hidden: int) -> list[dict[str, Any]]:
    """One step of one row, its state handed on, as a stream of inputs calls it."""
    key = jax.random.key(0)
    params = lstm_jax.init_cell(key, hidden, hidden)
    hand = fused(params)
    x = jax.random.normal(key, (1, hidden))
    ways: list[dict[str, Any]] = []
    for name, step, own in (
        ("lstm_step", STEP, params),
        ("step by hand", STEP_BY_HAND, hand),
    ):
        state = [jnp.zeros((1, hidden))] * 2
        held = [tuple(state) if own is hand else lstm_jax.LSTMState(*state)]

        def call(step: Any = step, own: Any = own, held: list[Any] = held) -> Any:
            held[0], y = step(own, held[0], x)
            return jax.block_until_ready(y)

        ways.append({"name": name, "hidden": hidden, "call": call})
    same(ways[0]["call"](), ways[1]["call"]())
    return ways


def in_turn(settings: Settings, ways: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every way with its seconds a call, one a round, instead of the call."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(settings.rounds):
        for own, way in zip(times, ways, strict=True):
            own.append(seconds_a_call(way["call"], settings.seconds))
    return [
        {**{k: v for k, v in way.items() if k != "call"}, "seconds": own}
        for own, way in zip(times, ways, strict=True)
    ]


def run(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Measures every length; `seconds` are those of a call, one a round."""
    jax.config.update("jax_platforms", "cpu")
    total = len(settings.lengths) + len(settings.streaming)
    task = progress.add_task("scan-vs-loop", total=total)
    found: dict[str, Any] = {"ways": [], "streaming": []}
    one_length(settings, 2)  # what JAX does once in a process is no compile time
    for steps in settings.lengths:
        found["ways"] += in_turn(settings, one_length(settings, steps))
        progress.advance(task)
    for hidden in settings.streaming:
        found["streaming"] += in_turn(settings, streaming(settings, hidden))
        progress.advance(task)
    return found
