# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The cell of 1997: memory blocks, no forget gate, gates that see gates."""

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._cell import wide
from lstm_jax._init import _size
from lstm_jax._params import Leaf
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    forget_bias,
    glorot_uniform,
    orthogonal,
)
from lstm_jax.variants._parts import Kind, Shapes, biased, draw, product, sizes


class LSTM1997State(NamedTuple):
    """What the cell of 1997 carries; K is the number of blocks.

    Attributes:
        h: (*B, H) the last output, y^c in the paper.
        c: (*B, H) the cell state, s_c; float32 where h has a 16-bit type.
        i: (*B, K) the last input gates, y^in.
        o: (*B, K) the last output gates, y^out.
    """

    h: Leaf
    c: Leaf
    i: Leaf
    o: Leaf


class LSTM1997Params(flax.struct.PyTreeNode):
    """Memory blocks as published in 1997: K blocks share H cells evenly.

    Every gate and every cell sees the input and u_{t-1} = [h, i, o]_{t-1}, all outputs
    and all gates of the step before. A block's cells share its two gates::

        i_t = σ(x_t W_xi + u_{t-1} W_hi + b_i)              (K,)
        g_t = 4 σ(x_t W_xg + u_{t-1} W_hg + b_g) - 2        (H,), in [-2, 2]
        o_t = σ(x_t W_xo + u_{t-1} W_ho + b_o)              (K,)
        c_t = c_{t-1} + i_t * g_t                           i_t of the cell's block
        h_t = o_t * (2 σ(c_t) - 1)                          in [-1, 1]

    The gradient of 1997 is truncated: u_{t-1} counts as a constant, and error flows
    back in time through c alone.

    Attributes:
        w_x: (I, K + H + K) weights of the input; columns i, g, o, the cells by block.
        w_h: (H + 2K, K + H + K) weights of the last h, i, o, in that order of rows.
        b: (2K,) biases of the gates, i and o, or None.
        b_g: (H,) biases of the cells, or None.
        blocks: K; static.
        truncated: whether the gradient is that of 1997; False gives the whole. Static.

    References:
        Hochreiter, Schmidhuber 1997, Long Short-Term Memory.
    """

    w_x: Leaf
    w_h: Leaf
    b: Leaf = None
    b_g: Leaf = None
    blocks: int = flax.struct.field(pytree_node=False, default=1)
    truncated: bool = flax.struct.field(pytree_node=False, default=True)


def init(
    call: str,
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    blocks: int | None = None,
    truncated: bool = True,
    use_bias: bool = True,
    cell_bias: bool = True,
    kernel_init: WeightInit = glorot_uniform(),
    recurrent_init: WeightInit = orthogonal(),
    bias_init: BiasInit = forget_bias(1.0),
    dtype: Any = None,
) -> LSTM1997Params:
    """As `variants.init`."""
    inputs, units, dtype = sizes(call, input_size, hidden_size, dtype)
    count = units if blocks is None else _size(call, "blocks", blocks)
    if units % count:
        raise ValueError(
            f"{call}: blocks must divide hidden_size, the cells of all blocks; got "
            f"blocks={count}, hidden_size={units}."
        )
    keys = jax.random.split(key, 4)
    columns = [count, units, count]
    b = b_g = None
    if use_bias:
        b = bias_init(keys[2], count, "io").astype(dtype)
    if use_bias and cell_bias:
        b_g = bias_init(keys[3], units, "g").astype(dtype)
    return LSTM1997Params(
        w_x=draw(kernel_init, keys[0], inputs, columns, dtype),
        w_h=draw(recurrent_init, keys[1], sum(columns), columns, dtype),
        b=b,
        b_g=b_g,
        blocks=count,
        truncated=bool(truncated),
    )


def _units(params: LSTM1997Params) -> int:
    return params.w_x.shape[1] - 2 * params.blocks


def _shapes(params: LSTM1997Params) -> Shapes:
    inputs, columns = params.w_x.shape
    return {
        "w_x": (inputs, columns),
        "w_h": (columns, columns),
        "b": (2 * params.blocks,),
        "b_g": (_units(params),),
    }


def _demands(call: str, params: LSTM1997Params) -> None:
    blocks = _size(call, "params.blocks", params.blocks)
    units = _units(params)
    if units < 1 or units % blocks:
        raise ValueError(
            f"{call}: params.blocks must divide H, the columns of w_x without two a "
            f"block; got blocks={blocks}, H={units}."
        )


def _zeros(params: LSTM1997Params, batch: tuple[int, ...], dtype: Any) -> LSTM1997State:
    cells, gates = (*batch, _units(params)), (*batch, params.blocks)
    return LSTM1997State(
        h=jnp.zeros(cells, dtype),
        c=jnp.zeros(cells, wide(dtype)),
        i=jnp.zeros(gates, dtype),
        o=jnp.zeros(gates, dtype),
    )


def _step(
    params: LSTM1997Params, state: LSTM1997State, x: jax.Array
) -> tuple[LSTM1997State, jax.Array]:
    h, c, i, o = state
    blocks, units = params.blocks, _units(params)
    seen = jnp.concatenate([h, i, o], -1)
    if params.truncated:
        seen = lax.stop_gradient(seen)
    z = product(x, params.w_x) + product(seen, params.w_h)
    z_i, z_g, z_o = jnp.split(z, [blocks, blocks + units], -1)
    z_i, z_o = jnp.split(biased(jnp.concatenate([z_i, z_o], -1), params.b), 2, -1)
    i, o = jax.nn.sigmoid(z_i), jax.nn.sigmoid(z_o)
    g = 4.0 * jax.nn.sigmoid(biased(z_g, params.b_g)) - 2.0

    def cells(gate: jax.Array) -> jax.Array:
        return jnp.repeat(gate, units // blocks, -1)

    c = c + cells(i) * g
    h = cells(o) * (2.0 * jax.nn.sigmoid(c) - 1.0)
    h, i, o = (a.astype(x.dtype) for a in (h, i, o))
    return LSTM1997State(h, c, i, o), h


LSTM1997 = Kind(_shapes, _zeros, _step, _demands)
