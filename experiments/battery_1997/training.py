# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Online learning, an update a sequence or a step, and when it is done."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import lstm_jax
from experiments._run_cache import RunCache
from experiments.battery_1997.nets import Net, outputs, readout
from experiments.battery_1997.tasks import Sample, Strings, all_right

# (key, choice) -> a sequence; the choice is of a reading or of a training set.
Draw = Callable[[jax.Array, jax.Array], Sample]
Update = Callable[[Net, Sample, jax.Array], tuple[Net, jax.Array]]
OnProgress = Callable[[int, int], None]  # (sequences so far, nets that succeeded)

# Readings of "the average error is below … and the last 2,000 are right".
CRITERIA = "mean error", "mean square", "all", "both"
BOTH = CRITERIA.index("both")


class Trials(NamedTuple):
    """What differs between nets that learn side by side; each is (S,).

    Attributes:
        key: of the sequences.
        choice: for the task.
        rate: of learning.
    """

    key: jax.Array
    choice: jax.Array
    rate: jax.Array


def errors(y: jax.Array, sample: Sample) -> jax.Array:
    """Largest, mean and mean square error (3,) of the outputs where they are asked."""
    gap = jnp.abs(y - sample.target)
    parts = jnp.stack([gap.max(-1), gap.mean(-1), jnp.square(gap).mean(-1)])
    return parts @ sample.asked / sample.asked.sum()


def descend(net: Net, gradient: Net, rate: jax.Array) -> Net:
    """One step of gradient descent."""
    return jax.tree.map(lambda p, d: p - rate * d, net, gradient)


def update(net: Net, sample: Sample, rate: jax.Array) -> tuple[Net, jax.Array]:
    """One step down half the squared error; gives `errors` before it as well."""

    def loss(net: Net) -> tuple[jax.Array, jax.Array]:
        y = outputs(net, sample.x)
        squares = jnp.square(y - sample.target).sum(-1)
        return 0.5 * squares @ sample.asked, errors(y, sample)

    gradient, found = jax.grad(loss, has_aux=True)(net)
    return descend(net, gradient, rate), found


def update_each_step(
    net: Net, sample: Sample, rate: jax.Array
) -> tuple[Net, jax.Array]:
    """One step of descent at every step of the sequence, with the gradient of 1997.

    What comes in from the step before is a constant but for the cell state, whose
    derivatives with respect to the weights, the trace, are carried forward.
    """

    def step(carry: Any, now: Sample) -> tuple[Any, jax.Array]:
        net, state, trace = carry

        def loss(net: Net, c: jax.Array) -> tuple[jax.Array, Any]:
            after, h = lstm_jax.lstm_step(net.cell, state._replace(c=c), now.x)
            y = readout(net, h[None])[0]
            return 0.5 * now.asked * jnp.square(y - now.target).sum(), (after, y)

        (own, by_c), (after, y) = jax.grad(loss, (0, 1), has_aux=True)(net, state.c)
        cell = jax.tree.map(lambda g, t: g + jnp.tensordot(by_c, t, 1), own.cell, trace)
        added = jax.jacrev(lambda cell: lstm_jax.lstm_step(cell, state, now.x)[0].c)(
            net.cell
        )
        trace = jax.tree.map(jnp.add, trace, added)
        return (descend(net, own.replace(cell=cell), rate), after, trace), y

    state = lstm_jax.zero_state(net.cell)
    trace = jax.tree.map(lambda a: jnp.zeros((*state.c.shape, *a.shape)), net.cell)
    (net, _, _), y = jax.lax.scan(step, (net, state, trace), sample)
    return net, errors(y, sample)


def learn(
    update: Update, draw: Draw, count: int, net: Net, trial: Trials, begin: jax.Array
) -> tuple[Net, jax.Array]:
    """Learns from `count` sequences; gives the net and the `errors` of each."""

    def one(net: Net, n: jax.Array) -> tuple[Net, jax.Array]:
        sample = draw(jax.random.fold_in(trial.key, n), trial.choice)
        return update(net, sample, trial.rate)

    return jax.lax.scan(one, net, begin + jnp.arange(count))


class TrainingRun(NamedTuple):
    """Nets that learn side by side.

    Attributes:
        name: of the part of the run.
        update: learns from a sequence.
        draw: gives the sequences.
        nets: one a trial.
        trials: (S,).
        budget: sequences at most; a multiple of the size.
        size: sequences in one program, which is run again and again.
        on_progress: called after each chunk.
    """

    name: str
    update: Update
    draw: Draw
    nets: Net
    trials: Trials
    budget: int
    size: int
    on_progress: OnProgress

    def loop(
        self, cache: RunCache, state: Any, program: Callable[..., Any], done: Any
    ) -> Any:
        """Calls program(begin, state) until all is done or the budget is spent."""

        def chunk(n: int, state: Any) -> Any:
            state = program(n * self.size, state)
            self.on_progress((n + 1) * self.size, int(done(state).sum()))
            return state

        return cache.loop(
            self.name,
            state,
            chunk,
            self.budget // self.size,
            lambda state: bool(done(state).all()),
        )


