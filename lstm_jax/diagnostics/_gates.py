# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""saturation and memory_horizon: what the gates of a network do on given data."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax._activations import activations
from lstm_jax._dtypes import accum_dtype, as_array, result_dtype
from lstm_jax._inputs import SequenceArgs
from lstm_jax._masks import valid_steps
from lstm_jax._params import Params, State
from lstm_jax._sequence import sequence_args, time_first
from lstm_jax.cells.lstm_params import StepTrace
from lstm_jax.checks.sequence import check_sequence
from lstm_jax.diagnostics._lstm_only import check_lstm_only

Mean = Callable[[jax.Array], jax.Array]  # (*B, T, H) -> (H,), over valid steps


class Saturation(NamedTuple):
    """Shares of one layer's gate values that lie near an end, unit by unit.

    `below.mean(-1)` has the three gates' shares in the whole layer. An absent gate is 1
    at every step. NaN where no step is valid.

    Attributes:
        below: (3, H) shares in [0, 1] below `low`; rows i, f, o.
        above: (3, H) shares in [0, 1] above `high`; rows i, f, o.
    """

    below: Any
    above: Any


class MemoryHorizon(NamedTuple):
    """How long one layer's units keep what is in them.

    Attributes:
        steps: (H,) infinite where the forget gate stays open, 0 where it closed fully
            at any step, NaN where no step is valid.
    """

    steps: Any


def _traces(
    params: Params, x: Any, state: State, args: SequenceArgs
) -> tuple[Any, Mean]:
    """The activations, and what takes the mean over all valid steps of all rows."""
    x = jnp.asarray(x, accum_dtype(result_dtype(params, x)))
    traces = activations(
        params,
        x,
        state,
        lengths=args.lengths,
        mask=args.mask,
        time_major=args.time_major,
    )
    mask = None if args.mask is None else time_first(args.mask, args.time_major)
    steps = x.shape[0 if args.time_major else -2]
    valid = valid_steps(steps, args.lengths, mask)
    if valid is None:
        valid = jnp.ones(x.shape[:-1], bool)
    elif not args.time_major:
        valid = jnp.moveaxis(valid, 0, -1)

    def mean(a: jax.Array) -> jax.Array:
        a = a.astype(x.dtype)
        return a.mean(range(a.ndim - 1), where=valid[..., None])

    return traces, mean


def _each(function: Callable[[StepTrace], Any], traces: Any) -> Any:
    return jax.tree.map(function, traces, is_leaf=lambda a: isinstance(a, StepTrace))


@jax.jit
def _saturation(
    params: Params, x: Any, state: State, args: SequenceArgs, low: Any, high: Any
) -> Any:
    traces, mean = _traces(params, x, state, args)

    def shares(a: StepTrace) -> Saturation:
        gates = a.i, a.f, a.o
        return Saturation(
            jnp.stack([mean(gate < low) for gate in gates]),
            jnp.stack([mean(gate > high) for gate in gates]),
        )

    return _each(shares, traces)


def saturation(
    params: Params,
    x: Any,
    state: State = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    time_major: bool = False,
    low: float = 0.1,
    high: float = 0.9,
) -> Any:
    """How often each gate is nearly closed, and how often it is nearly open.

    Args:
        params: as for `lstm_jax.apply`, with layers of `LSTMParams`.
        x: as for `lstm_jax.apply`.
        state: as for `lstm_jax.apply`.
        lengths: as for `lstm_jax.apply`; padding does not count.
        mask: as for `lstm_jax.apply`; steps that it hides do not count.
        time_major: as for `lstm_jax.apply`.
        low: a gate value below it is nearly closed.
        high: a gate value above it is nearly open.

    Returns:
        A tree that mirrors params as the state does, with `Saturation` for each layer:
        shares of all valid steps of all rows.

    Raises:
        ValueError: as `lstm_jax.apply`; low above high.
        TypeError: as `lstm_jax.apply`.
        NotImplementedError: a layer is another `Cell`.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> shares = saturation(params, jax.numpy.zeros((2, 7, 3)), low=0.4, high=0.6)
        >>> shares[0].above.mean(-1).tolist()  # f by its bias of 1; i and o near 0.5
        [0.0, 1.0, 0.0]

    References:
        Karpathy, Johnson, Li 2015, Visualizing and Understanding Recurrent Networks.
    """
    x, args = as_array(x), sequence_args(lengths, mask, time_major=time_major)
    check_sequence("saturation", params, x, state, args)
    check_lstm_only("saturation", params)
    if not low <= high:
        raise ValueError(
            f"saturation: low must not be above high; got low={low}, high={high}."
        )
    return _saturation(params, x, state, args, low, high)


@partial(jax.jit, static_argnames="level")
def _memory_horizon(
    params: Params, x: Any, state: State, args: SequenceArgs, level: float
) -> Any:
    traces, mean = _traces(params, x, state, args)

    def horizon(a: StepTrace) -> MemoryHorizon:
        rate = mean(jnp.log(jnp.abs(a.f)))
        return MemoryHorizon(jnp.where(rate >= 0, jnp.inf, math.log(level) / rate))

    return _each(horizon, traces)


def memory_horizon(
    params: Params,
    x: Any,
    state: State = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    time_major: bool = False,
    level: float = math.exp(-1),
) -> Any:
    """How many steps each unit's cell state stays, by its forget gate alone.

    The cell path Π f_t over k steps is on average exp(k m), with m the mean of log f_t
    over all valid steps of all rows. It falls to `level` after::

        horizon = log(level) / m

    Args:
        params: as for `lstm_jax.apply`, with layers of `LSTMParams`.
        x: as for `lstm_jax.apply`.
        state: as for `lstm_jax.apply`.
        lengths: as for `lstm_jax.apply`; padding does not count.
        mask: as for `lstm_jax.apply`; steps that it hides do not count.
        time_major: as for `lstm_jax.apply`.
        level: what is left of a value when it is held to be forgotten; 0.5 gives the
            half-life.

    Returns:
        A tree that mirrors params as the state does, with `MemoryHorizon` for each
        layer.

    Raises:
        ValueError: as `lstm_jax.apply`; level outside (0, 1).
        TypeError: as `lstm_jax.apply`.
        NotImplementedError: a layer is another `Cell`.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
        >>> horizon = memory_horizon(params, jax.numpy.zeros((2, 1, 3)))
        >>> [round(float(k), 2) for k in horizon.steps]  # -1 / log σ(1)
        [3.19, 3.19, 3.19, 3.19, 3.19]

    References:
        Gers, Schmidhuber, Cummins 2000, Learning to Forget. Tallec, Ollivier 2018, Can
        Recurrent Neural Networks Warp Time?
    """
    x, args = as_array(x), sequence_args(lengths, mask, time_major=time_major)
    check_sequence("memory_horizon", params, x, state, args)
    check_lstm_only("memory_horizon", params)
    if not 0 < level < 1:
        raise ValueError(f"memory_horizon: level must lie in (0, 1); got {level}.")
    return _memory_horizon(params, x, state, args, level)
