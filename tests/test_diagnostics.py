# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Diagnostics against Jacobians of plain loops, closed forms and known systems."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot

import lstm_jax
from lstm_jax import (
    ActivationFn,
    Bidirectional,
    CellOptions,
    LSTMParams,
    Reverse,
    SplitNorm,
    Stack,
    diagnostics,
)
from lstm_jax.testing import reference, reference_step
from tests.cases import jitter
from tests.compare import FLOAT64, assert_close

INPUTS, HIDDEN = 3, 4
ORDERS = {"frobenius": "fro", "spectral": 2}


def cell(seed: int, inputs: int = INPUTS, units: int = HIDDEN, **options: Any) -> Any:
    made = lstm_jax.init_cell(
        jax.random.key(seed), inputs, units, dtype=jnp.float64, **options
    )
    return jitter(seed, made)


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def loop_jacobians(cells: list[Any]) -> Any:
    """(state, xs) -> ∂ last state / ∂ state after t steps, (N, T + 1, N), of layers.

    What is differentiated is the whole loop, with something added after every step.
    """

    def run(added: jax.Array, start: Any, xs: Any) -> jax.Array:
        state = jnp.concatenate([a for pair in start for a in pair]) + added[0]
        for t, x in enumerate(xs):
            parts, at = [], 0
            for layer, (h, c) in zip(cells, start, strict=True):
                middle, end = at + h.size, at + h.size + c.size
                old = state[at:middle], state[middle:end]
                new, x = reference_step(layer, old, x, xp=jnp)
                parts += [*new]
                at = end
            state = jnp.concatenate(parts) + added[t + 1]
        return state

    jacobians = jax.jit(jax.jacrev(run))

    def at(start: Any, xs: Any) -> np.ndarray:
        size = sum(a.size for a in jax.tree.leaves(start))
        added = np.zeros((len(xs) + 1, size))
        return np.asarray(jacobians(added, list(start), xs))

    return at


def expected_lag(each: list[tuple[np.ndarray, int, int]], steps: int, kind: str) -> Any:
    """Means over rows of norms of the blocks of h and c, lag by lag.

    Args:
        each: of every row, its Jacobians (N, n + 1, N), and where h and c begin.
        steps: T.
        kind: of the norm.
    """

    def block(jacobian: np.ndarray, lag: int, at: int, size: int) -> float:
        own = slice(at, at + size)
        matrix = jacobian[own, jacobian.shape[1] - 1 - lag, own]
        return float(np.linalg.norm(matrix, ORDERS[kind]))  # type: ignore[call-overload]

    h, c, rows = np.full((3, steps + 1), np.nan)
    for lag in range(steps + 1):
        long = [row for row in each if row[0].shape[1] > lag]
        rows[lag] = len(long)
        if long:
            h[lag] = np.mean([block(j, lag, a, b - a) for j, a, b in long])
            c[lag] = np.mean([block(j, lag, b, HIDDEN) for j, _, b in long])
    return h, c, rows


def assert_lag(got: Any, expected: Any, what: str) -> None:
    """Equal, with NaN at the same lags."""
    h, c, rows = expected
    reached = rows > 0
    assert reached.any()
    np.testing.assert_array_equal(got.rows, rows)
    for name, one, two in (("h", got.h, h), ("c", got.c, c)):
        np.testing.assert_array_equal(np.isnan(one), ~reached)
        assert_close(one[reached], two[reached], FLOAT64, f"{what}.{name}")


