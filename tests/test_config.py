# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Saving and restoring: config, Orbax, flax.serialization; and updates by Optax."""

import json
from pathlib import Path
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import lstm_jax
from lstm_jax import ActivationFn, CellOptions
from tests import cases
from tests.compare import assert_same


def networks() -> dict[str, Any]:
    """One of every structure and option."""
    made = {}
    for k, structure in enumerate(cases.STRUCTURES):
        for option, told in cases.OPTIONS.items():
            made[f"{structure}-{option}"] = (structure, told, k)
    return made


NETWORKS = networks()


def make(name: str) -> Any:
    structure, told, seed = NETWORKS[name]
    return cases.jitter(3, cases.STRUCTURES[structure](seed, 3, told))


SOME = [
    "nested-everything",
    "residual-gate_norm",
    "stack-coupled_activations_b",
    "cell-plain",
]


@pytest.mark.parametrize("option", cases.OPTIONS)
@pytest.mark.parametrize("structure", ["cell", "nested", "residual"])
def test_a_config_survives_json(structure: str, option: str) -> None:
    shapes = jax.eval_shape(lambda params: params, make(f"{structure}-{option}"))
    text = json.dumps(lstm_jax.config(shapes))
    template = lstm_jax.from_config(json.loads(text))
    assert jax.tree.structure(template) == jax.tree.structure(shapes)
    assert [(a.shape, a.dtype) for a in jax.tree.leaves(template)] == [
        (a.shape, a.dtype) for a in jax.tree.leaves(shapes)
    ]
    assert lstm_jax.config(template) == json.loads(text)
    lstm_jax.check_config(shapes, json.loads(text))


@pytest.mark.parametrize("name", SOME)
def test_flax_serialization(name: str) -> None:
    params = make(name)
    saved = json.dumps(lstm_jax.config(params)), flax.serialization.to_bytes(params)
    template = lstm_jax.from_config(json.loads(saved[0]))
    restored = flax.serialization.from_bytes(template, saved[1])
    lstm_jax.check_config(restored, json.loads(saved[0]))
    assert_same(restored, params)
    x = jnp.ones((2, 7, 3))
    assert_same(lstm_jax.apply(restored, x), lstm_jax.apply(params, x))


@pytest.mark.parametrize("name", SOME)
def test_orbax(name: str, tmp_path: Path) -> None:
    params = make(name)
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(
            0,
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(params),
                config=ocp.args.JsonSave(lstm_jax.config(params)),
            ),
        )
    with ocp.CheckpointManager(tmp_path) as manager:
        asked = ocp.args.Composite(config=ocp.args.JsonRestore())
        config = manager.restore(0, args=asked)["config"]
        template = lstm_jax.from_config(config)
        asked = ocp.args.Composite(params=ocp.args.StandardRestore(template))
        restored = manager.restore(0, args=asked)["params"]
    lstm_jax.check_config(restored, config)
    assert jax.tree.structure(restored) == jax.tree.structure(params)
    assert_same(restored, params)


DISAGREEING: dict[str, tuple[dict[str, Any], str]] = {
    "options": (
        {"options": CellOptions(gate_activation="hard_sigmoid")},
        "params.layers[0].options.gate_activation.name is 'hard_sigmoid', saved was "
        "'sigmoid'",
    ),
    "alpha": (
        {"options": CellOptions(gate_activation=ActivationFn("sigmoid", 0.2))},
        "params.layers[0].options.gate_activation.alpha is 0.2, saved was None",
    ),
    "eps": (
        {"norm": lstm_jax.SplitNorm(eps=1e-3)},
        "params.layers[0].norm.eps is 0.001, saved was 1e-05",
    ),
    "leaf": ({"use_bias": False}, "params.layers[0].b is None, saved was {"),
    "size": ({"projection_size": 4}, "params.layers[0].w_h.shape[0] is 4, saved was 5"),
    "dtype": (
        {"dtype": jnp.float32},
        "params.layers[0].w_x.dtype is 'float32', saved was 'float64'",
    ),
}


