# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The nets of 2000: memory blocks whose gates see the outputs of cells, and no gates.

One cell definition has forget gates or none: what tells the nets apart are numbers,
`Rules`, so that all run in one program. The nets, N of them, are the last axis of every
array: such small ones are fast only if arithmetic runs along it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

INPUTS = OUTPUTS = 7


class Rules(NamedTuple):
    """What tells nets apart, all (N,).

    Attributes:
        gated: whether there are forget gates.
        reset: whether h and c are set to zero where a string begins.
        decay: what the learning rate is multiplied by, every so many streams.
        both: whether all legal symbols are targets, rather than the one that comes.
    """

    gated: jax.Array
    reset: jax.Array
    decay: jax.Array
    both: jax.Array


class Params(NamedTuple):
    """Weights of nets of K blocks of S cells; a block's cells share its gates.

    Rows stand for what a step sees: x, the last h, and 1, which cells do without;
    R = 7 + K S + 1 in all.

    Attributes:
        w_i: (R, K, N) input gates.
        w_f: (R, K, N) forget gates.
        w_o: (R, K, N) output gates.
        w_g: (R - 1, K, S, N) what cells take in.
        w_x: (7, 7, N) from x to the outputs.
        w_h: (K S, 7, N) from this step's h to the outputs.
        b: (7, N) of the outputs.
    """

    w_i: jax.Array
    w_f: jax.Array
    w_o: jax.Array
    w_g: jax.Array
    w_x: jax.Array
    w_h: jax.Array
    b: jax.Array


class State(NamedTuple):
    """What nets carry: h (K, S, N) and c (K, S, N)."""

    h: jax.Array
    c: jax.Array


class GateValues(NamedTuple):
    """Of one step: gates (K, 1, N); candidates g and activated c, both (K, S, N)."""

    i: jax.Array
    f: jax.Array
    o: jax.Array
    g: jax.Array
    activated_c: jax.Array


def init(rng: np.random.Generator, blocks: int, size: int) -> Params:
    """One net: weights U(±0.2); biases of the k-th block -k/2, forget gates +k/2."""
    cells = blocks * size
    gate = INPUTS + cells + 1, blocks
    inwards = gate, gate, gate, (INPUTS + cells, blocks, size)
    outwards = (INPUTS, OUTPUTS), (cells, OUTPUTS), (OUTPUTS,)
    drawn = [rng.uniform(-0.2, 0.2, s).astype(np.float32) for s in inwards + outwards]
    ramp = 0.5 * np.arange(1, blocks + 1)
    for w, bias in zip(drawn, (-ramp, ramp, -ramp), strict=False):
        w[-1] = bias
    return Params(*(jnp.asarray(w) for w in drawn))


def zero_state(params: Params) -> State:
    """The state that streams begin with."""
    zeros = jnp.zeros_like(params.w_g[0])
    return State(zeros, zeros)


def seen(symbol: jax.Array, h: jax.Array) -> jax.Array:
    """What a step sees (R, N): x, which is the symbol one-hot, the last h, and 1."""
    x = jax.nn.one_hot(symbol, INPUTS, axis=0, dtype=h.dtype)
    return jnp.concatenate([x, h.reshape(-1, len(symbol)), jnp.ones_like(x[:1])])


def product(u: jax.Array, w: jax.Array) -> jax.Array:
    """Each net's u (R, N) times its w (R, ..., N).

    Term by term: a sum over an axis, or batched matrix products of this size, take
    several times as long on a CPU.
    """
    terms = [a * b for a, b in zip(u, w, strict=True)]
    return sum(terms[1:], terms[0])


def cell_step(
    rules: Rules, params: Params, c: jax.Array, u: jax.Array
) -> tuple[State, jax.Array, GateValues]:
    """One step.

    Args:
        rules: of the nets.
        params: their weights.
        c: (K, S, N) of the step before.
        u: (R, N) what the step sees. The gradient of 2000 is truncated: h in it counts
            as a constant.

    Returns:
        The state after the step, the outputs y (7, N), and the gate values.
    """
    i, f, o = (
        jax.nn.sigmoid(product(u, w))[:, None]
        for w in (params.w_i, params.w_f, params.w_o)
    )
    f = jnp.where(rules.gated, f, 1.0)
    g = 4.0 * jax.nn.sigmoid(product(u[:-1], params.w_g)) - 2.0
    c = f * c + i * g
    activated_c = 2.0 * jax.nn.sigmoid(c) - 1.0
    h = o * activated_c
    from_h = product(h.reshape(-1, h.shape[-1]), params.w_h)
    y = jax.nn.sigmoid(product(u[:INPUTS], params.w_x) + from_h + params.b)
    return State(h, c), y, GateValues(i, f, o, g, activated_c)