def test_gradient_lag_is_the_jacobian_of_the_whole_network() -> None:
    """A layer's block is the same in the network as with its input given."""
    lower = cell(0, peephole=True, projection_size=3)
    cells = [lower, cell(1, 3, norm=SplitNorm, options=CellOptions(coupled=True))]
    params = Stack(cells)
    lengths, x = np.array([0, 3, 1]), draw(3, 4, INPUTS)
    state = jitter(2, lstm_jax.zero_state(params, (3,)))
    padded = jnp.where(np.arange(4)[:, None] < lengths[:, None, None], x, np.nan)
    oracle, jacobians = loop_jacobians(cells), []
    for b, n in enumerate(lengths):
        own = jax.tree.map(lambda a: a[b], state)  # noqa: B023
        jacobians.append(oracle(own, x[b, :n]))
    for kind in ORDERS:
        given: Any = dict(lengths=lengths, norm=kind)
        got = diagnostics.gradient_lag(params, padded, state, **given)
        for k, (at, middle) in enumerate(((0, 3), (7, 11))):
            each = [(jacobian, at, middle) for jacobian in jacobians]
            assert_lag(got[k], expected_lag(each, 4, kind), f"layer {k}, {kind}")


def test_gradient_lag_of_a_layer_that_is_run_backward_counts_from_its_own_end() -> None:
    forward, backward, upper = cell(0), cell(1), cell(2, 2 * HIDDEN)
    both = Bidirectional(forward, backward)
    lengths, x = np.array([3, 1]), draw(4, 2, INPUTS)
    lag = jax.jit(diagnostics.gradient_lag, static_argnames="time_major")
    params = Stack((both, Reverse(upper)))
    (one, two), three = lag(params, x, lengths=jnp.asarray(lengths), time_major=True)
    between, _ = reference(both, x, lengths=lengths, time_major=True)
    zero = [(np.zeros(HIDDEN), np.zeros(HIDDEN))]
    for name, got, layer, xs, turn in (
        ("forward", one, forward, x, 1),
        ("backward", two, backward, x, -1),
        ("upper", three, upper, between, -1),
    ):
        oracle = loop_jacobians([layer])
        each = [
            (oracle(zero, xs[:n, b][::turn]), 0, HIDDEN) for b, n in enumerate(lengths)
        ]
        assert_lag(got, expected_lag(each, 4, "frobenius"), name)


def memoryless(params: Any) -> Any:
    """The same network with w_h = 0."""
    return lstm_jax.Stack([layer.replace(w_h=0 * layer.w_h) for layer in params.layers])


def gates(layer: LSTMParams, x: np.ndarray) -> Any:
    """i, f, o (T, H) of one row of a standard layer, by NumPy."""
    y, _ = reference(layer, x)
    before = np.concatenate([np.zeros((1, y.shape[-1])), y[:-1]])
    z = x @ np.asarray(layer.w_x) + before @ np.asarray(layer.w_h) + np.asarray(layer.b)
    i, f, _, o = np.split(1 / (1 + np.exp(-z)), 4, -1)
    return i, f, o


def test_closed_forms_without_recurrent_weights() -> None:
    """∂c_T/∂c_t = diag(Π f); H finite exponents, the means of log f; H of -inf."""
    params = memoryless(Stack([cell(0), cell(1, HIDDEN)]))
    lengths, x = np.array([7, 1, 5, 0]), draw(4, 7, INPUTS)
    forget: list[list[np.ndarray]] = [[], []]
    for b, n in enumerate(lengths):
        xs = x[b, :n]
        for k, layer in enumerate(params.layers):
            forget[k].append(gates(layer, xs)[1])
            xs = reference(layer, xs)[0]
    for kind, order in (("frobenius", 2), ("spectral", np.inf)):
        lags = diagnostics.gradient_lag(params, x, lengths=lengths, norm=kind)
        for k, lag in enumerate(lags):
            expected = [
                np.mean(
                    [
                        np.linalg.norm(np.prod(f[len(f) - n :], 0), order)
                        for f in forget[k]
                        if len(f) >= n
                    ]
                )
                for n in range(8)
            ]
            assert_close(lag.cell_path, np.asarray(expected), FLOAT64, "cell path")
            assert_close(lag.c, np.asarray(expected), FLOAT64, "c")
            np.testing.assert_array_equal(lag.h[1:], 0)
    got = np.asarray(diagnostics.lyapunov_exponents(params, x, lengths=lengths))
    for b in range(3):
        means = [np.log(forget[k][b]).mean(0) for k in (0, 1)]
        finite = np.sort(np.concatenate(means))[::-1]
        assert_close(got[b, : 2 * HIDDEN], finite, FLOAT64, f"row {b}")
        np.testing.assert_array_equal(got[b, 2 * HIDDEN :], -np.inf)
    assert np.isnan(got[3]).all()


