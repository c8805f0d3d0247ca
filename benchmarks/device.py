# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""`device`: results and times on the GPU or TPU that JAX finds, within a deadline.

Results are compared with a Python loop in float64 on the host, which is itself compared
with NumPy. Times are those of the rows of `peers`, all in one process, in turn.
"""

import dataclasses
import importlib
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import numpy as np
from rich.progress import Progress

import lstm_jax
from benchmarks import cases
from benchmarks.device_checks import ROWS, Log, cast, check, error, ours
from benchmarks.peers import Peer
from benchmarks.peers.lstm_jax import make
from benchmarks.worker import seconds_a_call
from lstm_jax._compat import setting

PRODUCTS = {
    "cpu": "float32 products are full float32 by default",
    "gpu": "float32 products may be TF32 by default, with factors of 10 bits",
    "tpu": "float32 products round their factors to bfloat16 by default",
}
COMMAND_BUFFERS = {
    "xla_gpu_enable_command_buffer": "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,"
    "DYNAMIC_SLICE_FUSION,WHILE",
    "xla_gpu_graph_min_graph_size": 1,
}
WHAT = ("forward", "train")
PEERS = ("scan_by_hand", "linen", "keras", "torch")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    platform: Literal["accelerator", "cpu", "gpu", "tpu"] = "accelerator"
    """Where to run; the processor alone has to be asked for."""
    rows: tuple[str, ...] = tuple(cases.ROWS)
    """Shapes that are timed, by name, in this order."""
    checks: tuple[str, ...] = tuple(ROWS)
    """Networks whose results are compared, by name."""
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    """Of parameters and input."""
    unrolls: tuple[int, ...] = (4, 8)
    """Steps in one iteration of further `Scan`s that are timed."""
    libraries: tuple[str, ...] = PEERS
    """What is timed beside this library."""
    rounds: int = 3
    """Times that each is asked, in turn."""
    seconds: float = 0.05
    """How long each is measured a time; one call at least."""
    budget: float = 420.0
    """Seconds after which nothing new begins."""


SMOKE = Settings(
    platform="cpu",
    rows=("smoke",),
    checks=("one layer, resets",),
    dtypes=("float32",),
    unrolls=(),
    libraries=("scan_by_hand",),
    rounds=1,
    seconds=0.0,
)


Make = Callable[[cases.Problem, str], Peer]


def found(asked: str) -> str:
    """The platform that JAX has, if it is what was asked for."""
    # A process that also times torch must leave it memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if asked == "cpu":
        jax.config.update("jax_platforms", "cpu")
    got = jax.default_backend()
    if got != "cpu" if asked == "accelerator" else got == asked:
        return got
    raise SystemExit(
        f"device: JAX finds {got} alone, and {asked} is asked for; --platform cpu "
        "runs it on the processor."
    )


def entries(settings: Settings, platform: str) -> dict[str, Make]:
    """All that is timed."""
    unrolled = [lstm_jax.Scan(unroll=k) for k in settings.unrolls]
    ways = (*ours(platform), *unrolled)
    found: dict[str, Make] = {repr(way): partial(_own, way, None) for way in ways}
    if platform == "gpu":
        buffered = partial(_own, lstm_jax.Scan(), COMMAND_BUFFERS)
        found["Scan(), command buffers"] = buffered
    others = settings.libraries
    return found | {name: partial(_library, name, platform) for name in others}


def _own(way: Any, options: Any, problem: cases.Problem, dtype: str) -> Peer:
    return make(problem, way, options)


def _library(name: str, platform: str, problem: cases.Problem, dtype: str) -> Peer:
    module = importlib.import_module(f"benchmarks.peers.{name}")
    if name == "torch":
        import torch

        if platform == "tpu" or (platform == "gpu" and not torch.cuda.is_available()):
            raise NotImplementedError(f"this torch has no {platform}")
        where = "cuda" if platform == "gpu" else "cpu"
        return module.make(cast(problem, "float32"), where, dtype)
    if name == "keras":
        module.keras.config.set_dtype_policy(dtype)
    return module.make(problem)


def _array(y: Any) -> np.ndarray:
    """A result of JAX or torch in float32, on the host."""
    if hasattr(y, "cpu"):
        y = y.float().cpu()
    return np.asarray(y, np.float32)


def measure(log: Log, settings: Settings, platform: str, row: str, dtype: str) -> None:
    """Times one row in one dtype; all are compiled first, and then asked in turn."""
    problem = cast(cases.problem({**cases.ROWS, **cases.SMOKE}[row]), dtype)
    peers: list[tuple[Peer, dict[str, Any]]] = []
    first = None

    def start(make: Make) -> tuple[Peer, Any, dict[str, float]]:
        peer, begun = make(problem, dtype), time.perf_counter()
        y = peer.forward()
        forward = time.perf_counter() - begun
        assert peer.train
        peer.train()
        both = {"forward": forward, "train": time.perf_counter() - begun - forward}
        return peer, y, both

    for name, made in entries(settings, platform).items():
        label = f"{row}, {dtype}, {name}"
        started = log.attempt(label, partial(start, made))
        if started is None:
            continue
        peer, y, seconds = started
        y = _array(y).swapaxes(0, 1) if peer.batch_major else _array(y)
        first = y if first is None else first
        entry = {"row": row, "dtype": dtype, "name": name, "first_call": seconds}
        entry |= {"difference": error(y, first), "forward": [], "train": []}
        log.times.append(entry)
        peers.append((peer, entry))
    for k in range(settings.rounds):
        turn = k % max(len(peers), 1)
        for peer, entry in (*peers[turn:], *peers[:turn]):
            for what in WHAT:
                label = f"{row}, {dtype}, {entry['name']}, {what}, round {k + 1}"
                call = partial(seconds_a_call, getattr(peer, what), settings.seconds)
                taken = log.attempt(label, call)
                entry[what] += [] if taken is None else [taken]


def run(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Compares, then measures, until the deadline."""
    for what, given, known in (
        ("rows", settings.rows, (*cases.ROWS, *cases.SMOKE)),
        ("checks", settings.checks, tuple(ROWS)),
        ("dtypes", settings.dtypes, ("float32", "bfloat16")),
        ("libraries", settings.libraries, PEERS),
    ):
        if not set(given) <= set(known):
            raise SystemExit(f"device: {what} must be among {known}; got {given}.")
    log, platform = Log(settings.budget), found(settings.platform)
    both = [(row, dtype) for row in settings.rows for dtype in settings.dtypes]
    task = progress.add_task("device", total=1 + len(both))
    check(log, settings.checks, settings.dtypes, platform)
    for row, dtype in both:
        progress.advance(task)
        measure(log, settings, platform, row, dtype)
    progress.advance(task)
    own = {k: v for k, v in vars(log).items() if k != "end"}
    precision = {
        "products": PRODUCTS[platform],
        "jax_default_matmul_precision": setting("jax_default_matmul_precision"),
    }
    return {"platform": platform, "precision": precision, **own}


