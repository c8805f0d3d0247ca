# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The tasks of 1997 are those of the paper, and success is what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.progress import Progress

from experiments import reber
from experiments.battery_1997 import cases, nets, run, tasks, training
from lstm_jax.initializers import chrono

pytestmark = [
    pytest.mark.usefixtures("as_users_have_it", "in_32_bits"),
]


def test_adding() -> None:
    """Every sequence read by hand: lengths, markers, and what is summed."""
    count, steps = 400, 100
    keys = jax.random.split(jax.random.key(0), count)
    draw = jax.jit(jax.vmap(tasks.adding, (0, None, None)), static_argnums=2)
    at_the_first = 0
    lengths, ones, twos = set[int](), set[int](), set[int]()
    for reading in range(3):
        for x, target, asked in zip(
            *jax.device_get(draw(keys, reading, steps)), strict=True
        ):
            (last,) = np.flatnonzero(asked)
            value, marker = np.asarray(x).T
            assert abs(value).max() <= 1 and asked[last] == 1 and marker[last] == -1
            marks = [n for n in range(1, last) if marker[n] != 0]
            assert (marker[marks] == 1).all() and max(marks) <= steps // 2 - 1
            if len(marks) == 1:  # the other mark fell on the first pair
                at_the_first += 1
                assert marker[0] == (-1 if reading == 1 else 1)
                assert (value[0] == 0) == (reading == 0)
            else:
                assert len(marks) == 2 and min(marks) < 10 and marker[0] == -1
                ones |= {min(marks)}
                twos |= {max(marks)}
            expected = 0.5 + sum(value[n] for n in marks) / 4
            np.testing.assert_allclose(target[last], expected, rtol=1e-6)
            lengths.add(int(last) + 1)
    assert 0.07 < at_the_first / (3 * count) < 0.17
    assert lengths == set(range(100, 111)) and ones == set(range(1, 10))
    assert twos >= set(range(2, 50)) and max(twos) == 49


def test_temporal_order() -> None:
    keys = jax.random.split(jax.random.key(1), 400)
    draw = jax.jit(jax.vmap(tasks.temporal_order, (0, None, None)), static_argnums=2)
    ones, twos = set[int](), set[int]()
    classes, lengths = set[int](), set[int]()
    for x, target, asked in zip(*jax.device_get(draw(keys, 0, 100)), strict=True):
        (last,) = np.flatnonzero(asked)
        text = "".join("EBabcdXY"[n] for n in np.asarray(x).argmax(-1))[: last + 1]
        assert text[0] == "E" and text[-1] == "B" and set(text[1:-1]) <= set("abcdXY")
        one, two = (n for n, symbol in enumerate(text) if symbol in "XY")
        kind = ["XX", "XY", "YX", "YY"].index(text[one] + text[two])
        assert (target[last] == np.eye(4)[kind]).all()
        ones, twos = ones | {one}, twos | {two}
        classes, lengths = classes | {kind}, lengths | {len(text)}
    assert ones == set(range(10, 21)) and twos == set(range(50, 61))
    assert classes == set(range(4)) and lengths == set(range(100, 111))


def test_reber_sets() -> None:
    """Test strings are new; what may follow agrees with the strings themselves."""
    train, test = tasks.strings(0, 64)
    assert len(train) == len(test) == 64
    texts = [
        ["".join(reber.SYMBOLS[n] for n in s.symbols) for s in half]
        for half in (train, test)
    ]
    assert not set(texts[0]) & set(texts[1])
    assert all(
        t[1] == t[-2] and t[0] == "B" and t[-1] == "E" for half in texts for t in half
    )
    sets = tasks.padded([train, tasks.distinct(test)])
    assert sets.symbols.shape[1] == 64 > len(set(texts[1]))
    sample = tasks.reber_sample(jax.random.key(3), 0, sets)
    (asked,) = np.flatnonzero(np.diff(sample.asked) == -1)
    text = "".join(reber.SYMBOLS[n] for n in sample.x.argmax(-1))[: asked + 2]
    assert text in texts[0] and sample.asked.sum() == len(text) - 1
    following = "".join(reber.SYMBOLS[n] for n in sample.target.argmax(-1))
    assert following[: asked + 1] == text[1:]
    legal = tasks.reber_sample(jax.random.key(3), 0, sets, all_legal=True)
    assert (legal.x == sample.x).all() and (legal.asked == sample.asked).all()
    comes = sample.target[: asked + 1].astype(bool)
    assert (legal.target[: asked + 1].sum(-1) <= 2).all()
    assert (legal.target[: asked + 1][comes] == 1).all()


def test_all_right() -> None:
    legal = np.zeros((3, 7), bool)
    legal[0, [1, 4]] = legal[1, 2] = True  # the third is padding
    y = np.full((3, 7), 0.5)
    y[0, [1, 4]], y[1, 2] = 0.6, 0.9
    assert tasks.all_right(jnp.asarray(y), jnp.asarray(legal))
    y[0, 4] = 0.5  # as active as an illegal one
    assert not tasks.all_right(jnp.asarray(y), jnp.asarray(legal))


