# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Weather and run-off of CAMELS basin 01031500, and which years serve for what."""

from typing import NamedTuple

import numpy as np

from experiments import data

FORCINGS = (
    "day length",
    "precipitation",
    "radiation",
    "highest temperature",
    "lowest temperature",
    "vapour pressure",
)
COLUMNS = (4, 5, 6, 8, 9, 10)  # of the forcing file; 7 is snow, and 0 throughout

Years = tuple[int, int]  # the first and the last water year


class Series(NamedTuple):
    """One value a day, N days in a row.

    Attributes:
        dates: (N,) datetime64[D].
        forcing: (N, 6) in the order of `FORCINGS`.
        observed: (N,) run-off, mm/day; NaN where it is missing.
        sac_sma: (N,) run-off by SAC-SMA, mm/day; NaN where there is none.
    """

    dates: np.ndarray
    forcing: np.ndarray
    observed: np.ndarray
    sac_sma: np.ndarray


class Split(NamedTuple):
    """Which water years serve for what; both ends belong to it.

    Attributes:
        train: fits parameters and scales.
        choose: chooses the update whose parameters are kept.
        test: is looked at once.
        apart: those test years by which nothing was chosen for another split either.
    """

    train: Years
    choose: Years
    test: Years
    apart: Years


SPLITS = {
    "forwards": Split((1981, 1995), (1996, 1999), (2000, 2008), (2000, 2008)),
    "backwards": Split((2000, 2008), (2009, 2014), (1990, 1999), (1990, 1995)),
}


def read() -> Series:
    """Reads both files, on the days of the longer one."""
    forcing = np.loadtxt(data.fetch(data.FORCING), skiprows=4)
    runoff = np.loadtxt(data.fetch(data.RUNOFF), skiprows=1)
    dates = _dates(forcing)
    both = np.full((len(dates), 2), np.nan)
    both[np.searchsorted(dates, _dates(runoff))] = runoff[:, 10:12]
    both[both < 0] = np.nan
    return Series(dates, forcing[:, COLUMNS], both[:, 1], both[:, 0])


def _dates(table: np.ndarray) -> np.ndarray:
    days = ["{:04.0f}-{:02.0f}-{:02.0f}".format(*row[:3]) for row in table]
    dates = np.asarray(days, "datetime64[D]")
    if (np.diff(dates) != np.timedelta64(1, "D")).any():
        raise ValueError("read: a file of the basin leaves out days.")
    return dates


def first_day(dates: np.ndarray, year: int) -> int:
    """Index of 1 October of the calendar year before; negative before the record."""
    october = np.datetime64(f"{year - 1}-10-01")
    return int((october - dates[0]).astype(int))


def days(dates: np.ndarray, years: Years) -> slice:
    """The days of the water years from the first to the last."""
    first, last = years
    return slice(first_day(dates, first), first_day(dates, last + 1))


def scale(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation along time; missing days do not count."""
    return np.nanmean(values, 0), np.nanstd(values, 0)


def climatology(series: Series, years: Years) -> np.ndarray:
    """Mean run-off of each day of the year in these years, repeated for all N days."""
    of_year = (series.dates - series.dates.astype("datetime64[Y]")).astype(int)
    known = days(series.dates, years)
    found = series.observed[known]
    means = [np.nanmean(found[of_year[known] == day]) for day in range(366)]
    return np.asarray(means)[of_year]


def persistence(series: Series) -> np.ndarray:
    """The run-off observed the day before."""
    return np.concatenate([[np.nan], series.observed[:-1]])
