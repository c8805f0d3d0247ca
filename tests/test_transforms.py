# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Composition with JAX: jit, vmap, scan, meshes, export; one trace, one program."""

import math
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import lstm_jax
from lstm_jax import Loop, LSTMState, Regularizer, Scan, variants
from lstm_jax.implementations.choice import default
from lstm_jax.implementations.scan import SYMBOLIC_SEGMENT
from lstm_jax.sharding import replicate
from tests import cases, jaxprs
from tests.cases import Case, full_state, weighted
from tests.compare import FLOAT32, FLOAT64, assert_close

IMPLEMENTATIONS = sorted(cases.WAYS)
# Two directions or everything where a scan is cheap to compile; one cell elsewhere.
ON_A_MESH = {
    "default": Case("concat", "everything", "all", "default", "none", "learned"),
    "sqrt": Case("concat", "peephole", "all", "sqrt", "none", "learned"),
    "loop": Case("cell", "peephole", "all", "loop", "none", "learned"),
    "window_in_checkpoint": Case(
        "reverse", "peephole", "all", "window_in_checkpoint", "none", "learned"
    ),
}
assert sorted(ON_A_MESH) == IMPLEMENTATIONS
CASE = Case("nested", "everything", "all", "default", "three", "given")


def gradient_of(call: cases.Call, implementation: Any) -> Any:
    """Output, state and gradients, of (params, x, state, lengths, resets)."""
    more = {k: call.options[k] for k in ("reset_state", "truncate")}

    def loss(params: Any, x: Any, state: Any, lengths: Any, resets: Any) -> Any:
        out = lstm_jax.apply(
            params,
            x,
            state,
            lengths=lengths,
            resets=resets,
            implementation=implementation,
            **more,
        )
        return weighted(out), out

    return jax.grad(loss, (0, 1, 2), has_aux=True)


def arguments(call: cases.Call) -> tuple[Any, ...]:
    options = call.options
    return call.params, call.x, full_state(call), options["lengths"], options["resets"]


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_vmap_over_everything(name: str) -> None:
    """Parameters, inputs, states, lengths and resets, each with an axis of its own."""
    structure = ON_A_MESH[name].structure
    case = Case(structure, "peephole", "all", name, "three", "given")
    calls = [cases.draw(case, seed=seed) for seed in range(3)]
    call = calls[0]._replace(options={**calls[0].options})
    f = gradient_of(call, cases.IMPLEMENTATIONS[name])
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *map(arguments, calls))
    got = jax.jit(jax.vmap(f))(*stacked)
    one = jax.jit(f)
    expected = jax.tree.map(
        lambda *a: jnp.stack(a), *[one(*arguments(each)) for each in calls]
    )
    assert_close(got, expected, FLOAT64)


def test_jit_is_no_jit() -> None:
    call = cases.draw(CASE)
    f = gradient_of(call, None)
    with jax.disable_jit():
        eager = f(*arguments(call))
    assert_close(jax.jit(f)(*arguments(call)), eager, FLOAT64)


@pytest.mark.parametrize("structure", ["cell", "stack"])
def test_remat(structure: str) -> None:
    call = cases.draw(Case(structure, "plain", "all", "default", "three", "given"))
    f = gradient_of(call, None)

    def loss(*a: Any) -> Any:
        return weighted(f(*a)[1])

    again = jax.jit(jax.grad(jax.checkpoint(loss)))(*arguments(call))
    assert_close(again, jax.jit(jax.grad(loss))(*arguments(call)), FLOAT64)


@pytest.mark.parametrize("containers", [tuple, list, LSTMState._make])
def test_the_step_is_a_body_of_scan(containers: Any) -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2, peephole=True)
    params = cases.jitter(1, params)
    xs = jax.random.normal(jax.random.key(2), (7, 2, 3))
    start = cases.jitter(3, lstm_jax.zero_state(params, (2,)))
    y, expected = lstm_jax.apply(params, xs, start, time_major=True)
    given = tuple(containers(s) for s in start)
    end, ys = jax.lax.scan(partial(lstm_jax.lstm_step, params), given, xs)
    assert jax.tree.structure(end) == jax.tree.structure(given)
    assert_close((ys, jax.tree.leaves(end)), (y, jax.tree.leaves(expected)), FLOAT64)
    cell = params.layers[0]
    y, expected = lstm_jax.apply(cell, xs, start[0], time_major=True)
    end, ys = jax.lax.scan(partial(lstm_jax.lstm_step, cell), containers(start[0]), xs)
    assert_close((ys, list(end)), (y, list(expected)), FLOAT64)


