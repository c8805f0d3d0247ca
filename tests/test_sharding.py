# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Several devices and several processes: the same numbers as on one."""

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import lstm_jax
from benchmarks.hlo import Program
from lstm_jax import Regularizer, Scan
from lstm_jax.sharding import (
    SplitUnits,
    data_parallel,
    pad_batch,
    partition_specs,
    replicate,
    shard_batch,
)
from tests import two_processes
from tests.cases import initial, jitter, weighted
from tests.compare import FLOAT64, assert_close, assert_same

ROOT = Path(__file__).parent.parent
KEY = jax.random.key(0)
LENGTHS = np.array([6, 0, 3, 5, 1, 6, 4, 2])


def mesh_of(**axes: int) -> Any:
    """Of the first devices, with axes as `jax.jit` likes them."""
    number = int(np.prod(list(axes.values())))
    return jax.make_mesh(
        tuple(axes.values()),
        tuple(axes),
        axis_types=(AxisType.Auto,) * len(axes),
        devices=jax.devices()[:number],
    )


def collectives(f: Any, *args: Any) -> dict[bool, list[str]]:
    """The exchanges between devices in a jitted function, by whether in a loop."""
    return Program(f.lower(*args).compile().as_text()).collectives()


def network(**options: Any) -> Any:
    return jitter(1, initial(lstm_jax.init, 0, 3, 8, **options))


def sequence(rows: int = 8, steps: int = 6) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (rows, steps, 3))


def mean_of_valid(params: Any, x: Any, state: Any, lengths: Any) -> jax.Array:
    """0/0 for rows that have no valid step among them."""
    y, end = lstm_jax.apply(params, x, state, lengths=lengths)
    last = sum(jnp.sum(jnp.where(lengths[:, None] > 0, a, 0)) for (_, a) in end)
    return (jnp.sum(y**2) + last) / lengths.sum().astype(y.dtype)


def valid_steps(x: Any, state: Any, lengths: Any) -> jax.Array:
    return lengths.sum()


@pytest.mark.parametrize("number", [2, 8])
def test_data_parallel_is_one_device(number: int) -> None:
    """Ragged, and on 8 devices one of them has no valid step: its mean is NaN."""
    params = network(bidirectional=True, peephole=True).layers[0]
    x = sequence()
    state = jitter(2, lstm_jax.zero_state(params, (8,)))
    batch = x, state, jnp.asarray(LENGTHS)
    gradients = jax.value_and_grad(mean_of_valid, (0, 1, 2))
    value, expected = jax.jit(gradients)(params, *batch)
    mesh = mesh_of(data=number)
    given = replicate(params, mesh), *shard_batch(batch, mesh)

    def inside(params: Any, *batch: Any) -> Any:
        return jax.value_and_grad(mean_of_valid)(params, *batch)

    got = data_parallel(inside, mesh, weight=valid_steps)(*given)
    assert_close(got, (value, expected[0]), FLOAT64, "gradient inside: ")
    outside = data_parallel(mean_of_valid, mesh, weight=valid_steps)
    got = jax.value_and_grad(outside, (0, 1, 2))(*given)
    assert_close(got, (value, expected), FLOAT64, "gradient outside: ")
    assert got[1][1].sharding.spec[0] == "data"


def mean_square(params: Any, x: Any, implementation: Any = None) -> jax.Array:
    y, _ = lstm_jax.apply(params, x, time_major=True, implementation=implementation)
    return jnp.mean(y**2)


def test_equal_weights_time_major_and_a_mesh_with_another_axis() -> None:
    """Arrays from anywhere; rows over two of four devices, in both ways."""
    params, x = network(num_layers=2), sequence().swapaxes(0, 1)
    expected = jax.jit(jax.value_and_grad(mean_square))(params, x)
    mesh = mesh_of(data=2, other=2)
    step = data_parallel(jax.value_and_grad(mean_square), mesh, batch_axis=1)
    assert_close(step(params, np.asarray(x)), expected, FLOAT64)
    outside = data_parallel(mean_square, mesh, batch_axis=1)
    assert_close(jax.value_and_grad(outside)(params, x), expected, FLOAT64)


