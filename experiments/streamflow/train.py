# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trains many networks side by side, each with its own years, seed and rates."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments._run_cache import RunCache
from experiments._training import Learner, Network, params_ema, run_steps, stack
from experiments.streamflow import nets
from experiments.streamflow.series import Series, Split, days, first_day, scale

YEAR = 366


class Job(NamedTuple):
    """One network's data and rates; day t is the same day in every (N,) array.

    Attributes:
        seed: of all that is random in it.
        rates: of its training.
        x: (N, I) weather, in mean and standard deviation of the training years.
        runoff: (N,) observed, in standard deviations of the training years; 0 where
            missing.
        train: (N,) days that the loss sees.
        choose: (N,) days by which the update is chosen.
        spread: standard deviation of the training years' run-off, mm/day.
        low: first day at which a training window may start.
        high: the day after the last such.
    """

    seed: Any
    rates: nets.Rates
    x: Any
    runoff: Any
    train: Any
    choose: Any
    spread: Any
    low: Any
    high: Any


class State(NamedTuple):
    """All networks in training, leaves (M, ...).

    Attributes:
        learner: after the last update; its optimizer has the average of parameters.
        best: (M, Y, 366) run-off by the average, in standard deviations, at the update
            with the highest efficiency in the validation years.
        curve: (M, chunks) efficiency of the average in the validation years.
    """

    learner: Learner
    best: Any
    curve: Any


def job(
    settings: Any, series: Series, split: Split, rates: nets.Rates, seed: int
) -> Job:
    """What one network is trained on.

    Nothing outside the training years goes into the scales, and none but their days
    into the loss; a window may reach over their ends, for else the first and the last
    days would be seen less often than all others.
    """
    known = np.isfinite(series.observed)
    known[: settings.warm_up] = False
    chosen = np.zeros_like(known)
    trained = chosen.copy()
    years = days(series.dates, split.train)
    trained[years] = known[years]
    chosen[days(series.dates, split.choose)] = True
    mean, spread = scale(series.forcing[years])
    _, of_runoff = scale(series.observed[years])
    begin = settings.warm_up + settings.days // 2
    return Job(
        np.int32(seed),
        nets.Rates(*(np.float32(rate) for rate in rates)),
        ((series.forcing - mean) / spread).astype(np.float32),
        (np.nan_to_num(series.observed) / of_runoff).astype(np.float32),
        trained,
        chosen & known,
        of_runoff,
        np.int32(max(0, years.start - begin)),
        np.int32(years.stop - begin),
    )


def year_starts(settings: Any, series: Series) -> tuple[np.ndarray, np.ndarray]:
    """The water years that have a whole warm-up before them.

    Returns:
        The first day of the warm-up of each (Y,); and which of its 366 days are its
        own (Y, 366), since most years have one less.
    """
    last = series.dates[-1].astype("datetime64[Y]").astype(int) + 1970
    first = [first_day(series.dates, year) for year in range(1981, last + 2)]
    length = np.diff(first)
    starts = np.asarray(first[:-1]) - settings.warm_up
    whole = starts >= 0
    return starts[whole], (np.arange(YEAR) < length[:, None])[whole]


def cut(settings: Any, job: Job, first: Any, days: int) -> tuple[Any, ...]:
    """Windows: x with the warm-up; run-off, train and choose without it."""
    rest = (job.runoff, job.train, job.choose)
    return (
        nets.windows(job.x, first, settings.warm_up + days),
        *(nets.windows(a, first + settings.warm_up, days) for a in rest),
    )


def optimizer(settings: Any, rates: nets.Rates) -> optax.GradientTransformation:
    """Adam with clipped gradients and a step that falls as a cosine."""
    schedule = optax.cosine_decay_schedule(1.0, settings.updates)
    return optax.chain(
        optax.clip_by_global_norm(settings.clip),
        optax.adam(lambda count: rates.learning_rate * schedule(count)),
        params_ema(lambda _: rates.average),
    )


class Draws(NamedTuple):
    """What is random in a chunk of updates of one network.

    Attributes:
        first: (every, B) first days of windows.
        keep: (every, B, days, H) outputs that dropout lets pass.
    """

    first: Any
    keep: Any


def draws(settings: Any, job: Job, n: int) -> Draws:
    """The n-th chunk's, from the seed and n alone.

    NumPy draws them, since the code for JAX's takes longer to compile than all else.
    """
    rng = np.random.default_rng((int(job.seed), n))
    shape = settings.every, settings.batch_size
    first = rng.integers(job.low, job.high, shape)
    uniform = rng.random((*shape, settings.days, settings.units), np.float32)
    return Draws(first.astype(np.int32), uniform >= job.rates.dropout)


def train_chunk(
    settings: Any,
    starts: Any,
    own: Any,
    n: jax.Array,
    state: State,
    job: Job,
    drawn: Draws,
) -> State:
    """Some updates of one network, then its efficiency."""

    def loss(network: Network, carry: Any, batch: Draws, _: Any) -> Any:
        x, runoff, known, _ = cut(settings, job, batch.first, settings.days)
        value = nets.loss(network, job.rates, x, runoff, known, batch.keep)
        return value, (carry, {})

    learner, _, _ = run_steps(
        loss, optimizer(settings, job.rates), state.learner, drawn
    )
    x, observed, _, choose = cut(settings, job, starts, YEAR)
    average = learner.opt_state[-1].average
    found = nets.predict(average, job.rates.power, x, settings.warm_up)
    value = nets.efficiency(found, observed, choose & own)
    better = value > state.curve.max()
    best = jnp.where(better, found, state.best)
    return State(learner, best, state.curve.at[n].set(value))


def chunks(settings: Any) -> int:
    """How often a network is looked at while it is trained."""
    return settings.updates // settings.every


def start(settings: Any, jobs: list[Job], years: int) -> State:
    """All networks before training."""
    inputs = jobs[0].x.shape[1]
    init = partial(nets.init, inputs, settings.units, settings.forget_bias)
    network = stack([init(jax.random.key(int(job.seed))) for job in jobs])
    tx = optimizer(settings, jobs[0].rates)
    opt_state = jax.jit(jax.vmap(tx.init))(network)
    best = np.zeros((len(jobs), years, YEAR), np.float32)
    curve = np.full((len(jobs), chunks(settings)), -np.inf, np.float32)
    return State(Learner(network, opt_state), best, curve)


def train(
    settings: Any,
    series: Series,
    jobs: list[Job],
    cache: RunCache,
    on_progress: Callable[[int, State], None],
) -> State:
    """Trains one network a job; calls on_progress(n, state) after chunk n."""
    starts, own = year_starts(settings, series)
    one = partial(train_chunk, settings, starts, own)
    program = jax.jit(jax.vmap(one, (None, 0, 0, 0)))
    together = jax.device_put(stack(jobs))

    def more(n: int, state: State) -> State:
        drawn = stack([draws(settings, job, n) for job in jobs])
        state = program(n, state, together, drawn)
        on_progress(n, state)
        return state

    begin = start(settings, jobs, len(starts))
    return cache.loop("training", begin, more, chunks(settings))


def runoff(settings: Any, series: Series, jobs: list[Job], best: Any) -> np.ndarray:
    """Whole years (M, Y, 366) as mm/day (M, N); NaN outside them."""
    starts, own = year_starts(settings, series)
    index = starts[:, None] + settings.warm_up + np.arange(YEAR)
    found = np.full((len(jobs), len(series.dates)), np.nan)
    found[:, index[own]] = best[:, own]
    return found * np.asarray([job.spread for job in jobs])[:, None]
