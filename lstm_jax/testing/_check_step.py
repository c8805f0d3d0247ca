# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""check_step: whether any step function has the properties of a recurrence."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.testing._properties import (
    PROPERTIES,
    ROUNDING,
    Step,
    Trial,
    is_floating,
    make_sequence,
)


def check_step(
    step: Step,
    params: Any,
    state: Any,
    x: Any,
    *,
    steps: int = 5,
    key: Any = None,
    rtol: float | None = None,
    atol: float | None = None,
    skip: Iterable[str] = (),
) -> tuple[str, ...]:
    """Checks the properties that a step function of a recurrence must have.

    In the order in which they are checked: shapes and dtypes are kept, outputs are
    finite, causal, batch rows are independent, batch rows are permutable, scan is the
    loop, a sequence in two parts is the whole, gradients are finite differences (in
    float64 if the step lets it), forward mode is finite differences, jit is no jit, one
    trace, vmap over parameters.

    Args:
        step: step(params, state, x) -> (state, y).
        params: tree of arrays; leaves that are not floating are left as they are.
        state: example state, a tree of arrays with the batch in front, at least 2 rows.
        x: one input, a tree of arrays (B, ...).
        steps: length of the sequences, made of the rows of x; at least 2.
        key: a JAX random key for what is drawn.
        rtol: relative difference that is taken for rounding; None by the dtype.
        atol: absolute difference that is taken for rounding; None for rtol of the
            largest value.
        skip: names of properties that are not checked.

    Returns:
        The names of the properties that were checked, and hold.

    Raises:
        AssertionError: a property is broken; it is named, with the numbers.
        ValueError: state or x without batch rows, too few steps, an unknown name.
        ImportError: chex is missing.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def rnn(w, h, x):
        ...     h = jnp.tanh(x + h @ w)
        ...     return h, h
        >>> x = jnp.arange(6.0).reshape(2, 3)
        >>> names = check_step(rnn, 0.5 * jnp.eye(3), jnp.zeros((2, 3)), x)
        >>> "causal" in names
        True

        A step that looks at other rows is caught:

        >>> def centred(w, h, x):
        ...     return rnn(w, h, x - x.mean(0, keepdims=True))
        >>> check_step(centred, jnp.eye(3), jnp.zeros((2, 3)), x)
        Traceback (most recent call last):
        ...
        AssertionError: check_step: property "batch rows are independent" is broken: ...
    """
    try:
        import chex  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "check_step: chex is missing; pip install 'lstm_jax[test]'."
        ) from error
    skip = tuple(skip)
    unknown = [name for name in skip if name not in PROPERTIES]
    if unknown:
        raise ValueError(
            f"check_step: skip must name properties among {', '.join(PROPERTIES)}; got "
            f"{', '.join(unknown)}."
        )
    if steps < 2:
        raise ValueError(f"check_step: steps must be at least 2; got {steps}.")
    params, state, x = (jax.tree.map(jnp.asarray, t) for t in (params, state, x))
    rows = {a.shape[0] if a.ndim else 0 for a in jax.tree.leaves((state, x))}
    if len(rows) != 1 or min(rows) < 2:
        raise ValueError(
            "check_step: every leaf of state and x must have the same batch axis in "
            f"front, of 2 rows or more; got {jax.tree.map(jnp.shape, (state, x))}."
        )
    floats = [a.dtype.itemsize for a in jax.tree.leaves((state, x)) if is_floating(a)]
    rtol = ROUNDING[min(floats, default=4)] if rtol is None else rtol
    key = jax.random.key(0) if key is None else key
    xs = make_sequence(key, x, steps)
    trial = Trial(step, params, state, x, xs, key, rtol, atol)
    checked = [name for name in PROPERTIES if name not in skip]
    for name in checked:
        try:
            PROPERTIES[name](trial)
        except Exception as error:
            what = (
                "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            )
            raise AssertionError(
                f'check_step: property "{name}" is broken: {what}{error}'
            ) from error
    return tuple(checked)