def test_dtypes_of_weighted_means() -> None:
    """In 16 bits the sum is wide; what is counted is no integer any more."""

    def fn(params: Any, x: Any) -> Any:
        return x.mean(), (x > 2).sum(), jnp.float64(3)

    x = jnp.arange(8.0, dtype=jnp.bfloat16)
    run = data_parallel(fn, mesh_of(data=4), weight=lambda x: jnp.int32(x.sum()))
    mean, count, constant = run(None, x)
    weights = np.array([1, 5, 9, 13])
    assert mean.dtype == jnp.bfloat16 and constant == 3
    assert mean == jnp.bfloat16((weights * [0.5, 2.5, 4.5, 6.5]).sum() / 28)
    assert_close(count, (weights * [0, 1, 2, 2]).sum() / 28, 1e-6)


def test_unroll_and_a_regularizer_in_a_shard_map_of_some_axes() -> None:
    """Masks are of the row within a device, so that every pair of rows is alike."""
    params, drop = (
        network().layers[0],
        Regularizer(zoneout_h=0.3, recurrent_dropout=0.2),
    )

    def step(w: Any, h: Any, x: Any) -> Any:
        h = jnp.tanh(x @ w + h)
        return h, h

    def run(x: Any) -> Any:
        y, _ = lstm_jax.apply(params, x, regularizer=drop, key=KEY)
        h, _ = lstm_jax.unroll(
            step, params.w_x[:, :3], jnp.zeros((2, 3)), x.swapaxes(0, 1)
        )
        return y, h

    mesh = mesh_of(data=2, other=2)
    x = sequence(rows=4)
    rows = P("data")
    some = jax.shard_map(
        run, mesh=mesh, in_specs=rows, out_specs=rows, axis_names={"data"}
    )
    expected = jax.tree.map(lambda *a: jnp.concatenate(a), run(x[:2]), run(x[2:]))
    assert_close(jax.jit(some)(x), expected, FLOAT64)


@pytest.mark.skipif(
    not hasattr(jax.typeof(1.0), "manual_axis_type"), reason="not before jax 0.10"
)
@pytest.mark.parametrize("check_vma", [True, False])
def test_a_gradient_where_one_axis_is_manual_and_one_explicit(check_vma: bool) -> None:
    params, x = network().layers[0], sequence(rows=4)
    explicit = jax.sharding.AxisType.Explicit
    mesh = jax.make_mesh((2, 2), ("data", "other"), (explicit, explicit))

    def slope(x: Any) -> Any:
        def loss(x: Any) -> Any:
            return jnp.sum(lstm_jax.apply(params, x)[0] ** 2)

        return jax.grad(loss)(x) + jax.vmap(jax.grad(loss))(x[None])[0]

    with jax.set_mesh(mesh):
        some = jax.shard_map(
            slope,
            in_specs=P("data"),
            out_specs=P("data"),
            axis_names={"data"},
            check_vma=check_vma,
        )
        rows = jax.device_put(x, P(("data", "other")))
        got = jax.jit(some)(rows)
    assert_close(got, slope(x), FLOAT64)


def test_an_uneven_batch_is_padded() -> None:
    params, x = network(), sequence(rows=5)
    state = jitter(2, lstm_jax.zero_state(params, (5,)))
    lengths = LENGTHS[[0, 2, 3, 4, 5]]
    gradient = jax.value_and_grad(mean_of_valid)
    expected = jax.jit(gradient)(params, x, state, lengths)
    mesh = mesh_of(data=4)
    (x, state), lengths = pad_batch((x, state), lengths, mesh.shape["data"])
    assert x.shape[0] == 8 and lengths.tolist()[5:] == [0, 0, 0]
    step = data_parallel(gradient, mesh, weight=valid_steps)
    assert_close(step(params, x, state, lengths), expected, FLOAT64)


def test_padding_keeps_the_kind_of_an_array_and_what_divides() -> None:
    tree = {"x": np.ones((7, 5, 3), np.float32), "id": jnp.arange(5)}
    axes = {"x": 1, "id": 0}
    padded, _ = pad_batch(tree, np.full(5, 7), 3, axes)
    assert isinstance(padded["x"], np.ndarray) and isinstance(padded["id"], jax.Array)
    assert padded["x"].shape == (7, 6, 3) and padded["id"].tolist() == [
        0,
        1,
        2,
        3,
        4,
        0,
    ]
    assert_same(pad_batch(tree, np.full(5, 7), 5, axes), (tree, np.full(5, 7)))