def test_the_largest_exponents_are_those_of_the_slowest_units() -> None:
    layer = cell(3)
    bias = jnp.zeros(4 * HIDDEN).at[HIDDEN : 2 * HIDDEN].set(jnp.arange(4.0) - 1)
    (layer,) = memoryless(Stack([layer.replace(w_x=0.2 * layer.w_x, b=bias)])).layers
    x = draw(300, INPUTS)
    got = diagnostics.lyapunov_exponents(layer, x, k=2, skip=100)
    means = np.log(gates(layer, x)[1])[:200].mean(0)
    assert_close(got, np.sort(means)[:1:-1], 1e-9, "two of four")


def test_exponents_of_a_linear_map_are_its_eigenvalues() -> None:
    """With every gate absent, h_t = c_t = c_{t-1} + h_{t-1} W + x_t."""
    identity = ActivationFn("affine")
    options = CellOptions(
        candidate_activation=identity,
        output_activation=identity,
        input_gate=False,
        forget_gate=False,
        output_gate=False,
    )
    pair = 0.8 * np.array([[np.cos(1), np.sin(1)], [-np.sin(1), np.cos(1)]])
    values = np.diag([1.1, 0.0, 0.0, 0.5])
    values[1:3, 1:3] = pair
    basis = np.eye(4) + 0.3 * draw(4, 4)
    map_ = np.linalg.inv(basis) @ values @ basis
    layer = LSTMParams(jnp.asarray(draw(3, 4)), map_ - np.eye(4), options=options)
    x = jnp.asarray(0.1 * draw(2, 300, 3))
    got = np.asarray(diagnostics.lyapunov_exponents(layer, x, skip=150))
    assert got.shape == (2, 8)
    for row in got:
        spectrum = np.array([row[0], (row[1] + row[2]) / 2, row[3]])
        assert_close(spectrum, np.log([1.1, 0.8, 0.5]), 1e-9, "spectrum")
        assert abs(row[1] - row[2]) < 0.02
        np.testing.assert_array_equal(row[4:], -np.inf)


def test_all_exponents_together_are_the_mean_of_log_det() -> None:
    cells = [cell(0, peephole=True), cell(1, HIDDEN)]
    lengths, x = np.array([3, 5]), draw(5, 2, INPUTS)
    params, start = Stack(cells), jitter(2, lstm_jax.zero_state(Stack(cells)))
    padded = jnp.where(np.arange(5)[:, None, None] < lengths[:, None], x, np.nan)
    given: Any = dict(state=start, lengths=lengths, time_major=True)
    got = diagnostics.lyapunov_exponents(params, padded, **given)
    part = diagnostics.lyapunov_exponents(params, padded, skip=2, **given)
    oracle = loop_jacobians(cells)
    for b, n in enumerate(lengths):
        state, logs = start, []
        for t in range(n):
            step = oracle(state, x[t : t + 1, b])[:, 0]
            logs.append(np.linalg.slogdet(step)[1])
            _, state = reference(params, x[t : t + 1, b], state)
        assert_close(got[b].sum(), np.mean(logs), 1e-9, "all steps")
        assert_close(part[b].sum(), np.mean(logs[:-2]), 1e-9, "without the last two")
        assert (np.diff(got[b]) <= 0).all()


