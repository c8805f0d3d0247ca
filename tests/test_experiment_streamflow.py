# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Streamflow: what is read, and which days count for what."""

import dataclasses
import datetime
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from experiments import data
from experiments.streamflow import nets, run, series, train

pytestmark = [
    pytest.mark.usefixtures("as_users_have_it", "in_32_bits"),
]

RATES = run.rates(run.Settings())


@functools.cache
def read(*files: data.Source) -> series.Series:
    return series.read()


@pytest.fixture(params=["small", pytest.param("real", marks=pytest.mark.data)])
def basin(small_data: None) -> series.Series:
    return read(data.FORCING, data.RUNOFF)


def by_hand(observed: Any, predicted: Any) -> float:
    """Efficiency, one day after the other."""
    mean = sum(observed) / len(observed)
    missed = sum((o - f) ** 2 for o, f in zip(observed, predicted, strict=True))
    return 1 - missed / sum((o - mean) ** 2 for o in observed)


def test_what_is_read(basin: series.Series) -> None:
    """Against the files' own lines, split by hand."""
    lines = data.fetch(data.RUNOFF).read_text().splitlines()[1:]
    weather = data.fetch(data.FORCING).read_text().splitlines()[4:]
    first = lines[0].split()
    day = (datetime.date(*map(int, first[:3])) - datetime.date(1980, 1, 1)).days
    assert np.isnan(basin.observed[:day]).all() and len(basin.dates) == len(weather)
    for k in (0, 1000, len(lines) - 1):
        words, forcing = lines[k].split(), weather[day + k].split()
        assert words[:3] == forcing[:3] == str(basin.dates[day + k]).split("-")
        assert basin.sac_sma[day + k] == float(words[10])
        assert basin.observed[day + k] == float(words[11])
        kept = [float(forcing[c]) for c in (4, 5, 6, 8, 9, 10)]
        assert basin.forcing[day + k].tolist() == kept


def test_negative_runoff_is_missing(
    basin: series.Series, tmp_path: Path, monkeypatch: Any
) -> None:
    lines = data.fetch(data.RUNOFF).read_text().splitlines()
    *words, _ = lines[3].split()
    lines[3] = " ".join([*words, "-999.0000"])
    (tmp_path / "changed.txt").write_text("\n".join(lines))
    files = {data.RUNOFF: tmp_path / "changed.txt"}
    fetch = data.fetch
    monkeypatch.setattr(data, "fetch", lambda s: files.get(s) or fetch(s))
    changed = series.read()
    day = int(np.flatnonzero(changed.dates == np.datetime64("1980-10-03"))[0])
    assert np.isnan(changed.observed[day]) and basin.observed[day] >= 0
    assert changed.observed[day - 1] == float(lines[2].split()[-1])
    assert not train.job(
        run.Settings(warm_up=0), changed, series.SPLITS["forwards"], RATES, 0
    ).train[day]


def test_the_years_of_a_split_share_no_day(basin: series.Series) -> None:
    for split in series.SPLITS.values():
        parts = [basin.dates[series.days(basin.dates, years)] for years in split[:3]]
        assert len(np.unique(np.concatenate(parts))) == sum(map(len, parts))
        for part, (first, last) in zip(parts, split[:3], strict=True):
            assert str(part[0]) == f"{first - 1}-10-01"
            assert str(part[-1]) == f"{last}-09-30"
        first, last = split.apart
        chosen = {
            year
            for s in series.SPLITS.values()
            for year in range(s.choose[0], s.choose[1] + 1)
        }
        assert split.test[0] <= first <= last <= split.test[1]
        assert chosen.isdisjoint(range(first, last + 1))


