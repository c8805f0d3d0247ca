# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Each kind of regularizer by the property that defines it."""

import functools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import lstm_jax
from lstm_jax import Regularizer, Stack, _network, _regularize
from lstm_jax._regularize import drop_weights, keep_mask
from tests import cases
from tests.compare import FLOAT64, assert_close, assert_same

KEY = jax.random.key(42)
WIDE = 400  # units, so that shares of units are close to rates
KINDS = {
    "dropout": {"dropout": 0.3},
    "input_dropout": {"input_dropout": 0.3},
    "recurrent_dropout": {"recurrent_dropout": 0.3},
    "zoneout_h": {"zoneout_h": 0.3},
    "zoneout_c": {"zoneout_c": 0.3},
    "weight_drop": {"weight_drop": 0.3},
    "all": dict.fromkeys(
        (
            "dropout",
            "input_dropout",
            "recurrent_dropout",
            "zoneout_h",
            "zoneout_c",
            "weight_drop",
        ),
        0.2,
    ),
}


def stack(inputs: int = 3, hidden: int = 5, layers: int = 2, **more: Any) -> Stack:
    more["num_layers"] = layers
    return cases.jitter(1, cases.initial(lstm_jax.init, 0, inputs, hidden, **more))


def inputs(batch: int = 2, steps: int = 7, features: int = 3) -> jax.Array:
    return 1.0 + jax.random.uniform(jax.random.key(2), (batch, steps, features))


def share(mask: Any) -> float:
    return float(np.mean(np.asarray(mask)))


def identity_layer(size: int) -> Any:
    """A layer whose output shows its input: h = x, as nothing else has weight."""
    zero = jnp.zeros((size, size))
    options = lstm_jax.CellOptions(
        input_gate=False,
        forget_gate=False,
        output_gate=False,
        candidate_activation="affine",
        output_activation="affine",
    )
    return lstm_jax.LSTMParams(jnp.eye(size), zero, options=options)


@pytest.mark.parametrize(
    "kind, locked",
    [
        *((kind, False) for kind in KINDS),
        ("all", True),
        *(
            pytest.param(kind, True, marks=pytest.mark.nightly)
            for kind in KINDS
            if kind != "all"
        ),
    ],
)
def test_masks_depend_on_key_layer_step_and_row_alone(kind: str, locked: bool) -> None:
    """Neither padding, nor a longer T, nor more rows change what is dropped."""
    params, x = stack(), inputs(batch=3, steps=9)
    drop = Regularizer(**KINDS[kind], locked=locked)
    run = partial(lstm_jax.apply, params, regularizer=drop, key=KEY)
    y, _ = run(x)
    if kind == "all":  # each by itself, and below at once
        shorter, _ = run(x[:, :6])
        fewer, _ = run(x[:2])
        ragged, _ = run(x, lengths=np.array([9, 4, 6]))
        assert_close(shorter, y[:, :6], FLOAT64)
        assert_close(fewer, y[:2], FLOAT64)
        assert_close(ragged[1, :4], y[1, :4], FLOAT64)
    at_once, _ = run(x[:2, None, :6], lengths=np.array([[6], [4]]))
    assert_close(at_once[0, 0], y[0, :6], FLOAT64)
    assert_close(at_once[1, 0, :4], y[1, :4], FLOAT64)
    other, _ = lstm_jax.apply(params, x, regularizer=drop, key=jax.random.key(7))
    assert np.abs(other - y).max() > 1e-3
    assert_same(run(x)[0], y)


def test_rows_layers_and_steps_have_masks_of_their_own() -> None:
    one = identity_layer(WIDE)
    x = jnp.ones((2, 6, WIDE))
    drop = Regularizer(dropout=0.5, locked=False)
    y, _ = lstm_jax.apply(Stack((one, one)), x, regularizer=drop, key=KEY)
    # h sums its input over time: differences are what passed at each step.
    passed = np.diff(np.asarray(y), axis=1, prepend=0)
    rows = passed.reshape(12, WIDE) > 0
    bits = np.corrcoef(rows) - np.eye(12)
    assert np.abs(bits).max() < 0.2


