# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""activations: the inside of every step."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._dtypes import as_array
from lstm_jax._inputs import LayerInputs, SequenceArgs
from lstm_jax._masks import masked_step
from lstm_jax._network import run_network
from lstm_jax._params import Params, State, layers
from lstm_jax._sequence import run_sequence, sequence_args
from lstm_jax.cells.base import Cell
from lstm_jax.checks.messages import check_values, kind_of
from lstm_jax.checks.sequence import check_sequence
from lstm_jax.implementations.scan import Scan


def _trace_layer(inputs: LayerInputs, reverse: bool) -> tuple[Any, jax.Array]:
    def step(state: Any, x_t: jax.Array) -> tuple[Any, Any]:
        return cell.trace(state, x_t)

    cell = inputs.cell.cast(inputs.x.dtype)
    body = masked_step(step, inputs.reset_state)
    xs = inputs.x, inputs.step_masks
    _, trace = Scan().iterate(body, inputs.state, xs, reverse)
    return trace, trace.h


def _trace_network(
    params: Params, x: jax.Array, state: Any, args: SequenceArgs
) -> tuple[jax.Array, Any]:
    return run_network(_trace_layer, params, x, state, args)


@jax.jit
def _activations(params: Params, x: Any, state: Any, args: SequenceArgs) -> Any:
    _, out = run_sequence(_trace_network, params, x, state, args)
    time = 0 if args.time_major else x.ndim - 2
    return jax.tree.map(lambda a: jnp.moveaxis(a, 0, time), out)


def activations(
    params: Params,
    x: Any,
    state: State = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reset_state: State = None,
    time_major: bool = False,
) -> Any:
    """The inside of every step: gates, candidate, cell state and output.

    Args:
        params: as for `apply`, of cells that define `trace`.
        x: as for `apply`.
        state: as for `apply`.
        lengths: as for `apply`.
        mask: as for `apply`.
        resets: as for `apply`.
        reset_state: as for `apply`.
        time_major: as for `apply`.

    Returns:
        A tree that mirrors params as the state does, with `StepTrace` for each LSTM
        layer: i, f, g, o, c (*B, T, H) and h (*B, T, H or P), zero in the padding;
        another `Cell` has a record of its own.

    Raises:
        ValueError: as `apply`.
        TypeError: as `apply`.
        NotImplementedError: a cell defines no `trace`.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
        >>> trace = lstm_jax.activations(params, jax.numpy.zeros((2, 7, 3)))
        >>> trace.f.shape, bool(trace.f[:, 0].min() > 0.73)  # σ(1), the forget bias
        ((2, 7, 5), True)
    """
    x = as_array(x)
    args = sequence_args(
        lengths, mask, resets, reset_state=reset_state, time_major=time_major
    )
    check_values("activations", params=params, x=x, state=state, args=args)
    check_sequence("activations", params, x, state, args)
    silent = {kind_of(c): None for c in layers(params) if type(c).trace is Cell.trace}
    if silent:
        raise NotImplementedError(
            f"activations: {', '.join(silent)} must define trace, which shows what is "
            "inside a step."
        )
    return _activations(params, x, state, args)
