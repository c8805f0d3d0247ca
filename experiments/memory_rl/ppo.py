# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Recurrent PPO: the whole loop, from acting to updating, is one jitted program.

The convention throughout: `resets[t]` is True where `observations[t]` is the first of
its episode. Environments reset by themselves, so that the flag which `step` returns
belongs to the observation that it returns.

References:
    Schulman et al. 2017, Proximal Policy Optimization Algorithms. Lu et al. 2022,
    Discovered Policy Optimisation (PureJaxRL), for the form of the program.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.memory_rl import agents
from experiments.memory_rl.agents import Agent


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How an agent learns; static."""

    environments: int = 16
    """N, side by side."""
    steps: int = 128
    """T of a rollout."""
    epochs: int = 4
    """Passes over a rollout."""
    minibatches: int = 4
    """Each has N / minibatches environments, over all T steps."""
    discount: float = 0.99
    """γ."""
    gae_lambda: float = 0.95
    """λ of the advantages."""
    clip_range: float = 0.2
    """How far a ratio of probabilities may leave 1."""
    entropy_coef: float = 0.01
    """Weight of the entropy of the policy."""
    value_coef: float = 0.5
    """Weight of the value's error."""
    max_grad_norm: float = 0.5
    """Highest norm of a gradient."""


class Rollout(NamedTuple):
    """What N environments went through in T steps; every leaf (T, N, …).

    Attributes:
        observations: before the action.
        resets: whether the observation is the first of its episode.
        actions: drawn from the policy.
        log_probs: of the actions, when they were drawn.
        values: of the observations, when they were seen.
        rewards: after the action.
        dones: whether the action ended the episode.
        targets: of the value; by `advantages`.
        advantages: of the actions, with mean 0 and deviation 1; likewise.
    """

    observations: Any
    resets: Any
    actions: Any
    log_probs: Any
    values: Any
    rewards: Any
    dones: Any
    targets: Any = None
    advantages: Any = None


class Acting(NamedTuple):
    """Where N environments stand.

    Attributes:
        env_states: of the environments.
        observations: (N, D) of this moment.
        resets: (N,) whether they are the first of their episodes.
        memory: state of the agent's memory before it sees them.
        returns: (N,) rewards so far of the episodes that run.
    """

    env_states: Any
    observations: Any
    resets: Any
    memory: Any
    returns: Any


def begin(agent: Agent, task: Any, params: Any, count: int, key: jax.Array) -> Acting:
    """Starts N environments."""
    keys = jax.random.split(key, count)
    observations, env_states = jax.vmap(task.reset, (0, None))(keys, params)
    memory = agents.zero_state(agent.memory, count)
    fresh = jnp.ones(count, bool)
    return Acting(env_states, observations, fresh, memory, jnp.zeros(count))


def act(
    agent: Agent, task: Any, params: Any, now: Acting, keys: jax.Array
) -> tuple[Acting, Rollout, jax.Array]:
    """Acts for T steps.

    Args:
        agent: who acts.
        task: by gymnax' interface.
        params: of the task.
        now: where the environments stand.
        keys: (T,).

    Returns:
        Where they stand then; the rollout; and (T, N) the return so far of each
        episode, which is its whole return where the step ended it.
    """

    def step(now: Acting, key: jax.Array) -> Any:
        draw, move = jax.random.split(key)
        logits, values, memory = agent(
            now.observations[None], now.memory, now.resets[None]
        )
        actions = jax.random.categorical(draw, logits[0])
        moves = jax.random.split(move, len(actions))
        observations, env_states, rewards, terminated, truncated, _ = jax.vmap(
            task.step, (0, 0, 0, None)
        )(moves, now.env_states, actions, params)
        dones, returns = terminated | truncated, now.returns + rewards
        taken = Rollout(
            observations=now.observations,
            resets=now.resets,
            actions=actions,
            log_probs=log_prob(logits[0], actions),
            values=values[0],
            rewards=rewards,
            dones=dones,
        )
        then = Acting(env_states, observations, dones, memory, returns * ~dones)
        return then, (taken, returns)

    now, (rollout, returns) = jax.lax.scan(step, now, keys)
    return now, rollout, returns


