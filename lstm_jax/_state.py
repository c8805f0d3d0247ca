# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""States mirror parameters, in the cells' containers or in the user's."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._dtypes import result_dtype
from lstm_jax._params import Bidirectional, Params, Residual, Reverse, Stack, State
from lstm_jax._types import match_type
from lstm_jax.cells.base import Cell


def mirror(params: Params, leaf: Callable[[Any], Any]) -> State:
    """A tree like the state of `params`, with `leaf(cell)` where a cell's state is."""
    match params:
        case Cell():
            return leaf(params)
        case Reverse(inner) | Residual(inner):
            return mirror(inner, leaf)
        case Bidirectional(forward, backward):
            return mirror(forward, leaf), mirror(backward, leaf)
        case Stack(layers):
            return tuple(mirror(layer, leaf) for layer in layers)
    kinds = "LSTMParams or another Cell, Stack, Bidirectional, Reverse or Residual"
    raise TypeError(f"params must be {kinds}; got {type(params).__name__}.")


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
        `LSTMState` for an LSTM layer, what another `Cell` says for that, a tuple for
        Stack and Bidirectional, and so on.

    Raises:
        TypeError: params are of no known kind.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2)
        >>> state = zero_state(params, (7,))
        >>> len(state), state[0].h.shape
        (2, (7, 5))
    """
    mirror(params, lambda cell: None)  # refuses what is no network
    dtype = result_dtype(params) if dtype is None else jnp.dtype(dtype)
    if not isinstance(batch_shape, Sequence):
        raise TypeError(
            "zero_state: batch_shape must be a tuple of sizes, such as (4,); got "
            f"{batch_shape!r}."
        )
    return mirror(params, lambda cell: cell.zero_state(tuple(batch_shape), dtype))


def state_types(cell: Cell, batch: tuple[Any, ...], dtype: Any) -> Any:
    """The structure, shapes and dtypes of a cell's state."""
    return jax.eval_shape(lambda: cell.zero_state(batch, dtype))


def own_containers(params: Params, state: State) -> State:
    """A given state in the containers of the cells."""
    if state is None:
        return None
    dtype = result_dtype(params)
    like = mirror(params, lambda cell: state_types(cell, (), dtype))
    return jax.tree.unflatten(jax.tree.structure(like), jax.tree.leaves(state))


def as_given(state: State, given: State) -> State:
    """A state in the containers and dtypes of the one that was given."""
    if given is None:
        return state
    like, containers = jax.tree.flatten(given)
    pairs = zip(jax.tree.leaves(state), like, strict=True)
    leaves = [to_dtype(new, jnp.asarray(old)) for new, old in pairs]
    return jax.tree.unflatten(containers, leaves)


def to_dtype(a: Any, like: Any) -> Any:
    """An array in the dtype of another; random keys have but one."""
    if jnp.issubdtype(like.dtype, jax.dtypes.extended):
        return a
    return jnp.asarray(a, like.dtype)


def filled_state(like: Any, given: Any, start: Any) -> Any:
    """The state given, or else `start`, with the types of `like`."""
    given = start if given is None else given
    return jax.tree.map(lambda k, g: match_type(to_dtype(g, k), k), like, given)
