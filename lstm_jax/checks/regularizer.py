# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Checks of a regularizer, its key, and the cells that it acts in."""

from typing import Any

import jax

from lstm_jax._params import Params, layers
from lstm_jax._regularize import LOCKABLE, Regularizer
from lstm_jax.checks.messages import is_key, is_raw_key, kind_of

_INSIDE = ("recurrent_dropout", "zoneout_h", "zoneout_c", "weight_drop")


def check_regularizer(call: str, params: Params, regularizer: Any, key: Any) -> None:
    """Checks rates and the key; a key without a regularizer is ignored."""
    if regularizer is None:
        return
    if not isinstance(regularizer, Regularizer):
        raise TypeError(
            f"{call}: regularizer must be a Regularizer or None; got "
            f"{kind_of(regularizer)}."
        )
    for name, rate in regularizer.rates().items():
        if isinstance(rate, jax.core.Tracer) or not 0 <= rate < 1:
            raise ValueError(
                f"{call}: regularizer.{name} must lie in [0, 1); got {rate}."
            )
    locked = regularizer.locked
    others = [] if isinstance(locked, bool) else sorted(set(locked) - set(LOCKABLE))
    if others:
        raise ValueError(
            f"{call}: regularizer.locked must be a bool, or names among "
            f"{', '.join(LOCKABLE)}; got {', '.join(map(str, others))}."
        )
    acting = [name for name in _INSIDE if name in regularizer.acting()]
    reasons = {
        f"{kind_of(cell)} has no {name}": None
        for cell in layers(params)
        for name in acting
        if name not in cell.regularizers
    }
    if reasons:
        raise NotImplementedError(
            f"{call}: {regularizer} cannot act in these layers: {'; '.join(reasons)}."
        )
    if key is not None and not (is_key(key) or is_raw_key(key)):
        raise TypeError(
            f"{call}: key must be a JAX random key, as jax.random.key(seed) makes; got "
            f"{key!r}."
        )
    if key is None and regularizer.acting() and not regularizer.deterministic:
        raise ValueError(
            f"{call}: regularizer needs a key; pass key=jax.random.key(...), or "
            "regularizer.inference() for evaluation."
        )
