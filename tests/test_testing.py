# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The reference against other libraries' cells; check_step on all kinds of steps."""

import itertools
import sys
from functools import partial
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import CellOptions, LSTMParams
from lstm_jax.testing import check_step, reference, reference_step
from lstm_jax.testing._check_step import PROPERTIES
from tests import cases
from tests.compare import FLOAT64, assert_close

KEY = jax.random.key(0)
B, I, H = 3, 4, 5  # noqa: E741


def test_two_steps_by_hand() -> None:
    """Numbers worked out from the equations, one unit, every weight distinct."""
    cell = LSTMParams(
        w_x=np.array([[0.1, -0.2, 0.3, 0.4]]),
        w_h=np.array([[0.5, 0.6, -0.7, 0.8]]),
        b=np.array([0.01, 1.0, -0.03, 0.04]),
        peephole=np.array([[0.2], [-0.3], [0.4]]),
    )
    s = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    c1 = s(0.1 * 2 + 0.01) * np.tanh(0.3 * 2 - 0.03)
    h1 = s(0.4 * 2 + 0.04 + 0.4 * c1) * np.tanh(c1)
    f2 = s(-0.2 * -1 + 0.6 * h1 + 1.0 - 0.3 * c1)
    i2 = s(0.1 * -1 + 0.5 * h1 + 0.01 + 0.2 * c1)
    c2 = f2 * c1 + i2 * np.tanh(0.3 * -1 - 0.7 * h1 - 0.03)
    h2 = s(0.4 * -1 + 0.8 * h1 + 0.04 + 0.4 * c2) * np.tanh(c2)
    y, (h, c) = reference(cell, np.array([[2.0], [-1.0]]))
    np.testing.assert_allclose(y[:, 0], [h1, h2], rtol=1e-14)
    np.testing.assert_allclose([h[0], c[0]], [h2, c2], rtol=1e-14)


def cell_and_input() -> tuple[LSTMParams, Any]:
    cell = cases.jitter(0, lstm_jax.init_cell(KEY, I, H))
    return cell, jax.random.normal(jax.random.key(1), (B, 7, I))


@pytest.mark.parametrize("kind", ["LSTMCell", "OptimizedLSTMCell"])
def test_as_flax(kind: str) -> None:
    """Flax's cells, with the same weights gate by gate; its carry is (c, h)."""
    cell, x = cell_and_input()
    start = cases.jitter(2, lstm_jax.zero_state(cell, (B,)))
    weights: dict[str, Any] = {}
    for k, gate in enumerate("ifgo"):
        own = slice(k * H, (k + 1) * H)
        weights[f"i{gate}"] = {"kernel": cell.w_x[:, own]}
        weights[f"h{gate}"] = {"kernel": cell.w_h[:, own], "bias": cell.b[own]}
    with jax.numpy_rank_promotion("allow"):
        run = flax.linen.RNN(
            getattr(flax.linen, kind)(H, param_dtype=float), return_carry=True
        )
        (c, h), y = run.apply(
            {"params": {"cell": weights}}, x, initial_carry=(start.c, start.h)
        )
    expected, end = reference(cell, x, start)
    assert_close((y, h, c), (expected, *end), FLOAT64)


def test_the_reference_in_either_namespace() -> None:
    for option in cases.OPTIONS:
        made = lstm_jax.init_cell(KEY, I, H, **cases.OPTIONS[option])
        cell = cases.jitter(0, made)
        state = cases.jitter(2, lstm_jax.zero_state(cell, (B,)))
        x = jax.random.normal(jax.random.key(3), (B, I))
        got = reference_step(cell, state, x, xp=jnp)
        expected = reference_step(*jax.tree.map(np.asarray, (cell, state, x)))
        assert_close(got, expected, 1e-13, f"{option} ")


def test_a_coupled_cell_is_a_whole_one() -> None:
    """f = 1 - σ(z) = σ(-z): the forget gate has the input gate's weights, negated."""
    options = CellOptions(coupled=True)
    made = lstm_jax.init_cell(KEY, I, H, options=options, peephole=True)
    cell = cases.jitter(0, made)

    def four(w: Any) -> Any:
        i, g, o = np.split(np.asarray(w), 3, -1)
        return np.concatenate([i, -i, g, o], -1)

    i, o = np.asarray(cell.peephole)
    whole = LSTMParams(
        four(cell.w_x), four(cell.w_h), four(cell.b), np.stack([i, -i, o])
    )
    _, x = cell_and_input()
    assert_close(reference(cell, x), reference(whole, x), 1e-13)


def test_the_reference_refuses_what_it_does_not_know() -> None:
    cell, x = cell_and_input()
    with pytest.raises(ValueError, match="no activation is named 'gelu'"):
        options = CellOptions(gate_activation="gelu")
        reference(cell.replace(options=options), x)
    with pytest.raises(TypeError, match=r"must be LSTMParams.* got dict"):
        reference_row = {"w_x": x}
        reference(lstm_jax.Stack((cell, reference_row)), x)


