# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The shapes that are measured, and what is drawn for them."""

from typing import Any, NamedTuple

import numpy as np


class Row(NamedTuple):
    """A network over one batch: T steps, B rows, I inputs, H units.

    Attributes:
        steps: T.
        batch: B.
        inputs: I.
        hidden: H, of every layer and direction.
        layers: how many stand above each other.
        directions: 2 runs every layer both ways and concatenates.
        ragged: lengths from 1 to T, of a mean of half of T, instead of T for all.
    """

    steps: int
    batch: int
    inputs: int
    hidden: int
    layers: int = 1
    directions: int = 1
    ragged: bool = False

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of what each layer reads."""
        above = (self.directions * self.hidden,) * (self.layers - 1)
        return (self.inputs, *above)

    @property
    def flops(self) -> int:
        """Operations of the matrix products of a forward pass over all T steps."""
        widths = sum(width + self.hidden for width in self.widths)
        return self._products(widths)

    @property
    def train_flops(self) -> int:
        """Those of a forward pass and of the gradient: three passes, less one of x."""
        return 3 * self.flops - self._products(self.inputs)

    def measures(self) -> dict[str, Any]:
        """The row as results.json has it."""
        own = {"flops": self.flops, "train_flops": self.train_flops}
        return {**self._asdict(), **own}

    def _products(self, width: int) -> int:
        """Operations of products of all steps with (width, 4H), in every direction."""
        weights = width * 4 * self.hidden
        return 2 * self.steps * self.batch * self.directions * weights


ROWS = {
    "stream": Row(1000, 1, 32, 64),
    "small": Row(128, 32, 64, 128),
    "small, ragged": Row(128, 32, 64, 128, ragged=True),
    "ptb": Row(20, 20, 200, 200),
    "ptbM": Row(35, 20, 650, 650),
    "mid": Row(64, 64, 256, 256),
    "mid, ragged": Row(64, 64, 256, 256, ragged=True),
    "smnist": Row(784, 64, 1, 128),
    "fastrnns": Row(100, 64, 512, 512),
    "both ways, ragged": Row(64, 32, 128, 128, layers=2, directions=2, ragged=True),
}
SMOKE = {
    "smoke": Row(12, 8, 3, 5),
    "smoke, ragged": Row(12, 8, 3, 5, layers=2, directions=2, ragged=True),
}


class Weights(NamedTuple):
    """One layer in one direction, in this library's layout; all float32.

    Attributes:
        w_x: (I, 4H), columns i, f, g, o.
        w_h: (H, 4H).
        b: (4H,).
    """

    w_x: np.ndarray
    w_h: np.ndarray
    b: np.ndarray


class Problem(NamedTuple):
    """What every library computes with.

    Attributes:
        layers: of each layer, the weights of its directions.
        x: (T, B, I).
        lengths: (B,), the longest first; None where all have T steps.
    """

    layers: tuple[tuple[Weights, ...], ...]
    x: np.ndarray
    lengths: np.ndarray | None


def problem(row: Row) -> Problem:
    """Draws weights from U(±1/√H) and an input from N(0, 1), always the same."""
    rng = np.random.default_rng(0)
    bound = row.hidden**-0.5

    def uniform(*shape: int) -> np.ndarray:
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    def weights(inputs: int) -> Weights:
        columns = 4 * row.hidden
        return Weights(
            uniform(inputs, columns), uniform(row.hidden, columns), uniform(columns)
        )

    layers = tuple(
        tuple(weights(width) for _ in range(row.directions)) for width in row.widths
    )
    x = rng.standard_normal((row.steps, row.batch, row.inputs)).astype(np.float32)
    lengths = None
    if row.ragged:
        lengths = np.linspace(row.steps, 1, row.batch).round().astype(np.int32)
    return Problem(layers, x, lengths)
