# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tables and figure of gradient against lag, from results.json alone."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import _figure
from experiments._registry import Row
from experiments._results import counted, spread, table, wrapped

TABLE_LAG = 100  # or the lag next to it that was kept
PATH_ERROR = "of the cell path from σ(b_f)^k where forget gates see their biases alone"
VANISHED = 1e-7  # the rounding of float32, beside a gradient of lag 0
COLOURS = (
    _figure.VERMILION,
    _figure.ORANGE,
    _figure.GREEN,
    _figure.SKY,
    _figure.BLUE,
    _figure.PURPLE,
)


def _bias(name: str) -> float | None:
    """The bias of a start that has the same for all units."""
    return float(name.split()[-1]) if name.startswith("forget bias") else None


def _lag(results: dict[str, Any]) -> tuple[int, int]:
    """Where the lag of the table stands, and which it is."""
    lags = np.asarray(results["lags"])
    n = int(np.abs(lags - TABLE_LAG).argmin())
    return n, int(lags[n])


def _at(results: dict[str, Any], when: str, what: str, n: int) -> str:
    """The median over the seeds at the n-th lag."""
    if what not in results[when]:
        return ""
    return f"{np.median(np.asarray(results[when][what])[:, n]):.1e}"


def _recall(found: dict[str, Any]) -> str:
    """Median and range of the share of symbols recalled after training."""
    return spread(found["accuracy"], ".2f")


def tables(document: dict[str, Any]) -> str:
    """Renders gradients at one lag, before and after training."""
    results = document["results"]
    n, lag = _lag(results)
    header = (
        f"gradient at lag {lag} over that at lag 0",
        "∂L/∂h",
        "∂L/∂c",
        "by the cell path",
        "σ(b_f)^k",
        "trained: ∂L/∂h",
        "∂L/∂c",
        "by the cell path",
        "recall",
    )
    rows = []
    for kind in ("rnn", "lstm"):
        for name, found in results[kind].items():
            bias = _bias(name)
            kept = None if bias is None else (1 + np.exp(-bias)) ** -lag
            rows.append(
                (
                    f"{kind.upper()}, {name}",
                    *(_at(found, "untrained", what, n) for what in ("h", "c", "path")),
                    "" if kept is None else f"{kept:.1e}",
                    *(_at(found, "trained", what, n) for what in ("h", "c", "path")),
                    _recall(found),
                )
            )
    chance = results["symbols_by_chance"]
    worst = results["closed_form_error"]
    seeds = counted(len(document["settings"]["seeds"]), "seed")
    return (
        table(header, rows)
        + "\n"
        + wrapped(
            f"Medians over {seeds}; of recall the range as well. Recall by chance: "
            f"{chance:.3f}. Largest relative deviation {PATH_ERROR}, over all lags, "
            f"sequences, units and networks: {worst:.1e}."
        )
    )


def compare(document: dict[str, Any]) -> list[Row]:
    """The claim that the cell state keeps the gradient: where it holds."""
    results = document["results"]
    n, lag = _lag(results)
    claim = (
        "constant by the cell path alone, without forget gate "
        "(Hochreiter & Schmidhuber 1997)"
    )

    def found(kind: str, name: str, what: str) -> str:
        """The median, and in words where nothing is left that training could use."""
        size = _at(results[kind][name], "untrained", what, n)
        return f"{size}: vanishes" if float(size) < VANISHED else size

    rows = [
        Row(
            f"∂L/∂c of an LSTM at lag {lag} over that at lag 0, forget bias {bias}",
            found("lstm", f"forget bias {bias}", "c"),
            claim,
        )
        for bias in (0, 1, 3, 5)
    ]

    def recall(kind: str, name: str) -> Row:
        return Row(
            f"first symbol recalled after training, {kind.upper()}, {name}",
            _recall(results[kind][name]),
            "",
        )

    rnn = found("rnn", "orthogonal", "h")
    path = f"{results['closed_form_error']:.1e}"
    return [
        *rows,
        Row(f"∂L/∂h of an orthogonal RNN at lag {lag}", rnn, "vanishes"),
        *(recall("lstm", f"forget bias {bias}") for bias in (1, 3)),
        recall("rnn", "orthogonal"),
        Row(f"largest relative deviation {PATH_ERROR}", path, "0"),
    ]


FLOOR, CEILING = 1e-30, 1e10


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws gradient against lag: before training above, after it below."""
    results = document["results"]
    lags = np.asarray(results["lags"])
    panels = (
        ("rnn", "h", "RNN: |∂L/∂h|"),
        ("lstm", "h", "LSTM: |∂L/∂h|"),
        ("lstm", "c", "LSTM: |∂L/∂c|"),
        ("lstm", "path", "LSTM: by the cell path alone"),
    )
    with _figure.saved(folder / "gradient_lag.png", 15, 7) as figure:
        grid = figure.subplots(2, len(panels), sharex=True, sharey=True)
        for row, when in zip(grid, ("untrained", "trained"), strict=True):
            for axes, (kind, what, title) in zip(row, panels, strict=True):
                axes.set_yscale("log")
                axes.set_ylim(FLOOR, CEILING)
                ends = {}
                starts = zip(results[kind].items(), COLOURS, strict=False)
                for (name, found), colour in starts:
                    end = _figure.band(axes, lags, found[when][what], colour)
                    short = name.removeprefix("forget ")
                    ends[short] = float(np.clip(end, FLOOR, CEILING)), colour
                if what == "path" and when == "untrained":
                    for name in results[kind]:
                        bias = _bias(name)
                        if bias is not None:
                            line = (1 + np.exp(-bias)) ** -lags.astype(float)
                            axes.plot(lags, line, color="black", ls=":", lw=1.2)
                    axes.plot([], [], color="black", ls=":", lw=1.2, label="σ(b_f)^k")
                    axes.legend(loc="upper left", frameon=False)
                _figure.label_ends(axes, float(lags[-1]), ends, 2.2)
                axes.set_title(title if when == "untrained" else "")
            row[0].set_ylabel(f"{when}\nrelative to lag 0")
        for axes in grid[-1]:
            axes.set_xlabel("lag k, steps")
