# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One step of training, and many as one scan."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import flax.training.train_state
import jax
import jax.numpy as jnp
import optax

# (params, carry, batch, key) -> (value, (carry, metrics))
Loss: TypeAlias = Callable[[Any, Any, Any, Any], tuple[Any, tuple[Any, Any]]]
Step: TypeAlias = Callable[["TrainState", Any], tuple["TrainState", "Outcome"]]


class TrainState(flax.training.train_state.TrainState):
    """All that a run needs to go on: Flax's `TrainState`, and two items more.

    Attributes:
        step: int32 (): batches seen; the position in the data and among random keys.
        params: any tree.
        opt_state: the optimiser's.
        carry: what one batch leaves for the next, as the state of a network; or None.
        key: the random key of the whole run, or None; step s draws from
            `jax.random.fold_in(key, s)`.
        tx: the Optax optimiser; static.
        apply_fn: Flax's, unused here; static.
    """

    carry: Any = None
    key: Any = None


class Outcome(NamedTuple):
    """What a step tells; under an epoch every leaf has an axis of steps in front.

    Attributes:
        loss: () the value that was differentiated.
        metrics: whatever the loss gave beside it.
        gradient: a tree like the parameters: the norm of each leaf's gradient, before
            the optimiser sees it.
        params: likewise, the norm of each leaf after the step.
    """

    loss: Any
    metrics: Any
    gradient: Any
    params: Any


def _unused(*args: Any) -> Any:
    raise NotImplementedError("TrainState.apply_fn: train_step takes a loss instead.")


def create(params: Any, tx: Any, *, carry: Any = None, key: Any = None) -> TrainState:
    """A state before the first step.

    Args:
        params: any tree of arrays.
        tx: an Optax `GradientTransformation`; chain clipping before it, and wrap it in
            `optax.MultiSteps` to accumulate gradients over batches.
        carry: what enters the first batch, as `lstm_jax.zero_state` gives it.
        key: a random key, where the loss draws.

    Returns:
        A `TrainState` at step 0.

    Example:
        >>> import jax, lstm_jax, optax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
        >>> int(create(params, tx).step)
        0
    """
    # What jit would make of NumPy's and Python's numbers is what a checkpoint has.
    params, carry = jax.tree.map(jnp.asarray, (params, carry))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        apply_fn=_unused,
        params=params,
        tx=tx,
        opt_state=tx.init(params),
        carry=carry,
        key=key,
    )


def norms(tree: Any) -> Any:
    """The Euclidean norm of every leaf, at least in float32."""

    def norm(a: jax.Array) -> jax.Array:
        wide = a.astype(jnp.promote_types(a.dtype, jnp.float32))
        return jnp.sqrt(jnp.sum(jnp.square(jnp.abs(wide))))

    return jax.tree.map(norm, tree)


def train_step(loss: Loss) -> Step:
    """A step of training, from any loss; the body of a `jax.lax.scan`.

    What it does::

        key = fold_in(state.key, state.step)
        (value, (carry, metrics)), gradient = value_and_grad(loss)(params, carry, batch, key)
        updates, opt_state = tx.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)

    The carry is an input of the loss, of which no gradient is taken: back-propagation
    ends where a batch begins.

    Args:
        loss: loss(params, carry, batch, key) -> (value, (carry, metrics)). The carry
            that it gives enters the next batch and has the type of the one it got.

    Returns:
        step(state, batch) -> (state, `Outcome`), to be jitted or given to `epoch`.

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax, optax
        >>> def loss(params, carry, batch, key):
        ...     y, carry = lstm_jax.apply(params, batch, carry)
        ...     return jnp.mean(y**2), (carry, {})
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, dtype="float32")
        >>> carry = lstm_jax.zero_state(params, (2,))
        >>> state = create(params, optax.sgd(0.1), carry=carry)
        >>> step = jax.jit(train_step(loss))
        >>> state, outcome = step(state, jnp.ones((2, 7, 3), "float32"))
        >>> int(state.step), bool(outcome.loss > 0)
        (1, True)
    """  # noqa: E501

    def step(state: TrainState, batch: Any) -> tuple[TrainState, Outcome]:
        key = None if state.key is None else jax.random.fold_in(state.key, state.step)
        valued = jax.value_and_grad(loss, has_aux=True)
        (value, (carry, metrics)), gradient = valued(
            state.params, state.carry, batch, key
        )
        # Flax's apply_gradients looks for a name in params, which may be no mapping.
        updates, opt_state = state.tx.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new = state.replace(
            step=state.step + 1, params=params, opt_state=opt_state, carry=carry
        )
        return new, Outcome(value, metrics, norms(gradient), norms(params))

    return step


def epoch(step: Step, *, donate: bool = False) -> Step:
    """Many steps as one `jax.lax.scan` on the device, compiled once a shape.

    Args:
        step: what `train_step` gave.
        donate: the state that is given may be overwritten, and is lost; saves a copy of
            parameters and optimiser.

    Returns:
        A jitted function (state, batches) -> (state, outcomes): each leaf of batches
        has an axis of steps in front, and so has each leaf of the `Outcome`.

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax, optax
        >>> def loss(params, carry, batch, key):
        ...     return jnp.mean(lstm_jax.apply(params, batch)[0] ** 2), (carry, {})
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, dtype="float32")
        >>> run = epoch(train_step(loss))
        >>> x = jnp.ones((10, 2, 7, 3), "float32")
        >>> state, outcomes = run(create(params, optax.sgd(0.1)), x)
        >>> outcomes.loss.shape
        (10,)
    """

    def run(state: TrainState, batches: Any) -> tuple[TrainState, Outcome]:
        return jax.lax.scan(step, state, batches)

    return jax.jit(run, donate_argnums=(0,) if donate else ())
