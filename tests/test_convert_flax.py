# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Flax linen and nnx, against their live modules."""

import functools
from collections.abc import Callable
from typing import Any

import flax.core
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lstm_jax
from lstm_jax import (
    ActivationFn,
    Bidirectional,
    CellOptions,
    LSTMState,
    Residual,
    Reverse,
    Stack,
)
from lstm_jax.convert import from_linen, from_nnx, to_linen, to_nnx
from lstm_jax.convert._systems import FEATURES, SYSTEMS
from tests import foreign
from tests.cases import jitter
from tests.compare import FLOAT64, assert_close, assert_same
from tests.foreign import HIDDEN, INPUTS, LENGTHS, NETWORKS, STEPS, sequence, states

KITS = {"linen": nn, "nnx": nnx}
BOUNDS = {"float32": 2e-6, "float64": 1e-12}
VALID = np.arange(STEPS) < LENGTHS[:, None]


def cell(kit: Any, name: str, inputs: int = INPUTS, **options: Any) -> Any:
    options = {"param_dtype": jnp.float32, **options}
    if kit is nn:
        return getattr(nn, name)(HIDDEN, **options)
    return getattr(nnx, name)(inputs, HIDDEN, rngs=nnx.Rngs(0), **options)


def rnn(
    kit: Any, name: str = "OptimizedLSTMCell", inputs: int = INPUTS, **options: Any
) -> Any:
    of_rnn = {k: options.pop(k) for k in ("reverse", "keep_order") if k in options}
    return kit.RNN(cell(kit, name, inputs, **options), **of_rnn)


def both(kit: Any, inputs: int = INPUTS, **options: Any) -> Any:
    merging = {k: options.pop(k) for k in ("merge_fn",) if k in options}
    parts = [rnn(kit, n, inputs, **options) for n in ("OptimizedLSTMCell", "LSTMCell")]
    return kit.Bidirectional(*parts, **merging)


def sequential(kit: Any, *members: Any) -> Any:
    return nn.Sequential(members) if kit is nn else nnx.Sequential(*members)


MODULES: dict[str, Callable[..., Any]] = {
    "one": rnn,
    "reverse": lambda kit, **o: rnn(
        kit, "LSTMCell", reverse=True, keep_order=True, **o
    ),
    "directions": both,
    "mul": lambda kit, **o: both(kit, merge_fn=lambda a, b: a * b, **o),
    "activations": lambda kit, **o: rnn(
        kit, gate_fn=nn.hard_sigmoid, activation_fn=nn.soft_sign, **o
    ),
}
ARCHITECTURES: dict[str, Any] = {
    "one": lambda c: c,
    "reverse": Reverse,
    "directions": lambda c: Bidirectional(c, c),
    "mul": lambda c: Bidirectional(c, c, merge="mul"),
    "activations": lambda c: c,
}


def weights(
    kit: Any, module: Any, dtype: Any = np.float32, inputs: int = INPUTS
) -> Any:
    """A module's parameters, all random: for nnx the module, changed in place."""
    rng = np.random.default_rng(3)

    def random(a: Any) -> Any:
        return jnp.asarray(0.5 * rng.standard_normal(a.shape), dtype)

    if kit is nnx:
        nnx.update(module, jax.tree.map(random, nnx.state(module, nnx.Param)))
        return module
    x = jax.ShapeDtypeStruct((1, 2, inputs), dtype)
    key = jax.random.key(0)
    return jax.tree.map(random, jax.eval_shape(module.init, key, x)["params"])


def read(kit: Any, module: Any, held: Any) -> Any:
    return from_nnx(held) if kit is nnx else from_linen(held, module)


def swapped(state: Any) -> Any:
    """(h, c) as (c, h), or back, wherever a pair of arrays stands."""
    if isinstance(state[0], tuple):
        return tuple(map(swapped, state))
    return state[1], state[0]


@functools.cache
def _forward(module: Any) -> Any:
    def run(held: Any, *args: Any) -> Any:
        x, carry, lengths = args
        options = dict(initial_carry=carry, seq_lengths=lengths, return_carry=True)
        return module.apply({"params": held}, x, **options)

    return jax.jit(run)


