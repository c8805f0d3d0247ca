# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""gradient_lag: the Jacobian of a layer's last state against lag."""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._dtypes import accum_dtype, as_array, result_dtype
from lstm_jax._inputs import LayerInputs, SequenceArgs
from lstm_jax._masks import StepMasks, masked_step, select
from lstm_jax._network import run_network
from lstm_jax._params import Params, State
from lstm_jax._sequence import run_sequence, sequence_args
from lstm_jax._types import zeros
from lstm_jax.cells.lstm_params import LSTMState
from lstm_jax.checks.sequence import check_sequence
from lstm_jax.diagnostics._lstm_only import check_lstm_only

Norm = Literal["frobenius", "spectral"]


class GradientLag(NamedTuple):
    """Norms of one layer's Jacobians; entry k, of T + 1, is of lag k.

    Each is a mean over the rows of at least k steps, and NaN where there is none.

    Attributes:
        h: (T + 1,) of ∂h_T/∂h_{T-k}.
        c: (T + 1,) of ∂c_T/∂c_{T-k}.
        cell_path: (T + 1,) of diag(Π f_t), the product over the last k steps.
        rows: (T + 1,) how many rows have at least k steps.
    """

    h: Any
    c: Any
    cell_path: Any
    rows: Any


def _norm(kind: Norm, matrices: jax.Array) -> jax.Array:
    """The norms of (..., N, M)."""
    order: Any = {"frobenius": "fro", "spectral": 2}[kind]
    return jnp.linalg.norm(matrices, order, axis=(-2, -1))


def _diagonal_norm(kind: Norm, vectors: jax.Array) -> jax.Array:
    """The norms of the diagonal matrices of (..., H)."""
    order: Any = {"frobenius": 2, "spectral": jnp.inf}[kind]
    return jnp.linalg.norm(vectors, order, axis=-1)


def _identity(state: LSTMState) -> LSTMState:
    """Rows of the Jacobian of a state with respect to itself: leaves (*B, P + H, .)."""
    h, c = state
    outputs = h.shape[-1]
    rows = jnp.eye(outputs + c.shape[-1], dtype=c.dtype)

    def part(columns: jax.Array, like: jax.Array) -> jax.Array:
        columns = lax.expand_dims(columns, range(like.ndim - 1))
        return columns + zeros(like)[..., None, :]

    return LSTMState(part(rows[:, :outputs], h), part(rows[:, outputs:], c))


def _backward(kind: Norm, inputs: LayerInputs, reverse: bool) -> tuple[Any, Any]:
    """The layer's output, and the norms with respect to the state entering each step.

    The Jacobian of the last state is pulled back step by step, so that no more of it
    than (*B, P + H, P + H) exists at once.
    """
    cell = inputs.cell.cast(inputs.x.dtype)

    def step(state: LSTMState, x_t: jax.Array) -> tuple[LSTMState, Any]:
        new, y = cell.step(state, x_t)
        return new, (y, state)

    steps = inputs.x, inputs.step_masks
    start = inputs.state
    _, (y, entering) = lax.scan(masked_step(step, None), start, steps, reverse=reverse)

    def pull(carry: Any, xs: Any) -> Any:
        rows, path = carry
        x_t, masks, entering = xs

        def step(state: LSTMState) -> tuple[LSTMState, jax.Array]:
            new, trace = cell.trace(state, x_t)
            return new, trace.f

        _, transposed, f = jax.vjp(step, entering, has_aux=True)
        (new,) = jax.vmap(transposed, -2, -2)(rows)
        new = new, path * f
        if masks.valid is not None:
            new = select(masks.valid, new, carry)
        (h, c), path = new
        outputs = h.shape[-1]
        norms = (
            _norm(kind, h[..., :outputs, :]),
            _norm(kind, c[..., outputs:, :]),
            _diagonal_norm(kind, path),
        )
        return new, norms

    last = _identity(start), jnp.ones_like(start.c)
    _, norms = lax.scan(pull, last, (*steps, entering), reverse=not reverse)
    return y, norms


def _against_lag(
    norms: jax.Array, masks: StepMasks, lengths: jax.Array, reverse: bool
) -> jax.Array:
    """Lays norms (T, *B) with respect to what enters each step out by lags 1 to T."""
    if masks.valid is not None:  # the steps that count stand together
        order = jnp.argsort(~masks.valid, 0, stable=True)
        norms = jnp.take_along_axis(norms, order, 0)
    if reverse:  # the step at t = 0 is the last one
        return norms
    lag = lax.expand_dims(jnp.arange(1, norms.shape[0] + 1), range(1, norms.ndim))
    return jnp.take_along_axis(norms, jnp.maximum(lengths[None] - lag, 0), 0)


