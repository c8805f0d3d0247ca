# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The experiment on digits: its tasks, its metric, how it chooses."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.svm import SVC

from experiments import data
from experiments._training import Learner, stack
from experiments.digits import nets, tasks, training
from experiments.digits.run import SMOKE
from experiments.digits.settings import Settings

pytestmark = [
    pytest.mark.usefixtures("as_users_have_it", "in_32_bits"),
]

LEAVES = "w_x", "w_h", "b"


def images(count: int, seed: int = 0) -> np.ndarray:
    shape = count, data.SIDE, data.SIDE
    return np.random.default_rng(seed).random(shape, np.float32)


def noise() -> data.Digits:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 10, 20).astype(np.int32), rng.integers(0, 10, 30)
    return data.Digits(images(20), y[0], images(30, 2), y[1].astype(np.int32))


def plan(net: Any, **changes: Any) -> training.Plan:
    settings = dataclasses.replace(SMOKE, validation=6, **changes)
    return training.Plan(settings, net, 28, 28, units=3, batch=5, epochs=6)


def test_tasks_are_what_a_loop_over_pixels_gives() -> None:
    x = images(3)
    np.testing.assert_array_equal(tasks.sequences("rows", x, 0), x)
    pixels = tasks.sequences("pixels", x, 0)
    assert pixels.shape == (3, 196, 1)
    for t in (0, 1, 14, 100, 195):
        i, j = 2 * (t // 14), 2 * (t % 14)
        square = [x[:, i, j], x[:, i, j + 1], x[:, i + 1, j], x[:, i + 1, j + 1]]
        np.testing.assert_allclose(pixels[:, t, 0], sum(square) / 4, rtol=1e-6)


@pytest.mark.parametrize("task", ["rows", "pixels"])
def test_permuted_tasks_have_one_order_for_all_digits(task: Any) -> None:
    """Found again from the values, which are all different."""
    x = images(4)
    plain = tasks.sequences(task, x, 0).reshape(4, -1)
    permuted = tasks.sequences(f"{task}-permuted", x, 0)
    assert permuted.shape == (4, *tasks.steps_and_inputs(task))
    flat = permuted.reshape(4, -1)
    order = [int(np.flatnonzero(plain[0] == value)[0]) for value in flat[0]]
    assert sorted(order) == list(range(plain.shape[1])) != order
    np.testing.assert_array_equal(flat, plain[:, order])
    alone = tasks.sequences(f"{task}-permuted", x[2:3], 0)
    np.testing.assert_array_equal(alone[0], permuted[2])


def test_order_is_nothing_to_a_baseline() -> None:
    digits = data.digits(train=200, held_out=100, seed=0)
    scores = []
    for task in ("rows", "rows-permuted"):
        x, held_out = (
            tasks.sequences(task, a, 0).reshape(len(a), -1)
            for a in (digits.x, digits.held_out_x)
        )
        scores.append(SVC().fit(x, digits.y).predict(held_out))
    np.testing.assert_array_equal(*scores)


def test_gates_start_with_long_memories() -> None:
    key, steps = jax.random.key(0), 50
    lstm: Any = nets.init("LSTM", key, 1, 64, steps)
    i, f, g, o = np.split(np.asarray(lstm.b), 4)
    np.testing.assert_array_equal(i, -f)
    assert not g.any() and not o.any()
    gru: Any = nets.init("GRU", key, 1, 64, steps)
    r, z, n = np.split(np.asarray(gru.b), 3)
    assert not r.any() and not n.any()
    for kept in (f, z):  # b = log(u), u from U[1, steps - 1]
        assert 1 <= np.exp(kept).min() < 5 and 45 < np.exp(kept).max() <= 49


def test_an_epoch_without_a_step_measures_what_numpy_does() -> None:
    """Rate 0: loss and accuracy are those of the network that came in."""
    one, digits = plan("RNN"), noise()
    network = training.init(one, jax.random.key(0))
    order = training.minibatches(one, 20, 3, 1)
    assert sorted(order.ravel()) == list(range(20)) and order.shape == (4, 5)
    opt_state = training.optimizer(one, 24, 0.0).init(network)
    lane = Learner(network, opt_state), order, jax.random.key(1), 0.0
    lanes = jax.tree.map(lambda a: jnp.asarray(a)[None], lane)
    after, loss, accuracy = training.epochs(one, digits, lanes)

    def scores(x: np.ndarray) -> np.ndarray:
        h = np.zeros((len(x), 3))
        for t in range(x.shape[1]):
            w_x, w_h, b = (np.asarray(getattr(network.cell, k)) for k in LEAVES)
            h = np.tanh(x[:, t] @ w_x + h @ w_h + b)
        return h @ np.asarray(network.w)

    jax.tree.map(np.testing.assert_array_equal, stack([network]), after.params)
    x, y, held_out_x, held_out_y = digits
    z = scores(x)
    nats = np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]
    np.testing.assert_allclose(loss, [nats.mean()], rtol=1e-5)
    right = np.mean(scores(held_out_x).argmax(1) == held_out_y)
    np.testing.assert_allclose(accuracy, [right], rtol=1e-6)


def test_zoneout_is_drawn_while_training_alone() -> None:
    one = plan("LSTM-zoneout", zoneout=0.5)
    network = training.init(one, jax.random.key(0))
    x = jnp.asarray(images(2)[:, :4])
    read = jax.jit(lambda key: training.logits(one, network, x, key))
    first, second = read(jax.random.key(1)), read(jax.random.key(2))
    assert np.abs(first - second).max() > 1e-4
    expected = training.logits(one, network, x)
    assert np.abs(expected - first).max() > 1e-4


def test_the_rate_is_chosen_without_the_held_out_digits(monkeypatch: Any) -> None:
    """A false `train` sees which digits it is given, and makes up accuracies."""
    seen = []

    def train(plan: Any, digits: Any, seeds: Any, rates: Any, *_: Any) -> Any:
        seen.append((plan, digits))
        assert rates == (3.0, 2.0, 1.0) and seeds == [1000] * 3
        return {"held_out_accuracy": np.asarray([[0.9, 0.1], [0.1, 0.5], [0.1, 0.5]])}

    monkeypatch.setattr(training, "train", train)
    one, digits = plan("RNN", rates=(3.0, 2.0, 1.0)), noise()
    found = training.choose(one, digits, None, None)
    assert found == {"rate": 1.0, "validation_accuracy": [0.1, 0.5, 0.5]}
    assert 1000 not in Settings().seeds
    ((used, given),) = seen
    assert used == one
    np.testing.assert_array_equal(np.concatenate(given[::2]), digits.x)
    np.testing.assert_array_equal(np.concatenate(given[1::2]), digits.y)
    assert len(given.held_out_y) == 6
    alone = plan("RNN", rates=(0.5,))
    found = training.choose(alone, digits, None, None)
    assert found == {"rate": 0.5, "validation_accuracy": []} and len(seen) == 1
