# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What is carried from a call to its layers: three records."""

from typing import Any, NamedTuple

import flax.struct
import jax

from lstm_jax._masks import StepMasks
from lstm_jax._regularize import Regularizer
from lstm_jax.cells.base import Cell, DropMasks


class SequenceArgs(flax.struct.PyTreeNode):
    """The arguments of `apply` beside params, x and state; static where they must be.

    Once x is time-major, so are `mask` and `resets`.
    """

    lengths: Any = None
    mask: Any = None
    resets: Any = None
    reset_state: Any = None
    key: Any = None
    time_major: bool = flax.struct.field(pytree_node=False, default=False)
    regularizer: Regularizer | None = flax.struct.field(pytree_node=False, default=None)
    truncate: int | None = flax.struct.field(pytree_node=False, default=None)


class LayerInputs(NamedTuple):
    """All that enters one layer in one direction.

    Attributes:
        cell: the layer, in the accumulation dtype until it is `cast` to that of x:
            as late as that, so that gradients are summed in the wider one.
        x: (T, *B, I).
        fixed: drop masks that are the same at all steps.
        stepped: drop masks of every step, each with a leading T.
        state: that enters first.
        reset_state: like `state`; None where there are no resets.
        step_masks: of every step.
    """

    cell: Cell
    x: jax.Array
    fixed: DropMasks
    stepped: DropMasks
    state: Any
    reset_state: Any
    step_masks: StepMasks

    def drop_masks(self, stepped: DropMasks) -> DropMasks:
        """The masks of one step, of which `stepped` are its own."""
        pairs = zip(self.fixed, stepped, strict=True)
        return DropMasks(*(s if f is None else f for f, s in pairs))


class Request(NamedTuple):
    """What an implementation is asked to run.

    Attributes:
        steps: T; an int, or symbolic.
        params: the network; None where the step is a bare function.
        x: (*B, T, I), or its type; None likewise.
        batch: *B; empty where it is not known.
        args: the other arguments of the call.
    """

    steps: Any
    params: Any = None
    x: Any = None
    batch: tuple[Any, ...] = ()
    args: SequenceArgs = SequenceArgs()
