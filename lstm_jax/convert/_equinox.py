# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Equinox: eqx.nn.LSTMCell, one or several."""

from typing import Any

import jax

from lstm_jax._params import Params, Stack
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert._arrays import finished, host, on_device, on_host
from lstm_jax.convert._systems import raise_reasons, refuse


def from_equinox(cells: Any) -> Params:
    """Reads an eqx.nn.LSTMCell, or several that stand one above the other.

    Args:
        cells: the cell, or a list or tuple of them from the lowest on.

    Returns:
        `LSTMParams` for a cell, a `Stack` for a list or tuple. In the dtype of the
        weights.

    Raises:
        ValueError: shapes are not of an LSTM.
        TypeError: a dtype is not floating, or JAX would round it.
        NotImplementedError: another module.

    Example:
        >>> import equinox as eqx, jax
        >>> params = from_equinox(eqx.nn.LSTMCell(3, 5, key=jax.random.key(0)))
        >>> params.w_x.shape
        (3, 20)

    References:
        Equinox, `equinox.nn.LSTMCell`.
    """
    call = "from_equinox"
    if not isinstance(cells, list | tuple):
        return finished(call, _read(call, "cells", cells))
    layers = tuple(_read(call, f"cells[{k}]", cell) for k, cell in enumerate(cells))
    return finished(call, Stack(layers))


def to_equinox(params: Params) -> Any:
    """The eqx.nn.LSTMCell with these weights, or several.

    Args:
        params: `LSTMParams`, or a `Stack` of them.

    Returns:
        A cell for `LSTMParams`, a tuple of cells for a `Stack`.

    Raises:
        NotImplementedError: Equinox cannot express the network; all reasons at once.

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax
        >>> cell = to_equinox(lstm_jax.init_cell(jax.random.key(0), 3, 5))
        >>> h, c = cell(jnp.ones(3), (jnp.zeros(5), jnp.zeros(5)))
        >>> h.shape
        (5,)
    """
    call = "to_equinox"
    refuse(call, "equinox", params)
    arrays = on_host(call, params)
    if isinstance(arrays, Stack):
        return tuple(_written(call, cell) for cell in arrays.layers)
    return _written(call, arrays)


def _read(call: str, path: str, cell: Any) -> LSTMParams:
    import equinox as eqx

    if type(cell) is not eqx.nn.LSTMCell:
        reason = f"{type(cell).__name__} (in {path})"
        raise_reasons(call, "this library cannot express", [reason])
    return LSTMParams(
        w_x=host(call, f"{path}.weight_ih", cell.weight_ih).T,
        w_h=host(call, f"{path}.weight_hh", cell.weight_hh).T,
        b=host(call, f"{path}.bias", cell.bias) if cell.use_bias else None,
    )


def _written(call: str, cell: LSTMParams) -> Any:
    import equinox as eqx

    empty = eqx.filter_eval_shape(  # computes no initial weights
        lambda: eqx.nn.LSTMCell(
            cell.w_x.shape[0],
            cell.w_h.shape[0],
            use_bias=cell.b is not None,
            key=jax.random.key(0),
        )
    )
    arrays = (cell.w_x.T, cell.w_h.T, cell.b)[: 2 if cell.b is None else 3]
    return eqx.tree_at(
        lambda c: (c.weight_ih, c.weight_hh, c.bias)[: len(arrays)],
        empty,
        tuple(on_device(call, arrays)),
    )
