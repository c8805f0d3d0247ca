# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Elementwise activation functions by their ONNX names."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# name: (function of x, alpha and beta; default alpha; default beta), as ONNX has them
ACTIVATIONS: dict[str, tuple[Callable[..., jax.Array], float, float]] = {
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "elu": (lambda x, a, b: jax.nn.elu(x, a), 1.0, 0.0),
    "hard_sigmoid": (lambda x, a, b: jnp.clip(a * x + b, 0.0, 1.0), 0.2, 0.5),
    "leaky_relu": (lambda x, a, b: jnp.where(x >= 0, x, a * x), 0.01, 0.0),
    "relu": (lambda x, a, b: jax.nn.relu(x), 0.0, 0.0),
    "scaled_tanh": (lambda x, a, b: a * jnp.tanh(b * x), 1.0, 1.0),
    "sigmoid": (lambda x, a, b: jax.nn.sigmoid(x), 0.0, 0.0),
    "softplus": (lambda x, a, b: jax.nn.softplus(x), 0.0, 0.0),
    "softsign": (lambda x, a, b: jax.nn.soft_sign(x), 0.0, 0.0),
    "tanh": (lambda x, a, b: jnp.tanh(x), 0.0, 0.0),
    "thresholded_relu": (lambda x, a, b: jnp.where(x > a, x, 0.0), 1.0, 0.0),
}


def python_numbers(record: Any, *fields: str) -> None:
    """Turns NumPy numbers in a frozen record into Python's, which JSON can hold."""
    for field in fields:
        value = getattr(record, field)
        if isinstance(value, np.generic):
            object.__setattr__(record, field, value.item())


@dataclasses.dataclass(frozen=True)
class ActivationFn:
    """An elementwise function by its ONNX name, with its two parameters.

    Attributes:
        name: one of `affine`, `elu`, `hard_sigmoid`, `leaky_relu`, `relu`,
            `scaled_tanh`, `sigmoid`, `softplus`, `softsign`, `tanh`,
            `thresholded_relu`.
        alpha: first parameter, where the function has one; None for its default.
        beta: second parameter, likewise.

    Example:
        Keras' hard sigmoids, of version 2 and of version 3:

        >>> ActivationFn("hard_sigmoid", alpha=0.2, beta=0.5)
        ActivationFn(name='hard_sigmoid', alpha=0.2, beta=0.5)
        >>> keras3 = ActivationFn("hard_sigmoid", alpha=1 / 6, beta=0.5)

    References:
        ONNX operator LSTM, attribute `activations`.
    """

    name: str
    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        """Makes the parameters Python numbers, which are static and fit for JSON."""
        python_numbers(self, "alpha", "beta")


def explicit(activation: ActivationFn | str) -> ActivationFn:
    """An activation with its default alpha and beta written out."""
    if isinstance(activation, str):
        activation = ActivationFn(activation)
    _, alpha, beta = ACTIVATIONS[activation.name]
    return ActivationFn(
        activation.name,
        alpha if activation.alpha is None else activation.alpha,
        beta if activation.beta is None else activation.beta,
    )


def activate(activation: ActivationFn | str, x: jax.Array) -> jax.Array:
    """Applies an activation, elementwise."""
    name, alpha, beta = dataclasses.astuple(explicit(activation))
    return ACTIVATIONS[name][0](x, alpha, beta)