def test_no_two_masks_of_a_network_are_the_same_bits() -> None:
    """Kinds, layers, directions, rows: each mask of a unit's features is its own."""
    rows, width = 7, 64
    one = identity_layer(width).replace(w_h=jnp.ones((width, width)))
    pair = lstm_jax.Bidirectional(one, one, "sum")
    params = Stack((pair, Stack((one, pair))))
    masks: list[Any] = []

    def record(key: Any, keep: float, shape: Any, steps: Any = None) -> Any:
        mask = keep_mask(key, keep, shape, steps)
        masks.append(np.asarray(mask).reshape(-1, width))
        return mask

    def record_weights(regularizer: Any, cell: Any, key: Any) -> Any:
        cell = drop_weights(regularizer, cell, key)
        masks.append(np.asarray(cell.w_h) != 0)
        return cell

    drop = Regularizer(0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, locked=False)
    with pytest.MonkeyPatch.context() as patch, jax.disable_jit():
        patch.setattr(_regularize, "keep_mask", record)
        patch.setattr(_network, "drop_weights", record_weights)
        x = jnp.ones((rows, 2, width))
        lstm_jax.apply(params, x, regularizer=drop, key=KEY)
    assert len(masks) == 1 + 2 + 5 * 3 + 5 + 1
    every = np.concatenate(masks).astype(float)
    assert len(every) == 19 * 2 * rows + 5 * width
    bits = np.abs(np.corrcoef(every) - np.eye(len(every)))
    assert bits.max() < 0.75


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("where", ["dropout", "input_dropout"])
def test_dropout(where: str, locked: bool) -> None:
    """A share p of the features is 0, the others are scaled by 1 / (1 - p)."""
    one = identity_layer(WIDE)
    x = jnp.ones((2, 4, WIDE))
    # Under dropout it is what passes between the layers that is dropped, once.
    params = Stack((one, one)) if where == "dropout" else Stack((one,))
    drop = Regularizer(**{where: 0.25}, locked=locked)
    y, _ = lstm_jax.apply(params, x, regularizer=drop, key=KEY)
    seen = np.asarray(y)
    for _ in params.layers:
        seen = np.diff(seen, axis=1, prepend=0)
    if where == "dropout":  # the lower layer gives 1, 2, 3, 4
        whole = np.diff(np.asarray(y), axis=1, prepend=0)
        seen = whole / np.arange(1, 5)[None, :, None]
    seen = seen.round(9)
    assert np.allclose(np.unique(seen), [0, 1 / 0.75])
    assert abs(share(seen == 0) - 0.25) < 0.05
    same = (seen[:, :1] == seen).all()
    assert same if locked else not same


@pytest.mark.parametrize("locked", [True, False])
def test_recurrent_dropout_loses_no_memory(locked: bool) -> None:
    """Where the candidate is dropped, c is exactly f * c."""
    cell = stack(hidden=WIDE).layers[0]
    x = inputs(steps=5)
    drop = Regularizer(recurrent_dropout=0.25, locked=locked)
    start = cases.jitter(3, lstm_jax.zero_state(cell, (2,)))
    h, c = start
    drops = []
    for t in range(5):
        inside = lstm_jax.activations(cell, x[:, t : t + 1], (h, c))
        i, f, g = (np.asarray(a[:, 0]) for a in inside[:3])
        _, (h, new) = lstm_jax.apply(
            cell, x[:, : t + 1], start, regularizer=drop, key=KEY
        )
        factor = (np.asarray(new) - f * np.asarray(c)) / (i * g)
        assert np.allclose(np.unique(factor.round(6)), [0, round(1 / 0.75, 6)])
        drops.append(np.isclose(factor, 0))
        c = new
    assert abs(share(drops) - 0.25) < 0.05
    same = all((d == drops[0]).all() for d in drops)
    assert same if locked else not same


@pytest.mark.parametrize("which", ["h", "c"])
def test_zoneout(which: str) -> None:
    """A share of the units keeps its old value; h is made from the c before zoneout."""
    cell = stack(hidden=WIDE).layers[0]
    x = inputs(steps=4)
    drop = Regularizer(**{f"zoneout_{which}": 0.25})
    start = cases.jitter(3, lstm_jax.zero_state(cell, (2,)))
    state, kept = start, []
    for t in range(4):
        clean, _ = lstm_jax.lstm_step(cell, state, x[:, t])
        _, new = lstm_jax.apply(cell, x[:, : t + 1], start, regularizer=drop, key=KEY)
        old_or_new = [np.asarray(getattr(s, which)) for s in (state, clean, new)]
        keep = np.isclose(old_or_new[2], old_or_new[0], atol=1e-12)
        assert np.allclose(np.where(keep, *old_or_new[:2]), old_or_new[2], atol=1e-12)
        other = "h" if which == "c" else "c"
        assert_close(getattr(new, other), getattr(clean, other), FLOAT64)
        kept.append(keep)
        state = new
    assert abs(share(kept) - 0.25) < 0.05
    assert not any((kept[0] == k).all() for k in kept[1:])


def test_zoneout_at_evaluation_is_its_expectation() -> None:
    cell = stack().layers[0]
    x = inputs()
    drop = Regularizer(zoneout_h=0.3, zoneout_c=0.2)
    h, c = cases.jitter(3, lstm_jax.zero_state(cell, (2,)))
    got, end = lstm_jax.apply(cell, x, (h, c), regularizer=drop.inference())
    for t in range(x.shape[1]):
        (h_new, c_new), _ = lstm_jax.lstm_step(cell, (h, c), x[:, t])
        h, c = 0.3 * h + 0.7 * h_new, 0.2 * c + 0.8 * c_new
        assert_close(got[:, t], h, FLOAT64)
    assert_close(tuple(end), (h, c), FLOAT64)


