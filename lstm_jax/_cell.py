# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The equations of one layer, without validation, lengths, resets or differentiation.

    project    zx_t = x_t W_x + b                   parallel over time
    mix        z_t = zx_t + h_{t-1} W_h             the one sequential product
    squash     tanh of all columns at once          elementwise, the standard cell only
    pointwise  i, f, g, o, c_t, m_t = o_t act(c_t)  elementwise
    output     h_t = m_t, or m_t W_p                projection
    zoneout    between the old state and the new

Every function takes one step or a whole sequence: only the last axis has a meaning.
`cell` is an `LSTMParams` that `cast` has made ready for the dtype of x.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from lstm_jax._params import (
    Activation,
    CellOptions,
    GateNorm,
    LSTMParams,
    LSTMState,
    SplitNorm,
)

# Makes an output whole where a cell is a part of a layer's units; linear.
Join = Callable[[jax.Array], jax.Array]

# name: (function of x, alpha and beta; default alpha; default beta), as ONNX has them
ACTIVATIONS: dict[str, tuple[Callable[..., jax.Array], float, float]] = {
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "elu": (lambda x, a, b: jax.nn.elu(x, a), 1.0, 0.0),
    "hard_sigmoid": (lambda x, a, b: jnp.clip(a * x + b, 0.0, 1.0), 0.2, 0.5),
    "leaky_relu": (lambda x, a, b: jnp.where(x >= 0, x, a * x), 0.01, 0.0),
    "relu": (lambda x, a, b: jax.nn.relu(x), 0.0, 0.0),
    "scaled_tanh": (lambda x, a, b: a * jnp.tanh(b * x), 1.0, 1.0),
    "sigmoid": (lambda x, a, b: jax.nn.sigmoid(x), 0.0, 0.0),
    "softplus": (lambda x, a, b: jax.nn.softplus(x), 0.0, 0.0),
    "softsign": (lambda x, a, b: jax.nn.soft_sign(x), 0.0, 0.0),
    "tanh": (lambda x, a, b: jnp.tanh(x), 0.0, 0.0),
    "thresholded_relu": (lambda x, a, b: jnp.where(x > a, x, 0.0), 1.0, 0.0),
}


class Noise(NamedTuple):
    """What a regularizer does to one layer; None where it does nothing.

    Attributes:
        g: factors of the candidate (recurrent dropout).
        h: zoneout of h: True keeps the old value; a number is the share of the old.
        c: zoneout of c, likewise.
    """

    g: Any = None
    h: Any = None
    c: Any = None


class Inside(NamedTuple):
    """What `pointwise` gives; each (*B, H)."""

    i: jax.Array
    f: jax.Array
    g: jax.Array
    o: jax.Array
    c: jax.Array
    m: jax.Array


def explicit(activation: Activation | str) -> Activation:
    """An activation with its default alpha and beta written out."""
    if isinstance(activation, str):
        activation = Activation(activation)
    _, alpha, beta = ACTIVATIONS[activation.name]
    return Activation(
        activation.name,
        alpha if activation.alpha is None else activation.alpha,
        beta if activation.beta is None else activation.beta,
    )


def activate(activation: Activation | str, x: jax.Array) -> jax.Array:
    """Applies an activation, elementwise."""
    name, alpha, beta = dataclasses.astuple(explicit(activation))
    return ACTIVATIONS[name][0](x, alpha, beta)


