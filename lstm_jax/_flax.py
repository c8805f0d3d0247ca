# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the Flax modules of `linen` and `nnx` share; no mathematics."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.core
import flax.traverse_util
import jax
import jax.numpy as jnp

import lstm_jax
from lstm_jax._config import KINDS
from lstm_jax._dtypes import as_array, result_dtype
from lstm_jax._flax_boxes import drawn, is_box, unboxed
from lstm_jax._norms import GateNorm, SplitNorm
from lstm_jax._params import Params, State, each_layer
from lstm_jax._regularize import Regularizer
from lstm_jax.cells.base import Cell, cast_floating
from lstm_jax.cells.lstm_params import LSTMParams, LSTMState
from lstm_jax.checks.messages import dtype_of
from lstm_jax.checks.params import check_params

# What a leaf may be called, in any of this library's cells.
LEAVES = {
    field.name
    for kind in KINDS.values()
    if issubclass(kind, Cell | SplitNorm | GateNorm)
    for field in dataclasses.fields(kind)
}.union(LSTMState._fields)

Names = tuple[str, ...]


def by_name(tree: Any) -> dict[Names, Any]:
    """The leaves of parameters by their names, as ("layers_0", "w_x")."""

    def names(path: Any) -> Names:
        found: list[str] = []
        for entry in path:
            if not isinstance(entry, jax.tree_util.SequenceKey):
                found.append(str(getattr(entry, "name", getattr(entry, "key", ""))))
            elif found:
                found[-1] += f"_{entry.idx}"
            else:
                found.append(f"part_{entry.idx}")
        return tuple(found) or ("value",)

    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_box)
    return {names(path): leaf for path, leaf in leaves}


def nested(tree: Any) -> dict[str, Any]:
    """Parameters, or what stands for them, as nested names."""
    return flax.traverse_util.unflatten_dict(by_name(tree))


def filled(call: str, like: Any, tree: Any) -> Any:
    """The structure `like` with the leaves of nested names; the inverse of `nested`."""
    flat = flax.traverse_util.flatten_dict(flax.core.unfreeze(tree))
    named = by_name(like)
    if set(flat) != set(named):
        raise ValueError(
            f"{call}: collection must have the names {_listed(named)}; got "
            f"{_listed(flat)}."
        )
    leaves = [flax.core.meta.unbox(flat[name]) for name in named]
    return jax.tree.unflatten(jax.tree.structure(like, is_leaf=is_box), leaves)


def no_others(call: str, expected: Any, tree: Any) -> None:
    """Refuses leaves of an LSTM that a module has no use for, and would pass over."""
    flat = flax.traverse_util.flatten_dict(flax.core.unfreeze(tree))
    names = flax.traverse_util.flatten_dict(expected)
    others = [name for name in flat if name not in names and name[-1] in LEAVES]
    if others:
        raise ValueError(
            f"{call}: variables must hold what the module's fields ask for, "
            f"{_listed(names)}; got {_listed(others)} too."
        )


def _listed(names: Any) -> str:
    return ", ".join(sorted("/".join(name) for name in names))


def draw(
    init: Callable[..., Params],
    params_init: Callable[..., Params] | None,
    key: Any,
    input_size: Any,
    fields: dict[str, Any],
) -> Params:
    """Parameters from a module's fields, of which those given are in `fields`."""
    if params_init is None:
        if "cell" in fields and "dtype" not in fields:  # which not all of them take
            fields = {"hidden_size": None} | fields
            params = drawn(init, fields, key, input_size)
            return jax.tree.map(lambda a: cast_floating(a, jnp.float32), params)
        fields = {"hidden_size": None, "dtype": jnp.float32} | fields
        return drawn(init, fields, key, input_size)
    if fields:
        raise ValueError(
            f"LSTM: params_init makes the parameters by itself; got {', '.join(fields)}"
            " beside it."
        )
    params = params_init(key, input_size)
    check_params("LSTM: params_init", unboxed(params))
    return params


def init_one_cell(
    key: Any,
    input_size: Any,
    hidden_size: Any,
    *,
    cell: Any = LSTMParams,
    **fields: Any,
) -> Params:
    """Draws one layer by its class, or by the function that draws it."""
    draw_cell = getattr(cell, "init", cell)
    return draw_cell(key, input_size, hidden_size, **fields)


def learnable(params: Params) -> Any:
    """A state of zeros without batch axes, in the containers of the parameters."""
    return each_layer(lambda cell: lstm_jax.zero_state(cell), params)


def input_size(call: str, x: Any) -> Any:
    """I of an input."""
    if not getattr(x, "ndim", 0):
        raise ValueError(f"{call}: x must have shape (*B, T, I) or (*B, I); got {x!r}.")
    return x.shape[-1]


def _cast(params: Params, x: Any, dtype: Any) -> tuple[Params, Any]:
    """Both in the dtype of computation, where there is one."""
    x = as_array(x)
    own = dtype_of(x)  # `apply` says what is wrong with others
    if dtype is None or own is None or not jnp.issubdtype(own, jnp.floating):
        return params, x
    return jax.tree.map(lambda a: cast_floating(a, dtype), params), x.astype(dtype)


def _start(params: Params, x: Any, learned: Any) -> State:
    """The learned state with the dtypes of one that `apply` makes."""
    if learned is None:
        return None
    like, containers = jax.tree.flatten(
        lstm_jax.zero_state(params, (), result_dtype(params, x))
    )
    leaves = [
        a.astype(zero.dtype)
        for a, zero in zip(jax.tree.leaves(learned), like, strict=True)
    ]
    return jax.tree.unflatten(containers, leaves)


def randomness(
    regularizer: Regularizer | None,
    deterministic: Callable[[], bool],
    key: Any,
    make: Callable[[], Any],
) -> dict[str, Any]:
    """The regularizer and key of a call; asks for neither where nothing is random."""
    if regularizer is not None and regularizer.acting():
        if deterministic():
            return {"regularizer": regularizer.inference(), "key": None}
        key = make() if key is None else key
    return {"regularizer": regularizer, "key": key}


def run(
    params: Params,
    x: Any,
    state: State,
    *,
    learned: Any,
    dtype: Any,
    resets: Any,
    reset_state: State,
    **call: Any,
) -> tuple[jax.Array, State]:
    """`apply`, which begins at the learned state wherever no other is given."""
    params, x = _cast(params, x, dtype)
    start = _start(params, x, learned)
    state = start if state is None else state
    if resets is not None and reset_state is None:
        reset_state = start
    return lstm_jax.apply(
        params, x, state, resets=resets, reset_state=reset_state, **call
    )


def step(
    params: Params, state: State, x: Any, learned: Any, dtype: Any
) -> tuple[State, jax.Array]:
    """`lstm_step`, which begins at the learned state or zeros where none is given."""
    params, x = _cast(params, x, dtype)
    if state is None:
        state = _start(params, x, learned)
    if state is None:
        state = lstm_jax.zero_state(params, x.shape[:-1], result_dtype(params, x))
    return lstm_jax.lstm_step(params, state, x)


def one_of(lengths: Any, seq_lengths: Any) -> Any:
    """The lengths of a call, by this library's name or by Flax's."""
    if lengths is not None and seq_lengths is not None:
        raise ValueError(
            "LSTM: lengths and seq_lengths are two names of one argument; got both."
        )
    return lengths if seq_lengths is None else seq_lengths


def first(given: Any, own: Any) -> Any:
    """An argument of the call, or else the module's own."""
    return own if given is None else given
