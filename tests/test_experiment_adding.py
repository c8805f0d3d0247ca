# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The adding problem: the task, the nets and the test error, by NumPy; the results."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.progress import Progress

from experiments import _parts
from experiments.adding import learning, nets, report, run, task

pytestmark = pytest.mark.usefixtures("as_users_have_it")

FOLDER = Path(run.__file__).parent
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
    for length, error in document()["results"]["constant"].items():
        assert error == pytest.approx(task.CONSTANT, rel=0.15), length


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
        parts = _parts.Parts(tmp_path / folder, "adding", run.SMOKE)

        def loop(state: Any, step: Any, count: int) -> Any:
            return parts.loop("train", state, step, count if stop is None else stop)

        rates = [[1e-2] * len(seeds)] * len(LSTM)
        learners = learning.train(
            budget, 6, "LSTM", seeds, rates, loop, lambda error: None
        )
        return np.asarray(learners.curve)

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
    parts = _parts.Parts(tmp_path, "adding", settings)
    results = run.run(settings, Progress(), parts)
    low, high = settings.rates
    assert used == {6: high, 7: high, 8: low, 9: low, 10: low}
    for length, own in errors.items():
        found = results["search"][str(length)]["IRNN"]
        assert found == {"errors": own, "rate": used[length]}
    shown = report.search({"settings": {"rates": settings.rates}, "results": results})
    cells = "0.15 | **0.090** | 0.12 | *0.13* | **0.080** | 0.12 | *0.16* | 0.15"
    assert f"| IRNN | {cells} |" in shown


def test_rates_are_those_of_the_rule() -> None:
    settings, results = document()["settings"], document()["results"]
    assert settings == json.loads(json.dumps(dataclasses.asdict(run.Settings())))
    assert set(results["search"]) == {"50", "100", "200"}
    for name in nets.names():
        rate = None
        for length in ("50", "100", "200"):
            net = results["search"][length][name]
            rate = run.choose(settings["rates"], net["errors"], rate)
            assert net["rate"] == rate, (name, length)
    assert settings["search_seed"] not in settings["seeds"]


def test_what_the_readme_says_to_believe() -> None:
    """Who adds within the budget, and who does not."""
    results = document()["results"]
    for length, found in results["nets"].items():
        errors = {name: np.asarray(net["test"][length]) for name, net in found.items()}
        solved = {name: int((e < report.SOLVED).sum()) for name, e in errors.items()}
        assert solved["LSTM, chrono"] == 5, length
        assert solved["GRU"] >= 4 if int(length) <= 200 else 0 < solved["GRU"] < 5
        assert solved["RNN"] == solved["IRNN"] == 0, length
        for bias in (0, 1, 3):
            most = solved[f"LSTM, forget bias {bias}"] >= 3
            assert most == (length == "50"), (bias, length)
        for name, net in found.items():
            farthest = net["test"][str(4 * int(length))]
            assert np.median(farthest) > report.SOLVED, (name, length)


def test_rows_beside_published_numbers() -> None:
    """By hand from results.json, and with the numbers that were published."""
    found = document()["results"]["nets"]
    rows = run.compare(document())
    assert 1 <= len(rows) <= 6
    gru = next(row for row in rows if row.what.startswith("GRU, mean"))
    middle = report.number(sorted(found["400"]["GRU"]["test"]["400"])[2])
    assert gru.ours.startswith(f"{middle} (") and "5.3e-05" in gru.published
    lstm = next(row for row in rows if "forget bias 1, trained" in row.what)
    middle = sorted(found["100"]["LSTM, forget bias 1"]["test"]["100"])[2] ** 0.5
    assert lstm.ours.startswith(f"{middle:.2f} (")
    assert lstm.published.startswith("0.0105; 0.038; 0.105")


def document() -> dict[str, Any]:
    return json.loads((FOLDER / "results.json").read_text())
