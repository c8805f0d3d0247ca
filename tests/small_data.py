# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Small files of the same formats as those that experiments download."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.io import savemat  # type: ignore[import-untyped]

from experiments import data

DRY = slice(498, 501)  # days of the record whose run-off is missing; in water year 1981


def text(path: Path) -> None:
    """A play of made-up words, 20,020 characters or a few more."""
    rng = np.random.default_rng(0)
    letters = np.asarray(list("aaabcdeeeefghiiklmnnoooprrssttuvwy"))
    words = ["".join(rng.choice(letters, n)) for n in rng.integers(1, 9, 200)]
    lines: list[str] = []
    while sum(map(len, lines)) < 20_020:
        line = " ".join(rng.choice(words, rng.integers(3, 10)))
        lines.append(f"{rng.choice(words[:5]).upper()}:\n{line.capitalize()}.\n\n")
    path.write_text("".join(lines))


def chorales(path: Path) -> None:
    """Four voices of four notes each; 14 pieces to train on, 12 and 13 to judge by.

    A frame has as many nats as one of Bach's, about 9: figures have that range.
    """
    rng = np.random.default_rng(1)
    lowest, notes = np.asarray([27, 35, 42, 49]), np.asarray([0, 2, 4, 5])

    def piece() -> np.ndarray:
        note = rng.integers(0, 4, 4)
        frames = np.zeros((rng.integers(9, 30), 88), np.uint8)
        for frame in frames:
            note = np.clip(note + rng.choice([-1, 0, 0, 1], 4), 0, 3)
            frame[lowest + notes[note]] = 1
        return frames

    splits = {}
    for name, count in (("train", 14), ("valid", 12), ("test", 13)):
        cells = np.empty((1, count), object)
        cells[0] = [piece() for _ in range(count)]
        splits[f"{name}data"] = cells
    savemat(path, splits)


def catchment() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rain and snow through one reservoir, on the days of 1980 to 2014.

    Returns:
        Dates (N,); the weather's seven columns (N, 7); run-off in mm/day (N,), and what
        a worse model has for it (N,).
    """
    rng = np.random.default_rng(2)
    dates = np.arange("1980-01-01", "2015-01-01", dtype="datetime64[D]")
    n = len(dates)
    season = -np.cos(2 * np.pi * np.arange(n) / 365.25)
    noise = rng.standard_normal((n, 2))
    for t in range(1, n):
        noise[t] = 0.8 * noise[t - 1] + 0.6 * noise[t]
    mean = 5 + 12 * season + 4 * noise[:, 0]
    rain = np.where(rng.random(n) < 0.4, rng.exponential(7, n), 0)
    snow, water, runoff, wrong = 0.0, 40.0, np.empty(n), np.empty(n)
    for t in range(n):
        melt = min(snow, max(0.0, 3 * mean[t]))
        snow += rain[t] * (mean[t] < 0) - melt
        water += melt + rain[t] * (mean[t] >= 0)
        runoff[t] = 0.04 * water
        water -= runoff[t] + max(0.0, min(0.9 * (water - runoff[t]), 0.1 * mean[t]))
        wrong[t] = runoff[t] * np.exp(0.3 * noise[t, 1])
    weather = (
        43_200 + 11_000 * season,
        rain,
        250 + 120 * season - 5 * rain,
        np.zeros(n),
        mean + 6,
        mean - 6,
        611 * np.exp(17.27 * (mean - 6) / (mean + 231.3)),
    )
    return dates, np.stack(weather, 1), runoff, wrong


def days(dates: np.ndarray) -> list[str]:
    """Year, month, day and noon, as both files of CAMELS begin their lines."""
    return [f"{str(day).replace('-', ' ')} 12" for day in dates]


def forcing(path: Path) -> None:
    """The weather: latitude, height and area, the columns' names, and a day a line."""
    dates, weather, *_ = catchment()
    columns = "dayl(s) prcp(mm/day) srad(W/m2) swe(mm) tmax(C) tmin(C) vp(Pa)"
    head = "  45.00", " 300.00", " 700000000", f"Year Mnth Day Hr {columns}"
    lines = [
        "\t".join([day, *(f"{value:.2f}" for value in row)])
        for day, row in zip(days(dates), weather, strict=True)
    ]
    path.write_text("\n".join([*head, *lines, ""]))


def runoff(path: Path) -> None:
    """Run-off from October 1980 on, a model's and observed, beside columns of 0."""
    dates, _, observed, model = catchment()
    observed[DRY] = -999
    since = int((np.datetime64("1980-10-01") - dates[0]).astype(int))
    head = "YR MNTH DY HR SWE PRCP RAIM TAIR PET ET MOD_RUN OBS_RUN"
    zeros = "   0.0000000" * 6
    lines = [
        f"{day}{zeros} {m:11.7f} {o:11.7f}"
        for day, m, o in zip(days(dates), model, observed, strict=True)
    ]
    path.write_text("\n".join([head, *lines[since:], ""]))


MADE_BY: dict[str, Callable[[Path], None]] = {
    "SHAKESPEARE": text,
    "JSB": chorales,
    "FORCING": forcing,
    "RUNOFF": runoff,
}


def write(folder: Path) -> dict[str, data.Source]:
    """Writes all of them.

    Returns:
        Name in `experiments.data` -> the source, with the SHA-256 of what was written.
    """
    made = {}
    for constant, make in MADE_BY.items():
        source: data.Source = getattr(data, constant)
        path = folder / source.name
        make(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        made[constant] = source._replace(sha256=digest)
    return made
