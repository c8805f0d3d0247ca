# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The checks that all others are made of, and how their messages read."""

from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np


class Layout(NamedTuple):
    """The axes of x as the call understands them."""

    steps: Any
    batch: tuple[Any, ...]
    swapped: tuple[Any, ...] | None = None  # the batch if T and B stood the other way
    hint: str = ""


def layout(x: Any, time_major: bool) -> Layout:
    """T and *B of x (*B, T, I) or (T, *B, I)."""
    outer = tuple(x.shape[:-1])
    if time_major:
        steps, batch = outer[0], outer[1:]
        hint = " If x is (B, T, I), leave time_major=False."
    else:
        steps, batch = outer[-1], outer[:-1]
        hint = " If x is (T, B, I), pass time_major=True."
    return Layout(steps, batch, (steps,) if len(batch) == 1 else None, hint)


def kind_of(value: Any) -> str:
    """The kind of a value, for a message."""
    return "None" if value is None else type(value).__name__


def raise_first(call: str, prefix: str, problems: Iterable[str | Exception]) -> None:
    """Raises the first problem: a string as a ValueError, an exception by its kind."""
    for problem in problems:
        kind = type(problem) if isinstance(problem, Exception) else ValueError
        raise kind(f"{call}: {prefix}{problem}")


def shape_problem(name: str, value: Any, expected: Any, why: str) -> str | None:
    """What is wrong with a shape, if anything is."""
    got = getattr(value, "shape", None)
    if got is not None and tuple(got) == expected:
        return None
    text = tuple(got) if got is not None else kind_of(value)
    return f"{name} must have shape {expected} ({why}); got {text}."


def dtype_of(value: Any) -> Any:
    """The dtype of an array of JAX or NumPy; None for any other, as torch's are."""
    dtype = getattr(value, "dtype", None)
    own = isinstance(dtype, np.dtype) or isinstance(value, jax.Array)
    return dtype if own else None


def dtype_problem(name: str, value: Any) -> str | None:
    """What keeps a value from being an array of floating dtype, if anything does."""
    dtype = dtype_of(value)
    if dtype is None and hasattr(value, "dtype"):
        return (
            f"{name} must be an array of JAX or NumPy; got "
            f"{type(value).__module__}.{kind_of(value)}. Pass numpy.asarray of it."
        )
    if dtype is None:
        return f"{name} must be an array; got {kind_of(value)}."
    if not jnp.issubdtype(dtype, jnp.floating):
        return f"{name} must have a floating dtype; got {dtype}."
    return None


def check_shape(
    call: str, name: str, value: Any, expected: tuple[Any, ...], why: str
) -> None:
    """Raises what `shape_problem` finds."""
    if problem := shape_problem(name, value, expected, why):
        raise ValueError(f"{call}: {problem}")


def check_floating(call: str, name: str, value: Any, fix: str = "") -> None:
    """Raises what `dtype_problem` finds."""
    if problem := dtype_problem(name, value):
        raise TypeError(f"{call}: {problem}{fix}")


def check_values(call: str, **named: Any) -> None:
    """Refuses types in place of arrays, for calls that compute."""
    for name, tree in named.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if isinstance(leaf, jax.ShapeDtypeStruct):
                where = "" if name == "args" else name
                where = f"{where}{jax.tree_util.keystr(path)}".lstrip(".")
                raise TypeError(
                    f"{call}: {where} must be an array; got "
                    "a ShapeDtypeStruct, which has no values. Under jax.eval_shape it "
                    "would do."
                )


def check_bool(call: str, name: str, value: Any) -> None:
    """Checks that an array is of booleans."""
    dtype = dtype_of(value)
    if dtype is None or jnp.dtype(dtype) != jnp.bool_:
        got = dtype if dtype is not None else kind_of(value)
        raise TypeError(f"{call}: {name} must have dtype bool; got {got}.")


def steps_problem(name: str, value: Any, extra: str = "") -> str | None:
    """What is wrong with a number of steps or None, if anything is."""
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if value is None or (number and value >= 1):
        return None
    return f"{name} must be a positive number of steps or None{extra}; got {value!r}."


def check_steps(call: str, name: str, value: Any) -> None:
    """Raises what `steps_problem` finds."""
    if problem := steps_problem(name, value):
        raise ValueError(f"{call}: {problem}")


def check_lengths(call: str, lengths: Any, layout: Layout, source: str = "x") -> None:
    """Checks lengths: dtype, shape, and range where they are concrete."""
    dtype = dtype_of(lengths)
    if dtype is None or not jnp.issubdtype(dtype, jnp.integer):
        got = dtype if dtype is not None else kind_of(lengths)
        raise TypeError(f"{call}: lengths must have an integer dtype; got {got}.")
    if tuple(lengths.shape) != layout.batch:
        turned = layout.swapped is not None and tuple(lengths.shape) == layout.swapped
        raise ValueError(
            f"{call}: lengths must have shape {layout.batch}, the batch axes of "
            f"{source}; got "
            f"{tuple(lengths.shape)}." + (layout.hint if turned else "")
        )
    concrete = isinstance(lengths, np.ndarray) or (
        isinstance(lengths, jax.Array)
        and not isinstance(lengths, jax.core.Tracer)
        and lengths.is_fully_addressable
    )
    if concrete and isinstance(layout.steps, int) and lengths.size:
        values = np.asarray(lengths)  # an operation on a jax.Array would be traced
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > layout.steps:
            raise ValueError(
                f"{call}: lengths must lie in [0, T] with T={layout.steps} (from "
                f"{source}); got values from {low} to {high}."
            )


def check_leading(
    call: str, name: str, value: Any, expected: tuple[Any, ...], why: str
) -> None:
    """Checks the leading axes of an array."""
    got = jnp.shape(value)
    if got[: len(expected)] != expected:
        raise ValueError(
            f"{call}: {name} must have the leading axes {expected} ({why}); got shape "
            f"{got}."
        )


def is_key(value: Any) -> bool:
    """Whether a value is a random key, or an array of such."""
    return jnp.issubdtype(getattr(value, "dtype", float), jax.dtypes.prng_key)


def is_raw_key(value: Any) -> bool:
    """Whether a value is a key of the older kind: a vector of uint32."""
    return getattr(value, "dtype", None) == jnp.uint32 and value.ndim == 1


def refuse(call: str, value: Any, reasons: Iterable[str], instead: str) -> NoReturn:
    """Says why a way of running cannot run something, with all reasons at once."""
    why = "; ".join(reasons)
    raise NotImplementedError(f"{call}: {value} cannot run this: {why}.{instead}")
