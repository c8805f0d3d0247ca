# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Live layers of Keras 3, in and out: its own forward and gradients are the oracle."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import (
    ActivationFn,
    Bidirectional,
    CellOptions,
    LSTMParams,
    Reverse,
    Stack,
)
from lstm_jax.convert import from_keras, to_keras
from lstm_jax.convert._systems import FEATURES, SYSTEMS
from tests import foreign
from tests.compare import assert_same

pytestmark = pytest.mark.filterwarnings("ignore:::keras")

keras: Any = importlib.import_module("keras")
layers = keras.layers
BOUND = {"float32": 2e-6, "float64": 1e-12}


def cell(seed: int = 0, inputs: int = foreign.INPUTS, **options: Any) -> Any:
    return foreign.cell(seed, inputs, **options)


def options(gate: Any, other: Any) -> CellOptions:
    return CellOptions(gate, other, other)


def both(seed: int = 0, inputs: int = foreign.INPUTS, merge: Any = "concat") -> Any:
    return Bidirectional(cell(seed, inputs), cell(seed + 1, inputs), merge)


def small(params: Any) -> Any:
    """Weights with which unbounded gates stay near 1."""
    return jax.tree.map(lambda a: 0.3 * a, params)


H = foreign.HIDDEN
# Keras computes tanh, alone of all, in float32 whatever it is given.
EXACT = CellOptions("sigmoid", "softsign", "softsign")
# By what it shows. The sequences that a layer above a reversed one reads are flipped in
# Keras and its mask is not, so those are compared on full rows.
WRITTEN: dict[str, Any] = {
    "cell": cell,
    **{f"{m}": lambda m=m: both(merge=m) for m in ("concat", "sum", "mul", "ave")},
    "reverse of both": lambda: Reverse(both()),
    "unbiased": lambda: cell(use_bias=False),
    "relu": lambda: small(cell(options=options("relu", "tanh"))),
    "linear, softplus": lambda: small(cell(options=options("affine", "softplus"))),
    "softplus, elu": lambda: small(cell(options=options("softplus", "elu"))),
    "elu of 0.3": lambda: cell(options=options("sigmoid", ActivationFn("elu", 0.3))),
    "leaky": lambda: both(merge="sum").replace(
        forward=cell(options=options("sigmoid", ActivationFn("leaky_relu", 0.2))),
        backward=cell(1, options=options("sigmoid", "leaky_relu")),
    ),
    "stack": lambda: Stack((both(0), cell(2, 2 * H), cell(3, H))),
}
FLIPPED: dict[str, Any] = {
    "reversed below": lambda: Stack((Reverse(cell()), cell(1, H))),
    "reversed above": lambda: Stack((cell(), Reverse(cell(1, H)))),
    "reversed twice": lambda: Stack((Reverse(cell()), Reverse(cell(1, H)))),
    "two ways, reversed": lambda: Stack(
        (Reverse(both()), both(2, 2 * H, "sum"), Reverse(both(4, H)), cell(6, 2 * H))
    ),
}


@contextlib.contextmanager
def relaxed() -> Iterator[None]:
    """Keras mixes dtypes and ranks."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def as_list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def run(found: Any, x: Any, lengths: Any, states: Any) -> tuple[Any, list[Any]]:
    """Keras' outputs, in its order of time, and final states, layer by layer."""
    mask = None if lengths is None else np.arange(x.shape[1]) < lengths[:, None]

    @jax.jit
    def forward(x: Any, states: Any) -> Any:
        finals = []
        for layer, state in zip(as_list(found), states, strict=True):
            x, *final = layer(x, mask=mask, initial_state=state)
            finals.append(final)
        return x, finals

    with relaxed():
        return forward(x, states)


def keras_state(layer: Any, state: Any) -> list[Any]:
    stacked = isinstance(getattr(layer, "cell", None), layers.StackedRNNCells)
    return [list(s) for s in state] if stacked else jax.tree.leaves(state)


