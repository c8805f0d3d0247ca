# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The plain recurrent network."""

from typing import Any, ClassVar, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from lstm_jax._activation_functions import ACTIVATIONS, ActivationFn, activate
from lstm_jax._matmul import add_bias, matmul
from lstm_jax.cells.base import Cell, DropMasks
from lstm_jax.cells.drawing import Drawing, floating_dtype, positive_size
from lstm_jax.cells.lstm import zoneout
from lstm_jax.checks.fields import matrix_problems
from lstm_jax.checks.messages import raise_first
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    forget_bias,
    glorot_uniform,
    orthogonal,
)


class RNNTrace(NamedTuple):
    """The inside of every step of a plain network.

    Attributes:
        h: (*B, T, H) output.
    """

    h: Any


class RNNParams(Cell):
    """The plain recurrent network: h_t = tanh(x_t W_x + h_{t-1} W_h + b).

    Its state is h, (*B, H).

    Attributes:
        w_x: (I, H) weights of the input.
        w_h: (H, H) weights of the last output.
        b: (H,) biases, or None.
        activation: an `ActivationFn` or a name; static.

    References:
        Elman 1990, Finding Structure in Time. Le, Jaitly, Hinton 2015, A Simple Way to
        Initialize Recurrent Networks of Rectified Linear Units (with "relu").
    """

    w_x: Any
    w_h: Any
    b: Any = None
    activation: ActivationFn | str = flax.struct.field(
        pytree_node=False, default=ActivationFn("tanh")
    )

    regularizers: ClassVar[frozenset[str]] = frozenset(("zoneout_h", "weight_drop"))

    def __post_init__(self) -> None:
        """Gives a function that was named by a string its `ActivationFn`."""
        if isinstance(self.activation, str):
            object.__setattr__(self, "activation", ActivationFn(self.activation))

    @property
    def input_size(self) -> int:
        """I."""
        return self.w_x.shape[0]

    @property
    def output_size(self) -> int:
        """H."""
        return self.w_h.shape[0]

    @property
    def projected_size(self) -> int:
        """H."""
        return self.w_x.shape[1]

    def zero_state(self, batch_shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """The output h, (*B, H)."""
        return jnp.zeros((*batch_shape, self.output_size), dtype)

    def project(self, x: jax.Array) -> jax.Array:
        """The product x · w_x."""
        return matmul(x, self.w_x)

    def advance(
        self, h: jax.Array, zx_t: jax.Array, masks: DropMasks | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """One step from `project`."""
        z = add_bias(zx_t + matmul(h, self.w_h), self.b)
        new = activate(self.activation, z).astype(h.dtype)
        h = zoneout(None if masks is None else masks.h, h, new)
        return h, h

    def trace(self, h: jax.Array, x_t: jax.Array) -> tuple[jax.Array, RNNTrace]:
        """A step."""
        h, _ = self.step(h, x_t)
        return h, RNNTrace(h)

    def check(self) -> list[str | Exception]:
        """Shapes and dtypes that contradict one another; an unknown activation."""
        name = getattr(self.activation, "name", self.activation)
        if name not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            return [f"activation must be one of {known}; got {name!r}."]
        return matrix_problems(
            self, lambda i, h: {"w_x": (i, h), "w_h": (h, h), "b": (h,)}
        )

    @classmethod
    def init(  # type: ignore[override]
        cls,
        key: jax.Array,
        input_size: int,
        hidden_size: int,
        *,
        activation: ActivationFn | str = "tanh",
        use_bias: bool = True,
        kernel_init: WeightInit = glorot_uniform(),
        recurrent_init: WeightInit = orthogonal(),
        bias_init: BiasInit = forget_bias(1.0),
        dtype: Any = None,
    ) -> "RNNParams":
        """Draws the parameters; `bias_init` is called with (key, H, "h")."""
        call = "RNNParams.init"
        inputs = positive_size(call, "input_size", input_size)
        units = positive_size(call, "hidden_size", hidden_size)
        dtype = floating_dtype(call, dtype)
        draw = Drawing(call, kernel_init, recurrent_init, bias_init, dtype)
        keys = jax.random.split(key, 3)
        of_x, of_h = (jax.random.split(k, 1) for k in keys[:2])
        params = cls(
            w_x=draw.blocks("kernel_init", of_x, inputs, [units]),
            w_h=draw.blocks("recurrent_init", of_h, units, [units]),
            b=draw.biases(keys[2], units, "h") if use_bias else None,
            activation=activation,
        )
        raise_first(call, "params.", params.check())
        return params
