# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Every mode of differentiation, and the one product for dW_h."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import Loop, Scan
from tests import cases
from tests.cases import Case, full_state, weighted
from tests.compare import assert_close
from tests.jaxprs import equations, products
from tests.plain import plain

BOUND = 1e-9


def losses(case: Case, steps: int = 8) -> tuple[Any, Any, Any]:
    """Two scalar functions of everything differentiable, and where to take them.

    Eight steps of three rows: two windows of the tangent.
    """
    call = cases.draw(case, steps=steps, seed=3)
    fixed = {k: v for k, v in call.options.items() if k != "reset_state"}
    point = call.params, call.x, full_state(call), call.options.get("reset_state")

    def loss(run: Any, point: Any) -> Any:
        params, x, state, reset_state = point
        more = {} if reset_state is None else {"reset_state": reset_state}
        return weighted(run(params, x, state, **fixed, **more))

    implementation = cases.IMPLEMENTATIONS[case.implementation]
    ours = partial(lstm_jax.apply, implementation=implementation)
    return partial(loss, ours), partial(loss, plain), point


def direction(seed: int, point: Any) -> Any:
    zero = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), point)
    return cases.jitter(seed, zero, 1.0)


def jvp(f: Any, point: Any) -> Any:
    return jax.jvp(f, (point,), (direction(1, point),))


def linearize(f: Any, point: Any) -> Any:
    value, push = jax.linearize(f, point)
    return value, push(direction(1, point)), push(direction(2, point))


def forward_over_reverse(f: Any, point: Any) -> Any:
    return jax.jvp(jax.grad(f), (point,), (direction(1, point),))


def reverse_over_forward(f: Any, point: Any) -> Any:
    return jax.grad(lambda p: jax.jvp(f, (p,), (direction(1, point),))[1])(point)


def reverse_over_reverse(f: Any, point: Any) -> Any:
    along = direction(1, point)

    def slope(p: Any) -> Any:
        gradient = jax.grad(f)(p)
        pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(along), strict=True)
        return sum(jnp.vdot(g, d) for g, d in pairs)

    return jax.grad(slope)(point)


def forward_over_forward(f: Any, point: Any) -> Any:
    def slope(p: Any) -> Any:
        return jax.jvp(f, (p,), (direction(1, point),))[1]

    return jax.jvp(slope, (point,), (direction(2, point),))


MODES = [
    jvp,
    linearize,
    forward_over_reverse,
    reverse_over_forward,
    reverse_over_reverse,
    forward_over_forward,
]


PLAIN = Case("cell", "plain", "all", "default", "three", "given")
# Each with its mode by day.
OTHERS = {
    PLAIN._replace(option="everything", state="learned"): reverse_over_reverse,
    PLAIN._replace(option="gate_norm", implementation="window"): forward_over_reverse,
    PLAIN._replace(
        option="projection", implementation="checkpoint", batch="none"
    ): reverse_over_reverse,
    Case(
        "concat", "coupled_activations_b", "truncate", "unroll", "three", "given"
    ): reverse_over_forward,
    Case(
        "reverse", "peephole", "all", "window_in_checkpoint", "three", "given"
    ): forward_over_reverse,
    Case(
        "cell", "split_norm", "lengths_resets", "sqrt", "two_axes", "given"
    ): reverse_over_forward,
    Case(
        "residual", "no_input_no_output_gate", "all", "default", "three", "given"
    ): forward_over_reverse,
    PLAIN._replace(option="activations_a"): forward_over_reverse,
    PLAIN._replace(option="activations_c"): reverse_over_reverse,
    PLAIN._replace(option="clips_activations_d"): forward_over_forward,
    PLAIN._replace(option="no_forget_gate"): reverse_over_forward,
    PLAIN._replace(option="gate_norm_everything"): forward_over_forward,
}
STACKED = Case("stack", "everything", "all", "default", "three", "learned")


def rows() -> list[Any]:
    """The plain cell in every mode and others in one; at night all in every mode."""
    by_day = [(PLAIN, mode) for mode in MODES] + list(OTHERS.items())
    assert {case.option for case, _ in by_day} == set(cases.OPTIONS)
    assert {case.implementation for case, _ in by_day} | {"loop"} == set(
        cases.IMPLEMENTATIONS
    )
    every = itertools.product([*OTHERS, STACKED], MODES)
    at_night = [pair for pair in every if pair not in by_day]
    return [
        pytest.param(case, mode, id=f"{mode.__name__}-{case.id}", marks=marks)
        for pairs, marks in ((by_day, ()), (at_night, pytest.mark.nightly))
        for case, mode in pairs
    ]


@pytest.mark.parametrize("case, mode", rows())
def test_mode(case: Case, mode: Any) -> None:
    ours, oracle, point = losses(case)
    got, expected = (jax.jit(partial(mode, f))(point) for f in (ours, oracle))
    assert_close(got, expected, BOUND, f"{mode.__name__} ")


@pytest.mark.parametrize("option", ["plain", "peephole", "projection", "gate_norm"])
@pytest.mark.parametrize("extra", ["whole", "all"])
def test_one_input(option: str, extra: str, monkeypatch: Any) -> None:
    """A CPU multiplies it by its weights in each step."""
    monkeypatch.setattr(cases, "INPUTS", 1)
    ours, expected, point = losses(PLAIN._replace(option=option, extra=extra))
    got, want = (jax.jit(jax.value_and_grad(f))(point) for f in (ours, expected))
    assert_close(got, want, BOUND)
    assert_close(jax.jit(ours)(point), want[0], BOUND)  # without residuals