def compare(
    found: Any, params: Any, lengths: Any, flipped: bool, dtype: str = "float32"
) -> None:
    """Outputs of valid steps and final states, from the same initial states."""
    x = foreign.sequence(dtype=dtype)
    state = foreign.states(params, dtype=dtype)
    each = state if isinstance(found, list) else [state]
    given = [keras_state(a, s) for a, s in zip(as_list(found), each, strict=True)]
    y, finals = run(found, x, lengths, given)
    valid = slice(None)
    if lengths is not None:
        valid = np.arange(x.shape[1]) < lengths[:, None]
    got, final = lstm_jax.apply(params, x, state, lengths=lengths)
    wanted = np.asarray(y)[:, ::-1] if flipped else np.asarray(y)
    bound = BOUND[dtype]
    np.testing.assert_allclose(got[valid], wanted[valid], rtol=0, atol=bound)
    for a, b in zip(jax.tree.leaves(final), jax.tree.leaves(finals), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=bound)


@pytest.mark.parametrize(
    ("name", "ragged"),
    [(name, True) for name in WRITTEN]
    + [(name, False) for name in FLIPPED]
    + [(name, True) for name in sorted(SYSTEMS["keras"].writes or ())],
)
def test_keras_computes_what_was_exported_and_it_comes_back(
    name: str, ragged: bool
) -> None:
    params = {**foreign.NETWORKS, **WRITTEN, **FLIPPED}[name]()
    found = to_keras(params, return_state=True)
    last = params.layers[-1] if isinstance(params, Stack) else params
    lengths = foreign.LENGTHS if ragged else None
    compare(found, params, lengths, isinstance(last, Reverse))
    assert all(a.built and a.return_state for a in as_list(found))
    back = from_keras(found)
    assert_same(jax.tree.leaves(back), jax.tree.leaves(params))
    if name not in ("linear, softplus", "elu of 0.3", "leaky"):  # the same, written out
        assert_same(back, params)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_dtypes_stay(dtype: str) -> None:
    params = foreign.stack(
        H, H + 1, directions=2, dtype=jnp.dtype(dtype), options=EXACT
    )
    found = to_keras(params, return_state=True)
    assert {str(w.dtype) for a in found for w in a.weights} == {dtype}
    assert_same(from_keras(found), params)
    if dtype == "float64":
        compare(found, params, foreign.LENGTHS, False, dtype)


def random(layer: Any, inputs: int = foreign.INPUTS, seed: int = 0) -> Any:
    """A built layer with weights off their start."""
    alone = isinstance(layer, layers.LSTMCell)
    with relaxed():
        layer.build((None, inputs) if alone else (None, None, inputs))
    rng = np.random.default_rng(seed)
    for w in layer.weights:
        w.assign(rng.normal(size=w.shape, scale=0.5).astype(w.dtype))
    return layer


def lstm(units: int = 4, **settings: Any) -> Any:
    given = {"return_sequences": True, "return_state": True, **settings}
    return layers.LSTM(units, **given)


def rnn(cells: Any, **settings: Any) -> Any:
    return layers.RNN(cells, return_sequences=True, return_state=True, **settings)


def two_ways(**settings: Any) -> Any:
    backwards = settings.pop("go_backwards", False)
    forward = lstm(go_backwards=backwards)
    backward = lstm(go_backwards=not backwards, recurrent_activation="hard_sigmoid")
    return layers.Bidirectional(forward, backward_layer=backward, **settings)


def cells(*units: int) -> list[Any]:
    return [layers.LSTMCell(n) for n in units]


