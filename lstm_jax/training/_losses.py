# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Losses and metrics of ragged batches, thin over Optax.

The padding is replaced by zeros before a loss is computed, not after: masking the loss
alone leaves the gradient 0 · NaN where the padding holds NaN.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lstm_jax._dtypes import accum_dtype, as_array, result_dtype
from lstm_jax._masks import select, tree_zeros
from lstm_jax.training import _checks
from lstm_jax.training._mean import Mean, sums, valid_steps


def _scored(
    call: str,
    score: Callable[[jax.Array, jax.Array], jax.Array],
    given: dict[str, Any],
    lengths: Any,
    time_major: bool,
    classes: bool = False,
) -> Mean:
    """The mean of score(predictions (*B, T, F), targets), of which padding is zero."""
    given = {name: as_array(a) for name, a in given.items()}
    lengths = as_array(lengths)
    _checks.scored(call, given, lengths, time_major, classes)
    values, targets, weights = given.values()
    # Entropies of 16-bit logits are computed in 32 bits.
    dtype = accum_dtype(
        result_dtype(values) if classes else result_dtype(values, targets)
    )
    values = jnp.asarray(values, dtype)
    targets = jnp.asarray(targets, None if classes else dtype)
    valid = valid_steps(values.shape[:-1], lengths, weights, time_major)
    pair = values, targets
    return sums(score(*select(valid, pair, tree_zeros(pair))), valid, weights)


def softmax_cross_entropy_with_integer_labels(
    logits: Any,
    labels: Any,
    lengths: Any = None,
    *,
    weights: Any = None,
    time_major: bool = False,
) -> Mean:
    """Cross entropy in nats, the mean over all valid steps.

    ::

        loss[*b, t] = -log softmax(logits[*b, t])[labels[*b, t]]

    `.bits` is bits a step. Labels that stand for "none" are left out by weights:
    `weights=labels >= 0`.

    Args:
        logits: (*B, T, C) floating.
        labels: (*B, T) integers in [0, C); any in the padding.
        lengths: (*B,) integers; None where all steps are valid.
        weights: (*B, T), as for `masked_mean`.
        time_major: T comes first in logits, labels and weights.

    Returns:
        A `Mean`, in the dtype of logits but of 32 bits at least.

    Raises:
        ValueError: shapes that disagree; concrete lengths outside [0, T].
        TypeError: dtypes that disagree.

    Example:
        >>> import jax.numpy as jnp
        >>> logits, labels = jnp.zeros((2, 3, 4)), jnp.zeros((2, 3), int)
        >>> loss = softmax_cross_entropy_with_integer_labels(logits, labels, [3, 0])
        >>> float(loss.count), float(loss.bits)
        (3.0, 2.0)

    References:
        `optax.losses.softmax_cross_entropy_with_integer_labels`, of one step.
    """
    return _scored(
        "softmax_cross_entropy_with_integer_labels",
        optax.losses.softmax_cross_entropy_with_integer_labels,
        {"logits": logits, "labels": labels, "weights": weights},
        lengths,
        time_major,
        classes=True,
    )


def _summed(
    loss: Callable[..., jax.Array], values: jax.Array, targets: jax.Array
) -> jax.Array:
    return loss(values, targets).sum(-1)


def sigmoid_binary_cross_entropy(
    logits: Any,
    labels: Any,
    lengths: Any = None,
    *,
    weights: Any = None,
    time_major: bool = False,
) -> Mean:
    """Binary cross entropy in nats: the sum over features, the mean over valid steps.

    ::

        loss[*b, t] = -Σ_k log(labels_k σ(logits_k) + (1 - labels_k) σ(-logits_k))

    as polyphonic music is scored: 88 keys, nats a frame, every frame weighing the same.

    Args:
        logits: (*B, T, F) floating.
        labels: (*B, T, F) of 0 and 1, booleans, or probabilities.
        lengths: (*B,) integers; None where all steps are valid.
        weights: (*B, T), as for `masked_mean`.
        time_major: T comes first in logits, labels and weights.

    Returns:
        A `Mean`, in the promoted dtype but of 32 bits at least.

    Raises:
        ValueError: shapes that disagree; concrete lengths outside [0, T].
        TypeError: dtypes that disagree.

    Example:
        >>> import jax.numpy as jnp
        >>> keys = jnp.zeros((2, 3, 88))
        >>> loss = sigmoid_binary_cross_entropy(keys, keys, [3, 1])
        >>> f"{float(loss.bits):.3f} bits a frame"
        '88.000 bits a frame'

    References:
        `optax.losses.sigmoid_binary_cross_entropy`, of one feature. Boulanger-
        Lewandowski et al. 2012, Modeling Temporal Dependencies in High-Dimensional
        Sequences.
    """
    return _scored(
        "sigmoid_binary_cross_entropy",
        partial(_summed, optax.losses.sigmoid_binary_cross_entropy),
        {"logits": logits, "labels": labels, "weights": weights},
        lengths,
        time_major,
    )


def squared_error(
    predictions: Any,
    targets: Any,
    lengths: Any = None,
    *,
    weights: Any = None,
    time_major: bool = False,
) -> Mean:
    """Squared error: the sum over features, the mean over all valid steps.

    ::

        loss[*b, t] = Σ_k (predictions[*b, t, k] - targets[*b, t, k])²

    Args:
        predictions: (*B, T, F) floating.
        targets: (*B, T, F) numbers.
        lengths: (*B,) integers; None where all steps are valid.
        weights: (*B, T), as for `masked_mean`.
        time_major: T comes first in predictions, targets and weights.

    Returns:
        A `Mean`, in the promoted dtype but of 32 bits at least.

    Raises:
        ValueError: shapes that disagree; concrete lengths outside [0, T].
        TypeError: dtypes that disagree.

    Example:
        >>> import jax.numpy as jnp
        >>> y = jnp.ones((2, 3, 1))
        >>> float(squared_error(y, 3 * y, [3, 1]).value)
        4.0

    References:
        `optax.losses.squared_error`, of one feature.
    """
    return _scored(
        "squared_error",
        partial(_summed, optax.losses.squared_error),
        {"predictions": predictions, "targets": targets, "weights": weights},
        lengths,
        time_major,
    )


def accuracy(
    logits: Any,
    labels: Any,
    lengths: Any = None,
    *,
    weights: Any = None,
    time_major: bool = False,
) -> Mean:
    """The share of valid steps at which the largest logit is the label's.

    Args:
        logits: (*B, T, C) floating.
        labels: (*B, T) integers in [0, C); any in the padding.
        lengths: (*B,) integers; None where all steps are valid.
        weights: (*B, T), as for `masked_mean`.
        time_major: T comes first in logits, labels and weights.

    Returns:
        A `Mean`; of logits that are equally large the first counts.

    Raises:
        ValueError: shapes that disagree; concrete lengths outside [0, T].
        TypeError: dtypes that disagree.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.array([[[0.1, 0.9], [0.8, 0.2]]])
        >>> float(accuracy(logits, jnp.array([[1, 1]])).value)
        0.5
    """
    return _scored(
        "accuracy",
        _hits,
        {"logits": logits, "labels": labels, "weights": weights},
        lengths,
        time_major,
        classes=True,
    )


def _hits(logits: jax.Array, labels: jax.Array) -> jax.Array:
    likeliest = jnp.argmax(logits, -1)
    return (likeliest == labels.astype(likeliest.dtype)).astype(logits.dtype)