def log_prob(logits: jax.Array, actions: jax.Array) -> jax.Array:
    """The log-probability of actions (...,) under logits (..., A)."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), actions[..., None], -1)
    return chosen[..., 0]


def advantages(recipe: Recipe, rollout: Rollout, last: jax.Array) -> Rollout:
    """Adds generalized advantages and the targets of the value.

    Args:
        recipe: for γ and λ.
        rollout: without them.
        last: (N,) values of the observations after the rollout.

    References:
        Schulman et al. 2015, High-Dimensional Continuous Control Using Generalized
        Advantage Estimation.
    """

    def backwards(carry: Any, step: Rollout) -> Any:
        advantage, value = carry
        on = 1.0 - step.dones
        delta = step.rewards + recipe.discount * on * value - step.values
        advantage = delta + recipe.discount * recipe.gae_lambda * on * advantage
        return (advantage, step.values), advantage

    start = jnp.zeros_like(last), last
    _, found = jax.lax.scan(backwards, start, rollout, reverse=True)
    scaled = (found - found.mean()) / (found.std() + 1e-8)
    return rollout._replace(targets=found + rollout.values, advantages=scaled)


def objective(recipe: Recipe, agent: Agent, rollout: Rollout, state: Any) -> jax.Array:
    """PPO's loss of every step, (T, N).

    Args:
        recipe: for its weights.
        agent: to be updated.
        rollout: with advantages.
        state: of the memory that entered the first step.
    """
    logits, values, _ = agent(rollout.observations, state, rollout.resets)
    ratio = jnp.exp(log_prob(logits, rollout.actions) - rollout.log_probs)
    near = jnp.clip(ratio, 1 - recipe.clip_range, 1 + recipe.clip_range)
    policy = jnp.minimum(ratio * rollout.advantages, near * rollout.advantages)
    probs = jax.nn.softmax(logits)
    entropy = -jnp.sum(probs * jax.nn.log_softmax(logits), -1)
    error = 0.5 * jnp.square(values - rollout.targets)
    return recipe.value_coef * error - policy - recipe.entropy_coef * entropy


def loss(recipe: Recipe, agent: Agent, rollout: Rollout, state: Any) -> jax.Array:
    """The mean of `objective`."""
    return objective(recipe, agent, rollout, state).mean()


def optimizer(recipe: Recipe, updates: int, rate: Any) -> optax.GradientTransformation:
    """Adam with clipped gradients, whose step falls from `rate` to 0 in a line."""
    count = updates * recipe.epochs * recipe.minibatches
    return optax.chain(
        optax.clip_by_global_norm(recipe.max_grad_norm),
        optax.adam(lambda n: rate * (1 - n / count), eps=1e-5),
    )


def descend(
    recipe: Recipe,
    tx: optax.GradientTransformation,
    learner: tuple[Agent, Any],
    rollout: Rollout,
    state: Any,
) -> tuple[Agent, Any]:
    """One step of the optimizer; the arguments are those of `update`."""
    agent, opt_state = learner
    gradient = jax.grad(partial(loss, recipe))(agent, rollout, state)
    change, opt_state = tx.update(gradient, opt_state, agent)
    return optax.apply_updates(agent, change), opt_state


def update(
    recipe: Recipe,
    tx: optax.GradientTransformation,
    learner: tuple[Agent, Any],
    rollout: Rollout,
    state: Any,
    key: jax.Array,
) -> tuple[Agent, Any]:
    """Learns from a rollout, several times over.

    A minibatch is some of the environments, over all steps, with the state that entered
    the rollout: no episode is cut but where the rollout begins, and there the state is
    what acting had.

    Args:
        recipe: how.
        tx: the optimizer.
        learner: the agent and the optimizer's state.
        rollout: with advantages.
        state: of the memory that entered the rollout, leaves (N, …).
        key: for the order of the environments.
    """
    count = rollout.resets.shape[1]
    orders = jax.vmap(lambda k: jax.random.permutation(k, count))(
        jax.random.split(key, recipe.epochs)
    )

    def minibatch(learner: Any, rows: jax.Array) -> Any:
        some = jax.tree.map(lambda a: a[:, rows], rollout)
        entering = jax.tree.map(lambda a: a[rows], state)
        return descend(recipe, tx, learner, some, entering), None

    rows = orders.reshape(recipe.epochs * recipe.minibatches, -1)
    return jax.lax.scan(minibatch, learner, rows)[0]


def as_it_was(rollout: Rollout, state: Any) -> tuple[Rollout, Any]:
    """What the update is given: the rollout, and the state that entered it."""
    return rollout, state


def train(
    recipe: Recipe,
    task: Any,
    start: Callable[[jax.Array], Agent],
    updates: int,
    points: int,
    given: Callable[[Rollout, Any], tuple[Rollout, Any]],
    params: Any,
    rate: Any,
    key: jax.Array,
) -> dict[str, jax.Array]:
    """Trains one agent.

    Args:
        recipe: how.
        task: by gymnax' interface.
        start: key -> agent.
        updates: rollouts, and updates from each.
        points: into how many parts the learning curve is cut; divides updates.
        given: (rollout, entering state) -> what the update is given in their place.
        params: of the task.
        rate: step of Adam at the start.
        key: a JAX random key.

    Returns:
        For each part, mean return of the episodes that ended in it (`returns`) and
        their number (`episodes`); `log_ratio`, the largest |log ratio| of new and old
        probabilities before the first update, which should be rounding.
    """
    first, second, key = jax.random.split(key, 3)
    agent, tx = start(first), optimizer(recipe, updates, rate)
    now = begin(agent, task, params, recipe.environments, second)

    def iteration(carry: Any, key: jax.Array) -> Any:
        learner, now = carry
        drawing, shuffling = jax.random.split(key)
        entering, agent = now.memory, learner[0]
        keys = jax.random.split(drawing, recipe.steps)
        now, rollout, returns = act(agent, task, params, now, keys)
        _, last, _ = agent(now.observations[None], now.memory, now.resets[None])
        rollout = advantages(recipe, rollout, last[0])
        ended = rollout.dones
        rollout, entering = given(rollout, entering)
        logits, _, _ = agent(rollout.observations, entering, rollout.resets)
        change = log_prob(logits, rollout.actions) - rollout.log_probs
        learner = update(recipe, tx, learner, rollout, entering, shuffling)
        total = jnp.sum(returns * ended), jnp.sum(ended)
        return (learner, now), (*total, jnp.abs(change).max())

    keys = jax.random.split(key, updates)
    learner = agent, tx.init(agent)
    _, (totals, counts, changes) = jax.lax.scan(iteration, (learner, now), keys)
    totals, counts = (a.reshape(points, -1).sum(1) for a in (totals, counts))
    return {
        "returns": totals / jnp.maximum(counts, 1),
        "episodes": counts,
        "log_ratio": changes.max(),
    }


@partial(jax.jit, static_argnums=range(6))
def train_seeds(
    recipe: Recipe,
    task: Any,
    start: Callable[[jax.Array], Agent],
    updates: int,
    points: int,
    given: Callable[[Rollout, Any], tuple[Rollout, Any]],
    params: Any,
    rates: jax.Array,
    keys: jax.Array,
) -> dict[str, jax.Array]:
    """`train` of one agent a rate and key, side by side."""
    one = partial(train, recipe, task, start, updates, points, given, params)
    return jax.vmap(one)(rates, keys)