def theirs(kit: Any, module: Any, held: Any, x: Any, state: Any) -> tuple[Any, Any]:
    """Valid outputs, and the state as (h, c)."""
    args = x, swapped(state), LENGTHS
    if kit is nn:
        carry, y = _forward(module)(held, *args)
    else:
        graph, arrays = nnx.split(held)

        @jax.jit
        def run(arrays: Any, x: Any, carry: Any, lengths: Any) -> Any:
            module = nnx.merge(graph, arrays)
            return module(
                x, initial_carry=carry, seq_lengths=lengths, return_carry=True
            )

        carry, y = run(arrays, *args)
    return np.where(VALID[..., None], y, 0), swapped(carry)


def agree(got: Any, expected: Any, bound: float, what: str) -> None:
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, 0, bound, err_msg=what)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kit", KITS.values(), ids=list(KITS))
def test_forward(kit: Any, name: str, dtype: str) -> None:
    """Their weights in our apply, and ours in their module."""
    module = MODULES[name](kit, param_dtype=dtype)
    held = weights(kit, module, dtype)
    params = read(kit, module, held)
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
    assert type(params) is type(ARCHITECTURES[name](foreign.cell()))
    x, state = sequence(dtype=dtype), states(params, dtype)

    def compare(held: Any, params: Any, what: str) -> None:
        expected = theirs(kit, module, held, x, state)
        got = lstm_jax.apply(params, x, state, lengths=LENGTHS)
        agree(got, expected, BOUNDS[dtype], what)

    compare(held, params, "their weights")
    other = jitter(8, params)
    out = to_linen(other, module) if kit is nn else to_nnx(other)
    compare(out, other, "our weights")
    assert_same(read(kit, module, out), other)


@pytest.mark.parametrize("kit", KITS.values(), ids=list(KITS))
def test_stack(kit: Any) -> None:
    """Sequential takes lengths for its first layer alone, so here are none."""
    members = (
        both(kit, param_dtype="float64"),
        rnn(kit, inputs=2 * HIDDEN, param_dtype="float64"),
    )
    module = sequential(kit, *members)
    held = weights(kit, module, np.float64)
    params = read(kit, module, held)
    assert isinstance(params, Stack) and len(params.layers) == 2
    x = sequence(dtype=np.float64)
    other = jitter(8, params)
    out = (to_linen if kit is nn else to_nnx)(other)
    for theirs_, ours in ((held, params), (out, other)):
        y = module.apply({"params": theirs_}, x) if kit is nn else theirs_(x)
        agree(lstm_jax.apply(ours, x)[0], y, 1e-12, "outputs")
        assert_same(read(kit, module, theirs_), ours)
    if kit is nn:
        assert_same(from_linen(held), params)


@pytest.mark.parametrize("kit", KITS.values(), ids=list(KITS))
def test_gradients(kit: Any) -> None:
    module = both(kit, param_dtype="float64")
    held = weights(kit, module, np.float64)
    params = read(kit, module, held)
    x = sequence(dtype=np.float64)
    scale = np.where(VALID[..., None], sequence(2 * HIDDEN, np.float64, 9), 0)

    if kit is nn:

        def loss(held: Any) -> Any:
            y = module.apply({"params": held}, x, seq_lengths=LENGTHS)
            return (y * scale).sum()

        gradient = jax.jit(jax.grad(loss))(held)
    else:

        def of_module(module: Any) -> Any:
            return (module(x, seq_lengths=LENGTHS) * scale).sum()

        gradient = nnx.clone(held)
        nnx.update(gradient, nnx.jit(nnx.grad(of_module))(held))
    got = jax.grad(lambda p: (lstm_jax.apply(p, x, lengths=LENGTHS)[0] * scale).sum())(
        params
    )
    assert_close(got, read(kit, module, gradient), FLOAT64)


@pytest.mark.parametrize("kit", KITS.values(), ids=list(KITS))
def test_single_steps(kit: Any) -> None:
    """A cell by itself, both kinds."""
    params = foreign.cell(dtype=jnp.float64)
    x, (h, c) = sequence(dtype=np.float64)[:, 0], states(params, np.float64)
    state, y = lstm_jax.lstm_step(params, LSTMState(h, c), x)
    for name in ("LSTMCell", "OptimizedLSTMCell"):
        module = cell(kit, name, param_dtype="float64")
        if kit is nn:
            held = to_linen(params, module)
            got, out = module.apply({"params": held}, (c, h), x)
            assert_same(held, to_linen(params)["cell"])
        else:
            held = to_nnx(params, getattr(nnx, name)).cell
            assert type(held) is type(module)
            got, out = held((c, h), x)
        agree((swapped(got), out), (state, y), 1e-12, name)
        assert_same(read(kit, module, held), params)


