# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Parameters and states to start from."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax import _checks
from lstm_jax._cell import result_dtype, wide
from lstm_jax._params import (
    Bidirectional,
    CellOptions,
    GateNorm,
    LSTMParams,
    LSTMState,
    Merge,
    Norm,
    Params,
    SplitNorm,
    Stack,
    State,
    mirror,
)
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    biases,
    forget_bias,
    glorot_uniform,
    orthogonal,
    weights,
)


def _norm(call: str, norm: Any, units: int, columns: int, dtype: Any) -> Norm | None:
    """A norm with gains 1 and biases 0 from its class, or from one that has an eps."""
    if norm is None:
        return None
    norm = norm() if isinstance(norm, type) else norm
    match norm:
        case SplitNorm():
            return SplitNorm(
                gain_x=jnp.ones(columns, dtype),
                gain_h=jnp.ones(columns, dtype),
                gain_c=jnp.ones(units, dtype),
                bias_c=jnp.zeros(units, dtype),
                eps=norm.eps,
            )
        case GateNorm():
            return GateNorm(jnp.ones(columns, dtype), eps=norm.eps)
    raise TypeError(
        f"{call}: norm must be SplitNorm, GateNorm, one of these with an eps, or None; "
        f"got {norm!r}."
    )


def _size(call: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ValueError(f"{call}: {name} must be a positive integer; got {value!r}.")
    return int(value)


def _dtype(call: str, dtype: Any) -> jnp.dtype:
    """A floating dtype as JAX has it; None for its default."""
    dtype = jnp.dtype(jax.dtypes.canonicalize_dtype(float if dtype is None else dtype))
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"{call}: dtype must be floating; got {dtype}.")
    return dtype


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
        >>> params = init_cell(jax.random.key(0), 3, 5)
        >>> params.w_x.shape, params.w_h.shape, params.b.shape
        ((3, 20), (5, 20), (20,))
    """
    call = "init_cell"
    dtype = _dtype(call, dtype)
    inputs = _size(call, "input_size", input_size)
    units = _size(call, "hidden_size", hidden_size)
    width = units
    if projection_size is not None:
        width = _size(call, "projection_size", projection_size)
    if not isinstance(options, CellOptions):
        raise TypeError(f"{call}: options must be CellOptions; got {options!r}.")
    gates = options.gates
    columns = units * len(gates)
    keys = jax.random.split(key, 2 * len(gates) + 2)

    def drawn(name: str, init: WeightInit, key: jax.Array, *shape: int) -> jax.Array:
        return weights(call, name, init, key, shape, wide(dtype))

    def blocks(name: str, init: WeightInit, rows: int, keys: jax.Array) -> jax.Array:
        parts = [drawn(name, init, k, rows, units) for k in keys]
        return jnp.concatenate(parts, 1).astype(dtype)

    projection = b = None
    if projection_size is not None:
        projection = drawn("kernel_init", kernel_init, keys[-1], units, width)
        projection = projection.astype(dtype)
    if use_bias:
        b = biases(call, bias_init, keys[-2], units, gates, wide(dtype)).astype(dtype)
    params = LSTMParams(
        w_x=blocks("kernel_init", kernel_init, inputs, keys[: len(gates)]),
        w_h=blocks("recurrent_init", recurrent_init, width, keys[len(gates) : -2]),
        b=b,
        peephole=jnp.zeros((len(gates.replace("g", "")), units), dtype)
        if peephole
        else None,
        projection=projection,
        norm=_norm(call, norm, units, columns, dtype),
        options=options,
    )
    _checks.cell(call, params)
    return params


def init(
    key: jax.Array,
    input_size: int,
    hidden_size: int | Sequence[int],
    *,
    num_layers: int | None = None,
    bidirectional: bool = False,
    merge: Merge = "concat",
    **cell: Any,
) -> Stack:
    """Draws the parameters of a stack of layers.

    Args:
        key: a JAX random key.
        input_size: I of the first layer.
        hidden_size: H of every layer, or a sequence with the H of each.
        num_layers: number of layers, 1 if None; an error together with a sequence.
        bidirectional: each layer runs in both directions.
        merge: how the two directions become one output: "concat", "sum", "mul", "ave".
        **cell: everything else that `init_cell` takes.

    Returns:
        A `Stack`, also for one layer.

    Raises:
        ValueError: sizes that are not positive, num_layers beside a sequence, an
            unknown merge.
        TypeError: as `init_cell`.

    Example:
        >>> params = init(jax.random.key(0), 3, [5, 7], bidirectional=True)
        >>> [layer.forward.w_x.shape for layer in params.layers]
        [(3, 20), (10, 28)]
    """
    if isinstance(hidden_size, Sequence):
        if num_layers is not None:
            raise ValueError(
                "init: num_layers must be None where hidden_size is a sequence with "
                f"one H a layer; got num_layers={num_layers}, "
                f"hidden_size={hidden_size}."
            )
        sizes = list(hidden_size)
        if not sizes:
            raise ValueError("init: hidden_size must name one layer or more; got [].")
    else:
        count = 1 if num_layers is None else _size("init", "num_layers", num_layers)
        sizes = [hidden_size] * count
    if merge not in _checks.MERGES:
        raise ValueError(
            f"init: merge must be one of {', '.join(_checks.MERGES)}; got {merge!r}."
        )
    layers: list[Any] = []
    width = input_size
    for own, units in zip(jax.random.split(key, len(sizes)), sizes, strict=True):
        if bidirectional:
            one, two = jax.random.split(own)
            layer: Any = Bidirectional(
                init_cell(one, width, units, **cell),
                init_cell(two, width, units, **cell),
                merge,
            )
        else:
            layer = init_cell(own, width, units, **cell)
        layers.append(layer)
        width = _checks.network("init", layer, width)
    return Stack(tuple(layers))


def zero_state(
    params: Params, batch_shape: Sequence[int] = (), dtype: Any = None
) -> State:
    """The state of zeros that mirrors params.

    On a mesh with explicit axes and inside `shard_map` a carry has a type of its own;
    there, `apply(params, xs[:0], time_major=True)[1]` is a state of zeros with the type
    that `lstm_step` gives.

    Args:
        params: parameters of any kind.
        batch_shape: *B.
        dtype: of h; None for the parameters' own. c is float32 where that has 16 bits.

    Returns:
        `LSTMState` for a layer, a tuple for Stack and Bidirectional, and so on.

    Raises:
        TypeError: params are of no known kind.

    Example:
        >>> state = zero_state(init(jax.random.key(0), 3, 5, num_layers=2), (7,))
        >>> len(state), state[0].h.shape
        (2, (7, 5))
    """
    dtype = result_dtype(params) if dtype is None else jnp.dtype(dtype)
    if not isinstance(batch_shape, Sequence):
        raise TypeError(
            "zero_state: batch_shape must be a tuple of sizes, such as (4,); got "
            f"{batch_shape!r}."
        )
    batch = tuple(batch_shape)

    def zeros(cell: LSTMParams) -> LSTMState:
        units = cell.w_x.shape[1] // len(cell.options.gates)
        return LSTMState(
            jnp.zeros((*batch, cell.w_h.shape[0]), dtype),
            jnp.zeros((*batch, units), wide(dtype)),
        )

    return mirror(params, zeros)
