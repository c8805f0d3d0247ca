# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The experiments run, say what they found, and measure what they say."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lstm_jax
from experiments import (
    __main__,
    _figure,
    _registry,
    _results,
    _run_cache,
    _training,
    data,
    reber,
)
from experiments.gradient_lag import gradients, nets

pytestmark = pytest.mark.usefixtures("as_users_have_it", "small_data")

# Those that read files run on the real ones too.
RUNS = [
    *_registry.names(),
    *(
        pytest.param(name, id=f"{name}-real", marks=pytest.mark.data)
        for name in ("characters", "odyssey", "streamflow")
    ),
]


def run(name: str, folder: Path) -> dict[str, Any]:
    __main__.main(["run", name, "--smoke", "--out", str(folder)])
    return json.loads((folder / "results.json").read_text())


def test_list(capsys: Any) -> None:
    __main__.main(["list"])
    text = capsys.readouterr().out
    for name in _registry.names():
        cost = _results.cost(_results.committed(name))
        for part in (name, cost, *dataclasses.astuple(_registry.about(name))):
            assert part in text
    assert len(_registry.names()) == 9


def test_gradient_of_states_is_that_of_a_perturbed_run() -> None:
    """Against finite differences of a loop that adds to one state by hand."""
    params = nets.lstms(3, 4, 9)["forget bias 2"](jax.random.key(0))
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


@pytest.mark.parametrize("name", RUNS)
def test_smoke(name: str, tmp_path: Path, capsys: Any) -> None:
    """Every experiment runs, in seconds, and shows what it found."""
    document = run(name, tmp_path)
    experiment = _registry.load(name)
    tables = experiment.tables(document)
    assert tables in capsys.readouterr().out
    assert all(all(row[:2]) for row in experiment.compare(document))
    assert not re.search(r"\b(nan|inf)\b", tables)
    figures = list(tmp_path.glob("*.png"))
    assert figures and all(f.stat().st_size > 10_000 for f in figures)
    assert str(tmp_path) not in (tmp_path / "results.json").read_text()
    assert not (tmp_path / "cache").exists()


