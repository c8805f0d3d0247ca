# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Packed: what `Scan` gives, from steps of live rows and few others."""

import dataclasses
import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import lstm_jax
from lstm_jax import Packed, Regularizer, variants
from lstm_jax.testing import reference
from tests import cases
from tests.cases import weighted
from tests.compare import FLOAT64, assert_close

ROWS, STEPS = 7, 11
LENGTHS = np.array([4, 11, 0, 1, 7, 2, 3])
WAYS = (
    Packed(),
    Packed(window=2, classes=3),
    Packed(window=3, classes=1, checkpoint=5),
)


def call(structure: str = "cell", option: str = "plain") -> tuple[Any, ...]:
    """Parameters, x with NaN in the padding, a state and a reset state."""
    options = {**cases.OPTIONS[option], "dtype": jnp.float64}
    params = cases.jitter(1, cases.STRUCTURES[structure](0, cases.INPUTS, options))
    x = np.random.default_rng(2).standard_normal((ROWS, STEPS, cases.INPUTS))
    x[np.arange(STEPS) >= LENGTHS[:, None]] = np.nan
    state = cases.jitter(3, lstm_jax.zero_state(params, (ROWS,)))
    return params, x, state, cases.jitter(4, lstm_jax.zero_state(params))


@pytest.mark.parametrize(
    "way, structure, option",
    [
        (WAYS[0], "reverse", "peephole"),
        (WAYS[1], "stack", "everything"),
        (WAYS[2], "concat", "gate_norm"),
    ],
)
def test_against_the_reference(way: Packed, structure: str, option: str) -> None:
    params, x, state, fresh = call(structure, option)
    resets = np.random.default_rng(5).random((ROWS, STEPS)) < 0.3
    for extra in ({}, {"resets": resets, "reset_state": fresh}):
        given: dict[str, Any] = {"lengths": LENGTHS, **extra}
        got = lstm_jax.apply(params, x, state, **given, implementation=way)
        assert_close(got, reference(params, x, state, **given), FLOAT64)


def test_a_mask_with_gaps_and_resets_in_them() -> None:
    """A window in which nothing counts but a reset has something to do."""
    params, x, state, fresh = call("concat")
    dice = np.random.default_rng(6)
    mask, resets = dice.random((2, ROWS, STEPS)) < 0.25
    mask[0], mask[1, 4:8], resets[1, 5] = False, False, True
    x = np.where(np.isnan(x), 0.5, x)
    given: dict[str, Any] = {"mask": mask, "resets": resets, "reset_state": fresh}
    got = lstm_jax.apply(params, x, state, **given, implementation=WAYS[1])
    assert_close(got, reference(params, x, state, **given), FLOAT64)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,), (2, 0)])
def test_batch_axes(shape: tuple[int, ...]) -> None:
    params, x, state, _ = call()
    rows = int(np.prod(shape))
    x = x[:rows].reshape(*shape, STEPS, cases.INPUTS)
    lengths = LENGTHS[:rows].reshape(shape)
    state = jax.tree.map(lambda a: a[:rows].reshape(*shape, cases.HIDDEN), state)
    mask = (np.arange(STEPS) < lengths[..., None]) & (np.arange(STEPS) % 3 > 0)
    run = partial(lstm_jax.apply, params, x, state)
    for given in ({"lengths": lengths}, {"mask": mask}):
        assert_close(run(**given, implementation=WAYS[1]), run(**given), FLOAT64)


def test_sixteen_bits() -> None:
    params, x, *_ = jax.tree.map(lambda a: jnp.asarray(a, jnp.bfloat16), call())
    run = partial(lstm_jax.apply, params, x, lengths=LENGTHS)
    got, expected = run(implementation=WAYS[1]), run()
    assert got[0].dtype == jnp.bfloat16
    assert_close(got, expected, 1e-2)


def test_masks_are_those_of_the_rows_given() -> None:
    params, x, *_ = call()
    regularizer = Regularizer(
        zoneout_h=0.2, zoneout_c=0.3, recurrent_dropout=0.4, locked=False
    )
    each = dataclasses.replace(regularizer, locked=True)
    for own in (regularizer, each, regularizer.inference()):
        run = partial(
            lstm_jax.apply,
            params,
            x,
            lengths=LENGTHS,
            regularizer=own,
            key=jax.random.key(7),
        )
        assert_close(run(implementation=WAYS[1]), run(), FLOAT64)


