# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Flax nnx: LSTMCell and OptimizedLSTMCell, RNN, Bidirectional and Sequential."""

from typing import Any

import flax.traverse_util

from lstm_jax._params import Bidirectional, Params, Reverse, each_layer
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert._arrays import bias, finished, named, on_device, on_host
from lstm_jax.convert._flax import (
    MERGES,
    function,
    split,
    split_kernels,
    structure,
    two_activations,
)
from lstm_jax.convert._systems import raise_reasons, refuse

NAMES = {"i": "ii", "f": "if_", "g": "ig", "o": "io"}


def from_nnx(module: Any) -> Params:
    """Reads a Flax nnx LSTM.

    Beware that Flax carries `(c, h)`, and `lstm_jax.apply` takes and gives `(h, c)`.
    An RNN with reverse=True and without keep_order gives its outputs in the order of
    processing; a `Reverse` gives them in the original order. dtype, time_major,
    return_carry and unroll are no matter of the weights.

    Args:
        module: an LSTMCell or OptimizedLSTMCell, an RNN of one, a Bidirectional of
            two RNNs, or a Sequential of these.

    Returns:
        `LSTMParams` for a cell or an RNN, `Reverse` for an RNN with reverse=True,
        `Bidirectional`, or a `Stack` for Sequential. In the dtype of the weights.

    Raises:
        ValueError: shapes are not of an LSTM.
        TypeError: a dtype is not floating, or JAX would round it.
        NotImplementedError: another module, or functions that this library does not
            have; all reasons at once.

    Example:
        >>> import jax.numpy as jnp, lstm_jax
        >>> from flax import nnx
        >>> rnn = nnx.RNN(nnx.OptimizedLSTMCell(3, 5, rngs=nnx.Rngs(0)))
        >>> x = jnp.ones((2, 7, 3), "float32")
        >>> y, state = lstm_jax.apply(from_nnx(rnn), x)
        >>> bool(jnp.allclose(y, rnn(x), atol=1e-6))
        True

    References:
        Flax, `flax.nnx.RNN` and the cells.
    """
    from flax import nnx

    call = "from_nnx"
    skeleton, reasons = structure(nnx, module)
    raise_reasons(call, "this library cannot express", reasons)
    return finished(call, each_layer(lambda cell: _read(call, cell), skeleton))


def to_nnx(params: Params, cell: Any = None) -> Any:
    """A Flax nnx module with these weights.

    Flax' cells always have a bias: None becomes zeros. Beware that Flax carries
    `(c, h)`.

    Args:
        params: `LSTMParams`, `Reverse`, `Bidirectional`, or a `Stack` of them.
        cell: nnx.OptimizedLSTMCell, which None stands for, or nnx.LSTMCell.

    Returns:
        An nnx.RNN, whose attribute `cell` is the cell alone; with reverse=True and
        keep_order=True for `Reverse`. An nnx.Bidirectional or nnx.Sequential of them.

    Raises:
        TypeError: `cell` is neither of the two.
        NotImplementedError: Flax cannot express the network; all reasons at once.

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, bidirectional=True)
        >>> to_nnx(params)(jnp.ones((2, 7, 3))).shape
        (2, 7, 10)
    """
    from flax import nnx

    call = "to_nnx"
    kind = nnx.OptimizedLSTMCell if cell is None else cell
    if kind not in (nnx.OptimizedLSTMCell, nnx.LSTMCell):
        raise TypeError(
            f"{call}: cell must be nnx.OptimizedLSTMCell or nnx.LSTMCell; got "
            f"{getattr(cell, '__name__', type(cell).__name__)}."
        )
    refuse(call, "nnx", params, two_activations(params))
    return _module(call, on_host(call, params), kind)


def _read(call: str, skeleton: LSTMParams) -> LSTMParams:
    from flax import nnx

    cell = skeleton.w_x
    tree = nnx.to_pure_dict(nnx.state(cell, nnx.Param))
    where = type(cell).__name__
    if type(cell) is nnx.LSTMCell:
        arrays = split_kernels(call, where, tree, NAMES)
    else:
        flat = flax.traverse_util.flatten_dict(tree, sep=".")
        names = {"w_x": "dense_i.kernel", "w_h": "dense_h.kernel", "b": "dense_h.bias"}
        found = named(call, flat, names.values(), where=where)
        arrays = {ours: found[theirs] for ours, theirs in names.items()}
    return LSTMParams(**arrays, options=skeleton.options)


def _module(call: str, params: Any, kind: Any) -> Any:
    from flax import nnx

    match params:
        case LSTMParams():
            return nnx.RNN(_cell(call, params, kind))
        case Reverse(inner):
            return nnx.RNN(_cell(call, inner, kind), reverse=True, keep_order=True)
        case Bidirectional(forward, backward, merge):
            both = _module(call, forward, kind), _module(call, backward, kind)
            if merge == "concat":  # by Flax' own function, as other modules have it
                return nnx.Bidirectional(*both)
            return nnx.Bidirectional(*both, merge_fn=MERGES[merge])
    return nnx.Sequential(*(_module(call, member, kind) for member in params.layers))


def _cell(call: str, cell: LSTMParams, kind: Any) -> Any:
    from flax import nnx

    tree = split(cell, NAMES)
    if kind is nnx.OptimizedLSTMCell:
        h_side = {"kernel": cell.w_h, "bias": bias(cell)}
        tree = {"dense_i": {"kernel": cell.w_x}, "dense_h": h_side}
    tree = on_device(call, tree)
    options: Any = cell.options
    module = nnx.eval_shape(  # computes no initial weights
        lambda: kind(
            cell.w_x.shape[0],
            cell.w_h.shape[0],
            gate_fn=function(options.gate_activation),
            activation_fn=function(options.candidate_activation),
            param_dtype=cell.w_h.dtype,
            rngs=nnx.Rngs(0),
        )
    )
    for layer, arrays in tree.items():
        for name, array in arrays.items():
            setattr(getattr(module, layer), name, nnx.Param(array))
    return module
