# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Three tasks that need memory, by the interface of gymnax.

`step` of each resets by itself: the observation that comes with done is the first one
of the next episode. No episode is truncated; where one has a limit of steps, reaching
it is an end like any other.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces
from gymnax.environments.bsuite.memory_chain import MemoryChain


@struct.dataclass
class MazeState(environment.EnvState):
    """Where the agent is, and whether the way on is north."""

    position: Any
    north: Any


@struct.dataclass
class MazeParams(environment.EnvParams):
    """The corridor leads from position 0 to `length`, where it forks."""

    length: Any = 10
    max_steps_in_episode: Any = 100


NORTH, EAST, SOUTH, WEST = range(4)


class TMaze(environment.Environment[MazeState, MazeParams]):
    """A corridor whose first place shows a sign that says where to turn at its end.

    Observations are three bits: 011 or 110 at the sign, 101 in the corridor, 010 at the
    fork. To go north or south at the fork ends the episode, with a reward of 4 if the
    sign said so. Every other step that does not lead east costs 0.1.

    References:
        Bakker 2002, Reinforcement Learning with Long Short-Term Memory.
    """

    @property
    def default_params(self) -> MazeParams:
        """A corridor of 10."""
        return MazeParams()

    def step_env(
        self, key: jax.Array, state: MazeState, action: Any, params: MazeParams
    ) -> Any:
        """Goes one place on, or turns."""
        fork = state.position == params.length
        turns = fork & ((action == NORTH) | (action == SOUTH))
        right = turns & ((action == NORTH) == state.north)
        east = (action == EAST) & ~fork
        reward = jnp.where(right, 4.0, jnp.where(east, 0.0, -0.1))
        move = east.astype(jnp.int32) - (action == WEST)
        moved = MazeState(
            time=state.time + 1,
            position=jnp.maximum(state.position + move, 0),
            north=state.north,
        )
        late = moved.time >= params.max_steps_in_episode
        return self.get_obs(moved, params), moved, reward, turns | late, {}

    def reset_env(self, key: jax.Array, params: MazeParams) -> Any:
        """Draws a sign."""
        zero = jnp.zeros((), jnp.int32)
        state = MazeState(time=zero, position=zero, north=jax.random.bernoulli(key))
        return self.get_obs(state, params), state

    def get_obs(
        self, state: MazeState, params: MazeParams | None = None, key: Any = None
    ) -> jax.Array:
        """Three bits."""
        assert params is not None
        sign = jnp.where(state.north, jnp.array([0.0, 1, 1]), jnp.array([1.0, 1, 0]))
        on = jnp.where(
            state.position == params.length,
            jnp.array([0.0, 1, 0]),
            jnp.array([1.0, 0, 1]),
        )
        return jnp.where(state.position == 0, sign, on)

    def is_truncated(self, state: MazeState, params: MazeParams) -> jax.Array:
        """Never."""
        return jnp.zeros((), bool)

    num_actions = 4

    def observation_space(self, params: MazeParams) -> spaces.Box:
        """Three bits."""
        return spaces.Box(0, 1, (3,), jnp.float32)


@struct.dataclass
class CardState(environment.EnvState):
    """What is left of the deck, suit by suit, and the last k suits, newest last."""

    left: Any
    recent: Any


class RepeatPrevious(environment.Environment[CardState, environment.EnvParams]):
    """Cards come one by one; the action names the suit of the k-th last.

    As POPGym has it: k = 1 would be the card that is seen, every answer from the k-th
    card on earns ±1/(cards - k), and a deck of n cards is an episode of n - 1 steps.
    A suit is drawn in proportion to how many of it are left, which is what a shuffled
    deck gives.

    Args:
        decks: of 52 cards.
        k: how far back.

    References:
        Morad et al. 2023, POPGym: Benchmarking Partially Observable Reinforcement
        Learning.
    """

    def __init__(self, decks: int = 1, k: int = 4) -> None:
        super().__init__()
        self.cards, self.k = 52 * decks, k

    def _deal(self, key: jax.Array, left: jax.Array, recent: jax.Array) -> Any:
        card = jax.random.categorical(key, jnp.log(left.astype(jnp.float32)))
        return left - jax.nn.one_hot(card, 4, dtype=left.dtype), jnp.append(
            recent[1:], card
        )

    def step_env(
        self, key: jax.Array, state: CardState, action: Any, params: Any
    ) -> Any:
        """Judges the answer and deals a card."""
        asked = state.time + 1 >= self.k
        sign = jnp.where(action == state.recent[0], 1.0, -1.0)
        reward = jnp.where(asked, sign, 0.0) / (self.cards - self.k)
        left, recent = self._deal(key, state.left, state.recent)
        dealt = CardState(time=state.time + 1, left=left, recent=recent)
        return self.get_obs(dealt), dealt, reward, dealt.time == self.cards - 1, {}

    def reset_env(self, key: jax.Array, params: Any) -> Any:
        """Deals the first card."""
        whole = jnp.full(4, self.cards // 4, jnp.int32)
        left, recent = self._deal(key, whole, jnp.zeros(self.k, jnp.int32))
        state = CardState(time=jnp.zeros((), jnp.int32), left=left, recent=recent)
        return self.get_obs(state), state

    def get_obs(
        self, state: CardState, params: Any = None, key: Any = None
    ) -> jax.Array:
        """The suit of the newest card, one-hot."""
        return jax.nn.one_hot(state.recent[-1], 4, dtype=jnp.float32)

    def is_truncated(self, state: CardState, params: Any) -> jax.Array:
        """Never."""
        return jnp.zeros((), bool)

    num_actions = 4

    def observation_space(self, params: Any) -> spaces.Box:
        """Four suits."""
        return spaces.Box(0, 1, (4,), jnp.float32)


class Task(NamedTuple):
    """An environment with its parameters, and what a return in it means.

    Attributes:
        environment: by gymnax' interface; static.
        params: of the environment; an array can be traced.
        observations: width of an observation.
        chance: the expected return of the best policy without memory.
        best: the highest return.
    """

    environment: Any
    params: Any
    observations: int
    chance: float
    best: float


CHAIN, MAZE = MemoryChain(), TMaze()  # one of each: a program serves all lengths
DECKS = {"easy": RepeatPrevious(1, 4), "medium": RepeatPrevious(2, 32)}


def make(name: str) -> Task:
    """A task by name: "chain 20", "maze 10", "repeat easy"."""
    kind, which = name.split()
    match kind:
        case "chain":
            params = CHAIN.default_params.replace(memory_length=jnp.int32(int(which)))
            return Task(CHAIN, params, 3, 0.0, 1.0)
        case "maze":
            params = MAZE.default_params.replace(length=jnp.int32(int(which)))
            return Task(MAZE, params, 3, (4.0 - 0.1) / 2, 4.0)
        case "repeat":
            deck = DECKS[which]
            return Task(deck, deck.default_params, 4, -0.5, 1.0)
    raise ValueError(f"no task has the name {name!r}")
