# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Learning to forget: its grammar, its cell, its gradient and its test streams."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.forgetting import cell, exam, grammar, modern, online, report, run
from experiments.reber import SYMBOLS, embedded
from lstm_jax import variants

pytestmark = pytest.mark.usefixtures("as_users_have_it")
KINDS = cell.Rules(
    gated=jnp.array([True, False, True, False]),
    reset=jnp.array([False, False, True, True]),
    decay=jnp.array([1.0, 1.0, 1.0, 1.0]),
    both=jnp.array([False, True, True, False]),
)

ENDS = 5  # where streams end in the test of the gradient: in the middle of a string


def nets(count: int, scale: float = 1.0) -> cell.Params:
    """Nets in float64, weights larger than at the start, none of them constant."""
    drawn = [cell.init(np.random.default_rng(n), 2, 3) for n in range(count)]
    return jax.tree.map(
        lambda *w: jnp.asarray(scale * np.stack(w, -1), jnp.float64), *drawn
    )


def test_the_machine_allows_what_the_grammar_allows() -> None:
    rng = np.random.default_rng(0)
    machine = grammar.MACHINE
    for _ in range(200):
        string = embedded(rng)
        place = 0
        assert SYMBOLS[string.symbols[0]] == "B"
        for n, symbol in enumerate(string.symbols[1:]):
            np.testing.assert_array_equal(machine.legal[place], string.legal[n])
            (bit, *_) = np.flatnonzero(machine.symbol[place] == symbol)
            place = machine.place[place, bit]
        only_b = [s == "B" for s in SYMBOLS]
        np.testing.assert_array_equal(machine.legal[place], only_b)
        assert set(machine.place[place]) == {0}


def test_streams_are_strings_of_the_same_lengths() -> None:
    bits = grammar.bits(np.array([(7, 0, 0), (7, 0, 1)]), 0, 40_000)
    machine, place = grammar.MACHINE, np.zeros(2, int)
    symbols = []
    for bit in bits:
        symbols.append(machine.symbol[place, bit])
        place = machine.place[place, bit]
    text = "".join(SYMBOLS[s] for s in np.stack(symbols)[:, 0])
    # The outer E is the one before a B.
    strings = [s + "E" for s in ("B" + text).split("EB")[:-1]]
    strings = [strings[0], *("B" + s for s in strings[1:])]
    rng = np.random.default_rng(1)
    drawn = [len(embedded(rng).symbols) for _ in range(3000)]
    ours = [len(s) for s in strings]
    assert min(ours) == min(drawn) == 9 and all(s[1] == s[-2] for s in strings)
    assert abs(np.mean(ours) - np.mean(drawn)) < 0.3
    assert 0.45 < np.mean([s[1] == "T" for s in strings]) < 0.55
    assert (grammar.bits(np.array([(7, 0, 1)]), 0, 40_000)[:, 0] == bits[:, 1]).all()
    assert 0.49 < (bits[:, 0] == bits[:, 1]).mean() < 0.51
    assert (
        0.49
        < (bits[:, 0] == grammar.bits(np.array([(7, 0, 0)]), 1, 40_000)[:, 0]).mean()
        < 0.51
    )


def test_the_nets_have_as_many_weights_as_published() -> None:
    params = cell.init(np.random.default_rng(0), 4, 2)
    assert sum(w.size for w in params) == 424
    assert sum(w.size for w in params) - params.w_f.size == 360
    assert report.weights({"blocks": 4, "size": 2})[:2] == (424, 360)
    np.testing.assert_array_equal(params.w_i[-1], [-0.5, -1.0, -1.5, -2.0])
    np.testing.assert_array_equal(params.w_f[-1], [0.5, 1.0, 1.5, 2.0])


def test_without_forget_gates_it_is_the_cell_of_1997() -> None:
    """But for the gates' view of gates, whose weights are 0 here."""
    params = jax.tree.map(lambda w: w[..., 0], nets(1, 3.0))
    rules = jax.tree.map(lambda a: a[3], KINDS)
    one = jax.tree.map(lambda w: w[..., None], params)
    w = jnp.concatenate(
        [params.w_i[:-1], params.w_g.reshape(13, 6), params.w_o[:-1]], 1
    )
    old = variants.LSTM1997Params(
        w_x=w[:7],
        w_h=jnp.concatenate([w[7:], jnp.zeros((4, 10))]),
        b=jnp.concatenate([params.w_i[-1], params.w_o[-1]]),
        blocks=2,
    )
    before, state = cell.zero_state(one), variants.zero_state(old)
    for symbol in (0, 1, 0, 4, 5, 2, 6):
        u = cell.seen(jnp.array([symbol]), before.h)
        before, _, _ = cell.cell_step(rules, one, before.c, u)
        state, h = variants.step(old, state, jnp.eye(7)[symbol])
        np.testing.assert_allclose(before.h.ravel(), h, rtol=1e-12)
        np.testing.assert_allclose(before.c.ravel(), state.c, rtol=1e-12)


