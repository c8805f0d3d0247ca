# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The form of a program is that of the platform it is lowered for, not of the host."""

import re
from functools import partial
from itertools import cycle, islice
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

import lstm_jax
from lstm_jax import Scan, _compat, _platforms
from lstm_jax._dtypes import accum_dtype
from lstm_jax._platforms import by_platform
from tests import cases
from tests.compare import assert_close

FACTORS = {"cpu": 1.0, "gpu": 2.0, "tpu": 3.0, None: 5.0}


def scaled(given: Any, tangent: Any) -> Any:
    """What is linear in its second argument, times a number for each platform."""

    def form(platform: str | None) -> Any:
        return lambda w, t: jnp.sin(w) * t * FACTORS[platform]

    return by_platform(form, given, tangent)


def program(f: Any, platform: str, *args: Any) -> str:
    lowered = jax.jit(f).trace(*args).lower(lowering_platforms=(platform,))
    return str(lowered.as_text())


@pytest.mark.parametrize(
    "platform, factor", [("cpu", 1), ("cuda", 2), ("rocm", 2), ("tpu", 3)]
)
def test_each_platform_has_its_form_in_every_transformation(
    platform: str, factor: int
) -> None:
    def transposed(w: Any, c: Any) -> Any:
        return jax.vjp(partial(scaled, w), c)[1](c)[0]

    def pushed(w: Any, t: Any) -> Any:
        return jax.jvp(partial(scaled, w), (t,), (t,))[1]

    two = jnp.float32([1.0, 2.0])
    for f in (scaled, transposed, pushed):
        for run in (f, jax.vmap(f, in_axes=(None, 0))):
            text = program(run, platform, two[0] if run is not f else two, two)
            numbers = set(re.findall(r"dense<(\d)\.0+e\+00>", text)) - {"0"}
            assert numbers == {str(factor)}


def test_an_export_has_the_form_of_its_platform() -> None:
    two = jnp.float32([1.0, 2.0])
    exported = jax.export.export(jax.jit(scaled), platforms=("tpu",))(two, two)
    assert "dense<3.000000e+00>" in exported.mlir_module()


def test_a_form_is_traced_once_for_its_types_and_once_for_its_program() -> None:
    traced = []

    def form(platform: str | None) -> Any:
        def run(w: Any, t: Any) -> Any:
            traced.append(platform)
            return jnp.sin(w) * t

        return run

    def loss(t: Any) -> Any:
        return jnp.sum(jax.checkpoint(partial(by_platform, form))(jnp.ones(2), t))

    gradient = jax.jit(jax.grad(loss)).trace(jnp.ones(2))
    assert traced == [None]
    gradient.lower()
    assert traced == [None, "cpu"]


@pytest.mark.skipif(
    not hasattr(jax.typeof(1.0), "manual_axis_type"), reason="not before jax 0.10"
)
def test_what_is_reduced_has_cotangents_that_are_summed_once() -> None:
    mesh = jax.make_mesh((2,), ("rows",), (jax.sharding.AxisType.Auto,))

    def product(a: Any, w: Any) -> Any:
        return by_platform(lambda _: lambda a, w: a @ w, a, w)

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=(P("rows"), P()), out_specs=P())
    def gradient(a: Any, w: Any) -> Any:
        def loss(w: Any) -> Any:
            reduced = jax.lax.pcast(w, "rows", to="reduced")
            return jax.lax.psum(jnp.sum(product(a, reduced) ** 2), "rows")

        return jax.grad(loss)(w)

    a, w = jnp.arange(6.0).reshape(2, 3), jnp.arange(12.0).reshape(3, 4)
    assert_close(gradient(a, w), jax.grad(lambda w: jnp.sum((a @ w) ** 2))(w), 1e-12)


def test_a_form_must_give_what_it_was_said_to() -> None:
    def form(platform: str | None) -> Any:
        return lambda w, t: t * w if platform is None else t[:1] * w

    with pytest.raises(TypeError, match=r"form of cpu must give .*\[2\].*got .*\[1\]"):
        by_platform(form, jnp.ones(()), jnp.ones(2))


def test_a_second_derivative_is_that_of_the_plain_form() -> None:
    slope = jax.grad(lambda w: scaled(w, w * 2.0) @ jnp.ones(3))
    w = jnp.arange(3.0)
    # What is given is differentiated, so that all is JAX's own, of the plain form.
    assert_close(slope(w), 10.0 * (jnp.sin(w) + w * jnp.cos(w)), 1e-12)
    assert_close(scaled(w, w), jnp.sin(w) * w, 1e-12)  # and run eagerly, here


def gradient(params: Any, x: Any) -> Any:
    return jax.grad(lambda p: jnp.mean(lstm_jax.apply(p, x)[0] ** 2))(params)


@pytest.fixture(scope="module")
def sizes() -> Any:
    """Sizes of which a CPU takes the tangent in chunks, and the input in windows."""
    params = jax.eval_shape(
        lambda: lstm_jax.init(jax.random.key(0), 8, 128, dtype=jnp.float32)
    )
    return params, jax.ShapeDtypeStruct((32, 256, 8), jnp.float32)


