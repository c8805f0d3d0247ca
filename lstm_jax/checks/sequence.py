# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Checks of the calls that run a network: over a sequence, and a step."""

from typing import Any

from lstm_jax._inputs import SequenceArgs
from lstm_jax.checks.messages import (
    Layout,
    check_bool,
    check_lengths,
    check_shape,
    check_steps,
    layout,
)
from lstm_jax.checks.params import check_input, check_state
from lstm_jax.checks.regularizer import check_regularizer


def check_sequence(
    call: str, params: Any, x: Any, state: Any, args: SequenceArgs
) -> Layout:
    """Checks the arguments of `apply`, `activations` and `explain`; gives T and *B."""
    check_input(call, params, x, "(T, *B, I)" if args.time_major else "(*B, T, I)")
    axes = layout(x, args.time_major)
    if state is not None:
        check_state(call, "state", params, state, axes)
    check_valid_steps(call, args.lengths, args.mask, axes, tuple(x.shape[:-1]))
    outer = "(T, *B)" if args.time_major else "(*B, T)"
    if args.resets is not None:
        check_bool(call, "resets", args.resets)
        why = f"{outer}, the time and batch axes of x"
        check_shape(call, "resets", args.resets, tuple(x.shape[:-1]), why)
    if args.reset_state is not None:
        if args.resets is None:
            raise ValueError(f"{call}: reset_state has no effect without resets.")
        check_state(call, "reset_state", params, args.reset_state, axes)
    check_regularizer(call, params, args.regularizer, args.key)
    check_steps(call, "truncate", args.truncate)
    return axes


def check_valid_steps(
    call: str,
    lengths: Any,
    mask: Any,
    axes: Layout,
    outer: tuple[Any, ...],
    source: str = "x",
) -> None:
    """Checks lengths (*B,), or the mask of the shape `outer`."""
    if lengths is not None and mask is not None:
        raise ValueError(
            f"{call}: lengths and mask say the same thing; got both. Pass mask alone, "
            "False where a step is beyond its row's length."
        )
    if lengths is not None:
        check_lengths(call, lengths, axes, source)
    if mask is not None:
        check_bool(call, "mask", mask)
        why = f"the time and batch axes of {source}"
        check_shape(call, "mask", mask, outer, why)


def check_step(call: str, params: Any, state: Any, x: Any) -> None:
    """Checks the arguments of `lstm_step`."""
    check_input(call, params, x, "(*B, I)", causal=True)
    check_state(call, "state", params, state, Layout(None, tuple(x.shape[:-1])))
