# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Losses and metrics against loops over rows that never see the padding."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from lstm_jax.training import (
    Mean,
    accuracy,
    masked_mean,
    sequence_mask,
    sigmoid_binary_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
    squared_error,
    zero_padding,
)
from tests.compare import FLOAT64, assert_close

T, F = 5, 3
LENGTHS = np.array([[0, 5], [1, 3], [4, 0]])  # two batch axes
WEIGHTS = np.random.default_rng(7).uniform(0.5, 2.0, (*LENGTHS.shape, T))

Row = Callable[[np.ndarray, Any], tuple[float, np.ndarray]]


def softmax_row(z: np.ndarray, label: int) -> tuple[float, np.ndarray]:
    """The loss of one step and its gradient."""
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    return -np.log(p[label]), p - np.eye(F)[label]


def binary_row(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    p = 1 / (1 + np.exp(-z))
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(), p - y


def squared_row(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    return ((z - y) ** 2).sum(), 2 * (z - y)


def accuracy_row(z: np.ndarray, label: int) -> tuple[float, np.ndarray]:
    return float(z[label] == z.max()), np.zeros(F)


ROWS: dict[Callable[..., Mean], Row] = {
    softmax_cross_entropy_with_integer_labels: softmax_row,
    sigmoid_binary_cross_entropy: binary_row,
    squared_error: squared_row,
    accuracy: accuracy_row,
}
CLASSES = (softmax_cross_entropy_with_integer_labels, accuracy)


def example(loss: Any) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and targets, the padding full of what must not matter."""
    rng = np.random.default_rng(1)
    z = 2 * rng.normal(size=(*LENGTHS.shape, T, F))
    y = rng.integers(0, F, (*LENGTHS.shape, T))
    padding = np.arange(T) >= LENGTHS[..., None]
    z[padding] = rng.choice([np.nan, np.inf, -np.inf], (padding.sum(), F))
    if loss in CLASSES:
        y[padding] = rng.choice([-1, -100, 10**6], padding.sum())
        return z, y
    y = (y[..., None] == np.arange(F)) * 0.75
    y[padding] = np.nan
    return z, y


def expected(row: Row, z: np.ndarray, y: np.ndarray, weights: Any = None) -> Any:
    """Total, count, and the gradient of their quotient."""
    total = count = 0.0
    gradient = np.zeros(z.shape)
    for b in np.ndindex(LENGTHS.shape):
        for t in range(LENGTHS[b]):
            weight = 1.0 if weights is None else weights[(*b, t)]
            value, slope = row(z[(*b, t)], y[(*b, t)])
            total, count = total + weight * value, count + weight
            gradient[(*b, t)] = weight * slope
    return total, count, gradient / count


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ROWS, ids=lambda loss: loss.__name__)
def test_values_and_gradients(loss: Any, weighted: bool) -> None:
    z, y = example(loss)
    weights = np.where(np.isnan(z).any(-1), np.nan, WEIGHTS) if weighted else None

    def value(z: Any, y: Any, weights: Any, lengths: Any, **how: Any) -> Any:
        mean = loss(z, y, lengths, weights=weights, **how)
        return mean.value, mean

    run = jax.jit(jax.value_and_grad(value, has_aux=True), static_argnames="time_major")
    (mean, parts), gradient = run(z, y, weights, LENGTHS)
    total, count, slope = expected(ROWS[loss], z, y, weights)
    assert_close((parts.total, parts.count), (total, count), FLOAT64)
    assert_close(mean, total / count, FLOAT64)
    assert_close(parts.bits, total / count / np.log(2), FLOAT64)
    assert_close(gradient, slope, FLOAT64)

    turned = jax.tree.map(
        partial(np.moveaxis, source=2, destination=0), (z, y, weights)
    )
    (again, _), gradient = run(*turned, LENGTHS, time_major=True)
    assert_close(again, mean, FLOAT64)
    assert_close(np.moveaxis(gradient, 0, 2), slope, FLOAT64)


@pytest.mark.parametrize("loss", ROWS, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("rows, steps", [(2, 3), (2, 0), (0, 3)])
def test_a_batch_without_a_step(loss: Any, rows: int, steps: int) -> None:
    """0, and a gradient of 0, not NaN."""
    z = jnp.full((rows, steps, F), jnp.nan)
    y = jnp.zeros((rows, steps), int) if loss in CLASSES else z
    lengths = jnp.zeros(rows, int)
    run = jax.jit(jax.value_and_grad(lambda z: loss(z, y, lengths).value))
    value, gradient = run(z)
    assert value == 0
    assert_close(gradient, jnp.zeros(z.shape), FLOAT64)


def test_without_lengths_all_steps_are_valid() -> None:
    """One batch, a single sequence, a single step: Optax's own means."""
    z, y = np.random.default_rng(2).normal(size=(2, 4, T, F))
    for a, b in ((z, y), (z[0], y[0]), (z[0, 0], y[0, 0])):
        loss = optax.losses.squared_error(jnp.asarray(a), jnp.asarray(b)).sum(-1).mean()
        assert_close(squared_error(a, b).value, loss, FLOAT64)


def test_a_step_of_weight_0_is_left_out() -> None:
    """A label for "none" is a weight; so is a mask that lengths cannot say."""
    z = np.random.default_rng(3).normal(size=(2, T, F))
    z[0, 1] = np.nan
    y = np.array([[0, -1, 2, 1, 0], [1, 1, -1, -1, 2]])

    def value_of(z: Any) -> Any:
        loss = softmax_cross_entropy_with_integer_labels(z, y, weights=y >= 0)
        return loss.value

    value, gradient = map(np.asarray, jax.jit(jax.value_and_grad(value_of))(z))
    steps = [softmax_row(z[b, t], y[b, t]) for b, t in np.argwhere(y >= 0)]
    assert_close(value, np.mean([value for value, _ in steps]), FLOAT64)
    assert_close(gradient[y >= 0], np.array([g for _, g in steps]) / 7, FLOAT64)
    assert not gradient[y < 0].any()


def test_the_derivative_along_the_weights() -> None:
    values, weights = np.random.default_rng(4).uniform(1, 2, (2, *LENGTHS.shape, T))
    values[np.arange(T) >= LENGTHS[..., None]] = np.inf

    def mean(weights: Any) -> Any:
        return masked_mean(values, LENGTHS, weights=weights).value

    valid = np.asarray(sequence_mask(LENGTHS, T))
    count, average = weights[valid].sum(), mean(weights)
    slope = np.where(valid, values, average) - average
    assert_close(jax.jit(jax.grad(mean))(weights), slope / count, FLOAT64)


def test_a_loss_of_ones_own() -> None:
    """What `zero_padding` passes on has neither values nor gradients of the padding."""
    z, _ = example(squared_error)
    z = np.where(np.isinf(z), np.nan, z)

    def own(z: Any, clean: bool) -> Any:
        a, extra = zero_padding((z, {"z": z}), LENGTHS) if clean else (z, {"z": z})
        return masked_mean((jnp.sinh(a) * extra["z"]).sum(-1), LENGTHS).value

    def row(z: np.ndarray, _: Any) -> Any:
        return (np.sinh(z) * z).sum(), np.cosh(z) * z + np.sinh(z)

    total, count, slope = expected(row, z, z)
    run = jax.jit(jax.value_and_grad(own), static_argnums=1)
    value, gradient = run(z, True)
    assert_close((value, gradient), (total / count, slope), FLOAT64)
    assert np.isnan(run(z, False)[1]).any()  # why it is there


def test_windows_add_up() -> None:
    """Over windows of time in a scan, the last one shorter: the mean over the whole."""
    z, y = example(squared_error)
    z, y = (np.moveaxis(a, 2, 0) for a in (z, y))
    z, y = (np.concatenate([a, a[:1]]).reshape(3, 2, *a.shape[1:]) for a in (z, y))

    def windowed(z: Any) -> Any:
        def window(sofar: Mean, inputs: Any) -> tuple[Mean, Mean]:
            start, z, y = inputs
            mean = squared_error(z, y, LENGTHS - start, time_major=True)
            return sofar + mean, mean

        start = jnp.arange(0, 6, 2)
        sofar, means = jax.lax.scan(window, Mean(), (start, z, jnp.asarray(y)))
        return sofar.value, jax.tree.map(jnp.sum, means)

    run = jax.jit(jax.value_and_grad(windowed, has_aux=True))
    (value, means), gradient = run(jnp.asarray(z))
    total, count, slope = expected(squared_row, *example(squared_error))
    assert_close((value, means.value), (total / count,) * 2, FLOAT64)
    gradient = np.moveaxis(gradient.reshape(6, *LENGTHS.shape, F)[:5], 0, 2)
    assert_close(gradient, slope, FLOAT64)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_devices_add_up(kind: AxisType) -> None:
    """Each device has other numbers of steps; one has none."""
    mesh = jax.make_mesh((3,), ("data",), (kind,), devices=jax.devices()[:3])
    lengths = np.array([0, 5, 2])
    z, y = np.random.default_rng(5).normal(size=(2, 3, T, F))
    z[2, 2:] = np.nan

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=P("data"), out_specs=P())
    def mean(z: Any, y: Any, lengths: Any) -> Any:
        return jax.lax.psum(squared_error(z, y, lengths), "data")

    whole = squared_error(z, y, lengths)
    split = jax.device_put((z, y, lengths), NamedSharding(mesh, P("data")))
    assert_close(mean(*split), whole, FLOAT64)
    assert_close(jax.jit(squared_error)(*split), whole, FLOAT64)


def test_batches_add_up() -> None:
    means = [masked_mean(np.ones((2, n)) * n, np.array([n, 0])) for n in (1, 4, 0, 2)]
    assert_close(sum(means, Mean()).value, 3.0, FLOAT64)
    assert Mean().value == 0


def test_the_value_of_no_steps_has_no_slope() -> None:
    """Whatever the total depends on; with steps it is one over their number."""
    slope = jax.jit(jax.grad(lambda total, count: Mean(total, count).value))
    assert slope(3.0, 0.0) == 0
    assert slope(3.0, 4.0) == 0.25


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_sums_have_32_bits_at_least(dtype: Any) -> None:
    """300 steps of 1 are 300, which bfloat16 has not; and the loss is in 32 bits."""
    z = jnp.asarray(np.random.default_rng(6).normal(size=(300, F)), dtype)
    y = np.arange(300) % F
    loss = jax.jit(softmax_cross_entropy_with_integer_labels)(z, y.astype(np.uint8))
    ones = masked_mean(jnp.ones(300, dtype))
    for mean in (loss, ones):
        assert mean.total.dtype == mean.count.dtype == mean.value.dtype == jnp.float32
        assert mean.count == 300
    assert ones.total == 300
    rows = zip(np.asarray(z, float), y, strict=True)
    steps = [softmax_row(*row)[0] for row in rows]
    assert_close(loss.value, np.mean(steps), 1e-6)


def test_more_classes_than_labels_can_count() -> None:
    """The likeliest class, 258, is 2 where it is counted in the 8 bits of a label."""
    z = np.eye(300)[[258, 2]]
    assert accuracy(z, np.array([2, 2], np.uint8)).value == 0.5


@pytest.mark.parametrize("time_major", [False, True])
def test_masks(time_major: bool) -> None:
    got = sequence_mask(LENGTHS, T, time_major=time_major)
    mask = np.moveaxis(np.asarray(got), 0 if time_major else 2, 2)
    assert (mask == (np.arange(T) < LENGTHS[..., None])).all()


ONES, LABELS = np.ones((2, T, F)), np.ones((2, T), int)
cross_entropy = softmax_cross_entropy_with_integer_labels
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: sequence_mask([1.0], T), TypeError, "lengths must have an integer"),
    (lambda: sequence_mask([T + 1], T), ValueError, r"\[0, T\] with T=5 .from steps"),
    (
        lambda: zero_padding({"x": ONES}, [1]),
        ValueError,
        r"shape \(2,\), the .* tree.x",
    ),
    (
        lambda: zero_padding((ONES, ONES[:, 1:]), [1, 1]),
        ValueError,
        r"tree.1 .*\(2, 5\)",
    ),
    (lambda: masked_mean(1.0, [1]), ValueError, "values must have a time axis"),
    (
        lambda: masked_mean(ONES, [1, -1]),
        ValueError,
        r"lengths must have shape \(2, 5\)",
    ),
    (lambda: masked_mean(LABELS, [1, -1]), ValueError, "values from -1 to 1"),
    (lambda: masked_mean(LABELS, weights=ONES), ValueError, r"weights .* \(2, 5\)"),
    (lambda: cross_entropy(1.0, LABELS), ValueError, r"logits .* \(\*B, T, F\)"),
    (lambda: cross_entropy(LABELS, LABELS), TypeError, "logits must have a floating"),
    (lambda: cross_entropy(ONES, ONES), ValueError, r"labels must have .* \(2, 5\)"),
    (lambda: cross_entropy(ONES, 1.0 * LABELS), TypeError, "labels must have an int"),
    (lambda: cross_entropy(ONES, LABELS, [T, 6]), ValueError, "T=5 .from logits"),
    (
        lambda: accuracy(ONES, LABELS[1:]),
        ValueError,
        "accuracy: labels must have shape",
    ),
    (lambda: squared_error(ONES, ONES[1:]), ValueError, r"targets .* \(2, 5, 3\)"),
    (
        lambda: sigmoid_binary_cross_entropy(ONES, ONES, weights=ONES),
        ValueError,
        "entropy: weights must have shape",
    ),
]


@pytest.mark.parametrize("call, kind, message", ERRORS, ids=[e[2] for e in ERRORS])
def test_errors(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
