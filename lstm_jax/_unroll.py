# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""unroll: the semantic contract for anybody's step function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax import _checks
from lstm_jax._implementations import Scan, Stepwise
from lstm_jax._scan import array, blank, controls, guarded, length, select
from lstm_jax._types import evaluated, extended, typed, vary_alike

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def unroll(
    step: Step,
    params: Any,
    state: Any,
    xs: Any,
    *,
    lengths: Any = None,
    resets: Any = None,
    reset_state: Any = None,
    reverse: bool = False,
    truncate: int | None = None,
    implementation: Stepwise | None = None,
) -> tuple[Any, Any]:
    """Unrolls any step function over time, differentiated by JAX.

    With everything optional left out it is::

        for t in range(T):
            state, ys[t] = step(params, state, xs[t])

    Call it under `jax.jit`: a scan that is called eagerly is compiled anew each time.

    Args:
        step: step(params, state, x_t) -> (state, y_t); the state keeps its structure,
            shapes and dtypes.
        params: whatever the step wants.
        state: tree that enters first; with lengths or resets each leaf is (*B, …).
        xs: tree of (T, *B, …); random keys may be among its leaves, one a step.
        lengths: (*B,) integers: from there on the state stays, ys is zero, and the step
            is given x = 0, where it must be finite, its derivative included.
        resets: (T, *B) booleans: True where a new sequence begins.
        reset_state: tree like the state with which it begins; zeros if None.
        reverse: from the last valid step to the first; ys in the order of xs.
        truncate: no gradient passes the state across t = k, 2k, 3k, …
        implementation: `Scan(...)` or `Loop()`; None for `Scan()`.

    Returns:
        The state after the step that is processed last, and the tree of ys (T, …).

    Raises:
        ValueError: shapes or values that disagree.
        TypeError: dtypes or kinds that disagree; a step that changes its state's type.
        NotImplementedError: the implementation cannot run this.

    Example:
        >>> import jax.numpy as jnp
        >>> def step(decay, total, x):
        ...     total = decay * total + x
        ...     return total, total
        >>> unroll(step, 0.5, jnp.zeros(()), jnp.ones(4))[1].tolist()
        [1.0, 1.5, 1.75, 1.875]
    """
    call = "unroll"
    implementation = Scan() if implementation is None else implementation
    lengths, resets = map(array, (lengths, resets))
    _checks.steps(call, xs, state, lengths, resets, reset_state, truncate)
    _checks.implementation(call, implementation, length(xs), foreign=True)
    params, state, xs, lengths, resets, reset_state = vary_alike(
        (params, state, xs, lengths, resets, reset_state)
    )
    state, xs = jax.tree.map(jnp.asarray, (state, xs))
    steps = length(xs)
    if lengths is not None:
        valid = controls(steps, lengths, None, None, False).valid
        xs = select(valid, xs, blank(xs))

    def own(state: Any, x: Any) -> tuple[Any, Any]:
        return step(params, state, x)

    # A sum over time has the type of one step, even where there is none.
    def one_step(a: jax.Array) -> Any:
        if extended(a):
            return jax.ShapeDtypeStruct(a.shape[1:], a.dtype)
        return evaluated(lambda a: a.sum(0, dtype=a.dtype), a)

    first = jax.tree.map(one_step, xs)
    after, _ = evaluated(own, state, first)
    _checks.kept(call, state, after)
    state = jax.tree.map(typed, state, after)
    if resets is not None:
        given = blank(state) if reset_state is None else reset_state
        reset_state = jax.tree.map(
            lambda g, k: typed(jnp.asarray(g, k.dtype), k), given, after
        )
    body = guarded(own, reset_state)
    control = controls(steps, lengths, resets, truncate, reverse)
    return implementation.iterate(body, state, (xs, control), reverse)
