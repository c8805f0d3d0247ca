# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Keras 3, out: live layers LSTM and Bidirectional."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lstm_jax._activation_functions import explicit
from lstm_jax._dtypes import result_dtype
from lstm_jax._params import Bidirectional, Params, Reverse, Stack, layers
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert._arrays import on_device, on_host
from lstm_jax.convert._keras_config import activation
from lstm_jax.convert._systems import members, refuse


def to_keras(params: Params, **options: Any) -> Any:
    """Makes built layers of Keras 3.

    Keras gives the outputs of a layer with go_backwards in the order of processing:
    they are ours, flipped in time, where params are a `Reverse`, or a `Stack` whose
    last member is one.

    Args:
        params: `LSTMParams`, a `Bidirectional` of two with one hidden size, a `Reverse`
            of either, or a `Stack` of these.
        **options: of keras.layers.LSTM, as return_state, stateful or name; to all
            layers. return_sequences is True unless given; False is for the last layer,
            and the layers of a stack get their number behind the name. With stateful
            the weights are there, and the first call adds the state of its batch size.

    Returns:
        A keras.layers.LSTM, with go_backwards for `Reverse`; a
        keras.layers.Bidirectional; for a `Stack` a list of them, each to be fed by the
        one before. In the dtype of params.

    Raises:
        TypeError: an option that params decide; JAX would round a dtype.
        NotImplementedError: Keras cannot express the network; all reasons at once.

    Example:
        >>> import os; os.environ["KERAS_BACKEND"] = "jax"
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
        >>> to_keras(params, return_state=True).units
        5

    References:
        Keras 3, `keras.layers.LSTM`: layout of the weights.
    """
    call = "to_keras"
    refuse(call, "keras", _unturned(params), _more(params))
    decided = {"units", "activation", "recurrent_activation", "use_bias"}
    decided = (decided | {"go_backwards", "dtype", "merge_mode"}) & set(options)
    if decided:
        raise TypeError(
            f"{call}: options must leave {', '.join(sorted(decided))} to params."
        )
    import keras

    params = on_host(call, params)
    if keras.backend.backend() == "jax":
        on_device(call, params)  # an error where JAX would round what Keras is given
    if not isinstance(params, Stack):
        return _written(params, False, options)
    flipped, found = False, []
    for position, member in enumerate(params.layers):
        own = dict(options)
        if "name" in own:
            own["name"] = f"{own['name']}_{position}"
        if position < len(params.layers) - 1:
            own["return_sequences"] = True
        found.append(_written(member, flipped, own))
        flipped = isinstance(member, Reverse)
    return found


def _unturned(params: Any) -> Any:
    """Params with each `Reverse(Bidirectional)`, which Keras has, as the latter."""
    match params:
        case Stack():
            return Stack(tuple(_unturned(member) for member in params.layers))
        case Reverse(Bidirectional()):
            return params.inner
    return params


def _more(params: Any) -> Iterator[str]:
    for cell in layers(params):
        options = cell.options
        functions: Any = options.candidate_activation, options.output_activation
        if explicit(functions[0]) != explicit(functions[1]):
            names = " and ".join(a.name for a in functions)
            yield f"two activations of the candidate and the output: {names}"
        for function in {options.gate_activation, *functions}:
            if _function(function) is None:
                yield f"activation {function}"
    for member in members(_unturned(params)):
        if isinstance(member, Bidirectional):
            units = [cell.w_h.shape[0] for cell in layers(member)]
            if len(set(units)) > 1:
                yield f"directions of different hidden sizes: {units}"


def _function(function: Any) -> Any:
    """Keras 3's name for a function, or its layer; None if it has none."""
    wanted = explicit(function)
    for name in ("linear", "hard_sigmoid", "leaky_relu", wanted.name):
        unknown: list[str] = []
        found = activation(name, 3, "", unknown)
        if not unknown and explicit(found) == wanted:
            return name
    if wanted.name not in ("elu", "leaky_relu"):
        return None
    import keras

    if wanted.name == "elu":
        return keras.layers.ELU(alpha=wanted.alpha)
    return keras.layers.LeakyReLU(negative_slope=wanted.alpha)


def _written(member: Any, flipped: bool, options: dict[str, Any]) -> Any:
    """A layer that reads a sequence which is flipped in time, or is not."""
    import keras

    backwards = flipped ^ isinstance(member, Reverse)
    inner = member.inner if isinstance(member, Reverse) else member
    if not isinstance(inner, Bidirectional):
        layer = _lstm(inner, backwards, options)
        cells = [(layer.cell, inner)]
    else:
        own = {name: value for name, value in options.items() if name != "name"}
        layer = keras.layers.Bidirectional(
            _lstm(inner.forward, backwards, own),
            merge_mode=inner.merge,
            backward_layer=_lstm(inner.backward, not backwards, own),
            name=options.get("name"),
            dtype=_dtype(inner),
        )
        parts = layer.forward_layer, layer.backward_layer
        directions = inner.forward, inner.backward
        cells = [(part.cell, p) for part, p in zip(parts, directions, strict=True)]
    for cell, p in cells:
        _build(cell, p)
    if not options.get("stateful"):  # else it needs the batch size, which a call has
        layer.build((None, None, cells[0][1].w_x.shape[0]))
    return layer


def _build(cell: Any, p: LSTMParams) -> None:
    import keras

    # Its own would draw what is not kept, and cannot for 16-bit dtypes.
    own = cell.kernel_initializer, cell.recurrent_initializer
    cell.kernel_initializer = cell.recurrent_initializer = keras.initializers.Zeros()
    cell.build((None, p.w_x.shape[0]))
    cell.built = True
    cell.kernel_initializer, cell.recurrent_initializer = own
    cell.kernel.assign(p.w_x)
    cell.recurrent_kernel.assign(p.w_h)
    if p.b is not None:
        cell.bias.assign(p.b)


def _lstm(cell: LSTMParams, backwards: bool, options: dict[str, Any]) -> Any:
    import keras

    return keras.layers.LSTM(
        cell.w_h.shape[0],
        activation=_function(cell.options.candidate_activation),
        recurrent_activation=_function(cell.options.gate_activation),
        use_bias=cell.b is not None,
        go_backwards=backwards,
        dtype=_dtype(cell),
        **{"return_sequences": True, **options},
    )


def _dtype(params: Any) -> str:
    return np.dtype(result_dtype(params)).name
