# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tables and figures from the JSON of the last measurements; nothing is typed."""

import dataclasses
import itertools
import json
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import compare, figures, masks, programs
from benchmarks import memory as memories
from benchmarks.loops import STEPWISE
from benchmarks.peers import JAX, NAMES, OURS
from experiments._results import machine, rounded, table, to_json

__all__ = ["TABLES", "document", "to_json", "write"]

FOLDER = Path(__file__).parent
README = FOLDER / "README.md"
TOP = FOLDER.parent / "README.md"
OTHERS = "torch", "onnxruntime"  # those that aren't of JAX
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
    "libtpu",
    "jax-cuda12-plugin",
)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
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
            "settings": {
                name: value.name if isinstance(value, Path) else value
                for name, value in dataclasses.asdict(settings).items()
                if value is not None
            },
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


def shape(row: dict[str, Any]) -> str:
    """T, B, I, H, and what is not the simplest network."""
    text = ", ".join(str(row[k]) for k in ("steps", "batch", "inputs", "hidden"))
    layers = f", {row['layers']} layers" if row["layers"] > 1 else ""
    return text + layers + (", two directions" if row["directions"] > 1 else "")


def _over(
    row: dict[str, Any], what: str, ours: tuple[str, ...] = OURS
) -> dict[str, tuple[float, str]]:
    """Others' time over the best of ours, with who it is: torch, …, the best in JAX."""
    present = tuple(name for name in ours if name in row[what])
    ratios = compare.ratios(row, what, present) if present else {}
    found = {name: (ratios[name], name) for name in OTHERS if name in ratios}
    if in_jax := [(ratio, name) for name, ratio in ratios.items() if name in JAX]:
        found["best in JAX"] = min(in_jax)
    return found


def summary(found: dict[str, Any]) -> str:
    """Others' time over ours, per row: torch, onnxruntime and the best in JAX."""
    columns = ("torch", "onnxruntime", "best in JAX", "one device")
    rows = []
    means: dict[tuple[str, bool, str], list[float]] = {}
    for name in found["settings"]["rows"]:
        row = found["results"]["rows"][name]
        for what in ("train", "forward"):
            ratios = _over(row, what)
            alone = _over(row, what, OURS[:1])
            if "best in JAX" in alone:
                ratios["one device"] = alone["best in JAX"]
            for column, (ratio, _) in ratios.items():
                means.setdefault((what, row["ragged"], column), []).append(ratio)
            cells = [f"{ratios[c][0]:.2f}" if c in ratios else "" for c in columns]
            which = ratios["best in JAX"][1] if "best in JAX" in ratios else ""
            rows.append((f"{name} ({shape(row)})", what, *cells, which))
    for ragged, what in itertools.product((False, True), ("train", "forward")):
        own = [means.get((what, ragged, column), []) for column in columns]
        cells = [f"{_geometric(values):.2f}" if values else "" for values in own]
        kind = "ragged rows" if ragged else "full rows"
        rows.append((f"geometric mean of {kind}", what, *cells, ""))
    header = (
        "row (T, B, I, H)",
        "",
        "torch / ours",
        "onnxruntime / ours",
        "best in JAX / ours",
        "the same, ours on one device",
        "which",
    )
    return table(header, rows)


def brief(found: dict[str, Any]) -> str:
    """Geometric means of others' time over ours; first with ours on one device."""
    others = "best in JAX", *OTHERS
    ways = {"one device": OURS[:1], "all cores": OURS}
    rows = []
    for ragged, what in itertools.product((False, True), ("train", "forward")):
        kept = [r for r in found["results"]["rows"].values() if r["ragged"] == ragged]
        cells = []
        for ours in ways.values():
            over = [_over(row, what, ours) for row in kept]
            for name in others:
                ratios = [own[name][0] for own in over if name in own]
                whole = len(ratios) == len(kept)  # no mean of some rows alone
                cells.append(f"{_geometric(ratios):.2f}" if whole else "")
        rows.append((f"{what}, {'ragged' if ragged else 'full'} rows", *cells))
    columns = itertools.product(ways, others)
    return table(("", *(f"{way}: {name}" for way, name in columns)), rows)


