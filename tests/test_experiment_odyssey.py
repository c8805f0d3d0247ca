# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The odyssey: what is packed, how it is scored, and how a run goes on."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments._run_cache import RunCache
from experiments.odyssey import baselines, chorales, fitting, nets
from experiments.odyssey.recipe import Recipe

pytestmark = pytest.mark.usefixtures("as_users_have_it")

RECIPE = Recipe(epochs=1, rows=2, learning_rates=(1e-3,), output_dropout=0.5)


@pytest.fixture
def pieces() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = 7, 3, 12, 5, 2, 9
    return [rng.integers(0, 2, (n, 88)).astype(np.uint8) for n in sizes]


def test_every_pair_of_frames_is_packed_once(pieces: list[np.ndarray]) -> None:
    rows = chorales.pack(pieces, multiple=4)
    assert len(rows.x) % 4 == 0 and rows.x.shape[1] == 11
    found = []
    for x, following, resets, weights in zip(*rows, strict=True):
        starts = [*np.flatnonzero(resets), int(weights.sum())]
        for begin, end in pairwise(starts):
            np.testing.assert_array_equal(
                x[begin + 1 : end], following[begin : end - 1]
            )
            assert (weights[begin:end] == 1).all()
            found.append(np.concatenate([x[begin:end], following[end - 1 : end]]))
        assert not x[starts[-1] :].any() and not weights[starts[-1] :].any()
    assert {a.tobytes() for a in found} == {a.tobytes() for a in pieces}
    assert len(found) == len(pieces)


@pytest.mark.parametrize("name", [2, "V", "FGR"])
def test_all_frames_weigh_the_same(name: Any, pieces: list[np.ndarray]) -> None:
    """Against a loop over pieces and keys that reads each piece by itself."""
    odds = np.linspace(-1, 1, 88)
    network = nets.init(name, 3, odds, jax.random.key(0))
    total, count = 0.0, 0
    for piece in pieces:
        rows = chorales.Rows(
            piece[None, :-1], None, np.zeros((1, len(piece) - 1), bool), None
        )
        y = np.asarray(nets.outputs(network, rows, RECIPE, None))[0]
        for h, keys in zip(y, piece[1:], strict=True):
            p = 1 / (1 + np.exp(-(h @ np.asarray(network.w) + odds)))
            total -= sum(
                np.log(q if on else 1 - q) for q, on in zip(p, keys, strict=True)
            )
            count += 1
    mean = jax.jit(nets.nats, static_argnums=2)(
        network, chorales.pack(pieces, 4), RECIPE
    )
    assert int(mean.count) == count == sum(len(piece) - 1 for piece in pieces)
    np.testing.assert_allclose(float(mean.value), total / count, rtol=1e-6)


def test_baselines_count_as_by_hand(pieces: list[np.ndarray]) -> None:
    train, test = pieces[:4], pieces[4:]
    after: dict[int, list[int]] = {0: [], 1: []}  # of key 5
    for piece in train:
        for last, now in zip(piece[:-1, 5], piece[1:, 5], strict=True):
            after[int(last)].append(int(now))
    logits = chorales.log_odds(*_transitions(train))
    for last, seen in after.items():
        share = (sum(seen) + 1) / (len(seen) + 2)
        np.testing.assert_allclose(1 / (1 + np.exp(-logits[last, 5])), share, rtol=1e-6)
    losses = []
    for piece in test:
        for last, now in pairwise(piece):
            p = 1 / (1 + np.exp(-logits[last.astype(int), np.arange(88)]))
            losses.append(-np.log(np.where(now == 1, p, 1 - p)).sum())
    found = baselines.repetition(train, test)
    np.testing.assert_allclose(found, np.mean(losses), rtol=1e-5)


def _transitions(train: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """How often keys were down after they were up (row 0) or down, and of how many."""
    last, now = (
        np.concatenate([p[s] for p in train]) for s in (slice(-1), slice(1, None))
    )
    down = [((last == before) & (now == 1)).sum(0) for before in (0, 1)]
    return np.array(down), np.array([(last == before).sum(0) for before in (0, 1)])


def test_windows_start_in_silence(pieces: list[np.ndarray]) -> None:
    seen, following = baselines.windows(pieces[:2], 3)
    assert seen.shape == (6 + 2, 3 * 88) and following.shape == (8, 88)
    one = pieces[0].astype(np.float32)
    np.testing.assert_array_equal(
        seen[0], np.concatenate([0 * one[0], 0 * one[0], one[0]])
    )
    np.testing.assert_array_equal(seen[4], one[2:5].ravel())
    np.testing.assert_array_equal(seen[7], np.concatenate([0 * one[0], *pieces[1][:2]]))
    np.testing.assert_array_equal(following[4], one[5])


def test_validation_picks_the_epoch_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """Of a network that soon overfits noise; the pick is judged again from outside."""
    rng = np.random.default_rng(3)
    pieces = [(rng.random((n, 88)) < 0.1).astype(np.uint8) for n in (7, 3, 12, 5, 9, 4)]
    split = chorales.Chorales(pieces[:3], pieces[3:5], pieces[5:])
    recipe = Recipe(epochs=6, rows=1, learning_rates=(0.03,), averaging=0.5)
    with jax.enable_x64(False):
        trainer = fitting.Trainer("V", 6, recipe, fitting.splits(split, 1))

        def fit(folder: Path, on_progress: Any = lambda epochs: None) -> fitting.Run:
            cache = RunCache(folder, "odyssey", recipe)
            return fitting.fit(
                trainer,
                [3, 4],
                [0.03, 0.01],
                cache,
                "fit",
                chunk=2,
                on_progress=on_progress,
            )

        whole = fit(tmp_path / "whole")
        last = jax.tree.map(lambda a: a[0], whole.learner.opt_state[-1].average)
        chosen = jax.tree.map(lambda a: a[0], whole.chosen)
        valid = trainer.data.valid
        found = float(nets.nats(chosen, valid, recipe).value)
        np.testing.assert_allclose(found, whole.valid[0].min(), rtol=1e-5)
        assert found < whole.valid[0, -1] < 88 * np.log(2)
        np.testing.assert_allclose(
            nets.nats(last, valid, recipe).value, whole.valid[0, -1], rtol=1e-5
        )

        calls = iter((0, 1))

        def stop(epochs: int) -> None:
            if next(calls):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "stopped", stop)
        jax.tree.map(np.testing.assert_array_equal, fit(tmp_path / "stopped"), whole)