# (layers, whether Keras' outputs are flipped, the kinds of what we get)
READ: dict[str, tuple[Any, bool, Any]] = {
    "lstm": (lstm, False, LSTMParams),
    "hard_sigmoid": (
        lambda: lstm(activation="softsign", recurrent_activation="hard_sigmoid"),
        False,
        LSTMParams,
    ),
    "none, leaky_relu": (
        lambda: lstm(activation="leaky_relu", recurrent_activation=None),
        False,
        LSTMParams,
    ),
    "layers": (
        lambda: lstm(activation=layers.LeakyReLU(), recurrent_activation="sigmoid"),
        False,
        LSTMParams,
    ),
    "elu": (
        lambda: lstm(activation="softsign", recurrent_activation=layers.ELU(0.4)),
        False,
        LSTMParams,
    ),
    "go_backwards": (lambda: lstm(go_backwards=True), True, Reverse),
    "rnn": (lambda: rnn(layers.LSTMCell(4, use_bias=False)), False, LSTMParams),
    "rnn of cells": (lambda: rnn(cells(4, 3)), False, Stack),
    "rnn of cells, backwards": (
        lambda: rnn(cells(4, 3), go_backwards=True),
        True,
        Stack,
    ),
    "both": (two_ways, False, Bidirectional),
    "both, mul": (lambda: two_ways(merge_mode="mul"), False, Bidirectional),
    "both, backwards": (lambda: two_ways(go_backwards=True), True, Reverse),
    "both of rnn": (
        lambda: layers.Bidirectional(rnn(layers.LSTMCell(4)), merge_mode="ave"),
        False,
        Bidirectional,
    ),
}


@pytest.mark.parametrize("name", READ)
def test_layers_come_in(name: str) -> None:
    make, flipped, kind = READ[name]
    layer = random(make())
    params = from_keras(layer)
    assert isinstance(params, kind)
    compare(layer, params, foreign.LENGTHS, flipped)
    if name not in ("rnn of cells", "rnn of cells, backwards"):
        assert_same(from_keras(to_keras(params)), params)


