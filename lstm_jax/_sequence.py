# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What all calls over a sequence share: dtypes, layout, padding and containers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._dtypes import accum_dtype, as_array, result_dtype
from lstm_jax._inputs import SequenceArgs
from lstm_jax._masks import select, valid_steps
from lstm_jax._params import Params, cast_layers
from lstm_jax._state import own_containers
from lstm_jax._types import match_manual_axes

# (params, x, state, args) -> (y, out), all of it time-major
Network = Callable[[Params, jax.Array, Any, SequenceArgs], tuple[jax.Array, Any]]


def sequence_args(
    lengths: Any = None, mask: Any = None, resets: Any = None, **others: Any
) -> SequenceArgs:
    """The arguments of a call, lists among them as arrays."""
    lengths, mask, resets = map(as_array, (lengths, mask, resets))
    return SequenceArgs(lengths=lengths, mask=mask, resets=resets, **others)


def time_first(x: Any, time_major: bool, trailing: int = 0) -> jax.Array:
    """Moves time to the front, from before `trailing` axes."""
    return x if time_major else jnp.moveaxis(x, x.ndim - 1 - trailing, 0)


def time_as_given(x: jax.Array, time_major: bool) -> jax.Array:
    """Moves time from the front to where it was: before the features."""
    return x if time_major else jnp.moveaxis(x, 0, -2)


def run_sequence(
    network: Network,
    params: Params,
    x: Any,
    state: Any,
    args: SequenceArgs,
    dtype: Any = None,
) -> tuple[jax.Array, Any]:
    """Runs a network over x (*B, T, I).

    Args:
        network: what runs it over (T, *B, I), with zeros where no step counts.
        params: of any kind.
        x: (*B, T, I), or time-major.
        state: in any containers, or None.
        args: as given.
        dtype: of the computation; None for the promoted one of params and x.

    Returns:
        What `network` gives; y is laid out as x is.
    """
    state = own_containers(params, state)
    start = own_containers(params, args.reset_state)
    args = args.replace(reset_state=start)
    params, x, state, args = match_manual_axes((params, x, state, args))
    dtype = result_dtype(params, x) if dtype is None else dtype
    x = time_first(jnp.asarray(x, dtype), args.time_major, 1)
    mask, resets = (
        None if a is None else time_first(a, args.time_major)
        for a in (args.mask, args.resets)
    )
    args = args.replace(mask=mask, resets=resets)
    valid = valid_steps(x.shape[0], args.lengths, mask)
    if valid is not None:
        x = select(valid, x, jnp.zeros_like(x))
    # Gradients are summed in the dtype that parameters have here.
    y, out = network(cast_layers(params, accum_dtype(dtype)), x, state, args)
    return time_as_given(y, args.time_major), out
