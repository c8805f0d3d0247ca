# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Training and tuning that experiments share, on top of `lstm_jax.training`.

Networks of several seeds are trained side by side: their trees have a leading axis.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments._results import rounded, to_json
from lstm_jax import training


def seed_keys(seeds: Sequence[int], stream: int) -> jax.Array:
    """One random key a seed (S,), different for every `stream`."""
    return jnp.stack([jax.random.fold_in(jax.random.key(s), stream) for s in seeds])


def stack(trees: Sequence[Any]) -> Any:
    """Trees of one structure as one tree, with a new leading axis.

    NumPy does it, for which nothing is compiled.
    """
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


class Network(NamedTuple):
    """A layer of cells or a `Stack`, and the linear layer (w, b) that reads it."""

    cell: Any
    w: jax.Array
    b: jax.Array


class Learner(NamedTuple):
    """A network in training.

    Attributes:
        params: any tree.
        opt_state: of the optimizer.
        carry: what one batch leaves for the next, or None.
    """

    params: Any
    opt_state: Any
    carry: Any = None


def run_steps(
    loss: Any,
    tx: optax.GradientTransformation,
    learner: Learner,
    batches: Any = None,
    *,
    key: jax.Array | None = None,
    first: Any = 0,
    steps: int | None = None,
) -> tuple[Learner, jax.Array, Any]:
    """Runs `lstm_jax.training.train_step` on batches, as one `lax.scan`.

    A `TrainState` holds its optimizer as static data and could not leave a function in
    which a learning rate is traced, as it is where each of several networks under vmap
    has its own. So the optimizer stays outside of the learner.

    Args:
        loss: as `train_step` takes it.
        tx: the optimizer.
        learner: before the first step.
        batches: leaves (steps, ...); None where the loss draws its own from the key.
        key: step s gives the loss `fold_in(key, s)`.
        first: number of the first step.
        steps: how many, where there are no batches.

    Returns:
        The learner; the values (steps,) of the loss, and its metrics.
    """
    step = training.train_step(loss)

    def one(state: training.TrainState, batch: Any) -> Any:
        state, outcome = step(state, batch)
        return state, (outcome.loss, outcome.metrics)

    state = training.TrainState(
        step=jnp.asarray(first, jnp.int32),
        apply_fn=None,  # type: ignore[arg-type]  # the loss calls the network
        params=learner.params,
        tx=tx,
        opt_state=learner.opt_state,
        carry=learner.carry,
        key=key,
    )
    state, (values, metrics) = jax.lax.scan(one, state, batches, steps)
    return Learner(state.params, state.opt_state, state.carry), values, metrics


class ParamsEma(NamedTuple):
    """State of `params_ema`: how many updates there were, and the average."""

    updates: jax.Array
    average: Any


def params_ema(decay: Callable[[Any], Any]) -> optax.GradientTransformation:
    """Keeps an exponential moving average of the parameters; the last in a chain.

    Args:
        decay: number of updates before -> decay.
    """

    def init(params: Any) -> ParamsEma:
        return ParamsEma(jnp.zeros((), jnp.int32), params)

    def update(updates: Any, state: ParamsEma, params: Any) -> tuple[Any, ParamsEma]:
        new = optax.apply_updates(params, updates)
        share = 1 - decay(state.updates)
        average = optax.incremental_update(new, state.average, share)
        return updates, ParamsEma(state.updates + 1, average)

    return optax.GradientTransformation(init, update)


class TuningLog:
    """The settings that a tune.py has tried, and what came of them.

    Attributes:
        path: JSON file, a list of dicts.
        rows: its content.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = json.loads(path.read_text()) if path.exists() else []

    def __contains__(self, key: dict[str, Any]) -> bool:
        return any(key.items() <= row.items() for row in self.rows)

    def add(self, *rows: dict[str, Any]) -> None:
        """Appends rows and writes the file."""
        self.rows += rounded(rows)
        self.path.write_text(to_json(self.rows))