# By the members' directions; of a layer that reads a flipped sequence, the other one.
STACKS: dict[str, tuple[Any, bool, list[type]]] = {
    "backwards, forwards": (
        lambda: [lstm(go_backwards=True), lstm(3)],
        True,
        [Reverse, Reverse],
    ),
    "twice": (
        lambda: [lstm(go_backwards=True), lstm(3, go_backwards=True), lstm(5)],
        False,
        [Reverse, LSTMParams, LSTMParams],
    ),
    "all kinds": (
        lambda: [
            rnn(cells(4, 3), go_backwards=True),
            two_ways(merge_mode="sum"),
            two_ways(go_backwards=True),
            lstm(3),
        ],
        False,
        [Stack, Reverse, Bidirectional, LSTMParams],
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_layer_above_a_reversed_one_runs_the_other_way(name: str) -> None:
    make, flipped, kinds = STACKS[name]
    found = make()
    inputs = foreign.INPUTS
    for seed, layer in enumerate(found):
        random(layer, inputs, seed)
        inputs = layer.compute_output_shape((1, 1, inputs))[0][-1]
    params: Any = from_keras(found)
    assert [type(member) for member in params.layers] == kinds
    compare(found, params, None, flipped)


def test_a_sequential_model_comes_in_and_its_dropout_is_passed_over() -> None:
    model = keras.Sequential(
        [
            layers.Masking(),
            layers.SpatialDropout1D(0.5),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.Dropout(0.5),
            layers.LSTM(3),
        ]
    )
    random(model)
    params = from_keras(model)
    x = foreign.sequence()
    x[np.arange(x.shape[1]) >= foreign.LENGTHS[:, None]] = 0
    with relaxed():
        wanted = jax.jit(lambda x: model(x))(x)
    _, state = lstm_jax.apply(params, x, lengths=foreign.LENGTHS)
    np.testing.assert_allclose(state[-1].h, wanted, rtol=0, atol=2e-6)


def test_a_single_cell_comes_in() -> None:
    layer = random(layers.LSTMCell(4, recurrent_activation="hard_sigmoid"))
    params = from_keras(layer)
    x, state = foreign.sequence()[:, 0], foreign.states(params)
    with relaxed():
        wanted, (h, c) = jax.jit(lambda x, s: layer(x, s))(x, list(state))
    after, y = lstm_jax.lstm_step(params, state, x)
    for a, b in ((y, wanted), (after.h, h), (after.c, c)):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", list(BOUND))
def test_gradients_equal_those_of_keras(dtype: str) -> None:
    function = "softsign" if dtype == "float64" else "tanh"  # as EXACT
    forward = lstm(dtype=dtype, return_state=False, activation=function)
    layer = random(layers.Bidirectional(forward, dtype=dtype, merge_mode="mul"))
    params = from_keras(layer)
    x = foreign.sequence(dtype=dtype)
    valid = np.arange(x.shape[1]) < foreign.LENGTHS[:, None]
    target = foreign.sequence(4, dtype, seed=8)

    def loss(y: Any) -> Any:
        return jnp.sum(jnp.where(valid[..., None], (y - target) ** 2, 0))

    def theirs(weights: Any, x: Any) -> Any:
        return loss(layer.stateless_call(weights, others, x, mask=valid)[0])

    def ours(params: Any, x: Any) -> Any:
        return loss(lstm_jax.apply(params, x, lengths=foreign.LENGTHS)[0])

    weights = [w.value for w in layer.trainable_variables]
    others = [w.value for w in layer.non_trainable_variables]
    with relaxed():
        wanted = jax.jit(jax.grad(theirs, (0, 1)))(weights, x)
    got = jax.grad(ours, (0, 1))(params, x)
    names = ("w_x", "w_h", "b")
    parts = [getattr(p, n) for p in (got[0].forward, got[0].backward) for n in names]
    for a, b in zip([*parts, got[1]], [*wanted[0], wanted[1]], strict=True):
        scale = max(1.0, float(np.abs(b).max()))
        np.testing.assert_allclose(a, b, rtol=0, atol=scale * BOUND[dtype])


def test_options_are_passed_on() -> None:
    found = to_keras(foreign.stack(4, 3), name="net", return_sequences=False)
    assert [layer.name for layer in found] == ["net_0", "net_1"]
    assert [layer.return_sequences for layer in found] == [True, False]
    wrapper = to_keras(both(), name="ways", return_sequences=False)
    assert wrapper.name == "ways" and not wrapper.backward_layer.return_sequences


def test_a_stateful_layer_goes_on_where_it_stopped() -> None:
    params = both()
    layer = to_keras(params, stateful=True)
    x = foreign.sequence()
    with relaxed():
        layer(x)
        got = layer(x)
    _, state = lstm_jax.apply(params, x)
    wanted, _ = lstm_jax.apply(params, x, state)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6)


def test_what_keras_cannot_express_is_refused_with_all_reasons() -> None:
    unable = sorted(set(FEATURES) - (SYSTEMS["keras"].writes or set()))
    assert unable
    for feature in unable:
        with pytest.raises(NotImplementedError, match="to_keras: Keras cannot") as e:
            to_keras(foreign.NETWORKS[feature]())
        assert FEATURES[feature] in str(e.value)
    several = cell(
        peephole=True,
        options=CellOptions(
            ActivationFn("hard_sigmoid", 0.2, 0.5), "relu", "tanh", clip=1.0
        ),
    )
    with pytest.raises(NotImplementedError) as error:
        to_keras(Stack((several, Reverse(Stack((cell(1, H),))))))
    for reason in (
        "peepholes (in params.layers[0])",
        "clip of pre-activations",
        "structures nested otherwise (in params.layers[1].inner)",
        "two activations of the candidate and the output: relu and tanh",
        "activation ActivationFn(name='hard_sigmoid', alpha=0.2, beta=0.5)",
    ):
        assert reason in str(error.value)
    uneven = Bidirectional(cell(), foreign.cell(1, hidden=H + 1))
    with pytest.raises(NotImplementedError, match=r"different hidden sizes: \[5, 6\]"):
        to_keras(Bidirectional(uneven.forward, uneven.backward))


def test_options_that_params_decide_are_refused() -> None:
    with pytest.raises(TypeError, match="must leave dtype, units to params"):
        to_keras(cell(), units=3, dtype="float16")


def tanh(x: Any) -> Any:
    return x


Mine = type("Mine", (layers.LSTM,), {})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.LSTM(3), ValueError, "layer lstm.* must be built"),
        (
            lambda: lstm(name="a", activation="swish"),
            NotImplementedError,
            r"activation silu \(in a\)",
        ),
        (
            lambda: lstm(name="a", recurrent_activation="gelu", activation=tanh),
            NotImplementedError,
            r"activation gelu \(in a\); activation tanh, a function",
        ),
        (
            lambda: lstm(name="a", activation=layers.Softmax()),
            NotImplementedError,
            r"activation Softmax \(in a\)",
        ),
        (
            lambda: lstm(name="a", activation=jax.tree_util.Partial(tanh)),
            NotImplementedError,
            r"activation Partial \(in a\)",
        ),
        (lambda: Mine(3, name="b"), NotImplementedError, "cannot express: Mine b"),
        (lambda: layers.GRU(3, name="c"), NotImplementedError, "GRU c"),
        (
            lambda: layers.Bidirectional(layers.GRU(3, name="c")),
            NotImplementedError,
            "GRU forward_c; GRU backward_c",
        ),
        (
            lambda: rnn([layers.GRUCell(3, name="d"), layers.LSTMCell(3)], name="e"),
            NotImplementedError,
            r"GRUCell d \(in e\)",
        ),
        (
            lambda: layers.Bidirectional(lstm(name="f"), merge_mode=None, name="g"),
            NotImplementedError,
            r"merge_mode=None \(in g; import layer.forward_layer and layer.backward",
        ),
        (lambda: 3, NotImplementedError, "cannot express: int"),
        (lambda: [], ValueError, "must have an LSTM in it"),
        (lambda: [layers.Dropout(0.5)], ValueError, "must have an LSTM in it"),
    ],
)
def test_what_cannot_come_in_is_refused_by_name(
    make: Any, error: type[Exception], message: str
) -> None:
    layer = make()
    if hasattr(layer, "build") and "must be built" not in message:
        random(layer)
    with pytest.raises(error, match=f"from_keras: .*{message}"):
        from_keras(layer)


