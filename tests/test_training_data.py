# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Buckets of ragged sequences: nothing dropped, few traces, the least padding."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lstm_jax
from lstm_jax.testing import reference
from lstm_jax.training import Batch, Buckets, plan_buckets
from tests.compare import FLOAT64, assert_close, assert_same

LENGTHS = [3, 0, 7, 1, 7, 12, 2, 5, 0, 9, 4]

plans = st.fixed_dictionaries(
    {
        "lengths": st.lists(st.integers(0, 20), min_size=1, max_size=40),
        "batch_size": st.integers(1, 5),
        "max_traces": st.integers(1, 6),
    }
)


def ragged(lengths: Any) -> list[Any]:
    """Trees of which every number says where it came from, none of them zero."""

    def numbered(i: int, n: int) -> np.ndarray:
        return (1 + i + np.arange(n) / 64).astype(np.float32)

    return [
        {
            "x": np.stack([numbered(i, n)] * 2, -1),
            "y": 1 + i + np.arange(n, dtype=np.int8),
        }
        for i, n in enumerate(lengths)
    ]


def indices(batches: Iterator[Batch]) -> list[list[int]]:
    return [batch.index.tolist() for batch in batches]


@given(plan=plans, seed=st.none() | st.integers(0, 2**40), epoch=st.integers(0, 2**33))
@example(plan={"lengths": [0, 0, 0], "batch_size": 2, "max_traces": 3}, seed=0, epoch=0)
def test_nothing_is_dropped(plan: Any, seed: int | None, epoch: int) -> None:
    """Each sequence is in one row, alone, and comes back; all else is zero."""
    sequences, buckets = ragged(plan["lengths"]), plan_buckets(**plan)
    batches = list(buckets.batches(sequences, seed=seed, epoch=epoch))
    rows = np.concatenate([batch.index for batch in batches])
    assert sorted(rows[rows >= 0]) == list(range(len(sequences)))
    assert len(batches) == len(buckets) == -(-len(sequences) // plan["batch_size"])
    for batch in batches:
        lengths = np.where(batch.index < 0, 0, np.array(plan["lengths"])[batch.index])
        np.testing.assert_array_equal(batch.lengths, lengths)
        padding = np.arange(batch.data["y"].shape[1]) >= lengths[:, None]
        assert not batch.data["x"][padding].any() and not batch.data["y"][padding].any()
    assert_same(buckets.unbatch(reversed(batches)), sequences)

    sums = [b._replace(data=b.data["x"].sum(1)) for b in batches]
    expected = [sequence["x"].sum(0) for sequence in sequences]
    assert_close(buckets.restore_order(sums), expected, 1e-6)


@given(plan=plans, seed=st.none() | st.integers(0, 9))
def test_shapes(plan: Any, seed: int | None) -> None:
    """At most K shapes, one for each bucket; the padding is what is said."""
    buckets = plan_buckets(**plan)
    batches = list(buckets.batches(ragged(plan["lengths"]), seed=seed))
    shapes = {batch.data["y"].shape for batch in batches}
    assert shapes == {(plan["batch_size"], steps) for steps in buckets.steps}
    assert len(shapes) == len(buckets.steps) <= plan["max_traces"]
    steps = sum(batch.data["y"].size for batch in batches)
    padding = sum(int((batch.data["y"] == 0).sum()) for batch in batches)
    assert buckets.padding == pytest.approx(padding / steps if steps else 0.0)


def groupings(items: list[int], size: int) -> Iterator[list[list[int]]]:
    """All ways to put items in groups of at most `size`."""
    if not items:
        yield []
        return
    first, *rest = items
    for others in range(min(size, len(items))):
        for chosen in itertools.combinations(range(len(rest)), others):
            left = [a for k, a in enumerate(rest) if k not in chosen]
            for groups in groupings(left, size):
                yield [[first, *(rest[k] for k in chosen)], *groups]


def least_steps(lengths: list[int], size: int, most: int) -> int:
    """The fewest steps of all ways to make batches, of all choices of shapes."""
    costs = []
    for groups in groupings(lengths, size):
        heights = [max(group) for group in groups]
        distinct = sorted(set(heights))
        for shapes in itertools.combinations(distinct, min(most, len(distinct))):
            if shapes[-1] == distinct[-1]:
                costs.append(sum(min(s for s in shapes if s >= h) for h in heights))
    return size * min(costs)


@settings(max_examples=100)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=7),
    batch_size=st.integers(1, 3),
    max_traces=st.integers(1, 4),
)
@example(lengths=[9, 8, 5, 4, 2, 1, 0], batch_size=1, max_traces=3)
@example(lengths=[9, 9, 9, 3, 3, 3, 3], batch_size=2, max_traces=2)
def test_the_least_padding(
    lengths: list[int], batch_size: int, max_traces: int
) -> None:
    """No batches whatever, of no more shapes, have fewer steps."""
    buckets = plan_buckets(lengths, batch_size, max_traces=max_traces)
    steps = sum(b.data["y"].size for b in buckets.batches(ragged(lengths)))
    assert steps == least_steps(lengths, batch_size, max_traces)


