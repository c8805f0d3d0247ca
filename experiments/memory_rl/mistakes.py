# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What is often done to a rollout before a recurrent update, each a mistake."""

from typing import Any

import jax
import jax.numpy as jnp

from experiments.memory_rl.ppo import Rollout

CUT = 16  # steps


def never_reset(rollout: Rollout, state: Any) -> tuple[Rollout, Any]:
    """The update carries the state from one episode into the next."""
    return rollout._replace(resets=jnp.zeros_like(rollout.resets)), state


def zero_state(rollout: Rollout, state: Any) -> tuple[Rollout, Any]:
    """The update begins with zeros, not with the state that entered the rollout."""
    return rollout, jax.tree.map(jnp.zeros_like, state)


def flag_of_the_action(rollout: Rollout, state: Any) -> tuple[Rollout, Any]:
    """The flag that an action ended its episode stands at that action's observation.

    The state is reset a step too early: before the last observation of an episode.
    """
    return rollout._replace(resets=rollout.dones), state


def flag_late(rollout: Rollout, state: Any) -> tuple[Rollout, Any]:
    """The state is reset a step too late: after the first observation of an episode."""
    late = jnp.roll(rollout.resets, 1, 0).at[0].set(False)
    return rollout._replace(resets=late), state


def cut(rollout: Rollout, state: Any, steps: int = CUT) -> tuple[Rollout, Any]:
    """The rollout is cut into short pieces, and each begins with zeros."""

    def pieces(a: jax.Array) -> jax.Array:
        total, count, *rest = a.shape
        split = a.reshape(total // steps, steps, count, *rest)
        return jnp.moveaxis(split, 0, 1).reshape(steps, -1, *rest)

    count = rollout.resets.shape[0] // steps
    zeros = jax.tree.map(lambda a: jnp.zeros((count * len(a), *a.shape[1:])), state)
    return jax.tree.map(pieces, rollout), zeros


GIVEN = {
    "no resets": never_reset,
    "zeros for the entering state": zero_state,
    "flag one step early": flag_of_the_action,
    "flag one step late": flag_late,
    f"cut every {CUT} steps": cut,
}
MISTAKES = tuple(GIVEN)
