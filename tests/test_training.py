# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Steps, epochs, streams in windows, the log, and what stops a run."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lstm_jax
from lstm_jax import training
from lstm_jax.testing import reference
from lstm_jax.training import _fit
from tests import training_run
from tests.training_run import batches, start

pytestmark = pytest.mark.usefixtures("as_users_have_it")


def double(state: training.TrainState, tx: Any) -> training.TrainState:
    """The state in float64, before its first step."""
    params, carry = jax.tree.map(
        lambda a: a.astype(jnp.float64), (state.params, state.carry)
    )
    return training.create(params, tx, carry=carry)


def by_hand(state: Any, batch: training.Windows) -> tuple[Any, Any]:
    """Gradient of one window and the carry, without the library's scan or losses."""
    x, target = map(jnp.asarray, batch.data)

    def value(params: Any) -> Any:
        total, carries = jnp.zeros(()), []
        for row in range(x.shape[0]):
            h, c = (jnp.asarray(a[row]) for a in state.carry)
            for t in range(batch.lengths[row]):
                if batch.resets[row, t]:
                    h, c = jnp.zeros_like(h), jnp.zeros_like(c)
                p = params["lstm"]
                i, f, g, o = jnp.split(x[row, t] @ p.w_x + h @ p.w_h + p.b, 4)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                h = jax.nn.sigmoid(o) * jnp.tanh(c)
                total += jnp.sum((h @ params["w"] - target[row, t]) ** 2)
            carries.append((h, c))
        count = max(1, batch.lengths.sum())
        return total / count, jax.tree.map(lambda *a: jnp.stack(a), *carries)

    return jax.value_and_grad(value, has_aux=True)(state.params)


def test_a_step_is_optax_by_hand() -> None:
    """Loss, carry and parameters, clipped and with momentum, over three windows."""
    tx = optax.chain(optax.clip_by_global_norm(0.05), optax.sgd(0.1, momentum=0.9))
    state = double(start(key=None), tx)
    step = jax.jit(training.train_step(training_run.loss))
    speed = jax.tree.map(jnp.zeros_like, state.params)
    clipped = 0
    for k in range(3):
        batch = training.cycle(batches())(k)
        (loss, carry), gradient = by_hand(state, batch)
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(gradient)))
        scale = min(1.0, 0.05 / norm)
        clipped += scale < 1
        gradient_used = jax.tree.map(partial(jnp.multiply, scale), gradient)
        speed = jax.tree.map(lambda s, g: 0.9 * s + g, speed, gradient_used)
        expected = jax.tree.map(lambda p, s: p - 0.1 * s, state.params, speed)
        state, outcome = step(state, batch)
        chex.assert_trees_all_close(state.params, expected, rtol=1e-10)
        chex.assert_trees_all_close(tuple(state.carry), carry, rtol=1e-10)
        np.testing.assert_allclose(outcome.loss, loss, rtol=1e-10)
        np.testing.assert_allclose(outcome.metrics["error"].value, loss, rtol=1e-10)
        for norms, of in ((outcome.gradient, gradient), (outcome.params, expected)):
            flat = jax.tree.map(lambda a: np.linalg.norm(a.reshape(-1)), of)
            chex.assert_trees_all_close(norms, flat, rtol=1e-6)
    assert clipped and int(state.step) == 3


def test_accumulation_is_the_whole_batch() -> None:
    """Four quarters by `optax.MultiSteps` move parameters as their union does."""
    whole = jax.random.normal(jax.random.key(0), (8, 6, 2), jnp.float64)

    def loss(params: Any, carry: Any, x: Any, key: Any) -> Any:
        y, _ = lstm_jax.apply(params["lstm"], x)
        return jnp.mean(y**2), (carry, ())

    step = jax.jit(training.train_step(loss))
    one = double(start(key=None), optax.adam(1e-2))
    many = double(start(key=None), optax.MultiSteps(optax.adam(1e-2), 4))
    once, _ = step(one, whole)
    for quarter in jnp.split(whole, 4):
        before = many.params
        many, _ = step(many, quarter)
    chex.assert_trees_all_equal(before, one.params)
    chex.assert_trees_all_close(many.params, once.params, rtol=1e-7)


def test_an_epoch_is_its_steps_in_one_trace() -> None:
    """Dropout draws by the step, so that any division into scans gives the same."""
    step = training.train_step(training_run.loss)
    stacked = batches()
    run = training.epoch(chex.assert_max_traces(step, 1))
    first = state = start()
    whole, outcomes = run(first, stacked)
    one = jax.jit(step)
    for k in range(len(stacked.lengths)):
        state, outcome = one(state, training.cycle(stacked)(k))
        np.testing.assert_allclose(outcomes.loss[k], outcome.loss, rtol=1e-5)
    chex.assert_trees_all_close(whole.params, state.params, atol=1e-6)
    losses = run(first.replace(key=jax.random.key(2)), stacked)[1].loss
    assert not np.allclose(losses, outcomes.loss)  # the key reaches the loss
    assert not jax.tree.leaves(first)[0].is_deleted()
    training.epoch(step, donate=True)(first, stacked)
    assert jax.tree.leaves(first)[0].is_deleted()


