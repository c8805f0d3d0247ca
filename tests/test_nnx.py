# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The nnx modules, against Flax's own, the library's functions and the oracle."""

import inspect
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lstm_jax
from lstm_jax import Regularizer, Residual, Reverse, Stack
from lstm_jax.convert import from_nnx
from lstm_jax.nnx import LSTM, LSTMCell
from lstm_jax.testing import reference
from tests.cases import jitter, weighted
from tests.compare import FLOAT64, assert_close, assert_same
from tests.foreign import HIDDEN, INPUTS, LENGTHS, cell, sequence, stack, states
from tests.modules import (
    CALL,
    DROPPING,
    EITHER,
    FIELDS,
    KEY,
    RESETS,
    learned_by_hand,
    reaches_apply,
    uncoloured,
)

X = jnp.asarray(sequence())
TWO = stack(HIDDEN, HIDDEN)
SWAPPED = 2e-6  # the bound that the README names


class Tagger(nnx.Module):
    """A model of a user's, who changes one line of it."""

    def __init__(self, rnn: Any) -> None:
        rngs = nnx.Rngs(3)
        self.embed = nnx.Embed(11, INPUTS, rngs=rngs)
        self.rnn = rnn
        self.dense = nnx.Linear(HIDDEN, 4, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.embed(tokens)
        y = self.rnn(x)
        return self.dense(y)


def output(y: jax.Array, state: Any) -> jax.Array:
    return y


def test_it_stands_where_an_rnn_stood() -> None:
    """Outputs, and gradients of all weights, of a model off its start."""
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, 11, (3, 7)))
    rnn = nnx.RNN(nnx.OptimizedLSTMCell(INPUTS, HIDDEN, rngs=nnx.Rngs(0)))
    nnx.update(rnn, jitter(3, nnx.state(rnn, nnx.Param)))
    weights = from_nnx(rnn)

    @nnx.jit
    @partial(nnx.grad, has_aux=True)
    def grad(model: Any) -> Any:
        y = model(tokens)
        return weighted(y) / y.size, y

    before, y = grad(Tagger(rnn))
    nnx.update(rnn, before["rnn"])
    for swapped in (
        nnx.Sequential(LSTM.from_params(weights), output),
        nnx.RNN(LSTMCell.from_params(weights)),
    ):
        model = Tagger(swapped)
        after, again = grad(model)
        np.testing.assert_allclose(again, y, rtol=0, atol=SWAPPED)
        nnx.update(model, after)
        inner: Any = swapped.cell if isinstance(swapped, nnx.RNN) else swapped.layers[0]
        assert_close(inner.params, from_nnx(rnn), 5e-6)
        assert_close(after["embed"], before["embed"], 5e-6)


def test_init_reaches_every_field() -> None:
    for left in ("bias_init", "use_bias"):
        fields = {name: value for name, value in FIELDS.items() if name != left}
        module = LSTM(INPUTS, HIDDEN, rngs=nnx.Rngs(0), **fields)
        fields["dtype"] = fields.pop("param_dtype")
        expected: Any = lstm_jax.init(KEY, INPUTS, HIDDEN, **fields)
        assert_same(module.params, expected)  # options and eps included
    rngs = nnx.Rngs(params=7)
    cell = lstm_jax.init_cell(rngs.params(), INPUTS, HIDDEN, dtype=jnp.float32)
    assert_same(LSTMCell(INPUTS, HIDDEN, rngs=nnx.Rngs(params=7)).params, cell)


def test_every_argument_of_apply_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set(inspect.signature(lstm_jax.apply).parameters) - {"params", "x"}
    assert names <= set(inspect.signature(LSTM.__call__).parameters)
    plain = LSTM.from_params(TWO)
    reaches_apply(monkeypatch, plain, CALL | EITHER)
    reaches_apply(monkeypatch, plain, CALL)
    fields = LSTM.from_params(TWO, **EITHER)
    reaches_apply(monkeypatch, lambda x, **_: fields(x, key=KEY), EITHER)
    other = dict.fromkeys(EITHER, 0) | {"regularizer": Regularizer(zoneout_c=0.5)}
    reaches_apply(monkeypatch, partial(fields, key=KEY), other)


def test_it_keeps_the_contract() -> None:
    """Values of lengths, resets and a given state, in both directions."""
    params = stack(HIDDEN, directions=2, dtype=jnp.float64, peephole=True)
    module = LSTM.from_params(params)
    x, state = sequence(dtype=np.float64), states(params, np.float64)
    extras = {"lengths": np.array([7, 0, 4]), "resets": RESETS}
    out = nnx.jit(lambda module: module(x, state, **extras))(module)
    assert_close(out, reference(params, x, state, **extras), FLOAT64)


