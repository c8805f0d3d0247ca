# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The shapes that are measured, and what is drawn for them."""

from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """One layer over one batch: T steps, B rows, I inputs, H units."""

    steps: int
    batch: int
    inputs: int
    hidden: int

    @property
    def flops(self) -> int:
        """Operations of the matrix products of a forward pass."""
        columns = 4 * self.hidden
        return 2 * self.steps * self.batch * (self.inputs + self.hidden) * columns


ROWS = {
    "stream": Row(1000, 1, 32, 64),
    "small": Row(128, 32, 64, 128),
    "ptb": Row(20, 20, 200, 200),
    "ptbM": Row(35, 20, 650, 650),
    "mid": Row(64, 64, 256, 256),
    "smnist": Row(784, 64, 1, 128),
    "fastrnns": Row(100, 64, 512, 512),
}
SMOKE = {"smoke": Row(12, 8, 3, 5)}


class Problem(NamedTuple):
    """Weights in this library's layout, and an input; all float32.

    Attributes:
        w_x: (I, 4H), columns i, f, g, o.
        w_h: (H, 4H).
        b: (4H,).
        x: (T, B, I).
    """

    w_x: np.ndarray
    w_h: np.ndarray
    b: np.ndarray
    x: np.ndarray


def problem(row: Row) -> Problem:
    """Draws weights from U(±1/√H) and an input from N(0, 1), always the same."""
    rng = np.random.default_rng(0)
    bound = row.hidden**-0.5

    def weights(*shape: int) -> np.ndarray:
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    columns = 4 * row.hidden
    x = rng.standard_normal((row.steps, row.batch, row.inputs)).astype(np.float32)
    return Problem(
        weights(row.inputs, columns), weights(row.hidden, columns), weights(columns), x
    )