def test_many_lengths_in_few_shapes() -> None:
    """Against all choices of three among forty heights."""
    lengths = np.random.default_rng(0).gamma(2.0, 30.0, 40).astype(int)
    buckets = plan_buckets(lengths, 1, max_traces=3)

    def steps(shapes: Any) -> int:
        return sum(min(s for s in shapes if s >= n) for n in lengths)

    top = lengths.max()
    choices = [(a, b, top) for a, b in itertools.combinations(set(lengths), 2)]
    assert steps(buckets.steps) == min(map(steps, choices))
    assert buckets.padding == pytest.approx(1 - lengths.sum() / steps(buckets.steps))


def test_the_fewest_shapes_with_little_enough_padding() -> None:
    shares = [plan_buckets(LENGTHS, 2, max_traces=k).padding for k in range(1, 7)]
    assert shares == sorted(shares, reverse=True) and len(set(shares)) == len(shares)
    for count, share in enumerate(shares, 1):
        few = plan_buckets(LENGTHS, 2, max_traces=6, max_padding=share)
        assert (len(few.steps), few.padding) == (count, share)
    assert len(plan_buckets(LENGTHS, 2, max_traces=3, max_padding=0.01).steps) == 3
    assert len(plan_buckets([4] * 6, 2).steps) == 1


def test_one_trace_a_bucket_and_outputs_in_order() -> None:
    """Over three epochs; every row as the reference gives it for its sequence alone."""
    params = lstm_jax.init(jax.random.key(0), 3, 4)
    params = jax.tree.map(lambda a: a + 0.1, params)
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(n, 3)) for n in LENGTHS]
    buckets = plan_buckets(LENGTHS, 2, max_traces=3)
    traced = []

    @jax.jit
    def run(batch: Batch) -> Any:
        traced.append(batch.data.shape)
        return lstm_jax.apply(params, batch.data, lengths=batch.lengths)

    for epoch in range(3):
        batches = list(buckets.batches(sequences, seed=1, epoch=epoch))
        outputs = [run(batch) for batch in batches]
        ys = [b._replace(data=y) for b, (y, _) in zip(batches, outputs, strict=True)]
        states = [
            b._replace(data=s) for b, (_, s) in zip(batches, outputs, strict=True)
        ]
    assert sorted(traced) == sorted({(2, steps, 3) for steps in buckets.steps})
    assert len(traced) == 3

    alone = [reference(params, sequence) for sequence in sequences]
    assert_close(buckets.unbatch(ys), [y for y, _ in alone], FLOAT64)
    assert_close(buckets.restore_order(states), [s for _, s in alone], FLOAT64)


def test_an_epoch_is_a_function_of_seed_and_number() -> None:
    """Another plan, a start in the middle, another process: the same batches."""
    sequences = ragged(LENGTHS)
    buckets = plan_buckets(LENGTHS, 2, max_traces=2)
    whole = list(buckets.batches(sequences, seed=3, epoch=5))
    again = plan_buckets(np.array(LENGTHS), 2, max_traces=2)
    for start in range(len(buckets) + 1):
        rest = list(again.batches(sequences, seed=3, epoch=5, start=start))
        assert len(rest) == len(whole) - start
        if rest:
            assert_same(rest, whole[start:])
    # Written down by another process; where NumPy's permutations change, a run that is
    # resumed would go on in another order.
    order = [[8, -1], [3, 6], [2, 9], [0, 1], [7, 10], [4, 5]]
    assert indices(iter(whole)) == order