class Bars(NamedTuple):
    """What counts as success.

    Attributes:
        mean: the error of the last `window` sequences is below this on average.
        each: no error of theirs reaches this.
        window: 2,000 in the paper.
    """

    mean: float
    each: float
    window: int


def milestones(
    first: np.ndarray, recent: np.ndarray, new: np.ndarray, begin: int, bars: Bars
) -> np.ndarray:
    """After how many sequences each of `CRITERIA` holds for the first time.

    Args:
        first: (S, 4) what is known; 0 where none held yet.
        recent: (S, window, 3) `errors` before.
        new: (S, n, 3) `errors` of the sequences after `begin`.
        begin: sequences before.
        bars: what counts.

    Returns:
        `first`, brought up to date.
    """
    largest, mean, square = np.moveaxis(np.concatenate([recent, new], 1), -1, 0)

    def moving(values: np.ndarray) -> np.ndarray:
        total = np.cumsum(values, 1, dtype=float)
        return (total[:, bars.window :] - total[:, : -bars.window]) / bars.window

    low, right = moving(mean) < bars.mean, moving(~(largest < bars.each)) == 0
    holds = np.stack([low, moving(square) < bars.mean, right, low & right], 1)
    count = begin + 1 + np.arange(new.shape[1])
    holds &= count >= bars.window
    found = np.where(holds.any(-1), count[holds.argmax(-1)], 0)
    return np.where(first == 0, found, first)


class Found(NamedTuple):
    """What became of nets; each is (S, …).

    Attributes:
        first: (S, 4) the milestones of `CRITERIA`, 0 for never.
        wrong: how many fresh sequences are not right.
    """

    first: np.ndarray
    wrong: np.ndarray


def until_right(
    cache: RunCache, run: TrainingRun, bars: Bars, tests: jax.Array, fresh: int
) -> Found:
    """Learns until all trials meet both bars, or the budget is spent; then tests.

    Args:
        cache: of the run.
        run: nets, task and budget.
        bars: what counts as success.
        tests: (S,) keys of sequences that no net has seen.
        fresh: how many of them a net is tested with, as it was at the end of the
            chunk in which it met both bars, or of the budget.

    Returns:
        What was found.
    """
    one = partial(learn, run.update, run.draw, run.size)
    step = jax.jit(jax.vmap(one, (0, 0, None)))
    count = len(run.trials.choice)

    def program(begin: int, state: Any) -> Any:
        nets, new = jax.device_get(step(state["nets"], run.trials, begin))
        open_ = state["first"][:, BOTH] == 0

        def keep(old: np.ndarray, new: np.ndarray) -> np.ndarray:
            return np.where(open_.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return {
            "nets": nets,
            "first": milestones(state["first"], state["recent"], new, begin, bars),
            "recent": np.concatenate([state["recent"], new], 1)[:, -bars.window :],
            "kept": jax.tree.map(keep, state["kept"], nets),
        }

    nets = jax.device_get(run.nets)
    state = {
        "nets": nets,
        "first": np.zeros((count, len(CRITERIA)), int),
        "recent": np.ones((count, bars.window, 3), np.float32),
        "kept": nets,
    }
    state = run.loop(cache, state, program, lambda s: s["first"][:, BOTH] > 0)
    # With a rate of 0 the program that has been compiled already learns nothing.
    test = run.trials._replace(key=tests, rate=jnp.zeros(count))
    errors = np.concatenate(
        [step(state["kept"], test, n)[1] for n in range(0, fresh, run.size)], 1
    )[:, :fresh]
    wrong = (~(errors[..., 0] < bars.each)).sum(1)
    return Found(state["first"], wrong)


def until_all_strings(cache: RunCache, run: TrainingRun, sets: Strings) -> np.ndarray:
    """Learns until every string of a trial's sets is predicted without fault.

    Args:
        cache: of the run.
        run: its size is the number of sequences between two looks at the sets; its
            trials choose among them.
        sets: (2, sets, strings, N): training and test strings.

    Returns:
        (S, 2) sequences until the first look at which all training strings were right,
        and all of both sets; 0 for never.
    """

    def one(net: Net, trial: Trials, begin: jax.Array) -> tuple[Net, jax.Array]:
        net, _ = learn(run.update, run.draw, run.size, net, trial, begin)
        x = jax.nn.one_hot(jnp.asarray(sets.symbols)[:, trial.choice], 7)
        y = jax.vmap(jax.vmap(partial(outputs, net)))(x)
        legal = jnp.asarray(sets.legal)[:, trial.choice]
        right = all_right(y, legal).all(-1)
        return net, jnp.stack([right[0], right.all()])

    step = jax.jit(jax.vmap(one, (0, 0, None)))

    def program(begin: int, state: Any) -> Any:
        nets, holds = jax.device_get(step(state["nets"], run.trials, begin))
        new = (state["first"] == 0) & holds
        first = np.where(new, begin + run.size, state["first"])
        return {"nets": nets, "first": first}

    first = np.zeros((len(run.trials.choice), 2), int)
    state = {"nets": run.nets, "first": first}
    state = run.loop(cache, state, program, lambda s: s["first"][:, 1] > 0)
    return state["first"]
