# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A long stream as lanes of windows, for back-propagation truncated in time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from lstm_jax.training import _checks


class Windows(NamedTuple):
    """A stream in windows; window n+1 of a lane goes on where window n ended.

    Attributes:
        data: tree of (N, B, k, …): N windows of k steps of B lanes; zero after the end.
        lengths: (N, B) int32: steps of each window that are in the stream.
        resets: (N, B, k) booleans: True where a document begins, and at the start of
            every lane, so that a pass over the windows begins afresh whatever is
            carried into it.
    """

    data: Any
    lengths: Any
    resets: Any


def windows(stream: Any, lanes: int, window: int, resets: Any = None) -> Windows:
    """Lays a stream out in contiguous lanes, and cuts the lanes into windows.

    Lane b is stream[b·L : (b+1)·L] with L = ceil(S / B). No step is dropped: the last
    lane may be shorter, which `lengths` says. With the state carried from window to
    window, the sum of the losses over all windows is the loss of the lanes run whole;
    its gradient is that of `truncate=window`, and where the window is the whole lane
    that of full back-propagation.

    Args:
        stream: tree of (S, …) arrays: inputs and targets, say.
        lanes: B, the rows of a batch.
        window: k, the steps of a window.
        resets: (S,) booleans: True where a document begins.

    Returns:
        `Windows`, NumPy arrays. Its items fit `lstm_jax.apply`, and one window after
        another fits `epoch`.

    Raises:
        ValueError: the stream is empty, its leaves disagree, or a number is below 1.

    Example:
        >>> cut = windows(np.arange(10), lanes=2, window=3)
        >>> cut.data.tolist()
        [[[0, 1, 2], [5, 6, 7]], [[3, 4, 0], [8, 9, 0]]]
        >>> cut.lengths.tolist()
        [[3, 3], [2, 2]]

    References:
        Williams, Peng 1990, An Efficient Gradient-Based Algorithm for On-Line Training
        of Recurrent Network Trajectories.
    """
    stream = jax.tree.map(np.asarray, stream)
    size = _checks.stream(stream, lanes, window, resets)
    if resets is None:
        resets = np.zeros(size, bool)
    each = -(-size // lanes)
    number = -(-each // window)

    def cut(a: np.ndarray) -> np.ndarray:
        rest = a.shape[1:]
        a = _padded(a, 0, lanes * each).reshape(lanes, each, *rest)
        a = _padded(a, 1, number * window).reshape(lanes, number, window, *rest)
        return np.ascontiguousarray(np.swapaxes(a, 0, 1))

    valid = cut(np.ones(size, bool))
    starts = cut(np.asarray(resets, bool))
    starts[0, :, 0] = True
    return Windows(jax.tree.map(cut, stream), valid.sum(-1, dtype=np.int32), starts)


def _padded(a: np.ndarray, axis: int, size: int) -> np.ndarray:
    widths = [(0, 0)] * a.ndim
    widths[axis] = (0, size - a.shape[axis])
    return np.pad(a, widths)


def cycle(batches: Any) -> Callable[[int], Any]:
    """Batches in a circle, as a function of the step.

    Args:
        batches: tree whose leaves have an axis of N batches in front, as `windows`
            gives.

    Returns:
        batch(step), which is batch number `step` modulo N; for `fit`.

    Example:
        >>> batch = cycle(windows(np.arange(10), lanes=2, window=3))
        >>> batch(3).data.tolist()
        [[3, 4, 0], [8, 9, 0]]
    """
    number = len(jax.tree.leaves(batches)[0])
    return lambda step: jax.tree.map(lambda a: a[step % number], batches)