def test_gates_by_numpy_and_the_padding_left_out() -> None:
    lower, upper = cell(0), cell(1, HIDDEN)
    lengths, x = np.array([5, 0, 2]), draw(3, 5, INPUTS)
    params, low, high = Stack([lower, upper]), 0.45, 0.6
    shares = diagnostics.saturation(params, x, lengths=lengths, low=low, high=high)
    turned = dict(lengths=lengths, time_major=True)
    half = diagnostics.memory_horizon(params, np.moveaxis(x, 0, 1), level=0.5, **turned)
    between, _ = reference(lower, x, lengths=lengths)
    for k, (layer, xs) in enumerate(((lower, x), (upper, between))):
        rows = [gates(layer, xs[b, :n]) for b, n in enumerate(lengths) if n]
        every = np.stack([np.concatenate(gate) for gate in zip(*rows, strict=True)])
        below, above = (every < low).mean(1), (every > high).mean(1)
        assert 0 < below.mean() < 1 and 0 < above.mean() < 1
        assert_close(shares[k], diagnostics.Saturation(below, above), FLOAT64)
        expected = np.log(0.5) / np.log(every[1]).mean(0)
        assert_close(half[k].steps, expected, FLOAT64, "half-life")


def test_horizons_at_their_ends() -> None:
    """No gate, a gate that is shut, no data; and the gradient of one between."""
    x = draw(2, 3, INPUTS)
    endless = cell(0, options=CellOptions(forget_gate=False))
    assert np.isposinf(diagnostics.memory_horizon(endless, x).steps).all()
    shut = cell(0, options=CellOptions(gate_activation="hard_sigmoid"))
    shut = shut.replace(b=shut.b - 99)
    np.testing.assert_array_equal(diagnostics.memory_horizon(shut, x).steps, 0)
    nothing = diagnostics.memory_horizon(shut, x, lengths=np.zeros(2, int))
    assert np.isnan(nothing.steps).all()
    (plain,) = memoryless(Stack([cell(0)])).layers
    plain = plain.replace(w_x=0 * plain.w_x)

    def total(b: jax.Array) -> jax.Array:
        return diagnostics.memory_horizon(plain.replace(b=b), x).steps.sum()

    f = 1 / (1 + np.exp(-np.asarray(plain.b[HIDDEN : 2 * HIDDEN])))
    expected = np.zeros(4 * HIDDEN)
    expected[HIDDEN : 2 * HIDDEN] = (1 - f) / np.log(f) ** 2
    assert_close(jax.grad(total)(plain.b), expected, FLOAT64)


@pytest.mark.parametrize("batch, steps", [((), 1), ((2, 2), 3), ((0,), 2), ((2,), 0)])
def test_any_batch_and_length_in_16_bits(batch: tuple[int, ...], steps: int) -> None:
    params = lstm_jax.init(jax.random.key(0), INPUTS, 2, dtype=jnp.bfloat16)
    x = jnp.ones((*batch, steps, INPUTS), jnp.bfloat16)
    (lag,) = diagnostics.gradient_lag(params, x)
    exponents = diagnostics.lyapunov_exponents(params, x, k=3)
    (shares,) = diagnostics.saturation(params, x)
    (horizon,) = diagnostics.memory_horizon(params, x)
    assert lag.h.shape == (steps + 1,) and exponents.shape == (*batch, 3)
    known = bool(np.prod((*batch, steps)))
    for a in (lag.c[1:], exponents, shares.above, horizon.steps):
        assert a.dtype == jnp.float32 and np.isnan(a).any() == (
            not known and a.size > 0
        )


@pytest.fixture
def figures() -> Iterator[None]:
    yield
    pyplot.close("all")


