# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The gated recurrent unit."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from lstm_jax._params import Leaf
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    forget_bias,
    glorot_uniform,
    orthogonal,
)
from lstm_jax.variants._parts import Kind, Shapes, biased, draw, product, sizes


class GRUParams(flax.struct.PyTreeNode):
    """The gated recurrent unit. Columns stand in the order r, z, n, as torch has them.

    Its state is h, (*B, H)::

        r_t = σ(x_t W_xr + h_{t-1} W_hr + b_r)              resets
        z_t = σ(x_t W_xz + h_{t-1} W_hz + b_z)              keeps
        h_t = z_t * h_{t-1} + (1 - z_t) * n_t

    The candidate n_t has the reset before the product, as published in 2014, or after
    it (`reset_after`), as cuDNN, torch, Flax and Keras have it::

        n_t = tanh(x_t W_xn + b_n + (r_t * h_{t-1}) W_hn)
        n_t = tanh(x_t W_xn + b_n + r_t * (h_{t-1} W_hn + b_hn))

    Attributes:
        w_x: (I, 3H) weights of the input.
        w_h: (H, 3H) weights of the last output.
        b: (3H,) biases, or None.
        b_hn: (H,) biases inside the reset, with `reset_after` alone, or None.
        reset_after: which candidate; static.

    References:
        Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder for
        Statistical Machine Translation.
    """

    w_x: Leaf
    w_h: Leaf
    b: Leaf = None
    b_hn: Leaf = None
    reset_after: bool = flax.struct.field(pytree_node=False, default=False)


def init(
    call: str,
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    reset_after: bool = False,
    use_bias: bool = True,
    kernel_init: WeightInit = glorot_uniform(),
    recurrent_init: WeightInit = orthogonal(),
    bias_init: BiasInit = forget_bias(1.0),
    dtype: Any = None,
) -> GRUParams:
    """As `variants.init`."""
    inputs, units, dtype = sizes(call, input_size, hidden_size, dtype)
    keys = jax.random.split(key, 4)
    b = b_hn = None
    if use_bias:
        b = bias_init(keys[2], units, "rzn").astype(dtype)
    if use_bias and reset_after:
        b_hn = bias_init(keys[3], units, "n").astype(dtype)
    return GRUParams(
        w_x=draw(kernel_init, keys[0], inputs, [units] * 3, dtype),
        w_h=draw(recurrent_init, keys[1], units, [units] * 3, dtype),
        b=b,
        b_hn=b_hn,
        reset_after=bool(reset_after),
    )


def _shapes(params: GRUParams) -> Shapes:
    inputs, columns = params.w_x.shape
    units = columns // 3
    return {
        "w_x": (inputs, 3 * units),
        "w_h": (units, 3 * units),
        "b": (3 * units,),
        "b_hn": (units,),
    }


def _demands(call: str, params: GRUParams) -> None:
    if params.b_hn is not None and not params.reset_after:
        raise ValueError(
            f"{call}: params.b_hn must be None without reset_after, where nothing "
            "stands inside the reset; got an array."
        )


def _zeros(params: GRUParams, batch: tuple[int, ...], dtype: Any) -> jax.Array:
    return jnp.zeros((*batch, params.w_h.shape[0]), dtype)


def _step(params: GRUParams, h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    units = h.shape[-1]
    w_gates, w_n = jnp.split(params.w_h, [2 * units], -1)
    zx = biased(product(x, params.w_x), params.b)
    zx_gates, zx_n = jnp.split(zx, [2 * units], -1)
    r, z = jnp.split(jax.nn.sigmoid(zx_gates + product(h, w_gates)), 2, -1)
    old = h.astype(z.dtype)
    if params.reset_after:
        from_h = r * biased(product(h, w_n), params.b_hn)
    else:
        from_h = product((r * old).astype(h.dtype), w_n)
    n = jnp.tanh(zx_n + from_h)
    h = (z * old + (1.0 - z) * n).astype(x.dtype)
    return h, h


GRU = Kind(_shapes, _zeros, _step, _demands)
