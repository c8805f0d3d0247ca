# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The linen modules, against Flax's own, the library's functions and the oracle."""

import inspect
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.errors
import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import GateNorm, Regularizer, Residual, Reverse, Stack
from lstm_jax.convert import from_linen
from lstm_jax.linen import LSTM, LSTMCell, pack
from lstm_jax.testing import reference
from tests.cases import jitter, weighted
from tests.compare import FLOAT64, assert_close, assert_same
from tests.foreign import HIDDEN, INPUTS, LENGTHS, cell, sequence, stack, states
from tests.jaxprs import equations
from tests.modules import (
    CALL,
    DROPPING,
    EITHER,
    FIELDS,
    KEY,
    RESETS,
    fields_of_init,
    learned_by_hand,
    reaches_apply,
    uncoloured,
)

X = jnp.asarray(sequence())
TWO = stack(HIDDEN, HIDDEN)
SWAPPED = 2e-6  # the bound that the README names


class Tagger(nn.Module):
    """A model of a user's, who changes one line of it."""

    rnn: Callable[[jax.Array], Any]

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = nn.Embed(11, INPUTS)(tokens)
        y = self.rnn(x)
        return nn.Dense(4)(y)


BEFORE = Tagger(lambda x: nn.RNN(nn.OptimizedLSTMCell(HIDDEN))(x))
AFTER = {
    "LSTM_0": Tagger(lambda x: LSTM(HIDDEN)(x)[0]),
    "LSTMCell_0": Tagger(lambda x: nn.RNN(LSTMCell(HIDDEN))(x)),
}


TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 11, (3, 7)))


def loss_and_output(model: Any, params: Any) -> Any:
    y = model.apply({"params": params}, TOKENS)
    return weighted(y) / y.size, y


grad = jax.jit(jax.grad(loss_and_output, argnums=1, has_aux=True), static_argnums=0)


@pytest.fixture(scope="module")
def before() -> Any:
    """Parameters off their start, their gradients and the output, of Flax's own."""
    like = jax.eval_shape(BEFORE.init, KEY, TOKENS)["params"]
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)
    params = jitter(3, zeros)
    return params, *grad(BEFORE, params)


@pytest.mark.parametrize("name", AFTER)
def test_it_stands_where_an_rnn_stood(name: str, before: Any) -> None:
    params, expected, y = before

    def converted(params: Any) -> Any:
        weights = from_linen(params["OptimizedLSTMCell_0"])
        ours = pack(Stack((weights,)) if name == "LSTM_0" else weights)
        return {k: v for k, v in params.items() if "Cell" not in k} | {name: ours}

    got, again = grad(AFTER[name], converted(params))
    np.testing.assert_allclose(again, y, rtol=0, atol=SWAPPED)
    assert_close(got, converted(expected), 5e-6)


def test_init_reaches_every_field() -> None:
    assert set(FIELDS) == fields_of_init() <= set(inspect.signature(LSTM).parameters)
    for left in ("bias_init", "use_bias"):
        fields = {name: value for name, value in FIELDS.items() if name != left}
        module = LSTM(HIDDEN, **fields)
        variables = jax.jit(module.init)(KEY, X)
        fields["dtype"] = fields.pop("param_dtype")
        expected = lstm_jax.init(jax.random.key(1), INPUTS, HIDDEN, **fields)
        assert_same(module.unpack(variables), expected)  # options and eps included
    fields = {k: FIELDS[k] for k in ("projection_size", "peephole", "norm", "options")}
    one = LSTMCell(HIDDEN, use_bias=False, **fields)
    tree = jax.eval_shape(one.init, KEY, None, X[:, 0])
    like = lstm_jax.init_cell(KEY, INPUTS, HIDDEN, use_bias=False, **fields)
    assert jax.tree.structure(one.unpack(tree)) == jax.tree.structure(like)