def test_plots_show_the_numbers(figures: None) -> None:
    params = lstm_jax.init(jax.random.key(0), INPUTS, 4, bidirectional=True)
    params = Stack((*params.layers, cell(1, 8, options=CellOptions(forget_gate=False))))
    x = draw(2, 9, INPUTS)
    lag = diagnostics.gradient_lag(params, x)
    axes = diagnostics.plot_gradient_lag(lag)
    names = [str(line.get_label()) for line in axes.lines]
    assert len(names) == 9 and names[4].startswith("layer 0.1, $") and "c" in names[4]
    assert_close(axes.lines[4].get_ydata(), lag[0][1].c / lag[0][1].c[0], 1e-6)
    assert diagnostics.plot_gradient_lag(lag[1], axes) is axes and len(axes.lines) == 12

    shares = diagnostics.saturation(params, x, low=0.4, high=0.6)
    bars: list[Any] = list(diagnostics.plot_saturation(shares).patches)
    assert len(bars) == 27  # a frame, a left and a right part of nine gates
    widths = np.array([bar.get_width() for bar in bars]).reshape(3, 3, 3)
    assert_close(widths[1, 1], shares[0][1].below.mean(-1), 1e-6)
    assert_close(widths[2, 2], shares[1].above.mean(-1), 1e-6)
    assert np.isclose(bars[-1].get_x() + bars[-1].get_width(), 1)

    horizon = diagnostics.memory_horizon(params, x)
    axes = diagnostics.plot_memory_horizon(horizon)
    expected = np.sort(np.asarray(horizon[0][0].steps))
    assert_close(axes.lines[0].get_ydata(), expected, 1e-6)
    assert axes.lines[2].get_label() == "layer 1 (4 of 4 units without end)"
    assert np.isnan(axes.lines[2].get_ydata()).all()

    spectra = np.array([[0.5, -1.0, -np.inf], [0.3, -np.inf, -np.inf], [np.nan] * 3])
    axes = diagnostics.plot_lyapunov_exponents(spectra)
    mean = axes.lines[2]
    np.testing.assert_allclose(mean.get_ydata(), [0.4, -1.0, np.nan])
    assert mean.get_label() == "mean of 2 rows (3 of 6 are −∞)"
    for figure in map(pyplot.figure, pyplot.get_fignums()):
        figure.canvas.draw()


def test_errors_name_the_call_and_what_came() -> None:
    params, x = lstm_jax.init(jax.random.key(0), INPUTS, 2), np.ones((2, 5, INPUTS))
    lyapunov, both = diagnostics.lyapunov_exponents, Bidirectional(cell(0), cell(1))
    wrong: Any = "nuclear"
    for kind, message, call in (
        (NotImplementedError, "is Reverse", lambda: lyapunov(Reverse(cell(0)), x)),
        (NotImplementedError, "is Bidirectional", lambda: lyapunov(Stack([both]), x)),
        (
            ValueError,
            "N=4 (h and c of all layers); got 5",
            lambda: lyapunov(params, x, k=5),
        ),
        (ValueError, "got 1.5", lambda: lyapunov(params, x, k=1.5)),
        (ValueError, "T=5 (from x); got 5", lambda: lyapunov(params, x, skip=5)),
        (
            ValueError,
            "got 'nuclear'",
            lambda: diagnostics.gradient_lag(params, x, norm=wrong),
        ),
        (
            ValueError,
            "got low=0.9",
            lambda: diagnostics.saturation(params, x, low=0.9, high=0.1),
        ),
        (
            ValueError,
            "got 1.",
            lambda: diagnostics.memory_horizon(params, x, level=1.0),
        ),
        (
            ValueError,
            "saturation: x must",
            lambda: diagnostics.saturation(params, x[..., :2]),
        ),
        (
            TypeError,
            "plot_saturation: tree must hold Saturation",
            lambda: diagnostics.plot_saturation([x]),
        ),
    ):
        with pytest.raises(kind, match=re.escape(message)):
            call()


def test_without_matplotlib_the_extra_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"lstm_jax\[diagnostics\]"):
        diagnostics.plot_lyapunov_exponents(np.zeros((2, 3)))