@pytest.mark.parametrize(
    "size, lanes, window", [(1, 1, 1), (1, 3, 2), (23, 4, 3), (24, 4, 6), (7, 2, 50)]
)
def test_no_step_of_a_stream_is_lost(size: int, lanes: int, window: int) -> None:
    stream = {"a": np.arange(1, size + 1), "b": np.ones((size, 2, 3), np.float32)}
    resets = np.arange(size) % 5 == 3
    cut = training.windows(stream, lanes, window, resets)
    each = math.ceil(size / lanes)
    number = math.ceil(each / window)
    chex.assert_shape(cut.data["a"], (number, lanes, window))
    chex.assert_shape(cut.data["b"], (number, lanes, window, 2, 3))
    found = []
    for lane in range(lanes):
        for n in range(number):
            length = cut.lengths[n, lane]
            found += list(cut.data["a"][n, lane, :length])
            assert (cut.data["a"][n, lane, length:] == 0).all()
            own = cut.resets[n, lane, :length]
            at = lane * each + n * window
            expected = resets[at : at + length].copy()
            expected[:1] |= n == 0
            assert (own == expected).all()
    assert found == list(range(1, size + 1))


def test_windows_refuse() -> None:
    for match, arguments in {
        r"one S of at least 1; got \(0,\)": (np.zeros(0), 1, 1),
        "lanes and window must be at least 1; got 0 and 1": (np.zeros(3), 0, 1),
        r"resets must have shape \(S,\) with S=3 .*; got \(2,\)": (
            np.zeros(3),
            1,
            1,
            np.zeros(2, bool),
        ),
    }.items():
        with pytest.raises(ValueError, match=match):
            training.windows(*arguments)
    with pytest.raises(ValueError, match="one S"):
        training.windows((np.zeros(3), np.zeros(4)), 1, 1)


def network() -> Any:
    return lstm_jax.init(jax.random.key(3), 2, [5, 4], dtype=jnp.float64)


def total(params: Any, carry: Any, x: Any, lengths: Any, resets: Any, **more: Any):
    """Sum of a loss over a window, and the carry."""
    call = dict(lengths=lengths, resets=resets, **more)
    y, carry = lstm_jax.apply(params, x, carry, **call)
    return jnp.sum(jnp.sin(y) * (1 + y)), carry


@pytest.mark.parametrize("window", [1, 4, 9])
def test_windows_are_the_whole_stream(window: int) -> None:
    """Loss over windows, carry and gradient, against each document run alone."""
    rng = np.random.default_rng(0)
    stream, resets = rng.normal(size=(25, 2)), rng.random(25) < 0.15
    cut = training.windows(stream, 3, window, resets)
    params = network()
    carry = jax.tree.map(  # of an earlier pass; the first window resets it
        lambda a: a + 1.0, lstm_jax.zero_state(params, (3,))
    )

    @jax.jit
    def whole(params: Any) -> Any:
        def body(carry: Any, batch: training.Windows) -> Any:
            carry = jax.lax.stop_gradient(carry)
            value, carry = total(params, carry, *batch)
            return carry, value

        return jax.lax.scan(body, carry, cut)[1].sum()

    value, gradient = jax.value_and_grad(whole)(params)
    expected = 0.0
    for lane in np.split(np.arange(25), [9, 18]):
        for document in np.split(lane, np.flatnonzero(resets[lane])):
            y, _ = reference(params, stream[document])
            expected += np.sum(np.sin(y) * (1 + y))
    np.testing.assert_allclose(value, expected, rtol=1e-12)

    # One lane a row, padded; truncated where the windows are.
    one = training.windows(stream, 3, 9, resets)
    full = jax.tree.map(lambda a: a[0], one)
    zero = lstm_jax.zero_state(params, (3,))
    truncated = jax.grad(lambda p: total(p, zero, *full, truncate=window)[0])(params)
    chex.assert_trees_all_close(gradient, truncated, rtol=1e-10, atol=1e-12)
    if window == 9:
        full_gradient = jax.grad(lambda p: total(p, zero, *full)[0])(params)
        chex.assert_trees_all_close(gradient, full_gradient, rtol=1e-12, atol=1e-13)


def test_the_log_has_each_step_once(tmp_path: Path) -> None:
    log = training.Log(tmp_path, tensorboard=True)
    log.begin(0, 6)
    for step in (2, 4):
        log.write(step, {"loss": step / 2, "note": "x", "bad": float("nan")})
    log.close()
    with log.path.open("a") as file:
        file.write('{"step": 6, "lo')  # torn
    log.begin(2, 6)
    log.write(4, {"loss": 7.0})
    log.close()
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    first = {"step": 2, "loss": 1.0, "note": "x", "bad": "nan"}
    assert lines == [first, {"step": 4, "loss": 7.0}]
    events = [p.read_bytes() for p in sorted(tmp_path.glob("events.*"))]
    assert len(events) == 2 and all(b"loss" in e for e in events)


