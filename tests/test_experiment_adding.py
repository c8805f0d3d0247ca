# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The adding problem: the task, the nets and the test error, by NumPy."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.progress import Progress

from experiments import _run_cache
from experiments.adding import learning, nets, report, run, task

pytestmark = pytest.mark.usefixtures("as_users_have_it")

LSTM = nets.CELLS["LSTM"]


@pytest.mark.parametrize("length", [2, 7, 50])
def test_the_sum_is_of_one_number_in_each_half(length: int) -> None:
    x, y = map(np.asarray, task.sequences(jax.random.key(3), length, 400))
    assert x.shape == (length, 400, 2)
    assert x[..., 0].min() >= 0 and x[..., 0].max() <= 1
    marked = [np.flatnonzero(x[:, n, 1]) for n in range(400)]
    for n, steps in enumerate(marked):
        one, two = steps
        assert one < length // 2 <= two
        assert set(x[:, n, 1]) <= {0.0, 1.0}
        np.testing.assert_allclose(y[n], x[one, n, 0] + x[two, n, 0])
    assert set(np.concatenate(marked)) == set(range(length))


def test_the_constant_has_the_error_that_is_published() -> None:
    _, y = task.sequences(jax.random.key(0), 10, 100_000)
    assert float(jnp.mean((y - 1) ** 2)) == pytest.approx(task.CONSTANT, rel=0.01)
    assert round(task.CONSTANT, 3) == 0.167


def test_starts() -> None:
    """What each net is said to start from."""
    found = {
        name: nets.init(start, 8, 50, jax.random.key(0))
        for starts in nets.CELLS.values()
        for name, start in starts.items()
    }
    irnn = found["IRNN"].cell
    np.testing.assert_array_equal(irnn.w_h, np.eye(8))
    np.testing.assert_array_equal(irnn.b, np.zeros(8))
    assert (
        irnn.activation.name == "relu" and found["RNN"].cell.activation.name == "tanh"
    )
    for name in LSTM:
        forget = np.asarray(found[name].cell.b).reshape(4, 8)[1]
        if name == "LSTM, chrono":
            assert 0 <= forget.min() < forget.max() <= np.log(49)
        else:
            np.testing.assert_array_equal(forget, float(name[-1]))


def test_error_is_that_of_a_loop_in_numpy() -> None:
    """An IRNN step by step, and errors that leave all bounds."""
    network = nets.init(nets.CELLS["IRNN"]["IRNN"], 3, 5, jax.random.key(1))
    network = jax.tree.map(lambda a: a + 0.1, network)
    length, count, key = 5, 7, jax.random.key(2)
    x, y = map(np.asarray, task.sequences(key, length, count))
    h = np.zeros((count, 3))
    for x_t in x:
        cell = network.cell
        h = np.maximum(x_t @ cell.w_x + h @ cell.w_h + cell.b, 0)
    expected = np.mean((h @ network.w[:, 0] + network.b[0] - y) ** 2)
    lanes = jax.tree.map(lambda a: jnp.stack([a, a * jnp.nan, a * 1e9])[None], network)
    errors, constant = learning.held_out(lanes, key, length, count)
    np.testing.assert_allclose(errors, [[expected, learning.CAP, learning.CAP]])
    np.testing.assert_allclose(constant, np.mean((y - 1) ** 2))


def test_a_stopped_run_goes_on_and_lanes_are_their_own(tmp_path: Path) -> None:
    """Bit for bit the same after a stop; a seed alone as among others."""
    budget = learning.Budget(4, 8, 6, 2, 1.0)

    def trained(folder: str, seeds: list[int], stop: int | None = None) -> np.ndarray:
        cache = _run_cache.RunCache(tmp_path / folder, "adding", run.SMOKE)

        def loop(state: Any, step: Any, count: int) -> Any:
            return cache.loop("train", state, step, count if stop is None else stop)

        rates = [[1e-2] * len(seeds)] * len(LSTM)
        found = learning.train(
            budget, 6, "LSTM", seeds, rates, loop, lambda error: None
        )
        return np.asarray(found.curve)

    whole = trained("whole", [0, 1])
    trained("stopped", [0, 1], stop=1)
    np.testing.assert_array_equal(trained("stopped", [0, 1]), whole)
    assert whole.shape == (len(LSTM), 2, 3) and (whole > 0).all()
    assert len(np.unique(whole)) == whole.size
    np.testing.assert_allclose(trained("alone", [1, 1])[:, 0], whole[:, 1], rtol=1e-5)


def test_where_no_rate_learns_that_of_the_shorter_length_is_kept(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """By hand: the shortest length always chooses, the longest is not searched."""
    errors = {6: [0.15, 0.09], 7: [0.12, 0.13], 8: [0.08, 0.12], 9: [0.16, 0.15]}
    used = {}

    def study(settings: Any, cell: str, length: int, rates: Any, *_: Any) -> Any:
        used[length] = rates["IRNN"]
        return {"nets": {}, "constant": {}}

    monkeypatch.setattr(run, "search", lambda s, c, n, *_: {"IRNN": errors[n]})
    monkeypatch.setattr(run, "study", study)
    settings = dataclasses.replace(run.SMOKE, lengths=(9, 6, 10, 8, 7), search_up_to=9)
    cache = _run_cache.RunCache(tmp_path, "adding", settings)
    results = run.run(settings, Progress(), cache)
    low, high = settings.rates
    assert used == {6: high, 7: high, 8: low, 9: low, 10: low}
    for length, own in errors.items():
        found = results["search"][str(length)]["IRNN"]
        assert found == {"errors": own, "rate": used[length]}
    shown = report.search({"settings": {"rates": settings.rates}, "results": results})
    cells = "0.15 | **0.090** | 0.12 | *0.13* | **0.080** | 0.12 | *0.16* | 0.15"
    assert f"| IRNN | {cells} |" in shown
