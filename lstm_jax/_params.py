# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The structures that layers nest in: pytrees that carry their architecture."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import flax.struct
import jax

from lstm_jax.cells.base import Cell, short_repr

Params: TypeAlias = "Cell | Stack | Bidirectional | Reverse | Residual"
State: TypeAlias = Any  # a tree of the cells' states that mirrors the parameters
Merge: TypeAlias = Literal["concat", "sum", "mul", "ave"]


class Stack(flax.struct.PyTreeNode, repr=False):
    """Layers one above the other; each reads what the one below gives.

    Attributes:
        layers: tuple of parameters of any kind; a list becomes one. The state is a
            tuple of theirs.
    """

    layers: Sequence[Any]

    def __post_init__(self) -> None:
        """Makes a list a tuple, so that one network has one structure."""
        if isinstance(self.layers, list):
            object.__setattr__(self, "layers", tuple(self.layers))

    def __repr__(self) -> str:
        """A line for each layer."""
        if not isinstance(self.layers, tuple):
            return f"Stack({self.layers!r})"
        lines = "".join(f"    {layer!r},\n" for layer in self.layers)
        return f"Stack((\n{lines}))"


class Bidirectional(flax.struct.PyTreeNode, repr=False):
    """Two networks over one input, the second from the last valid step to the first.

    Attributes:
        forward: parameters of any kind.
        backward: parameters of any kind, run in reverse. The state is a tuple of both.
        merge: "concat" (forward's features first), "sum", "mul" or "ave"; static.
    """

    forward: Any
    backward: Any
    merge: Merge = flax.struct.field(pytree_node=False, default="concat")

    __repr__ = short_repr


class Reverse(flax.struct.PyTreeNode, repr=False):
    """Runs `inner` from the last valid step to the first; outputs in original order.

    Attributes:
        inner: parameters of any kind; the state is theirs.
    """

    inner: Any

    __repr__ = short_repr


class Residual(flax.struct.PyTreeNode, repr=False):
    """Adds the input to the output of `inner`; the two must have one width.

    Attributes:
        inner: parameters of any kind; the state is theirs.
    """

    inner: Any

    __repr__ = short_repr


def each_layer(function: Any, params: Params) -> Any:
    """The tree of `params` with `function(cell)` where each `Cell` is."""
    return jax.tree.map(function, params, is_leaf=lambda p: isinstance(p, Cell))


def layers(params: Params) -> list[Any]:
    """All cells of a network; by depth, forward before backward."""
    return jax.tree.leaves(params, is_leaf=lambda p: isinstance(p, Cell))


def cast_layers(params: Params, dtype: Any) -> Params:
    """Every layer of a network, cast to the dtype in which it computes."""
    return each_layer(lambda cell: cell.cast(dtype), params)