def test_apply_is_a_body_of_an_outer_scan() -> None:
    """Windows with a carried state are the whole, for 32 and 16 bits of h and c too."""
    for dtype in (jnp.float64, jnp.bfloat16):
        params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2, dtype=dtype)
        x = jax.random.normal(jax.random.key(1), (8, 2, 3), dtype)
        start = lstm_jax.zero_state(params, (2,))

        def window(state: Any, x: Any, params: Any = params) -> Any:
            y, state = lstm_jax.apply(params, x, state, time_major=True)
            return state, y

        end, ys = jax.lax.scan(window, start, x.reshape(4, 2, 2, 3))
        y, expected = lstm_jax.apply(params, x, start, time_major=True)
        bound = FLOAT64 if dtype == jnp.float64 else 1e-2
        assert_close((ys.reshape(y.shape), end), (y, expected), bound)


def product_has_gradient(x: jax.Array, w: jax.Array) -> bool:
    """Until jax 0.10.0 none with respect to w if x alone is on an explicit mesh."""
    try:
        jax.eval_shape(jax.grad(lambda w: (x @ w).sum()), w)
    except Exception as error:
        assert "Contracting dimensions are sharded" in str(error)
        return False
    return True


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_on_a_mesh(name: str) -> None:
    """The batch over four devices: as on one, with types the compiler checks."""
    call = cases.draw(ON_A_MESH[name])
    batch = 8
    x = jax.random.normal(jax.random.key(7), (batch, 5, 3))
    lengths = jnp.array([0, 5, 3, 1, 4, 5, 2, 5])
    resets = jax.random.bernoulli(jax.random.key(8), 0.3, (batch, 5))
    f = gradient_of(call, cases.IMPLEMENTATIONS[name])
    expected = jax.jit(f)(call.params, x, call.state, lengths, resets)
    w = jnp.ones((3, 2), x.dtype)
    for axes in AxisType.Auto, AxisType.Explicit:
        mesh = jax.make_mesh((4,), ("data",), axis_types=(axes,))
        with jax.set_mesh(mesh):
            rows = NamedSharding(mesh, P("data"))
            sharded = [jax.device_put(a, rows) for a in (x, lengths, resets)]
            alone = product_has_gradient(sharded[0], w)
            params = call.params if alone else replicate(call.params, mesh)
            got = jax.jit(f)(params, sharded[0], call.state, *sharded[1:])
            (_, dx, _), (y, _) = got
            assert y.sharding.spec[0] == dx.sharding.spec[0] == "data"
        assert_close(got, expected, 1e-9, f"{axes} ")


