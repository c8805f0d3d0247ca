# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Initialisation by its defining properties, and the states that mirror parameters."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import CellOptions, LSTMState, initializers
from tests.compare import assert_same

KEY = jax.random.key(0)
INPUTS, HIDDEN = 30, 50


def gate(w: Any, letter: str, units: int = HIDDEN) -> np.ndarray:
    k = "ifgo".index(letter)
    return np.asarray(w, np.float64)[..., k * units : (k + 1) * units]


def test_the_default() -> None:
    """Glorot-uniform w_x and orthogonal w_h, gate by gate; forget bias 1."""
    params = lstm_jax.init_cell(KEY, INPUTS, HIDDEN)
    bound = np.sqrt(6 / (INPUTS + HIDDEN))
    for letter in "ifgo":
        block = gate(params.w_x, letter)
        assert np.abs(block).max() <= bound and np.abs(block).max() > 0.98 * bound
        square = gate(params.w_h, letter)
        np.testing.assert_allclose(square.T @ square, np.eye(HIDDEN), atol=1e-12)
        assert (gate(params.b, letter) == (letter == "f")).all()
    blocks = [gate(params.w_h, letter) for letter in "ifgo"]
    assert all((a != b).all() for a in blocks for b in blocks if a is not b)
    assert params.peephole is None and params.projection is None and params.norm is None


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
def test_every_leaf_has_the_dtype(dtype: Any) -> None:
    """Orthogonal matrices of 16 bits are orthogonal to rounding: drawn in float32."""
    params = lstm_jax.init_cell(
        KEY,
        INPUTS,
        HIDDEN,
        projection_size=20,
        peephole=True,
        norm=lstm_jax.SplitNorm,
        dtype=dtype,
    )
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
    chex.assert_shape(
        [params.w_x, params.w_h, params.b, params.peephole, params.projection],
        [(30, 200), (20, 200), (200,), (3, 50), (50, 20)],
    )
    square = gate(params.w_h, "g")
    error = np.abs(square @ square.T - np.eye(20)).max()
    assert error < 8 * float(jnp.finfo(dtype).eps)
    assert not np.asarray(params.peephole).any()
    assert (np.asarray(params.norm.gain_c) == 1).all()


def test_sixteen_bits_are_the_rounding_of_thirty_two() -> None:
    wide = lstm_jax.init_cell(KEY, 3, 5, dtype=jnp.float32)
    narrow = lstm_jax.init_cell(KEY, 3, 5, dtype=jnp.bfloat16)
    assert_same(narrow, jax.tree.map(lambda a: a.astype(jnp.bfloat16), wide))


def test_as_torch_starts() -> None:
    uniform = initializers.torch_uniform
    params = lstm_jax.init_cell(
        KEY,
        INPUTS,
        HIDDEN,
        projection_size=20,
        kernel_init=uniform(HIDDEN),
        recurrent_init=uniform(HIDDEN),
        bias_init=initializers.torch_bias(),
    )
    bound = HIDDEN**-0.5
    for w in (params.w_x, params.w_h, params.projection):
        assert 0.98 * bound < np.abs(w).max() <= bound
        assert abs(np.std(w) - bound / np.sqrt(3)) < 0.05 * bound
    # b_ih + b_hh: a triangle of twice the width, with both variances.
    assert bound < np.abs(params.b).max() <= 2 * bound
    assert abs(np.std(params.b) - bound * np.sqrt(2 / 3)) < 0.1 * bound
    default = uniform()(KEY, (7, HIDDEN))
    assert 0.95 * bound < np.abs(default).max() <= bound


def test_lecun() -> None:
    lecun = initializers.lecun_normal()
    params = lstm_jax.init_cell(KEY, 400, 100, kernel_init=lecun, recurrent_init=lecun)
    assert abs(np.std(params.w_x) * np.sqrt(400) - 1) < 0.02
    assert abs(np.std(params.w_h) * np.sqrt(100) - 1) < 0.02


def test_chrono() -> None:
    """exp(b_f) is uniform over [1, t_max - 1], and b_i = -b_f."""
    chrono = initializers.chrono(1000)
    zeros = jax.nn.initializers.zeros
    params = lstm_jax.init_cell(KEY, 3, 4000, bias_init=chrono, recurrent_init=zeros)
    b = {letter: gate(params.b, letter, 4000) for letter in "ifgo"}
    assert_same(b["i"], -b["f"])
    assert not b["g"].any() and not b["o"].any()
    horizon = np.exp(b["f"])
    assert horizon.min() >= 1 and horizon.max() <= 999
    assert abs(horizon.mean() - 500) < 15
    assert abs(horizon.std() - 998 / np.sqrt(12)) < 10


