# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One file a library: each gives the same numbers from the same weights.

A peer is a module with

    DEVICES   how many devices XLA shall make of the processor; 1 but for sharding
    make      (problem) -> Peer
"""

from collections.abc import Callable
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
        temporary_bytes: () -> what the compiled program of `train` needs beside its
            arguments and results; None where no compiler says so.
    """

    forward: Callable[[], Any]
    train: Callable[[], Any] | None
    gradients: Callable[[Any], Any] | None
    batch_major: bool = False
    temporary_bytes: Callable[[], int] | None = None


NAMES = (
    "lstm_jax",
    "lstm_jax_sharded",
    "torch",
    "onnxruntime",
    "scan_by_hand",
    "linen",
    "nnx",
    "haiku",
    "equinox",
    "keras",
)
OURS = NAMES[:2]
JAX = ("scan_by_hand", "linen", "nnx", "haiku", "equinox", "keras")
