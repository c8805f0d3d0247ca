# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A run: stretches of steps, each a scan, with what must be saved between them."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from lstm_jax.training._checkpoints import Checkpoints
from lstm_jax.training._checks import whole
from lstm_jax.training._leaves import paths
from lstm_jax.training._log import Log
from lstm_jax.training._mean import Mean
from lstm_jax.training._steps import Outcome, Step, TrainState, epoch


class Diverged(FloatingPointError):
    """A loss, gradient or parameter is not finite, or the loss is too large.

    Attributes:
        step: the number of the first step, from 0, that went wrong.
        groups: paths of the parameters concerned: those whose gradient is not finite,
            or else that are not finite after the step; or else the one whose gradient
            is largest, measured by its own norm.
        checkpoint: where the last good state is, or None.
    """

    def __init__(
        self, step: int, loss: float, groups: list[str], checkpoint: Any
    ) -> None:
        self.step, self.groups, self.checkpoint = step, groups, checkpoint
        listed = ", ".join(groups[:5]) + (" and others" if len(groups) > 5 else "")
        kept = "there is none" if checkpoint is None else str(checkpoint)
        super().__init__(
            f"fit: loss {loss:.4g} at step {step}; parameters concerned: {listed}; "
            f"last good checkpoint: {kept}."
        )


# What a line of the log says whatever the metrics are.
RESERVED = {"step", "loss", "gradient_norm", "steps_per_second", "diverged"}


def fit(
    step: Step,
    state: TrainState,
    batches: Callable[[int], Any],
    *,
    steps: int,
    every: int = 100,
    checkpoints: Checkpoints | None = None,
    log: Log | None = None,
    max_loss: float | None = None,
) -> TrainState:
    """Trains for a number of steps in all, going on from the newest checkpoint.

    Steps go to the device in stretches of `every`, each one scan; after a stretch the
    log has a line and the state is saved. Since batch and random key are functions of
    the step alone, and stretches begin at the same steps however often the run was
    killed, the parameters at the end are the same bit for bit.

    Args:
        step: what `train_step` gave.
        state: before the first step.
        batches: batch(step), a tree of arrays; a function of the step alone, as `cycle`
            gives. Batches of one shape run as a scan; a stretch with several shapes
            step by step, with one trace a shape.
        steps: at which to end, counted from the first step of the first start.
        every: steps of a stretch.
        checkpoints: where to save, and from where to go on.
        log: where to write the means of a stretch.
        max_loss: a larger loss is an error too.

    Returns:
        The state after the last step.

    Raises:
        TypeError: an argument is of another kind, as an iterator for batches.
        Diverged: a loss, gradient or parameter is not finite, or the loss exceeds
            `max_loss`; nothing of that stretch is saved.
        ValueError: the checkpoints are of another run, of a later step, or none is
            whole; a metric has a name that the log has for itself.

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax, optax
        >>> from lstm_jax import training
        >>> def loss(params, carry, batch, key):
        ...     y, _ = lstm_jax.apply(params, batch)
        ...     return jnp.mean(y**2), (carry, {})
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, dtype="float32")
        >>> state = training.create(params, optax.sgd(0.1))
        >>> step = training.train_step(loss)
        >>> batch = training.cycle(jnp.ones((4, 2, 7, 3), "float32"))  # 4 batches
        >>> int(training.fit(step, state, batch, steps=10, every=4).step)
        10
    """
    _check(step, state, batches, checkpoints, log)
    whole("fit", "steps", steps, 0)
    whole("fit", "every", every, 1)
    last = None
    if checkpoints is not None:
        restored = checkpoints.restore(state)
        if restored is not None:
            state, last = restored.state, checkpoints.path(restored.step)
    advance = _Advance(step)
    at = int(state.step)
    if at > steps:
        raise ValueError(
            f"fit: steps must be at least {at}, where the state is; got {steps}."
        )
    if log is not None:
        log.begin(at, steps)
    try:
        while at < steps:
            end = min(at - at % every + every, steps)
            start = time.perf_counter()
            stretch = [_batch(batches, s) for s in range(at, end)]
            state, outcomes = advance(state, stretch)
            outcomes = jax.device_get(outcomes)
            seconds = time.perf_counter() - start
            line = summary(outcomes) | {"steps_per_second": (end - at) / seconds}
            wrong = _wrong(outcomes, max_loss)
            if wrong is not None:
                where, groups = wrong
                if log is not None:
                    log.write(end, line | {"diverged": ", ".join(groups)})
                raise Diverged(at + where, outcomes.loss[where], groups, last)
            if log is not None:
                log.write(end, line)
            if checkpoints is not None:
                checkpoints.save(state)
                last = checkpoints.path(end)
            at = end
    finally:
        if log is not None:
            log.close()
    return state


