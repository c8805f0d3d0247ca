# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Haiku, Equinox and cuDNN's flat weights, against their live cells."""

import itertools
from typing import Any

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

import lstm_jax
from lstm_jax import Bidirectional, LSTMState, Stack
from lstm_jax.convert import (
    from_cudnn,
    from_equinox,
    from_haiku,
    to_cudnn,
    to_equinox,
    to_haiku,
)
from lstm_jax.convert._systems import FEATURES, SYSTEMS
from tests import foreign
from tests.cases import jitter
from tests.compare import FLOAT64, assert_close, assert_same
from tests.foreign import HIDDEN, INPUTS, LENGTHS, NETWORKS, STEPS, sequence, states

BOUNDS = {"float32": 2e-6, "float64": 1e-12}
ROWS = len(LENGTHS)


def agree(got: Any, expected: Any, bound: float) -> None:
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, 0, bound)


def random(tree: Any, dtype: Any) -> Any:
    """Arrays like those of a tree, none of them constant."""
    rng = np.random.default_rng(3)
    return jax.tree.map(
        lambda a: jnp.asarray(0.5 * rng.standard_normal(a.shape), dtype), tree
    )


def ragged(step: Any, state: Any, x: Any) -> tuple[Any, Any]:
    """A network of one step over rows of `LENGTHS`; padding keeps the state."""

    def body(state: Any, now: Any) -> Any:
        x_t, valid = now
        y, new = step(x_t, state)
        keep = lambda a, b: jnp.where(valid[:, None], a, b)  # noqa: E731
        return jax.tree.map(keep, new, state), keep(y, jnp.zeros_like(y))

    valid = np.arange(STEPS)[:, None] < LENGTHS
    state, y = jax.lax.scan(body, state, (jnp.moveaxis(x, 1, 0), valid))
    return jnp.moveaxis(y, 0, 1), state


# Haiku


def _core(*sizes: int) -> Any:
    return (
        hk.DeepRNN([hk.LSTM(size) for size in sizes]) if sizes[1:] else hk.LSTM(*sizes)
    )


def _haiku(*sizes: int) -> Any:
    def step(x: Any, state: Any) -> Any:
        return _core(*sizes)(x, state)

    return hk.without_apply_rng(hk.transform(step))


def _haiku_state(state: Any) -> Any:
    if isinstance(state, LSTMState):
        return hk.LSTMState(hidden=state.h, cell=state.c)
    return tuple(map(_haiku_state, state))


def _haiku_run(network: Any, params: Any, x: Any, state: Any) -> Any:
    step = lambda x, s: network.apply(params, x, s)  # noqa: E731
    return ragged(step, _haiku_state(state), x)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("sizes", [(HIDDEN,), (HIDDEN, HIDDEN + 1)])
def test_haiku(sizes: tuple[int, ...], dtype: str) -> None:
    """Their parameters in our apply, and ours in their module."""
    network, x = _haiku(*sizes), sequence(dtype=dtype)
    like = foreign.stack(*sizes, dtype=dtype)
    like = like if sizes[1:] else like.layers[0]
    state = states(like, dtype)
    key = jax.random.key(0)
    held = jax.eval_shape(network.init, key, x[:, 0], _haiku_state(state))
    held = random(held, dtype)
    run = jax.jit(lambda held, x, s: _haiku_run(network, held, x, s))
    params = from_haiku(held)
    assert jax.tree.structure(params) == jax.tree.structure(like)
    for theirs, ours in ((held, params), (to_haiku(like), like)):
        got = lstm_jax.apply(ours, x, state, lengths=LENGTHS)
        agree(got, run(theirs, x, state), BOUNDS[dtype])


def test_haiku_gradients() -> None:
    network, x = _haiku(HIDDEN), sequence(dtype=np.float64)
    scale = sequence(HIDDEN, np.float64, 9)
    params = foreign.cell(dtype=jnp.float64)
    state = states(params, np.float64)

    def loss(held: Any) -> Any:
        return (_haiku_run(network, held, x, state)[0] * scale).sum()

    expected: Any = from_haiku(jax.jit(jax.grad(loss))(to_haiku(params)))
    one = np.repeat([0.0, 1, 0, 0], HIDDEN)  # which is no part of a gradient
    expected = expected.replace(b=expected.b - one)

    def ours(params: Any) -> Any:
        return (lstm_jax.apply(params, x, state, lengths=LENGTHS)[0] * scale).sum()

    assert_close(jax.grad(ours)(params), expected, FLOAT64)