def table(document: dict[str, Any]) -> str:
    """A line for each comparison and each time: medians, in milliseconds."""
    results = document["results"]
    lines = [f"{results['platform']}: {results['precision']['products']}"]
    for c in results["checks"]:
        what = ", ".join(c[k] for k in ("network", "way", "dtype", "products"))
        verdict = "right" if c["right"] else "WRONG"
        both = f"values {c['values']:.1e}, gradients {c['gradients']:.1e}"
        lines.append(f"{verdict}: {what}: {both}")
    for t in results["times"]:
        each = [f"{w} {1e3 * np.median(t[w]):.3g} ms" for w in WHAT if t[w]]
        lines.append(f"{t['row']}, {t['dtype']}, {t['name']}: {', '.join(each)}")
    lines += [f"left out: {e['what']}: {e['why']}" for e in results["left_out"]]
    lines += [f"FAILED: {e['what']}: {e['why']}" for e in results["failed"]]
    late = len(results["skipped"])
    return "\n".join([*lines, f"{late} measurements skipped at the deadline"])


def status(document: dict[str, Any]) -> str | None:
    """What is wrong with the results, for the end of the command; None if nothing."""
    results, asked = document["results"], document["settings"]["checks"]
    if asked and not results["checks"]:
        return "device: nothing was compared with the host."
    wrong = sum(not c["right"] for c in results["checks"])
    if wrong or results["failed"]:
        failed = len(results["failed"])
        return f"device: {wrong} results differ from the host's, {failed} calls failed."
    return None
