# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""`programs`: what the compilers for TPUs and GPUs make, where there is no device.

Kernels a step, temporaries, XLA's estimate of cycles, what libtpu lists of a kernel.
Nothing runs, and no time is measured.
"""

import dataclasses
import itertools
import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jax
from rich.progress import Progress

import lstm_jax
from benchmarks import cases, compilers, fits, llo
from benchmarks.hlo import Program
from benchmarks.peers import Peer, linen, scan_by_hand
from benchmarks.peers.lstm_jax import make as ours
from experiments import _results

WAYS: dict[str, Callable[[cases.Problem], Peer]] = {
    "ours": ours,
    "ours, unroll=4": partial(ours, implementation=lstm_jax.Scan(unroll=4)),
    "by hand": scan_by_hand.make,
    "Flax": linen.make,
    "Fused": partial(ours, implementation=lstm_jax.Fused()),
}
ONLY = {"ours, unroll=4": "cuda", "Fused": "tpu"}  # ways that are for one platform
WHAT = {"forward": "forward", "train": "gradient"}
PACKAGES = ("jax", "jaxlib", "libtpu", "jax-cuda12-plugin", "flax")
KERNEL = "lstm_scan"  # as the names of all kernels of `Fused` begin


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    kinds: tuple[str, ...] = ("v5e", "v6e", "v5p", "h100")
    """Devices to compile for."""
    rows: tuple[str, ...] = ("small", "fastrnns", "stream", "smnist")
    """Shapes, by name."""
    ways: tuple[str, ...] = tuple(WAYS)
    """What is compiled, by name."""
    batches: tuple[int, ...] = (1, 3, 32, 512)
    """B of the gradients that `Fused` is asked for beside the rows."""
    hidden: tuple[int, ...] = (5, 128, 512, 2048)
    """H of these."""
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    """Of these."""


SMOKE = Settings(
    kinds=("cpu",), rows=("smoke",), ways=("ours", "by hand"), batches=(), hidden=()
)


def run(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Compiles all that there is a compiler for, and says what there is none for."""
    for what, given, known in (
        ("kinds", settings.kinds, compilers.KINDS),
        ("rows", settings.rows, (*cases.ROWS, *cases.SMOKE)),
        ("ways", settings.ways, tuple(WAYS)),
    ):
        if not set(given) <= set(known):
            raise SystemExit(f"programs: {what} must be among {known}; got {given}.")
    reasons = {kind: compilers.missing(kind) for kind in settings.kinds}
    left_out = {kind: reason for kind, reason in reasons.items() if reason}
    kinds = [kind for kind in settings.kinds if kind not in left_out]
    if not kinds:
        raise SystemExit("programs: " + "; ".join(sorted(set(left_out.values()))) + ".")
    wanted = [
        (kind, row, way, what)
        for kind in kinds
        for row in settings.rows
        for way in settings.ways
        for what in WHAT
        if ONLY.get(way, compilers.platform(kind)) == compilers.platform(kind)
    ]
    tpus = [kind for kind in kinds if compilers.platform(kind) == "tpu"]
    sizes = settings.dtypes, settings.hidden, settings.batches
    pairs = list(itertools.product(tpus, *sizes))
    task = progress.add_task("programs", total=len(wanted) + len(pairs))
    _on_the_host()
    found = []
    # libtpu lists what it compiles in another process: listing takes its time.
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, spawn, _listing, (folder,)) as listing,
    ):
        for one in wanted:
            if one[2] == "Fused":
                found.append(listing.submit(measured, *one, folder).result())
            else:
                found.append(measured(*one))
            progress.advance(task)
    fused = []
    for pair in pairs:
        fused.append(fits.compiled(*pair))
        progress.advance(task)
    return {"programs": found, "fused": fused, "left_out": left_out}


def _on_the_host() -> None:
    """Keeps JAX in this process from looking for a device."""
    jax.config.update("jax_platforms", "cpu")


def _listing(folder: str) -> None:
    _on_the_host()
    llo.list_into(folder)


def measured(
    kind: str, row: str, way: str, what: str, folder: str | None = None
) -> dict[str, Any]:
    """Compiles one program.

    Args:
        kind: of device.
        row: by name.
        way: by name.
        what: "forward" or "train".
        folder: into which libtpu lists what it compiles; None if nowhere.
    """
    shape = {**cases.ROWS, **cases.SMOKE}[row]
    peer = WAYS[way](cases.problem(shape))
    compiled = compilers.compiled(kind, peer.programs[what], *peer.args)
    program = Program(compiled.as_text())
    found = {
        "kind": kind,
        "row": row,
        "way": way,
        "what": what,
        "kernels_a_step": program.launched_in_loops() / shape.steps,
        "temporary_bytes": compiled.memory_analysis().temp_size_in_bytes,
    }
    kernels = program.custom_calls("tpu_custom_call")
    if compilers.platform(kind) == "tpu" and not kernels:  # which it knows nothing of
        found["estimated_cycles"] = program.cycles()
    if folder is not None:
        listed = llo.steps(Path(folder), KERNEL)
        found["steps"] = {name: step._asdict() for name, step in listed.items()}
    return found


def _each(end: str, scale: float, form: str) -> Any:
    """The text of a number of an entry, where it has one."""
    return lambda one: form.format(one[end] / scale) if end in one else ""


def _steps(one: dict[str, Any]) -> str:
    """Of each kernel, bundles and longest path."""
    return "; ".join(
        f"{step['bundles']}, {step['path']}" for step in one.get("steps", {}).values()
    )


COLUMNS = {  # by platform
    "cpu": {"kernels a step": _each("kernels_a_step", 1, "{:.1f}")},
    "cuda": {"kernels a step": _each("kernels_a_step", 1, "{:.1f}")},
    "tpu": {
        "estimated M cycles": _each("estimated_cycles", 1e6, "{:.2f}"),
        "bundles and longest path of a step": _steps,
    },
}
FITS = f"The gradient by `Fused`, T = {fits.STEPS}: compiled, or refused beforehand\n"
MEMORY = {"temporaries, MiB": _each("temporary_bytes", 2**20, "{:.3g}")}


def table(document: dict[str, Any]) -> str:
    """A table for each platform, the ways side by side."""
    results = document["results"]
    text = []
    for platform, columns in COLUMNS.items():
        own = [
            one
            for one in results["programs"]
            if compilers.platform(one["kind"]) == platform
        ]
        if own:
            text.append(_table(own, columns | MEMORY))
    if results["fused"]:
        text += [FITS, fits.table(results["fused"])]
    text += [f"Left out: {kind}: {why}.\n" for kind, why in results["left_out"].items()]
    versions = (f"{k} {v}" for k, v in document["versions"].items() if k in PACKAGES)
    return "\n".join([*text, ", ".join(versions) + ".\n"])


def _table(programs: list[dict[str, Any]], columns: dict[str, Any]) -> str:
    by = {
        tuple(one[k] for k in ("kind", "row", "what", "way")): one for one in programs
    }
    rows = dict.fromkeys(key[:3] for key in by)
    ways = dict.fromkeys(key[3] for key in by)
    shown = {
        f"{title}: {way}": [
            column(by[*row, way]) if (*row, way) in by else "" for row in rows
        ]
        for title, column in columns.items()
        for way in ways
    }
    shown = {title: cells for title, cells in shown.items() if any(cells)}
    lines = [
        (kind, row, WHAT[what], *cells)
        for (kind, row, what), *cells in zip(rows, *shown.values(), strict=True)
    ]
    return _results.table(("", "row", "", *shown), lines)