def read(bits: np.ndarray) -> list[np.ndarray]:
    """What four nets see of streams that end at one place, whatever nets say.

    Returns:
        Symbols (T, 4), targets (T, 7, 4), and whether the state is wiped after (T, 4).
    """
    machine, both = grammar.MACHINE, np.asarray(KINDS.both)
    symbol, place = np.zeros(4, int), np.zeros(4, int)
    symbols, targets, wiped = [], [], []
    for bit in bits:
        symbols.append(symbol)
        legal, ends = machine.legal[place], place == ENDS
        symbol = np.where(ends, 0, machine.symbol[place, bit])
        following = np.eye(7)[machine.symbol[place, bit]]
        place = np.where(ends, 0, machine.place[place, bit])
        targets.append(np.where(both, legal.T, following.T).astype(float))
        wiped.append(ends | np.asarray(KINDS.reset) & (place == 0))
    return [np.stack(a) for a in (symbols, targets, wiped)]


def test_the_gradient_carried_forward_is_that_of_the_unroll(monkeypatch: Any) -> None:
    """With a rate so small that the weights stay, `learn` adds up the gradient."""
    monkeypatch.setattr(grammar, "right", lambda reader, y: reader.place != ENDS)
    params, rate = nets(4, 2.0), 1e-7
    bits = grammar.bits(np.array([(5, 0, n) for n in range(4)]), 0, 60)
    plan = online.Plan(rate, 100, 1000, 1000)

    @jax.jit
    def learned(learner: online.Learner) -> online.Learner:
        def one(learner: online.Learner, bit: jax.Array) -> tuple[online.Learner, None]:
            return online.learn(plan, KINDS, learner, bit), None

        return jax.lax.scan(one, learner, jnp.asarray(bits))[0]

    @jax.jit
    @jax.grad
    def slope(params: cell.Params) -> jax.Array:
        def one(state: cell.State, inputs: Any) -> tuple[cell.State, jax.Array]:
            symbol, target, wiped = inputs
            u = cell.seen(symbol, jax.lax.stop_gradient(state.h))
            state, y, _ = cell.cell_step(KINDS, params, state.c, u)
            state = jax.tree.map(lambda a: jnp.where(wiped, 0.0, a), state)
            return state, 0.5 * jnp.sum((target - y) ** 2)

        inputs = [jnp.asarray(a) for a in read(bits)]
        return jnp.sum(jax.lax.scan(one, cell.zero_state(params), inputs)[1])

    learner, expected = learned(online.begin(params)), slope(params)
    assert 0 < learner.streams.max() < 20
    for name, after, w, g in zip(
        cell.Params._fields, learner.params, params, expected, strict=True
    ):
        gates = KINDS.gated if name == "w_f" else np.ones(4, bool)
        some = jnp.abs(g).max(tuple(range(g.ndim - 1))) > 1e-4
        np.testing.assert_array_equal(some, gates, name)
        np.testing.assert_allclose((w - after) / rate, g, 1e-4, 1e-7, err_msg=name)