@pytest.mark.parametrize(
    "shape, names, of_x, of_state",
    [
        ((2, 2), ("a", "b"), P("a", "b"), P("a", "b")),
        ((4,), ("a",), P(None, "a"), P(None, "a")),
        ((2,), ("a",), P(), P("a")),  # the same input for all, each with its state
    ],
)
def test_explicit_axes_of_any_batch_axis(
    shape: Any, names: Any, of_x: Any, of_state: Any
) -> None:
    params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
    x = jax.random.normal(jax.random.key(1), (2, 4, 24, 3))  # windows of the tangent
    state = LSTMState(*jax.random.normal(jax.random.key(2), (2, 2, 4, 5)))

    def loss(params: Any, x: Any, state: Any) -> Any:
        return weighted(lstm_jax.apply(params, x, state))

    f = jax.jit(jax.grad(loss, (0, 1, 2)))
    expected = f(params, x, state)
    devices = jax.devices()[: math.prod(shape)]
    mesh = jax.make_mesh(
        shape, names, (AxisType.Explicit,) * len(shape), devices=devices
    )
    with jax.set_mesh(mesh):
        got = f(
            jax.device_put(params, NamedSharding(mesh, P())),
            jax.device_put(x, NamedSharding(mesh, of_x)),
            jax.device_put(state, NamedSharding(mesh, of_state)),
        )
    assert_close(got, expected, 1e-9)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_in_shard_map(name: str, given: bool) -> None:
    """With the check of varying axes on, as it is by default."""
    case = ON_A_MESH[name]
    call = cases.draw(case if given else case._replace(structure="cell"))
    x = jax.random.normal(jax.random.key(7), (8, 5, 3))
    lengths = jnp.array([0, 5, 3, 1, 4, 5, 2, 5])
    resets = jax.random.bernoulli(jax.random.key(8), 0.3, (8, 5))
    more = {"truncate": 3, "implementation": cases.IMPLEMENTATIONS[name]}
    if given:
        more["reset_state"] = call.options["reset_state"]

    def loss(params: Any, x: Any, state: Any, lengths: Any, resets: Any) -> Any:
        start = state if given else None
        y, _ = lstm_jax.apply(params, x, start, lengths=lengths, resets=resets, **more)
        return jnp.sum(jnp.square(y))

    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.shard_map(
        lambda *a: jax.lax.psum(loss(*a), "data"),
        mesh=mesh,
        in_specs=(P(), P("data"), P(), P("data"), P("data")),
        out_specs=P(),
    )
    at = call.params, x, call.state, lengths, resets
    got = jax.jit(jax.value_and_grad(sharded, (0, 1, 2)))(*at)
    assert_close(got, jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(*at), 1e-9)


def test_unroll_in_shard_map_and_on_an_explicit_mesh() -> None:
    def step(params: Any, state: Any, x: Any) -> Any:
        state = jnp.tanh(x @ params + state)
        return state, state

    w = jax.random.normal(jax.random.key(0), (3, 3))
    xs = jax.random.normal(jax.random.key(1), (5, 8, 3))
    lengths = jnp.array([0, 5, 3, 1, 4, 5, 2, 5])

    def run(w: Any, xs: Any, lengths: Any) -> Any:
        start = jnp.zeros((lengths.shape[0], 3))
        return lstm_jax.unroll(step, w, start, xs, lengths=lengths)

    expected = run(w, xs, lengths)
    auto = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    specs = (P(), P(None, "data"), P("data"))
    got = jax.shard_map(
        run, mesh=auto, in_specs=specs, out_specs=(P("data"), P(None, "data"))
    )(w, xs, lengths)
    assert_close(got, expected, FLOAT64)
    explicit = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(explicit):
        put = [
            jax.device_put(a, NamedSharding(explicit, s))
            for a, s in zip((w, xs, lengths), specs, strict=True)
        ]
        assert_close(jax.jit(run)(*put), expected, FLOAT64)


@pytest.mark.parametrize("explicit", [False, True])
def test_a_step_in_a_scan_on_a_mesh(explicit: bool) -> None:
    """Where a carry has a type of its own, apply over no step gives one."""
    params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2)
    xs = jax.random.normal(jax.random.key(1), (7, 4, 3))

    def run(xs: Any) -> Any:
        _, state = lstm_jax.apply(params, xs[:0], time_major=True)
        return jax.lax.scan(partial(lstm_jax.lstm_step, params), state, xs)[1]

    expected = run(xs)
    if explicit:
        mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
        with jax.set_mesh(mesh):
            put = jax.device_put(xs, NamedSharding(mesh, P(None, "data")))
            got = jax.jit(run)(put)
    else:
        mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
        spec = P(None, "data")
        got = jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=spec)(xs)
    assert_close(got, expected, FLOAT64)


SYMBOLIC = {
    name: cases.IMPLEMENTATIONS[name]
    for name in ("default", "window", "checkpoint", "sqrt")
}
CHUNKS = {"default": 1, "window": 2, "checkpoint": 3, "sqrt": 1}