def test_orders_differ() -> None:
    """Between seeds and epochs, also those whose digits run together."""
    sequences = ragged(range(60))
    buckets = plan_buckets(range(60), 4, max_traces=3)
    drawn = [(0, 0), (0, 1), (1, 0), (1, 1), (2**32, 0), (0, 2**32), (1, 2**32)]
    orders = [
        indices(buckets.batches(sequences, seed=seed, epoch=epoch))
        for seed, epoch in drawn
    ]
    assert len({str(order) for order in orders}) == len(drawn)
    plain = indices(buckets.batches(sequences))
    assert plain == indices(buckets.batches(sequences, epoch=1))
    assert plain == [list(range(59 - k, 55 - k, -1)) for k in range(0, 60, 4)]

    order = list(buckets.batches(sequences, seed=0))
    steps = [batch.data["y"].shape[1] for batch in order]
    assert sorted(steps, reverse=True) != steps  # buckets are mixed
    groups = [{frozenset(rows) for rows in order} for order in (plain, *orders[:2])]
    assert not set.intersection(*groups)  # and so are rows


def test_only_what_is_given_is_read() -> None:
    """Sequences may be read from a disk, one by one."""

    class Lazy:
        read: list[int]

        def __init__(self) -> None:
            self.read = []

        def __len__(self) -> int:
            return len(LENGTHS)

        def __getitem__(self, i: int) -> Any:
            assert type(i) is int
            self.read.append(i)
            return ragged(LENGTHS)[i]

    lazy: Any = Lazy()
    last = list(plan_buckets(LENGTHS, 2).batches(lazy, seed=0, start=5))
    assert len(last) == 1
    assert lazy.read[0] == 0  # for the types
    assert sorted(lazy.read[1:]) == sorted(i for i in last[0].index.tolist() if i >= 0)


PLAN = plan_buckets([2, 3, 1], 2)


def batches(*sequences: Any, **how: Any) -> list[Batch]:
    return list(PLAN.batches(sequences, **how))


def other(**changes: Any) -> Callable[[], Any]:
    """Batches of three sequences of which the last is not like the first."""
    sequences = ragged([2, 3, 1])
    sequences[2] = {**sequences[2], **changes}
    return lambda: batches(*sequences)


GOOD = batches(*ragged([2, 3, 1]))
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: plan_buckets([], 2), ValueError, r"\(N,\), N > 0; got \(0,\)"),
    (lambda: plan_buckets([[1]], 2), ValueError, r"got \(1, 1\)"),
    (lambda: plan_buckets([1.0], 2), TypeError, "lengths must have an integer dtype"),
    (
        lambda: plan_buckets([1, -2], 2),
        ValueError,
        "lengths must be at least 0; got -2",
    ),
    (lambda: plan_buckets([1], 0), ValueError, "batch_size must be an integer of at"),
    (lambda: plan_buckets([1], 2, max_traces=0), ValueError, "max_traces .*; got 0"),
    (lambda: plan_buckets([1], True), ValueError, "batch_size .*; got True"),
    (lambda: plan_buckets([1], 2, max_padding=2), ValueError, r"\[0, 1\]; got 2"),
    (lambda: batches(*ragged([2, 3])), ValueError, "the lengths planned for, 3; got 2"),
    (
        lambda: batches(*ragged([2, 3, 4])),
        ValueError,
        r"sequences\[2\]\['x'\] .*\(1, 2\)",
    ),
    (lambda: batches(*ragged([2, 3, 1]), seed=-1), ValueError, "seed .*; got -1"),
    (lambda: batches(*ragged([2, 3, 1]), epoch=-1), ValueError, "epoch .*; got -1"),
    (lambda: batches(*ragged([2, 3, 1]), start=3), ValueError, "at most 2, .*; got 3"),
    (
        other(x=np.ones((1, 1), np.float32)),
        ValueError,
        r"\['x'\] must have shape \(1, 2",
    ),
    (other(y=np.ones(1)), TypeError, r"\['y'\] must have dtype int8, .* got float64"),
    (other(z=np.ones(1)), ValueError, r"sequences\[2\] must have the structure"),
    (lambda: PLAN.unbatch(GOOD[1:]), ValueError, "unbatch: .* none with sequence 0"),
    (lambda: PLAN.restore_order(GOOD[:1]), ValueError, "none with sequence 2"),
    (lambda: PLAN.restore_order(GOOD * 2), ValueError, "restore_order: .* 1 twice"),
]


@pytest.mark.parametrize("call, kind, message", ERRORS, ids=[e[2] for e in ERRORS])
def test_errors(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_errors_of_position_come_before_the_first_batch() -> None:
    buckets: Buckets = PLAN
    with pytest.raises(ValueError, match="start"):
        buckets.batches(ragged([2, 3, 1]), start=9)
