# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The form of a program is that of the platform it is lowered for, not of the host."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import lstm_jax
from lstm_jax import Scan, _compat, _recurrence, _residuals
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
    forward = {
        platform: program(lstm_jax.apply, platform, *sizes).count("stablehlo.while")
        for platform in ("cpu", "cuda", "tpu")
    }
    assert forward == {"cpu": 2, "cuda": 1, "tpu": 1}


def test_an_export_for_several_platforms_runs_here(sizes: Any) -> None:
    params, x = jax.tree.map(lambda a: jnp.full(a.shape, 0.01, a.dtype), sizes)
    export = jax.export.export(jax.jit(gradient), platforms=("cpu", "cuda", "tpu"))
    assert_close(export(params, x).call(params, x), gradient(params, x), 1e-6)


@pytest.fixture
def lowered_as(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the CPU run the form of another platform."""

    def lower(platform: str | None) -> None:
        def other(form: Any, given: Any, tangents: Any = ()) -> Any:
            return by_platform(lambda _: form(platform), given, tangents)

        monkeypatch.setattr(_recurrence, "by_platform", other)
        monkeypatch.setattr(_residuals, "by_platform", other)
        jax.clear_caches()

    return lower


@pytest.mark.parametrize("platform", [None, "gpu"])
@pytest.mark.parametrize(
    "structure, option, extra, steps",
    [
        ("cell", "plain", "all", 24),
        ("nested", "everything", "all", 7),
        ("reverse", "projection", "lengths", 6),
        ("nested", "plain", "resets", 1),
        ("cell", "plain", "whole", 0),
    ],
)
def test_every_form_has_the_same_gradient(
    platform: str | None,
    structure: str,
    option: str,
    extra: str,
    steps: int,
    lowered_as: Any,
) -> None:
    case = cases.Case(structure, option, extra, "default", "three", "given")
    call = cases.draw(case, steps=steps)

    def loss(point: Any) -> Any:
        out = lstm_jax.apply(*point, **call.options, implementation=Scan())
        return cases.weighted(out)

    point = call.params, call.x, call.state
    found = jax.jit(jax.value_and_grad(loss))(point)
    lowered_as(platform)
    assert_close(jax.jit(jax.value_and_grad(loss))(point), found, 1e-11)


def test_the_form_of_a_gpu_in_16_bits(lowered_as: Any) -> None:
    """The state is float32, h and what is saved are not; each dtype by itself."""
    case = cases.Case("cell", "projection", "all", "default", "three", "given")
    call = cases.draw(case, steps=6, dtype=jnp.bfloat16)

    def loss(point: Any) -> Any:
        y, _ = lstm_jax.apply(*point, **call.options, implementation=Scan())
        return jnp.mean(jnp.square(y.astype(jnp.float32))), y

    def run() -> Any:
        point = call.params, call.x, call.state
        return jax.jit(jax.value_and_grad(loss, has_aux=True))(point)

    lowered_as(None)
    (_, expected), slope = run()
    lowered_as("gpu")
    (_, y), found = run()
    assert (y == expected).all()
    assert_close(found, slope, 1e-2)


def test_the_form_of_a_gpu_has_a_symbolic_length() -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5, dtype=jnp.float32)
    (steps,) = jax.export.symbolic_shape("T")
    kinds = (
        jax.ShapeDtypeStruct((2, steps, 3), jnp.float32),
        jax.ShapeDtypeStruct((2, steps), bool),
    )

    def slope(x: Any, resets: Any) -> Any:
        def loss(p: Any) -> Any:
            return jnp.mean(lstm_jax.apply(p, x, resets=resets)[0] ** 2)

        return jax.grad(loss)(params)

    export = jax.export.export(jax.jit(slope), platforms=("cpu", "cuda", "tpu"))
    x, resets = jnp.ones((2, 7, 3), jnp.float32), jnp.zeros((2, 7), bool)
    assert_close(export(*kinds).call(x, resets), slope(x, resets), 1e-6)


def test_precision_is_that_of_the_trace() -> None:
    params = lstm_jax.init(jax.random.key(0), 3, 5, dtype=jnp.float32)
    x = jnp.ones((2, 4, 3), jnp.float32)
    with jax.default_matmul_precision("highest"):
        traced = jax.jit(gradient).trace(params, x)
    text = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert text.count("dot_general") == text.count("[HIGHEST, HIGHEST]") > 0
