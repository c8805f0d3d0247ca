# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The semantic contract, each clause by its own meaning rather than by an oracle."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import Bidirectional, LSTMState, Reverse
from tests import cases
from tests.cases import Case, full_state, weighted
from tests.compare import FLOAT64, assert_close, assert_same

RAGGED = [
    Case("stack", "plain", "lengths", "default", "three", "given"),
    Case("nested", "everything", "all", "window", "three", "learned"),
    Case("concat", "gate_norm", "lengths_resets", "checkpoint", "two_axes", "given"),
    Case("residual", "peephole", "all", "loop", "three", "given"),
    Case("reverse", "split_norm", "lengths", "sqrt", "three", "zeros"),
]


@pytest.mark.parametrize("case", RAGGED, ids=lambda case: case.id)
def test_padding_never_matters(case: Case) -> None:
    """No bit of a value or gradient changes, and padding's own gradient is 0."""
    call = cases.draw(case)
    steps = call.x.shape[-2]
    padding = np.arange(steps) >= np.asarray(call.options["lengths"])[..., None]
    assert padding.any()

    @jax.jit
    def everything(x: Any) -> Any:
        def loss(params: Any, x: Any, state: Any) -> Any:
            run = partial(
                lstm_jax.apply,
                implementation=cases.IMPLEMENTATIONS[case.implementation],
            )
            out = run(params, x, state, **call.options)
            return weighted(out), out

        return jax.grad(loss, (0, 1, 2), has_aux=True)(call.params, x, full_state(call))

    clean = everything(jnp.where(padding[..., None], 0.0, call.x))
    for poison in (np.nan, np.inf, -np.inf, 1e300):
        dirty = everything(jnp.where(padding[..., None], poison, call.x))
        assert_same(dirty, clean, f"{poison} ")
    (_, dx, _), (y, _) = clean
    assert not np.asarray(dx)[padding].any()
    assert not np.asarray(y)[padding].any()
    assert np.asarray(dx)[~padding].any()


@pytest.mark.parametrize("structure", cases.STRUCTURES)
def test_each_row_is_as_if_run_alone(structure: str) -> None:
    case = Case(structure, "peephole", "lengths_resets", "default", "three", "given")
    call = cases.draw(case)
    y, state = lstm_jax.apply(call.params, call.x, call.state, **call.options)
    for row, length in enumerate(call.options["lengths"].tolist()):
        alone, last = lstm_jax.apply(
            call.params,
            call.x[row, :length],
            jax.tree.map(lambda a, row=row: a[row], call.state),
            resets=call.options["resets"][row, :length],
            reset_state=call.options["reset_state"],
        )
        assert_close(y[row, :length], alone, FLOAT64)
        assert_close(jax.tree.map(lambda a, row=row: a[row], state), last, FLOAT64)
    assert {0, call.x.shape[1]} <= set(call.options["lengths"].tolist())


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("starts", [[0, 3], [2, 5, 6], [4], []])
def test_resets_are_segments_run_alone(starts: list[int], reverse: bool) -> None:
    """Rows of several lengths, resets beyond the length, in either direction."""
    cell = cases.jitter(1, lstm_jax.init_cell(jax.random.key(0), 3, 5))
    params = Reverse(cell) if reverse else cell
    x = jax.random.normal(jax.random.key(2), (4, 8, 3))
    start = cases.jitter(3, lstm_jax.zero_state(cell, (4,)))
    fresh = cases.jitter(4, lstm_jax.zero_state(cell))
    lengths = np.array([8, 5, 4, 0])
    resets = np.zeros((4, 8), bool)
    resets[:, starts] = True
    y, state = lstm_jax.apply(
        params, x, start, lengths=lengths, resets=resets, reset_state=fresh
    )
    for row, length in enumerate(lengths):
        bounds = [s for s in starts if 0 < s < length]
        pieces = list(zip([0, *bounds], [*bounds, int(length)], strict=True))
        entering: Any = jax.tree.map(lambda a, row=row: a[row], start)
        if not reverse and 0 in starts and length:
            entering = fresh
        outputs = {}
        for begin, end in reversed(pieces) if reverse else pieces:
            outputs[begin], entering = lstm_jax.apply(
                params, x[row, begin:end], entering
            )
            last, entering = entering, fresh
        alone = jnp.concatenate([outputs[begin] for begin, _ in pieces])
        assert_close(y[row, :length], alone, FLOAT64)
        assert_close(jax.tree.map(lambda a, row=row: a[row], state), last, FLOAT64)


def test_a_reset_at_zero_does_nothing_backward() -> None:
    cell = lstm_jax.init_cell(jax.random.key(0), 3, 5)
    x = jax.random.normal(jax.random.key(1), (2, 7, 3))
    resets = jnp.zeros((2, 7), bool).at[:, 0].set(True)
    assert_same(
        lstm_jax.apply(Reverse(cell), x, resets=resets),
        lstm_jax.apply(Reverse(cell), x),
    )