def test_every_argument_of_apply_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"params": pack(TWO)}
    names = set(inspect.signature(lstm_jax.apply).parameters) - {"params", "x"}
    assert names == set(CALL) | set(EITHER)

    def call(module: Any) -> Any:
        return partial(module.apply, variables)

    plain = LSTM([HIDDEN, HIDDEN])
    reaches_apply(monkeypatch, partial(call(plain), deterministic=False), CALL | EITHER)
    reaches_apply(monkeypatch, call(plain), CALL)
    fields = LSTM([HIDDEN, HIDDEN], **EITHER, deterministic=False)
    reaches_apply(monkeypatch, lambda x, **_: call(fields)(x, key=KEY), EITHER)
    other = dict.fromkeys(EITHER, 0) | {"regularizer": Regularizer(zoneout_c=0.5)}
    reaches_apply(monkeypatch, partial(call(fields), key=KEY), other)


def test_it_keeps_the_contract() -> None:
    """Values of lengths, resets and a given state, in both directions."""
    params = stack(HIDDEN, directions=2, dtype=jnp.float64, peephole=True)
    module = LSTM(HIDDEN, bidirectional=True, peephole=True)
    x, state = sequence(dtype=np.float64), states(params, np.float64)
    extras = {"lengths": np.array([7, 0, 4]), "resets": RESETS}
    out = module.apply({"params": pack(params)}, x, state, **extras)
    assert_close(out, reference(params, x, state, **extras), FLOAT64)


class Drawn(nn.Module):
    """The key that a module at the root gets of a stream."""

    def __call__(self) -> jax.Array:
        return self.make_rng("dropout")


def test_dropout_follows_flax() -> None:
    params = stack(HIDDEN)
    module = LSTM(HIDDEN, regularizer=DROPPING)
    run = jax.jit(
        lambda rngs, deterministic: module.apply(
            {"params": pack(params)}, X, deterministic=deterministic, rngs=rngs
        ),
        static_argnums=1,
    )
    rngs = {"dropout": KEY}
    drawn = Drawn().apply({}, rngs=rngs)
    expected = lstm_jax.apply(params, X, regularizer=DROPPING, key=drawn)
    assert_close(run(rngs, False), expected, 1e-6)
    other, _ = run({"dropout": jax.random.key(1)}, False)
    assert not np.allclose(other, expected[0], atol=1e-2)
    evaluated = lstm_jax.apply(params, X, regularizer=DROPPING.inference())
    assert_close(run({}, True), evaluated, 1e-6)
    assert not np.allclose(evaluated[0], lstm_jax.apply(params, X)[0], atol=1e-2)
    field = LSTM(HIDDEN, regularizer=DROPPING, deterministic=True)
    assert_same(field.apply({"params": pack(params)}, X), evaluated)
    with pytest.raises(ValueError, match='"deterministic" must be passed'):
        module.apply({"params": pack(params)}, X, rngs=rngs)
    with pytest.raises(ValueError, match='"deterministic" was passed'):
        field.apply({"params": pack(params)}, X, deterministic=True)
    with pytest.raises(flax.errors.InvalidRngError, match="dropout"):
        module.apply({"params": pack(params)}, X, deterministic=False)


def test_the_initial_state_is_learned() -> None:
    params = stack(HIDDEN)
    module = LSTM(HIDDEN, learn_state=True)
    drawn = LSTM.from_params(params, learn_state=True).init(KEY, X)["params"]["state"]
    assert_same(drawn, {"layers_0": dict.fromkeys("ch", jnp.zeros(HIDDEN, "float32"))})
    start = jitter(4, lstm_jax.zero_state(params))
    variables = {"params": pack(params, start)}

    def loss(variables: Any) -> Any:
        out = module.apply(variables, X, resets=RESETS)
        return weighted(out), out

    def by_hand(start: Any) -> Any:
        out = learned_by_hand(params, start, X, RESETS)
        return weighted(out), out

    got, out = jax.jit(jax.grad(loss, has_aux=True))(variables)
    expected, same = jax.jit(jax.grad(by_hand, has_aux=True))(start)
    assert_close(out, same, 1e-6)
    assert_close(got["params"]["state"], pack(params, expected)["state"], 1e-5)
    state, y = module.apply(variables, None, X[:, 0], method="step")
    assert_close((state, y), lstm_jax.lstm_step(params, start, X[:, 0]), 1e-6)
    given = states(params)
    assert_same(module.apply(variables, X, given), lstm_jax.apply(params, X, given))
    assert_same(module.unpack(variables), params)


