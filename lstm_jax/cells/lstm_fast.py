# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The standard cell in one tanh, and its derivative in closed form.

With σ(z) = ½ + ½ tanh(z/2), all four gates are one tanh of (..., 4H) columns. Only
`CellOptions()` without peepholes and norm is computed so; `lstm.pointwise` has the
equations, which this file must agree with.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax._matmul import expand_like


class GateValues(NamedTuple):
    """The inside of a step; each (..., H).

    Attributes:
        i: input gate.
        f: forget gate.
        g: candidate.
        o: output gate.
        c: cell state after the step.
        m: output before the projection, o * tanh(c).
    """

    i: jax.Array
    f: jax.Array
    g: jax.Array
    o: jax.Array
    c: jax.Array
    m: jax.Array


def tanh_columns(z: jax.Array) -> jax.Array:
    """tanh(z/2) of the columns of i, f and o, and tanh(z) of those of g.

    A gate made of it is accurate to the rounding of 1, not of itself: in float32 it is
    0 below z of about -17.
    """
    halves = np.repeat([0.5, 0.5, 1.0, 0.5], z.shape[-1] // 4)
    return jnp.tanh(z * expand_like(jnp.asarray(halves, z.dtype), z))


def standard_pointwise(t: jax.Array, c_prev: jax.Array, g_mask: Any) -> GateValues:
    """The elementwise part of the standard cell, from its `tanh_columns`."""
    i, f, g, o = jnp.split(t, 4, -1)
    i, f, o = (0.5 + 0.5 * a for a in (i, f, o))
    c = f * c_prev + i * (g if g_mask is None else g * g_mask)
    return GateValues(i, f, g, o, c, o * jnp.tanh(c))


class Partials(NamedTuple):
    """The derivatives of the standard cell's elementwise part; each (..., H).

    dc_t = dc_dc dc_{t-1} + dc_dzi dz_i + dc_dzf dz_f + dc_dzg dz_g, and
    dm_t = dm_dc dc_t + dm_dzo dz_o.
    """

    dc_dc: jax.Array
    dc_dzi: jax.Array
    dc_dzf: jax.Array
    dc_dzg: jax.Array
    dm_dc: jax.Array
    dm_dzo: jax.Array


def standard_partials(t: jax.Array, c_prev: jax.Array, g_mask: Any) -> Partials:
    """The closed form for the standard cell, from its `tanh_columns`."""
    i, f, g, o, c, _ = standard_pointwise(t, c_prev, g_mask)
    tanh_c = jnp.tanh(c)
    # σ' = σ (1 - σ), and tanh' = 1 - tanh².
    new = g if g_mask is None else g * g_mask
    weight = i if g_mask is None else i * g_mask
    return Partials(
        dc_dc=f,
        dc_dzi=new * i * (1.0 - i),
        dc_dzf=c_prev * f * (1.0 - f),
        dc_dzg=weight * (1.0 - g * g),
        dm_dc=o * (1.0 - tanh_c * tanh_c),
        dm_dzo=tanh_c * o * (1.0 - o),
    )


def standard_jvp(
    partials: Partials, dz: jax.Array, dc_prev: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The tangents of m and c along those of z and of c_prev."""
    dz_i, dz_f, dz_g, dz_o = jnp.split(dz, 4, -1)
    dc = partials.dc_dc * dc_prev
    dc = dc + partials.dc_dzi * dz_i + partials.dc_dzf * dz_f + partials.dc_dzg * dz_g
    return partials.dm_dc * dc + partials.dm_dzo * dz_o, dc
