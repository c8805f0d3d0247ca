# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What needs no recurrence: frequencies, repetition, and regression on the last frames.

All give P(key k of the next frame is down), each key by itself, as the networks do.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.optimize import minimize  # type: ignore[import-untyped]

from experiments.odyssey.chorales import KEYS, Chorales, log_odds

Pieces = Sequence[np.ndarray]


def windows(pieces: Pieces, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """The last frames before each frame, with silence before the first.

    Returns:
        The last frames (N, frames · 88), the latest at the end; and the frame that
        follows them (N, 88); both float32.
    """
    seen, following = [], []
    for piece in pieces:
        early = np.concatenate([np.zeros((frames - 1, KEYS), piece.dtype), piece])
        shifts = [early[k : k + len(piece) - 1] for k in range(frames)]
        seen.append(np.concatenate(shifts, 1))
        following.append(piece[1:])
    return (
        np.concatenate(seen).astype(np.float32),
        np.concatenate(following).astype(np.float32),
    )


def entropy(logits: np.ndarray, following: np.ndarray) -> float:
    """Nats a frame: summed over the keys, the mean over all frames together."""
    losses = np.logaddexp(0, logits) - following * logits
    return float(losses.sum(-1, dtype=np.float64).mean())


def frequency(train: Pieces, test: Pieces) -> float:
    """Each key by how often it is down."""
    _, following = windows(train, 1)
    return entropy(log_odds(following.sum(0), len(following)), windows(test, 1)[1])


def repetition(train: Pieces, test: Pieces) -> float:
    """Each key by how often it is down after it was, and after it was not."""
    last, following = windows(train, 1)
    held, struck = (last * following).sum(0), ((1 - last) * following).sum(0)
    after = log_odds(held, last.sum(0)), log_odds(struck, (1 - last).sum(0))
    last, following = windows(test, 1)
    return entropy(np.where(last == 1, *after), following)


def regression(
    train: Pieces, frames: int, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Each key by a logistic regression on all keys of the last frames.

    Args:
        train: pieces.
        frames: that are seen.
        penalty: the loss, summed over frames and keys, has half of it times Σ w².

    Returns:
        Weights (frames · 88, 88) and biases (88,).
    """
    x, y = windows(train, frames)
    begin = np.zeros((x.shape[1] + 1, KEYS))
    begin[-1] = log_odds(y.sum(0), len(y))

    @jax.jit
    @jax.value_and_grad
    def loss(flat: jax.Array) -> jax.Array:
        w, b = flat[:-KEYS].reshape(-1, KEYS), flat[-KEYS:]
        entropy = optax.sigmoid_binary_cross_entropy(jnp.asarray(x) @ w + b, y).sum()
        return (entropy + penalty / 2 * jnp.sum(w**2)) / len(x)

    def both(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = loss(jnp.asarray(flat, jnp.float32))
        return float(value), np.asarray(gradient, float)

    found = minimize(both, begin.ravel(), jac=True, method="L-BFGS-B")
    w, b = found.x[:-KEYS].reshape(-1, KEYS), found.x[-KEYS:]
    return w, b


def regressions(
    pieces: Chorales, frames: Sequence[int], penalties: Sequence[float]
) -> list[dict[str, Any]]:
    """Regressions on so many frames, of which validation picks the penalty."""
    results = []
    for count in frames:
        tried = []
        for penalty in penalties:
            w, b = regression(pieces.train, count, penalty)
            valid, test = (
                entropy(x @ w + b, y)
                for x, y in (windows(part, count) for part in pieces[1:])
            )
            tried.append({"penalty": penalty, "valid": valid, "test": test})
        best = min(tried, key=lambda one: one["valid"])
        results.append({"frames": count, "tried": tried, **best})
    return results
