# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Values, final states and gradients of apply against two independent oracles."""

from functools import partial
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
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


@partial(jax.jit, static_argnames="truncate")
@partial(jax.grad, argnums=(0, 1, 2, 3))
def oracle(
    params: Any, x: Any, state: Any, reset_state: Any, truncate: Any, given: Any
) -> jax.Array:
    """Compiled once for a case in float64 and float32: its arrays are widened."""
    if reset_state is not None:
        given = {**given, "reset_state": reset_state}
    return weighted(plain(params, x, state, truncate=truncate, **given))


def _is_floating(a: Any) -> bool:
    return hasattr(a, "dtype") and bool(jnp.issubdtype(a.dtype, jnp.floating))


def check(call: Call, implementation: Any, bound: float) -> None:
    """Values against the NumPy loop, gradients against the plain scan."""
    run = partial(lstm_jax.apply, implementation=implementation)
    out, gradients = differentiated(run, call)
    wide = jax.tree.map(lambda a: a.astype(jnp.float64) if _is_floating(a) else a, call)
    values = {k: v for k, v in wide.options.items() if k != "truncate"}
    value = reference(wide.params, wide.x, wide.state, **values)
    assert_close(out, value, bound, "value ")
    expected = oracle(
        wide.params,
        wide.x,
        full_state(wide),
        values.pop("reset_state", None),
        truncate=wide.options.get("truncate"),
        given=values,
    )
    assert_close(gradients, expected, bound, "gradient ")


BOUNDS: dict[Any, float] = {jnp.float64: FLOAT64, jnp.float32: FLOAT32}
# A norm may divide by a small deviation, and so magnifies what is rounded.
IN_FLOAT32 = [c for c in cases.CASES[::3] if "norm" not in cases.OPTIONS[c.option]]


@pytest.mark.no_cover
@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.id)
def test_table(case: Case) -> None:
    """A third of it in float32 too; norms are compared in test_precision."""
    for dtype in BOUNDS if case in IN_FLOAT32 else [jnp.float64]:
        call = cases.draw(case, dtype=dtype)
        check(call, cases.IMPLEMENTATIONS[case.implementation], BOUNDS[dtype])


@hypothesis.settings(max_examples=8)
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
        ("concat", "peephole", "window_in_checkpoint"),
        ("reverse", "projection", "sqrt"),
        ("nested", "coupled_activations_b", "unroll"),
        ("cell", "gate_norm", "checkpoint"),
        ("residual", "clips_activations_d", "window"),
    )
]


@pytest.mark.no_cover
@pytest.mark.parametrize("case", LONG, ids=lambda case: case.id)
def test_a_hundred_steps(case: Case) -> None:
    for dtype, bound in BOUNDS.items():
        call = cases.draw(case, steps=100, dtype=dtype)
        check(call, cases.IMPLEMENTATIONS[case.implementation], bound)
