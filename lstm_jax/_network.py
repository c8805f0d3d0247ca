# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Walks a structure of layers over a time-major sequence."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

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
from lstm_jax._state import filled_state
from lstm_jax._types import typed_eval_shape
from lstm_jax.cells.base import Cell, DropMasks

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
        like = entering_state(cell.cast(x.dtype), x)
        masks, regularizer = (DropMasks(), DropMasks()), self.args.regularizer
        if regularizer is not None:
            masks = drop_masks(regularizer, cell, x.shape[0], like, own.key)
            cell = drop_weights(regularizer, cell, own.key)
        resets = self.args.resets
        inputs = LayerInputs(
            cell,
            x,
            *masks,
            state=filled_state(like, own.state),
            reset_state=None if resets is None else filled_state(like, own.reset_state),
            step_masks=self.masks(own.reverse),
        )
        out, y = self.layer(inputs, own.reverse)
        return y, out


def entering_state(cell: Cell, x: jax.Array) -> Any:
    """The types of the state that a step gives: shapes, dtypes and mesh types."""

    def step(x: jax.Array) -> Any:
        # A sum over time has the type of one step, even where there is none.
        x_t = x.sum(0)
        return cell.step(cell.zero_state(x_t.shape[:-1], x.dtype), x_t)[0]

    return typed_eval_shape(step, x)


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