def test_outputs_of_reversal_stand_in_the_original_order() -> None:
    cell = cases.jitter(1, lstm_jax.init_cell(jax.random.key(0), 3, 5))
    x = jax.random.normal(jax.random.key(2), (2, 7, 3))
    y, state = lstm_jax.apply(Reverse(cell), x)
    turned, end = lstm_jax.apply(cell, x[:, ::-1])
    assert_close((y, state), (turned[:, ::-1], end), FLOAT64)
    assert_close(lstm_jax.apply(Reverse(Reverse(cell)), x), lstm_jax.apply(cell, x), 0)


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
def test_merges(merge: Any) -> None:
    one, two = (lstm_jax.init_cell(jax.random.key(k), 3, 5) for k in range(2))
    x = jax.random.normal(jax.random.key(2), (2, 7, 3))
    f, _ = lstm_jax.apply(one, x)
    b, _ = lstm_jax.apply(Reverse(two), x)
    expected = {
        "concat": jnp.concatenate([f, b], -1),
        "sum": f + b,
        "mul": f * b,
        "ave": (f + b) / 2,
    }[merge]
    got, _ = lstm_jax.apply(Bidirectional(one, two, merge), x)
    assert_close(got, expected, FLOAT64)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("k", [1, 3, 4, 8, 100])
def test_truncation_cuts_gradients_and_nothing_else(k: int, reverse: bool) -> None:
    """dy_t/dx_s is as before within a stretch of k steps and 0 across its ends."""
    cell = cases.jitter(1, lstm_jax.init_cell(jax.random.key(0), 2, 3))
    params = Reverse(cell) if reverse else cell
    x = jax.random.normal(jax.random.key(2), (8, 2))
    start = lstm_jax.zero_state(cell)

    def outputs(x: Any, state: Any, truncate: int | None) -> Any:
        return lstm_jax.apply(params, x, state, truncate=truncate)[0].sum(-1)

    assert_same(outputs(x, start, k), outputs(x, start, None))
    got = jax.jacrev(outputs, (0, 1))(x, start, k)
    whole = jax.jacrev(outputs, (0, 1))(x, start, None)
    stretch = np.arange(8) // k
    together = stretch[:, None] == stretch[None]
    expected = np.where(together[..., None], whole[0], 0.0)
    assert_close(got[0], expected, FLOAT64)
    first = stretch == stretch[-1 if reverse else 0]
    for a, b in zip(got[1], whole[1], strict=True):
        assert_close(a, np.where(first[:, None], b, 0.0), FLOAT64)


@pytest.mark.parametrize(
    "implementation, batch",
    [
        *itertools.product(cases.WAYS, [(), (0,), (3,)]),
        ("default", (2, 3)),  # all axes are made one before any of them runs
        ("default", (0, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("steps", [0, 1])
def test_degenerate_sizes(
    implementation: str, batch: tuple[int, ...], steps: int
) -> None:
    """No step, one step, no row, no batch axis, two of them: values and gradients."""
    params = lstm_jax.init(jax.random.key(0), 3, 5, bidirectional=True)
    x = jax.random.normal(jax.random.key(1), (*batch, steps, 3))
    start = cases.jitter(2, lstm_jax.zero_state(params, batch))
    run = partial(lstm_jax.apply, implementation=cases.IMPLEMENTATIONS[implementation])
    more = {
        "lengths": jnp.full(batch, steps),
        "resets": jnp.zeros((*batch, steps), bool),
        "truncate": 2,
    }

    def loss(params: Any, x: Any, state: Any) -> Any:
        y, state = run(params, x, state, **more)
        return weighted((y, state)), (y, state)

    gradient = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))
    (dparams, dx, dstate), (y, end) = gradient(params, x, start)
    assert y.shape == (*batch, steps, 10) and dx.shape == x.shape
    assert all(np.isfinite(a).all() for a in jax.tree.leaves((dparams, dx, dstate, y)))
    if steps == 0:
        assert_same(end, start)
        assert not any(np.asarray(a).any() for a in jax.tree.leaves(dparams))
        assert all(np.asarray(a).all() for a in jax.tree.leaves(dstate))
    elif 0 not in batch:
        assert all(np.asarray(a).any() for a in jax.tree.leaves((dx, dstate)))


def test_traced_lengths_are_clipped() -> None:
    params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
    x = jax.random.normal(jax.random.key(1), (4, 7, 3))
    run = jax.jit(lambda n: lstm_jax.apply(params, x, lengths=n))
    assert_same(run(np.array([-3, 9, 2, 7])), run(np.array([0, 7, 2, 7])))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64])
