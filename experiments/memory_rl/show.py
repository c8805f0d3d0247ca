# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tables and figure of memory_rl, from results.json and throughput.json alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from experiments import _figure
from experiments._registry import Row
from experiments._results import counted, spread, table, wrapped

THROUGHPUT = Path(__file__).with_name("throughput.json")
SOLVED = 0.9  # of the way from 0, or from the chance of a maze, to the best return
COLOURS = {
    "memoryless": _figure.GREY,
    "frames": _figure.ORANGE,
    "GRU": _figure.GREEN,
    "LSTM": _figure.BLUE,
    "Flax LSTM": _figure.VERMILION,
    "LSTM, forget bias 1": _figure.SKY,
    "Flax LSTM, chrono": _figure.PURPLE,
}
TITLES = {"chain": "MemoryChain", "maze": "T-maze", "repeat": "RepeatPrevious"}


def title(task: str) -> str:
    """As in MemoryChain 20."""
    kind, which = task.split()
    return f"{TITLES[kind]} {which}"


def last(found: dict[str, Any]) -> np.ndarray:
    """Mean return (seeds,) over the last tenth of training."""
    curves = np.asarray(found["returns"])
    return curves[:, -max(1, curves.shape[1] // 10) :].mean(1)


def threshold(bounds: dict[str, float]) -> float:
    """The return from which a task is solved."""
    base = max(bounds["chance"], 0.0)
    return base + SOLVED * (bounds["best"] - base)


def solved(found: dict[str, Any], bounds: dict[str, float]) -> int:
    """How many seeds solved a task."""
    return int((last(found) >= threshold(bounds)).sum())


def shown(found: dict[str, Any], bounds: dict[str, float]) -> str:
    """Median, range, and how many seeds solved the task."""
    count = len(found["returns"])
    return f"{spread(last(found), '.2f')}, {solved(found, bounds)}/{count}"


def until(
    found: dict[str, Any], bounds: dict[str, float], settings: dict[str, Any]
) -> str:
    """Rollouts until the median return first is that of a solved task."""
    curve = np.median(np.asarray(found["returns"]), 0)
    reached = np.flatnonzero(curve >= threshold(bounds))
    each = settings["updates"] // settings["points"]
    return f"{(reached[0] + 1) * each}" if len(reached) else "never"


def peak(found: dict[str, Any]) -> float:
    """POPGym's measure: the highest mean return of a point, averaged over seeds."""
    return float(np.asarray(found["returns"]).max(1).mean())


def task_table(document: dict[str, Any]) -> str:
    """The return of every agent in every task."""
    results = document["results"]
    tasks, bounds = results["tasks"], results["bounds"]
    order = sorted(tasks, key=place)
    names = list(COLOURS)
    present = [n for n in names if any(n in tasks[t] for t in order)]
    rows = [
        [
            title(task),
            f"{bounds[task]['chance']:g}",
            *(
                shown(tasks[task][name], bounds[task]) if name in tasks[task] else ""
                for name in present
            ),
        ]
        for task in order
    ]
    head = ("return", "best without memory", *present)
    return table(head, rows)


def place(task: str) -> tuple[str, int, str]:
    """Where a task stands: lengths in order of size."""
    kind, which = task.split()
    return kind, int(which) if which.isdigit() else 0, which


def size_table(document: dict[str, Any]) -> str:
    """Parameters, and the rates that were chosen."""
    results = document["results"]
    kinds = [kind for kind in TITLES if kind in results["rates"]]
    rows = [
        [
            name,
            f"{results['parameters'][name]:,}",
            *(
                f"{results['rates'][kind][name]['rate']:g}"
                if name in results["rates"][kind]
                else ""
                for kind in kinds
            ),
        ]
        for name in COLOURS
        if name in results["parameters"]
    ]
    rates = (f"rate, {TITLES[kind]}" for kind in kinds)
    return table(("agent", "parameters", *rates), rows)


def mistake_table(document: dict[str, Any]) -> str:
    """What each mistake in the update costs the LSTM."""
    results, settings = document["results"], document["settings"]
    tasks = settings["mistaken"]
    rows = []
    for name in ("none", *settings["mistakes"]):
        row, ratios = [name], []
        for task in tasks:
            found, bounds = results["mistakes"][task][name], results["bounds"][task]
            row += [shown(found, bounds), until(found, bounds, settings)]
            ratios.append(np.max(found["log_ratio"]))
        rows.append([*row, f"{max(ratios):.1e}"])
    head = ["mistake in the update"]
    for task in tasks:
        head += [f"{title(task)}: return", "rollouts until solved"]
    return table([*head, "largest log ratio"], rows)


def throughput_table(found: dict[str, Any]) -> str:
    """Environment steps a second, and the recurrence's share of an update."""
    rows = [
        [
            f"{row['environments']:,}",
            row["agent"],
            thousands(row["acting"]),
            thousands(row["updating"]),
            f"{row['share']:.0%}",
        ]
        for row in found["rows"]
    ]
    head = (
        "environments",
        "agent",
        "acting, thousand steps a second",
        "updating",
        "the recurrence's share of updating",
    )
    return table(head, rows)


def thousands(values: list[float]) -> str:
    """Median and range of steps a second."""
    return spread(np.asarray(values) / 1000, ",.0f")


def tables(document: dict[str, Any]) -> str:
    """Renders returns, sizes, mistakes and throughput."""
    settings = document["settings"]
    recipe = settings["recipe"]
    steps = settings["updates"] * recipe["environments"] * recipe["steps"]
    text = (
        task_table(document)
        + "\n"
        + wrapped(
            f"Mean return of the episodes in the last tenth of training, actions drawn "
            f"from the policy: median and range over "
            f"{counted(len(settings['seeds']), 'seed')}, and how many of them solved "
            f"the task: {SOLVED:.0%} of the way to the best return. {steps:,} "
            f"environment steps a seed."
        )
        + "\n"
        + size_table(document)
        + "\n"
        + mistake_table(document)
    )
    if not THROUGHPUT.exists():
        return text
    speed = json.loads(THROUGHPUT.read_text())
    note = (
        f"Updating is one gradient over the whole rollout of T = {speed['steps']} and "
        f"a step of Adam, H = {speed['units']}; median and range of {speed['rounds']} "
        f"rounds in turn, on {counted(speed['machine']['cores'], 'core')}, "
        f"{speed['machine']['processor']}. The share is of time: an update less one "
        f"whose memory is left out."
    )
    return f"{text}\n{throughput_table(speed)}\n{wrapped(note)}"


def compare(document: dict[str, Any]) -> list[Row]:
    """The longest chain, the maze and the decks, with and without memory."""
    results = document["results"]
    rows = []
    for task in sorted(results["tasks"], key=place):
        found, bounds = results["tasks"][task], results["bounds"][task]
        kind, which = task.split()
        if kind == "chain" and int(which) != max(document["settings"]["chains"]):
            continue
        for name in ("LSTM", "GRU", "frames", "memoryless"):
            if name in found:
                ours = shown(found[name], bounds) + " solved"
                if kind == "repeat":
                    ours += f"; MMER {peak(found[name]):.3f}"
                rows.append(Row(f"{title(task)}, {name}: mean return", ours, ""))
    for task, found in results["mistakes"].items():
        clean = np.median(last(found["none"]))
        for name in document["settings"]["mistakes"]:
            what = f"{title(task)}, LSTM, mistake: {name}"
            ours = f"{spread(last(found[name]), '.2f')}; without {clean:.2f}"
            rows.append(Row(what, ours, ""))
    return rows


def panel(
    axes: Axes, found: dict[str, Any], steps: np.ndarray, colours: dict[str, str]
) -> None:
    """Returns against environment steps."""
    ends = {}
    for name, colour in colours.items():
        if name in found:
            style = (
                "--" if name in ("LSTM, forget bias 1", "Flax LSTM, chrono") else "-"
            )
            curves = np.asarray(found[name]["returns"])
            ends[name] = _figure.band(axes, steps, curves, colour, style), colour
    low, high = axes.get_ylim()
    _figure.label_ends(axes, float(steps[-1]), ends, (high - low) / 15)


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws learning curves, a panel a task, and one of the mistakes."""
    results, settings = document["results"], document["settings"]
    tasks = sorted(results["tasks"], key=place)
    each = settings["updates"] // settings["points"]
    size = settings["recipe"]["environments"] * settings["recipe"]["steps"]
    steps = np.arange(1, settings["points"] + 1) * each * size / 1000
    count = len(tasks) + len(results["mistakes"])
    columns = min(3, count)
    lines = -(-count // columns)
    with _figure.saved(folder / "memory_rl.png", 4.4 * columns, 2.9 * lines) as figure:
        grid = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, task in zip(grid, tasks, strict=False):
            panel(axes, results["tasks"][task], steps, COLOURS)
            chance = results["bounds"][task]["chance"]
            axes.axhline(chance, color=_figure.BLACK, ls=":", lw=1)
            axes.set_title(title(task))
        palette = list(COLOURS.values())
        for axes, (task, found) in zip(
            grid[len(tasks) :], results["mistakes"].items(), strict=False
        ):
            panel(axes, found, steps, dict(zip(found, palette, strict=False)))
            axes.set_title(f"{title(task)}, mistakes")
        for axes in grid[count:]:
            axes.set_axis_off()
        for axes in grid[:count]:
            axes.set_xlabel("environment steps, thousands")
            axes.set_ylabel("mean return")
