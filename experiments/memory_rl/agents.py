# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Agents: what they make of observations, and what remembers."""

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

import lstm_jax
from lstm_jax import variants
from lstm_jax.initializers import chrono

AgentName: TypeAlias = Literal[
    "memoryless",
    "frames",
    "GRU",
    "LSTM",
    "LSTM, forget bias 1",
    "Flax LSTM",
    "Flax LSTM, chrono",
]


class Frames(lstm_jax.Cell):
    """The last k inputs side by side.

    Frame stacking as a cell: `resets` empties the stack, as it does any state.
    """

    inputs: int = flax.struct.field(pytree_node=False)
    count: int = flax.struct.field(pytree_node=False)

    @property
    def input_size(self) -> int:
        """I."""
        return self.inputs

    @property
    def output_size(self) -> int:
        """I times the number of frames."""
        return self.inputs * self.count

    def zero_state(self, batch_shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Zeros for the frames before the first."""
        return jnp.zeros((*batch_shape, self.inputs * (self.count - 1)), dtype)

    def step(self, state: Any, x_t: jax.Array, masks: Any = None) -> Any:
        """Puts the newest input last and drops the oldest."""
        y = jnp.concatenate([state, x_t], -1)
        return y[..., self.inputs :], y


class ScannedRNN(nn.Module):
    """The form in which JAX programs of reinforcement learning have a cell of Flax.

    Attributes:
        cell: of Flax.
    """

    cell: nn.RNNCellBase

    @functools.partial(
        nn.scan,
        variable_broadcast="params",
        in_axes=0,
        out_axes=0,
        split_rngs={"params": False},
    )
    @nn.compact
    def __call__(self, carry: Any, inputs: Any) -> Any:
        """Resets the carry where an episode begins, and takes a step."""
        x, reset = inputs
        fresh = self.cell.initialize_carry(jax.random.key(0), x.shape)
        carry = jax.tree.map(
            lambda new, old: jnp.where(reset[:, None], new, old), fresh, carry
        )
        return self.cell(carry, x)


class FlaxMemory(flax.struct.PyTreeNode):
    """A `ScannedRNN` with its variables.

    Attributes:
        variables: of the module.
        cell: of Flax, without variables.
    """

    variables: Any
    cell: nn.RNNCellBase = flax.struct.field(pytree_node=False)


def recur(memory: Any, x: jax.Array, state: Any, resets: jax.Array) -> Any:
    """Runs a memory over x (T, N, I); gives y (T, N, H) and the state after it."""
    if isinstance(memory, FlaxMemory):
        state, y = ScannedRNN(memory.cell).apply(memory.variables, state, (x, resets))
        return y, state
    return lstm_jax.apply(memory, x, state, resets=resets, time_major=True)


def zero_state(memory: Any, count: int) -> Any:
    """The state of a memory before the first step of N environments."""
    if isinstance(memory, FlaxMemory):
        return memory.cell.initialize_carry(jax.random.key(0), (count, 1))
    return lstm_jax.zero_state(memory, (count,))


class Linear(NamedTuple):
    """Weights (I, O) and biases (O,)."""

    w: jax.Array
    b: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        """x·w + b."""
        return x @ self.w + self.b


def linear(key: jax.Array, inputs: int, outputs: int, gain: float) -> Linear:
    """Orthogonal weights and zero biases."""
    w = jax.nn.initializers.orthogonal(gain)(key, (inputs, outputs))
    return Linear(w, jnp.zeros(outputs))


class Agent(NamedTuple):
    """A policy and a value that share everything but their last layer.

    Attributes:
        before: layers with tanh ahead of the memory.
        memory: a `lstm_jax` network, or a `FlaxMemory`.
        after: layers with tanh behind it.
        actor: gives the logits of the actions.
        critic: gives the value.
    """

    before: tuple[Linear, ...]
    memory: Any
    after: tuple[Linear, ...]
    actor: Linear
    critic: Linear

    def __call__(self, observations: jax.Array, state: Any, resets: jax.Array) -> Any:
        """What the agent makes of a part of N streams of observations.

        Args:
            observations: (T, N, D).
            state: of the memory, before the first of them.
            resets: (T, N), True where an observation is the first of its episode.

        Returns:
            Logits (T, N, A), values (T, N), and the state after the last observation.
        """
        x = tanh_layers(self.before, observations)
        y, state = recur(self.memory, x, state, resets)
        y = tanh_layers(self.after, y)
        return self.actor(y), self.critic(y)[..., 0], state


def tanh_layers(layers: Sequence[Linear], x: jax.Array) -> jax.Array:
    """Layers one after the other."""
    for layer in layers:
        x = jnp.tanh(layer(x))
    return x


def size(agent: Agent) -> int:
    """How many parameters an agent has."""
    return sum(a.size for a in jax.tree.leaves(agent))


def start_gru(horizon: int) -> Any:
    """`chrono` for the GRU, whose gate z keeps, as the forget gate does."""

    def init(key: jax.Array, units: int, gates: str) -> jax.Array:
        kept = chrono(horizon)(key, units, "f")
        return jnp.concatenate([kept if g == "z" else 0 * kept for g in gates])

    return init


def memory(name: str, key: jax.Array, units: int, horizon: int) -> Any:
    """Draws what remembers, H inputs to H outputs."""
    match name:
        case "LSTM":
            bias = chrono(horizon)
            return lstm_jax.init_cell(key, units, units, bias_init=bias)
        case "LSTM, forget bias 1":
            return lstm_jax.init_cell(key, units, units)
        case "GRU":
            bias = start_gru(horizon)
            return variants.init(name, key, units, units, bias_init=bias)
        case "Flax LSTM" | "Flax GRU":
            kind = nn.OptimizedLSTMCell if name == "Flax LSTM" else nn.GRUCell
            cell: Any = kind(units, parent=None)
            x, resets = jnp.zeros((1, 1, units)), jnp.zeros((1, 1), bool)
            carry = cell.initialize_carry(key, (1, units))
            return FlaxMemory(ScannedRNN(cell).init(key, carry, (x, resets)), cell)
        case "Flax LSTM, chrono":
            ours, theirs = (
                memory(n, key, units, horizon) for n in ("LSTM", "Flax LSTM")
            )
            return theirs.replace(variables={"params": {"cell": as_flax(ours)}})
    raise ValueError(f"no memory has the name {name!r}")


def as_flax(params: lstm_jax.LSTMParams) -> dict[str, Any]:
    """Our weights by Flax's names, as `convert.to_linen` has them, but traced."""
    w_x, w_h = (jnp.split(w, 4, -1) for w in (params.w_x, params.w_h))
    biases = jnp.split(params.b, 4)
    inputs = {f"i{g}": {"kernel": w} for g, w in zip("ifgo", w_x, strict=True)}
    return inputs | {
        f"h{g}": {"kernel": w, "bias": b}
        for g, w, b in zip("ifgo", w_h, biases, strict=True)
    }


def init(
    name: str,
    key: jax.Array,
    observations: int,
    actions: int,
    units: int,
    frames: int,
    horizon: int,
) -> Agent:
    """Draws an agent.

    Args:
        name: of the agent.
        key: a JAX random key.
        observations: D.
        actions: A.
        units: H of the recurrent agents. Those without recurrence have two layers,
            as wide as makes them at least as many parameters as the LSTM has.
        frames: how many observations the agent "frames" sees.
        horizon: steps that the gates of LSTM and GRU are started to remember.
    """
    keys = jax.random.split(key, 5)
    if name in ("memoryless", "frames"):
        count = 1 if name == "memoryless" else frames
        width = equal_width(observations, actions, units, count)
        before: tuple[Linear, ...] = ()
        after: tuple[Linear, ...] = (
            linear(keys[0], observations * count, width, 2**0.5),
            linear(keys[1], width, width, 2**0.5),
        )
        remembers: Any = Frames(observations, count)
    else:
        width, after = units, ()
        before = (linear(keys[0], observations, units, 2**0.5),)
        remembers = memory(name, keys[1], units, horizon)
    return Agent(
        before,
        remembers,
        after,
        linear(keys[2], width, actions, 0.01),
        linear(keys[3], width, 1, 1.0),
    )


def equal_width(observations: int, actions: int, units: int, frames: int) -> int:
    """The least width of two layers that have as many parameters as the LSTM agent."""
    heads = actions + 1
    aim = observations * units + units + 8 * units**2 + 4 * units + (units + 1) * heads

    def have(width: int) -> int:
        first = observations * frames * width + width
        return first + width**2 + width + (width + 1) * heads

    return next(width for width in range(1, aim) if have(width) >= aim)
