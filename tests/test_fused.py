# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Fused in Pallas' interpret mode: everything that Scan is."""

from functools import partial
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import Fused, Scan, variants
from lstm_jax.implementations import fused_kernel
from tests import cases
from tests.cases import Case, weighted
from tests.compare import assert_close
from tests.jaxprs import equations
from tests.test_apply import differentiated

FUSED = Fused(interpret=True)
# A norm may divide by a small deviation, and so magnifies what is rounded.
NORMED = {name for name, options in cases.OPTIONS.items() if "norm" in options}


def run(call: cases.Call, implementation: Any) -> Any:
    apply = partial(lstm_jax.apply, implementation=implementation)
    return differentiated(apply, call)


CASES = [
    Case("cell", "plain", "all", "default", "three", "given"),
    Case("cell", "everything", "all", "default", "three", "learned"),
    Case("concat", "projection", "lengths", "default", "none", "zeros"),
    Case("reverse", "gate_norm_everything", "resets", "default", "two_axes", "given"),
    Case("residual", "peephole", "lengths_resets", "default", "three", "given"),
    Case("stack", "no_input_no_output_gate", "truncate", "default", "three", "given"),
    Case("cell", "coupled_activations_b", "whole", "default", "two_axes", "learned"),
]


def check(case: Case, fused: Fused = FUSED, steps: int = 5, seed: int = 0) -> None:
    call = cases.draw(case, steps, seed, jnp.float32)
    got, expected = (run(call, w) for w in (fused, Scan()))
    assert_close(got[0], expected[0], 1e-6, "value ")
    assert_close(got[1], expected[1], 5e-6, "gradient ")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_it_is_scan(case: Case) -> None:
    check(case)


@hypothesis.settings(max_examples=4)
@hypothesis.given(
    option=st.sampled_from(sorted(set(cases.OPTIONS) - NORMED)),
    structure=st.sampled_from(["cell", "reverse", "concat"]),
    extra=st.sampled_from(sorted(cases.EXTRAS)),
    batch=st.sampled_from(sorted(cases.BATCHES)),
    steps=st.integers(1, 6),
    block=st.sampled_from([None, 1, 2]),
)
def test_any_combination(
    option: str, structure: str, extra: str, batch: str, steps: int, block: Any
) -> None:
    case = Case(structure, option, extra, "default", batch, "given")
    check(case, Fused(interpret=True, block=block), steps)


def test_tiles_of_rows_and_blocks_that_are_not_full() -> None:
    params = lstm_jax.init_cell(jax.random.key(0), 3, 5, dtype=jnp.float32)
    params = cases.jitter(1, params)
    x = jax.random.normal(jax.random.key(1), (37, 5, 3), jnp.float32)
    lengths = jnp.arange(37) % 6

    def loss(params: Any, x: Any, implementation: Any) -> Any:
        run = partial(lstm_jax.apply, implementation=implementation)
        return weighted(run(params, x, lengths=lengths)) / 37

    tiled = Fused(interpret=True, rows=16, block=2)
    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    got, expected = (gradient(params, x, w) for w in (tiled, Scan()))
    assert_close(got, expected, 5e-6)


def test_a_broken_kernel_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    load = fused_kernel._load

    def broken(value: Any, like: Any) -> Any:
        return load(value, like) if like.dtype == bool else load(value, like) + 1e-3

    monkeypatch.setattr(fused_kernel, "_load", broken)
    with pytest.raises(AssertionError, match="value"):
        check(CASES[0], Fused(interpret=True, block=3))  # of which no program is kept


def test_a_gradient_has_two_kernels() -> None:
    call = cases.draw(CASES[0], dtype=jnp.float32)

    def loss(params: Any) -> Any:
        apply = partial(lstm_jax.apply, implementation=FUSED)
        return weighted(apply(params, call.x, call.state, **call.options))

    traced = jax.make_jaxpr(jax.grad(loss))(call.params)
    names = [e.primitive.name for e, _ in equations(traced)]
    assert names.count("pallas_call") == 2


