# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""unroll over steps that this library has never seen."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import Loop, Scan
from tests import cases
from tests.cases import weighted
from tests.compare import FLOAT64, assert_close, assert_same

WAYS = [Scan(), Scan(unroll=2), Scan(checkpoint=3), Scan(checkpoint="sqrt"), Loop()]


def gru(params: Any, state: Any, x: Any) -> Any:
    """A cell with a dict of parameters, a dict of states and a tree of outputs."""
    h = state["h"]
    z, r = jnp.split(jax.nn.sigmoid(x @ params["w"] + h @ params["u"]), 2, -1)
    new = jnp.tanh(x @ params["v"] + (r * h) @ params["s"])
    h = (1 - z) * h + z * new
    return {"h": h, "steps": state["steps"] + 1}, (h, {"z": z})


def gru_params(key: Any) -> Any:
    keys = jax.random.split(key, 4)
    shapes = {"w": (3, 10), "u": (5, 10), "v": (3, 5), "s": (5, 5)}
    return {
        name: 0.5 * jax.random.normal(k, shape)
        for k, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def start(batch: tuple[int, ...]) -> Any:
    h = jax.random.normal(jax.random.key(3), (*batch, 5))
    return {"h": h, "steps": jnp.zeros(batch, int)}


@pytest.mark.parametrize("implementation", WAYS, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_rows_alone(implementation: Any, reverse: bool) -> None:
    """Lengths, resets and reversal against each row's segments in a Python loop."""
    params = gru_params(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (7, 3, 3))
    lengths = np.array([0, 7, 4])
    resets = np.array(jax.random.bernoulli(jax.random.key(2), 0.4, (7, 3)))
    begin = start((3,))
    fresh = jax.tree.map(lambda a: a + 1, start((3,)))
    state, ys = lstm_jax.unroll(
        gru,
        params,
        begin,
        xs,
        lengths=lengths,
        resets=resets,
        reset_state=fresh,
        reverse=reverse,
        implementation=implementation,
    )
    for row, length in enumerate(lengths):
        own, new = (jax.tree.map(lambda a, row=row: a[row], s) for s in (begin, fresh))
        order = range(length)
        for t in reversed(order) if reverse else order:
            later = t + 1 if reverse else t
            if later < length and resets[later, row]:
                own = new
            own, y = gru(params, own, xs[t, row])
            got = jax.tree.map(lambda a, t=t, row=row: a[t, row], ys)
            assert_close(got, y, FLOAT64)
        for a in jax.tree.leaves(ys):
            assert not np.asarray(a[length:, row]).any()
        assert_close(jax.tree.map(lambda a, row=row: a[row], state), own, FLOAT64)


def test_every_implementation_has_one_derivative() -> None:
    params = gru_params(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (7, 2, 3))
    begin = start((2,))

    @partial(jax.jit, static_argnums=3)
    @partial(jax.grad, argnums=(0, 1, 2))
    def gradient(params: Any, h: Any, xs: Any, implementation: Any) -> Any:
        state, ys = lstm_jax.unroll(
            gru,
            params,
            {**begin, "h": h},
            xs,
            lengths=np.array([4, 7]),
            truncate=3,
            implementation=implementation,
        )
        return weighted((state["h"], ys))

    expected = gradient(params, begin["h"], xs, Loop())
    for implementation in WAYS:
        got = gradient(params, begin["h"], xs, implementation)
        assert_close(got, expected, FLOAT64, f"{implementation} ")


def test_the_step_of_this_library_is_a_step_like_any_other() -> None:
    call = cases.draw(
        cases.Case("stack", "everything", "all", "default", "three", "given")
    )
    y, state = lstm_jax.apply(call.params, call.x, call.state, **call.options)
    options = {**call.options, "resets": call.options["resets"].T}
    options["reset_state"] = jax.tree.map(
        lambda a, b: jnp.broadcast_to(a, b.shape), options["reset_state"], call.state
    )
    end, ys = lstm_jax.unroll(
        lstm_jax.lstm_step,
        call.params,
        call.state,
        jnp.moveaxis(call.x, 1, 0),
        **options,
    )
    assert_close((jnp.moveaxis(ys, 0, 1), end), (y, state), FLOAT64)


def test_no_batch_axis_and_no_step() -> None:
    params = gru_params(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (7, 3))
    state, (h, _) = lstm_jax.unroll(gru, params, start(()), xs, lengths=np.array(4))
    assert state["steps"] == 4 and h.shape == (7, 5)
    for implementation in WAYS:
        state, (h, _) = lstm_jax.unroll(
            gru, params, start((2,)), jnp.ones((0, 2, 3)), implementation=implementation
        )
        assert h.shape == (0, 2, 5)
        assert_same(state, start((2,)))


def test_resets_begin_from_zeros_if_nothing_is_said() -> None:
    params = gru_params(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (5, 2, 3))
    resets = np.zeros((5, 2), bool)
    resets[2] = True
    zero = jax.tree.map(jnp.zeros_like, start((2,)))
    got, _ = lstm_jax.unroll(gru, params, start((2,)), xs, resets=resets)
    expected, _ = lstm_jax.unroll(gru, params, zero, xs[2:])
    assert_close(got, expected, FLOAT64)


def test_a_number_may_be_a_state() -> None:
    def count(params: None, state: Any, x: Any) -> Any:
        return state + x, state

    total, _ = lstm_jax.unroll(count, None, 0.0, jnp.arange(4.0))
    assert total == 6.0


def test_random_keys_among_the_inputs_and_in_the_state() -> None:
    """A stochastic cell takes a key a step, or carries one."""
    noise = lambda key: jax.random.normal(key, (3,))  # noqa: E731
    keys = jax.random.split(jax.random.key(0), 5)
    xs = jnp.arange(5.0)

    def step(params: None, h: Any, inputs: Any) -> Any:
        x, key = inputs
        return h + x + noise(key), h

    for implementation in (None, Scan(checkpoint=2), Loop()):
        more = {"lengths": 4, "implementation": implementation}
        h, _ = lstm_jax.unroll(step, None, jnp.zeros(3), (xs, keys), **more)
        expected = sum(x + noise(key) for x, key in zip(xs[:4], keys[:4], strict=True))
        assert_close(h, expected, FLOAT64)

    def carrying(params: None, state: Any, x: Any) -> Any:
        h, key = state
        key, own = jax.random.split(key)
        return (h + x + noise(own), key), h

    start = jnp.zeros(3), jax.random.key(1)
    (h, key), _ = lstm_jax.unroll(carrying, None, start, xs, lengths=np.array(2))
    again = start
    for x in xs[:2]:
        again, _ = carrying(None, again, x)
    assert_close(h, again[0], FLOAT64)
    assert (jax.random.key_data(key) == jax.random.key_data(again[1])).all()
    resets = np.array([False, False, True, False, False])
    with pytest.raises(ValueError, match="reset_state must be given"):
        lstm_jax.unroll(carrying, None, start, xs, resets=resets)
    fresh = start[0], jax.random.key(2)
    got, _ = lstm_jax.unroll(
        carrying, None, start, xs, resets=resets, reset_state=fresh
    )
    expected, _ = lstm_jax.unroll(carrying, None, fresh, xs[2:])
    assert_close(got[0], expected[0], FLOAT64)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_padding_never_matters(poison: float) -> None:
    params = gru_params(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (6, 3, 3))
    lengths = jnp.array([0, 6, 4])
    padding = np.arange(6)[:, None] >= np.asarray(lengths)

    def loss(params: Any, h: Any, xs: Any) -> Any:
        begin = {**start((3,)), "h": h}
        out = lstm_jax.unroll(gru, params, begin, xs, lengths=lengths)
        return weighted((out[0]["h"], out[1])), out

    gradient = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))
    at = params, start((3,))["h"]
    clean = gradient(*at, xs)
    assert_same(gradient(*at, jnp.where(padding[:, :, None], poison, xs)), clean)
    assert not np.asarray(clean[0][2])[padding].any()