def test_haiku_round_trip() -> None:
    """Exact, but for the forget gate's bias, which is rounded once on each way."""
    params = foreign.stack(HIDDEN, HIDDEN)
    back: Any = from_haiku(to_haiku(params))
    for again, cell in zip(back.layers, params.layers, strict=True):
        i, f, g, o = np.split(np.asarray(again.b), 4)
        want_i, want_f, want_g, want_o = np.split(np.asarray(cell.b), 4)
        assert_same((i, g, o), (want_i, want_g, want_o))
        assert_same((again.w_x, again.w_h), (cell.w_x, cell.w_h))
        np.testing.assert_allclose(f, want_f, 0, float(np.finfo(np.float32).eps))
    above = jnp.asarray([0.5, 0.7000001, 1.3, 2.7, 1000.1], jnp.float32)
    cell = params.layers[0].replace(b=jnp.tile(above, 4))
    assert_same(from_haiku(to_haiku(cell)), cell)
    held = to_haiku(params)
    assert_same(to_haiku(from_haiku(held)), held)  # of what has been rounded


def test_haiku_without_bias() -> None:
    """A bias that gives zero: Haiku's forget gate must be -1."""
    params = foreign.cell(use_bias=False)
    b = to_haiku(params)["lstm/linear"]["b"]
    np.testing.assert_array_equal(b, np.repeat([0.0, 0, -1, 0], HIDDEN))
    zeros = params.replace(b=jnp.zeros(4 * HIDDEN, jnp.float32))
    assert_same(from_haiku(to_haiku(params)), zeros)


def test_haiku_modules_go_by_number() -> None:
    """Sorted as text, as jax.tree.map leaves them, lstm_10 comes before lstm_2."""
    params = Stack(tuple(foreign.cell(k, HIDDEN) for k in range(12)))
    held = jax.tree.map(lambda a: a, to_haiku(params))
    assert list(held)[:3] == ["lstm/linear", "lstm_1/linear", "lstm_10/linear"]
    back: Any = from_haiku(held)
    for k, (got, cell) in enumerate(zip(back.layers, params.layers, strict=True)):
        assert_same(got.w_h, cell.w_h, f"layer {k}")


def test_haiku_names() -> None:
    params = foreign.stack(HIDDEN, HIDDEN)
    names = ["model/~/upper", "lower"]
    held: Any = to_haiku(params, names)
    assert list(held) == ["model/~/upper/linear", "lower/linear"]
    held["head/linear"] = held["head/conv"] = {"w": np.ones((5, 2), "f")}
    assert_same(to_haiku(from_haiku(held, names), names), to_haiku(params, names))
    one = from_haiku(held, "lower")
    assert_same(to_haiku(one, "lower"), {"lower/linear": held["lower/linear"]})
    assert_same(from_haiku(held, ["lower"]), Stack((one,)))
    with pytest.raises(ValueError, match=r"^from_haiku: names must be of .*; got 'no'"):
        from_haiku(held, "no")
    with pytest.raises(ValueError, match=r"alone, and has head/conv; pass names, of "):
        from_haiku(held)
    del held["head/conv"]
    with pytest.raises(ValueError, match=r"numbered, .*\. Pass names in their order"):
        from_haiku(held)
    for wrong in ("lstm", ["a", "a"], ["a", "b", "c"], []):
        with pytest.raises(ValueError, match=r"^to_haiku: names must be 2 differ"):
            to_haiku(params, wrong)