@pytest.mark.parametrize("kit", KITS.values(), ids=list(KITS))
def test_outputs_in_the_order_of_processing(kit: Any) -> None:
    module = rnn(kit, "LSTMCell", reverse=True)
    held = weights(kit, module)
    params = read(kit, module, held)
    x = sequence()
    y, state = lstm_jax.apply(params, x, states(params), lengths=LENGTHS)
    expected, last = theirs(kit, module, held, x, states(params))
    for row, length in enumerate(LENGTHS):
        agree(y[row, :length][::-1], expected[row, :length], 2e-6, f"row {row}")
    agree(state, last, 2e-6, "state")


class Model(nn.Module):
    """A larger model: Flax gives the cells to the module that makes them."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.RNN(nn.OptimizedLSTMCell(HIDDEN), name="lower")(x)
        x = nn.Bidirectional(nn.RNN(nn.LSTMCell(4)), nn.RNN(nn.LSTMCell(4)))(x)
        return nn.Dense(2)(x)


def test_sub_trees_of_a_larger_model() -> None:
    x = sequence()
    held = weights(nn, Model())
    forward, backward = held["LSTMCell_0"], held["LSTMCell_1"]
    params = Stack(
        (
            from_linen(held["OptimizedLSTMCell_0"]),
            from_linen({"forward_rnn": forward, "backward_rnn": backward}),
        )
    )
    y, _ = lstm_jax.apply(params, x)
    y = y @ held["Dense_0"]["kernel"] + np.asarray(held["Dense_0"]["bias"])[None, None]
    agree(y, Model().apply({"params": held}, x), 2e-6, "outputs")
    cells = "LSTMCell_0, LSTMCell_1, OptimizedLSTMCell_0"
    with pytest.raises(ValueError, match=f"^from_linen: params .* at {cells}. Pass"):
        from_linen(held)


def test_trees_as_flax_has_them() -> None:
    params = foreign.cell()
    tree = to_linen(params)
    boxed = jax.tree.map(lambda a: nn.Partitioned(a, (None,) * a.ndim), tree)
    for source in (
        {"params": tree, "batch_stats": {}},
        flax.core.freeze({"params": tree}),
        tree["cell"],
        {"RNN_0": tree},
        boxed,
    ):
        assert_same(from_linen(source), params)


def test_both_cells_of_linen_have_one_tree() -> None:
    expected = jax.tree.map(jnp.shape, to_linen(foreign.cell()))
    for name in ("LSTMCell", "OptimizedLSTMCell"):
        held = weights(nn, rnn(nn, name))
        assert jax.tree.map(jnp.shape, held) == expected


@pytest.mark.parametrize(
    "activation",
    [
        *("sigmoid", "tanh", "relu", "elu", "leaky_relu", "softplus", "softsign"),
        ActivationFn("affine"),
        ActivationFn("hard_sigmoid", 1 / 6, 0.5),
        ActivationFn("hard_sigmoid"),
        ActivationFn("elu", 0.7),
        ActivationFn("scaled_tanh", 1.7, 0.6),
    ],
    ids=str,
)
def test_activations(activation: Any) -> None:
    """Each as a function of Flax' cell, which it and we read alike."""
    options = CellOptions(candidate_activation=activation, output_activation=activation)
    params = foreign.cell(options=options, dtype=jnp.float64)
    module = to_nnx(params)
    assert_same(from_nnx(module), params)
    x, (h, c) = sequence(dtype=np.float64)[:, 0], states(params, np.float64)
    state, _ = lstm_jax.lstm_step(params, (h, c), x)
    got, _ = module.cell((c, h), x)
    agree(swapped(got), state, 1e-12, str(activation))


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
def test_merges(merge: Any) -> None:
    params = Bidirectional(foreign.cell(1), foreign.cell(2), merge=merge)
    module = to_nnx(params)
    assert_same(from_nnx(module), params)
    forward, backward = np.float32([[[2, 3]]]), np.float32([[[5, 8]]])
    expected = {
        "concat": [2, 3, 5, 8],
        "sum": [7, 11],
        "mul": [10, 24],
        "ave": [3.5, 5.5],
    }
    got = module.merge_fn(forward, backward)
    np.testing.assert_array_equal(got, [[expected[merge]]])


