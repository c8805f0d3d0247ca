# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The plain recurrent network."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from lstm_jax._cell import ACTIVATIONS, activate
from lstm_jax._params import Activation, Leaf
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    forget_bias,
    glorot_uniform,
    orthogonal,
)
from lstm_jax.variants._parts import Kind, Shapes, biased, draw, product, sizes


class RNNParams(flax.struct.PyTreeNode):
    """The plain recurrent network: h_t = tanh(x_t W_x + h_{t-1} W_h + b).

    Its state is h, (*B, H).

    Attributes:
        w_x: (I, H) weights of the input.
        w_h: (H, H) weights of the last output.
        b: (H,) biases, or None.
        activation: an `Activation` or a name; static.

    References:
        Elman 1990, Finding Structure in Time. Le, Jaitly, Hinton 2015, A Simple Way to
        Initialize Recurrent Networks of Rectified Linear Units (with "relu").
    """

    w_x: Leaf
    w_h: Leaf
    b: Leaf = None
    activation: Activation | str = flax.struct.field(pytree_node=False, default="tanh")

    def __post_init__(self) -> None:
        """Gives a function that was named by a string its `Activation`."""
        if isinstance(self.activation, str):
            object.__setattr__(self, "activation", Activation(self.activation))


def init(
    call: str,
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    activation: Activation | str = "tanh",
    use_bias: bool = True,
    kernel_init: WeightInit = glorot_uniform(),
    recurrent_init: WeightInit = orthogonal(),
    bias_init: BiasInit = forget_bias(1.0),
    dtype: Any = None,
) -> RNNParams:
    """As `variants.init`."""
    inputs, units, dtype = sizes(call, input_size, hidden_size, dtype)
    keys = jax.random.split(key, 3)
    params = RNNParams(
        w_x=draw(kernel_init, keys[0], inputs, [units], dtype),
        w_h=draw(recurrent_init, keys[1], units, [units], dtype),
        b=bias_init(keys[2], units, "h").astype(dtype) if use_bias else None,
        activation=activation,
    )
    _demands(call, params)
    return params


def _shapes(params: RNNParams) -> Shapes:
    inputs, units = params.w_x.shape
    return {"w_x": (inputs, units), "w_h": (units, units), "b": (units,)}


def _demands(call: str, params: RNNParams) -> None:
    name = getattr(params.activation, "name", params.activation)
    if name not in ACTIVATIONS:
        raise ValueError(
            f"{call}: activation must be one of {', '.join(ACTIVATIONS)}; got {name!r}."
        )


def _zeros(params: RNNParams, batch: tuple[int, ...], dtype: Any) -> jax.Array:
    return jnp.zeros((*batch, params.w_h.shape[0]), dtype)


def _step(params: RNNParams, h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    z = biased(product(x, params.w_x) + product(h, params.w_h), params.b)
    h = activate(params.activation, z).astype(x.dtype)
    return h, h


RNN = Kind(_shapes, _zeros, _step, _demands)