def test_what_a_cpu_needs_is_lowered_for_a_cpu_alone(sizes: Any) -> None:
    """One loop forward and one backward elsewhere; no chunks, no copy of columns."""
    loops = {
        platform: program(gradient, platform, *sizes).count("stablehlo.while")
        for platform in ("cpu", "cuda", "tpu")
    }
    # Until jax 0.10.1 chunks of the tangent follow the default backend.
    elsewhere = 2 if _compat.transposes_any_scan() else 3
    assert loops == {"cpu": 3, "cuda": elsewhere, "tpu": elsewhere}

    def masked(params: Any, x: Any, lengths: Any, resets: Any) -> Any:
        more: Any = {"lengths": lengths, "resets": resets, "truncate": 16}
        return jax.grad(lambda p: jnp.mean(lstm_jax.apply(p, x, **more)[0]))(params)

    kinds = jax.ShapeDtypeStruct((32,), "int32"), jax.ShapeDtypeStruct((32, 256), bool)
    if _compat.transposes_any_scan():
        assert loops == {  # what a step makes of masks needs no loop of its own
            platform: program(masked, platform, *sizes, *kinds).count("stablehlo.while")
            for platform in loops
        }
    forward = {
        platform: program(lstm_jax.apply, platform, *sizes).count("stablehlo.while")
        for platform in ("cpu", "cuda", "tpu")
    }
    assert forward == {"cpu": 2, "cuda": 1, "tpu": 1}


def test_an_export_for_several_platforms_runs_here(sizes: Any) -> None:
    params, x = jax.tree.map(lambda a: jnp.full(a.shape, 0.01, a.dtype), sizes)
    export = jax.export.export(jax.jit(gradient), platforms=("cpu", "cuda", "tpu"))
    assert_close(export(params, x).call(params, x), gradient(params, x), 1e-6)


def few() -> list[cases.Case]:
    """A few cases that together have every value of every factor."""
    factors = [
        cases.STRUCTURES,
        cases.SHAPES,
        cases.EXTRAS,
        ("default", "window_in_checkpoint", "unroll"),
        cases.BATCHES,
        cases.STATES[1:],
    ]
    number = max(map(len, factors))
    rows = zip(*(islice(cycle(factor), number) for factor in factors), strict=True)
    return [cases.Case(*row) for row in rows]


CASES = few()


