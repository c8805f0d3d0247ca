# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Bach's chorales, packed into rows: whole pieces one after another, no room wasted.

References:
    Boulanger-Lewandowski et al. 2012, Modeling Temporal Dependencies in
    High-Dimensional Sequences.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments import data

KEYS = 88


class Chorales(NamedTuple):
    """The pieces of each split, uint8 (T_i, 88): 1 where a key of the piano is down."""

    train: list[np.ndarray]
    valid: list[np.ndarray]
    test: list[np.ndarray]


class Rows(NamedTuple):
    """Pieces in rows; each step is a frame and the one that follows it in its piece.

    Attributes:
        x: (R, T, 88) uint8.
        following: (R, T, 88) uint8.
        resets: (R, T) booleans: True where a piece begins.
        weights: (R, T) float32: 1 where there is a frame to predict, else 0.
    """

    x: Any
    following: Any
    resets: Any
    weights: Any


def chorales(pieces: int | None = None) -> Chorales:
    """Reads the chorales.

    Args:
        pieces: of each split, from its start; None for all.

    Returns:
        The splits as they were published: 229, 76 and 77 pieces.
    """
    from scipy.io import loadmat  # type: ignore[import-untyped]

    found = loadmat(data.fetch(data.JSB))
    return Chorales(
        *(
            list(found[f"{split}data"][0][:pieces])
            for split in ("train", "valid", "test")
        )
    )


def log_odds(down: np.ndarray, frames: Any) -> np.ndarray:
    """Log-odds of what was so many times down, by Laplace's rule of succession."""
    return np.log((down + 1) / (frames - down + 1))


def first_fit(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """Puts each item, the largest first, into the first bin that has room for it.

    Args:
        sizes: of the items.
        capacity: of every bin.

    Returns:
        The items of each bin.

    Example:
        >>> first_fit([4, 3, 6, 7], 10)
        [[3, 1], [2, 0]]

    References:
        Johnson 1973, Near-Optimal Bin Packing Algorithms.
    """
    bins: list[list[int]] = []
    room: list[int] = []
    for item in np.argsort([-size for size in sizes], kind="stable").tolist():
        size = int(sizes[item])
        fitting = (k for k, left in enumerate(room) if left >= size)
        k = next(fitting, len(bins))
        if k == len(bins):
            bins.append([])
            room.append(capacity)
        bins[k].append(item)
        room[k] -= size
    return bins


def pack(pieces: Sequence[np.ndarray], multiple: int = 1) -> Rows:
    """Packs pieces into rows as long as the longest of them.

    Args:
        pieces: (T_i, 88).
        multiple: empty rows are added until the number of rows is one of this.

    Returns:
        Rows that hold every pair of neighbouring frames once.
    """
    sizes = [len(piece) - 1 for piece in pieces]
    bins = first_fit(sizes, max(sizes))
    count = -(-len(bins) // multiple) * multiple
    shape = count, max(sizes)
    rows = Rows(
        np.zeros((*shape, KEYS), np.uint8),
        np.zeros((*shape, KEYS), np.uint8),
        np.zeros(shape, bool),
        np.zeros(shape, np.float32),
    )
    for r, items in enumerate(bins):
        begin = 0
        for item in items:
            end = begin + sizes[item]
            rows.x[r, begin:end] = pieces[item][:-1]
            rows.following[r, begin:end] = pieces[item][1:]
            rows.resets[r, begin] = True
            rows.weights[r, begin:end] = 1
            begin = end
    return rows