@pytest.mark.parametrize(
    "name, reverse", [*((name, name == "window") for name in SYMBOLIC), ("sqrt", True)]
)
def test_export_with_symbolic_sizes(name: str, reverse: bool) -> None:
    """Values and gradients for T below, at and above a chunk, from one program.

    Sequences are turned round before and after the scan, whichever it is.
    """
    cell = lstm_jax.init_cell(jax.random.key(0), 3, 5, peephole=True)
    cell = cases.jitter(1, cell)
    params = lstm_jax.Reverse(cell) if reverse else cell
    leaves, shape = jax.tree.flatten(params)

    def f(leaves: Any, x: Any, lengths: Any) -> Any:
        def loss(leaves: Any, x: Any) -> Any:
            y, state = lstm_jax.apply(
                jax.tree.unflatten(shape, leaves),
                x,
                lengths=lengths,
                truncate=3,
                implementation=SYMBOLIC[name],
            )
            out = y, *state
            return sum(jnp.sum(a**2) for a in out), out

        return jax.grad(loss, (0, 1), has_aux=True)(leaves, x)

    b, t = export.symbolic_shape("b, t")
    exported = export.export(jax.jit(f))(
        leaves,
        jax.ShapeDtypeStruct((b, t, 3), jnp.float64),
        jax.ShapeDtypeStruct((b,), jnp.int64),
    )
    sizes = (
        [(2, 1), (3, CHUNKS[name]), (1, 7)] if CHUNKS[name] > 1 else [(2, 1), (1, 7)]
    )
    if name == "sqrt":  # several of its segments
        sizes.append((2, 2 * SYMBOLIC_SEGMENT + 9))
    for rows, steps in sizes:
        x = jax.random.normal(jax.random.key(2), (rows, steps, 3))
        lengths = jnp.arange(rows) % (steps + 1)
        got = exported.call(leaves, x, lengths)
        expected = jax.jit(f)(leaves, x, lengths)
        assert_close(got, expected, FLOAT64, f"B={rows}, T={steps} ")


def test_symbolic_sizes_with_a_regularizer_and_foreign_steps() -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2)
    drop = Regularizer(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, locked=False)

    def f(x: Any) -> Any:
        y, _ = lstm_jax.apply(params, x, regularizer=drop, key=jax.random.key(1))
        return y

    def log_step(params: Any, state: Any, x: Any) -> Any:
        """Finite only where x is positive: padding would show."""
        return state + jnp.log(x), state

    def g(x: Any) -> Any:
        xs = jnp.moveaxis(jnp.abs(x) + 0.5, 1, 0)

        def total(xs: Any) -> Any:
            run = lstm_jax.unroll(
                log_step, None, xs[0], xs, implementation=Scan(checkpoint=3)
            )
            return jnp.sum(run[1]), run

        return jax.grad(total, has_aux=True)(xs)

    b, t = export.symbolic_shape("b, t")
    x = jax.random.normal(jax.random.key(2), (2, 7, 3))
    for function in (f, g):
        exported = export.export(jax.jit(function))(
            jax.ShapeDtypeStruct((b, t, 3), jnp.float64)
        )
        assert_close(exported.call(x), function(x), FLOAT64)