GOALS = (  # what, beside whom, by which, the least geometric mean, and of every row
    ("train", "torch", OURS, 1.2, 1.0),
    ("train", "best in JAX", OURS, 1.4, None),
    ("train", "best in JAX", OURS[:1], 1.2, None),
    ("forward", "torch", OURS, 1.2, 1.0),
    ("forward", "best in JAX", OURS[:1], 1.05, None),
    ("forward", "onnxruntime", OURS, 0.85, None),
)


def goals(found: dict[str, Any]) -> str:
    """What was aimed at in full rows, what came out, and the rows that fell short."""
    rows = []
    full = {n: r for n, r in found["results"]["rows"].items() if not r["ragged"]}
    for what, column, ours, mean, least in GOALS:
        over = {name: _over(row, what, ours).get(column) for name, row in full.items()}
        ratios = {name: pair[0] for name, pair in over.items() if pair}
        if not ratios:
            continue
        below = [f"{n} {r:.2f}" for n, r in ratios.items() if least and r < least]
        rows.append(
            (
                f"{what}: {column} / ours{'' if ours == OURS else ' on one device'}",
                f"{mean}" + (f"; {least:g} in every row" if least else ""),
                f"{_geometric(list(ratios.values())):.2f}",
                ", ".join(below),
            )
        )
    header = "full rows", "aimed at", "geometric mean", "rows below"
    return table(header, rows)


def peers(found: dict[str, Any]) -> str:
    """All times, the ratios, and the share of the machine's limit."""
    results = found["results"]
    limit = float(np.median(results["limit_flops"]))
    text = [summary(found), goals(found)]
    for what, flops in (("train", "train_flops"), ("forward", "flops")):
        names = [
            n for n in NAMES if any(n in r[what] for r in results["rows"].values())
        ]
        rows = []
        for name in found["settings"]["rows"]:
            row = results["rows"][name]
            times = row[what]
            ours = min(np.median(times[n]) for n in OURS if n in times)
            share = row[flops] / limit / ours
            cells = [_milliseconds(times[n]) if n in times else "" for n in names]
            rows.append((name, *cells, "" if row["ragged"] else f"{share:.0%}"))
        text.append(f"{what}, milliseconds: median (lowest-highest round)\n")
        text.append(table(("", *names, "ours: share of limit"), rows))
    text.append(
        f"The limit is a square float32 product on all cores, "
        f"{limit / 1e9:.0f} GFLOP/s here; train counts three forward passes, less the "
        "gradient of x, which nobody asks for.\n"
    )
    if other := against(found):
        text.append(other)
    return "\n".join([*text, _circumstances(found)])


def against(found: dict[str, Any]) -> str:
    """Another checkout's time over this one's: median, and range of rounds."""
    rows = []
    for name, row in found["results"]["rows"].items():
        for what in ("train", "forward"):
            others = [n for n in row[what] if "@" in n]
            for other in others:
                ratios = np.divide(row[what][other], row[what][OURS[0]])
                spread = f"{ratios.min():.2f}-{ratios.max():.2f}"
                rows.append((name, what, f"{np.median(ratios):.3f}", spread))
    if not rows:
        return ""
    headings = ("", "", "the other checkout / this one", "rounds")
    return table(headings, rows)


