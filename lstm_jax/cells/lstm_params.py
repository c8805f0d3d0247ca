# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""LSTMParams: one LSTM layer as a `Cell`, its state and its trace."""

from typing import Any, ClassVar, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from lstm_jax._dtypes import accum_dtype
from lstm_jax._matmul import matmul
from lstm_jax._norms import GateNorm, Norm, SplitNorm
from lstm_jax.cells import lstm
from lstm_jax.cells.base import Cell, DropMasks
from lstm_jax.cells.drawing import Drawing, floating_dtype, positive_size
from lstm_jax.cells.options import CellOptions
from lstm_jax.checks.lstm import lstm_problems
from lstm_jax.checks.messages import raise_first
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    forget_bias,
    glorot_uniform,
    orthogonal,
)


class LSTMState(NamedTuple):
    """What one layer carries from step to step: output `h` first, then cell `c`.

    A plain tuple or list `(h, c)` is accepted wherever a state is. Beware that Flax
    carries `(c, h)`: where both have one shape the order cannot be told apart.

    Attributes:
        h: (*B, H), or (*B, P) with a projection: the last output.
        c: (*B, H): the cell state; float32 where h has a 16-bit type.
    """

    h: Any
    c: Any


class StepTrace(NamedTuple):
    """The inside of every step of one LSTM layer; time stands where it does in x.

    A gate that is absent is 1; a coupled forget gate is 1 - i. Zero in the padding.

    Attributes:
        i: (*B, T, H) input gate.
        f: (*B, T, H) forget gate.
        g: (*B, T, H) candidate.
        o: (*B, T, H) output gate.
        c: (*B, T, H) cell state after the step.
        h: (*B, T, H or P) output.
    """

    i: Any
    f: Any
    g: Any
    o: Any
    c: Any
    h: Any


