# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Learning at every symbol, with the gradient carried forward.

The truncated gradient of c_t is exact in forward mode at little cost: c_t depends on a
weight through c_{t-1} by f_t alone, so that e_t = ∂c_t/∂w obeys

    e_t = f_t e_{t-1} + (the weight's own part in c_t),

and a weight of a cell's i, f or g bears on that cell's c only.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.forgetting import grammar
from experiments.forgetting.cell import (
    INPUTS,
    OUTPUTS,
    GateValues,
    Params,
    Rules,
    cell_step,
    seen,
    zero_state,
)


class Plan(NamedTuple):
    """How streams end and rates fall; the same for all nets, static.

    Attributes:
        rate: learning rate at first.
        every: streams between two decays.
        longest: symbols of a stream at most.
        streams: training ends after so many.
    """

    rate: float
    every: int
    longest: int
    streams: int


class Eligibility(NamedTuple):
    """∂c/∂w of each cell by its i and f (R, K, S, N), and by its g (R - 1, K, S, N)."""

    i: jax.Array
    f: jax.Array
    g: jax.Array


class Learner(NamedTuple):
    """N nets in training.

    Attributes:
        params: their weights.
        c: (K, S, N) of the last step.
        u: (R, N) what the next step sees.
        e: ∂c/∂w.
        reader: where their streams are.
        length: (N,) int32: symbols predicted in this stream.
        streams: (N,) int32: streams that have ended.
        stopped: (N,) bool: who has ceased to learn.
    """

    params: Params
    c: jax.Array
    u: jax.Array
    e: Eligibility
    reader: grammar.Reader
    length: jax.Array
    streams: jax.Array
    stopped: jax.Array


def begin(params: Params) -> Learner:
    """Nets before their first symbol."""
    count = params.b.shape[-1]
    reader, state = grammar.begin(count), zero_state(params)
    none = jnp.zeros(count, jnp.int32)
    gate, g = jnp.zeros_like(params.w_i), jnp.zeros_like(params.w_g)
    gates = gate[:, :, None] + jnp.zeros_like(state.c)
    return Learner(
        params,
        state.c,
        seen(reader.symbol, state.h),
        Eligibility(gates, gates, g),
        reader,
        none,
        none,
        jnp.zeros(count, bool),
    )


def carried(
    rules: Rules, e: Eligibility, u: jax.Array, c: jax.Array, values: GateValues
) -> Eligibility:
    """∂c/∂w after a step, from that before it, the sources u and the c before it."""
    i, f, _, g, _ = values
    u = u[:, None, None]
    return Eligibility(
        f * e.i + u * (g * i * (1 - i)),
        f * e.f + u * (rules.gated * c * f * (1 - f)),
        f * e.g + u[:-1] * (i * (4 - g * g) / 4),
    )


def descent(
    params: Params,
    e: Eligibility,
    u: jax.Array,
    h: jax.Array,
    error: jax.Array,
    values: GateValues,
) -> Params:
    """The truncated gradient of ½ Σ (target - y)², its sign turned.

    Args:
        params: weights.
        e: ∂c/∂w after the step.
        u: what the step saw.
        h: its output.
        error: (target - y) y (1 - y).
        values: of the step.
    """
    to_h = jnp.sum(params.w_h * error, 1).reshape(h.shape)
    o, activated_c = values.o, values.activated_c
    to_c = to_h * o * (1 - activated_c * activated_c) / 2
    to_o = to_h * activated_c * o * (1 - o)

    def block(by_cell: jax.Array) -> jax.Array:
        shares = [by_cell[..., k, :] for k in range(h.shape[1])]
        return sum(shares[1:], shares[0])

    return Params(
        w_i=block(e.i * to_c),
        w_f=block(e.f * to_c),
        w_o=u[:, None] * block(to_o),
        w_g=e.g * to_c,
        w_x=u[:INPUTS, None] * error,
        w_h=h.reshape(-1, 1, h.shape[-1]) * error,
        b=error,
    )


def tree_where(condition: jax.Array, one: Any, other: Any) -> Any:
    """`jnp.where` on trees."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


def zero_where(condition: jax.Array, tree: Any) -> Any:
    """Zeros where the condition holds."""
    return jax.tree.map(lambda a: jnp.where(condition, 0.0, a), tree)


def learn(plan: Plan, rules: Rules, learner: Learner, bit: jax.Array) -> Learner:
    """Reads a symbol, learns from what follows it, and goes on or begins afresh."""
    params, c, u, e, reader, length, streams, stopped = learner
    state, y, values = cell_step(rules, params, c, u)
    e = carried(rules, e, u, c, values)
    following = grammar.move(reader, bit)
    comes = jax.nn.one_hot(following.symbol, OUTPUTS, axis=0)
    target = jnp.where(rules.both, grammar.legal(reader), comes)
    down = descent(params, e, u, state.h, (target - y) * y * (1 - y), values)
    rate = plan.rate * rules.decay ** (streams // plan.every)
    rate = jnp.where(stopped, 0.0, rate)
    right = grammar.right(reader, y)
    ended = ~right | (length + 1 >= plan.longest)
    streams = streams + (ended & ~stopped)
    reader = tree_where(ended, grammar.begin(len(bit)), following)
    over = ended | rules.reset & (reader.place == 0)
    h, c, e = zero_where(over, (*state, e))
    return Learner(
        jax.tree.map(lambda w, d: w + rate * d, params, down),
        c,
        seen(reader.symbol, h),
        e,
        reader,
        jnp.where(ended, 0, length + 1),
        streams,
        stopped | (streams >= plan.streams),
    )
