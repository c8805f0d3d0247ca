# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Dropout in its kinds, zoneout and DropConnect: masks made before the recurrence."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._types import match_type, typed_eval_shape
from lstm_jax.cells.base import Cell, DropMasks

# What a layer's key is folded with, so that its masks differ from one another.
_INPUT, _BETWEEN, _CANDIDATE, _ZONEOUT_H, _ZONEOUT_C, _WEIGHT, _OUTPUT = range(7)
_ZONEOUTS = ("zoneout_h", "zoneout_c")
LOCKABLE = ("dropout", "input_dropout", "output_dropout", "recurrent_dropout")
MEMBERS = 16  # from here on, the keys of a structure's members


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Regularizer:
    """Which parts of a network are dropped while training; rates in [0, 1).

    Masks depend on the key, the layer, t and the row alone: padding, a longer T or a
    larger batch changes none of them. Inside `shard_map` rows are counted in each
    shard: fold `jax.lax.axis_index` into the key there.

    Attributes:
        dropout: of what passes between consecutive members of a `Stack`.
        input_dropout: of x.
        output_dropout: of y, behind the last layer.
        recurrent_dropout: of the candidate g, which loses no memory.
        zoneout_h: share of the units of h that keep their value, drawn at every step.
        zoneout_c: likewise of c; h is made from the c before zoneout.
        weight_drop: of the entries of w_h, one mask a call (DropConnect).
        locked: one mask for all steps in the four dropouts, instead of one a step; or
            the names of those for which it is so, as ("dropout", "input_dropout").
        deterministic: evaluation: nothing is dropped, zoneout acts by its expectation.

    Example:
        >>> training = Regularizer(dropout=0.3, zoneout_h=0.1)
        >>> training.inference().deterministic
        True

    References:
        Semeniuta et al. 2016, Recurrent Dropout without Memory Loss. Krueger et al.
        2017, Zoneout. Merity et al. 2018, Regularizing and Optimizing LSTM Language
        Models (DropConnect). Gal, Ghahramani 2016 (locked masks).
    """

    dropout: float = 0.0
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout_h: float = 0.0
    zoneout_c: float = 0.0
    weight_drop: float = 0.0
    locked: bool | tuple[str, ...] = True
    deterministic: bool = False

    def __post_init__(self) -> None:
        """Makes a tuple of the names in `locked`, which is hashable."""
        if isinstance(self.locked, str):
            object.__setattr__(self, "locked", (self.locked,))
        elif not isinstance(self.locked, bool):
            object.__setattr__(self, "locked", tuple(self.locked))

    def rates(self) -> dict[str, float]:
        """Each rate by its name."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("locked", "deterministic")
        }

    def acting(self) -> frozenset[str]:
        """The names of those that do something."""
        names = {name for name, rate in self.rates().items() if rate}
        return frozenset(names & set(_ZONEOUTS) if self.deterministic else names)

    def is_locked(self, name: str) -> bool:
        """Whether a dropout has one mask for all steps."""
        return self.locked if isinstance(self.locked, bool) else name in self.locked

    def inference(self) -> "Regularizer":
        """The same network at evaluation; it needs no key."""
        return dataclasses.replace(self, deterministic=True)


def keep_mask(
    key: Any, keep: float, shape: tuple[Any, ...], steps: Any = None
) -> jax.Array:
    """True with probability `keep`, from the key, t and the row alone.

    Args:
        key: of this mask.
        keep: probability of True.
        shape: (*B, features).
        steps: T for a mask at every step, None for one mask.

    Returns:
        Booleans (*B, features), or (T, *B, features).
    """
    *batch, features = shape
    rows = jnp.arange(math.prod(batch))

    def row(key: Any, r: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(key, r), keep, (features,))

    def step(key: Any) -> jax.Array:
        return jax.vmap(row, (None, 0))(key, rows).reshape(shape)

    if steps is None:
        return step(key)
    return jax.vmap(lambda t: step(jax.random.fold_in(key, t)))(jnp.arange(steps))


def _scaled(mask: jax.Array, rate: float, dtype: Any) -> jax.Array:
    return mask.astype(dtype) / (1.0 - rate)


def _drop(
    regularizer: Regularizer, x: jax.Array, name: str, key: Any, kind: int
) -> jax.Array:
    """Dropout of a sequence (T, *B, features)."""
    rate = getattr(regularizer, name)
    if regularizer.deterministic or not rate:
        return x
    steps = None if regularizer.is_locked(name) else x.shape[0]
    mask = keep_mask(jax.random.fold_in(key, kind), 1.0 - rate, x.shape[1:], steps)
    mask = lax.expand_dims(mask, range(x.ndim - mask.ndim))
    return x * _scaled(mask, rate, x.dtype)


def drop_input(regularizer: Regularizer, x: jax.Array, key: Any) -> jax.Array:
    """Dropout of what enters the network."""
    return _drop(regularizer, x, "input_dropout", key, _INPUT)


def drop_between(regularizer: Regularizer, x: jax.Array, key: Any) -> jax.Array:
    """Dropout of what passes from one member of a Stack to the next."""
    return _drop(regularizer, x, "dropout", key, _BETWEEN)


def drop_output(regularizer: Regularizer, y: jax.Array, key: Any) -> jax.Array:
    """Dropout of what leaves the network."""
    return _drop(regularizer, y, "output_dropout", key, _OUTPUT)


def drop_weights(regularizer: Regularizer, cell: Any, key: Any) -> Any:
    """DropConnect on w_h."""
    rate = regularizer.weight_drop
    if regularizer.deterministic or not rate:
        return cell
    kept = jax.random.bernoulli(
        jax.random.fold_in(key, _WEIGHT), 1.0 - rate, cell.w_h.shape
    )
    w_h = cell.w_h * _scaled(kept, rate, cell.w_h.dtype)
    return cell.replace(w_h=w_h)


def drop_masks(
    regularizer: Regularizer, cell: Cell, steps: Any, state: Any, key: Any
) -> tuple[DropMasks, DropMasks]:
    """The masks inside one layer: those of all steps alike, and those of each step.

    Args:
        regularizer: what to drop.
        cell: the layer.
        steps: T.
        state: types of the layer's state, leaves (*B, ...).
        key: of this layer.

    Returns:
        Masks (*B, features) of all steps, and masks (T, *B, features).
    """
    rate_g, rate_h, rate_c = (
        regularizer.recurrent_dropout,
        regularizer.zoneout_h,
        regularizer.zoneout_c,
    )
    if not (rate_g or rate_h or rate_c):
        return DropMasks(), DropMasks()
    like = cell.mask_templates(state)
    if regularizer.deterministic:
        h = jnp.asarray(rate_h, like.h.dtype) if rate_h else None
        c = jnp.asarray(rate_c, like.c.dtype) if rate_c else None
        return DropMasks(h=h, c=c), DropMasks()

    def mask(kind: int, keep: float, like: Any, every_step: bool) -> Any:
        """True with probability `keep`."""
        own = jax.random.fold_in(key, kind)
        if not every_step:
            return match_type(keep_mask(own, keep, like.shape), like)
        full = typed_eval_shape(lambda a: jnp.broadcast_to(a, (steps, *a.shape)), like)
        return match_type(keep_mask(own, keep, like.shape, steps), full)

    fixed = stepped = DropMasks()
    if rate_g:
        locked = regularizer.is_locked("recurrent_dropout")
        g = mask(_CANDIDATE, 1.0 - rate_g, like.g, not locked)
        own = DropMasks(g=_scaled(g, rate_g, like.g.dtype))
        fixed, stepped = (own, stepped) if locked else (fixed, own)
    if rate_h:
        stepped = stepped._replace(h=mask(_ZONEOUT_H, rate_h, like.h, True))
    if rate_c:
        stepped = stepped._replace(c=mask(_ZONEOUT_C, rate_c, like.c, True))
    return fixed, stepped
