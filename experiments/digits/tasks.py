# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The four tasks: in what pieces, and in what order, a digit is read."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from experiments import data

ALL, POOLED = "784 pixels", "196 means of pixels"


def pooled(x: np.ndarray) -> np.ndarray:
    """Means of 2 by 2 pixels: (N, 28, 28) to (N, 14, 14)."""
    half = data.SIDE // 2
    return x.reshape(-1, half, 2, half, 2).mean((2, 4))


def sequences(task: str, x: np.ndarray, seed: int) -> np.ndarray:
    """Digits as a network reads them.

    Args:
        task: its name.
        x: (N, 28, 28).
        seed: of the order of a permuted task.

    Returns:
        (N, T, I): (N, 28, 28) for rows, (N, 196, 1) for pixels.
    """
    shape = (len(x), *steps_and_inputs(task))
    flat = (x if kind_of(task) == "rows" else pooled(x)).reshape(len(x), -1)
    if task != kind_of(task):
        flat = flat[:, np.random.default_rng(seed).permutation(flat.shape[1])]
    return flat.reshape(shape)


def kind_of(task: str) -> str:
    """Whether a task reads rows or pixels."""
    return task.removesuffix("-permuted")


def steps_and_inputs(task: str) -> tuple[int, int]:
    """T and I."""
    side = data.SIDE
    return (side, side) if kind_of(task) == "rows" else (side * side // 4, 1)


def baselines(digits: data.Digits) -> dict[str, dict[str, float]]:
    """Held-out accuracy of two methods to which the order of pixels is nothing.

    Returns:
        By input, all that is read in rows or all that is read in pixels, and method.
    """
    found = {}
    for name, form in ((ALL, lambda x: x), (POOLED, pooled)):
        x, held_out = (
            form(a).reshape(len(a), -1) for a in (digits.x, digits.held_out_x)
        )
        methods = {
            "logistic regression": LogisticRegression(max_iter=1000),
            "support vector machine": SVC(),
        }
        found[name] = {
            method: float(m.fit(x, digits.y).score(held_out, digits.held_out_y))
            for method, m in methods.items()
        }
    return found


def input_of(task: str) -> str:
    """Which of the baselines' inputs holds what is read in a task."""
    return ALL if kind_of(task) == "rows" else POOLED
