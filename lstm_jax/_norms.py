# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The two layer norms of an LSTM; their type says where they act."""

from typing import Any, TypeAlias

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._activation_functions import python_numbers


class SplitNorm(flax.struct.PyTreeNode):
    """Layer norm of the two products each, and of the cell inside the output.

    z_t = LN(W_x x_t) * gain_x + LN(W_h h_{t-1}) * gain_h + b, normed over all G·H, and
    h_t = o_t * tanh(LN(c_t) * gain_c + bias_c). The carried c_t is not normed.

    Attributes:
        gain_x: (G·H,) gain of the input product.
        gain_h: (G·H,) gain of the recurrent product.
        gain_c: (H,) gain of the cell state inside the output.
        bias_c: (H,) bias of the cell state inside the output.
        eps: added to the variance; static.

    References:
        Ba, Kiros, Hinton 2016, Layer Normalization.
    """

    gain_x: Any = None
    gain_h: Any = None
    gain_c: Any = None
    bias_c: Any = None
    eps: float = flax.struct.field(pytree_node=False, default=1e-5)

    def __post_init__(self) -> None:
        """Makes eps a Python number."""
        python_numbers(self, "eps")


class GateNorm(flax.struct.PyTreeNode):
    """Layer norm of every gate's whole pre-activation, as LiteRT has it.

    z_t = LN(W_x x_t + W_h h_{t-1} + p * c) * gain + b for each gate by itself.

    Attributes:
        gain: (G·H,) gains, gate by gate in the order of the columns.
        eps: added to the variance; static.

    References:
        LiteRT (TensorFlow Lite), operator LSTM with layer-norm coefficients.
    """

    gain: Any = None
    eps: float = flax.struct.field(pytree_node=False, default=1e-8)

    def __post_init__(self) -> None:
        """Makes eps a Python number."""
        python_numbers(self, "eps")


Norm: TypeAlias = SplitNorm | GateNorm


def layer_norm(x: jax.Array, eps: float) -> jax.Array:
    """Zero mean and unit variance over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), -1, keepdims=True)
    return centred * lax.rsqrt(variance + eps)
