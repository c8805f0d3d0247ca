# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""torch: the states that nn.LSTM and nn.GRU take and give."""

from typing import Any

import jax
import numpy as np

from lstm_jax._dtypes import result_dtype
from lstm_jax._params import Params, State
from lstm_jax._state import mirror, own_containers, state_types
from lstm_jax.checks.messages import Layout, kind_of
from lstm_jax.checks.params import check_params, check_state
from lstm_jax.convert._arrays import host, on_device


def from_torch_state(params: Params, state: Any) -> State:
    """A state of torch for `lstm_jax.apply`; nothing is computed.

    Args:
        params: the network whose state it is: `LSTMParams`, `GRUParams`, a `Stack` or
            `Bidirectional` of such.
        state: (h, c), each (layers · directions, *B, H), h with P under a projection;
            h alone for GRUs. Layer by layer, forward before backward, as torch has it.

    Returns:
        A tree that mirrors params.

    Raises:
        ValueError: the number of arrays or of layers, or a shape, is another.
        TypeError: params are of no known kind, or no floating arrays are given.

    Example:
        >>> import jax, lstm_jax, numpy as np
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2)
        >>> h = c = np.zeros((2, 4, 5), "float32")
        >>> lower, upper = from_torch_state(params, (h, c))
        >>> upper.h.shape
        (4, 5)

    References:
        torch, `torch.nn.LSTM`: layout of h_0 and c_0.
    """
    call = "from_torch_state"
    check_params(call, params)
    like = _like(params)
    fields = _fields(like)
    given = [state] if fields == 1 and hasattr(state, "shape") else state
    if not isinstance(given, tuple | list) or len(given) != fields:
        raise ValueError(
            f"{call}: state must have {fields} arrays, (h, c) of LSTMs or h of GRUs; "
            f"got {kind_of(state)}."
        )
    arrays = [host(call, f"state[{k}]", a) for k, a in enumerate(given)]
    count = len(jax.tree.leaves(like)) // fields
    for k, a in enumerate(arrays):
        if a.ndim < 2 or a.shape[0] != count:
            raise ValueError(
                f"{call}: state[{k}] must have shape (layers · directions, *B, H) with "
                f"{count} layers and directions (from params); got {a.shape}."
            )
    leaves = on_device(call, [a[k] for k in range(count) for a in arrays])
    own = jax.tree.unflatten(jax.tree.structure(like), leaves)
    check_state(call, "state", params, own, Layout(None, arrays[0].shape[1:-1]))
    return own


def to_torch_state(params: Params, state: State) -> tuple[np.ndarray, ...]:
    """The inverse of `from_torch_state`: arrays that `torch.from_numpy` takes.

    Args:
        params: the network whose state it is.
        state: mirrors params, each leaf (*B, H or P).

    Returns:
        (h, c), each (layers · directions, *B, H or P); (h,) for GRUs.

    Raises:
        ValueError: the state does not mirror params; layers differ in their sizes.
        TypeError: as `from_torch_state`.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, bidirectional=True)
        >>> h, c = to_torch_state(params, lstm_jax.zero_state(params, (4,)))
        >>> h.shape
        (2, 4, 5)
    """
    call = "to_torch_state"
    check_params(call, params)
    first = jax.tree.leaves(state)[:1]
    batch = tuple(first[0].shape[:-1]) if first else ()
    check_state(call, "state", params, state, Layout(None, batch))
    own = own_containers(params, state)
    leaves = [np.asarray(a) for a in jax.tree.leaves(own)]
    fields = _fields(_like(params))
    parts = [leaves[k::fields] for k in range(fields)]
    shapes = {tuple(a.shape for a in part) for part in parts}
    if any(len(set(own)) > 1 for own in shapes):
        raise ValueError(
            f"{call}: state must have one shape in all layers; got "
            f"{sorted(set(sum(shapes, ())))}."
        )
    return tuple(np.stack(part) for part in parts)


def _like(params: Params) -> State:
    dtype = result_dtype(params)
    return mirror(params, lambda cell: state_types(cell, (), dtype))


def _fields(like: State) -> int:
    """How many arrays each layer's state has: 2, or 1."""
    if hasattr(like, "shape"):
        return 1
    if hasattr(like, "_fields"):
        return len(like)
    return _fields(like[0])
