# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Batches of ragged sequences in few shapes, on the host, in NumPy."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lstm_jax._dtypes import as_array
from lstm_jax.training import _checks


class Batch(NamedTuple):
    """Rows of one length after padding; an argument of jitted functions as it is.

    Attributes:
        data: tree of (B, T, …): the sequences, with zeros in the padding.
        lengths: (B,) int32; 0 in rows that fill the batch.
        index: (B,) int32: which sequence a row is; -1 in rows that fill the batch.
    """

    data: Any
    lengths: Any
    index: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Buckets:
    """Which sequences share a shape; from `plan_buckets`.

    `len(buckets)` is the number of batches of an epoch: the least possible, ⌈N / B⌉.

    Attributes:
        lengths: (N,) integers: of the sequences.
        batch_size: B.
        steps: T of each bucket, the longest first: a jitted function is traced once for
            each.
        members: of each bucket, the indices of its sequences.
    """

    lengths: np.ndarray
    batch_size: int
    steps: tuple[int, ...]
    members: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    @property
    def padding(self) -> float:
        """The share of padding among all steps of all batches, rows that fill too."""
        batches = [-(-len(own) // self.batch_size) for own in self.members]
        steps = self.batch_size * int(np.dot(batches, self.steps))
        return 1.0 - int(self.lengths.sum()) / steps if steps else 0.0

    def batches(
        self,
        sequences: Sequence[Any],
        *,
        seed: int | None = None,
        epoch: int = 0,
        start: int = 0,
    ) -> Iterator[Batch]:
        """The batches of an epoch, each sequence in one of them.

        With a seed, every epoch has an order of its own: sequences within their bucket,
        then the batches of all buckets. A batch depends on seed, epoch and its position
        alone, so that a run that goes on at `start` sees what it would have seen; what
        was before is not read.

        Args:
            sequences: N arrays (T_i, …), or trees of such, alike but for T_i; read by
                index, so that anything with `len` and `[i]` will do.
            seed: of the order, at least 0; None for the longest first, always alike.
            epoch: number of the epoch, at least 0.
            start: number of the first batch given.

        Returns:
            An iterator over `Batch`.

        Raises:
            ValueError: sequences that do not have the lengths planned for, or differ in
                structure or in any axis but the first; a start beyond the epoch.
            TypeError: sequences that differ in dtype.
        """
        if len(sequences) != len(self.lengths):
            raise ValueError(
                f"batches: sequences must be as many as the lengths planned for, "
                f"{len(self.lengths)}; got {len(sequences)}."
            )
        _checks.position(seed, epoch, start, len(self))
        first = jax.tree.map(np.asarray, sequences[0])
        order = self._order(seed, epoch)[start:]
        return (self._batch(sequences, first, *batch) for batch in order)

    def restore_order(self, batches: Iterable[Batch]) -> list[Any]:
        """The rows of batches in the order of the sequences they were made from.

        For what a model gives for each sequence: put it in the place of the data,
        `batch._replace(data=y)`.

        Args:
            batches: those of an epoch, in any order; data a tree of (B, …).

        Returns:
            N trees of (…).

        Raises:
            ValueError: a sequence is missing, or there twice.

        Example:
            >>> buckets = plan_buckets([2, 9, 4], 2)
            >>> batches = buckets.batches([np.ones(n) for n in (2, 9, 4)])
            >>> sums = [batch._replace(data=batch.data.sum(1)) for batch in batches]
            >>> [float(total) for total in buckets.restore_order(sums)]
            [2.0, 9.0, 4.0]
        """
        return self._ordered("restore_order", batches)

    def unbatch(self, batches: Iterable[Batch]) -> list[Any]:
        """The sequences in their order, without padding: undoes `batches`.

        For what a model gives at each step: put it in the place of the data,
        `batch._replace(data=y)`.

        Args:
            batches: those of an epoch, in any order; data a tree of (B, T, …).

        Returns:
            N trees of (T_i, …).

        Raises:
            ValueError: a sequence is missing, or there twice.

        Example:
            >>> buckets = plan_buckets([2, 3, 1], 2)
            >>> batches = buckets.batches([np.full(n, n) for n in (2, 3, 1)], seed=0)
            >>> [sequence.tolist() for sequence in buckets.unbatch(batches)]
            [[2, 2], [3, 3, 3], [1]]
        """
        rows = zip(self._ordered("unbatch", batches), self.lengths, strict=True)
        return [jax.tree.map(lambda a, n=n: a[:n], row) for row, n in rows]

    def _ordered(self, call: str, batches: Iterable[Batch]) -> list[Any]:
        """Every row that is a sequence, by index."""
        found: dict[int, Any] = {}
        for batch in batches:
            data = jax.tree.map(np.asarray, batch.data)
            for row, i in enumerate(map(int, batch.index)):
                if i in found:
                    raise ValueError(
                        f"{call}: batches must hold each sequence once; got sequence "
                        f"{i} twice."
                    )
                if i >= 0:
                    found[i] = jax.tree.map(lambda a, row=row: a[row], data)
        if missing := set(range(len(self.lengths))) - set(found):
            raise ValueError(
                f"{call}: batches must hold each sequence once; got none with sequence "
                f"{min(missing)}."
            )
        return [found[i] for i in range(len(self.lengths))]

    def _order(self, seed: int | None, epoch: int) -> list[tuple[int, np.ndarray]]:
        """T and the sequences of each batch of an epoch."""
        members: Sequence[np.ndarray] = self.members
        if seed is not None:
            rng = np.random.default_rng(
                np.random.SeedSequence(seed, spawn_key=(epoch,))
            )
            members = [rng.permutation(own) for own in members]
        order = [
            (steps, own[k : k + self.batch_size])
            for steps, own in zip(self.steps, members, strict=True)
            for k in range(0, len(own), self.batch_size)
        ]
        return (
            order if seed is None else [order[k] for k in rng.permutation(len(order))]
        )

    def _batch(
        self, sequences: Sequence[Any], first: Any, steps: int, chosen: np.ndarray
    ) -> Batch:
        lengths = np.zeros(self.batch_size, np.int32)
        lengths[: len(chosen)] = self.lengths[chosen]
        index = np.full(self.batch_size, -1, np.int32)
        index[: len(chosen)] = chosen
        data = jax.tree.map(
            lambda a: np.zeros((self.batch_size, steps, *a.shape[1:]), a.dtype), first
        )
        for row, i in enumerate(chosen):
            sequence = jax.tree.map(np.asarray, sequences[int(i)])
            _checks.sequence_like(int(i), sequence, first, int(self.lengths[i]))
            for a, own in zip(*map(jax.tree.leaves, (data, sequence)), strict=True):
                a[row, : len(own)] = own
        return Batch(data, lengths, index)


def plan_buckets(
    lengths: Any, batch_size: int, *, max_traces: int = 4, max_padding: float = 0.0
) -> Buckets:
    """Sorts ragged sequences into batches of few shapes with the least padding.

    Sorted by length, from the longest, every B sequences make a batch: no other way of
    making ⌈N / B⌉ or more batches is shorter in any of them. Of their lengths,
    h_1 ≥ h_2 ≥ …, at most K values T are chosen to which each is rounded up, with the
    least sum, by dynamic programming::

        cost[k, j] = min_i cost[k - 1, i] + (j - i) * h_{i + 1}

    over batches i + 1 to j of one shape. What is sorted so is the buckets: within each,
    an epoch may have its sequences in any order. Only one batch of all has rows that
    fill it.

    Args:
        lengths: (N,) integers of at least 0.
        batch_size: B.
        max_traces: K: how often a function of a batch may be traced. With 1, all
            batches have one shape.
        max_padding: share of padding, in [0, 1], that is low enough: the fewest shapes
            with which it is reached are taken, or K of them if it is not.

    Returns:
        `Buckets`, of which `padding` is the share of padding.

    Raises:
        ValueError: lengths that are negative, or none; sizes below 1.
        TypeError: lengths that are not integers.

    Example:
        >>> import numpy as np
        >>> sequences = [np.ones((n, 3)) for n in (2, 9, 4, 8, 2)]
        >>> buckets = plan_buckets([2, 9, 4, 8, 2], 2, max_traces=2)
        >>> buckets.steps, len(buckets), round(buckets.padding, 2)
        ((9, 4), 3, 0.26)
        >>> for batch in buckets.batches(sequences):
        ...     print(batch.data.shape, batch.lengths, batch.index)
        (2, 9, 3) [9 8] [1 3]
        (2, 4, 3) [4 2] [2 0]
        (2, 4, 3) [2 0] [ 4 -1]

    References:
        Bellman 1961, On the Approximation of Curves by Line Segments Using Dynamic
        Programming.
    """
    lengths = as_array(lengths)
    _checks.buckets(lengths, batch_size, max_traces, max_padding)
    lengths = np.array(lengths, np.int64)
    longest_first = np.argsort(-lengths, kind="stable")
    heights = lengths[longest_first][::batch_size]
    for bounds in _partitions(heights, max_traces):
        buckets = Buckets(
            lengths,
            int(batch_size),
            tuple(int(heights[i]) for i in bounds),
            tuple(np.split(longest_first, [i * batch_size for i in bounds[1:]])),
        )
        if buckets.padding <= max_padding:
            break
    return buckets


def _partitions(heights: np.ndarray, most: int) -> Iterator[list[int]]:
    """The best ways to cut descending heights into 1, 2, … parts: where each starts.

    The cost of a part is its size times its first height. Parts start where the height
    changes: anywhere else costs more.
    """
    starts = np.flatnonzero(np.diff(heights, prepend=heights[0] + 1))
    h, ends = heights[starts], np.append(starts, len(heights))
    cost = ends * h[0]  # of all before each end, in one part
    choices: list[list[int]] = []
    yield [0]
    for _ in range(min(most, len(starts)) - 1):
        choice, new = [0], [0]
        for j in range(1, len(ends)):
            total = cost[:j] + (ends[j] - starts[:j]) * h[:j]
            choice.append(int(total.argmin()))
            new.append(int(total[choice[-1]]))
        choices.append(choice)
        cost = np.array(new)
        yield _traced_back(choices, starts)


def _traced_back(choices: list[list[int]], starts: np.ndarray) -> list[int]:
    """Where the parts start, from the best last start before each end."""
    found, end = [], len(starts)
    for choice in reversed(choices):
        end = choice[end]
        found.append(int(starts[end]))
    return [0, *reversed(found)]