@pytest.mark.parametrize(
    ("held", "error", "message"),
    [
        (3, TypeError, "params must map module names to mappings of arrays; got int"),
        ({"lstm/linear": 3}, TypeError, "mappings of arrays; got int"),
        ({}, ValueError, "order; got none"),
        ({"lstm/linear": {"w": np.ones((9, 20))}}, ValueError, "b of lstm/linear must"),
        (
            {"lstm/linear": {"w": np.ones((5, 20)), "b": np.ones(20)}},
            ValueError,
            r"w of lstm/linear must have shape \(I \+ H, 4·H\), .* got \(5, 20\)",
        ),
        (
            {"lstm/linear": {"w": np.ones((9, 20)), "b": np.ones(5)}},
            ValueError,
            r"b of lstm/linear must have shape \(20,\) \(from w\); got \(5,\)",
        ),
        (
            {"lstm/linear": {"w": np.ones((9, 20), int), "b": np.ones(20)}},
            TypeError,
            "lstm/linear.w must have a floating dtype; got int64",
        ),
        (
            {"gru": {"w_i": 0, "w_h": 0, "b": 0}},
            NotImplementedError,
            r"this library cannot express: a GRU \(in gru\)",
        ),
    ],
)
def test_haiku_malformed(held: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^from_haiku: .*{message}"):
        from_haiku(held)


def test_haiku_skip_connections() -> None:
    """Their inputs are wider than the layer below, which is no `Stack`."""
    held = to_haiku(foreign.stack(HIDDEN, HIDDEN))
    wide = np.ones((INPUTS + 2 * HIDDEN, 4 * HIDDEN), np.float32)
    held["lstm_1/linear"]["w"] = jnp.asarray(wide)
    with pytest.raises(ValueError, match=r"^from_haiku: .*layers\[1\]"):
        from_haiku(held)


# Equinox


def _equinox_run(cells: Any, x: Any, state: Any) -> Any:
    """One row at a time is what a cell takes."""

    def step(x_t: Any, states: Any) -> Any:
        new = []
        for cell, state in zip(cells, states, strict=True):
            new.append(jax.vmap(cell)(x_t, state))
            x_t = new[-1][0]
        return x_t, tuple(new)

    return ragged(step, tuple(tuple(s) for s in state), x)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_equinox(use_bias: bool, dtype: str) -> None:
    """Their cells in our apply, and ours as their cells."""
    sizes = (INPUTS, HIDDEN, HIDDEN + 1)
    cells = [
        eqx.nn.LSTMCell(i, h, use_bias=use_bias, key=jax.random.key(h))
        for i, h in itertools.pairwise(sizes)
    ]
    arrays, rest = eqx.partition(cells, eqx.is_array)
    cells = eqx.combine(random(arrays, dtype), rest)
    params = from_equinox(cells)
    like = foreign.stack(*sizes[1:], dtype=dtype, use_bias=use_bias)
    assert jax.tree.structure(params) == jax.tree.structure(like)
    x, state = sequence(dtype=dtype), states(like, dtype)
    run = eqx.filter_jit(_equinox_run)
    for theirs, ours in ((tuple(cells), params), (to_equinox(like), like)):
        got = lstm_jax.apply(ours, x, state, lengths=LENGTHS)
        agree(got, run(theirs, x, state), BOUNDS[dtype])
        assert_same(from_equinox(theirs), ours)
        assert [(c.input_size, c.hidden_size) for c in theirs] == [
            (INPUTS, HIDDEN),
            (HIDDEN, HIDDEN + 1),
        ]


def test_equinox_gradients_of_one_cell() -> None:
    params, x = foreign.cell(dtype=jnp.float64), sequence(dtype=np.float64)
    scale, state = sequence(HIDDEN, np.float64, 9), states(params, np.float64)
    cell = to_equinox(params)
    assert_same(from_equinox(cell), params)

    @eqx.filter_jit
    @eqx.filter_grad
    def gradient(cell: Any) -> Any:
        return (_equinox_run((cell,), x, (state,))[0] * scale).sum()

    def ours(params: Any) -> Any:
        return (lstm_jax.apply(params, x, state, lengths=LENGTHS)[0] * scale).sum()

    assert_close(jax.grad(ours)(params), from_equinox(gradient(cell)), FLOAT64)


def test_equinox_refused() -> None:
    message = r"^from_equinox: this library cannot express: GRUCell \(in cells\[0\]\)"
    with pytest.raises(NotImplementedError, match=message):
        from_equinox([eqx.nn.GRUCell(3, 5, key=jax.random.key(0))])
    with pytest.raises(NotImplementedError, match=r"express: int \(in cells\)"):
        from_equinox(3)


def test_equinox_shapes() -> None:
    cell = to_equinox(foreign.cell())
    cell = eqx.tree_at(lambda c: c.weight_ih, cell, jnp.ones((16, INPUTS), jnp.float32))
    with pytest.raises(ValueError, match=r"^from_equinox: params\.w_h must have sha"):
        from_equinox(cell)


# cuDNN


def _flat(size: int, dtype: Any) -> np.ndarray:
    return 0.5 * np.random.default_rng(3).standard_normal(size).astype(dtype)


def _reference(weights: Any, layout: Any, x: Any, state: Any) -> Any:
    """JAX's own, which runs anywhere; and the state as (h, c) of each layer."""
    pairs = [
        s for member in state for s in ([member] if layout[3] is False else member)
    ]
    h, c = (jnp.stack([jnp.asarray(pair[k]) for pair in pairs]) for k in (0, 1))
    parts = rnn.unpack_lstm_weights(weights, *layout)
    lengths = LENGTHS.astype(np.int32)
    y, h, c = rnn.lstm_ref(x, h, c, *parts, lengths, *layout[:3], 0.0, layout[3])
    return y, list(zip(h, c, strict=True))


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize(
    "layout", [(INPUTS, HIDDEN, 1, False), (INPUTS, HIDDEN, 2, True)], ids=str
)
def test_cudnn(layout: Any, dtype: str) -> None:
    """Their weights in our apply, and ours in JAX's reference."""
    weights = _flat(rnn.get_num_params_in_lstm(*layout), dtype)
    params = from_cudnn(weights, *layout)
    x, state = sequence(dtype=dtype), states(params, dtype)
    other = jitter(8, params)
    for theirs, ours in ((weights, params), (to_cudnn(other), other)):
        got = lstm_jax.apply(ours, x, state, lengths=LENGTHS)
        agree(got, _reference(jnp.asarray(theirs), layout, x, state), BOUNDS[dtype])
    assert_same(from_cudnn(to_cudnn(other), *layout), other)


def test_cudnn_gradients() -> None:
    layout = (INPUTS, HIDDEN, 1, True)
    weights = jnp.asarray(_flat(rnn.get_num_params_in_lstm(*layout), np.float64))
    params, x = from_cudnn(weights, *layout), sequence(dtype=np.float64)
    scale, state = sequence(2 * HIDDEN, np.float64, 9), states(params, np.float64)

    @jax.jit
    @jax.grad
    def gradient(weights: Any) -> Any:
        return (_reference(weights, layout, x, state)[0] * scale).sum()

    def ours(params: Any) -> Any:
        return (lstm_jax.apply(params, x, state, lengths=LENGTHS)[0] * scale).sum()

    # Each of two biases that are added has the gradient of the sum.
    got = gradient(weights)
    expected = from_cudnn(got.at[-2 * 2 * 4 * HIDDEN :].divide(2), *layout)
    assert_close(jax.grad(ours)(params), expected, FLOAT64)


def test_cudnn_of_rocm() -> None:
    layout = (INPUTS, HIDDEN, 2, True)
    weights = _flat(rnn.get_num_params_in_lstm(*layout), np.float32)
    swapped = rnn.swap_lstm_gates(weights, *layout)
    params = from_cudnn(weights, *layout)
    assert_same(from_cudnn(swapped, *layout, rocm=True), params)
    expected = rnn.swap_lstm_gates(to_cudnn(params), *layout)
    assert_same(to_cudnn(params, rocm=True), expected)


def test_cudnn_without_bias() -> None:
    params = foreign.stack(HIDDEN, use_bias=False)
    weights = to_cudnn(params)
    assert_same(from_cudnn(weights, INPUTS, HIDDEN, use_bias=False), params)
    assert not from_cudnn(weights, INPUTS, HIDDEN).layers[0].b.any()
    with pytest.raises(ValueError, match=r"^from_cudnn: weights must have zero bia"):
        from_cudnn(weights.at[-1].set(1), INPUTS, HIDDEN, use_bias=False)


@pytest.mark.parametrize(
    ("weights", "sizes", "error", "message"),
    [
        (
            np.ones(199),
            (3, 5),
            ValueError,
            r"shape \(200,\) \(from the sizes\); got \(1",
        ),
        (np.ones(200, int), (3, 5), TypeError, "weights must have a floating dtype"),
        (np.ones(200), (0, 5), ValueError, "input_size must be a positive int; got 0"),
        (np.ones(200), (3, 5.0), ValueError, "hidden_size must be a positive int; got"),
        (np.ones(200), (3, 5, True), ValueError, "num_layers must be .*; got True"),
    ],
)
def test_cudnn_malformed(weights: Any, sizes: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^from_cudnn: .*{message}"):
        from_cudnn(weights, *sizes)


def test_cudnn_mixed_directions() -> None:
    two = Bidirectional(foreign.cell(1), foreign.cell(2))
    params = Stack((two, foreign.cell(3, 2 * HIDDEN)))
    message = "^to_cudnn: cuDNN cannot express: layers of one and of two directions"
    with pytest.raises(NotImplementedError, match=message):
        to_cudnn(params)


# All


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("system", ["haiku", "equinox", "cudnn"])
def test_features(system: str, feature: str) -> None:
    params = NETWORKS[feature]()
    to = {"haiku": to_haiku, "equinox": to_equinox, "cudnn": to_cudnn}[system]
    writes = SYSTEMS[system].writes
    assert writes is not None
    if feature in writes:
        assert jax.tree.leaves(to(params))
        return
    with pytest.raises(NotImplementedError) as error:
        to(params)
    assert FEATURES[feature] in str(error.value)
    assert str(error.value).startswith(f"to_{system}: {SYSTEMS[system].title} cannot")