class LSTMParams(Cell):
    """One layer, one direction. Columns stand in the order i, f, g, o.

    Attributes:
        w_x: (I, G·H) weights of the input.
        w_h: (H, G·H), or (P, G·H) with a projection: weights of the last output.
        b: (G·H,) biases, or None.
        peephole: rows i, f, o of the gates present, each (H,), or None; i and f look
            at c_{t-1}, o looks at c_t.
        projection: (H, P): h_t = (o_t * tanh(c_t)) · projection, or None.
        norm: `SplitNorm`, `GateNorm` or None.
        options: `CellOptions`; static.
    """

    w_x: Any
    w_h: Any
    b: Any = None
    peephole: Any = None
    projection: Any = None
    norm: Any = None
    options: CellOptions = flax.struct.field(pytree_node=False, default=CellOptions())

    regularizers: ClassVar[frozenset[str]] = frozenset(
        ("recurrent_dropout", "zoneout_h", "zoneout_c", "weight_drop")
    )
    deferred_product: ClassVar[bool] = True

    @property
    def input_size(self) -> int:
        """I."""
        return self.w_x.shape[0]

    @property
    def hidden_size(self) -> int:
        """H."""
        return self.w_x.shape[1] // len(self.options.gates)

    @property
    def output_size(self) -> int:
        """H, or P with a projection."""
        return self.w_h.shape[0]

    @property
    def projected_size(self) -> int:
        """G·H."""
        return self.w_x.shape[1]

    def zero_state(self, batch_shape: tuple[int, ...], dtype: Any) -> LSTMState:
        """Makes h (*B, H or P) of `dtype`, and c (*B, H) of at least 32 bits."""
        return LSTMState(
            jnp.zeros((*batch_shape, self.output_size), dtype),
            jnp.zeros((*batch_shape, self.hidden_size), accum_dtype(dtype)),
        )

    def project(self, x: jax.Array, product: Any = matmul) -> jax.Array:
        """The product x · w_x, plus b: (..., I) to (..., G·H)."""
        return lstm.project(self, x, product)

    def advance(
        self, state: LSTMState, zx_t: jax.Array, masks: DropMasks | None = None
    ) -> tuple[LSTMState, jax.Array]:
        """One step from `project`."""
        h, c, _, _ = lstm.cell_step(self, zx_t, *state, masks or DropMasks())
        return LSTMState(h, c), h

    def trace(self, state: LSTMState, x_t: jax.Array) -> tuple[LSTMState, StepTrace]:
        """A step with its gates."""
        h, c, _, inside = lstm.cell_step(self, self.project(x_t), *state)
        i, f, g, o, new_c, _ = inside
        return LSTMState(h, c), StepTrace(i, f, g, o, new_c, h)

    def cast(self, dtype: Any) -> "LSTMParams":
        """Casts matrices to `dtype`, and what acts elementwise to 32 bits at least."""

        def matrix(w: Any) -> Any:
            return None if w is None else jnp.asarray(w, dtype)

        return self.replace(
            w_x=matrix(self.w_x),
            w_h=matrix(self.w_h),
            projection=matrix(self.projection),
            **jax.tree.map(
                lambda a: jnp.asarray(a, accum_dtype(dtype)),
                {"b": self.b, "peephole": self.peephole, "norm": self.norm},
            ),
        )

    def check(self) -> list[str | Exception]:
        """Shapes, dtypes and options that contradict one another."""
        return lstm_problems(self)

    def mask_templates(self, state: LSTMState) -> DropMasks:
        """The candidate and c are as wide as c, which a projected h is not."""
        return DropMasks(g=state.c, h=state.h, c=state.c)

    @classmethod
    def init(  # type: ignore[override]
        cls,
        key: jax.Array,
        input_size: int,
        hidden_size: int,
        *,
        projection_size: int | None = None,
        peephole: bool = False,
        norm: Norm | type[SplitNorm] | type[GateNorm] | None = None,
        use_bias: bool = True,
        options: CellOptions = CellOptions(),
        kernel_init: WeightInit = glorot_uniform(),
        recurrent_init: WeightInit = orthogonal(),
        bias_init: BiasInit = forget_bias(1.0),
        dtype: Any = None,
    ) -> "LSTMParams":
        """`lstm_jax.init_cell`."""
        call = "init_cell"
        dtype = floating_dtype(call, dtype)
        draw = Drawing(call, kernel_init, recurrent_init, bias_init, dtype)
        inputs = positive_size(call, "input_size", input_size)
        units = width = positive_size(call, "hidden_size", hidden_size)
        if projection_size is not None:
            width = positive_size(call, "projection_size", projection_size)
        if not isinstance(options, CellOptions):
            raise TypeError(f"{call}: options must be CellOptions; got {options!r}.")
        gates = options.gates
        count = len(gates)
        columns, peepholes = [units] * count, len(gates.replace("g", ""))
        keys = jax.random.split(key, 2 * count + 2)
        of_x, of_h, of_b, of_p = keys[:count], keys[count:-2], keys[-2], keys[-1:]
        projection = b = None
        if projection_size is not None:
            projection = draw.blocks("kernel_init", of_p, units, [width])
        if use_bias:
            b = draw.biases(of_b, units, gates)
        params = cls(
            w_x=draw.blocks("kernel_init", of_x, inputs, columns),
            w_h=draw.blocks("recurrent_init", of_h, width, columns),
            b=b,
            peephole=jnp.zeros((peepholes, units), dtype) if peephole else None,
            projection=projection,
            norm=_unit_norm(call, norm, units, units * count, dtype),
            options=options,
        )
        raise_first(call, "params.", params.check())
        return params


def _unit_norm(
    call: str, norm: Any, units: int, columns: int, dtype: Any
) -> Norm | None:
    """A norm with gains 1 and biases 0 from its class, or from one that has an eps."""
    if norm is None:
        return None
    norm = norm() if isinstance(norm, type) else norm
    match norm:
        case SplitNorm():
            return SplitNorm(
                gain_x=jnp.ones(columns, dtype),
                gain_h=jnp.ones(columns, dtype),
                gain_c=jnp.ones(units, dtype),
                bias_c=jnp.zeros(units, dtype),
                eps=norm.eps,
            )
        case GateNorm():
            return GateNorm(jnp.ones(columns, dtype), eps=norm.eps)
    raise TypeError(
        f"{call}: norm must be SplitNorm, GateNorm, one of these with an eps, or None; "
        f"got {norm!r}."
    )
