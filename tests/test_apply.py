# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Values, final states and gradients of apply against two independent oracles."""

from functools import partial
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax.testing import reference
from tests import cases
from tests.cases import Call, Case, full_state, weighted
from tests.compare import FLOAT32, FLOAT64, assert_close
from tests.plain import plain


def differentiated(run: Any, call: Call) -> Any:
    """Output, final state and gradients of params, x, state and reset_state."""
    reset_state = call.options.get("reset_state")
    rest = {k: v for k, v in call.options.items() if k != "reset_state"}

    def loss(params: Any, x: Any, state: Any, reset_state: Any) -> Any:
        given = rest if reset_state is None else {**rest, "reset_state": reset_state}
        out = run(params, x, state, **given)
        return weighted(out), out

    gradient = jax.jit(jax.grad(loss, (0, 1, 2, 3), has_aux=True))
    gradients, out = gradient(call.params, call.x, full_state(call), reset_state)
    return out, gradients


def gradient(run: Any, compiled: bool = True) -> Any:
    """Call -> gradients of params, x, state and reset_state; compiled once a shape."""

    @partial(jax.grad, argnums=(0, 1, 2, 3))
    def gradients(
        params: Any, x: Any, state: Any, reset_state: Any, truncate: Any, given: Any
    ) -> jax.Array:
        if reset_state is not None:
            given = {**given, "reset_state": reset_state}
        return weighted(run(params, x, state, truncate=truncate, **given))

    if compiled:
        gradients = jax.jit(gradients, static_argnames="truncate")

    def of(call: Call) -> Any:
        given = dict(call.options)
        reset_state, truncate = (
            given.pop(k, None) for k in ("reset_state", "truncate")
        )
        return gradients(
            call.params,
            call.x,
            full_state(call),
            reset_state,
            truncate=truncate,
            given=given,
        )

    return of


# Not compiled as a whole: cases share the programs of their layers.
oracle = gradient(plain, compiled=False)


def widened(call: Call) -> Call:
    """The same numbers in float64."""

    def wide(a: Any) -> Any:
        floating = hasattr(a, "dtype") and jnp.issubdtype(a.dtype, jnp.floating)
        return jax.device_put(np.asarray(a, np.float64)) if floating else a

    return jax.tree.map(wide, call)


def check(call: Call, implementation: Any, bound: float) -> None:
    """Values against the NumPy loop, gradients against the plain scan."""
    run = partial(lstm_jax.apply, implementation=implementation)
    out, gradients = differentiated(run, call)
    wide = widened(call)
    values = {k: v for k, v in wide.options.items() if k != "truncate"}
    value = reference(wide.params, wide.x, wide.state, **values)
    assert_close(out, value, bound, "value ")
    assert_close(gradients, oracle(wide), bound, "gradient ")


BOUNDS: dict[Any, float] = {jnp.float64: FLOAT64, jnp.float32: FLOAT32}
# A norm may divide by a small deviation, and so magnifies what is rounded.
WITHOUT_NORM = [c for c in cases.CASES if "norm" not in cases.OPTIONS[c.option]]
IN_FLOAT32 = [
    next(case for case in WITHOUT_NORM if case.implementation == way)
    for way in cases.WAYS
]


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.id)
def test_table(case: Case) -> None:
    """In float32 a case of each way; all options, and norms, are in test_precision."""
    steps = 3 if case.implementation == "loop" else 5  # its program grows with T
    for dtype in BOUNDS if case in IN_FLOAT32 else [jnp.float64]:
        call = cases.draw(case, steps, dtype=dtype)
        check(call, cases.IMPLEMENTATIONS[case.implementation], BOUNDS[dtype])


@hypothesis.settings(max_examples=4)
@hypothesis.given(
    case=st.builds(
        Case,
        *(
            st.sampled_from(sorted(names))
            for names in (
                cases.STRUCTURES,
                cases.OPTIONS,
                cases.EXTRAS,
                cases.IMPLEMENTATIONS,
                cases.BATCHES,
                cases.STATES,
            )
        ),
    ),
    steps=st.integers(0, 6),
    seed=st.integers(1, 1000),
)
def test_any_combination(case: Case, steps: int, seed: int) -> None:
    call = cases.draw(case, steps=steps, seed=seed)
    check(call, cases.IMPLEMENTATIONS[case.implementation], FLOAT64)


LONG = [
    Case(structure, option, "all", implementation, "three", "given")
    for structure, option, implementation in (
        ("stack", "plain", "default"),
        ("cell", "peephole", "window_in_checkpoint"),
        ("reverse", "coupled_activations_b", "unroll"),
        ("cell", "gate_norm", "checkpoint"),
    )
]


@pytest.mark.parametrize("case", LONG, ids=lambda case: case.id)
def test_a_hundred_steps(case: Case) -> None:
    for dtype, bound in BOUNDS.items():
        call = cases.draw(case, steps=100, dtype=dtype)
        check(call, cases.IMPLEMENTATIONS[case.implementation], bound)