def test_one_parameter_a_leaf() -> None:
    module = LSTM(
        HIDDEN, bidirectional=True, norm=GateNorm, projection_size=4, learn_state=True
    )
    flat = flax.traverse_util.flatten_dict(
        jax.eval_shape(module.init, KEY, X)["params"], sep="/"
    )
    leaves = {"w_x": (3, 20), "w_h": (4, 20), "b": (20,), "projection": (5, 4)}
    leaves["norm/gain"] = (20,)
    expected = {
        f"layers_0/{way}/{leaf}": shape
        for way in ("forward", "backward")
        for leaf, shape in leaves.items()
    } | {
        f"state/layers_0/{way}/{leaf}": shape
        for way in ("forward", "backward")
        for leaf, shape in {"h": (4,), "c": (5,)}.items()
    }
    assert {name: leaf.shape for name, leaf in flat.items()} == expected


def test_any_structure_goes_in_and_out() -> None:
    """Also one that no fields ask for, with Flax's metadata on its leaves."""
    low, high = cell(1), cell(2, inputs=HIDDEN)
    params = Stack((Reverse(low), Residual(high)))
    module = LSTM.from_params(params)
    variables = jax.jit(module.init)(KEY, X)
    assert_same(variables["params"], pack(params))
    assert_same(module.apply(variables, X), lstm_jax.apply(params, X))
    one = LSTMCell.from_params(Residual(high))
    h, c = states(high)
    y = jnp.ones((len(LENGTHS), HIDDEN), "float32")
    expected = lstm_jax.lstm_step(Residual(high), (h, c), y)
    assert_same(one.apply({"params": pack(Residual(high))}, (h, c), y), expected)

    def boxed(key: Any, size: int) -> Any:
        names = partial(jax.tree.map, lambda a: nn.Partitioned(a, ("x", "y")[: a.ndim]))
        return names(lstm_jax.init(key, size, HIDDEN, dtype=jnp.float32))

    module = LSTM(params_init=boxed, learn_state=True)
    variables = jax.jit(module.init)(KEY, X)
    specs = nn.get_partition_spec(variables)["params"]["layers_0"]
    assert specs["w_x"] == jax.sharding.PartitionSpec("x", "y")
    same = lstm_jax.apply(module.unpack(variables), X)
    assert_close(module.apply(variables, X), same, 1e-6)


def test_steps() -> None:
    """A cell, the same in `nn.scan`, and a step of a whole network."""
    params = cell(projection_size=4)
    one, state = LSTMCell(HIDDEN, projection_size=4), states(params)
    variables = {"params": pack(params)}

    class Loop(nn.Module):
        @nn.compact
        def __call__(self, state: Any, x: Any) -> Any:
            scan = nn.scan(
                LSTMCell,
                variable_broadcast="params",
                split_rngs={"params": False},
                in_axes=1,
                out_axes=1,
            )
            return scan(HIDDEN, projection_size=4, name="cell")(state, x)

    last, y = Loop().apply({"params": {"cell": pack(params)}}, state, X)
    assert_close((y, last), lstm_jax.apply(params, X, state), 1e-6)
    assert_same(
        one.apply(variables, state, X[:, 0]),
        lstm_jax.lstm_step(params, state, X[:, 0]),
    )
    zeros = one.initialize_carry(KEY, X[:, 0].shape)
    assert_same(zeros, lstm_jax.zero_state(params, X.shape[:1]))
    assert_same(
        one.apply(variables, None, X[:, 0]), one.apply(variables, zeros, X[:, 0])
    )
    network = LSTM([HIDDEN, HIDDEN])
    given = states(TWO)
    assert_same(
        network.apply({"params": pack(TWO)}, given, X[:, 0], method="step"),
        lstm_jax.lstm_step(TWO, given, X[:, 0]),
    )


@pytest.fixture(scope="module")
def gradient() -> Any:
    """That of the whole network, without a module."""
    return jax.jit(jax.grad(lambda p: weighted(lstm_jax.apply(p, X))))(TWO)


