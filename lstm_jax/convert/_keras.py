# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Keras 3, in: live layers LSTM, LSTMCell, RNN, Bidirectional and stacks of them."""

from collections.abc import Iterator
from typing import Any

from lstm_jax._params import Bidirectional, Reverse, Stack
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert._arrays import finished, host
from lstm_jax.convert._keras_config import (
    PASSED_OVER,
    SIDES,
    cell_options,
    reverse,
    single,
)
from lstm_jax.convert._systems import raise_reasons


def from_keras(layer: Any) -> Any:
    """Reads built layers of Keras 3.

    A layer with go_backwards gives its outputs in the order of processing. Ours are in
    the original one: Keras' outputs are ours, flipped in time, if the number of layers
    with go_backwards is odd (of a Bidirectional, its forward layer counts). A layer
    that reads a flipped sequence runs the other way, so it becomes a `Reverse` as well.
    A mask stands for lengths where it ends each row; but Keras hands it to the layer
    above unflipped, so that above a go_backwards one only full rows agree. In the
    padding Keras repeats the last output, where ours is zero.

    Args:
        layer: an LSTM, an LSTMCell, an RNN of LSTMCells, a Bidirectional of LSTM or
            RNN; or a list or a Sequential of such layers, all but the last with
            return_sequences. InputLayer, Dropout, SpatialDropout1D and Masking are
            passed over. Or a Model of any other kind, Functional or subclassed, whose
            layers are read one by one, as `from_keras_h5` reads those of its file.

    Returns:
        `LSTMParams`, for one cell; `Reverse` of it, for go_backwards; `Bidirectional`;
        a `Stack`, for several. Of a Model that is no Sequential, names to these, with
        "/" between the names of a model and of a layer in it, and "name/forward_layer"
        and "name/backward_layer" where merge_mode is None. In the dtype of the weights.

    Raises:
        ValueError: a layer has no weights yet, or gives no sequence to the one above.
        TypeError: JAX would round a dtype.
        NotImplementedError: other layers or activations; all reasons at once.

    Example:
        >>> import os; os.environ["KERAS_BACKEND"] = "jax"
        >>> import keras
        >>> layer = keras.layers.LSTM(5, recurrent_initializer="glorot_uniform")
        >>> layer.build((None, None, 3))
        >>> from_keras(layer).w_x.shape
        (3, 20)

    References:
        Keras 3, `keras.layers.LSTM`: layout of the weights.
    """
    import keras

    call = "from_keras"
    if not keras.__version__.startswith("3."):
        raise NotImplementedError(
            f"{call}: live layers must be of Keras 3; got Keras {keras.__version__}. "
            "Save the model and read the file with from_keras_h5."
        )
    reasons: list[str] = []
    params: Any
    if isinstance(layer, list | tuple | keras.Sequential):
        sequence = layer.layers if isinstance(layer, keras.Sequential) else layer
        params = _stack(call, list(sequence), reasons)
    elif type(layer) is keras.layers.LSTMCell:
        params = _cell(call, layer, layer.name, reasons)
    elif isinstance(layer, keras.Model):
        params = dict(_of_model(call, layer.layers, "", reasons))
        if not params and not reasons:
            raise ValueError(
                f"{call}: layer must have an LSTM in it; {layer.name} has none."
            )
    else:
        params, _ = _member(call, layer, False, reasons)
    raise_reasons(call, "lstm_jax cannot express", reasons)
    if isinstance(params, dict):
        return {name: finished(call, network) for name, network in params.items()}
    return finished(call, params)


def _of_model(
    call: str, parts: list[Any], within: str, reasons: list[str]
) -> Iterator[tuple[str, Any]]:
    """Each LSTM of a model's layers by its name, those of models within it too."""
    import keras

    for layer in parts:
        name = f"{within}{layer.name}"
        both = type(layer) is keras.layers.Bidirectional
        ways = [layer.forward_layer, layer.backward_layer] if both else [layer]
        if isinstance(layer, keras.Model):
            yield from _of_model(call, layer.layers, f"{name}/", reasons)
        elif type(layer) is keras.layers.TimeDistributed:
            yield from _of_model(call, [layer.layer], f"{name}/", reasons)
        elif both and layer.merge_mode is None and all(map(_is_lstm, ways)):
            for side, part in zip(SIDES, ways, strict=True):
                yield f"{name}/{side}", _member(call, part, False, reasons)[0]
        elif all(map(_is_lstm, ways)):
            yield name, _member(call, layer, False, reasons)[0]
        elif isinstance(layer, keras.layers.LSTM | keras.layers.LSTMCell):
            reasons.append(_other(layer))  # a subclass, which may compute anything


