# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The oracle: every structure and option in plain Python loops over NumPy float64.

Nothing here is shared with the library but the containers of parameters. Each row is
run alone and cut to its length, and a step that a mask hides is passed over, so that
what stands there is never seen; a reset really begins another sequence.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from lstm_jax._norms import GateNorm, SplitNorm
from lstm_jax._params import Bidirectional, Params, Residual, Reverse, Stack, State
from lstm_jax._state import mirror
from lstm_jax.cells.lstm_params import LSTMParams, LSTMState


def _activation(xp: Any, activation: Any, x: Any) -> Any:
    """The eleven functions as ONNX defines them."""
    a, b = activation.alpha, activation.beta

    def of(value: float | None, default: float) -> float:
        return default if value is None else value

    match activation.name:
        case "affine":
            return of(a, 1.0) * x + of(b, 0.0)
        case "elu":
            return xp.where(x > 0, x, of(a, 1.0) * xp.expm1(xp.minimum(x, 0.0)))
        case "hard_sigmoid":
            return xp.minimum(xp.maximum(of(a, 0.2) * x + of(b, 0.5), 0.0), 1.0)
        case "leaky_relu":
            return xp.where(x >= 0, x, of(a, 0.01) * x)
        case "relu":
            return xp.maximum(x, 0.0)
        case "scaled_tanh":
            return of(a, 1.0) * xp.tanh(of(b, 1.0) * x)
        case "sigmoid":
            return 0.5 * (1.0 + xp.tanh(0.5 * x))
        case "softplus":
            return xp.logaddexp(x, xp.zeros_like(x))
        case "softsign":
            return x / (1.0 + xp.abs(x))
        case "tanh":
            return xp.tanh(x)
        case "thresholded_relu":
            return xp.where(x > of(a, 1.0), x, 0.0)
    raise ValueError(f"reference: no activation is named {activation.name!r}.")


def _normed(xp: Any, x: Any, eps: float) -> Any:
    mean = xp.mean(x, axis=-1, keepdims=True)
    variance = xp.mean((x - mean) ** 2, axis=-1, keepdims=True)
    return (x - mean) / xp.sqrt(variance + eps)


def reference_step(
    params: LSTMParams, state: Any, x: Any, xp: Any = np
) -> tuple[LSTMState, Any]:
    """One step of one layer, written gate by gate from the equations.

    Args:
        params: one layer.
        state: (h, c), h (*B, H or P) and c (*B, H).
        x: (*B, I).
        xp: the array namespace: `numpy`, or `jax.numpy` to differentiate the step.

    Returns:
        The new state and h.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
        >>> state, y = reference_step(params, (np.zeros(5), np.zeros(5)), np.ones(3))
        >>> y.shape
        (5,)
    """
    h, c_old = state
    options, norm, gates = params.options, params.norm, params.options.gates
    units = c_old.shape[-1]

    def row(v: Any) -> Any:
        """A vector with the axes of a batch of them."""
        return xp.reshape(v, (1,) * (x.ndim - 1) + v.shape)

    from_x, from_h = xp.matmul(x, params.w_x), xp.matmul(h, params.w_h)
    if isinstance(norm, SplitNorm):
        from_x = _normed(xp, from_x, norm.eps) * row(norm.gain_x)
        from_h = _normed(xp, from_h, norm.eps) * row(norm.gain_h)

    def gate(letter: str, watched: Any) -> Any:
        if letter not in gates:
            return xp.ones_like(c_old)
        k = gates.index(letter)
        own = slice(k * units, (k + 1) * units)
        z = from_x[..., own] + from_h[..., own]
        if params.peephole is not None and letter != "g":
            z = z + row(params.peephole[gates.replace("g", "").index(letter)]) * watched
        if isinstance(norm, GateNorm):
            z = _normed(xp, z, norm.eps) * row(norm.gain[own])
        if params.b is not None:
            z = z + row(params.b[own])
        if options.clip is not None:
            z = xp.minimum(xp.maximum(z, -options.clip), options.clip)
        kind = "candidate" if letter == "g" else "gate"
        return _activation(xp, getattr(options, f"{kind}_activation"), z)

    i = gate("i", c_old)
    f = 1.0 - i if options.coupled else gate("f", c_old)
    c = f * c_old + i * gate("g", c_old)
    if options.cell_clip is not None:
        c = xp.minimum(xp.maximum(c, -options.cell_clip), options.cell_clip)
    shown = c
    if isinstance(norm, SplitNorm):
        shown = _normed(xp, c, norm.eps) * row(norm.gain_c) + row(norm.bias_c)
    h = gate("o", c) * _activation(xp, options.output_activation, shown)
    if params.projection is not None:
        h = xp.matmul(h, params.projection)
    return LSTMState(h, c), h


class _Steps(NamedTuple):
    """What happens at each step of a row, (length,) each."""

    mask: Any
    resets: Any


