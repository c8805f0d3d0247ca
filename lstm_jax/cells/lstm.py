# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The equations of the LSTM, without validation, lengths, resets or differentiation.

    z = x_t W_x + h_{t-1} W_h + b       `project`, parallel over time; `preactivation`
    i, f, g, o = σ(z_i), σ(z_f), tanh(z_g), σ(z_o)                     `pointwise`
    c_t = f * c_{t-1} + i * g                                          `pointwise`
    h_t = o * tanh(c_t), or that times W_p                `pointwise`, `project_output`

Every function takes one step or a whole sequence: only the last axis has a meaning.
`cell` is an `LSTMParams` that has been cast to the dtype of x.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from lstm_jax._activation_functions import activate
from lstm_jax._matmul import expand_like, matmul
from lstm_jax._norms import GateNorm, SplitNorm, layer_norm
from lstm_jax.cells.base import DropMasks
from lstm_jax.cells.lstm_fast import GateValues, standard_pointwise, tanh_columns
from lstm_jax.cells.options import CellOptions

if TYPE_CHECKING:
    from lstm_jax.cells.lstm_params import LSTMParams

# Makes an output whole where a cell has a part of a layer's units; linear.
GatherOutput = Callable[[jax.Array], jax.Array]


def pointwise(
    cell: "LSTMParams",
    pre: tuple[jax.Array, ...],
    c_prev: jax.Array,
    g_mask: Any = None,
) -> GateValues:
    """The elementwise part of a step, for every option.

    Args:
        cell: the layer; only its `gate_leaves` are used.
        pre: what `preactivation` gave, each (..., G·H).
        c_prev: (..., H) the cell state that enters.
        g_mask: (..., H) recurrent dropout of the candidate, or None.
    """
    options = cell.options
    gate = _gates(cell, pre)

    i = gate("i", c_prev)
    f = 1.0 - i if options.coupled else gate("f", c_prev)
    g = gate("g", c_prev)
    c = f * c_prev + i * (g if g_mask is None else g * g_mask)
    c = _clip(c, options.cell_clip)
    o = gate("o", c)
    m = o * activate(options.output_activation, _shown(cell, c))
    return GateValues(i, f, g, o, c, m)


def _gates(
    cell: "LSTMParams", pre: tuple[jax.Array, ...]
) -> Callable[[str, jax.Array], jax.Array]:
    """A function of a gate's name and the cell state that its peephole sees."""
    options, norm = cell.options, cell.norm
    z = pre[0]
    if isinstance(norm, SplitNorm):
        z = z + layer_norm(pre[1], norm.eps) * expand_like(norm.gain_h, z)

    def columns_of(a: jax.Array) -> dict[str, jax.Array]:
        parts = jnp.split(a, len(options.gates), -1)
        return dict(zip(options.gates, parts, strict=True))

    columns = columns_of(z)
    peepholes = options.gates.replace("g", "")

    def gate(name: str, c: jax.Array) -> jax.Array:
        if name not in columns:
            return jnp.ones_like(c)
        u = columns[name]
        if cell.peephole is not None and name != "g":
            u = u + c * expand_like(cell.peephole[peepholes.index(name)], u)
        if isinstance(norm, GateNorm):
            u = layer_norm(u, norm.eps) * expand_like(columns_of(norm.gain)[name], u)
            if cell.b is not None:
                u = u + expand_like(columns_of(cell.b)[name], u)
        if name == "g":
            return activate(options.candidate_activation, _clip(u, options.clip))
        return activate(options.gate_activation, _clip(u, options.clip))

    return gate


def _clip(a: jax.Array, bound: float | None) -> jax.Array:
    return a if bound is None else jnp.clip(a, -bound, bound)


def _shown(cell: "LSTMParams", c: jax.Array) -> jax.Array:
    """The cell state as the output sees it."""
    norm = cell.norm
    if not isinstance(norm, SplitNorm):
        return c
    normed = layer_norm(c, norm.eps) * expand_like(norm.gain_c, c)
    return normed + expand_like(norm.bias_c, c)


