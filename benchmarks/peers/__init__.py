# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One file a library: each gives the same numbers from the same weights.

A peer is a module with

    DEVICES   how many devices XLA shall make of the processor; 1 but for sharding
    make      (problem) -> Peer
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Peer(NamedTuple):
    """A library with the weights of a problem in it.

    Attributes:
        forward: () -> y (T, B, directions H) or (B, T, directions H), finished when it
            returns.
        train: () -> gradients of mean(y²) with respect to all weights, finished when it
            returns; None where the library has none. The padding's y counts as 0.
        gradients: turns what `train` gives into the gradients of `Problem.layers`, as
            nested sequences of the same lengths.
        batch_major: y is (B, T, directions H).
        programs: the jitted functions of `args` that `forward` and `train` call, by
            these names; none where the library is not one of JAX.
        args: what they take.
    """

    forward: Callable[[], Any]
    train: Callable[[], Any] | None
    gradients: Callable[[Any], Any] | None
    batch_major: bool = False
    programs: Mapping[str, Any] = MappingProxyType({})
    args: tuple[Any, ...] = ()


NAMES = (
    "lstm_jax",
    "lstm_jax_sharded",
    "lstm_jax_packed",
    "torch",
    "onnxruntime",
    "scan_by_hand",
    "linen",
    "nnx",
    "haiku",
    "equinox",
    "keras",
)
OURS = NAMES[:3]
RAGGED = ("lstm_jax_packed",)  # whose full rows would be those of another
JAX = ("scan_by_hand", "linen", "nnx", "haiku", "equinox", "keras")