def _circumstances(found: dict[str, Any]) -> str:
    """The machine and the versions, in a line."""
    machine = found["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    rounds = found["settings"].get("rounds", 1)
    return (
        f"{machine['processor']}, {machine['cores']} cores; {rounds} rounds; "
        f"{versions}.\n"
    )


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
    return "\n".join(
        [
            table(header, rows),
            "A step called alone, one row, its state handed on\n",
            _streaming(found),
            _circumstances(found),
        ]
    )


def _streaming(found: dict[str, Any]) -> str:
    """Our step beside one by hand; the ratio is the median of those of the rounds."""
    rows = []
    pairs = found["results"]["streaming"]
    for ours, hand in zip(pairs[::2], pairs[1::2], strict=True):
        ratio = np.median(np.divide(ours["seconds"], hand["seconds"]))
        times = (_milliseconds(way["seconds"]) for way in (ours, hand))
        rows.append((f"{ours['hidden']}", *times, f"{ratio:.2f}"))
    return table(("I = H", "lstm_step, ms", "by hand, ms", "ours / by hand"), rows)


def scaling(found: dict[str, Any]) -> str:
    """Times against T, B and H, for one device and for all."""
    rows = []
    names = found["settings"]["libraries"]
    for row in found["results"]["rows"]:
        for what in ("train", "forward"):
            times = row[what]
            cells = [_milliseconds(times[n]) if n in times else "" for n in names]
            one, all_ = (np.asarray(times[name]) for name in OURS[:2])
            speed = np.median(one / all_)
            flops = row["train_flops" if what == "train" else "flops"]
            gflops = flops / np.median(one) / 1e9
            which = row["axis"], shape(row), what
            rows.append((*which, *cells, f"{speed:.2f}", f"{gflops:.3g}"))
    header = (
        *("", "T, B, I, H", "", *names),
        *("one device / all", "GFLOP/s on one"),
    )
    return "\n".join([table(header, rows), _circumstances(found)])


def memory(found: dict[str, Any]) -> str:
    """Temporaries of the gradient against T."""
    entries = found["results"]["lengths"]
    lengths = sorted({entry["steps"] for entry in entries})
    names = list(dict.fromkeys(entry["name"] for entry in entries))
    by = {(entry["name"], entry["steps"]): entry for entry in entries}
    text = []
    for title, cell in (
        ("megabytes", lambda e: f"{e['bytes'] / 1e6:.3g}"),
        ("milliseconds of the gradient", lambda e: _milliseconds(e["seconds"])),
    ):
        rows = [
            (memories.OURS.get(n, n), *(cell(by[n, steps]) for steps in lengths))
            for n in names
        ]
        text += [f"{title}\n", table(("T", *map(str, lengths)), rows)]
    return "\n".join([*text, _circumstances(found)])


def drops(found: dict[str, Any]) -> str:
    """What each kind of mask costs: time over that without, and temporaries."""
    entries = found["results"]["kinds"]
    rows = [
        (
            *(e["row"], e["name"], e["what"]),
            _milliseconds(e["seconds"]),
            f"{masks.over_none(e, entries):.2f}",
            f"{e['bytes'] / 1e6:.3g}",
        )
        for e in entries
    ]
    header = "row", "mask", "", "ms", "over none", "temporaries, MB"
    return "\n".join([table(header, rows), _circumstances(found)])


TABLES = {
    "peers": peers,
    "scan-vs-loop": loops,
    "scaling": scaling,
    "memory": memory,
    "masks": drops,
    "programs": programs.table,
}


def filled(text: str, marker: str, new: str) -> str:
    """Puts text between the markers `marker` and `/marker`, which are there once."""
    block = re.compile(f"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
    text, count = block.subn(
        lambda found: found[1] + new.strip() + "\n" + found[2], text
    )
    if count != 1:
        raise ValueError(f"report: {marker} must be marked once; it is {count} times.")
    return text


def results() -> dict[str, dict[str, Any]]:
    """The JSON of the last measurements, by benchmark; with the newest JAX too."""
    folder = FOLDER / "results"
    names = (*TABLES, *(f"newest/{name}" for name in TABLES if name != "programs"))
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in names}


def pages(found: dict[str, dict[str, Any]]) -> dict[Path, str]:
    """What the READMEs must say, given the JSON."""
    own = README.read_text()
    for name, document in found.items():
        if render := TABLES.get(Path(name).name):
            own = filled(own, name, render(document))
    top = filled(TOP.read_text(), "speed", brief(found["peers"]))
    return {README: own, TOP: top}


def write() -> None:
    """Writes the tables into the READMEs, and the figures."""
    found = results()
    for path, text in pages(found).items():
        path.write_text(text)
    figures.draw(found, FOLDER / "results")
