# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""init and init_cell: parameters to start from."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax

from lstm_jax._norms import GateNorm, Norm, SplitNorm
from lstm_jax._params import Bidirectional, Merge, Stack
from lstm_jax.cells.base import Cell
from lstm_jax.cells.drawing import positive_size
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.cells.options import CellOptions
from lstm_jax.checks.params import MERGES, check_network
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    forget_bias,
    glorot_uniform,
    orthogonal,
)


def init_cell(
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    projection_size: int | None = None,
    peephole: bool = False,
    norm: Norm | type[SplitNorm] | type[GateNorm] | None = None,
    use_bias: bool = True,
    options: CellOptions = CellOptions(),
    kernel_init: WeightInit = glorot_uniform(),
    recurrent_init: WeightInit = orthogonal(),
    bias_init: BiasInit = forget_bias(1.0),
    dtype: Any = None,
) -> LSTMParams:
    """Draws the parameters of one layer.

    Peepholes start at 0, gains of norms at 1. Types of 16 bits are drawn in float32 and
    rounded.

    Args:
        key: a JAX random key.
        input_size: I.
        hidden_size: H.
        projection_size: P, or None for no projection.
        peephole: whether gates look at the cell state.
        norm: `SplitNorm`, `GateNorm` (the class, or an instance for its eps), or None.
        use_bias: whether there are biases.
        options: the cell's `CellOptions`.
        kernel_init: of each gate's (I, H) block of w_x, and of the projection (H, P).
        recurrent_init: of each gate's (H or P, H) block of w_h.
        bias_init: of all biases, a function of (key, hidden_size, gates), or one of
            JAX's, which is called with the shape (G·H,).
        dtype: a floating dtype; None for JAX's default.

    Returns:
        `LSTMParams` with w_x (I, G·H), w_h (H or P, G·H), b (G·H,).

    Raises:
        ValueError: a size is not a positive integer, options contradict each other, or
            an initialiser gives another shape than it is asked for.
        TypeError: dtype is not floating, norm is of no known kind, or an initialiser
            gives no floating array.

    Example:
        >>> import jax
        >>> params = init_cell(jax.random.key(0), 3, 5)
        >>> params.w_x.shape, params.w_h.shape, params.b.shape
        ((3, 20), (5, 20), (20,))
    """
    return LSTMParams.init(
        key,
        input_size,
        hidden_size,
        projection_size=projection_size,
        peephole=peephole,
        norm=norm,
        use_bias=use_bias,
        options=options,
        kernel_init=kernel_init,
        recurrent_init=recurrent_init,
        bias_init=bias_init,
        dtype=dtype,
    )


def init(
    key: jax.Array,
    input_size: int,
    hidden_size: int | Sequence[int],
    *,
    num_layers: int | None = None,
    bidirectional: bool = False,
    merge: Merge = "concat",
    cell: type[Cell] | Callable[..., Cell] = LSTMParams,
    projection_size: int | None = None,
    peephole: bool = False,
    norm: Norm | type[SplitNorm] | type[GateNorm] | None = None,
    use_bias: bool = True,
    options: CellOptions = CellOptions(),
    kernel_init: WeightInit = glorot_uniform(),
    recurrent_init: WeightInit = orthogonal(),
    bias_init: BiasInit = forget_bias(1.0),
    dtype: Any = None,
) -> Stack:
    """Draws the parameters of a stack of layers.

    Args:
        key: a JAX random key.
        input_size: I of the first layer.
        hidden_size: H of every layer, or a sequence with the H of each.
        num_layers: number of layers, 1 if None; an error together with a sequence.
        bidirectional: each layer runs in both directions.
        merge: how the two directions become one output: "concat", "sum", "mul", "ave".
        cell: a `Cell` class, whose `init` draws each layer, or a function of
            (key, input_size, hidden_size), such as a `functools.partial` of one. It is
            given those of the following that are not left at their defaults.
        projection_size: this and the others as for `init_cell`.
        peephole: as for `init_cell`.
        norm: as for `init_cell`.
        use_bias: as for `init_cell`.
        options: as for `init_cell`.
        kernel_init: as for `init_cell`.
        recurrent_init: as for `init_cell`.
        bias_init: as for `init_cell`.
        dtype: as for `init_cell`.

    Returns:
        A `Stack`, also for one layer.

    Raises:
        ValueError: sizes that are not positive, num_layers beside a sequence, an
            unknown merge.
        TypeError: as `init_cell`; something that `cell` does not take.

    Example:
        >>> import jax
        >>> params = init(jax.random.key(0), 3, [5, 7], bidirectional=True)
        >>> [layer.forward.w_x.shape for layer in params.layers]
        [(3, 20), (10, 28)]
    """
    fields = given_fields(
        init,
        projection_size=projection_size,
        peephole=peephole,
        norm=norm,
        use_bias=use_bias,
        options=options,
        kernel_init=kernel_init,
        recurrent_init=recurrent_init,
        bias_init=bias_init,
        dtype=dtype,
    )
    sizes = _sizes(hidden_size, num_layers)
    if merge not in MERGES:
        raise ValueError(
            f"init: merge must be one of {', '.join(MERGES)}; got {merge!r}."
        )
    draw: Any = getattr(cell, "init", cell)
    layers: list[Any] = []
    width = input_size
    for own, units in zip(jax.random.split(key, len(sizes)), sizes, strict=True):
        if bidirectional:
            one, two = jax.random.split(own)
            layer: Any = Bidirectional(
                draw(one, width, units, **fields),
                draw(two, width, units, **fields),
                merge,
            )
        else:
            layer = draw(own, width, units, **fields)
        layers.append(layer)
        width = check_network("init", layer, width)
    return Stack(tuple(layers))


def given_fields(function: Callable[..., Any], **fields: Any) -> dict[str, Any]:
    """Those that are not left at the function's defaults."""
    defaults = inspect.signature(function).parameters
    return {
        name: value
        for name, value in fields.items()
        if value is not defaults[name].default and value != defaults[name].default
    }


def _sizes(hidden_size: Any, num_layers: Any) -> list[Any]:
    """The H of every layer."""
    if not isinstance(hidden_size, Sequence):
        count = 1 if num_layers is None else num_layers
        return [hidden_size] * positive_size("init", "num_layers", count)
    if num_layers is not None:
        raise ValueError(
            "init: num_layers must be None where hidden_size is a sequence with "
            f"one H a layer; got num_layers={num_layers}, hidden_size={hidden_size}."
        )
    if not hidden_size:
        raise ValueError("init: hidden_size must name one layer or more; got [].")
    return list(hidden_size)