def lstm(params: Any, state: Any, x: Any) -> Any:
    h, c = state
    z = x @ params["w_x"] + h @ params["w_h"] + params["b"][None]
    i, f, g, o = jnp.split(z, 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def rnn(params: Any, h: Any, x: Any) -> Any:
    h = jnp.tanh(x @ params["w_x"] + h @ params["w_h"])
    return h, h


def counting(params: Any, state: Any, x: Any) -> Any:
    """A state that is a dict with integers, an output that is a tree, tokens in."""
    h = jnp.tanh(params["table"][x] + state["h"])
    return {"h": h, "n": state["n"] + 1}, (h, state["n"])


def weights(dtype: Any = jnp.float64, gates: int = 4) -> dict[str, Any]:
    keys = jax.random.split(KEY, 3)
    draw = partial(jax.random.normal, dtype=dtype)
    return {
        "w_x": 0.5 * draw(keys[0], (I, gates * H)),
        "w_h": 0.5 * draw(keys[1], (H, gates * H)),
        "b": draw(keys[2], (gates * H,)),
    }


def inputs(dtype: Any = jnp.float64) -> Any:
    return jax.random.normal(jax.random.key(4), (B, I), dtype)


def zeros(dtype: Any = jnp.float64) -> Any:
    return jax.random.normal(jax.random.key(5), (B, H), dtype)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_whole_steps_pass(dtype: Any) -> None:
    at = weights(dtype), (zeros(dtype), zeros(dtype)), inputs(dtype)
    assert check_step(lstm, *at) == tuple(PROPERTIES)
    assert check_step(rnn, weights(dtype, 1), zeros(dtype), inputs(dtype))
    tokens = jnp.array([1, 4, 2])
    state = {"h": zeros(dtype), "n": jnp.zeros(B, int)}
    table = {"table": jax.random.normal(KEY, (6, H), dtype)}
    assert check_step(counting, table, state, tokens) == tuple(PROPERTIES)


@pytest.mark.parametrize("option", ["plain", "everything"])
def test_this_library_passes(option: str) -> None:
    params = cases.STRUCTURES["stack"](0, I, cases.OPTIONS[option])
    params = cases.jitter(0, params)
    state = lstm_jax.zero_state(params, (B,))
    assert check_step(lstm_jax.lstm_step, params, state, inputs())


calls = itertools.count()


def narrows(params: Any, h: Any, x: Any) -> Any:
    h, y = rnn(params, h, x)
    return h.astype(jnp.float32), y


def renames(params: Any, h: Any, x: Any) -> Any:
    h, y = rnn(params, h, x)
    return {"h": h}, y


def averages_the_output(params: Any, h: Any, x: Any) -> Any:
    h, y = rnn(params, h, x)
    return h, y.mean(0)


def explodes(params: Any, h: Any, x: Any) -> Any:
    h, y = rnn(params, h, x)
    return h, jnp.log(-jnp.abs(y))


class Remembers:
    """Keeps something of every call outside of the state."""

    def __init__(self) -> None:
        self.last: Any = 0.0

    def __call__(self, params: Any, h: Any, x: Any) -> Any:
        h, y = rnn(params, h, x + self.last)
        if not isinstance(x, jax.core.Tracer):
            self.last = 0.1 * jnp.asarray(x)
        return h, y


def normalises_over_rows(params: Any, h: Any, x: Any) -> Any:
    return rnn(params, h, x - x.mean(0, keepdims=True))


def knows_its_row(params: Any, h: Any, x: Any) -> Any:
    h, y = rnn(params, h, x)
    return h, y * jnp.arange(1.0, B + 1)[:, None]


def counts_calls(params: Any, h: Any, x: Any) -> Any:
    h, y = rnn(params, h, x)
    return h, y * (1.0 + 0.1 * next(calls))


def peeks_at_the_trace(params: Any, h: Any, x: Any) -> Any:
    scale = 2.0 if isinstance(x, jax.core.Tracer) else 1.0
    return rnn(params, h, scale * x)


@jax.custom_vjp
def wrong_gradient(x: Any) -> Any:
    return jnp.tanh(x)


wrong_gradient.defvjp(lambda x: (jnp.tanh(x), x), lambda x, g: (0.9 * g,))


@jax.custom_jvp
def wrong_tangent(x: Any) -> Any:
    return jnp.tanh(x)


@wrong_tangent.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return jnp.tanh(primals[0]), 0.5 * tangents[0]


@jax.custom_vjp
def no_forward_mode(x: Any) -> Any:
    return jnp.tanh(x)


no_forward_mode.defvjp(
    lambda x: (jnp.tanh(x), jnp.tanh(x)), lambda y, g: ((1 - y * y) * g,)
)


@jax.custom_vjp
def small_without_gradient(x: Any) -> Any:
    return 1e-7 * jnp.tanh(x)


small_without_gradient.defvjp(lambda x: (1e-7 * jnp.tanh(x), x), lambda x, g: (0 * g,))


def sums_over_rows(params: Any, h: Any, x: Any) -> Any:
    return rnn(params, h, jnp.cumsum(x, 0))


def through(function: Any) -> Any:
    def step(params: Any, h: Any, x: Any) -> Any:
        h = function(x @ params["w_x"] + h @ params["w_h"])
        return h, h

    return step


def branches(params: Any, h: Any, x: Any) -> Any:
    """Fine in Python, not under a trace."""
    return rnn(params, h, x if float(np.asarray(x).sum()) > -1e9 else -x)


def forgets_its_dtype(params: Any, h: Any, x: Any) -> Any:
    """A state of Python's numbers is weakly typed: jit takes it for another type."""
    h = jnp.where(x @ params["w_x"] + h @ params["w_h"] > 0, 1.0, -1.0)
    return h, h


@partial(jax.custom_batching.custom_vmap)
def odd_under_vmap(x: Any) -> Any:
    return jnp.tanh(x)


@odd_under_vmap.def_vmap
def _rule(size: int, batched: Any, x: Any) -> Any:
    return 0.5 * jnp.tanh(x), True


BROKEN: dict[str, tuple[Any, str, str]] = {
    "narrows": (narrows, "shapes and dtypes are kept", "float32"),
    "renames": (renames, "shapes and dtypes are kept", "'h'"),
    "averages": (averages_the_output, "shapes and dtypes are kept", "3 rows"),
    "explodes": (explodes, "outputs are finite", "values of ['ys'] are not finite"),
    "remembers": (Remembers(), "causal", "Max absolute difference"),
    "over rows": (
        normalises_over_rows,
        "batch rows are independent",
        "Max absolute difference",
    ),
    "rows before": (
        sums_over_rows,
        "batch rows are independent",
        "Max absolute difference",
    ),
    "no gradient": (
        through(small_without_gradient),
        "gradients are finite differences",
        "central difference",
    ),
    "row": (knows_its_row, "batch rows are permutable", "Max absolute difference"),
    "counts": (counts_calls, "causal", "Max absolute difference"),
    "peeks": (peeks_at_the_trace, "scan is the loop", "Max absolute difference"),
    "gradient": (
        through(wrong_gradient),
        "gradients are finite differences",
        "central difference",
    ),
    "tangent": (
        through(wrong_tangent),
        "gradients are finite differences",
        "central difference",
    ),
    "no jvp": (
        through(no_forward_mode),
        "forward mode is finite differences",
        "custom_vjp",
    ),
    "weak": (forgets_its_dtype, "one trace", "traced 2 times"),
    "vmap": (through(odd_under_vmap), "vmap over parameters", "Max absolute"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_property_is_named_with_numbers(name: str) -> None:
    step, broken, numbers = BROKEN[name]
    skip: tuple[str, ...] = ()
    if name == "vmap":  # custom_vmap has no derivative of its own to speak of
        skip = tuple(p for p in PROPERTIES if "finite differences" in p)
    with pytest.raises(AssertionError) as caught:
        check_step(step, weights(gates=1), zeros(), inputs(), skip=skip)
    message = str(caught.value)
    assert message.startswith(f'check_step: property "{broken}" is broken: ')
    assert numbers in message


@pytest.mark.parametrize(
    "step, broken",
    [
        (branches, "jit is no jit"),
        (peeks_at_the_trace, "jit is no jit"),
        (counts_calls, "scan is the loop"),
        (counts_calls, "a sequence in two parts is the whole"),
        (through(wrong_tangent), "forward mode is finite differences"),
    ],
)
def test_each_property_finds_it_by_itself(step: Any, broken: str) -> None:
    skip = set(PROPERTIES) - {broken}
    with pytest.raises(AssertionError, match=f'"{broken}" is broken'):
        check_step(step, weights(gates=1), zeros(), inputs(), skip=skip)


def test_what_is_skipped_is_not_checked() -> None:
    skip = "batch rows are independent"
    checked = check_step(
        normalises_over_rows, weights(gates=1), zeros(), inputs(), skip=[skip]
    )
    assert set(checked) == set(PROPERTIES) - {skip}


def test_mistakes() -> None:
    at = weights(gates=1), zeros(), inputs()
    with pytest.raises(ValueError, match=r"skip must name .*; got speed\.$"):
        check_step(rnn, *at, skip=["speed"])
    with pytest.raises(ValueError, match="steps must be at least 2; got 1"):
        check_step(rnn, *at, steps=1)
    with pytest.raises(ValueError, match="of 2 rows or more"):
        check_step(rnn, at[0], at[1][:1], at[2][:1])
    with pytest.raises(ValueError, match="the same batch axis"):
        check_step(rnn, at[0], at[1], at[2][:2])


def test_a_tolerance_may_be_given() -> None:
    def almost(params: Any, h: Any, x: Any) -> Any:
        return rnn(params, h, x + 1e-4 * x.mean(0, keepdims=True))

    at = weights(gates=1), zeros(), inputs()
    check_step(almost, *at, rtol=1e-2)
    check_step(almost, *at, atol=1e-2)
    with pytest.raises(AssertionError, match="independent"):
        check_step(almost, *at)


def test_without_chex(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chex", None)
    with pytest.raises(ImportError, match=r"pip install 'lstm_jax\[test\]'"):
        check_step(rnn, weights(gates=1), zeros(), inputs())
