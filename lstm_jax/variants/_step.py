# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""step and zero_state: what is done to the parameters depends on their type."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._apply import _as_given, lstm_step
from lstm_jax._cell import result_dtype
from lstm_jax._init import zero_state as _lstm_zero_state
from lstm_jax._params import LSTMParams
from lstm_jax._scan import array
from lstm_jax.variants import _checks
from lstm_jax.variants._fgr import FGR, FGRParams
from lstm_jax.variants._gru import GRU, GRUParams
from lstm_jax.variants._lstm1997 import LSTM1997, LSTM1997Params
from lstm_jax.variants._parts import Kind
from lstm_jax.variants._rnn import RNN, RNNParams

_KINDS: dict[type, Kind] = {
    FGRParams: FGR,
    LSTM1997Params: LSTM1997,
    GRUParams: GRU,
    RNNParams: RNN,
}


def _kind(call: str, params: Any) -> Kind:
    """What computes a cell; its parameters are checked."""
    if type(params) not in _KINDS:
        names = ", ".join(kind.__name__ for kind in _KINDS)
        raise TypeError(
            f"{call}: params must be LSTMParams, {names}; got {type(params).__name__}."
        )
    kind = _KINDS[type(params)]
    _checks.parameters(call, kind, params)
    return kind


def step(params: Any, state: Any, x: Any) -> tuple[Any, jax.Array]:
    """One step of any cell of this namespace: a step for `lstm_jax.unroll`.

    The equations stand with the parameters' classes: `FGRParams`, `LSTM1997Params`,
    `GRUParams`, `RNNParams`; with `LSTMParams` this is `lstm_jax.lstm_step`.

    Args:
        params: what `init` gave.
        state: what `zero_state` or a step gave; a plain tuple or list of its parts
            will do. Its dtypes are kept.
        x: (*B, I) of a floating dtype.

    Returns:
        The state after the step, in the containers and dtypes given, and y (*B, H) in
        the promoted dtype of x and params: the new h.

    Raises:
        ValueError: shapes that disagree.
        TypeError: dtypes or kinds that disagree.
        NotImplementedError: an `FGRParams` whose cell has a norm or a projection, or
            lacks a gate.

    Example:
        >>> import jax, lstm_jax
        >>> from lstm_jax import variants
        >>> xs = jax.random.normal(jax.random.key(1), (7, 2, 3))  # (T, B, I)
        >>> for name in ("NIG", "GRU"):
        ...     params = variants.init(name, jax.random.key(0), 3, 5)
        ...     state = variants.zero_state(params, (2,))
        ...     state, ys = lstm_jax.unroll(variants.step, params, state, xs)
        ...     print(name, ys.shape)
        NIG (7, 2, 5)
        GRU (7, 2, 5)

    References:
        As `names`.
    """
    if isinstance(params, LSTMParams):
        return lstm_step(params, state, x)
    call = "variants.step"
    kind = _kind(call, params)
    x = array(x)
    _checks.input_(call, kind.inputs(params), x)
    dtype = result_dtype(params, x)
    like = kind.zeros(params, x.shape[:-1], dtype)
    _checks.state(call, like, state)
    parts = [
        jnp.asarray(given, zeros.dtype)
        for given, zeros in zip(
            jax.tree.leaves(state), jax.tree.leaves(like), strict=True
        )
    ]
    own = jax.tree.unflatten(jax.tree.structure(like), parts)
    new, y = kind.step(params, own, jnp.asarray(x, dtype))
    return _as_given(new, state), y


def zero_state(params: Any, batch_shape: Sequence[int] = (), dtype: Any = None) -> Any:
    """The state of zeros of any cell of this namespace.

    Args:
        params: what `init` gave.
        batch_shape: *B.
        dtype: of h and of gates; None for the parameters' own. c is float32 where that
            has 16 bits.

    Returns:
        `lstm_jax.LSTMState`, `FGRState`, `LSTM1997State`, or h (*B, H) of "GRU" and
        "RNN".

    Raises:
        ValueError: shapes of parameters that disagree.
        TypeError: params are of no known kind; batch_shape is no tuple.
        NotImplementedError: as `step`.

    Example:
        >>> import jax
        >>> from lstm_jax import variants
        >>> params = variants.init("LSTM1997", jax.random.key(0), 3, 4, blocks=2)
        >>> jax.tree.map(jax.numpy.shape, variants.zero_state(params, (7,)))
        LSTM1997State(h=(7, 4), c=(7, 4), i=(7, 2), o=(7, 2))
    """
    if isinstance(params, LSTMParams):
        return _lstm_zero_state(params, batch_shape, dtype)
    call = "variants.zero_state"
    kind = _kind(call, params)
    if not isinstance(batch_shape, Sequence):
        raise TypeError(
            f"{call}: batch_shape must be a tuple of sizes, such as (4,); got "
            f"{batch_shape!r}."
        )
    dtype = result_dtype(params) if dtype is None else jnp.dtype(dtype)
    return kind.zeros(params, tuple(batch_shape), dtype)
