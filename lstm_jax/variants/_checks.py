# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Every error of parameters, states and inputs of the cells of this namespace."""

from typing import Any

import jax

from lstm_jax._checks import _floating, _name, _shape
from lstm_jax.variants._parts import Kind


def parameters(call: str, kind: Kind, params: Any) -> None:
    """Checks the leaves of params against one another."""
    w_x: Any = getattr(params, "w_x", None)
    if hasattr(params, "w_x") and len(getattr(w_x, "shape", ())) != 2:
        got = tuple(w_x.shape) if hasattr(w_x, "shape") else _name(w_x)
        raise ValueError(f"{call}: params.w_x must have two axes, (I, …); got {got}.")
    kind.demands(call, params)
    for name, shape in kind.shapes(params).items():
        leaf = getattr(params, name)
        if leaf is None and name.startswith("b"):
            continue
        _floating(call, f"params.{name}", leaf)
        _shape(call, f"params.{name}", leaf, shape, "from the other leaves")


def input_(call: str, size: int, x: Any) -> None:
    """Checks x against I."""
    _floating(call, "x", x)
    if not x.shape or x.shape[-1] != size:
        raise ValueError(
            f"{call}: x must have shape (*B, I) with I={size} (from params); got "
            f"{tuple(x.shape)}."
        )


def state(call: str, like: Any, state: Any) -> None:
    """Checks a state against the zero state of the batch."""
    if isinstance(like, tuple):
        fields: tuple[str, ...] = type(like)._fields  # type: ignore[attr-defined]
        kind = f"({', '.join(fields)}) of {type(like).__name__}"
        if not isinstance(state, tuple | list) or len(state) != len(like):
            raise ValueError(
                f"{call}: state must be a tuple or list, {kind}; got {_name(state)}. "
                "variants.zero_state(params, batch_shape) makes one."
            )
        parts = {f"state.{f}": p for f, p in zip(fields, state, strict=True)}
    else:
        parts = {"state": state}
    for (name, part), own in zip(parts.items(), jax.tree.leaves(like), strict=True):
        _floating(call, name, part)
        _shape(call, name, part, own.shape, "from x and params")
