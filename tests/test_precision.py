# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Float32 and 16 bits: what accumulates where, and how large the error is."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import GateNorm, Scan, SplitNorm
from lstm_jax.testing import reference, reference_step
from tests import cases
from tests.cases import Case, weighted
from tests.compare import FLOAT32, assert_close
from tests.plain import plain
from tests.test_apply import check, gradient, widened

BOUNDED = [name for name, option in cases.OPTIONS.items() if "norm" not in option]
SEEDS = 24  # one seed's largest error is chance: the mean of many is compared


@pytest.mark.parametrize("option", BOUNDED)
def test_float32(option: str) -> None:
    """Ten steps, among them the activations that are not bounded."""
    structure = "concat" if option == "plain" else "cell"
    case = Case(structure, option, "all", "default", "three", "given")
    check(cases.draw(case, steps=10, dtype=jnp.float32), None, 5e-6)


def by_hand(params: Any, x: Any) -> Any:
    """What a user writes: a scan over one layer, time first."""
    rows = x.shape[1]
    zero = lstm_jax.zero_state(params, (rows,))

    def body(state: Any, x: Any) -> Any:
        return reference_step(params, state, x, xp=jnp)

    return jax.lax.scan(body, zero, x)[1]


@pytest.mark.parametrize("norm", [SplitNorm, GateNorm(eps=1e-5)], ids=["split", "gate"])
def test_layer_norm_in_float32(norm: Any) -> None:
    """At most twice the error of a scan written by hand, in values and gradients."""

    def draw(key: Any) -> Any:
        keys = jax.random.split(key, 3)
        params = lstm_jax.init_cell(keys[0], 7, 33, norm=norm)
        leaves, shape = jax.tree.flatten(params)
        moved = [
            a + 0.3 * jax.random.normal(k, a.shape)
            for k, a in zip(jax.random.split(keys[1], len(leaves)), leaves, strict=True)
        ]
        return jax.tree.unflatten(shape, moved), jax.random.normal(keys[2], (60, 5, 7))

    def ours(params: Any, x: Any) -> Any:
        return lstm_jax.apply(params, x, time_major=True)[0]

    def everything(run: Any, params: Any, x: Any) -> Any:
        def loss(params: Any, x: Any) -> Any:
            y = run(params, x)
            return weighted(y), y

        out = jax.jit(jax.vmap(jax.grad(loss, (0, 1), has_aux=True)))(params, x)
        return [np.asarray(a, float).reshape(SEEDS, -1) for a in jax.tree.leaves(out)]

    at = jax.vmap(draw)(jax.random.split(jax.random.key(0), SEEDS))
    exact = everything(by_hand, *at)
    narrow = jax.tree.map(lambda a: a.astype(jnp.float32), at)
    mine, theirs = (
        np.array(
            [
                np.exp(np.log(np.abs(a - b).max(1) / np.abs(b).max(1)).mean())
                for a, b in zip(everything(run, *narrow), exact, strict=True)
            ]
        )
        for run in (ours, by_hand)
    )
    assert (theirs > 0).all()
    assert (mine <= 2 * theirs).all(), mine / theirs


def errors(got: Any, exact: Any) -> list[float]:
    """Of each array, max|difference| over max|exact|; 0 where that is 0."""
    found = []
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(exact), strict=True):
        a, b = np.asarray(a, float), np.asarray(b, float)
        scale = np.abs(b).max(initial=0.0)
        found.append(np.abs(a - b).max() / scale if scale else 0.0)
    return found