def test_shard_batch_and_a_forward_without_exchange() -> None:
    mesh = mesh_of(data=4)
    params, x = network(num_layers=2), sequence().swapaxes(0, 1)
    lengths = jnp.asarray(LENGTHS)
    given = shard_batch((x, lengths), mesh, batch_axis=(1, 0))
    assert given[0].sharding == NamedSharding(mesh, P(None, "data"))
    whole = replicate(params, mesh)
    assert all(a.sharding.is_fully_replicated for a in jax.tree.leaves(whole))

    @jax.jit
    def run(params: Any, x: Any, lengths: Any) -> Any:
        return lstm_jax.apply(params, x, lengths=lengths, time_major=True)[0]

    assert_close(run(whole, *given), run(params, x, lengths), FLOAT64)
    assert collectives(run, whole, *given) == {True: [], False: []}


def test_one_exchange_a_gradient() -> None:
    """Which `jax.jit` alone does not manage: it has one in every window."""
    mesh = mesh_of(data=4)
    params, x = network(), sequence(steps=64).swapaxes(0, 1)
    given = replicate(params, mesh), shard_batch(x, mesh, batch_axis=1)
    gradient = jax.grad(mean_square)
    alone = collectives(jax.jit(gradient), *given)
    assert "all-reduce" in alone[True]
    inside = data_parallel(gradient, mesh, batch_axis=1)
    outside = jax.jit(jax.grad(data_parallel(mean_square, mesh, batch_axis=1)))
    for step in (inside, outside):
        found = collectives(step, *given)
        assert not found[True] and set(found[False]) == {"all-reduce"}


SPLIT: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    "plain": (8, {}, {"unroll": 3}),
    "options": (4, {"peephole": True, "projection_size": 5}, {"window": 2}),
    "stack": (2, {"num_layers": 2, "bidirectional": True}, {"checkpoint": 4}),
}


def split_call(layers: Any, extras: bool) -> tuple[Any, Any]:
    """Output, state and gradients of (params, x, state, reset_state)."""
    reset = jitter(4, lstm_jax.zero_state(layers))
    more: dict[str, Any] = {}
    if extras:
        more = {
            "lengths": jnp.asarray(LENGTHS),
            "resets": jax.random.bernoulli(KEY, 0.3, (8, 6)),
            "truncate": 4,
            "regularizer": Regularizer(*[0.1] * 7),
            "key": KEY,
        }

    def loss(params: Any, x: Any, state: Any, reset: Any, implementation: Any) -> Any:
        own = {**more, "reset_state": reset} if extras else more
        out = lstm_jax.apply(params, x, state, implementation=implementation, **own)
        return weighted(out), out

    state = jitter(3, lstm_jax.zero_state(layers, (8,)))
    at = (0, 1, 2, 3) if extras else (0, 1, 2)
    gradient = jax.jit(jax.grad(loss, at, has_aux=True), static_argnums=4)
    return gradient, (layers, sequence(), state, reset)


@pytest.mark.parametrize(
    "name, extras", [("stack", False), *((name, True) for name in ("plain", "options"))]
)
def test_split_units_are_one_device(name: str, extras: bool) -> None:
    number, options, knobs = SPLIT[name]
    gradient, given = split_call(network(**options), extras)
    split = SplitUnits(mesh=mesh_of(model=number), **knobs)
    got = gradient(*given, split)
    assert_close(got, gradient(*given, None), FLOAT64)


def test_units_and_rows() -> None:
    """A mesh of 2 by 4, with the rows taken along or left to `jax.jit`."""
    gradient, given = split_call(network(projection_size=5), True)
    mesh = mesh_of(data=2, model=4)
    sharded = [replicate(given[0], mesh), *shard_batch(given[1:3], mesh), given[3]]
    expected = gradient(*given, None)
    for batch in ("data", None):
        got = gradient(*sharded, SplitUnits(mesh=mesh, batch=batch))
        assert_close(got, expected, FLOAT64, f"batch={batch} ")


