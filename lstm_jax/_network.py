# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Walks a structure of layers over a time-major sequence."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._inputs import LayerInputs, SequenceArgs
from lstm_jax._masks import StepMasks, step_masks
from lstm_jax._params import Bidirectional, Params, Residual, Reverse, Stack
from lstm_jax._regularize import (
    MEMBERS,
    drop_between,
    drop_input,
    drop_masks,
    drop_output,
    drop_weights,
)
from lstm_jax._state import filled_state, state_types
from lstm_jax._types import is_random_key, typed_eval_shape
from lstm_jax.cells.base import Cell, DropMasks
from lstm_jax.checks.cell import check_kept_types

# (inputs, reverse) -> the layer's part of a tree like the state, and its output
Layer = Callable[[LayerInputs, bool], tuple[Any, jax.Array]]


def run_network(
    layer: Layer, params: Params, x: jax.Array, state: Any, args: SequenceArgs
) -> tuple[jax.Array, Any]:
    """Runs any structure over (T, *B, I).

    Args:
        layer: runs one layer in one direction.
        params: of any kind, in the accumulation dtype.
        x: (T, *B, I), zero in the padding.
        state: in the cells' own containers, or None.
        args: with mask and resets laid out as (T, *B).

    Returns:
        The output, and the tree of what `layer` gave, which mirrors the state.
    """

    @functools.cache
    def masks(reverse: bool) -> StepMasks:
        return step_masks(
            x.shape[0], args.lengths, args.mask, args.resets, args.truncate, reverse
        )

    walk = _Walk(layer, masks, args)
    if args.regularizer is not None:
        x = drop_input(args.regularizer, x, args.key)
    y, out = walk(params, x, _Member(state, args.reset_state, False, args.key))
    if args.regularizer is not None:
        y = drop_output(args.regularizer, y, args.key)
    return y, out


class _Member(NamedTuple):
    """What one member of a structure has of its own."""

    state: Any
    reset_state: Any
    reverse: bool
    key: Any

    def part(self, k: int, reverse: bool = False) -> "_Member":
        """What its k-th member has; with `reverse` in the other direction."""
        return _Member(
            None if self.state is None else self.state[k],
            None if self.reset_state is None else self.reset_state[k],
            self.reverse != reverse,
            None if self.key is None else jax.random.fold_in(self.key, MEMBERS + k),
        )


class _Walk(NamedTuple):
    """What is the same for all members."""

    layer: Layer
    masks: Callable[[bool], StepMasks]
    args: SequenceArgs

    def __call__(
        self, params: Params, x: jax.Array, own: _Member
    ) -> tuple[jax.Array, Any]:
        match params:
            case Reverse(inner):
                return self(inner, x, own._replace(reverse=not own.reverse))
            case Residual(inner):
                y, out = self(inner, x, own)
                return x + y, out
            case Bidirectional(forward, backward, merge):
                one, first = self(forward, x, own.part(0))
                two, second = self(backward, x, own.part(1, reverse=True))
                return _merge(merge, one, two), (first, second)
            case Stack(members):
                outs = []
                for k, member in enumerate(members):
                    part = own.part(k)
                    if k and self.args.regularizer is not None:
                        x = drop_between(self.args.regularizer, x, part.key)
                    x, out = self(member, x, part)
                    outs.append(out)
                return x, tuple(outs)
        return self.run_cell(params, x, own)

    def run_cell(self, cell: Any, x: jax.Array, own: _Member) -> tuple[jax.Array, Any]:
        """One layer in one direction."""
        ready = cell.cast(x.dtype)
        like, start = entering_state(ready, x), ready.zero_state(x.shape[1:-1], x.dtype)
        masks, regularizer = (DropMasks(), DropMasks()), self.args.regularizer
        if regularizer is not None:
            masks = drop_masks(regularizer, cell, x.shape[0], like, own.key)
            cell = drop_weights(regularizer, cell, own.key)
        resets = self.args.resets
        inputs = LayerInputs(
            cell,
            x,
            *masks,
            state=filled_state(like, own.state, start),
            reset_state=None
            if resets is None
            else filled_state(like, own.reset_state, start),
            step_masks=self.masks(own.reverse),
        )
        out, y = self.layer(inputs, own.reverse)
        return y, out


def entering_state(cell: Cell, x: jax.Array) -> Any:
    """The types of the state that enters and leaves a step, mesh types included."""
    batch = x.shape[1:-1]

    def first(x: jax.Array) -> tuple[Any, Any]:
        # A sum over time has the type of one step, even where there is none.
        return cell.step(cell.zero_state(batch, x.dtype), x.sum(0))

    like, y = typed_eval_shape(first, x)
    if cell.deferred_product:
        return like
    check_kept_types(cell, state_types(cell, batch, x.dtype), like, y, x.dtype)

    def typed_like_rows(a: jax.Array, x_t: jax.Array) -> jax.Array:
        """What a step passes on as it was has at least the type of the rows."""
        if is_random_key(a):
            return a
        rows = x_t.sum(-1).astype(a.dtype)
        return a + lax.expand_dims(rows, range(rows.ndim, a.ndim)).astype(a.dtype)

    def second(state: Any, x: jax.Array) -> Any:
        x_t = x.sum(0)
        state = jax.tree.map(lambda a: typed_like_rows(a, x_t), state)
        new, _ = cell.step(state, x_t)
        return jax.tree.map(lambda a: typed_like_rows(a, x_t), new)

    return typed_eval_shape(second, like, x)


def _merge(merge: str, forward: jax.Array, backward: jax.Array) -> jax.Array:
    match merge:
        case "concat":
            return jnp.concatenate([forward, backward], -1)
        case "sum":
            return forward + backward
        case "mul":
            return forward * backward
        case _:
            return (forward + backward) / 2
