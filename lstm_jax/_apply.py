# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""apply and explain: a network over a sequence, and what runs it."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax

from lstm_jax._dtypes import as_array, result_dtype
from lstm_jax._inputs import Request, SequenceArgs
from lstm_jax._params import Params, State
from lstm_jax._regularize import Regularizer
from lstm_jax._sequence import run_sequence, sequence_args
from lstm_jax._state import as_given
from lstm_jax.checks.messages import Layout, check_values
from lstm_jax.checks.sequence import check_sequence
from lstm_jax.implementations.base import Implementation, check_implementation
from lstm_jax.implementations.choice import PlatformPlan, choose


@partial(jax.jit, static_argnames="implementation")
def _apply(
    params: Params,
    x: Any,
    state: Any,
    args: SequenceArgs,
    implementation: Implementation,
) -> tuple[jax.Array, Any]:
    y, out = run_sequence(implementation.network, params, x, state, args)
    return y, as_given(out, state)


def apply(
    params: Params,
    x: Any,
    state: State = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reset_state: State = None,
    time_major: bool = False,
    regularizer: Regularizer | None = None,
    key: Any = None,
    truncate: int | None = None,
    implementation: Implementation | None = None,
) -> tuple[jax.Array, State]:
    """Runs a network over a sequence.

    For one LSTM layer, with everything optional left out::

        for t in range(T):
            i, f, g, o = gates(x[:, t] @ w_x + h @ w_h + b)
            c = f * c + i * g
            h = y[:, t] = o * tanh(c)

    Args:
        params: `LSTMParams` or another `Cell`, `Stack`, `Bidirectional`, `Reverse` or
            `Residual`.
        x: (*B, T, I) floating; zero, one or many batch axes.
        state: mirrors params, each leaf (*B, H) or what broadcasts to it over *B;
            zeros if None. The order is (h, c).
        lengths: (*B,) integers: steps from there on are padding, which influences
            nothing. Outside [0, T] they are an error where concrete, else clipped.
        mask: (*B, T) booleans in place of lengths: False leaves a step out, wherever it
            is. The state stays as it is, y is zero, reversal skips it.
        resets: (*B, T) booleans: True where a new sequence begins. They act where the
            mask is False too, but not beyond the length.
        reset_state: the state with which it begins; zeros if None.
        time_major: x, y, mask and resets have T in front: (T, *B, I).
        regularizer: dropout and zoneout of this call.
        key: a JAX random key for the regularizer; ignored without one.
        truncate: no gradient passes the state across t = k, 2k, 3k, …
        implementation: `Scan(...)`, `Loop()`, `Cudnn(...)` or another
            `Implementation`; None for what `explain` says.

    Returns:
        y (*B, T, H), with P for H under a projection and twice as wide for directions
        that are concatenated, zero in the padding; and the state after the last valid
        step, in the containers and dtypes of the one given.

    Raises:
        ValueError: shapes or values that disagree.
        TypeError: dtypes or kinds that disagree.
        NotImplementedError: the implementation cannot run this, or a cell has no part
            that the regularizer acts on.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> x = jax.random.normal(jax.random.key(1), (2, 7, 3))
        >>> y, ((h, c),) = lstm_jax.apply(params, x)
        >>> y.shape, h.shape
        ((2, 7, 5), (2, 5))

    References:
        Hochreiter, Schmidhuber 1997, Long Short-Term Memory. Gers et al. 2000,
        Learning to Forget.
    """
    x = as_array(x)
    args = sequence_args(
        lengths,
        mask,
        resets,
        reset_state=reset_state,
        key=key,
        time_major=time_major,
        regularizer=regularizer,
        truncate=truncate,
    )
    check_values("apply", params=params, x=x, state=state, args=args)
    chosen, _ = _plan("apply", params, x, state, args, implementation)
    if regularizer is None:
        args = args.replace(key=None)
    return _apply(params, x, state, args, chosen)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `apply` will do.

    Attributes:
        implementation: what runs the recurrence, with its knobs.
        reason: why that one.
        steps: T; an int, or symbolic.
        batch: *B.
        dtype: of y.
        platform: "cpu", "gpu" or "tpu": the default backend's.
        platforms: the implementation and the reason on each of these, since a program
            may be compiled for another.
    """

    implementation: Implementation
    reason: str
    steps: Any
    batch: tuple[Any, ...]
    dtype: Any
    platform: str
    platforms: Mapping[str, PlatformPlan]

    def __str__(self) -> str:
        """The plan in a line for each kind of platform, and one of sizes."""
        lines: dict[PlatformPlan, list[str]] = {}
        for name, plan in self.platforms.items():
            lines.setdefault(plan, []).append(name)
        return "\n".join(
            [
                f"{plan.implementation} on {', '.join(names)}: {plan.reason}"
                for plan, names in lines.items()
            ]
            + [f"T={self.steps}, B={self.batch}, {self.dtype}"]
        )


def _plan(
    call: str,
    params: Params,
    x: Any,
    state: State,
    args: SequenceArgs,
    implementation: Implementation | None,
) -> tuple[Implementation, Plan]:
    """Checks a call; gives what runs it, and what is to be said of that."""
    axes: Layout = check_sequence(call, params, x, state, args)
    if implementation is not None:
        request = Request(axes.steps, params, x, axes.batch, args)
        check_implementation(call, implementation, request)
    platform = jax.default_backend()
    chosen, plans = choose(implementation, params, x, axes)
    dtype = jax.dtypes.canonicalize_dtype(result_dtype(params, x))
    here = plans.get(platform, PlatformPlan(chosen, "default"))
    return chosen, Plan(*here, *axes[:2], dtype, platform, plans)


def explain(
    params: Params,
    x: Any,
    state: State = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    resets: Any = None,
    reset_state: State = None,
    time_major: bool = False,
    regularizer: Regularizer | None = None,
    key: Any = None,
    truncate: int | None = None,
    implementation: Implementation | None = None,
) -> Plan:
    """Which implementation `apply` would use for these arguments, and why.

    Args:
        params: as for `apply`; ShapeDtypeStructs do.
        x: as for `apply`; a ShapeDtypeStruct does.
        state: as for `apply`.
        lengths: as for `apply`.
        mask: as for `apply`.
        resets: as for `apply`.
        reset_state: as for `apply`.
        time_major: as for `apply`.
        regularizer: as for `apply`.
        key: as for `apply`.
        truncate: as for `apply`.
        implementation: as for `apply`.

    Returns:
        A `Plan`; print it.

    Raises:
        ValueError: as `apply`.
        TypeError: as `apply`.
        NotImplementedError: as `apply`.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> plan = lstm_jax.explain(params, jax.ShapeDtypeStruct((2, 7, 3), "float32"))
        >>> plan.implementation
        Scan(unroll=1, window=None, checkpoint=None)
    """
    args = sequence_args(
        lengths,
        mask,
        resets,
        reset_state=reset_state,
        key=key,
        time_major=time_major,
        regularizer=regularizer,
        truncate=truncate,
    )
    return _plan("explain", params, as_array(x), state, args, implementation)[1]