def test_a_terminal_has_a_bar(tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    log = training.Log(tmp_path, tensorboard=False)
    log.begin(0, 8)
    log.write(4, {"loss": 1.25})
    log.close()
    assert capfd.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    log.begin(4, 8)
    log.write(8, {"loss": 1.25})
    log.close()
    shown = capfd.readouterr().err
    assert "8/8" in shown and "loss 1.25" in shown


def poisoned(step: int, target: str, amount: float) -> Any:
    """The loss, with something large or not a number added at one step."""

    def loss(params: Any, carry: Any, batch: Any, key: Any) -> Any:
        value, (carry, metrics) = training_run.loss(params, carry, batch[0], key)
        leaf = params["w"] if target == "w" else params["lstm"].w_h
        value = value + jnp.where(batch[1] == step, amount, 0.0) * leaf.sum()
        return value, (carry, metrics)

    return training.train_step(loss)


@pytest.mark.parametrize("target, path", [("w", "w"), ("w_h", "lstm/w_h")])
def test_not_a_number_stops_the_run(tmp_path: Path, target: str, path: str) -> None:
    """Named: the step, the parameters concerned and the last good checkpoint."""
    checkpoints = training.Checkpoints(tmp_path)
    log = training.Log(tmp_path, tensorboard=False)
    batch = training.cycle(batches())
    fit = partial(
        training.fit, state=start(), batches=lambda s: (batch(s), np.int32(s)), every=3
    )
    step = poisoned(7, target, 1e38)  # the square of its norm is not finite
    with pytest.raises(training.Diverged, match=r"step 7; .*00000006") as caught:
        fit(step, steps=12, checkpoints=checkpoints, log=log)
    assert caught.value.step == 7
    assert path in caught.value.groups and len(caught.value.groups) == 1
    assert caught.value.checkpoint == checkpoints.path(6)
    assert checkpoints.steps()[-1] == 6
    last = json.loads(log.path.read_text().splitlines()[-1])
    assert last["step"] == 9 and last["diverged"] == path
    # Clipping makes every parameter NaN then; the gradient says where it came from.
    with pytest.raises(training.Diverged, match=r"step 0; .*there is none") as caught:
        fit(poisoned(0, target, float("nan")), steps=3)
    assert caught.value.groups == [path]
    # A newer checkpoint that is not whole is not the last good one.
    (checkpoints.path(6) / "about" / "metadata").write_text("x")
    with (
        pytest.warns(UserWarning, match="00000006 is not whole"),
        pytest.raises(training.Diverged, match="00000003"),
    ):
        fit(poisoned(4, target, 1e38), steps=12, checkpoints=checkpoints)


def test_a_loss_too_large_stops_the_run() -> None:
    batch = training.cycle(batches())
    step = poisoned(4, "w", 1e4)
    with pytest.raises(training.Diverged, match=r"step 4; .*: w;") as caught:
        training.fit(
            step,
            start(),
            lambda s: (batch(s), np.int32(s)),
            steps=9,
            every=3,
            max_loss=100.0,
        )
    assert caught.value.groups == ["w"]


def test_batches_of_several_shapes_run_step_by_step() -> None:
    """One trace a shape, and the same as Optax's own loop."""
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(3, t, 2)).astype(np.float32) for t in (4, 7, 4, 4, 7, 4)]

    def loss(params: Any, carry: Any, x: Any, key: Any) -> Any:
        y, carry = lstm_jax.apply(params["lstm"], x, carry)
        return jnp.mean(y**2), (carry, ())

    step = chex.assert_max_traces(training.train_step(loss), 2)
    chex.clear_trace_counter()
    state = training.fit(step, start(), lambda s: data[s], steps=6, every=6)
    expected = start()
    for x in data:
        (_, (carry, _)), gradient = jax.value_and_grad(loss, has_aux=True)(
            expected.params, expected.carry, x, None
        )
        updates, opt_state = expected.tx.update(
            gradient, expected.opt_state, expected.params
        )
        params = optax.apply_updates(expected.params, updates)
        expected = expected.replace(params=params, opt_state=opt_state, carry=carry)
    chex.assert_trees_all_close(state.params, expected.params, atol=1e-6)


def test_the_log_s_own_names_and_means() -> None:
    """Names that a metric may not have; 16-bit numbers are not added up in 16 bits."""
    ones = np.ones(500, jnp.bfloat16)
    outcomes = training.Outcome(
        3 * ones, {"a": 5 * ones, "b": training.Mean(ones, 2 * ones)}, {}, {}
    )
    expected = {"loss": 3.0, "gradient_norm": 0.0, "a": 5.0, "b": 0.5}
    assert _fit.summary(outcomes) == expected
    with pytest.raises(ValueError, match="no metric may have the name step"):
        _fit.summary(outcomes._replace(metrics={"step": ones}))


def test_an_end_that_is_past_is_an_error() -> None:
    step = training.train_step(training_run.loss)
    state = start().replace(step=jnp.int32(6))
    with pytest.raises(ValueError, match=r"steps must be at least 6, .*; got 4"):
        training.fit(step, state, training.cycle(batches()), steps=4)


def test_flax_s_apply_fn_is_not_there() -> None:
    with pytest.raises(NotImplementedError, match="train_step takes a loss"):
        start().apply_fn()