@pytest.mark.parametrize("kit", KITS.values(), ids=list(KITS))
def test_no_bias_is_zeros(kit: Any) -> None:
    params = foreign.cell(use_bias=False)
    held = to_linen(params) if kit is nn else to_nnx(params)
    expected = params.replace(b=jnp.zeros(4 * HIDDEN, jnp.float32))
    assert_same(read(kit, None, held), expected)


# What a module has that this library does not, and how it is said.
FOREIGN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "cell": (lambda kit: rnn(kit, "GRUCell"), r"GRUCell \(in module\.cell\)"),
    "module": (lambda kit: cell(kit, "SimpleCell"), r"SimpleCell \(in module\)"),
    "gate": (
        lambda kit: rnn(kit, gate_fn=nn.hard_tanh, activation_fn=nn.gelu),
        r"gate_fn hard_tanh \(in module\.cell\); activation_fn gelu \(in",
    ),
    "merge": (
        lambda kit: both(kit, merge_fn=lambda a, b: jnp.concatenate([b, a], -1)),
        r"merge_fn <lambda> \(in module\)",
    ),
    "failing merge": (
        lambda kit: both(kit, merge_fn=lambda a, b: a @ b),
        r"merge_fn <lambda> \(in module\)",
    ),
    "function": (
        lambda kit: sequential(kit, rnn(kit), nn.relu),
        r"relu \(in module\.layers\[1\]\)",
    ),
    "nested": (
        lambda kit: kit.Bidirectional(rnn(kit), both(kit)),
        r"Bidirectional within Bidirectional \(in module\.backward_rnn\)",
    ),
    "order": (
        lambda kit: sequential(kit, rnn(kit, reverse=True), rnn(kit, inputs=HIDDEN)),
        r"outputs in the order of processing .*\(in module\.layers\[0\], which lacks ",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("kit", KITS.values(), ids=list(KITS))
def test_refused_modules(kit: Any, name: str) -> None:
    make, message = FOREIGN[name]
    call = "from_linen" if kit is nn else "from_nnx"
    match = rf"^{call}: this library cannot express: {message}"
    with pytest.raises(NotImplementedError, match=match):
        module = make(kit)
        read(kit, module, module if kit is nnx else {})


@pytest.mark.filterwarnings("ignore:carry_init is provided")
@pytest.mark.parametrize("kit", KITS.values(), ids=list(KITS))
def test_refused_initial_carry(kit: Any) -> None:
    module = rnn(kit, carry_init=nn.initializers.ones_init())
    with pytest.raises(NotImplementedError, match=r"carry_init \(in module\.cell; `ap"):
        read(kit, module, module if kit is nnx else {})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("GRUCell", {}),
        ("MGUCell", {}),
        ("SimpleCell", {}),
        ("ConvLSTMCell", {"kernel_size": (2,)}),
    ],
)
def test_refused_trees(kind: str, options: Any) -> None:
    module = getattr(nn, kind)(HIDDEN, **options)
    x = jnp.ones((1, 4, INPUTS) if options else (1, INPUTS), jnp.float32)
    carry = module.initialize_carry(jax.random.key(0), x.shape)
    held = jax.eval_shape(module.init, jax.random.key(0), carry, x)
    with pytest.raises(NotImplementedError, match=rf"express: {kind} \(in params\)"):
        from_linen(held)


def test_weightless_layers_are_refused() -> None:
    tree = to_linen(foreign.stack(HIDDEN, HIDDEN))
    gap = {"layers_0": tree["layers_0"], "layers_2": tree["layers_1"]}
    message = "what stands without weights between the layers layers_0, layers_2"
    with pytest.raises(NotImplementedError, match=message):
        from_linen(gap)


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("system", KITS)
def test_features(system: str, feature: str) -> None:
    params = NETWORKS[feature]()
    to = {"linen": to_linen, "nnx": to_nnx}[system]
    writes = SYSTEMS[system].writes
    assert writes is not None
    if system == "linen" and feature in ("activations", "merge", "reverse"):
        message = r"without its module \(in params; pass it\)"
        with pytest.raises(NotImplementedError, match=message):
            to_linen(params)
    elif feature in writes:
        assert to(params)
    else:
        with pytest.raises(NotImplementedError) as error:
            to(params)
        assert FEATURES[feature] in str(error.value)
        assert str(error.value).startswith(f"to_{system}: {SYSTEMS[system].title}")


