# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Training of many networks of one kind, and the choice of their learning rate."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import data
from experiments._training import Learner, Network, run_steps, seed_keys, stack
from experiments.digits import nets
from experiments.digits.settings import NetName, Settings


class Plan(NamedTuple):
    """How networks of one kind learn; static, so that tasks share a program.

    Attributes:
        settings: for all that is the same in every plan.
        net: the kind.
        steps: T.
        inputs: I.
        units: H.
        batch: digits in a minibatch.
        epochs: passes over the training digits.
    """

    settings: Settings
    net: NetName
    steps: int
    inputs: int
    units: int
    batch: int
    epochs: int


def init(plan: Plan, key: jax.Array) -> Network:
    """Draws a network."""
    one, two = jax.random.split(key)
    glorot = jax.nn.initializers.glorot_uniform()
    return Network(
        nets.init(plan.net, one, plan.inputs, plan.units, plan.steps),
        glorot(two, (plan.units, data.CLASSES)),
        jnp.zeros(data.CLASSES),
    )


def logits(plan: Plan, network: Network, x: Any, key: Any = None) -> jax.Array:
    """Reads sequences (B, T, I); gives (B, 10)."""
    h = nets.last(plan.settings, plan.net, network.cell, x, key)
    return h @ network.w + network.b[None]


def optimizer(plan: Plan, updates: int, rate: Any) -> optax.GradientTransformation:
    """AdamW, with clipped gradients and a step that rises and falls."""
    course = optax.warmup_cosine_decay_schedule(
        0.0, 1.0, max(1, updates // 10), updates
    )
    return optax.chain(
        optax.clip_by_global_norm(plan.settings.clip),
        optax.adamw(
            lambda count: rate * course(count), weight_decay=plan.settings.weight_decay
        ),
    )


def epoch(plan: Plan, digits: data.Digits, lane: Any) -> Any:
    """One pass of one network over the digits.

    Args:
        plan: how it learns.
        digits: sequences (N, T, I) for images.
        lane: a `Learner`; which digits make up which minibatch (updates, B); a key; a
            learning rate.

    Returns:
        The learner; training loss in nats and held-out accuracy.
    """
    learner, order, key, rate = lane
    tx = optimizer(plan, plan.epochs * len(order), rate)

    def loss(network: Network, carry: Any, rows: jax.Array, key: jax.Array) -> Any:
        entropy = optax.softmax_cross_entropy_with_integer_labels
        scores = logits(plan, network, digits.x[rows], key)
        return entropy(scores, digits.y[rows]).mean(), (carry, {})

    learner, losses, _ = run_steps(loss, tx, learner, order, key=key)
    scores = logits(plan, learner.params, digits.held_out_x)
    right = scores.argmax(-1) == digits.held_out_y
    return learner, losses.mean(), right.mean()


@partial(jax.jit, static_argnums=0)
def epochs(plan: Plan, digits: data.Digits, lanes: Any) -> Any:
    """`epoch` of all networks in one program.

    One after the other: on a CPU products of small matrices are a third slower in the
    batches that vmap makes of them.
    """
    return jax.lax.map(partial(epoch, plan, digits), lanes)


def minibatches(plan: Plan, total: int, seed: int, number: int) -> np.ndarray:
    """The digits in the order of an epoch, (updates, B), less what is left over.

    A sort by NumPy need not be compiled.
    """
    order = np.random.default_rng((seed, number)).permutation(total)
    return order[: total // plan.batch * plan.batch].reshape(-1, plan.batch)


def train(
    plan: Plan,
    digits: data.Digits,
    seeds: Sequence[int],
    rates: Sequence[float],
    loop: Callable[..., Any],
    on_progress: Callable[[np.ndarray, np.ndarray], None],
) -> dict[str, np.ndarray]:
    """Trains one network a seed and rate.

    Args:
        plan: how they learn.
        digits: sequences (N, T, I) for images.
        seeds: of the networks.
        rates: their learning rates, as many.
        loop: `RunCache.loop` of a name.
        on_progress: called after every epoch with losses and accuracies (networks,).

    Returns:
        Training loss and held-out accuracy, (networks, epochs).
    """
    total, on_device = len(digits.y), jax.device_put(digits)
    updates = plan.epochs * (total // plan.batch)
    networks = stack([init(plan, key) for key in seed_keys(seeds, 0)])
    opt_state = jax.vmap(optimizer(plan, updates, 0.0).init)(networks)
    highest = jnp.asarray(rates, jnp.float32)

    def one_epoch(number: int, state: Any) -> Any:
        learners, losses, right = state
        orders = np.stack([minibatches(plan, total, s, number) for s in seeds])
        lanes = learners, orders, seed_keys(seeds, number + 1), highest
        learners, loss, share = epochs(plan, on_device, lanes)
        losses, right = losses.copy(), right.copy()
        losses[:, number], right[:, number] = loss, share
        on_progress(losses[:, number], right[:, number])
        return learners, losses, right

    zeros = np.zeros((len(seeds), plan.epochs), np.float32)
    start = Learner(networks, opt_state), zeros, zeros
    _, losses, right = loop(start, one_epoch, plan.epochs)
    return {"train_loss": losses, "held_out_accuracy": right}


def judged(digits: data.Digits, validation: int) -> data.Digits:
    """Training digits alone: the last of them stand for those that are held out."""
    rest = len(digits.y) - validation
    x, y = digits.x, digits.y
    return data.Digits(x[:rest], y[:rest], x[rest:], y[rest:])


def choose(
    plan: Plan, digits: data.Digits, loop: Callable[..., Any], on_progress: Any
) -> dict[str, Any]:
    """The rate of the highest accuracy on the validation digits; the lower of equals.

    Returns:
        The rate, and the accuracy of each that was tried; of a single rate none.
    """
    rates = plan.settings.rates
    if len(rates) == 1:
        return {"rate": rates[0], "validation_accuracy": []}
    seeds = [plan.settings.search_seed] * len(rates)
    digits = judged(digits, plan.settings.validation)
    tried = train(plan, digits, seeds, rates, loop, on_progress)
    accuracies = tried["held_out_accuracy"][:, -1].tolist()
    best = max(range(len(rates)), key=lambda n: (accuracies[n], -rates[n]))
    return {"rate": rates[best], "validation_accuracy": accuracies}