def test_split_units_of_several_batch_axes_and_none() -> None:
    params = network()
    split = SplitUnits(mesh=mesh_of(data=2, model=2), batch="data")
    for shape in ((6, 3), (2, 3, 6, 3)):
        x = jax.random.normal(KEY, shape)
        got = lstm_jax.apply(params, x, implementation=split)
        assert_close(got, lstm_jax.apply(params, x), FLOAT64)


def test_split_units_forward_mode_vmap_and_16_bits() -> None:
    split = SplitUnits(mesh=mesh_of(model=2))
    params, x = network(projection_size=4), sequence()

    def run(params: Any, implementation: Any) -> Any:
        return lstm_jax.apply(params, x, implementation=implementation)

    def tangent(implementation: Any) -> Any:
        return jax.jvp(
            lambda p: run(p, implementation), (params,), (jitter(5, params),)
        )

    assert_close(tangent(split), tangent(None), FLOAT64)
    several = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), params)
    got = jax.vmap(lambda p: run(p, split))(several)
    assert_close(got, jax.vmap(lambda p: run(p, None))(several), FLOAT64)
    x = x.astype(jnp.bfloat16)
    params = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params)
    y, ((h, c),) = run(params, split)
    assert (y.dtype, h.dtype, c.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32)
    # Sums of halves differ in float32, and then, rarely, in the rounding of h.
    assert_close(
        (y, ((h, c),)), (lambda y, s: (y, (tuple(s[0]),)))(*run(params, None)), 0.02
    )


def split_loss(params: Any, x: Any, split: Any) -> jax.Array:
    y, _ = lstm_jax.apply(params, x, time_major=True, implementation=split)
    return jnp.mean(y**2)


@pytest.mark.parametrize("name", ["plain", "options"])
def test_a_step_exchanges_its_output_alone(name: str) -> None:
    """Parameters come in as columns and are made units once, outside of the loops."""
    mesh = mesh_of(data=2, model=2)
    split = SplitUnits(mesh=mesh, batch="data")
    params = network(**SPLIT[name][1])
    specs = partition_specs(params, "model")
    params = jax.device_put(
        params, jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
    )
    x = shard_batch(sequence(steps=64).swapaxes(0, 1), mesh, batch_axis=1)
    forward = jax.jit(lambda params, x: split_loss(params, x, split))
    backward = jax.jit(jax.grad(lambda params, x: split_loss(params, x, split)))
    one, other = {
        "plain": ("all-gather", "reduce-scatter"),
        "options": ("all-reduce", "all-reduce"),
    }[name]
    assert collectives(forward, params, x)[True] == [one]
    assert collectives(backward, params, x)[True] == [one, other]
    assert_close(forward(params, x), split_loss(params, x, None), FLOAT64)


def test_partition_specs_mirror_the_parameters() -> None:
    params = {"net": network(projection_size=4, peephole=True), "out": jnp.ones((4, 2))}
    same = partition_specs(params)
    assert jax.tree.structure(same) == jax.tree.structure(params)
    assert set(jax.tree.leaves(same)) == {P()}
    specs = partition_specs(params, "model")
    assert jax.tree.structure(specs) == jax.tree.structure(params)
    (layer,) = specs["net"].layers
    columns = P(None, "model")
    assert (layer.w_x, layer.w_h, layer.peephole) == (columns, columns, columns)
    assert (layer.b, layer.projection) == (P("model"), P("model"))
    assert specs["out"] == P()


def refused(kind: Any, *parts: str) -> Any:
    return pytest.raises(kind, match=".*".join(map(re.escape, parts)))


def test_a_batch_that_is_not_divided_is_refused() -> None:
    mesh = mesh_of(data=4)
    x, params = sequence(rows=5), network()
    with refused(ValueError, "shard_batch: batch['x'] ", "4 devices", "5 rows", "pad_"):
        shard_batch({"x": x}, mesh)
    with refused(ValueError, "data_parallel: batch[0] ", "'data'", "(5, 6, 3)"):
        data_parallel(mean_square, mesh)(params, x)
    with refused(ValueError, "batch_axis must be an axis of batch", "-1"):
        shard_batch(x, mesh, batch_axis=-1)
    with refused(ValueError, "one of ('data',); got 'rows'"):
        shard_batch(x, mesh, axis="rows")
    with refused(TypeError, "mesh must be a jax.sharding.Mesh; got None"):
        data_parallel(mean_square, None)(params, x)