def _check(step: Any, state: Any, batches: Any, checkpoints: Any, log: Any) -> None:
    """Checks the kinds of the arguments."""
    fixes = {
        "step": (callable(step), step, "what training.train_step gives", ""),
        "state": (
            isinstance(state, TrainState),
            state,
            "a TrainState",
            " training.create(params, optimiser) makes one.",
        ),
        "batches": (
            callable(batches),
            batches,
            "a function of the step's number that gives its batch",
            " training.cycle(arrays) makes one; of a list, lambda step: batches[step].",
        ),
        "checkpoints": (
            isinstance(checkpoints, Checkpoints | None),
            checkpoints,
            "Checkpoints or None",
            " Pass training.Checkpoints(folder).",
        ),
        "log": (
            isinstance(log, Log | None),
            log,
            "a Log or None",
            " Pass training.Log(...).",
        ),
    }
    for name, (good, value, wanted, fix) in fixes.items():
        if not good:
            kind = type(value).__name__
            raise TypeError(f"fit: {name} must be {wanted}; got {kind}.{fix}")


def _batch(batches: Callable[[int], Any], step: int) -> Any:
    batch = batches(step)
    if isinstance(batch, Iterator):  # which JAX warns of as a leaf
        kinds = {type(batch).__name__}
    else:
        kinds = {type(a).__name__ for a in jax.tree.leaves(batch) if not _array(a)}
    if kinds or not jax.tree.leaves(batch):
        raise TypeError(
            f"fit: batches({step}) must be a tree of arrays; got "
            f"{', '.join(sorted(kinds)) or 'one without any'}."
        )
    return batch


def _array(leaf: Any) -> bool:
    return hasattr(leaf, "shape") or isinstance(leaf, int | float)


class _Advance:
    """Runs a stretch: as one scan, or step by step where shapes differ."""

    def __init__(self, step: Step) -> None:
        self._scan, self._step = epoch(step), jax.jit(step)

    def __call__(self, state: TrainState, batches: list[Any]) -> Any:
        shapes = {
            (jax.tree.structure(b), *map(np.shape, jax.tree.leaves(b))) for b in batches
        }
        if len(shapes) == 1:
            stacked = jax.tree.map(lambda *a: np.stack(a), *batches)
            return self._scan(state, stacked)
        outcomes = []
        for batch in batches:
            state, outcome = self._step(state, batch)
            outcomes.append(outcome)
        return state, jax.tree.map(lambda *a: np.stack(a), *outcomes)


def summary(outcomes: Outcome) -> dict[str, float]:
    """Means over the steps of a stretch, by name."""
    norm = np.sqrt(sum(np.square(a) for a in jax.tree.leaves(outcomes.gradient)))
    values = {"loss": _mean(outcomes.loss), "gradient_norm": _mean(norm)}
    means, _ = jax.tree_util.tree_flatten_with_path(
        outcomes.metrics, is_leaf=lambda m: isinstance(m, Mean)
    )
    for path, metric in means:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name in RESERVED:
            raise ValueError(f"fit: no metric may have the name {name}.")
        if isinstance(metric, Mean):
            total, count = (
                np.sum(a, dtype=np.float64) for a in (metric.total, metric.count)
            )
            values[name] = float(total / count) if count else 0.0
        else:
            values[name] = _mean(metric)
    return values


def _mean(a: Any) -> float:
    """In float64: NumPy would add up 16-bit numbers in 16 bits."""
    return float(np.mean(np.asarray(a, np.float64)))


def _wrong(outcomes: Outcome, max_loss: float | None) -> tuple[int, list[str]] | None:
    """The first step that went wrong, if any, and the parameters concerned."""
    gradient, params = paths(outcomes.gradient), paths(outcomes.params)
    bad = ~np.isfinite(outcomes.loss)
    for norm in (*gradient.values(), *params.values()):
        bad = bad | ~np.isfinite(norm)
    if max_loss is not None:
        bad = bad | (outcomes.loss > max_loss)
    if not bad.any():
        return None
    at = int(bad.argmax())
    for norms in (gradient, params):
        groups = [name for name, norm in norms.items() if not np.isfinite(norm[at])]
        if groups:
            return at, groups
    ratios = {n: gradient[n][at] / (params[n][at] + 1e-30) for n in gradient}
    return at, [max(ratios, key=ratios.__getitem__)]