def test_a_stack_needs_sequences_between_its_layers() -> None:
    below = random(layers.LSTM(3, name="below"))
    above = random(layers.LSTM(3, name="above"))
    with pytest.raises(
        ValueError, match=r"below must have return_sequences=True.*abov"
    ):
        from_keras([below, above])
    dense = layers.Dense(3, name="dense")
    with pytest.raises(NotImplementedError, match="Dense dense"):
        from_keras([dense, above])


def test_live_layers_of_keras_2_are_sent_to_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keras, "__version__", "2.15.0")
    with pytest.raises(NotImplementedError, match=r"Keras 2\.15\.0.* from_keras_h5"):
        from_keras(layers.LSTM(3))


def test_weights_that_jax_would_round_are_refused() -> None:
    layer = random(lstm(dtype="float64"))
    with jax.enable_x64(False), pytest.raises(TypeError, match="jax_enable_x64 is off"):
        from_keras(layer)


def test_a_layer_that_only_has_the_name_of_one_is_not_passed_over() -> None:
    class Dropout(keras.layers.Layer):
        """It computes something."""

        def call(self, x: Any) -> Any:
            return 3 * x + 1

    lower, upper = layers.LSTM(5, return_sequences=True), layers.LSTM(5)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        lower.build((None, None, 3))
        upper.build((None, None, 5))
    with pytest.raises(NotImplementedError, match="lstm_jax cannot express: Dropout"):
        from_keras([lower, Dropout(), upper])
