# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Initialisers of Flax and JAX in the modules and in init: boxes, both signatures."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import lstm_jax
import lstm_jax.linen
import lstm_jax.nnx
from tests.compare import assert_same
from tests.foreign import HIDDEN, INPUTS, sequence

KEY = jax.random.key(3)
X = jnp.asarray(sequence())
PLAIN: dict[str, Any] = {
    "kernel_init": nn.initializers.lecun_normal(),
    "recurrent_init": nn.initializers.orthogonal(),
    "bias_init": nn.initializers.normal(0.3),
}
AXES = {"kernel_init": ("in", "out"), "recurrent_init": ("h", "out"), "bias_init": "o"}
# Of two layers with a projection.
EXPECTED = {"w_x": ("in", "out"), "projection": ("in", "out"), "w_h": ("h", "out")}
FIELDS: dict[str, Any] = {"num_layers": 2, "projection_size": 4}


def wrapped(wrap: Callable[..., Any]) -> dict[str, Any]:
    return {name: wrap(f, tuple(AXES[name])) for name, f in PLAIN.items()}


def eager_sharding() -> Any:
    """Flax shards parameters as it makes them, and needs a mesh that has the names.

    Newer releases than 0.12.0 can be told not to.
    """
    if hasattr(nnx, "use_eager_sharding"):
        return nnx.use_eager_sharding(False)
    names = ("in", "out", "h", "o")
    auto = (AxisType.Auto,) * len(names)
    return jax.set_mesh(jax.make_mesh((1,) * len(names), names, auto))


@pytest.mark.parametrize("wrap", [nn.with_partitioning, nn.with_logical_partitioning])
def test_logical_axes_of_linen_are_those_of_the_stored_parameters(wrap: Any) -> None:
    module = lstm_jax.linen.LSTM(HIDDEN, **FIELDS, **wrapped(wrap))
    variables = module.init(KEY, X)
    specs = nn.get_partition_spec(variables)["params"]
    for layer in ("layers_0", "layers_1"):
        found = {name: tuple(spec) for name, spec in specs[layer].items()}
        assert found == {**EXPECTED, "b": ("o",)}
    bare = lstm_jax.linen.LSTM(HIDDEN, **FIELDS, **PLAIN)
    expected = bare.init(KEY, X)
    assert_same(nn.meta.unbox(variables), expected)
    for a, b in zip(module.apply(variables, X), bare.apply(expected, X), strict=True):
        assert_same(a, b)
    assert_same(module.unpack(variables), bare.unpack(expected))


def test_as_flax_own_cell_has_them() -> None:
    """What Flax stores for a gate's kernel is what is stored here for the four."""
    init = nn.with_partitioning(nn.initializers.lecun_normal(), ("in", "out"))
    own = nn.OptimizedLSTMCell(HIDDEN, kernel_init=init)
    theirs = own.init(KEY, own.initialize_carry(KEY, (1, INPUTS)), X[:1, 0])
    ours = lstm_jax.linen.LSTMCell(HIDDEN, kernel_init=init).init(KEY, None, X[:, 0])
    spec = nn.get_partition_spec(ours)["params"]["w_x"]
    assert spec == nn.get_partition_spec(theirs)["params"]["ii"]["kernel"]
    under_jit = jax.jit(
        lambda: lstm_jax.linen.LSTM(HIDDEN, kernel_init=init).init(KEY, X)
    )
    assert nn.get_partition_spec(under_jit())["params"]["layers_0"]["w_x"] == spec


@pytest.mark.parametrize(
    "wrap", [nnx.with_partitioning, nn.with_partitioning], ids=["nnx", "linen"]
)
def test_logical_axes_of_nnx(wrap: Any) -> None:
    with eager_sharding():
        module: Any = lstm_jax.nnx.LSTM(
            INPUTS,
            HIDDEN,
            rngs=nnx.Rngs(0),
            learn_state=True,
            **FIELDS,
            **wrapped(wrap),
        )
    bare: Any = lstm_jax.nnx.LSTM(
        INPUTS, HIDDEN, rngs=nnx.Rngs(0), learn_state=True, **FIELDS, **PLAIN
    )
    for layer in module.weights.layers:
        for name, axes in {**EXPECTED, "b": ("o",)}.items():
            metadata = getattr(layer, name).get_metadata()
            key = "out_sharding" if "out_sharding" in metadata else "sharding_names"
            assert tuple(metadata[key]) == axes
    specs = nnx.get_partition_spec(nnx.state(module))
    spec = specs["weights"].layers[0].w_x
    # It is a variable itself in newer releases than flax 0.12.0.
    value = spec.get_raw_value() if hasattr(spec, "get_raw_value") else spec.value
    assert value == P("in", "out")
    assert_same(module.params, bare.params)
    for a, b in zip(module(X), bare(X), strict=True):
        assert_same(a, b)