def test_rates_decay_and_training_ends_by_the_count_of_streams(
    monkeypatch: Any,
) -> None:
    """Against a loop that keeps count by hand, net by net."""
    monkeypatch.setattr(grammar, "right", lambda reader, y: reader.place != ENDS)
    plan = online.Plan(rate=0.3, every=2, longest=7, streams=5)
    rules = KINDS._replace(decay=jnp.array([1.0, 0.5, 0.7, 0.5]))
    bits = grammar.bits(np.array([(8, 0, n) for n in range(4)]), 0, 70)
    learner = online.begin(nets(4, 2.0))
    learn = jax.jit(lambda learner, bit: online.learn(plan, rules, learner, bit))
    ended, length = np.zeros(4, int), np.zeros(4, int)
    frozen: dict[int, Any] = {}
    for bit in bits:
        before, wrong = learner, np.asarray(learner.reader.place) == ENDS
        learner = learn(learner, jnp.asarray(bit))
        state, y, values = cell.cell_step(rules, before.params, before.c, before.u)
        e = online.carried(rules, before.e, before.u, before.c, values)
        comes = jax.nn.one_hot(grammar.move(before.reader, bit).symbol, 7, axis=0)
        target = jnp.where(rules.both, grammar.legal(before.reader), comes)
        error = (target - y) * y * (1 - y)
        down = online.descent(before.params, e, before.u, state.h, error, values)
        for net in range(4):
            rate = 0.3 * float(rules.decay[net]) ** (ended[net] // 2)
            rate = 0.0 if ended[net] >= 5 else rate
            for new, old, d in zip(learner.params, before.params, down, strict=True):
                wanted = old[..., net] + rate * d[..., net]
                np.testing.assert_allclose(new[..., net], wanted, rtol=1e-10)
            length[net] += 1
            if wrong[net] or length[net] == 7:
                ended[net] = min(5, ended[net] + 1)
                length[net] = 0
                assert not learner.c[..., net].any()
            if ended[net] == 5:
                frozen.setdefault(net, learner.params.w_h[..., net])
        np.testing.assert_array_equal(learner.streams, ended)
        np.testing.assert_array_equal(learner.stopped, ended == 5)
        np.testing.assert_array_equal(learner.length, length)
    assert len(frozen) == 4
    for net, w in frozen.items():
        np.testing.assert_array_equal(learner.params.w_h[..., net], w)


def test_a_stream_ends_where_its_net_is_wrong_for_the_first_time() -> None:
    """Nets that know the grammar, and forget it after so many symbols."""
    limits = np.array([0, 3, 999, 1000, 1001, 2500, 9999, 4000])

    def step(limit: Any, state: Any, reader: grammar.Reader) -> Any:
        y = grammar.legal(reader).astype(float)
        return state + 1, jnp.where(state < limit, y, -y)

    net = exam.Net(jnp.zeros_like, step, lambda state: state)
    streams = np.stack(np.meshgrid(range(12), range(8), indexing="ij"), -1)
    params = jnp.asarray(limits, float)
    found = exam.lengths(net, params, streams, 3000, 3000)
    np.testing.assert_array_equal(found, np.tile(np.minimum(limits, 3000), (12, 1)))
    taking = limits > 3
    found = exam.lengths(net, params, streams, 3000, 3000, taking)
    np.testing.assert_array_equal(found[0], np.minimum(limits, 3000) * taking)


def test_streams_of_a_net_that_has_failed_in_one_end_early() -> None:
    """Nets that are wrong at symbol 500 if it is a T, or never."""

    def step(careless: Any, state: Any, reader: grammar.Reader) -> Any:
        y = grammar.legal(reader).astype(float)
        wrong = (state == 500) & (reader.symbol == SYMBOLS.index("T")) & careless
        return state + 1, jnp.where(wrong, -y, y)

    net = exam.Net(lambda p: jnp.zeros(p.shape), step, lambda state: state)
    streams = np.stack(np.meshgrid(range(12), range(2), indexing="ij"), -1)
    found = exam.lengths(net, jnp.array([True, False]), streams, 5000, 2000)
    assert set(found[:, 0]) == {500, 2000} and set(found[:, 1]) == {5000}
    found = exam.lengths(net, jnp.array([True, False]), streams, 5000, 300)
    assert set(found[:, 0]) == {500} and set(found[:, 1]) == {5000}


def test_norms_are_those_after_so_many_symbols() -> None:
    """A net whose norm is the number of symbols it has read."""

    def step(params: Any, state: Any, reader: grammar.Reader) -> Any:
        return state + 1, grammar.legal(reader).astype(float)

    net = exam.Net(jnp.zeros_like, step, lambda state: state)
    found = run.last_tests(run.SMOKE, net, jnp.zeros(2), 1)
    points = run.points(run.SMOKE.traced)
    assert points[0] == 10 and points[-1] == run.SMOKE.traced
    np.testing.assert_array_equal(found["norms"], np.stack([points, points], 1))


def test_the_modern_lstm_goes_on_with_its_streams_or_begins_new_ones() -> None:
    optimizer = optax.sgd(0.1)
    trained = modern.begin(optimizer, modern.init(np.random.default_rng(0), 3), 2)
    bits = jnp.asarray(grammar.bits(np.array([[1], [2]]), 0, 7))
    learn = jax.jit(
        lambda learner, bits, fresh: modern.train(
            optimizer, learner, bits[None], jnp.asarray(fresh)[None]
        )
    )
    first = learn(trained, bits, False)
    assert (first.carry[1].place != 0).all()
    again = learn(first._replace(params=trained.params), bits, True)
    later = learn(first._replace(params=trained.params), bits, False)
    for a, b, c in zip(*map(jax.tree.leaves, (first, again, later)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (np.asarray(a) != np.asarray(c)).any()