def test_what_is_committed_agrees(capsys: Any) -> None:
    __main__.main(["verify"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [*_registry.names(), "report"]
    for line in lines:
        held, made = re.findall(r"\d+", line.split(":")[1])
        assert held == made and int(made) > 20


@pytest.mark.parametrize(
    "path, value, said",
    [
        ("adding/nets/400/LSTM, chrono/test/400/0", 0.5, "all seeds; with 4"),
        ("battery_1997/courses/order/0/weights", 157, "order has 156 weights"),
        ("characters/held_out_nats", 1.66, "rise in this order; the loss is 1.66"),
        ("digits/tasks/rows/LSTM/held_out_accuracy/2/-1", 0.9, "seed; one has 0.9"),
        ("forgetting/kinds/no forget gate/perfect_after/0", 9, "none is perfect; 1"),
        ("gradient_lag/closed_form_error", 0.02, "less than 0.01; it is by 0.02"),
        ("memory_rl/tasks/chain 40/LSTM/returns/2/-1", -1, "with every seed; 4"),
        ("odyssey/stack/test/1", 8.5, "below the published 8.45; one has 8.5"),
        ("streamflow/splits/forwards/LSTM/test/3", 0.5, "the lowest has 0.5"),
    ],
)
def test_a_changed_number_is_noticed(
    path: str, value: float, said: str, monkeypatch: Any, capsys: Any
) -> None:
    """By what the experiment itself claims, and by its README."""
    name, *steps = path.split("/")
    document = _results.committed(name)
    place: Any = document["results"]
    for step in steps[:-1]:
        place = place[int(step) if isinstance(place, list) else step]
    last: Any = int(steps[-1]) if isinstance(place, list) else steps[-1]
    assert place[last] != value
    place[last] = value
    monkeypatch.setattr(_registry, "names", lambda: [name])
    monkeypatch.setattr(_results, "committed", lambda _: document)
    with pytest.raises(SystemExit, match="claims do not hold"):
        __main__.main(["verify"])
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith(f"{name}: not so: ") and said in line for line in lines)
    assert f"{name}: not so: README.md has the tables of results.json" in lines


def test_report_names_what_is_missing(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(_registry, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match="run digits"):
        _results.committed("digits")


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """Results and loop states are reused, under the same settings alone."""
    settings = __main__.parse("digits", ["--smoke"])[0]

    def cache(settings: Any = settings) -> _run_cache.RunCache:
        return _run_cache.RunCache(tmp_path, "digits", settings)

    def chunk(n: int, state: Any) -> Any:
        if n == stop:
            raise KeyboardInterrupt
        return {"a": state["a"] * 3 + n, "key": state["key"]}

    start = {"a": jnp.ones(2, jnp.int32), "key": jnp.zeros(2, jnp.uint32)}
    stop = 3
    with pytest.raises(KeyboardInterrupt):
        cache().loop("one", start, chunk, 5)
    with pytest.raises(KeyboardInterrupt):
        cache().loop("two", start, chunk, 5)
    stop = 0  # what was done is not done again
    went_on = cache()
    assert went_on.loop("one", start, chunk, 5)["a"].tolist() == [301, 301]
    assert went_on.earlier > 0
    assert went_on.loop("one", start, chunk, 5)["a"].tolist() == [301, 301]
    few = went_on.loop("two", start, chunk, 5, lambda s: s["a"][0] > 30)
    assert few["a"].tolist() == [32, 32]
    stop = -1
    other = dataclasses.replace(settings, seeds=(7,))
    assert cache(other).loop("one", start, chunk, 1)["a"].tolist() == [3, 3]

    made = {"x": np.float32(0.1), "y": [jnp.arange(3)], "n": None, "s": "text"}
    first = cache()("part", lambda: made)
    assert first == {
        "x": float(np.float32(0.1)),
        "y": [[0, 1, 2]],
        "n": None,
        "s": "text",
    }
    assert cache()("part", dict) == first
    stop = 0
    cache().clear()  # what another run has finished here is left
    assert cache()("part", dict) == {}
    assert cache(other).loop("one", start, chunk, 1)["a"].tolist() == [3, 3]
    cache().clear()
    cache(other).clear()
    assert not list(tmp_path.iterdir())


def test_steps_and_their_average_are_those_of_a_loop() -> None:
    """Two chunks of gradient descent whose batches and carry are numbers."""

    def loss(p: Any, carry: Any, batch: Any, key: Any) -> Any:
        drawn = jax.random.normal(key)
        value = 0.5 * (p - batch - carry - drawn) ** 2
        return value, (carry + batch, drawn)

    average_of = _training.params_ema(lambda n: jnp.where(n < 3, 0.5, 0.75))
    tx = optax.chain(optax.sgd(0.25), average_of)
    key, batches = jax.random.key(5), jnp.array([0.5, -1.0, 2.0, 0.25, 3.0])
    p = average = 1.5
    learner = _training.Learner(jnp.asarray(p), tx.init(jnp.asarray(p)), jnp.zeros(()))
    values = []
    for first, end in ((0, 2), (2, 5)):
        learner, value, drawn = _training.run_steps(
            loss, tx, learner, batches[first:end], key=key, first=first
        )
        values += value.tolist()
    expected, carry = [], 0.0
    for n, batch in enumerate(batches.tolist()):
        noise = float(jax.random.normal(jax.random.fold_in(key, n)))
        error = p - batch - carry - noise
        expected.append(0.5 * error**2)
        p, carry = p - 0.25 * error, carry + batch
        kept = 0.5 if n < 3 else 0.75
        average = kept * average + (1 - kept) * p
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    assert drawn.shape == (3,) and float(drawn[-1]) == noise
    found = learner.params, learner.opt_state[-1].average, learner.carry
    np.testing.assert_allclose(found, (p, average, carry), rtol=1e-12)


def test_what_has_been_tried_is_known(tmp_path: Path) -> None:
    log = _training.TuningLog(tmp_path / "tuning.json")
    key = {"net": "V", "recipe": {"rates": [0.1]}}
    assert key not in log
    log.add(key | {"valid": 1.23456789}, {"net": "FGR"})
    again = _training.TuningLog(log.path)
    assert key in again and again.rows == [key | {"valid": 1.2346}, {"net": "FGR"}]
    assert {"net": "V", "recipe": {"rates": [0.2]}} not in again


def test_only_a_run_as_committed_replaces_what_is(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    """Other settings have a folder of their own."""
    kept = _registry.FOLDER / "streamflow" / "results.json"
    before = kept.read_bytes()
    smoke = _registry.load("streamflow").SMOKE
    monkeypatch.setattr(__main__, "parse", lambda name, arguments: (smoke, None))
    monkeypatch.chdir(tmp_path)
    __main__.main(["run", "streamflow"])
    assert kept.read_bytes() == before
    assert (tmp_path / "results" / "streamflow" / "results.json").exists()


def test_classes_have_equal_shares() -> None:
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


def test_an_experiment_that_is_stopped_gives_the_same_results(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Streamflow, killed after the first of its two chunks."""
    write, count = _run_cache._replace, iter(range(9))

    def once(path: Path, save: Any) -> None:
        write(path, save)
        if next(count) == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(_run_cache, "_replace", once)
    with pytest.raises(KeyboardInterrupt):
        run("streamflow", tmp_path / "stopped")
    assert list((tmp_path / "stopped" / "cache").glob("*/*"))
    went_on = run("streamflow", tmp_path / "stopped")
    assert next(count) == 2  # one chunk each time
    assert went_on["results"] == run("streamflow", tmp_path / "whole")["results"]


def test_strings_of_the_embedded_reber_grammar() -> None:
    """Against a pattern of the grammar; every legal symbol occurs, and no other."""
    rng = np.random.default_rng(0)
    inner = "(TS*X|PT*V)"  # up to where the two halves can cross
    strings = [reber.embedded(rng) for _ in range(2000)]
    seen: dict[str, set[str]] = {}
    legal: dict[str, set[str]] = {}
    for string in strings:
        text = "".join(reber.SYMBOLS[s] for s in string.symbols)
        assert re.fullmatch(rf"B([TP])B{inner}[TPSXV]+E\1E", text)
        assert string.legal.shape == (len(text), 7) and not string.legal[-1].any()
        for n in range(1, len(text)):
            seen.setdefault(text[:n], set()).add(text[n])
            allowed = np.flatnonzero(string.legal[n - 1])
            legal.setdefault(text[:n], set()).update(reber.SYMBOLS[s] for s in allowed)
            assert string.legal[n - 1, string.symbols[n]]
    assert all(seen[prefix] <= legal[prefix] for prefix in seen)
    short = [prefix for prefix in seen if len(prefix) <= 4]
    assert len(short) == 9 and all(seen[p] == legal[p] for p in short)
    lengths = [len(s.symbols) for s in strings]
    assert min(lengths) == 9 and abs(np.mean(lengths) - 12) < 0.5


def test_floats_are_rounded_and_the_path_left_out() -> None:
    assert _results.rounded({"a": (1.23456789, 3, "x")}) == {"a": [1.2346, 3, "x"]}
    assert __main__.without_out(["--out", "p", "--units", "3"]) == ["--units", "3"]
    assert __main__.without_out(["--smoke", "--out=p"]) == ["--smoke"]