@pytest.mark.parametrize("what", DISAGREEING)
def test_a_template_that_disagrees_is_noticed(what: str) -> None:
    """By itself neither way of saving notices: the options are not in the file."""
    told: dict[str, Any] = {"norm": lstm_jax.SplitNorm}
    params = lstm_jax.init(jax.random.key(0), 3, 5, **told)
    saved = json.loads(json.dumps(lstm_jax.config(params)))
    change, message = DISAGREEING[what]
    other = lstm_jax.init(jax.random.key(0), 3, 5, **{**told, **change})
    with pytest.raises(ValueError) as caught:
        lstm_jax.check_config(other, saved)
    assert str(caught.value).startswith("check_config: ") and message in str(
        caught.value
    )
    if what == "options":
        data = flax.serialization.to_bytes(params)
        restored = flax.serialization.from_bytes(other, data)
        with pytest.raises(ValueError, match=r"options\.gate_activation\.name"):
            lstm_jax.check_config(restored, saved)


def test_every_difference_is_named() -> None:
    one = lstm_jax.init_cell(jax.random.key(0), 3, 5)
    two = lstm_jax.init_cell(jax.random.key(0), 4, 6)
    with pytest.raises(ValueError) as caught:
        lstm_jax.check_config(two, lstm_jax.config(one))
    assert str(caught.value).count("saved was") == 5
    with pytest.raises(ValueError, match="params is"):
        lstm_jax.check_config(lstm_jax.Reverse(one), lstm_jax.config(one))


@pytest.mark.parametrize(
    "name",
    ["nested-everything", "residual-gate_norm_everything", "concat-plain"],
)
def test_optax_updates_any_params(name: str) -> None:
    """Whole, and masked: what is masked stays bit for bit."""
    params = make(name)
    x = jax.random.normal(jax.random.key(1), (2, 7, 3))

    def loss(params: Any) -> Any:
        return jnp.mean((lstm_jax.apply(params, x)[0] - 0.3) ** 2)

    matrices = jax.tree.map(lambda a: a.ndim == 2, params)
    weight_decay = optax.adamw(1e-2, mask=matrices)
    only_matrices = optax.chain(
        optax.masked(optax.adam(1e-2), matrices),
        optax.masked(optax.set_to_zero(), jax.tree.map(lambda m: not m, matrices)),
    )
    for optimiser in (weight_decay, only_matrices):
        new, state = params, optimiser.init(params)

        @jax.jit
        def step(new: Any, state: Any, optimiser: Any = optimiser) -> Any:
            gradient = jax.grad(loss)(new)
            with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
                updates, state = optimiser.update(gradient, state, new)
            return optax.apply_updates(new, updates), state

        for _ in range(5):
            new, state = step(new, state)
        assert jax.tree.structure(new) == jax.tree.structure(params)
        assert loss(new) < loss(params)
    for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(params), strict=True):
        assert (np.asarray(a) == np.asarray(b)).all() == (a.ndim != 2)


def test_numbers_of_numpy_and_lists_of_layers_are_as_pythons() -> None:
    """What is static is Python's, so that the same network has the same structure."""
    one, two = (
        lstm_jax.init_cell(
            jax.random.key(0),
            3,
            5,
            norm=lstm_jax.GateNorm(eps=number(0.5)),
            options=CellOptions(
                clip=number(3),
                cell_clip=number(2),
                gate_activation=ActivationFn("hard_sigmoid", number(0.25), number(0.5)),
            ),
        )
        for number in (float, np.float32)
    )
    assert jax.tree.structure(one) == jax.tree.structure(two)
    text = json.dumps(lstm_jax.config(lstm_jax.Stack([two])))
    template = lstm_jax.from_config(json.loads(text))
    assert jax.tree.structure(template) == jax.tree.structure(lstm_jax.Stack((one,)))