def test_dropout_follows_flax() -> None:
    params = stack(HIDDEN)
    rngs = nnx.Rngs(params=0, dropout=5)
    fork = nnx.Rngs(params=0, dropout=5).dropout.fork()
    module = LSTM.from_params(params, rngs=rngs, regularizer=DROPPING)
    run = nnx.jit(lambda module: module(X)[0])
    dropped = jax.jit(
        lambda key: lstm_jax.apply(params, X, regularizer=DROPPING, key=key)[0]
    )
    first, second = run(module), run(module)
    assert_close((first, second), (dropped(fork()), dropped(fork())), 1e-6)
    assert not np.allclose(first, second, atol=1e-2)
    evaluated, _ = lstm_jax.apply(params, X, regularizer=DROPPING.inference())
    assert not np.allclose(evaluated, lstm_jax.apply(params, X)[0], atol=1e-2)
    assert_close(module(X, deterministic=True)[0], evaluated, 1e-6)
    model = nnx.Sequential(module, output)
    model.eval()
    assert_close(run(module), evaluated, 1e-6)
    model.train()
    assert_close(run(module), dropped(fork()), 1e-6)
    if hasattr(nnx, "view"):
        assert_close(nnx.view(model, deterministic=True)(X), evaluated, 1e-6)
        assert not module.deterministic
    for rngs in (nnx.Rngs(dropout=9), nnx.Rngs(dropout=9).dropout):
        expected = dropped(nnx.Rngs(dropout=9).dropout())
        assert_close(module(X, rngs=rngs)[0], expected, 1e-6)
    assert_close(module(X, key=KEY)[0], dropped(KEY), 1e-6)
    with pytest.raises(ValueError, match="LSTM: rngs must be given"):
        LSTM.from_params(params, regularizer=DROPPING)(X)


def test_the_initial_state_is_learned() -> None:
    params = stack(HIDDEN)
    module = LSTM.from_params(params, learn_state=True)
    names = [path for path, _ in nnx.to_flat_state(nnx.state(module, nnx.Param))]
    assert ("start", "layers", 0, "h") in names and len(names) == 5
    start = jitter(4, lstm_jax.zero_state(params))
    (cell,), (given,) = module.start.layers, start
    assert not cell.h[...].any() and not cell.c[...].any()
    cell.h[...], cell.c[...] = given

    @nnx.jit
    @partial(nnx.grad, has_aux=True)
    def grad(module: Any) -> Any:
        y, ((h, c),) = module(X, resets=RESETS)
        return weighted((y, (h, c))), (y, (h, c))

    def by_hand(start: Any) -> Any:
        y, ((h, c),) = learned_by_hand(params, start, X, RESETS)
        return weighted((y, (h, c))), (y, (h, c))

    got, out = grad(module)
    expected, same = jax.jit(jax.grad(by_hand, has_aux=True))(start)
    assert_close(out, same, 1e-6)
    state = got["start"]["layers"][0]
    assert_close((state["h"][...], state["c"][...]), tuple(expected[0]), 1e-5)
    ((h, c),), y = module.step(None, X[:, 0])
    new, same = lstm_jax.lstm_step(params, start, X[:, 0])
    assert_close(((h, c), y), (tuple(new[0]), same), 1e-6)
    other = states(params)
    assert_same(module(X, other), lstm_jax.apply(params, X, other))


def test_any_structure() -> None:
    low, high = cell(1), cell(2, inputs=HIDDEN)
    params = Stack((Reverse(low), Residual(high)))
    module = LSTM.from_params(params)
    assert_same(module.params, params)
    y, state = module(X)
    expected, same = lstm_jax.apply(params, X)
    assert_same((y, state), (expected, same))

    def make(key: Any, size: int) -> Any:
        return Residual(lstm_jax.init_cell(key, size, size, dtype=jnp.float32))

    drawn = LSTM(INPUTS, rngs=nnx.Rngs(params=2), params_init=make)
    assert_same(drawn.params, make(nnx.Rngs(params=2).params(), INPUTS))
    with pytest.raises(ValueError, match=r"params_init .*; got hidden_size, peephole"):
        LSTM(3, 5, rngs=nnx.Rngs(0), params_init=make, peephole=True)


