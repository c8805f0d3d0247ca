# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The cell of 1997: memory blocks, no forget gate, gates that see gates."""

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._dtypes import accum_dtype
from lstm_jax._matmul import add_bias, matmul
from lstm_jax.cells.base import Cell, DropMasks
from lstm_jax.cells.drawing import Drawing, floating_dtype, positive_size
from lstm_jax.checks.fields import matrix_problems
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    forget_bias,
    glorot_uniform,
    orthogonal,
)


class LSTM1997State(NamedTuple):
    """What the cell of 1997 carries; K is the number of blocks.

    Attributes:
        h: (*B, H) the last output, y^c in the paper.
        c: (*B, H) the cell state, s_c; float32 where h has a 16-bit type.
        i: (*B, K) the last input gates, y^in.
        o: (*B, K) the last output gates, y^out.
    """

    h: Any
    c: Any
    i: Any
    o: Any


class LSTM1997Trace(NamedTuple):
    """The inside of every step of the cell of 1997.

    Attributes:
        i: (*B, T, K) input gates.
        g: (*B, T, H) candidate.
        o: (*B, T, K) output gates.
        c: (*B, T, H) cell state after the step.
        h: (*B, T, H) output.
    """

    i: Any
    g: Any
    o: Any
    c: Any
    h: Any


class LSTM1997Params(Cell):
    """Memory blocks as published in 1997: K blocks share H cells evenly.

    Every gate and every cell sees the input and u_{t-1} = [h, i, o]_{t-1}, all outputs
    and all gates of the step before. A block's cells share its two gates::

        i_t = σ(x_t W_xi + u_{t-1} W_hi + b_i)              (K,)
        g_t = 4 σ(x_t W_xg + u_{t-1} W_hg + b_g) - 2        (H,), in [-2, 2]
        o_t = σ(x_t W_xo + u_{t-1} W_ho + b_o)              (K,)
        c_t = c_{t-1} + i_t * g_t                           i_t of the cell's block
        h_t = o_t * (2 σ(c_t) - 1)                          in [-1, 1]

    The gradient of 1997 is truncated: u_{t-1} counts as a constant, and error flows
    back in time through c alone. No regularizer acts inside.

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

    w_x: Any
    w_h: Any
    b: Any = None
    b_g: Any = None
    blocks: int = flax.struct.field(pytree_node=False, default=1)
    truncated: bool = flax.struct.field(pytree_node=False, default=True)

    @property
    def input_size(self) -> int:
        """I."""
        return self.w_x.shape[0]

    @property
    def output_size(self) -> int:
        """H."""
        return self.w_x.shape[1] - 2 * self.blocks

    @property
    def projected_size(self) -> int:
        """K + H + K."""
        return self.w_x.shape[1]

    def zero_state(self, batch_shape: tuple[int, ...], dtype: Any) -> LSTM1997State:
        """Makes h and the gates of `dtype`, and c of at least 32 bits."""
        cells, gates = (*batch_shape, self.output_size), (*batch_shape, self.blocks)
        return LSTM1997State(
            h=jnp.zeros(cells, dtype),
            c=jnp.zeros(cells, accum_dtype(dtype)),
            i=jnp.zeros(gates, dtype),
            o=jnp.zeros(gates, dtype),
        )

    def project(self, x: jax.Array) -> jax.Array:
        """The product x · w_x."""
        return matmul(x, self.w_x)

    def advance(
        self, state: LSTM1997State, zx_t: jax.Array, masks: DropMasks | None = None
    ) -> tuple[LSTM1997State, jax.Array]:
        """One step from `project`."""
        state, _ = self._step(state, zx_t)
        return state, state.h

    def trace(
        self, state: LSTM1997State, x_t: jax.Array
    ) -> tuple[LSTM1997State, LSTM1997Trace]:
        """A step with its gates."""
        new, g = self._step(state, self.project(x_t))
        return new, LSTM1997Trace(new.i, g, new.o, new.c, new.h)

    def _step(
        self, state: LSTM1997State, zx: jax.Array
    ) -> tuple[LSTM1997State, jax.Array]:
        h, c, i, o = state
        dtype, blocks, units = h.dtype, self.blocks, self.output_size
        seen = jnp.concatenate([h, i, o], -1)
        if self.truncated:
            seen = lax.stop_gradient(seen)
        z = zx + matmul(seen, self.w_h)
        z_i, z_g, z_o = jnp.split(z, [blocks, blocks + units], -1)
        z_i, z_o = jnp.split(add_bias(jnp.concatenate([z_i, z_o], -1), self.b), 2, -1)
        i, o = jax.nn.sigmoid(z_i), jax.nn.sigmoid(z_o)
        g = 4.0 * jax.nn.sigmoid(add_bias(z_g, self.b_g)) - 2.0

        def of_cells(gate: jax.Array) -> jax.Array:
            return jnp.repeat(gate, units // blocks, -1)

        c = c + of_cells(i) * g
        h = of_cells(o) * (2.0 * jax.nn.sigmoid(c) - 1.0)
        return LSTM1997State(h.astype(dtype), c, i.astype(dtype), o.astype(dtype)), g

    def check(self) -> list[str | Exception]:
        """Shapes and dtypes that contradict one another."""
        blocks = self.blocks
        if isinstance(blocks, bool) or not isinstance(blocks, int) or blocks < 1:
            return [f"blocks must be a positive integer; got {blocks!r}."]
        shape: Any = getattr(self.w_x, "shape", ())
        units = shape[1] - 2 * blocks if len(shape) == 2 else blocks
        if units < 1 or units % blocks:
            return [
                "blocks must divide H, the columns of w_x without two a block; got "
                f"blocks={blocks}, H={units}."
            ]

        def shapes(inputs: int, columns: int) -> dict[str, tuple[int, ...]]:
            return {
                "w_x": (inputs, columns),
                "w_h": (columns, columns),
                "b": (2 * blocks,),
                "b_g": (units,),
            }

        return matrix_problems(self, shapes)

    @classmethod
    def init(  # type: ignore[override]
        cls,
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
    ) -> "LSTM1997Params":
        """Draws the parameters.

        `bias_init` is called with (key, K, "io") and, for cells, (key, H, "g").
        """
        call = "LSTM1997Params.init"
        inputs = positive_size(call, "input_size", input_size)
        units = positive_size(call, "hidden_size", hidden_size)
        dtype = floating_dtype(call, dtype)
        draw = Drawing(call, kernel_init, recurrent_init, bias_init, dtype)
        count = units if blocks is None else positive_size(call, "blocks", blocks)
        if units % count:
            raise ValueError(
                f"{call}: blocks must divide hidden_size, the cells of all blocks; got "
                f"blocks={count}, hidden_size={units}."
            )
        keys = jax.random.split(key, 4)
        columns = [count, units, count]
        of_x, of_h = (jax.random.split(k, 3) for k in keys[:2])
        b = b_g = None
        if use_bias:
            b = draw.biases(keys[2], count, "io")
        if use_bias and cell_bias:
            b_g = draw.biases(keys[3], units, "g")
        return cls(
            w_x=draw.blocks("kernel_init", of_x, inputs, columns),
            w_h=draw.blocks("recurrent_init", of_h, sum(columns), columns),
            b=b,
            b_g=b_g,
            blocks=count,
            truncated=bool(truncated),
        )
