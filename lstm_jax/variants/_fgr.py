# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Full gate recurrence: gates that see all gates of the step before."""

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from lstm_jax import _checks
from lstm_jax._cell import advance, cast, project
from lstm_jax._init import init_cell, zero_state
from lstm_jax._params import Leaf, LSTMParams, LSTMState
from lstm_jax.initializers import WeightInit, orthogonal
from lstm_jax.variants._parts import Kind, Shapes, draw, product


class FGRState(NamedTuple):
    """What an LSTM with full gate recurrence carries.

    Attributes:
        h: (*B, H) the last output.
        c: (*B, H) the cell state; float32 where h has a 16-bit type.
        i: (*B, H) the last input gate.
        f: (*B, H) the last forget gate.
        o: (*B, H) the last output gate.
    """

    h: Leaf
    c: Leaf
    i: Leaf
    f: Leaf
    o: Leaf


class FGRParams(flax.struct.PyTreeNode):
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
    w_gates: Leaf


def init(
    call: str,
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    recurrent_init: WeightInit = orthogonal(),
    **cell: Any,
) -> FGRParams:
    """As `variants.init`."""
    own, *rows = jax.random.split(key, 4)
    params = init_cell(
        own,
        input_size,
        hidden_size,
        peephole=True,
        recurrent_init=recurrent_init,
        **cell,
    )
    _plain(call, params)
    units, dtype = params.w_h.shape[0], params.w_h.dtype
    blocks = [draw(recurrent_init, k, units, [units] * 3, dtype) for k in rows]
    return FGRParams(params, jnp.concatenate(blocks))


def _plain(call: str, cell: LSTMParams) -> None:
    absent = cell.options.gates != "ifgo"
    if absent or cell.projection is not None or cell.norm is not None:
        raise NotImplementedError(
            f"{call}: FGR must have a cell with the gates ifgo, without projection and "
            f"norm; got gates {cell.options.gates}, projection "
            f"{_checks._name(cell.projection)}, norm {_checks._name(cell.norm)}."
        )


def _demands(call: str, params: FGRParams) -> None:
    _checks.cell(call, params.cell, "params.cell")
    _plain(call, params.cell)


def _shapes(params: FGRParams) -> Shapes:
    units = 3 * params.cell.w_h.shape[0]
    return {"w_gates": (units, units)}


def _zeros(params: FGRParams, batch: tuple[int, ...], dtype: Any) -> FGRState:
    h, c = zero_state(params.cell, batch, dtype)
    # Arrays of their own, so that the state can be donated.
    return FGRState(h, c, *(jnp.zeros_like(h) for _ in "ifo"))


def _step(
    params: FGRParams, state: FGRState, x: jax.Array
) -> tuple[FGRState, jax.Array]:
    h, c, *gates = state
    cell = cast(params.cell, x.dtype)
    to_i, to_f, to_o = jnp.split(
        product(jnp.concatenate(gates, -1), params.w_gates), 3, -1
    )
    from_gates = jnp.concatenate([to_i, to_f, jnp.zeros_like(to_i), to_o], -1)
    zx = project(cell, x) + from_gates
    new, _, inside = advance(cell, zx, LSTMState(h, c))
    i, f, o = (a.astype(x.dtype) for a in (inside.i, inside.f, inside.o))
    return FGRState(new.h, new.c, i, f, o), new.h


FGR = Kind(_shapes, _zeros, _step, _demands, lambda p: p.cell.w_x.shape[0])