def test_weight_drop() -> None:
    """One mask of w_h for all rows and steps, scaled; the gradient is masked alike."""
    cell = lstm_jax.init_cell(jax.random.key(0), 3, 60)
    x = inputs()
    drop = Regularizer(weight_drop=0.25)

    def run(w_h: Any) -> Any:
        y, _ = lstm_jax.apply(cell.replace(w_h=w_h), x, regularizer=drop, key=KEY)
        return jnp.sum(y**2)

    kept = np.asarray(jax.grad(run)(cell.w_h)) != 0
    assert abs(share(~kept) - 0.25) < 0.02
    y, _ = lstm_jax.apply(cell, x, regularizer=drop, key=KEY)
    by_hand = cell.replace(w_h=jnp.where(kept, cell.w_h / 0.75, 0.0))
    assert_close(y, lstm_jax.apply(by_hand, x)[0], FLOAT64)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"zoneout_h", "zoneout_c", "all"}))
def test_evaluation_drops_nothing(kind: str) -> None:
    params, x = stack(), inputs()
    drop = Regularizer(**KINDS[kind]).inference()
    got = lstm_jax.apply(params, x, regularizer=drop)
    assert_same(got, lstm_jax.apply(params, x))
    assert_same(lstm_jax.apply(params, x, regularizer=drop, key=KEY), got)


def test_rates_of_zero_change_nothing() -> None:
    params, x = stack(), inputs()
    got = lstm_jax.apply(params, x, regularizer=Regularizer(), key=KEY)
    assert_same(got, lstm_jax.apply(params, x))


@functools.cache
def dropped(implementation: Any) -> Any:
    """Gradient and output; a loop's, which all are compared with, is compiled once."""
    params = lstm_jax.Reverse(stack(layers=1, projection_size=4))
    x = inputs()
    drop = Regularizer(**KINDS["all"], locked=False)

    def loss(params: Any) -> Any:
        y, _ = lstm_jax.apply(
            params,
            x,
            lengths=np.array([5, 7]),
            truncate=3,
            regularizer=drop,
            key=KEY,
            implementation=implementation,
        )
        return jnp.sum(y**2), y

    return jax.jit(jax.grad(loss, has_aux=True))(params)


@pytest.mark.parametrize("name", cases.WAYS)
def test_every_implementation_drops_the_same(name: str) -> None:
    got = dropped(cases.IMPLEMENTATIONS[name])
    assert_close(got, dropped(lstm_jax.Loop()), 1e-10)


def test_second_order_with_masks() -> None:
    cell = stack().layers[0]
    x = inputs(steps=10)  # two windows of the tangent
    drop = Regularizer(**KINDS["all"], locked=False)

    def loss(w_h: Any, implementation: Any) -> Any:
        y, _ = lstm_jax.apply(
            cell.replace(w_h=w_h),
            x,
            regularizer=drop,
            key=KEY,
            implementation=implementation,
        )
        return jnp.sum(y**2)

    got, expected = (
        jax.jit(jax.hessian(partial(loss, implementation=i)))(cell.w_h)
        for i in (lstm_jax.Scan(), lstm_jax.Loop())
    )
    assert_close(got, expected, 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_sixteen_bits(kind: str) -> None:
    params = stack(dtype=jnp.bfloat16)
    x = inputs().astype(jnp.bfloat16)
    y, _ = lstm_jax.apply(params, x, regularizer=Regularizer(**KINDS[kind]), key=KEY)
    assert y.dtype == jnp.bfloat16 and np.isfinite(y.astype(np.float32)).all()


def test_under_vmap_each_key_drops_its_own() -> None:
    params, x = stack(), inputs()
    drop = Regularizer(**KINDS["all"], locked=False)

    def run(key: Any, x: Any) -> Any:
        return lstm_jax.apply(params, x, regularizer=drop, key=key)[0]

    keys = jax.random.split(KEY, 3)
    got = jax.jit(jax.vmap(run, (0, None)))(keys, x)
    assert_close(got, jnp.stack([run(key, x) for key in keys]), FLOAT64)
    assert np.abs(got[0] - got[1]).max() > 1e-3


@pytest.mark.parametrize("explicit", [False, True])
def test_on_a_mesh_and_in_shard_map(explicit: bool) -> None:
    """A mesh drops what one device does; in shard_map each shard has its own key."""
    params, x = stack(), inputs(batch=4)
    drop = Regularizer(**KINDS["all"], locked=False)
    run = partial(lstm_jax.apply, params, regularizer=drop)
    kind = AxisType.Explicit if explicit else AxisType.Auto
    mesh = jax.make_mesh((2,), ("data",), axis_types=(kind,))
    expected, _ = run(x, key=KEY)
    with jax.set_mesh(mesh):
        sharded = jax.device_put(x, NamedSharding(mesh, P("data")))
        y, _ = jax.jit(lambda x: run(x, key=KEY))(sharded)
        assert_close(y, expected, FLOAT64)
    if explicit:
        return

    def shard(x: Any) -> Any:  # x is the same in all: an ensemble of masks
        key = jax.random.fold_in(KEY, jax.lax.axis_index("data"))
        return run(x, key=key)[0][None]

    y = jax.shard_map(shard, mesh=mesh, in_specs=P(), out_specs=P("data"))(x)
    each = [run(x, key=jax.random.fold_in(KEY, k))[0] for k in range(2)]
    assert_close(y, jnp.stack(each), FLOAT64)
