# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The gated recurrent unit."""

from typing import Any, ClassVar, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from lstm_jax._matmul import add_bias, matmul
from lstm_jax.cells.base import Cell, DropMasks
from lstm_jax.cells.drawing import Drawing, floating_dtype, positive_size
from lstm_jax.cells.lstm import zoneout
from lstm_jax.checks.fields import matrix_problems
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    forget_bias,
    glorot_uniform,
    orthogonal,
)


class GRUTrace(NamedTuple):
    """The inside of every step of a GRU, each (*B, T, H).

    Attributes:
        r: reset gate.
        z: update gate: the share of h that is kept.
        n: candidate.
        h: output.
    """

    r: Any
    z: Any
    n: Any
    h: Any


class GRUParams(Cell):
    """The gated recurrent unit. Columns stand in the order r, z, n, as torch has them.

    Its state is h, (*B, H)::

        r_t = σ(x_t W_xr + h_{t-1} W_hr + b_r)              reset gate
        z_t = σ(x_t W_xz + h_{t-1} W_hz + b_z)              update gate
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

    w_x: Any
    w_h: Any
    b: Any = None
    b_hn: Any = None
    reset_after: bool = flax.struct.field(pytree_node=False, default=False)

    regularizers: ClassVar[frozenset[str]] = frozenset(
        ("recurrent_dropout", "zoneout_h", "weight_drop")
    )

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
        """3H."""
        return self.w_x.shape[1]

    def zero_state(self, batch_shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """The output h, (*B, H)."""
        return jnp.zeros((*batch_shape, self.output_size), dtype)

    def project(self, x: jax.Array) -> jax.Array:
        """The product x · w_x, plus b."""
        return add_bias(matmul(x, self.w_x), self.b)

    def advance(
        self, h: jax.Array, zx_t: jax.Array, masks: DropMasks | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """One step from `project`."""
        h = self._step(h, zx_t, masks or DropMasks()).h
        return h, h

    def trace(self, h: jax.Array, x_t: jax.Array) -> tuple[jax.Array, GRUTrace]:
        """A step with its gates."""
        inside = self._step(h, self.project(x_t), DropMasks())
        return inside.h, inside

    def _step(self, h: jax.Array, zx: jax.Array, masks: DropMasks) -> GRUTrace:
        units = h.shape[-1]
        w_gates, w_n = jnp.split(self.w_h, [2 * units], -1)
        zx_gates, zx_n = jnp.split(zx, [2 * units], -1)
        r, z = jnp.split(jax.nn.sigmoid(zx_gates + matmul(h, w_gates)), 2, -1)
        old = h.astype(z.dtype)
        if self.reset_after:
            zh_n = r * add_bias(matmul(h, w_n), self.b_hn)
        else:
            zh_n = matmul((r * old).astype(h.dtype), w_n)
        n = jnp.tanh(zx_n + zh_n)
        dropped = n if masks.g is None else n * masks.g
        new = (z * old + (1.0 - z) * dropped).astype(h.dtype)
        return GRUTrace(r, z, n, zoneout(masks.h, h, new))

    def check(self) -> list[str | Exception]:
        """Shapes and dtypes that contradict one another."""
        if self.b_hn is not None and not self.reset_after:
            return [
                "b_hn must be None without reset_after, where nothing stands inside "
                "the reset; got an array."
            ]

        def shapes(inputs: int, columns: int) -> dict[str, tuple[int, ...]]:
            units = columns // 3
            return {
                "w_x": (inputs, 3 * units),
                "w_h": (units, 3 * units),
                "b": (3 * units,),
                "b_hn": (units,),
            }

        return matrix_problems(self, shapes)

    @classmethod
    def init(  # type: ignore[override]
        cls,
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
    ) -> "GRUParams":
        """Draws the parameters; `bias_init` is called with (key, H, "rzn" or "n")."""
        call = "GRUParams.init"
        inputs = positive_size(call, "input_size", input_size)
        units = positive_size(call, "hidden_size", hidden_size)
        dtype = floating_dtype(call, dtype)
        draw = Drawing(call, kernel_init, recurrent_init, bias_init, dtype)
        keys = jax.random.split(key, 4)
        columns = [units] * 3
        of_x, of_h = (jax.random.split(k, 3) for k in keys[:2])
        b = b_hn = None
        if use_bias:
            b = draw.biases(keys[2], units, "rzn")
        if use_bias and reset_after:
            b_hn = draw.biases(keys[3], units, "n")
        return cls(
            w_x=draw.blocks("kernel_init", of_x, inputs, columns),
            w_h=draw.blocks("recurrent_init", of_h, units, columns),
            b=b,
            b_hn=b_hn,
            reset_after=bool(reset_after),
        )