def project(cell: "LSTMParams", x: jax.Array, product: Any = matmul) -> jax.Array:
    """The input's share of the pre-activations, (..., I) to (..., G·H)."""
    zx = product(x, cell.w_x)
    if isinstance(cell.norm, SplitNorm):
        zx = layer_norm(zx, cell.norm.eps) * expand_like(cell.norm.gain_x, zx)
    if cell.b is not None and not isinstance(cell.norm, GateNorm):
        zx = zx + expand_like(cell.b, zx)
    return zx


def preactivation(cell: "LSTMParams", zx: Any, zh: Any) -> tuple[Any, ...]:
    """Joins the input's and the state's share; linear; None stands for zero.

    A norm of each share must see them apart; else their sum is all that is needed.
    """
    if isinstance(cell.norm, SplitNorm):
        return zx, zh
    return (zx if zh is None else zh if zx is None else zx + zh,)


def is_standard(cell: "LSTMParams") -> bool:
    """Whether the cell has the four equations of `CellOptions()` and no more."""
    plain = cell.norm is None and cell.peephole is None
    return plain and cell.options == CellOptions()


def identity(h: jax.Array) -> jax.Array:
    """The output of a cell that has all of a layer's units."""
    return h


def project_output(
    cell: "LSTMParams", m: jax.Array, gather: GatherOutput = identity, more: Any = None
) -> jax.Array:
    """The output h from o * tanh(c): projected, with `more` added to that; cast."""
    m = m.astype(cell.w_h.dtype)
    if cell.projection is None:
        return gather(m)
    h = matmul(m, cell.projection)
    return gather(h if more is None else h + more).astype(m.dtype)


def zoneout(keep: Any, old: jax.Array, new: jax.Array) -> jax.Array:
    """Keeps some of the old state; linear in both states."""
    if keep is None:
        return new
    if keep.dtype == bool:
        return jnp.where(keep, old, new)
    return keep * old + (1.0 - keep) * new


def cell_step(
    cell: "LSTMParams",
    zx: jax.Array,
    h: jax.Array,
    c: jax.Array,
    masks: DropMasks = DropMasks(),
    gather: GatherOutput = identity,
) -> tuple[jax.Array, jax.Array, tuple[jax.Array, ...], GateValues]:
    """One step from the projected input.

    Args:
        cell: the layer.
        zx: (*B, G·H) what `project` gives for the step.
        h: (*B, H or P) the output that enters.
        c: (*B, H) the cell state that enters.
        masks: of this step.
        gather: makes the output whole where `cell` has a part of a layer's units.

    Returns:
        The new h and c; the pre-activations, or of the standard cell its
        `tanh_columns`; and the step's inside.
    """
    pre = preactivation(cell, zx, matmul(h, cell.w_h))
    if is_standard(cell):
        pre = (tanh_columns(*pre),)
        inside = standard_pointwise(*pre, c, masks.g)
    else:
        inside = pointwise(cell, pre, c, masks.g)
    h = zoneout(masks.h, h, project_output(cell, inside.m, gather))
    return h, zoneout(masks.c, c, inside.c), pre, inside


def input_leaves(cell: "LSTMParams") -> "LSTMParams":
    """The leaves that `project` uses; None elsewhere."""
    norm = cell.norm
    return cell.replace(
        w_h=None,
        b=None if isinstance(norm, GateNorm) else cell.b,
        peephole=None,
        projection=None,
        norm=SplitNorm(norm.gain_x, eps=norm.eps)
        if isinstance(norm, SplitNorm)
        else None,
    )


def gate_leaves(cell: "LSTMParams") -> "LSTMParams":
    """The leaves that `pointwise` uses; None elsewhere."""
    norm = cell.norm
    return cell.replace(
        w_x=None,
        w_h=None,
        b=cell.b if isinstance(norm, GateNorm) else None,
        projection=None,
        norm=norm.replace(gain_x=None) if isinstance(norm, SplitNorm) else norm,
    )