def test_lengths_of_any_integer_type(dtype: Any) -> None:
    params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
    x = jax.random.normal(jax.random.key(1), (2, 300, 3))
    lengths = np.array([100, 7])
    expected = lstm_jax.apply(params, x, lengths=lengths)
    assert_same(lstm_jax.apply(params, x, lengths=lengths.astype(dtype)), expected)


def test_time_major_is_only_a_layout() -> None:
    case = Case("nested", "peephole", "all", "default", "two_axes", "given")
    call = cases.draw(case)
    y, state = lstm_jax.apply(call.params, call.x, call.state, **call.options)
    turned = {**call.options, "resets": jnp.moveaxis(call.options["resets"], -1, 0)}
    x = jnp.moveaxis(call.x, -2, 0)
    z, end = lstm_jax.apply(call.params, x, call.state, time_major=True, **turned)
    assert_same((jnp.moveaxis(z, 0, -2), end), (y, state))
    del turned["truncate"], call.options["truncate"]
    one = lstm_jax.activations(call.params, call.x, call.state, **call.options)
    two = lstm_jax.activations(call.params, x, call.state, time_major=True, **turned)
    assert_same(jax.tree.map(lambda a: jnp.moveaxis(a, 0, -2), two), one)


def test_state_comes_back_in_the_containers_and_dtypes_given() -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2)
    x = jax.random.normal(jax.random.key(1), (2, 7, 3), jnp.float32)
    zero = jnp.zeros((2, 5), jnp.float32)
    given = [(zero, zero), [zero.astype(jnp.float16), zero]]
    for _, state in (
        lstm_jax.apply(params, x, given),
        lstm_jax.lstm_step(params, given, x[:, 0])[::-1],
    ):
        assert jax.tree.structure(state) == jax.tree.structure(given)
        assert [a.dtype for a in jax.tree.leaves(state)] == [
            a.dtype for a in jax.tree.leaves(given)
        ]
    _, state = lstm_jax.apply(params, x)
    assert isinstance(state, tuple) and all(isinstance(s, LSTMState) for s in state)


def test_the_state_takes_no_part_in_promotion() -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5, dtype=jnp.float32)
    x = jnp.ones((2, 7, 3), jnp.float32)
    wide = lstm_jax.zero_state(params, (2,), jnp.float64)
    y, ((h, c),) = lstm_jax.apply(params, x, wide)
    assert (y.dtype, h.dtype, c.dtype) == (jnp.float32, jnp.float64, jnp.float64)
    y, _ = lstm_jax.apply(params, x.astype(jnp.float64), wide)
    assert y.dtype == jnp.float64


def test_activations_obey_the_equations() -> None:
    case = Case("stack", "peephole", "lengths", "default", "three", "given")
    call = cases.draw(case)
    inside = lstm_jax.activations(call.params, call.x, call.state, **call.options)
    y, _ = lstm_jax.apply(call.params, call.x, call.state, **call.options)
    x = call.x
    for cell, own, (h, c) in zip(call.params.layers, inside, call.state, strict=True):
        last = own.h
        for t in range(x.shape[1]):
            live = (t < call.options["lengths"])[:, None]
            z = x[:, t] @ cell.w_x + h @ cell.w_h + cell.b[None]
            i, f, g, o = jnp.split(z, 4, -1)
            p = cell.peephole[:, None]
            i, f = jax.nn.sigmoid(i + p[0] * c), jax.nn.sigmoid(f + p[1] * c)
            new = f * c + i * jnp.tanh(g)
            o = jax.nn.sigmoid(o + p[2] * new)
            expected = (i, f, jnp.tanh(g), o, new, o * jnp.tanh(new))
            got = jax.tree.map(lambda a, t=t: a[:, t], tuple(own))
            assert_close(got, tuple(jnp.where(live, a, 0.0) for a in expected), FLOAT64)
            h = jnp.where(live, expected[-1], h)
            c = jnp.where(live, new, c)
        x = own.h
    assert_close(y, last, FLOAT64)


def test_absent_gates_are_one_and_a_coupled_one_is_the_rest() -> None:
    x = jax.random.normal(jax.random.key(1), (2, 7, 3))
    for name, letter in (("input", "i"), ("forget", "f"), ("output", "o")):
        options = lstm_jax.CellOptions(**{f"{name}_gate": False})
        params = lstm_jax.init_cell(jax.random.key(0), 3, 5, options=options)
        assert params.w_x.shape == (3, 15)
        assert (getattr(lstm_jax.activations(params, x), letter) == 1).all()
    options = lstm_jax.CellOptions(coupled=True)
    params = lstm_jax.init_cell(jax.random.key(0), 3, 5, options=options)
    inside = lstm_jax.activations(params, x)
    assert_same(inside.f, 1.0 - inside.i)