@pytest.mark.parametrize("extra", ["all", "lengths"])
def test_hessian(extra: str) -> None:
    """Over all that is differentiable at once: every pair of entries."""
    case = Case("cell", "peephole", extra, "default", "three", "given")
    ours, oracle, point = losses(case, steps=4)
    flat, unravel = jax.flatten_util.ravel_pytree(point)
    got, expected = (
        jax.jit(jax.hessian(lambda v, f=f: f(unravel(v))))(flat) for f in (ours, oracle)
    )
    assert got.shape == (flat.size, flat.size)
    assert_close(got, expected, BOUND, "hessian ")


# All kinds of parameters; "everything" has what there is beside a norm.
@pytest.mark.parametrize(
    "option",
    [option.replace("gate_norm_everything", "gate_norm") for option in cases.SHAPES],
)
def test_each_argument_alone(option: str) -> None:
    """What is not differentiated has no tangent; none is mistaken for another's."""
    case = Case("cell", option, "all", "default", "three", "given")
    call = cases.draw(case, steps=3)
    leaves, shape = jax.tree.flatten((call.params, call.x, call.state))

    def loss(*leaves: Any) -> Any:
        params, x, state = jax.tree.unflatten(shape, leaves)
        return weighted(lstm_jax.apply(params, x, state, **call.options))

    def alone(k: int, along: Any) -> Any:
        one = lambda a: loss(*leaves[:k], a, *leaves[k + 1 :])  # noqa: E731
        return jax.jvp(one, (leaves[k],), (along,))[1]

    @jax.jit
    def slopes(directions: Any) -> Any:
        gradients = jax.grad(loss, range(len(leaves)))(*leaves)
        pairs = list(zip(gradients, directions, strict=True))
        expected = [jnp.vdot(gradient, along) for gradient, along in pairs]
        return [alone(k, along) for k, along in enumerate(directions)], expected

    got, expected = slopes(direction(1, leaves))
    assert_close(got, expected, BOUND)


def a_cell(**options: Any) -> tuple[Any, jax.Array]:
    """Sizes that no two products share."""
    params = lstm_jax.init_cell(jax.random.key(0), 3, 5, **options)
    return cases.jitter(1, params), jnp.ones((2, 7, 3))


def total(params: Any, x: jax.Array, implementation: Any = None) -> jax.Array:
    return jnp.sum(lstm_jax.apply(params, x, implementation=implementation)[0] ** 2)


@pytest.mark.parametrize("option", cases.SHAPES)
def test_one_product_for_the_recurrent_weights(option: str) -> None:
    params, x = a_cell(**cases.OPTIONS[option])
    gradient = jax.grad(total)
    assert products(gradient, params.w_h.shape, params, x) == [0]
    if params.projection is not None:
        assert products(gradient, params.projection.shape, params, x) == [0]
    # The check can fail: JAX's own derivative takes a product at every step.
    plainly = partial(gradient, implementation=Loop())
    assert len(products(plainly, params.w_h.shape, params, x)) == 7


@pytest.mark.parametrize("option", ["plain", "everything"])
def test_one_product_where_the_tangent_goes_by_windows(option: str) -> None:
    """It stands in the scan over windows, once, however many they are."""
    params, _ = a_cell(**cases.OPTIONS[option])
    x = jnp.ones((2, 24, 3))
    assert products(jax.grad(total), params.w_h.shape, params, x) == [1]
    prime = jnp.ones((2, 23, 3))
    assert products(jax.grad(total), params.w_h.shape, params, prime) == [0]


@pytest.mark.parametrize("implementation", [Scan(), Scan(window=2), Scan(checkpoint=3)])
def test_no_product_for_frozen_weights(implementation: Scan) -> None:
    params, x = a_cell(projection_size=4)
    run = partial(total, implementation=implementation)

    def of(name: str, value: Any, x: jax.Array) -> jax.Array:
        return run(params.replace(**{name: value}), x)

    def count(name: str, product: str) -> int:
        shape = getattr(params, product).shape
        return len(
            products(jax.grad(partial(of, name)), shape, getattr(params, name), x)
        )

    assert count("w_x", "w_h") == count("b", "w_h") == count("projection", "w_h") == 0
    assert count("w_h", "w_x") == count("w_h", "projection") == 0
    assert count("w_h", "w_h") >= 1 <= count("w_x", "w_x")


def test_second_order_takes_no_product_for_frozen_weights() -> None:
    params, x = a_cell()

    def bend(b: jax.Array) -> Any:
        run = lambda b: total(params.replace(b=b), x)  # noqa: E731
        return jax.jvp(jax.grad(run), (b,), (jnp.ones_like(b),))

    assert not products(bend, params.w_h.shape, params.b)
    assert not products(bend, params.w_x.shape, params.b)


def test_input_gradient_is_not_computed_unless_asked() -> None:
    params, x = a_cell()
    rows = {(2, 7, 3), (7, 2, 3), (3, 7, 2), (3, 2, 7)}

    def towards_x(argnums: Any) -> int:
        traced = jax.make_jaxpr(jax.grad(total, argnums))(params, x)
        return sum(
            e.primitive.name == "dot_general"
            and getattr(e.outvars[0].aval, "shape", ()) in rows
            for e, _ in equations(traced)
        )

    assert towards_x(0) == 0
    assert towards_x((0, 1)) == 1


def test_products_are_taken_once_a_segment_under_checkpointing() -> None:
    params, x = a_cell()
    gradient = partial(jax.grad(total), implementation=Scan(checkpoint=7))
    assert products(gradient, params.w_h.shape, params, x) == [0]
    gradient = partial(jax.grad(total), implementation=Scan(checkpoint=1))
    assert products(gradient, params.w_h.shape, params, x) == [1]