@pytest.mark.parametrize("name", series.SPLITS)
def test_training_does_not_see_the_test_years(basin: series.Series, name: str) -> None:
    """Other run-off there, and other weather, change nothing in what training uses."""
    split, settings = series.SPLITS[name], run.Settings()
    test = series.days(basin.dates, split.test)
    observed, forcing = basin.observed.copy(), basin.forcing.copy()
    observed[test] += 7
    forcing[test] *= 3
    changed = basin._replace(observed=observed, forcing=forcing)
    one, two = (train.job(settings, b, split, RATES, 0) for b in (basin, changed))
    used = one.train | one.choose
    assert not used[test].any() and one.spread == two.spread
    np.testing.assert_array_equal(one.runoff[used], two.runoff[used])
    rest = np.setdiff1d(np.arange(len(used)), np.arange(test.start, test.stop))
    np.testing.assert_array_equal(one.x[rest], two.x[rest])
    years = basin.dates[one.train].astype("datetime64[D]")
    assert years[0] >= np.datetime64(f"{split.train[0] - 1}-10-01")
    assert years[-1] == np.datetime64(f"{split.train[1]}-09-30")
    of_train = series.days(basin.dates, split.train)
    np.testing.assert_allclose(one.x[of_train].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(one.x[of_train].std(0), 1, atol=1e-4)
    np.testing.assert_allclose(one.runoff[of_train].std(), 1, atol=1e-2)


@pytest.mark.parametrize("name", series.SPLITS)
def test_every_day_has_a_year_of_weather_before_it(
    basin: series.Series, name: str
) -> None:
    """A window fits the record, wherever it starts; so do the years that are judged."""
    settings = run.Settings()
    job = train.job(settings, basin, series.SPLITS[name], RATES, 3)
    drawn = train.draws(dataclasses.replace(settings, units=1), job, 2)
    assert 0 <= job.low <= drawn.first.min() and drawn.first.max() < job.high
    assert job.high + settings.warm_up + settings.days <= len(basin.dates)
    assert np.flatnonzero(job.train)[0] >= 365 <= np.flatnonzero(job.choose)[0]
    assert abs(drawn.keep.mean() - (1 - settings.dropout)) < 0.01
    starts, own = train.year_starts(settings, basin)
    days = (starts[:, None] + settings.warm_up + np.arange(366))[own]
    first = int((np.datetime64("1981-10-01") - basin.dates[0]).astype(int))
    last = int((np.datetime64("2014-09-30") - basin.dates[0]).astype(int))
    np.testing.assert_array_equal(days, np.arange(first, last + 1))


def test_efficiency(basin: series.Series) -> None:
    """By hand, with days that do not count."""
    rng = np.random.default_rng(0)
    observed, predicted = rng.random((2, 40))
    known = rng.random(40) < 0.7
    wanted = by_hand(observed[known].tolist(), predicted[known].tolist())
    found = nets.efficiency(predicted, observed, known)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    split = series.SPLITS["backwards"]
    known = np.isfinite(basin.observed)
    measured = run.measures(basin.sac_sma, basin, split, known)
    part = series.days(basin.dates, split.test)
    o, f = basin.observed[part], basin.sac_sma[part]
    np.testing.assert_allclose(measured["alpha"], f.std() / o.std())
    np.testing.assert_allclose(measured["beta"], (f.mean() - o.mean()) / o.std())


@pytest.mark.data
def test_efficiency_of_sac_sma_is_the_published_one() -> None:
    basin = series.read()
    known = np.isfinite(basin.observed)
    split = series.SPLITS["backwards"]
    measured = run.measures(basin.sac_sma, basin, split, known)
    assert round(measured["test"], 3) == 0.710 and round(measured["train"], 3) == 0.770


def test_all_predictions_are_judged_on_the_same_days(basin: series.Series) -> None:
    """Water year 1981, which no LSTM predicts, counts for nobody."""
    predicted = np.tile(basin.sac_sma, (2, 1))
    predicted[:, : series.first_day(basin.dates, 1982)] = np.nan
    predicted[1] += 1
    found = run.judged(predicted, basin, series.SPLITS["forwards"])
    assert found["LSTM"]["train"][0] == found["others"]["SAC-SMA"]["train"]
    part = series.days(basin.dates, (1982, 1995))
    wanted = by_hand(basin.observed[part], basin.sac_sma[part])
    np.testing.assert_allclose(found["LSTM"]["train"][0], wanted)
    wanted = by_hand(
        basin.observed[part], basin.observed[part.start - 1 : part.stop - 1]
    )
    np.testing.assert_allclose(found["others"]["persistence"]["train"], wanted)


def test_baselines(basin: series.Series) -> None:
    before = series.persistence(basin)
    np.testing.assert_array_equal(before[1:], basin.observed[:-1])
    usual = series.climatology(basin, (2000, 2008))
    day = int(np.flatnonzero(basin.dates == np.datetime64("1990-01-31"))[0])
    januaries = [np.datetime64(f"{year}-01-31") for year in range(2000, 2009)]
    found = basin.observed[np.isin(basin.dates, januaries)]
    assert len(found) == 9
    np.testing.assert_allclose(usual[day], found.mean())


def test_the_loss_counts_known_days_alone() -> None:
    network = nets.init(2, 3, 1.0, jax.random.key(0))._replace(b=jnp.asarray(0.3))
    rng = np.random.default_rng(1)
    x, runoff = rng.random((2, 7, 2), np.float32), rng.random((2, 4), np.float32)
    known, keep = rng.random((2, 4)) < 0.5, rng.random((2, 4, 3)) < 0.6
    rates = nets.Rates(0.0, 0.4, 0.5, 0.0)
    y = np.asarray(lstm_jax.apply(network.cell, x)[0])[:, 3:] * keep / 0.6
    errors = y @ np.asarray(network.w) + 0.3 - np.sqrt(runoff)
    found = nets.loss(network, rates, x, runoff, known, keep)
    np.testing.assert_allclose(found, np.mean(errors[known] ** 2), rtol=1e-5)


def test_what_is_predicted_stands_at_its_day(basin: series.Series) -> None:
    """One day's run-off by steps over its water year and the warm-up before it."""
    settings = dataclasses.replace(run.SMOKE, power=0.5)
    split = series.SPLITS["forwards"]
    job = train.job(settings, basin, split, run.rates(settings), 0)
    network = nets.init(6, settings.units, 3.0, jax.random.key(4))
    starts, _ = train.year_starts(settings, basin)
    x, *_ = train.cut(settings, job, starts, 366)
    best = np.asarray(nets.predict(network, 0.5, x, settings.warm_up))
    found = train.runoff(settings, basin, [job], best[None])[0]
    october = series.first_day(basin.dates, 2003)
    x = job.x[october - 365 : october + 366]
    y, _ = lstm_jax.apply(network.cell, x)
    wanted = np.maximum(0, np.asarray(y @ network.w + network.b))[365:] ** 2
    np.testing.assert_allclose(
        found[october : october + 365], wanted[:365] * job.spread, rtol=1e-4, atol=1e-6
    )
    assert np.isnan(found[: series.first_day(basin.dates, 1982)]).all()
    assert np.isnan(found[series.first_day(basin.dates, 2015) :]).all()