def test_milestones() -> None:
    """Against a loop that looks at the last sequences after each one."""
    rng = np.random.default_rng(0)
    bars, window = training.Bars(0.2, 0.45, 5), 5
    errors = rng.uniform(0, 0.5, (6, 90, 1)) * np.linspace(1.2, 0.4, 90)[:, None]
    errors = np.concatenate([errors, errors**1.1, errors**2], -1)
    first = np.zeros((6, 4), int)
    recent = np.ones((6, window, 3))
    for begin in range(0, 90, 3):
        new = errors[:, begin : begin + 3]
        first = training.milestones(first, recent, new, begin, bars)
        recent = np.concatenate([recent, new], 1)[:, -window:]
    for row, found in zip(errors, first, strict=True):
        expected = [0, 0, 0, 0]
        for n in range(window, 91):
            last = row[n - window : n]
            low, right = last[:, 1].mean() < 0.2, last[:, 0].max() < 0.45
            holds = low, last[:, 2].mean() < 0.2, right, low and right
            expected = [e or n * h for e, h in zip(expected, holds, strict=True)]
        assert found.tolist() == expected and all(expected)
    assert len({tuple(row) for row in first.tolist()}) > 1


def test_an_update_a_step_is_that_of_the_sequence_for_small_rates() -> None:
    """The derivatives carried forward give what `jax.grad` gives backward."""
    sets = tasks.padded([tasks.strings(0, 8)[0]])
    net = jax.jit(nets.literal, static_argnums=1)(
        jax.random.key(0), nets.LAYOUTS["reber 3x2"]
    )
    with jax.enable_x64(True):
        net = jax.tree.map(lambda a: 3 * jnp.asarray(a, float), net)
        sample = tasks.reber_sample(jax.random.key(1), 0, sets)
        sample = jax.tree.map(lambda a: jnp.asarray(a, float), sample)
        rate = 1e-6
        whole, before = jax.jit(training.update)(net, sample, rate)
        steps, after = jax.jit(training.update_each_step)(net, sample, rate)
        moves = [
            jax.tree.map(lambda a, b: (a - b) / rate, n, net) for n in (whole, steps)
        ]
        for one, other in zip(*map(jax.tree.leaves, moves), strict=True):
            assert abs(one).max() > 1e-3
            np.testing.assert_allclose(one, other, atol=1e-4 * abs(one).max())
        np.testing.assert_allclose(before, after, rtol=1e-4)


@pytest.mark.parametrize("case", nets.LAYOUTS)
def test_weights_and_where_they_start(case: str) -> None:
    layout = nets.LAYOUTS[case]
    net = jax.jit(nets.literal, static_argnums=1)(jax.random.key(0), layout)
    assert (
        nets.weights(net)
        == {
            "reber 3x2": 276,
            "reber 4x1": 264,
            "reber 8x2": 1376,
            "adding": 93,
            "order": 156,
        }[case]
    )
    i, o = np.split(np.asarray(net.cell.b), 2)
    bound = 0.2 if case.startswith("reber") else 0.1
    free = [net.w, net.cell.w_x, net.cell.w_h]
    if case.startswith("reber"):
        assert net.b is None and net.cell.b_g is None
        first = -0.5 if case == "reber 8x2" else -1
        assert o.tolist() == [first * k for k in range(1, 1 + len(o))]
        free.append(i)
    else:
        assert i.tolist() == {"adding": [-3, -6], "order": [-2, -4]}[case]
        free += [o, net.b, net.cell.b_g]
    assert all(0 < abs(np.asarray(a)).max() <= bound for a in free)
    width, inputs, outputs = nets.modern_width(layout), layout.inputs, layout.outputs
    modern = jax.eval_shape(lambda: nets.modern(jax.random.key(0), layout, chrono(9)))
    one, less = (
        4 * w * (inputs + w + 1) + (w + 1) * outputs for w in (width, width - 1)
    )
    assert less < layout.weights <= one == nets.weights(modern)


def test_a_linear_output_is_not_squashed() -> None:
    net = nets.literal(jax.random.key(0), nets.LAYOUTS["adding"])
    x = jax.random.normal(jax.random.key(1), (9, 2))
    squashed = np.asarray(nets.outputs(net, x))
    linear = np.asarray(nets.outputs(net.replace(linear=True), x))
    np.testing.assert_allclose(squashed, 1 / (1 + np.exp(-linear)), rtol=1e-5)
    assert nets.weights(net.replace(linear=True)) == 93


def test_budgets_are_whole_chunks() -> None:
    settings = run.Settings(budget=3.0)
    with Progress(disable=True) as progress:
        work = run.Work(settings, progress, None)
        case = cases.CASES["reber 3x2"]
        trials = work.trials(1, 2, 0.5, 1)
        trained = work.training_run("reber 3x2", case, None, None, trials, 100)
    assert trained.budget == 25_400