def result_dtype(*trees: Any) -> jnp.dtype:
    """The promoted dtype of all leaves, under JAX's standard promotion."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*jax.tree.leaves(trees))


def wide(dtype: Any) -> jnp.dtype:
    """The dtype of c and of all accumulation: at least 32 bits."""
    return jnp.dtype(jnp.float32 if jnp.dtype(dtype).itemsize < 4 else dtype)


def cast(cell: LSTMParams, dtype: Any) -> LSTMParams:
    """Makes a layer ready: matrices in `dtype`, what acts elementwise in its wide."""

    def matrix(w: Any) -> Any:
        return None if w is None else jnp.asarray(w, dtype)

    return cell.replace(
        w_x=matrix(cell.w_x),
        w_h=matrix(cell.w_h),
        projection=matrix(cell.projection),
        **jax.tree.map(
            lambda a: jnp.asarray(a, wide(dtype)),
            {"b": cell.b, "peephole": cell.peephole, "norm": cell.norm},
        ),
    )


def matmul(a: jax.Array, w: jax.Array) -> jax.Array:
    """(..., K) times (K, N), accumulated and returned in the wide dtype."""
    return jnp.matmul(a, w, preferred_element_type=wide(w.dtype))


def matmul_by_columns(a: jax.Array, w: jax.Array) -> jax.Array:
    """`matmul` of a sequence (T, *B, K), of which the transpose in w is fast.

    That transpose, the gradient of w, is aᵀ times a cotangent. It reaches the speed of
    a square product where both are matrices in memory and aᵀ has been copied before;
    left as sums over T and over *B, the compiler copies the cotangent, which is wider.
    T goes behind *B, since an axis that is sharded can only lead when axes are merged;
    where another one is, in a mesh with explicit axes, they stay apart. Alone, in
    forward mode, it costs a copy of a and of the result.
    """
    if any(jax.typeof(a).sharding.spec[2:-1]):
        return matmul(a, w)
    steps, *batch, width = a.shape
    rows = math.prod(batch) * steps
    columns = jnp.moveaxis(a, (-1, 0), (0, -1)).reshape(width, rows)
    product = lax.dot_general(
        lax.optimization_barrier(columns),
        w,
        (((0,), (0,)), ((), ())),
        preferred_element_type=wide(w.dtype),
    )
    return jnp.moveaxis(product.reshape(*batch, steps, w.shape[-1]), -2, 0)


@jax.custom_jvp
def sequence_matmul(a: jax.Array, w: jax.Array) -> jax.Array:
    """`matmul` of a sequence (T, *B, K) whose gradient of w is `matmul_by_columns`."""
    return matmul(a, w)


@partial(sequence_matmul.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (a, w), (da, dw) = primals, tangents
    parts = [
        product(*factors)
        for product, factors in ((matmul, (da, w)), (matmul_by_columns, (a, dw)))
        if not any(isinstance(f, SymbolicZero) for f in factors)
    ]
    return matmul(a, w), sum(parts[1:], parts[0])


def along(vector: jax.Array, like: jax.Array) -> jax.Array:
    """Gives a vector as many axes as `like` has; it belongs to the last."""
    return lax.expand_dims(vector, range(like.ndim - vector.ndim))


def layer_norm(x: jax.Array, eps: float) -> jax.Array:
    """Zero mean and unit variance over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), -1, keepdims=True)
    return centred * lax.rsqrt(variance + eps)


def input_part(cell: LSTMParams) -> LSTMParams:
    """The leaves that `project` uses; None elsewhere."""
    norm = cell.norm
    return LSTMParams(
        w_x=cell.w_x,
        w_h=None,
        b=None if isinstance(norm, GateNorm) else cell.b,
        norm=SplitNorm(norm.gain_x, eps=norm.eps)
        if isinstance(norm, SplitNorm)
        else None,
        options=cell.options,
    )


def gate_part(cell: LSTMParams) -> LSTMParams:
    """The leaves that `pointwise` uses; None elsewhere."""
    norm = cell.norm
    return LSTMParams(
        w_x=None,
        w_h=None,
        b=cell.b if isinstance(norm, GateNorm) else None,
        peephole=cell.peephole,
        norm=norm.replace(gain_x=None) if isinstance(norm, SplitNorm) else norm,
        options=cell.options,
    )


