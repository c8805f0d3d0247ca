# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tables and figures from the JSON of the last measurements; nothing is typed."""

import dataclasses
import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import compare
from benchmarks.loops import STEPWISE
from benchmarks.peers import JAX, NAMES, OURS
from experiments import _figure
from experiments._results import machine, rounded, table, to_json

__all__ = ["TABLES", "document", "to_json", "write"]

FOLDER = Path(__file__).parent
README = FOLDER / "README.md"
TOP = FOLDER.parent / "README.md"
PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "numpy",
    "torch",
    "onnxruntime",
    "dm-haiku",
    "equinox",
    "keras",
)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def document(
    name: str, settings: Any, results: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """Results with all that is needed to judge and repeat them."""
    return rounded(
        {
            "benchmark": name,
            "machine": machine(),
            "results": results,
            "settings": dataclasses.asdict(settings),
            "versions": _versions(),
            "wall_seconds": round(seconds, 1),
        }
    )


def _milliseconds(values: list[float]) -> str:
    """Median and the range of the rounds."""
    low, middle, high = (1e3 * f(values) for f in (min, np.median, max))
    return f"{middle:.3g} ({low:.3g}-{high:.3g})"


def _geometric(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def summary(found: dict[str, Any]) -> str:
    """Others' time over ours, per row: torch, onnxruntime and the best in JAX."""
    rows, columns = [], {"torch": [], "onnxruntime": [], "best": []}  # type: ignore
    for name, row in found["results"]["rows"].items():
        for what in ("train", "forward"):
            by_name = compare.ratios(row, what)
            others = {k: v for k, v in by_name.items() if k in JAX}
            best = min(others, key=lambda k: others[k]) if others else ""
            values = {
                "torch": by_name.get("torch"),
                "onnxruntime": by_name.get("onnxruntime"),
                "best": others.get(best),
            }
            for key, value in values.items():
                if value is not None:
                    columns[key].append((what, value))
            shape = ", ".join(str(row[k]) for k in ("steps", "batch", "inputs"))
            rows.append(
                (
                    f"{name} ({shape}, {row['hidden']})",
                    what,
                    *("" if v is None else f"{v:.2f}" for v in values.values()),
                    best,
                )
            )
    for what in ("train", "forward"):
        means = []
        for pairs in columns.values():
            own = [value for kind, value in pairs if kind == what]
            means.append(f"{_geometric(own):.2f}" if own else "")
        rows.append(("geometric mean", what, *means, ""))
    header = (
        "T, B, I, H",
        "",
        "torch / ours",
        "onnxruntime / ours",
        "best in JAX / ours",
        "which",
    )
    return table(header, rows)


def peers(found: dict[str, Any]) -> str:
    """All times, the ratios, and the share of the machine's limit."""
    results = found["results"]
    limit = float(np.median(results["limit_flops"]))
    text = [summary(found)]
    for what, passes in (("train", 3), ("forward", 1)):
        names = [
            n for n in NAMES if any(n in r[what] for r in results["rows"].values())
        ]
        rows = []
        for name, row in results["rows"].items():
            times = row[what]
            ours = min(np.median(times[n]) for n in OURS if n in times)
            share = passes * row["flops"] / limit / ours
            cells = [_milliseconds(times[n]) if n in times else "" for n in names]
            rows.append((name, *cells, f"{share:.0%}"))
        text.append(f"{what}, milliseconds: median (lowest-highest round)\n")
        text.append(table(("", *names, "ours: share of limit"), rows))
    text.append(
        f"The limit is a square float32 product on all cores, "
        f"{limit / 1e9:.0f} GFLOP/s here; train counts three forward passes.\n"
    )
    return "\n".join(text)


def loops(found: dict[str, Any]) -> str:
    """Time to compile, time to run and size, for each length."""
    rows = []
    for way in found["results"]["ways"]:
        made = (
            ("", "", "")
            if way["name"] == STEPWISE
            else (
                f"{way['trace_seconds'] + way['compile_seconds']:.2g}",
                f"{way['program_lines']}",
                f"{way['temporary_bytes'] / 1e6:.3g}",
            )
        )
        which = way["what"], str(way["steps"]), way["name"]
        rows.append((*which, _milliseconds(way["seconds"]), *made))
    rows.sort(key=lambda row: (row[0], int(row[1])))
    header = ("", "T", "", "ms", "s to compile", "program lines", "temporaries, MB")
    return table(header, rows)


TABLES = {"peers": peers, "scan-vs-loop": loops}


def _draw_loops(found: dict[str, Any], path: Path) -> None:
    ways = found["results"]["ways"]
    names = list(dict.fromkeys(way["name"] for way in ways))
    colours = dict(
        zip(
            names,
            (_figure.BLUE, _figure.SKY, _figure.VERMILION, _figure.GREY),
            strict=True,
        )
    )
    panels = (
        ("run, ms", lambda w: 1e3 * float(np.median(w["seconds"]))),
        (
            "trace and compile, s",
            lambda w: w["trace_seconds"] + w["compile_seconds"],
        ),
    )
    with _figure.saved(path, 11, 4) as figure:
        for axes, (title, value) in zip(figure.subplots(1, 2), panels, strict=True):
            for name in names:
                own = [
                    w
                    for w in ways
                    if w["name"] == name
                    and w["what"] == "forward"
                    and ("seconds" if "run" in title else "trace_seconds") in w
                ]
                if own:
                    steps = [w["steps"] for w in own]
                    axes.plot(
                        steps, [value(w) for w in own], color=colours[name], marker="o"
                    )
                    _figure.label(axes, steps[-1], value(own[-1]), name, colours[name])
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xlabel("T")
            axes.set_title(f"forward: {title}")


def filled(text: str, marker: str, new: str) -> str:
    """Puts text between the markers `marker` and `/marker`."""
    block = re.compile(f"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
    return block.sub(lambda found: found[1] + new.strip() + "\n" + found[2], text)


def pages() -> dict[Path, str]:
    """What the READMEs must say, given the JSON."""
    own, top = README.read_text(), TOP.read_text()
    for name, render in TABLES.items():
        file = FOLDER / "results" / f"{name}.json"
        if file.exists():
            found = json.loads(file.read_text())
            own = filled(own, name, render(found))
            if name == "peers":
                top = filled(top, "speed", summary(found))
    return {README: own, TOP: top}


def write() -> None:
    """Writes the tables into the READMEs, and the figures."""
    for path, text in pages().items():
        path.write_text(text)
    file = FOLDER / "results" / "scan-vs-loop.json"
    if file.exists():
        found = json.loads(file.read_text())
        _draw_loops(found, FOLDER / "results" / "scan-vs-loop.png")