def test_what_cannot_be_padded_is_refused() -> None:
    x = np.ones((5, 6, 3))
    with refused(ValueError, "pad_batch: batch must have 4 rows (from lengths); got 5"):
        pad_batch(x, np.full(4, 6), 2)
    with refused(ValueError, "lengths must have shape (B,); got ()"):
        pad_batch(x, None, 2)
    with refused(TypeError, "integer dtype; got float64"):
        pad_batch(x, np.ones(5), 2)
    with refused(ValueError, "positive number of devices; got 0"):
        pad_batch(x, np.full(5, 6), 0)


def test_what_cannot_be_split_is_refused() -> None:
    """All reasons at once, by `explain` too."""
    mesh = mesh_of(data=2, model=3)
    x = sequence(rows=5)
    split = SplitUnits(mesh=mesh, batch="data")
    params = network(norm=lstm_jax.SplitNorm)
    for call in (lstm_jax.apply, lstm_jax.explain):
        with refused(
            NotImplementedError,
            "2 devices do not divide the 5 rows; 3 devices do not divide H=8, and "
            "units are whole; the mean in SplitNorm is over all units.",
        ):
            call(params, x, implementation=split)
    with refused(NotImplementedError, "no units that could be told apart"):
        lstm_jax.unroll(lambda p, h, x: (h, x), 0, x[0], x, implementation=split)
    with refused(ValueError, "one of ('data', 'model'); got 'units'"):
        lstm_jax.apply(params, x, implementation=SplitUnits(mesh=mesh, axis="units"))
    with refused(ValueError, "SplitUnits.window must be a positive number"):
        lstm_jax.apply(params, x, implementation=SplitUnits(mesh=mesh, window=0))
    two = mesh_of(data=2, model=2)
    own = data_parallel(
        lambda p, x: split_loss(p, x, SplitUnits(mesh=two)), two, batch_axis=1
    )
    with refused(NotImplementedError, "it is inside a shard_map"):
        own(network(), sequence())


def test_split_units_are_a_scan_with_a_mesh() -> None:
    split = SplitUnits(mesh=mesh_of(model=2), checkpoint="sqrt")
    assert isinstance(split, Scan) and split.devices == 2
    assert hash(split) == hash(SplitUnits(mesh=mesh_of(model=2), checkpoint="sqrt"))
    plan = lstm_jax.explain(network(), sequence(), implementation=split)
    assert plan.implementation == split


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """In float64, and to the rounding of sums: they are in another order."""
    port = free_port()
    outs = [tmp_path / f"{process}.npz" for process in range(2)]
    command = [sys.executable, "-W", "error", "-m", "tests.two_processes"]
    processes = [
        subprocess.Popen(
            [*command, str(process), str(port), str(out)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process, out in enumerate(outs)
    ]
    try:
        said = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    params, batch = two_processes.problem()
    gradient = jax.value_and_grad(two_processes.loss)
    with jax.numpy_dtype_promotion("standard"):  # Adam counts its steps in integers
        expected = jax.tree.leaves(two_processes.train(gradient, params, batch))
    for out in outs:
        with np.load(out) as got:
            assert_close([got[k] for k in got], expected, FLOAT64, out.name)


def test_a_mesh_of_explicit_axes_is_refused() -> None:
    """It is what newer releases of `jax.make_mesh` make by themselves."""
    explicit = (AxisType.Explicit,)
    mesh = jax.make_mesh((2,), ("data",), explicit, devices=jax.devices()[:2])
    params = lstm_jax.init_cell(jax.random.key(0), 3, 8)
    x = jnp.ones((4, 5, 3))
    step = data_parallel(lambda params, x: jnp.mean(x), mesh)
    split = SplitUnits(mesh=mesh, axis="data")
    for run in (step, lambda *a: lstm_jax.apply(*a, implementation=split)):
        with pytest.raises(ValueError, match="mesh must have automatic axes; got"):
            run(params, x)