def _lengths(masks: StepMasks, x: jax.Array) -> jax.Array:
    if masks.valid is None:
        return jnp.full(x.shape[1:-1], x.shape[0])
    return masks.valid.sum(0)


def _layer(
    kind: Norm, inputs: LayerInputs, reverse: bool
) -> tuple[GradientLag, jax.Array]:
    y, norms = _backward(kind, inputs, reverse)
    masks = inputs.step_masks
    lengths = _lengths(masks, inputs.x)
    h, c = inputs.state
    ones = jnp.ones((1, *lengths.shape), c.dtype)
    sizes = h.shape[-1], c.shape[-1], c.shape[-1]
    batch = tuple(range(1, ones.ndim))
    lag = lax.expand_dims(jnp.arange(y.shape[0] + 1), batch)
    reached = lag <= lengths[None]
    rows = reached.sum(batch)

    def mean(norms: jax.Array, size: int) -> jax.Array:
        own = ones if kind == "spectral" else ones * size**0.5
        every = jnp.concatenate([own, _against_lag(norms, masks, lengths, reverse)])
        return jnp.where(reached, every, 0.0).sum(batch) / rows.astype(c.dtype)

    h, c, cell_path = map(mean, norms, sizes)
    return GradientLag(h, c, cell_path, rows), y


@partial(jax.jit, static_argnames="norm")
def _gradient_lag(
    params: Params, x: Any, state: Any, args: SequenceArgs, norm: Norm
) -> Any:
    network = partial(run_network, partial(_layer, norm))
    dtype = accum_dtype(result_dtype(params, x))
    return run_sequence(network, params, x, state, args, dtype)[1]


def gradient_lag(
    params: Params,
    x: Any,
    state: State = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    time_major: bool = False,
    norm: Norm = "frobenius",
) -> Any:
    """How the gradient of a layer's last state fades, or grows, with lag.

    With the state's two parts held to be independent, and the layer's input given::

        ∂(h, c)_T / ∂(h, c)_t = J_T · J_{T-1} · … · J_{t+1}

    In a layer above or below nothing comes back to a layer's own earlier state, so that
    this is the derivative in the whole network too, in a Bidirectional as well. A layer
    that runs in reverse counts lag from the step that it processes last.

    Args:
        params: as for `lstm_jax.apply`, with layers of `LSTMParams`.
        x: as for `lstm_jax.apply`.
        state: as for `lstm_jax.apply`.
        lengths: as for `lstm_jax.apply`; a row of length n has the lags 0 to n, T being
            its own last step.
        mask: as for `lstm_jax.apply`; lags count the steps that it leaves.
        time_major: as for `lstm_jax.apply`.
        norm: "frobenius", in which the identity at lag 0 has the root of its size; or
            "spectral", the largest singular value.

    Returns:
        A tree that mirrors params as the state does, with `GradientLag` for each layer.

    Raises:
        ValueError: as `lstm_jax.apply`; an unknown norm.
        TypeError: as `lstm_jax.apply`.
        NotImplementedError: a layer is another `Cell`.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 4)
        >>> params = params.replace(w_h=0 * params.w_h)
        >>> x = jax.random.normal(jax.random.key(1), (2, 7, 3))
        >>> lag = gradient_lag(params, x)
        >>> lag.c.shape, bool(jax.numpy.allclose(lag.c, lag.cell_path))
        ((8,), True)

    References:
        Bengio, Simard, Frasconi 1994, Learning Long-Term Dependencies with Gradient
        Descent is Difficult. Pascanu, Mikolov, Bengio 2013, On the Difficulty of
        Training Recurrent Neural Networks.
    """
    x, args = as_array(x), sequence_args(lengths, mask, time_major=time_major)
    check_sequence("gradient_lag", params, x, state, args)
    check_lstm_only("gradient_lag", params)
    if norm not in ("frobenius", "spectral"):
        raise ValueError(
            f"gradient_lag: norm must be 'frobenius' or 'spectral'; got {norm!r}."
        )
    return _gradient_lag(params, x, state, args, norm)