def _is_lstm(layer: Any) -> bool:
    """Whether a layer is an LSTM or an RNN of LSTMCells of Keras' own."""
    import keras

    if type(layer) is not keras.layers.RNN:
        return type(layer) is keras.layers.LSTM
    cells = getattr(layer.cell, "cells", [layer.cell])
    return all(type(cell) is keras.layers.LSTMCell for cell in cells)


def _stack(call: str, sequence: list[Any], reasons: list[str]) -> Stack:
    import keras

    passed = [getattr(keras.layers, name) for name in PASSED_OVER]
    used = [part for part in sequence if type(part) not in passed]
    if not used:
        raise ValueError(f"{call}: layer must have an LSTM in it; got {sequence}.")
    flipped, found = False, []
    for position, part in enumerate(used):
        member, flipped = _member(call, part, flipped, reasons)
        found.append(member)
        gives = getattr(part, "return_sequences", True)
        if position < len(used) - 1 and not gives:
            raise ValueError(
                f"{call}: layer {part.name} must have return_sequences=True, since "
                f"{used[position + 1].name} reads what it gives; got False."
            )
    return Stack(tuple(found))


def _member(
    call: str, layer: Any, flipped: bool, reasons: list[str]
) -> tuple[Any, bool]:
    """A layer's network, and whether its outputs are flipped in time, as x may be."""
    import keras

    if type(layer) is keras.layers.Bidirectional:
        flipped ^= layer.forward_layer.go_backwards
        inner = [
            _recurrent(call, part, reasons)
            for part in (layer.forward_layer, layer.backward_layer)
        ]
        if layer.merge_mode is None:
            reasons.append(
                f"merge_mode=None (in {layer.name}; import layer.forward_layer and "
                "layer.backward_layer)"
            )
            return inner[0], flipped
        both = Bidirectional(inner[0], inner[1], layer.merge_mode)
        return (Reverse(both) if flipped else both), flipped
    params = _recurrent(call, layer, reasons)
    flipped ^= getattr(layer, "go_backwards", False)
    return (reverse(params) if flipped else params), flipped


def _recurrent(call: str, layer: Any, reasons: list[str]) -> Any:
    """The cell or cells of a layer, without its direction."""
    import keras

    if type(layer) not in (keras.layers.LSTM, keras.layers.RNN):
        reasons.append(_other(layer))
        return None
    stacked = type(layer.cell) is keras.layers.StackedRNNCells
    cells = layer.cell.cells if stacked else [layer.cell]
    unknown = [c for c in cells if type(c) is not keras.layers.LSTMCell]
    if unknown:
        reasons.extend(f"{_other(c)} (in {layer.name})" for c in unknown)
        return None
    return single([_cell(call, c, layer.name, reasons) for c in cells], stacked)


def _other(layer: Any) -> str:
    name = getattr(layer, "name", None)
    return f"{type(layer).__name__} {name}" if name else type(layer).__name__


def _cell(call: str, cell: Any, where: str, reasons: list[str]) -> LSTMParams:
    if getattr(cell, "recurrent_kernel", None) is None:
        raise ValueError(
            f"{call}: layer {where} must be built, so that it has weights; call it on "
            "data or build it first."
        )
    config = {
        name: _named(getattr(cell, name))
        for name in ("activation", "recurrent_activation")
    }
    return LSTMParams(
        w_x=host(call, f"{where}.kernel", cell.kernel.value),
        w_h=host(call, f"{where}.recurrent_kernel", cell.recurrent_kernel.value),
        b=host(call, f"{where}.bias", cell.bias.value) if cell.use_bias else None,
        options=cell_options(config, 3, where, reasons),
    )


def _named(function: Any) -> Any:
    """How Keras stores a function: the name of its own, a layer's configuration."""
    import keras

    name = getattr(function, "__name__", None)
    if name is not None:  # one of the user's may have the name of one of Keras'
        own = getattr(keras.activations, name, None) is function
        return name if own else f"{name}, a function of {function.__module__}"
    if isinstance(function, keras.layers.Layer):
        config = function.get_config()
        return {"class_name": type(function).__name__, "config": config}
    return type(function).__name__