def project(cell: LSTMParams, x: jax.Array, product: Any = matmul) -> jax.Array:
    """The input's share of the pre-activations, (..., I) to (..., G·H)."""
    zx = product(x, cell.w_x)
    if isinstance(cell.norm, SplitNorm):
        zx = layer_norm(zx, cell.norm.eps) * along(cell.norm.gain_x, zx)
    if cell.b is not None and not isinstance(cell.norm, GateNorm):
        zx = zx + along(cell.b, zx)
    return zx


def mix(cell: LSTMParams, zx: Any, a: Any) -> tuple[Any, ...]:
    """Joins the input's and the state's share; linear; None stands for zero.

    A norm of each share must see them apart; else their sum is all that is needed.
    """
    if isinstance(cell.norm, SplitNorm):
        return zx, a
    return (zx if a is None else a if zx is None else zx + a,)


def is_standard(cell: LSTMParams) -> bool:
    """Whether only the equations of `CellOptions()` are asked for, and no more."""
    plain = cell.norm is None and cell.peephole is None
    return plain and cell.options == CellOptions()


def squash(cell: LSTMParams, pre: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    """What `pointwise` takes of the pre-activations.

    Of the standard cell it is one tanh of all columns, since σ(z) = ½ + ½ tanh(z/2):
    tanh(z/2) of i, f and o, and tanh(z) of g. Of all others the pre-activations. A gate
    so computed is accurate to the rounding of 1, not of itself: in float32 it is 0
    below z of about -17.
    """
    if not is_standard(cell):
        return pre
    (z,) = pre
    halves = np.repeat([0.5, 0.5, 1.0, 0.5], z.shape[-1] // 4)
    return (jnp.tanh(z * along(jnp.asarray(halves, z.dtype), z)),)


def _standard(t: jax.Array, c_prev: jax.Array, factor: Any) -> Inside:
    i, f, g, o = jnp.split(t, 4, -1)
    i, f, o = (0.5 + 0.5 * a for a in (i, f, o))
    c = f * c_prev + i * (g if factor is None else g * factor)
    return Inside(i, f, g, o, c, o * jnp.tanh(c))


class Slopes(NamedTuple):
    """The derivatives of the standard cell's elementwise part; each (..., H).

    dc_t = c_c dc_{t-1} + c_i dz_i + c_f dz_f + c_g dz_g, and
    dm_t = m_c dc_t + m_o dz_o.
    """

    c_c: jax.Array
    c_i: jax.Array
    c_f: jax.Array
    c_g: jax.Array
    m_c: jax.Array
    m_o: jax.Array


def slopes(t: jax.Array, c_prev: jax.Array, factor: Any) -> Slopes:
    """The closed form for the standard cell, from what `squash` gave."""
    i, f, g, o, c, _ = _standard(t, c_prev, factor)
    shown = jnp.tanh(c)
    # σ' = σ (1 - σ), and tanh' = 1 - tanh².
    new = g if factor is None else g * factor
    weight = i if factor is None else i * factor
    return Slopes(
        c_c=f,
        c_i=new * i * (1.0 - i),
        c_f=c_prev * f * (1.0 - f),
        c_g=weight * (1.0 - g * g),
        m_c=o * (1.0 - shown * shown),
        m_o=shown * o * (1.0 - o),
    )


def along_slopes(
    slopes: Slopes, dz: jax.Array, dc_prev: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The tangents of m and c along those of z and of c_prev."""
    dz_i, dz_f, dz_g, dz_o = jnp.split(dz, 4, -1)
    dc = slopes.c_c * dc_prev
    dc = dc + slopes.c_i * dz_i + slopes.c_f * dz_f + slopes.c_g * dz_g
    return slopes.m_c * dc + slopes.m_o * dz_o, dc


def pointwise(
    cell: LSTMParams, pre: tuple[jax.Array, ...], c_prev: jax.Array, factor: Any = None
) -> Inside:
    """The elementwise part of a step.

    Args:
        cell: the layer; only its `gate_part` is used.
        pre: what `squash` gave, each (..., G·H).
        c_prev: (..., H) the cell state that enters.
        factor: (..., H) recurrent dropout of the candidate, or None.

    Returns:
        The gates, the new cell state and the output before projection.
    """
    if is_standard(cell):
        return _standard(pre[0], c_prev, factor)
    options, norm = cell.options, cell.norm
    z = pre[0]
    if isinstance(norm, SplitNorm):
        z = z + layer_norm(pre[1], norm.eps) * along(norm.gain_h, z)

    def columns_of(a: jax.Array) -> dict[str, jax.Array]:
        """The columns of each gate that has any."""
        parts = jnp.split(a, len(options.gates), -1)
        return dict(zip(options.gates, parts, strict=True))

    columns = columns_of(z)
    watching = [gate for gate in options.gates if gate != "g"]

    def gate(name: str, c: jax.Array) -> jax.Array:
        """One gate (or the candidate) that looks at the cell state c."""
        if name not in columns:
            return jnp.ones_like(c)
        u = columns[name]
        if cell.peephole is not None and name != "g":
            u = u + c * along(cell.peephole[watching.index(name)], u)
        if isinstance(norm, GateNorm):
            u = layer_norm(u, norm.eps) * along(columns_of(norm.gain)[name], u)
            if cell.b is not None:
                u = u + along(columns_of(cell.b)[name], u)
        if options.clip is not None:
            u = jnp.clip(u, -options.clip, options.clip)
        candidate = name == "g"
        return activate(
            options.candidate_activation if candidate else options.gate_activation, u
        )

    i, g = gate("i", c_prev), gate("g", c_prev)
    f = 1.0 - i if options.coupled else gate("f", c_prev)
    c = f * c_prev + i * (g if factor is None else g * factor)
    if options.cell_clip is not None:
        c = jnp.clip(c, -options.cell_clip, options.cell_clip)
    o = gate("o", c)
    shown = c
    if isinstance(norm, SplitNorm):
        shown = layer_norm(c, norm.eps) * along(norm.gain_c, c)
        shown = shown + along(norm.bias_c, c)
    return Inside(i, f, g, o, c, o * activate(options.output_activation, shown))


def same(h: jax.Array) -> jax.Array:
    return h


def output(
    cell: LSTMParams, m: jax.Array, join: Join = same, more: Any = None
) -> jax.Array:
    """H from o_t * act(c_t): the projection, if any and with more of it, and dtype."""
    m = m.astype(cell.w_h.dtype)
    if cell.projection is None:
        return join(m)
    h = matmul(m, cell.projection)
    return join(h if more is None else h + more).astype(m.dtype)


def zoneout(keep: Any, old: jax.Array, new: jax.Array) -> jax.Array:
    """Keeps some of the old state; linear in both states."""
    if keep is None:
        return new
    if keep.dtype == bool:
        return jnp.where(keep, old, new)
    return keep * old + (1.0 - keep) * new


def advance(
    cell: LSTMParams,
    zx: jax.Array,
    state: LSTMState,
    noise: Noise = Noise(),
    join: Join = same,
) -> tuple[LSTMState, tuple[jax.Array, ...], Inside]:
    """One step from the projected input.

    Args:
        cell: the layer.
        zx: (*B, G·H) what `project` gives for the step.
        state: h (*B, H or P) and c (*B, H) that enter.
        noise: masks of this step.
        join: makes the output whole where `cell` is a part of a layer's units; linear.

    Returns:
        The new state, what `squash` gave, and the step's inside.
    """
    pre = squash(cell, mix(cell, zx, matmul(state.h, cell.w_h)))
    inside = pointwise(cell, pre, state.c, noise.g)
    h = zoneout(noise.h, state.h, output(cell, inside.m, join))
    c = zoneout(noise.c, state.c, inside.c)
    return LSTMState(h, c), pre, inside