@pytest.mark.parametrize("lift", [nn.jit, nn.remat])
def test_jit_and_remat(lift: Any, gradient: Any) -> None:
    module, variables = lift(LSTM)([HIDDEN] * 2), {"params": pack(TWO)}
    own = jax.grad(lambda v: weighted(module.apply(v, X)))
    program = equations(jax.make_jaxpr(lambda v: module.apply(v, X))(variables))
    remat = {"checkpoint", "remat", "remat2"} & {e.primitive.name for e, _ in program}
    assert bool(remat) == (lift is nn.remat)
    assert_close(module.unpack(jax.jit(own)(variables)), gradient, 1e-5)
    drawn = jax.eval_shape(module.init, KEY, X)
    assert jax.tree.structure(drawn) == jax.tree.structure(variables)


def test_vmap() -> None:
    """Models side by side: weights and masks of their own, each as if it were alone."""
    lifted = nn.vmap(
        LSTM,
        variable_axes={"params": 0},
        split_rngs={"params": True, "dropout": True},
        in_axes=None,
        axis_size=3,
    )(HIDDEN, regularizer=Regularizer(input_dropout=0.5), deterministic=False)
    variables = jax.jit(lifted.init)(KEY, X)
    alone = LSTM(HIDDEN)
    plain = nn.vmap(
        LSTM, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=None
    )(HIDDEN)
    outputs, _ = jax.jit(plain.apply)(variables, X)
    for k in range(3):
        own = jax.tree.map(operator.itemgetter(k), variables)
        assert_close(outputs[k], alone.apply(own, X)[0], 1e-6)
    same = jax.tree.map(lambda a: jnp.broadcast_to(a[:1], a.shape), variables)
    masked, _ = jax.jit(lifted.apply)(same, X, rngs={"dropout": KEY})
    assert not np.allclose(masked[0], masked[1], atol=1e-2)
    assert not np.allclose(outputs[0], outputs[1], atol=1e-2)


def test_tabulate() -> None:
    module = LSTM(HIDDEN, 2, learn_state=True)
    table = uncoloured(nn.tabulate(module, KEY, console_kwargs={"width": 120})(X))
    assert "layers_1:" in table and "w_x: float32[3,20]" in table
    assert "Total Parameters: 420" in table


def test_the_dtype_of_computation() -> None:
    params = stack(HIDDEN)
    start = jitter(4, lstm_jax.zero_state(params))
    module = LSTM(HIDDEN, dtype=jnp.bfloat16, learn_state=True)
    variables = {"params": pack(params, start)}
    out: Any = module.apply(variables, X)
    y, state = out
    half = partial(jax.tree.map, lambda a: a.astype(jnp.bfloat16))
    same = (lstm_jax.LSTMState(start[0].h.astype(jnp.bfloat16), start[0].c),)
    assert_same((y, state), lstm_jax.apply(half(params), half(X), same))
    assert [a.dtype for a in (y, *state[0])] == [jnp.bfloat16, jnp.bfloat16, "float32"]
    with pytest.raises(TypeError, match="x must have a floating dtype"):
        module.apply(variables, jnp.ones(X.shape, int))


def test_what_does_not_fit_is_refused() -> None:
    variables = {"params": pack(cell(peephole=True))}
    step = X[:, 0]
    with pytest.raises(ValueError, match=r"LSTMCell: variables.*got peephole too"):
        LSTMCell(HIDDEN).apply(variables, None, step)
    with pytest.raises(ValueError, match=r"LSTMCell.unpack: collection .*b, w_h, w_x;"):
        LSTMCell(HIDDEN).unpack(variables)
    with pytest.raises(flax.errors.ScopeParamNotFoundError, match="projection"):
        LSTMCell(HIDDEN, peephole=True, projection_size=5).apply(variables, None, step)
    with pytest.raises(flax.errors.ScopeParamShapeError, match="w_x"):
        LSTMCell(HIDDEN, peephole=True).apply(variables, None, step[:, :2])
    with pytest.raises(ValueError, match=r"LSTM: x must have shape .*; got "):
        LSTM(HIDDEN).init(KEY, jnp.float32(1))
    with pytest.raises(ValueError, match=r"params_init .*; got peephole, hid"):
        LSTM(HIDDEN, peephole=True, params_init=lambda *_: TWO).init(KEY, X)
    with pytest.raises(ValueError, match=r"hidden_size must be .*; got None"):
        LSTM().init(KEY, X)
    with pytest.raises(ValueError, match="pack: state must mirror params"):
        pack(TWO, states(TWO))
