# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Every error of the arguments of batches, streams, losses and metrics."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.checks.messages import (
    Layout,
    check_floating,
    check_leading,
    check_lengths,
    check_shape,
)


def stream(stream: Any, lanes: int, window: int, resets: Any) -> int:
    """Checks the arguments of `windows`; gives S."""
    sizes = {a.shape[:1] for a in jax.tree.leaves(stream)}
    if len(sizes) != 1 or sizes <= {(), (0,)}:
        raise ValueError(
            "windows: stream must have leaves (S, …) with one S of at least 1; got "
            f"{jax.tree.map(np.shape, stream)}."
        )
    if lanes < 1 or window < 1:
        raise ValueError(
            f"windows: lanes and window must be at least 1; got {lanes} and {window}."
        )
    ((size,),) = sizes
    if resets is not None and np.shape(resets) != (size,):
        raise ValueError(
            f"windows: resets must have shape (S,) with S={size} (from stream); got "
            f"{np.shape(resets)}."
        )
    return size


def padded(
    call: str,
    named: Any,
    outer: tuple[Any, ...],
    lengths: Any,
    time_major: bool,
    weights: Any = None,
) -> None:
    """Checks arrays that share time and batch axes, and the lengths of their rows."""
    leaves = jax.tree_util.tree_leaves_with_path(named)
    first = jax.tree_util.keystr(leaves[0][0], simple=True, separator=".")
    why = f"the time and batch axes of {first}"
    for path, a in leaves:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        check_leading(call, name, a, outer, why)
    if weights is not None:
        check_shape(call, "weights", weights, outer, why)
    if lengths is None:
        return
    if not outer:
        raise ValueError(f"{call}: {first} must have a time axis; got a single step.")
    steps, batch = (outer[0], outer[1:]) if time_major else (outer[-1], outer[:-1])
    check_lengths(call, lengths, Layout(steps, batch), first)


def scored(
    call: str, given: dict[str, Any], lengths: Any, time_major: bool, classes: bool
) -> None:
    """Checks the arguments of a loss: predictions first, then targets, then weights."""
    (name, values), (other, targets), (_, weights) = given.items()
    check_floating(call, name, values)
    if not values.shape:
        raise ValueError(f"{call}: {name} must have shape (*B, T, F); got ().")
    outer = tuple(values.shape[:-1])
    expected = outer if classes else tuple(values.shape)
    check_shape(call, other, targets, expected, f"from {name}")
    if classes and not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(
            f"{call}: {other} must have an integer dtype; got {targets.dtype}."
        )
    padded(call, {name: values}, outer, lengths, time_major, weights)


def row_lengths(call: str, lengths: Any, steps: Any) -> None:
    """Checks lengths of which the shape says what the batch is."""
    batch = tuple(getattr(lengths, "shape", ()))
    check_lengths(call, lengths, Layout(steps, batch), "steps")


def buckets(lengths: Any, batch_size: Any, max_traces: Any, max_padding: Any) -> None:
    """Checks the arguments of `plan_buckets`."""
    call = "plan_buckets"
    shape = tuple(getattr(lengths, "shape", ()))
    if len(shape) != 1 or not shape[0]:
        raise ValueError(f"{call}: lengths must have shape (N,), N > 0; got {shape}.")
    check_lengths(call, lengths, Layout(None, shape))
    if (low := int(np.min(lengths))) < 0:
        raise ValueError(f"{call}: lengths must be at least 0; got {low}.")
    for name, value in {"batch_size": batch_size, "max_traces": max_traces}.items():
        whole(call, name, value, 1)
    if not 0.0 <= max_padding <= 1.0:
        raise ValueError(f"{call}: max_padding must lie in [0, 1]; got {max_padding}.")


def whole(call: str, name: str, value: Any, least: int) -> None:
    """Checks a whole number against the least that it may be."""
    ok = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not ok or value < least:
        raise ValueError(
            f"{call}: {name} must be an integer of at least {least}; got {value!r}."
        )


def position(seed: Any, epoch: Any, start: Any, batches: int) -> None:
    """Checks where in which order batches begin."""
    given = {"epoch": epoch, "start": start} | ({} if seed is None else {"seed": seed})
    for name, value in given.items():
        whole("batches", name, value, 0)
    if start > batches:
        raise ValueError(
            f"batches: start must be at most {batches}, the batches of an epoch; got "
            f"{start}."
        )


def sequence_like(i: int, sequence: Any, first: Any, length: int) -> None:
    """Checks one of the sequences that are to share a batch, trees of arrays."""
    got, expected = map(jax.tree.structure, (sequence, first))
    if got != expected:  # type: ignore[operator]
        raise ValueError(
            f"batches: sequences[{i}] must have the structure of sequences[0], "
            f"{expected}; got {got}."
        )
    named = jax.tree_util.tree_leaves_with_path(sequence)
    for (path, a), like in zip(named, jax.tree.leaves(first), strict=True):
        name = f"sequences[{i}]{jax.tree_util.keystr(path)}"
        shape = length, *like.shape[1:]
        if a.shape != shape:
            raise ValueError(
                f"batches: {name} must have shape {shape} (from its length and "
                f"sequences[0]); got {a.shape}."
            )
        if a.dtype != like.dtype:
            raise TypeError(
                f"batches: {name} must have dtype {like.dtype}, as sequences[0] has; "
                f"got {a.dtype}."
            )