def test_metadata_of_nnx_of_any_kind() -> None:
    init = nnx.with_metadata(nnx.initializers.lecun_normal(), note="mine")
    cell: Any = lstm_jax.nnx.LSTMCell(
        INPUTS, HIDDEN, rngs=nnx.Rngs(0), kernel_init=init
    )
    assert cell.weights.w_x.get_metadata()["note"] == "mine"
    assert "note" not in cell.weights.w_h.get_metadata()


BIASES: dict[str, tuple[Any, Any]] = {
    "zeros": (nn.initializers.zeros, np.zeros(4 * HIDDEN)),
    "zeros_init": (nn.initializers.zeros_init(), np.zeros(4 * HIDDEN)),
    "ones": (jax.nn.initializers.ones, np.ones(4 * HIDDEN)),
    "constant": (nn.initializers.constant(0.25), np.full(4 * HIDDEN, 0.25)),
    "boxed": (
        nn.with_partitioning(nn.initializers.constant(0.5), ("o",)),
        np.full(4 * HIDDEN, 0.5),
    ),
    "own": (lambda key, shape, dtype=None: jnp.full(shape, 2.0), np.full(20, 2.0)),
    "ours": (lambda key, n, gates: jnp.arange(1.0 * n * len(gates)), np.arange(20.0)),
}


@pytest.mark.parametrize("kind", BIASES)
def test_biases_by_either_signature(kind: str) -> None:
    init, expected = BIASES[kind]
    variables = lstm_jax.linen.LSTM(HIDDEN, bias_init=init).init(KEY, X)
    got = nn.meta.unbox(variables)["params"]["layers_0"]["b"]
    np.testing.assert_array_equal(got, expected)
    with eager_sharding():
        module: Any = lstm_jax.nnx.LSTMCell(
            INPUTS, HIDDEN, rngs=nnx.Rngs(0), bias_init=init
        )
    np.testing.assert_array_equal(module.params.b, expected)
    if kind != "boxed":
        params: Any = lstm_jax.init_cell(KEY, INPUTS, HIDDEN, bias_init=init)
        np.testing.assert_array_equal(params.b, expected)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"kernel_init": lambda key, shape, dtype: jnp.ones(shape[::-1], dtype)},
            ValueError,
            r"kernel_init must give shape \(3, 5\); got \(5, 3\)",
        ),
        (
            {"recurrent_init": lambda key, shape, dtype: jnp.ones(())},
            ValueError,
            r"recurrent_init must give shape \(5, 5\); got \(\)",
        ),
        (
            {"bias_init": lambda key, n, gates: jnp.zeros(n)},
            ValueError,
            r"bias_init must give shape \(20,\); got \(5,\)",
        ),
        (
            {"bias_init": lambda key, n, gates: jnp.zeros(4 * n, int)},
            TypeError,
            "bias_init must give a floating dtype; got int64",
        ),
        (
            {"kernel_init": lambda key, shape, dtype: jnp.ones(shape, complex)},
            TypeError,
            "kernel_init must give a floating dtype; got complex128",
        ),
        (
            {"kernel_init": lambda key, shape, dtype: None},
            TypeError,
            "kernel_init must give an array of JAX or NumPy; got NoneType",
        ),
        ({"kernel_init": "lecun"}, TypeError, "kernel_init must be a function of"),
        ({"bias_init": 0.0}, TypeError, r"bias_init must be a function of \(key, hid"),
    ],
)
def test_what_a_function_gives_back_is_checked(
    given: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=f"^init_cell: {message}"):
        lstm_jax.init(KEY, INPUTS, HIDDEN, **given)
    with pytest.raises(error, match=f"^init_cell: {message}"):
        lstm_jax.linen.LSTM(HIDDEN, **given).init(KEY, X)


def test_boxes_are_for_the_modules() -> None:
    init = nn.with_partitioning(nn.initializers.zeros, ("a", "b"))
    with pytest.raises(
        TypeError, match=r"kernel_init must give an array .*got Partiti"
    ):
        lstm_jax.init(KEY, INPUTS, HIDDEN, kernel_init=init)


@pytest.mark.parametrize("given", [None, {}, jnp.ones(3)])
def test_what_params_init_gives_back_is_checked(given: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^LSTM: params_init: params must be LSTMParams"
    ):
        lstm_jax.linen.LSTM(params_init=lambda key, size: given).init(KEY, X)
    with pytest.raises(
        TypeError, match=r"^LSTM: params_init: params must be LSTMParams"
    ):
        lstm_jax.nnx.LSTM(3, rngs=nnx.Rngs(0), params_init=lambda key, size: given)
