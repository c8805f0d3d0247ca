# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Full gate recurrence: gates that see all gates of the step before."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax._matmul import matmul
from lstm_jax.cells.base import Cell, DropMasks
from lstm_jax.cells.drawing import Drawing
from lstm_jax.cells.lstm import cell_step
from lstm_jax.cells.lstm_fast import GateValues
from lstm_jax.cells.lstm_params import LSTMParams, StepTrace
from lstm_jax.checks.messages import (
    dtype_problem,
    kind_of,
    raise_first,
    shape_problem,
)
from lstm_jax.initializers import WeightInit, forget_bias, orthogonal


class FGRState(NamedTuple):
    """What an LSTM with full gate recurrence carries.

    Attributes:
        h: (*B, H) the last output.
        c: (*B, H) the cell state; float32 where h has a 16-bit type.
        i: (*B, H) the last input gate.
        f: (*B, H) the last forget gate.
        o: (*B, H) the last output gate.
    """

    h: Any
    c: Any
    i: Any
    f: Any
    o: Any


class FGRParams(Cell):
    """An LSTM with peepholes in which every gate sees all gates of the step before.

    z_k += i_{t-1} R_ik + f_{t-1} R_fk + o_{t-1} R_ok for each k of i, f and o: nine
    more matrices. All else is as `LSTMParams` says.

    Attributes:
        cell: `LSTMParams` with all its gates, no projection and no norm.
        w_gates: (3H, 3H) weights of the last gates; rows and columns i, f, o.

    References:
        Greff et al. 2017, LSTM: A Search Space Odyssey. Hochreiter, Schmidhuber 1997,
        Long Short-Term Memory.
    """

    cell: LSTMParams
    w_gates: Any

    regularizers: ClassVar[frozenset[str]] = frozenset(
        ("recurrent_dropout", "zoneout_h", "zoneout_c")
    )

    @property
    def input_size(self) -> int:
        """I."""
        return self.cell.input_size

    @property
    def output_size(self) -> int:
        """H."""
        return self.cell.output_size

    @property
    def projected_size(self) -> int:
        """4H."""
        return self.cell.projected_size

    def zero_state(self, batch_shape: tuple[int, ...], dtype: Any) -> FGRState:
        """Makes h and the gates of `dtype`, and c of at least 32 bits."""
        h, c = self.cell.zero_state(batch_shape, dtype)
        # Arrays of their own, so that the state can be donated.
        return FGRState(h, c, *(jnp.zeros_like(h) for _ in "ifo"))

    def project(self, x: jax.Array) -> jax.Array:
        """The cell's product x · w_x, plus b."""
        return self.cell.project(x)

    def advance(
        self, state: FGRState, zx_t: jax.Array, masks: DropMasks | None = None
    ) -> tuple[FGRState, jax.Array]:
        """One step from `project`."""
        state, _ = self._step(state, zx_t, masks or DropMasks())
        return state, state.h

    def trace(self, state: FGRState, x_t: jax.Array) -> tuple[FGRState, StepTrace]:
        """A step with its gates."""
        new, inside = self._step(state, self.project(x_t), DropMasks())
        return new, StepTrace(*inside[:5], h=new.h)

    def _step(
        self, state: FGRState, zx: jax.Array, masks: DropMasks
    ) -> tuple[FGRState, GateValues]:
        h, c, *gates = state
        zh_gates = matmul(jnp.concatenate(gates, -1), self.w_gates)
        to_i, to_f, to_o = jnp.split(zh_gates, 3, -1)
        zh = jnp.concatenate([to_i, to_f, jnp.zeros_like(to_i), to_o], -1)
        new_h, c, _, inside = cell_step(self.cell, zx + zh, h, c, masks)
        i, f, o = (a.astype(h.dtype) for a in (inside.i, inside.f, inside.o))
        return FGRState(new_h, c, i, f, o), inside

    def cast(self, dtype: Any) -> "FGRParams":
        """As `LSTMParams.cast`."""
        return FGRParams(self.cell.cast(dtype), jnp.asarray(self.w_gates, dtype))

    def check(self) -> list[str | Exception]:
        """Shapes and dtypes that contradict one another."""
        if not isinstance(self.cell, LSTMParams):
            return [TypeError(f"cell must be LSTMParams; got {kind_of(self.cell)}.")]
        if problems := self.cell.check():
            first = problems[0]
            kind = type(first) if isinstance(first, Exception) else ValueError
            return [kind(f"cell.{first}")]
        absent = self.cell.options.gates != "ifgo"
        if absent or self.cell.projection is not None or self.cell.norm is not None:
            return [_not_plain(self.cell)]
        if problem := dtype_problem("w_gates", self.w_gates):
            return [TypeError(problem)]
        units = 3 * self.cell.hidden_size
        why = f"H={units // 3} from cell"
        problem = shape_problem("w_gates", self.w_gates, (units, units), why)
        return [problem] if problem else []

    def mask_templates(self, state: FGRState) -> DropMasks:
        """The masks are as of an LSTM."""
        return DropMasks(g=state.c, h=state.h, c=state.c)

    @classmethod
    def init(
        cls,
        key: jax.Array,
        input_size: int,
        hidden_size: int,
        *,
        recurrent_init: WeightInit = orthogonal(),
        **cell: Any,
    ) -> "FGRParams":
        """Draws the parameters; `cell` are fields of `LSTMParams.init`."""
        own, *rows = jax.random.split(key, 4)
        lstm = LSTMParams.init(
            own,
            input_size,
            hidden_size,
            peephole=True,
            recurrent_init=recurrent_init,
            **cell,
        )
        units, dtype = lstm.hidden_size, lstm.w_h.dtype
        columns, init = [units] * 3, recurrent_init
        draw = Drawing("FGRParams.init", init, init, forget_bias(1.0), dtype)
        blocks = [
            draw.blocks("recurrent_init", jax.random.split(k, 3), units, columns)
            for k in rows
        ]
        params = cls(lstm, jnp.concatenate(blocks))
        raise_first("FGRParams.init", "params.", params.check())
        return params


def _not_plain(cell: LSTMParams) -> NotImplementedError:
    return NotImplementedError(
        "cell must have the gates ifgo, and neither projection nor norm; got gates "
        f"{cell.options.gates}, projection {kind_of(cell.projection)}, norm "
        f"{kind_of(cell.norm)}."
    )