@pytest.fixture
def lowered_as(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the CPU run what is lowered for another platform."""

    def lower(platform: str) -> None:
        monkeypatch.setitem(_platforms.LOWERED, "cpu", platform)
        jax.clear_caches()

    yield lower
    monkeypatch.undo()
    jax.clear_caches()


def loss(call: cases.Call, way: Any, point: Any) -> jax.Array:
    params, x, state = point
    out = lstm_jax.apply(params, x, state, **call.options, implementation=way)
    wide = jax.tree.map(lambda a: a.astype(accum_dtype(a.dtype)), out)
    return cases.weighted(wide)


@pytest.mark.parametrize(
    "platform, case",
    [("gpu", case) for case in CASES] + [("tpu", case) for case in CASES[:2]],
    ids=lambda value: value if isinstance(value, str) else value.id,
)
def test_every_form_has_the_same_gradient(
    platform: str, case: cases.Case, lowered_as: Any
) -> None:
    call = cases.draw(case, steps=13)
    of = partial(loss, call, cases.IMPLEMENTATIONS[case.implementation])
    point = call.params, call.x, cases.full_state(call)
    along = cases.jitter(7, jax.tree.map(jnp.zeros_like, point))

    def results(point: Any, along: Any) -> Any:
        tangent = jax.jvp(of, (point,), (along,))[1]
        return of(point), jax.value_and_grad(of)(point), tangent

    expected = jax.jit(results)(point, along)
    text = jax.jit(results).lower(point, along).as_text()
    lowered_as(platform)
    found = jax.jit(results).lower(point, along)
    assert found.as_text() != text
    assert_close(found.compile()(point, along), expected, 1e-11)


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_rows_without_steps_give_nothing(
    platform: str, steps: int, lowered_as: Any
) -> None:
    """Neither their input nor their state reaches a gradient, even where it is NaN."""
    params = lstm_jax.init(jax.random.key(0), 3, 5)
    x = jax.random.normal(jax.random.key(1), (2, steps, 3)).at[0].set(jnp.nan)
    state = lstm_jax.zero_state(params, (2,))
    spoilt = jax.tree.map(lambda a: a.at[0].set(jnp.nan), state)
    lengths = jnp.array([0, steps])

    def slope(x: Any, state: Any, lengths: Any) -> Any:
        def mean(params: Any) -> jax.Array:
            y, _ = lstm_jax.apply(params, x, state, lengths=lengths)
            return jnp.sum(jnp.square(y))

        return jax.grad(mean)(params)

    lowered_as(platform)
    alone = jax.tree.map(lambda a: a[1:], (x, state, lengths))
    assert_close(jax.jit(slope)(x, spoilt, lengths), jax.jit(slope)(*alone), 1e-12)


def test_forms_under_vmap_and_masks(lowered_as: Any) -> None:
    """Mapped parameters, rows and random masks, a mask, a second derivative."""
    regularizer = lstm_jax.Regularizer(
        zoneout_h=0.3, zoneout_c=0.2, recurrent_dropout=0.4
    )
    params = [cases.jitter(k, lstm_jax.init(jax.random.key(k), 3, 5)) for k in (1, 2)]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *params)
    x = jax.random.normal(jax.random.key(3), (2, 4, 7, 3))
    mask = jax.random.bernoulli(jax.random.key(4), 0.7, (2, 4, 7))

    def of_one(params: Any, x: Any, mask: Any) -> jax.Array:
        out = lstm_jax.apply(
            params, x, mask=mask, key=jax.random.key(5), regularizer=regularizer
        )
        return cases.weighted(out)

    def second(params: Any, x: Any, mask: Any) -> Any:
        slope = jax.grad(of_one)
        return jax.jvp(lambda p: slope(p, x, mask), (params,), (params,))

    expected = jax.jit(jax.vmap(second))(stacked, x, mask)
    for platform in ("gpu", "tpu"):
        lowered_as(platform)
        assert_close(jax.jit(jax.vmap(second))(stacked, x, mask), expected, 1e-11)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_a_gpu_saves_16_bits_beside_32(dtype: Any, lowered_as: Any) -> None:
    """Of a cell with a projection h and m are of 16 bits, z and c of 32.

    Programs that differ may round what is float32 differently.
    """
    case = cases.Case("cell", "projection", "lengths", "default", "three", "given")
    call = cases.draw(case, steps=6, dtype=dtype)
    point = call.params, call.x, call.state
    of = partial(loss, call, Scan())

    def results(point: Any) -> Any:
        return of(point), jax.value_and_grad(of)(point)

    lowered_as("tpu")
    expected = jax.jit(results)(point)
    lowered_as("gpu")
    assert_close(jax.jit(results)(point), expected, 1e-6)


def test_a_gpu_has_a_symbolic_length(lowered_as: Any) -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5)
    (steps,) = jax.export.symbolic_shape("T")
    kinds = (
        jax.ShapeDtypeStruct((2, steps, 3), jnp.float64),
        jax.ShapeDtypeStruct((2, steps), bool),
        jax.ShapeDtypeStruct((2,), jnp.int32),
    )

    def slope(x: Any, resets: Any, lengths: Any) -> Any:
        def mean(p: Any) -> jax.Array:
            both = lstm_jax.Reverse(p)
            y, _ = lstm_jax.apply(both, x, resets=resets, lengths=lengths)
            return jnp.mean(jnp.square(y))

        return jax.grad(mean)(params)

    x = jax.random.normal(jax.random.key(1), (2, 7, 3))
    resets = jax.random.bernoulli(jax.random.key(2), 0.4, (2, 7))
    args = x, resets, jnp.int32([4, 7])
    expected = slope(*args)
    lowered_as("gpu")
    found = jax.export.export(jax.jit(slope))(*kinds).call(*args)
    assert_close(found, expected, 1e-12)


def test_what_a_gpu_saves_is_one_array(sizes: Any) -> None:
    """(B, 6H) a step, and the derivatives of the cell inside the loop."""
    whole = r"stablehlo\.tanh .*tensor<256x32x128xf32>"
    for platform in ("cpu", "cuda", "rocm", "tpu"):
        text = program(gradient, platform, *sizes)
        gpu = platform in ("cuda", "rocm")
        assert ("tensor<32x768xf32>" in text) == gpu
        if _compat.transposes_any_scan() and platform != "cpu":
            assert bool(re.search(whole, text)) != gpu


def test_a_tpu_reads_its_input_step_by_step(sizes: Any) -> None:
    """Also under `vmap`, whose axis stands behind T; and no export asks for it."""
    params, x = sizes
    many = jax.vmap(lstm_jax.apply, in_axes=(None, 0))
    mapped = jax.ShapeDtypeStruct((7, *x.shape), x.dtype)
    for f, args in ((lstm_jax.apply, (params, x)), (many, (params, mapped))):
        text = program(f, "tpu", *args)
        (call,) = re.findall(r"@LayoutConstraint.*", text)
        batch = "7x32" if f is many else "32"
        # Outermost is what XLA names last.
        order = ", ".join(map(str, reversed(range(len(args[1].shape)))))
        assert f"result_layouts = [dense<[{order}]>" in call
        assert f"-> tensor<256x{batch}x512xf32>" in call
        for platform in ("cpu", "cuda"):
            assert "LayoutConstraint" not in program(f, platform, *args)
        exported = jax.export.export(jax.jit(f), platforms=("tpu",))(*args)
        assert "LayoutConstraint" not in exported.mlir_module()


def test_precision_is_that_of_the_trace() -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5, dtype=jnp.float32)
    x = jnp.ones((2, 4, 3), jnp.float32)
    with jax.default_matmul_precision("highest"):
        traced = jax.jit(gradient).trace(params, x)
    text = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert text.count("dot_general") == text.count("[HIGHEST, HIGHEST]") > 0