def test_an_exported_program_runs_without_this_package(tmp_path: Path) -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2, bidirectional=True)
    x = jax.random.normal(jax.random.key(1), (2, 7, 3))
    lengths = np.array([3, 7])

    def f(x: Any, lengths: Any) -> Any:
        y, state = lstm_jax.apply(params, x, lengths=lengths)
        return y, *jax.tree.leaves(state)

    b, t = export.symbolic_shape("b, t")
    program = export.export(jax.jit(f))(
        jax.ShapeDtypeStruct((b, t, 3), jnp.float64),
        jax.ShapeDtypeStruct((b,), jnp.int64),
    )
    (tmp_path / "program").write_bytes(program.serialize())
    np.savez(tmp_path / "in.npz", x=x, lengths=lengths)
    script = """
import sys, jax, numpy as np
jax.config.update("jax_enable_x64", True)
from jax import export
sys.modules["lstm_jax"] = None
program = export.deserialize(bytearray(open("program", "rb").read()))
given = np.load("in.npz")
np.savez("out.npz", *program.call(given["x"], given["lengths"]))
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    with np.load(tmp_path / "out.npz") as got:
        assert_close([got[k] for k in got], list(f(x, lengths)), FLOAT64)


def test_export_for_every_platform() -> None:
    """Values and gradients of a ragged stack, from a machine that need not have it."""
    platforms = ["cpu", "cuda", "tpu"]
    params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2, dtype=jnp.float32)
    leaves, shape = jax.tree.flatten(params)

    def value(leaves: Any, x: Any, lengths: Any) -> Any:
        params = jax.tree.unflatten(shape, leaves)
        y, state = lstm_jax.apply(params, x, lengths=lengths, implementation=Scan())
        return y, jax.tree.leaves(state)

    def gradient(*args: Any) -> Any:
        return jax.grad(lambda *a: weighted(value(*a)), (0, 1))(*args)

    x = jax.random.normal(jax.random.key(1), (3, 7, 3), jnp.float32)
    args = leaves, x, jnp.array([0, 7, 2])
    for f in (value, gradient):
        program = export.export(jax.jit(f), platforms=platforms)(*args)
        assert list(program.platforms) == platforms
        assert_close(program.call(*args), f(*args), FLOAT32)
        for platform in platforms:  # and each by itself
            alone = export.export(jax.jit(f), platforms=[platform])(*args)
            assert alone.mlir_module_serialized


def test_eager_calls_lower_once() -> None:
    lowered, listening = [], True

    def listener(event: str, duration_secs: float, **kwargs: Any) -> None:
        if listening and event.endswith("jaxpr_to_mlir_module_duration"):
            lowered.append(event)

    params = lstm_jax.init(jax.random.key(0), 3, 4, num_layers=2)
    x = jax.random.normal(jax.random.key(1), (2, 9, 3))
    lengths, state = np.array([3, 9]), lstm_jax.zero_state(params, (2,))
    # It cannot be unregistered by a public name before jax 0.8.
    jax.monitoring.register_event_duration_secs_listener(listener)
    lstm_jax.apply(params, x, state, lengths=lengths)
    first = len(lowered)
    for _ in range(3):
        _, state = lstm_jax.apply(params, x, state, lengths=lengths)
    again = len(lowered)
    lstm_jax.apply(params, x[:, :8], state)
    other = len(lowered)
    listening = False
    assert first == again == 1
    assert other > again


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_one_trace_a_shape(name: str) -> None:
    chex.clear_trace_counter()
    params = lstm_jax.init(jax.random.key(0), 3, 5)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(params: Any, x: Any) -> Any:
        implementation = cases.IMPLEMENTATIONS[name]
        return jax.grad(
            lambda p: lstm_jax.apply(p, x, implementation=implementation)[0].sum()
        )(params)

    for seed in range(3):
        run(params, jax.random.normal(jax.random.key(seed), (2, 7, 3)))


PROGRAMS = {
    name: implementation
    for name, implementation in cases.IMPLEMENTATIONS.items()
    if isinstance(implementation, Scan)
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_does_not_grow_with_time(name: str) -> None:
    implementation = PROGRAMS[name]
    params = lstm_jax.init_cell(jax.random.key(0), 3, 5)

    def gradient(params: Any, x: Any) -> Any:
        def loss(params: Any) -> Any:
            y, _ = lstm_jax.apply(params, x, truncate=5, implementation=implementation)
            return jnp.sum(y**2)

        return jax.grad(loss)(params)

    def size(steps: int) -> int:
        return jaxprs.size(
            gradient, params, jax.ShapeDtypeStruct((2, steps, 3), jnp.float64)
        )

    # The tangent's windows are of 5 steps here: 2 H rows over a batch of 2.
    window = max(implementation.window or 1, implementation.unroll, 5)
    near = [1, window, 2 * window - 1, 2 * window, 4 * window]
    if implementation.checkpoint == "sqrt":
        # At 37 and 907, as at a large prime, no segment of a third of the root divides
        # T; those of 907 are long enough for two windows.
        near += [37, 907]
    small = max(size(steps) for steps in near)
    assert size(100_000) <= small
    assert size(99_991) <= small  # a prime: no chunk divides it


def test_a_loop_does_grow() -> None:
    params = lstm_jax.init_cell(jax.random.key(0), 3, 5)

    def size(steps: int) -> int:
        x = jax.ShapeDtypeStruct((2, steps, 3), jnp.float64)
        return jaxprs.size(
            lambda x: lstm_jax.apply(params, x, implementation=Loop()), x
        )

    assert size(40) > 3 * size(10)


def temporaries(steps: int, checkpoint: Any, every_output: bool) -> int:
    """Compiled temporary bytes of the gradient, B 4, I 16, H 64, float32."""
    params = lstm_jax.init_cell(jax.random.key(0), 16, 64, dtype=jnp.float32)
    run = partial(
        lstm_jax.apply, time_major=True, implementation=Scan(checkpoint=checkpoint)
    )

    def loss(params: Any, x: Any) -> Any:
        y, (h, c) = run(params, x)
        return jnp.sum(y**2) if every_output else jnp.sum(h**2) + jnp.sum(c**2)

    x = jax.ShapeDtypeStruct((steps, 4, 16), jnp.float32)
    compiled = jax.jit(jax.grad(loss)).lower(params, x).compile()
    memory: Any = compiled.memory_analysis()
    return memory.temp_size_in_bytes


def test_checkpointing_saves_memory() -> None:
    steps = 16_384
    y = steps * 4 * 64 * 4
    kept = temporaries(steps, None, False)
    saved = temporaries(steps, "sqrt", False)
    assert saved <= kept / 10
    assert temporaries(4 * steps, "sqrt", False) <= 2.2 * saved
    assert temporaries(steps, "sqrt", True) <= 2.2 * y
    # Without it z (4 H), h, c and y of every step are kept: 7, and 10 with the buffers
    # that the loop fills; 14 where z and what it is made from have memory of their own.
    assert kept <= 10.1 * y


def test_checkpointing_changes_no_gradient() -> None:
    params = lstm_jax.init_cell(jax.random.key(0), 3, 8, dtype=jnp.float32)
    x = jax.random.normal(jax.random.key(1), (1000, 2, 3), jnp.float32)

    def gradient(implementation: Scan) -> Any:
        def loss(params: Any) -> Any:
            y, _ = lstm_jax.apply(
                params, x, time_major=True, implementation=implementation
            )
            return jnp.mean(y**2)

        return jax.jit(jax.grad(loss))(params)

    assert_close(gradient(Scan(checkpoint="sqrt")), gradient(Scan()), 5e-6)


def test_explain_names_what_runs() -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5)
    x = jax.ShapeDtypeStruct((2, 7, 3), jnp.bfloat16)
    plan = lstm_jax.explain(params, x)
    assert plan.implementation == Scan() and plan.steps == 7 and plan.batch == (2,)
    assert plan.dtype == jnp.float64 and plan.platform == "cpu"
    assert "default" in str(plan) and "T=7" in str(plan)
    long = jax.ShapeDtypeStruct((64, 20_000, 3), jnp.float32)
    plan = lstm_jax.explain(params, long)
    assert plan.implementation == Scan(window=8) and "cache" in plan.reason
    assert plan.platforms["tpu"] == plan.platforms["gpu"] == (Scan(), "default")
    assert "on cpu: x·W_x" in str(plan) and "on gpu, tpu: default" in str(plan)
    odd = jax.ShapeDtypeStruct((64, 20_007, 3), jnp.float32)  # 9 divides it, 8 does not
    assert lstm_jax.explain(params, odd).implementation == Scan(window=9)
    other = variants.init("GRU", jax.random.key(0), 3, 5)  # has no window of its own
    assert set(lstm_jax.explain(other, long).platforms.values()) == {
        (Scan(), "default")
    }
    chosen = lstm_jax.explain(params, x, time_major=True, implementation=Loop())
    assert chosen.implementation == Loop() and chosen.reason == "asked for"
    assert (chosen.steps, chosen.batch) == (2, (7,))


@pytest.mark.parametrize(
    "steps, rows, platform, expected",
    [
        (64, 64, "cpu", Scan(window=8)),  # 64 · 64 · 1024 · 4 bytes: 16 MiB
        (63, 64, "cpu", Scan()),
        (65, 64, "cpu", Scan(window=13)),
        (67, 64, "cpu", Scan(window=8)),  # a prime, which leaves a rest
        (64, 64, "gpu", Scan()),
        ("symbolic", 64, "cpu", Scan()),
        (64, "symbolic", "cpu", Scan()),
    ],
)
def test_the_rule_of_what_runs_by_default(
    steps: Any, rows: Any, platform: str, expected: Scan
) -> None:
    assert default(steps, rows, 1024, 4, platform)[0] == expected


@pytest.mark.parametrize(
    "steps, rows, platform, expected",
    [
        (64, 4, "cpu", Scan(window=6)),  # 4 · 1024 · 4 bytes: 16 KiB
        (64, 3, "cpu", Scan()),
        (60, 64, "cpu", Scan(window=7)),  # a rest stays
        (0, 64, "cpu", Scan()),
        (64, 4, "tpu", Scan()),
    ],
)
def test_the_rule_where_each_device_has_its_own_rows(
    steps: Any, rows: Any, platform: str, expected: Scan
) -> None:
    assert default(steps, rows, 1024, 4, platform, shared_out=True)[0] == expected


def test_in_a_shard_map_the_rule_is_that_of_own_rows() -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 256, dtype=jnp.float32)
    x = jax.ShapeDtypeStruct((8, 64, 3), jnp.float32)
    plans = []

    def run(x: Any) -> Any:
        plans.append(lstm_jax.explain(params, x))
        return x

    for devices in (2, 1):
        mesh = jax.make_mesh((devices,), ("data",), (AxisType.Auto,))
        split = jax.shard_map(run, mesh=mesh, in_specs=P("data"), out_specs=P("data"))
        jax.eval_shape(split, x)
    run(x)
    assert [plan.implementation for plan in plans] == [Scan(window=6), Scan(), Scan()]


def test_one_input_has_no_product_for_windows() -> None:
    x = jax.ShapeDtypeStruct((64, 20_000, 1), jnp.float32)
    one = lstm_jax.init(jax.random.key(0), 1, 5, dtype=jnp.float32)
    two = lstm_jax.init(jax.random.key(0), 1, 5, num_layers=2, dtype=jnp.float32)
    assert lstm_jax.explain(one, x).implementation == Scan()
    assert lstm_jax.explain(two, x).implementation == Scan(window=8)


@pytest.mark.parametrize("implementation", [Scan(), Scan(window=2), Scan(checkpoint=3)])
def test_gradient_of_a_vmap_of_a_jitted_network(implementation: Scan) -> None:
    """Where the rule is mapped after the function it belongs to, eagerly."""
    params = lstm_jax.init(
        jax.random.key(0), 3, 5, bidirectional=True, dtype=jnp.float64
    )
    x = jax.random.normal(jax.random.key(1), (3, 2, 7, 3), jnp.float64)
    lengths = jnp.array([[7, 0], [3, 7], [1, 1]])

    def of_each(x: Any, lengths: Any) -> Any:
        run = partial(lstm_jax.apply, params, implementation=implementation)
        return run(x, lengths=lengths)

    got = jax.grad(lambda x: cases.weighted(jax.vmap(of_each)(x, lengths)))(x)

    def whole(x: Any) -> Any:
        out = of_each(x.reshape(6, 7, 3), lengths.reshape(6))
        return jax.tree.map(lambda a: a.reshape(3, 2, *a.shape[1:]), out)

    expected = jax.jit(jax.grad(lambda x: cases.weighted(whole(x))))(x)
    assert_close(got, expected, 1e-11)