@pytest.mark.parametrize(
    "options, gates",
    [
        (CellOptions(), "ifgo"),
        (CellOptions(coupled=True), "igo"),
        (CellOptions(input_gate=False), "fgo"),
        (CellOptions(forget_gate=False), "igo"),
        (CellOptions(output_gate=False), "ifg"),
        (CellOptions(input_gate=False, forget_gate=False, output_gate=False), "g"),
    ],
)
def test_gates_that_are_absent_have_no_columns(options: Any, gates: str) -> None:
    params = lstm_jax.init_cell(KEY, 3, 5, options=options, peephole=True)
    columns = 5 * len(gates)
    chex.assert_shape(
        [params.w_x, params.w_h, params.b, params.peephole],
        [(3, columns), (5, columns), (columns,), (len(gates) - 1, 5)],
    )
    biases = np.asarray(params.b).reshape(len(gates), 5)
    assert [bool(row.all()) for row in biases] == [g == "f" for g in gates]


@pytest.mark.parametrize(
    "norm", [lstm_jax.GateNorm, lstm_jax.GateNorm(eps=0.1), lstm_jax.SplitNorm(eps=0.1)]
)
def test_norms_by_class_or_with_an_eps(norm: Any) -> None:
    made = lstm_jax.init_cell(KEY, 3, 5, norm=norm).norm
    assert made.eps == (1e-8 if isinstance(norm, type) else 0.1)
    assert all(a.ndim == 1 for a in jax.tree.leaves(made))


def test_stacks() -> None:
    params = lstm_jax.init(
        KEY, 3, [5, 7], bidirectional=True, merge="sum", projection_size=4
    )
    inner = params.layers[1].backward
    chex.assert_shape(
        [inner.w_x, inner.w_h, inner.projection], [(4, 28), (4, 28), (7, 4)]
    )
    assert params.layers[0].merge == "sum"
    one = lstm_jax.init(KEY, 3, 5)
    assert isinstance(one, lstm_jax.Stack) and len(one.layers) == 1
    weights = [a for a in jax.tree.leaves(params) if a.ndim == 2]
    assert len({np.asarray(w).tobytes() for w in weights}) == len(weights)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_zero_state_mirrors_params(batch: tuple[int, ...]) -> None:
    params = lstm_jax.Stack(
        (
            lstm_jax.Bidirectional(
                lstm_jax.init_cell(KEY, 3, 5, projection_size=4),
                lstm_jax.Reverse(lstm_jax.init_cell(KEY, 3, 6)),
            ),
            lstm_jax.Residual(lstm_jax.init(KEY, 10, 10)),
        )
    )

    def state(h: int, c: int) -> LSTMState:
        return LSTMState(jnp.zeros((*batch, h)), jnp.zeros((*batch, c)))

    expected = ((state(4, 5), state(6, 6)), (state(10, 10),))
    assert_same(lstm_jax.zero_state(params, batch), expected)
    x = jnp.ones((*batch, 7, 3))
    assert_same(jax.tree.map(jnp.zeros_like, lstm_jax.apply(params, x)[1]), expected)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_zero_state_of_sixteen_bits_has_a_wide_cell(dtype: Any) -> None:
    params = lstm_jax.init_cell(KEY, 3, 5, dtype=dtype)
    h, c = lstm_jax.zero_state(params)
    assert h.dtype == dtype and c.dtype == jnp.float32
    h, c = lstm_jax.zero_state(params, dtype=jnp.float64)
    assert h.dtype == c.dtype == jnp.float64


def test_under_vmap() -> None:
    """Several networks at once are those drawn one by one; it does not hang."""
    keys = jax.random.split(KEY, 3)

    def draw(key: Any) -> Any:
        return lstm_jax.init(key, 3, 5, num_layers=2, projection_size=4)

    got = jax.jit(jax.vmap(draw))(keys)
    each = [draw(key) for key in keys]
    chex.assert_trees_all_close(
        got, jax.tree.map(lambda *a: jnp.stack(a), *each), rtol=1e-12, atol=1e-14
    )