def _layer(
    params: LSTMParams, x: Any, state: Any, fresh: Any, row: _Steps, reverse: bool
) -> tuple[Any, LSTMState]:
    """One row of one layer: x (length, I)."""
    steps = range(len(x))
    y = np.zeros((len(x), params.w_h.shape[0]))
    state = LSTMState(*state)
    for t in reversed(steps) if reverse else steps:
        # Backward, a reset before step t + 1 stands between it and step t.
        boundary = t + 1 if reverse else t
        if boundary < len(x) and row.resets[boundary]:
            state = LSTMState(*fresh)
        if row.mask[t]:
            state, y[t] = reference_step(params, state, x[t])
    return y, state


def _row(
    params: Params, x: Any, state: Any, fresh: Any, row: _Steps, reverse: bool
) -> tuple[Any, Any]:
    """One row of any structure, cut to its length."""
    match params:
        case LSTMParams():
            return _layer(params, x, state, fresh, row, reverse)
        case Reverse(inner):
            return _row(inner, x, state, fresh, row, not reverse)
        case Residual(inner):
            y, end = _row(inner, x, state, fresh, row, reverse)
            return x + y, end
        case Bidirectional(forward, backward, merge):
            f, one = _row(forward, x, state[0], fresh[0], row, reverse)
            b, two = _row(backward, x, state[1], fresh[1], row, not reverse)
            merged = {
                "concat": lambda: np.concatenate([f, b], axis=-1),
                "sum": lambda: f + b,
                "mul": lambda: f * b,
                "ave": lambda: (f + b) / 2,
            }
            return merged[merge](), (one, two)
        case Stack(layers):
            ends = []
            for layer, own, new in zip(layers, state, fresh, strict=True):
                x, end = _row(layer, x, own, new, row, reverse)
                ends.append(end)
            return x, tuple(ends)
    raise AssertionError("checked before")


def _state(params: Params, given: Any, batch: tuple[int, ...]) -> Any:
    """A state that mirrors params, every leaf (*B, ...) in float64."""

    def zeros(cell: LSTMParams) -> LSTMState:
        return LSTMState(np.zeros(cell.output_size), np.zeros(cell.hidden_size))

    blank, shape = jax.tree.flatten(mirror(params, zeros))
    leaves = blank if given is None else jax.tree.leaves(given)
    wide = [
        np.broadcast_to(np.asarray(a, np.float64), (*batch, b.shape[0])).copy()
        for a, b in zip(leaves, blank, strict=True)
    ]
    return jax.tree.unflatten(shape, wide)


def reference(
    params: Params,
    x: Any,
    state: State = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reset_state: State = None,
    time_major: bool = False,
) -> tuple[np.ndarray, State]:
    """What `lstm_jax.apply` must give, by loops in NumPy float64.

    Args:
        params: parameters of any kind and dtype.
        x: (*B, T, I).
        state: mirrors params; broadcasts over *B; zeros if None.
        lengths: (*B,) integers in [0, T].
        mask: (*B, T) booleans, True where a step counts; in place of lengths.
        resets: (*B, T) booleans.
        reset_state: mirrors params; broadcasts over *B; zeros if None.
        time_major: x, mask, resets and y have T in front.

    Returns:
        y (*B, T, features) and the final state, float64.

    Raises:
        TypeError: params are of no known kind.
        ValueError: an activation is unknown.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> x = jax.random.normal(jax.random.key(1), (2, 7, 3))
        >>> y, _ = reference(params, x)
        >>> bool(abs(y - lstm_jax.apply(params, x)[0]).max() < 1e-6)
        True
    """
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    x = np.asarray(x, np.float64)
    if time_major:
        x = np.moveaxis(x, 0, -2)
    *outer, steps, _ = x.shape
    batch = tuple(outer)
    lengths = np.full(batch, steps) if lengths is None else np.asarray(lengths)
    mask, resets = (
        np.full((*batch, steps), default)
        if given is None
        else np.moveaxis(np.asarray(given), 0, -1)
        if time_major
        else np.asarray(given)
        for given, default in ((mask, True), (resets, False))
    )
    x = np.where(mask[..., None], x, 0.0)
    start, fresh = _state(params, state, batch), _state(params, reset_state, batch)
    bare, nothing = _state(params, None, ()), np.zeros((0, x.shape[-1]))
    width = _row(params, nothing, bare, bare, _Steps((), ()), False)[0].shape[-1]
    y = np.zeros((*batch, steps, width))
    end = jax.tree.map(np.copy, start)
    for row in np.ndindex(*batch):
        n = int(lengths[row])
        own, new = (jax.tree.map(lambda a: a[row], s) for s in (start, fresh))  # noqa: B023
        own_steps = _Steps(mask[row][:n], resets[row][:n])
        y[row][:n], last = _row(params, x[row][:n], own, new, own_steps, False)
        for total, part in zip(
            jax.tree.leaves(end), jax.tree.leaves(last), strict=True
        ):
            total[row] = part
    return (np.moveaxis(y, -2, 0) if time_major else y), end