@pytest.mark.parametrize("system", KITS)
def test_two_activations_are_refused(system: str) -> None:
    params = foreign.cell(options=CellOptions(output_activation="relu"))
    with pytest.raises(NotImplementedError, match="one activation of g and another of"):
        {"linen": to_linen, "nnx": to_nnx}[system](params)


def test_another_module_is_an_error() -> None:
    params = foreign.cell()
    for module, said in (
        (rnn(nn, reverse=True), r"got Reverse\("),
        (both(nn), r"got Bidirectional\("),
        (rnn(nn, activation_fn=nn.elu), r"got sigmoid\(.*\) and elu\(1\.0, 0\.0\)"),
    ):
        with pytest.raises(ValueError, match=rf"^to_linen: module must .* {said}"):
            to_linen(params, module)
    elu = CellOptions(
        candidate_activation=ActivationFn("elu", 1.0),
        output_activation=ActivationFn("elu", 1.0),
    )
    assert to_linen(params.replace(options=elu), rnn(nn, activation_fn=nn.elu))


MALFORMED: dict[str, tuple[Any, Any, str]] = {
    "number": (3, TypeError, "params must be a mapping of names; got int"),
    "nothing": ({}, ValueError, "ii.kernel, .* of params must be there; got nothing"),
    "no mapping": ({"params": {"cell": 3}}, ValueError, "must be there; got cell"),
    "one direction": (
        {"forward_rnn": {}, "x": {}},
        ValueError,
        "params must have the names forward_rnn, backward_rnn; got forward_rnn, x",
    ),
    "no layer": (
        {"layers_0": 3},
        TypeError,
        "params.layers_0 must be a mapping of names; got int",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    source, error, message = MALFORMED[name]
    with pytest.raises(error, match=rf"^from_linen: .*{message}"):
        from_linen(source)


@pytest.mark.parametrize(
    ("layer", "leaf", "value", "error", "message"),
    [
        ("hf", "bias", None, ValueError, "hf.bias of params must be there"),
        ("ig", "bias", np.ones(5), ValueError, "ig.bias of params must be weights of"),
        (
            *("ig", "kernel", np.ones((INPUTS, 4)), ValueError),
            r"io.kernel of params must have one shape \(I, H\); got \(3, 5\), .*3, 4",
        ),
        (
            *("hi", "kernel", np.ones((HIDDEN, HIDDEN), int), TypeError),
            "params.hi.kernel must have a floating dtype; got int64",
        ),
    ],
)
def test_malformed_cells(
    layer: str, leaf: str, value: Any, error: Any, message: str
) -> None:
    tree = to_linen(foreign.cell())["cell"]
    tree[layer] = {**tree[layer], leaf: value}
    if value is None:
        del tree[layer][leaf]
    with pytest.raises(error, match=rf"^from_linen: .*{message}"):
        from_linen(tree)


def test_sequential_with_other_names() -> None:
    module = sequential(nn, rnn(nn), rnn(nn))
    message = "^from_linen: params must have the names layers_0, layers_1; got layers_0"
    with pytest.raises(ValueError, match=message):
        from_linen({"layers_0": {}, "layers_7": {}}, module)


def test_cells_to_make() -> None:
    with pytest.raises(TypeError, match=r"^to_nnx: cell must be .*; got GRUCell"):
        to_nnx(foreign.cell(), nnx.GRUCell)


def test_kernels_of_other_shapes() -> None:
    module = rnn(nnx, "LSTMCell")
    module.cell.ig.kernel = nnx.Param(jnp.ones((INPUTS, 4)))
    with pytest.raises(ValueError, match=r"^from_nnx: .* of LSTMCell must have one"):
        from_nnx(module)


@pytest.mark.parametrize("to", [to_linen, to_nnx])
def test_no_network(to: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{to.__name__}: params must be LSTMParams"):
        to(3)


def test_residual_of_two() -> None:
    params = Stack(
        (Residual(foreign.cell(hidden=INPUTS)), foreign.cell(use_bias=False))
    )
    with pytest.raises(NotImplementedError, match=r"`Residual`\) \(in params.layers\["):
        to_nnx(params)