@pytest.mark.parametrize(
    "case",
    [
        Case(
            "concat",
            "everything",
            "lengths_resets",
            "window_in_checkpoint",
            "two_axes",
            "given",
        ),
        Case("reverse", "everything", "lengths", "sqrt", "none", "zeros"),
    ],
    ids=lambda case: case.id,
)
def test_everything_in_float32(case: Case) -> None:
    """At most twice the error of the plain scan, with norm and all else there is."""
    implementation = cases.IMPLEMENTATIONS[case.implementation]
    run = partial(lstm_jax.apply, implementation=implementation)
    call = cases.draw(case, dtype=jnp.float32)
    out = jax.jit(lambda p, x: run(p, x, call.state, **call.options))(
        call.params, call.x
    )
    wide = widened(call)
    values = {k: v for k, v in wide.options.items() if k != "truncate"}
    value = reference(wide.params, wide.x, wide.state, **values)
    assert_close(out, value, FLOAT32, "value ")
    ours, plainly, mine, theirs = gradient(run), gradient(plain), [], []
    for seed in range(SEEDS):
        call = cases.draw(case, seed=seed, dtype=jnp.float32)
        exact = plainly(widened(call))
        mine.append(errors(ours(call), exact))
        theirs.append(errors(plainly(call), exact))
    ratios = []
    for one, other in zip(np.array(mine).T, np.array(theirs).T, strict=True):
        rounded = (one > 0) & (other > 0)
        if rounded.sum() >= SEEDS / 2:
            ratios.append(np.exp(np.log(one[rounded] / other[rounded]).mean()))
    assert len(ratios) > len(mine[0]) / 2 and max(ratios) <= 2, ratios


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("option", cases.SHAPES)
def test_sixteen_bits(option: str, dtype: Any) -> None:
    """c is float32, y has 16 bits, the error is that of the type, gradients finite."""
    structure = "concat" if option == "plain" else "reverse"
    case = Case(structure, option, "all", "default", "three", "zeros")
    call = cases.draw(case, steps=10, dtype=dtype)
    run: Any = partial(lstm_jax.apply, **call.options)

    def loss(params: Any, x: Any) -> Any:
        y, state = run(params, x)
        return jnp.sum(y.astype(jnp.float32)), (y, state)

    gradients, (y, state) = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(
        call.params, call.x
    )
    assert y.dtype == dtype
    states = state if structure == "concat" else [state]
    assert all(s.h.dtype == dtype and s.c.dtype == jnp.float32 for s in states)
    assert all(a.dtype == dtype for a in jax.tree.leaves(gradients))
    assert all(
        np.isfinite(np.asarray(a, float)).all() for a in jax.tree.leaves(gradients)
    )
    values = {k: v for k, v in call.options.items() if k != "truncate"}
    expected, _ = reference(call.params, call.x, **values)
    # h is rounded to 16 bits ten times, and a norm divides by a deviation below 1.
    rounding = 10 * float(jnp.finfo(dtype).eps) * (5 if "norm" in option else 1)
    error = np.abs(np.asarray(y, np.float64) - expected).max() / np.abs(expected).max()
    assert error < rounding


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_the_cell_accumulates_in_float32(dtype: Any) -> None:
    """1 + 1000 increments too small for 16 bits, added up and not lost."""
    options = lstm_jax.CellOptions(
        input_gate=False,
        forget_gate=False,
        output_gate=False,
        candidate_activation="affine",
    )
    params = lstm_jax.LSTMParams(
        jnp.ones((1, 1), dtype), jnp.zeros((1, 1), dtype), options=options
    )
    x = jnp.full((1000, 1), 1e-3, dtype)
    start = (jnp.zeros(1, dtype), jnp.ones(1, jnp.float32))
    _, (_, c) = lstm_jax.apply(params, x, start)
    assert abs(float(c[0]) - (1 + 1000 * float(x[0, 0]))) < 1e-3
    assert float(jnp.ones((), dtype) + x[0, 0]) - 1 != pytest.approx(1e-3, rel=1e-2)


@partial(jax.jit, static_argnames="way")
@jax.grad
def gradient_of_the_sum(params: Any, x: Any, way: Any) -> Any:
    run = partial(lstm_jax.apply, time_major=True, implementation=way)
    return run(params, x)[0].astype(jnp.float32).sum()


@pytest.mark.parametrize("implementation", cases.WAYS)
def test_gradients_of_sixteen_bits_add_up_in_float32(implementation: str) -> None:
    """Over 400 steps: a sum in bfloat16 would lose half of it.

    In float64 all ways have one gradient, to which test_apply holds them.
    """
    steps = 40 if implementation == "loop" else 400
    params = lstm_jax.init_cell(jax.random.key(0), 4, 8, dtype=jnp.bfloat16)
    x = jax.random.normal(jax.random.key(1), (steps, 16, 4), jnp.bfloat16)
    got = gradient_of_the_sum(params, x, way=cases.IMPLEMENTATIONS[implementation])
    assert got.w_h.dtype == jnp.bfloat16
    wide = jax.tree.map(lambda a: a.astype(jnp.float64), (params, x))
    assert_close(got, gradient_of_the_sum(*wide, way=Scan()), 0.01)


@pytest.mark.parametrize(
    "wide, narrow", [(jnp.float32, jnp.bfloat16), (jnp.float64, jnp.float32)]
)
def test_mixed_dtypes_promote(wide: Any, narrow: Any) -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2, dtype=narrow)
    x = jax.random.normal(jax.random.key(1), (2, 7, 3), wide)
    y, _ = lstm_jax.apply(params, x)
    expected, _ = lstm_jax.apply(jax.tree.map(lambda a: a.astype(wide), params), x)
    assert y.dtype == wide
    np.testing.assert_array_equal(y, expected)
    gradient = jax.grad(lambda p: lstm_jax.apply(p, x)[0].sum())(params)
    assert {a.dtype for a in jax.tree.leaves(gradient)} == {jnp.dtype(narrow)}


def test_gates_are_accurate_to_the_rounding_of_one() -> None:
    z = jnp.linspace(-30, 30, 601, dtype=jnp.float32)[:, None, None]
    cell = lstm_jax.LSTMParams(
        jnp.ones((1, 4), jnp.float32), jnp.zeros((1, 4), jnp.float32)
    )
    inside = lstm_jax.activations(cell, z)
    exact = 1 / (1 + np.exp(-np.asarray(z, np.float64)))
    for gate in (inside.i, inside.f, inside.o):
        assert np.abs(np.asarray(gate, np.float64) - exact).max() < 2e-7