@pytest.mark.parametrize("seed", [0, 1])
def test_fresh_memory_and_the_order_of_tiles_change_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a simulation of a TPU, whose memory is NaN and whose tiles come in any order.

    It needs effects, which no derivative rule may have: a callback hides them.
    """
    from jax.experimental import pallas
    from jax.experimental.pallas import tpu

    real, called = pallas.pallas_call, set()

    def simulated(kernel: Any, *, interpret: bool, **more: Any) -> Any:
        how = tpu.InterpretParams(uninitialized_memory="nan", random_seed=seed)
        run = jax.jit(real(kernel, interpret=how, **more))

        def on_another_device(*args: Any) -> Any:
            called.add(more["name"])
            with jax.default_device(jax.devices()[1]):
                return jax.tree.map(np.asarray, run(*map(np.asarray, args)))

        return partial(jax.pure_callback, on_another_device, more["out_shape"])

    monkeypatch.setattr(pallas, "pallas_call", simulated)
    options: Any = {"peephole": True, "dtype": jnp.float32}
    params = cases.initial(lstm_jax.init_cell, 0, 3, 5, **options)
    x = jax.random.normal(jax.random.key(1), (5, 37, 3), jnp.float32)
    given: Any = {"lengths": jnp.arange(37) % 6, "time_major": True}

    @partial(jax.jit, static_argnums=2)
    @partial(jax.value_and_grad, argnums=(0, 1))
    def gradient(params: Any, x: Any, implementation: Any) -> jax.Array:
        return weighted(
            lstm_jax.apply(params, x, implementation=implementation, **given)
        )

    arguments = cases.jitter(1, params), x
    jax.clear_caches()
    got = gradient(*arguments, Fused(interpret=True, rows=16, block=2))
    assert called == {"lstm_scan", "lstm_scan_backward"}
    assert_close(got, gradient(*arguments, Scan()), 5e-6)
    jax.clear_caches()  # no other test runs what was made here


def test_every_cell_and_any_step() -> None:
    x = jax.random.normal(jax.random.key(1), (6, 3, 4), jnp.float32)
    lengths = jnp.array([6, 0, 4])
    for kind in (variants.GRUParams, variants.LSTM1997Params):
        made = cases.initial(kind.init, 0, 4, 5, dtype=jnp.float32)
        params = cases.jitter(1, made)

        def loss(params: Any, implementation: Any) -> Any:
            run = partial(lstm_jax.apply, time_major=True, lengths=lengths)
            return weighted(run(params, x, implementation=implementation))

        def of_steps(params: Any, implementation: Any) -> Any:
            step = lambda p, state, x: p.step(state, x)  # noqa: E731
            run = partial(lstm_jax.unroll, step, lengths=lengths, reverse=True)
            state = params.zero_state((3,), jnp.float32)
            return weighted(run(params, state, x, implementation=implementation))

        for f in (loss, of_steps):
            gradient = jax.jit(jax.grad(f), static_argnums=1)
            got, expected = (gradient(params, w) for w in (FUSED, Scan()))
            assert_close(got, expected, 5e-6)


def test_other_derivatives_are_those_of_scan() -> None:
    params = lstm_jax.init_cell(jax.random.key(0), 3, 4, dtype=jnp.float32)
    x = jax.random.normal(jax.random.key(1), (2, 5, 3), jnp.float32)

    def loss(params: Any, x: Any, implementation: Any) -> Any:
        return weighted(lstm_jax.apply(params, x, implementation=implementation))

    @partial(jax.jit, static_argnums=0)
    def derivatives(implementation: Any) -> Any:
        f = partial(loss, implementation=implementation)
        along = jax.tree.map(jnp.ones_like, params)
        gradient = lambda p: jax.grad(f)(p, x)  # noqa: E731
        rows = jax.vmap(jax.grad(f), (None, 0))(params, x)
        return (
            jax.jvp(lambda p: f(p, x), (params,), (along,)),
            jax.jvp(gradient, (params,), (along,)),
            rows,
        )

    assert_close(derivatives(FUSED), derivatives(Scan()), 2e-5)


def test_linear_maps_under_vmap_are_those_of_scan() -> None:
    """Mapped tangents of x become more rows; those of weights do not."""
    made = lstm_jax.init_cell(jax.random.key(0), 2, 3, peephole=True, dtype=jnp.float32)
    params = cases.jitter(1, made)
    x = jax.random.normal(jax.random.key(1), (2, 3, 2), jnp.float32)
    two = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), params)
    four = jax.tree.map(lambda a: jnp.stack([a, 3 * a]), two)

    @partial(jax.jit, static_argnums=0)
    def derivatives(implementation: Any) -> Any:
        def y(params: Any, x: Any) -> jax.Array:
            return lstm_jax.apply(params, x, implementation=implementation)[0]

        along = jax.linearize(lambda p: y(p, x), params)[1]
        back = jax.grad(lambda tangents: weighted(jax.vmap(along)(tangents)))
        return jax.jacfwd(y, 1)(params, x), back(two), jax.vmap(jax.vmap(along))(four)

    assert_close(derivatives(FUSED), derivatives(Scan()), 5e-6)


@pytest.mark.parametrize("steps", [0, 1])
def test_no_step_and_one(steps: int) -> None:
    call = cases.draw(CASES[0], steps=steps, dtype=jnp.float32)
    got, expected = (run(call, w) for w in (FUSED, Scan()))
    assert_close(got, expected, 5e-6)


def test_a_regularizer() -> None:
    """Its key enters the plan of the kernels, which is made where VMEM is limited."""
    regularizer = lstm_jax.Regularizer(
        input_dropout=0.3, recurrent_dropout=0.2, zoneout_h=0.1, zoneout_c=0.2
    )
    call = cases.draw(CASES[0], dtype=jnp.float32)
    given = {"regularizer": regularizer, "key": jax.random.key(3)}
    call.options.update(given)
    limited = Fused(interpret=True, vmem=2**27)
    got, expected = (run(call, w) for w in (limited, Scan()))
    assert_close(got, expected, 5e-6)


def test_it_refuses_with_all_reasons() -> None:
    params = lstm_jax.init_cell(jax.random.key(0), 3, 4, dtype=jnp.float32)
    with pytest.raises(NotImplementedError, match=r"Fused.*TPU.*interpret"):
        lstm_jax.apply(params, jnp.ones((2, 5, 3), jnp.float32), implementation=Fused())


def test_what_does_not_fit_is_refused_with_its_bytes() -> None:
    params = lstm_jax.init_cell(jax.random.key(0), 64, 256, dtype=jnp.float32)
    x = jnp.ones((2, 5, 64), jnp.float32)
    small = Fused(interpret=True, vmem=2**20)
    with pytest.raises(
        NotImplementedError, match=r"needs \d+\.\d MiB of VMEM.* of 1 MiB"
    ):
        lstm_jax.apply(params, x, implementation=small)
    fits = Fused(interpret=True, vmem=2**23)
    assert lstm_jax.explain(params, x, implementation=fits).implementation == fits


def test_knobs_are_checked() -> None:
    params = lstm_jax.init_cell(jax.random.key(0), 3, 4, dtype=jnp.float32)
    fused = Fused(block=0, rows=5, vmem=-1)
    with pytest.raises(ValueError, match=r"Fused\.block must be a positive number"):
        lstm_jax.apply(params, jnp.ones((2, 3)), implementation=fused)