def test_steps() -> None:
    """A cell, the same in `nnx.scan`, and a step of a whole network."""
    params = cell(projection_size=4)
    module, state = LSTMCell.from_params(params), states(params)
    scan = nnx.scan(
        lambda cell, state, x: cell(state, x),
        in_axes=(None, nnx.Carry, 1),
        out_axes=(nnx.Carry, 1),
    )
    last, y = scan(module, state, X)
    assert_close((y, last), lstm_jax.apply(params, X, state), 1e-6)
    zeros = module.initialize_carry(X[:, 0].shape)
    assert_same(zeros, lstm_jax.zero_state(params, X.shape[:1]))
    assert_same(module(None, X[:, 0]), module(zeros, X[:, 0]))
    network, given = LSTM.from_params(TWO), states(TWO)
    expected = lstm_jax.lstm_step(TWO, given, X[:, 0])
    assert_same(network.step(given, X[:, 0]), expected)
    with pytest.raises(NotImplementedError, match="carry_init must be None"):
        module.initialize_carry((3,), carry_init=jax.nn.initializers.ones)


def test_split_merge_and_an_optimiser() -> None:
    """Training a split module by hand is training it by nnx; both follow Optax."""
    module = LSTM.from_params(TWO)
    graph, state = nnx.split(module)
    assert_same(nnx.merge(graph, state).params, TWO)

    def loss(module: Any) -> Any:
        return weighted(module(X)[0])

    @jax.jit
    def by_hand(state: Any) -> Any:
        grads = jax.grad(lambda s: loss(nnx.merge(graph, s)))(state)
        return jax.tree.map(lambda a, g: a - 0.1 * g, state, grads)

    after = nnx.merge(graph, by_hand(state)).params
    optimiser = nnx.Optimizer(module, optax.sgd(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(module: Any, optimiser: Any) -> None:
        optimiser.update(module, nnx.grad(loss)(module))

    step(module, optimiser)
    assert_close(module.params, after, 1e-6)
    direct = jax.jit(jax.grad(lambda p: weighted(lstm_jax.apply(p, X)[0])))(TWO)
    expected = jax.tree.map(lambda a, g: a - 0.1 * g, TWO, direct)
    assert_close(module.params, expected, 1e-6)


def test_remat_and_vmap() -> None:
    """Models side by side: weights and masks of their own, each as if it were alone."""

    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def make(rngs: Any) -> LSTM:
        return LSTM(INPUTS, HIDDEN, rngs=rngs, regularizer=DROPPING)

    models = make(nnx.Rngs(0))
    run = nnx.jit(
        nnx.vmap(nnx.remat(lambda model, x: model(x)[0]), in_axes=(0, None), out_axes=0)
    )
    masked = run(models, X)
    assert not np.allclose(masked[0], masked[1], atol=1e-2)
    models.eval()
    outputs = run(models, X)
    assert not np.allclose(outputs[0], outputs[1], atol=1e-2)
    for k in range(3):
        own = jax.tree.map(lambda a, k=k: a[k], models.params)
        alone = lstm_jax.apply(own, X, regularizer=DROPPING.inference())[0]
        assert_close(outputs[k], alone, 1e-6)


def test_tabulate() -> None:
    """With a state of plain tuples: nnx.tabulate cannot show named ones."""
    plain = partial(jax.tree.map, lambda s: tuple(s), is_leaf=is_state)
    state = plain(lstm_jax.zero_state(TWO, (X.shape[0],)))
    model = LSTM.from_params(TWO, learn_state=True)
    table = uncoloured(nnx.tabulate(model, X, state, console_kwargs={"width": 160}))
    assert "Total Parameters: 420" in table
    state = plain(lstm_jax.zero_state(cell(), (X.shape[0],)))
    table = nnx.tabulate(LSTMCell.from_params(cell()), state, X[:, 0])
    assert "LSTMCell" in table and "Total Parameters: 180" in uncoloured(table)


def is_state(node: Any) -> bool:
    return isinstance(node, lstm_jax.LSTMState)


def test_the_dtype_of_computation() -> None:
    params = stack(HIDDEN)
    module = LSTM.from_params(params, dtype=jnp.bfloat16)
    half = partial(jax.tree.map, lambda a: a.astype(jnp.bfloat16))
    y, _ = module(X, lengths=LENGTHS)
    expected, _ = lstm_jax.apply(half(params), half(X), lengths=LENGTHS)
    assert_same(y, expected)
    assert module.params.layers[0].w_x.dtype == jnp.float32