def test_every_derivative_is_that_of_scan() -> None:
    params, x, state, _ = call("stack")
    x = np.where(np.isnan(x), 0.5, x)

    def loss(way: Any, params: Any, x: Any, state: Any) -> Any:
        out = lstm_jax.apply(
            params, x, state, lengths=LENGTHS, truncate=3, implementation=way
        )
        return weighted(out)

    given = params, x, state
    for derivative in (
        lambda way: jax.grad(partial(loss, way), (0, 1, 2))(*given),
        lambda way: jax.jvp(partial(loss, way), given, given)[1],
        lambda way: jax.hessian(lambda b: loss(way, params, x + b[None, None], state))(
            jnp.zeros(3)
        ),
    ):
        got, expected = (jax.jit(partial(derivative, way))() for way in (WAYS[1], None))
        assert_close(got, expected, FLOAT64)


def test_under_transformations() -> None:
    """vmap of everything, and each device's own rows in a shard_map."""
    params, x, *_ = call()
    x = np.where(np.isnan(x), 0.5, x)
    many, lengths = np.stack([x, x[::-1]]), np.stack([LENGTHS, LENGTHS[::-1]])
    run = lambda x, n, way: lstm_jax.apply(params, x, lengths=n, implementation=way)  # noqa: E731
    for axes in ((0, 0, None), (0, None, None)):
        given = many, lengths if axes[1] == 0 else np.maximum(*lengths)
        got, expected = (jax.vmap(run, axes)(*given, way) for way in (WAYS[1], None))
        assert_close(got, expected, FLOAT64)
    mesh = jax.make_mesh((2,), ("data",), (jax.sharding.AxisType.Auto,))
    split = jax.shard_map(
        partial(run, way=WAYS[1]), mesh=mesh, in_specs=P("data"), out_specs=P("data")
    )
    flat = many.reshape(-1, *x.shape[1:]), lengths.ravel()
    assert_close(jax.jit(split)(*flat), run(*flat, None), FLOAT64)


def test_rows_over_an_explicit_mesh_axis() -> None:
    params, x, *_ = call()
    run = partial(lstm_jax.apply, implementation=WAYS[1])
    expected = lstm_jax.apply(params, x[:4], lengths=LENGTHS[:4])
    mesh = jax.make_mesh((2,), ("data",), (jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(mesh):
        rows = jax.sharding.NamedSharding(mesh, P("data"))
        for places in ((rows, rows), (rows, None), (None, rows)):
            own = [
                a if place is None else jax.device_put(a, place)
                for a, place in zip((x[:4], LENGTHS[:4]), places, strict=True)
            ]
            got = jax.jit(lambda p, x, n: run(p, x, lengths=n))(params, *own)
            assert_close(got, expected, FLOAT64)


def test_a_symbolic_number_of_steps() -> None:
    params, x, *_ = call()
    steps = jax.export.symbolic_shape("t")[0]
    spec = jax.ShapeDtypeStruct((ROWS, steps, cases.INPUTS), x.dtype)
    kinds = spec, jax.ShapeDtypeStruct((ROWS,), LENGTHS.dtype)
    run = lambda x, n: lstm_jax.apply(params, x, lengths=n, implementation=WAYS[1])  # noqa: E731
    exported = jax.export.export(jax.jit(run))(*kinds)
    assert_close(
        exported.call(x, LENGTHS), lstm_jax.apply(params, x, lengths=LENGTHS), FLOAT64
    )


def test_each_window_has_a_program_for_each_number_of_rows() -> None:
    """Products with w_h (5, 20): of 2, 4, 6 and 8 rows, in branches of one switch."""
    params = call()[0]
    x = jax.ShapeDtypeStruct((8, 16, cases.INPUTS), "float64")
    lengths = jax.ShapeDtypeStruct((8,), "int32")

    def run(x: Any, n: Any) -> Any:
        return lstm_jax.apply(params, x, lengths=n, implementation=Packed())[0]

    text = jax.jit(run).lower(x, lengths).as_text()
    assert text.count('"stablehlo.case"') == 1
    rows = re.findall(r"dot_general.*\(tensor<(\d)x5xf64>, tensor<5x20xf64>\)", text)
    assert sorted(map(int, rows)) == [2, 4, 6, 8]


def test_what_it_refuses() -> None:
    params, x, *_ = call()
    with pytest.raises(ValueError, match="classes must be a positive number; got 0"):
        lstm_jax.apply(params, x, implementation=Packed(classes=0))
    gru = variants.init("GRU", jax.random.key(0), cases.INPUTS, cases.HIDDEN)
    with pytest.raises(NotImplementedError, match="JAX differentiates GRUParams"):
        lstm_jax.apply(gru, x, lengths=LENGTHS, implementation=Packed())
    with pytest.raises(NotImplementedError, match="a bare step has no rows"):
        step = lambda params, state, x: (state, x)  # noqa: E731
        lstm_jax.unroll(step, None, x[:, 0, 0], x, implementation=Packed())
