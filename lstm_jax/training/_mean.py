# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Masks by length, and means that add up exactly over batches, windows and devices."""

from typing import Any, TypeVar

import flax.struct
import jax
import jax.numpy as jnp

from lstm_jax._dtypes import accum_dtype, as_array
from lstm_jax._masks import select, step_masks, tree_zeros
from lstm_jax.training import _checks

Tree = TypeVar("Tree")


class Mean(flax.struct.PyTreeNode):
    """A mean as its sum and its weight, so that means over parts add up exactly.

    `a + b` is the mean over the steps of both, whatever the number of steps of each,
    and `sum(means, Mean())` that of many. It is a pytree: a carry or an output of
    `jax.lax.scan`, and `jax.lax.psum(mean, axis)` is the mean over all devices. Of
    means stacked by a scan, `jax.tree.map(jnp.sum, means)` is the one over all.

    Attributes:
        total: () floating: the weighted sum.
        count: () of the same dtype: the sum of the weights; the number of steps where
            no weights are given.

    Example:
        >>> import jax.numpy as jnp
        >>> two = masked_mean(jnp.array([1.0, 3.0])) + masked_mean(jnp.array([8.0]))
        >>> float(two.value), float(Mean().value)
        (4.0, 0.0)
    """

    total: Any = 0.0
    count: Any = 0.0

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> jax.Array:
        """The mean; 0 where there are no steps, with a gradient of 0."""
        some = jnp.asarray(self.count) > 0
        return jnp.where(some, self.total / jnp.where(some, self.count, 1.0), 0.0)

    @property
    def bits(self) -> jax.Array:
        """The mean in bits, where it is one of nats, as cross entropies are."""
        return self.value / jnp.log(2.0).astype(self.value.dtype)


def sequence_mask(lengths: Any, steps: Any, *, time_major: bool = False) -> jax.Array:
    """Which steps are valid, and not padding.

    ::

        mask[*b, t] = t < lengths[*b]

    Args:
        lengths: (*B,) integers.
        steps: T.
        time_major: T comes first.

    Returns:
        Booleans (*B, T), or (T, *B).

    Raises:
        ValueError: lengths, where they are concrete, outside [0, T].
        TypeError: lengths that are not integers.

    Example:
        >>> sequence_mask([0, 2], 3).tolist()
        [[False, False, False], [True, True, False]]
    """
    lengths = as_array(lengths)
    _checks.row_lengths("sequence_mask", lengths, steps)
    return _mask(lengths, steps, time_major)


def _mask(lengths: Any, steps: Any, time_major: bool) -> jax.Array:
    valid = step_masks(steps, lengths).valid
    return valid if time_major else jnp.moveaxis(valid, 0, -1)


def zero_padding(tree: Tree, lengths: Any, *, time_major: bool = False) -> Tree:
    """Replaces what stands in the padding by zeros.

    For losses of one's own: after it, whatever stood in the padding changes neither the
    values nor the gradients of a loss that goes through `masked_mean`. The loss must be
    finite for zeros, its derivative included.

    Args:
        tree: arrays (*B, T, …), of any dtypes.
        lengths: (*B,) integers.
        time_major: the arrays are (T, *B, …).

    Returns:
        The tree, with zeros from step `lengths` on.

    Raises:
        ValueError: shapes that disagree; concrete lengths outside [0, T].
        TypeError: lengths that are not integers.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> y, target = jnp.full((2, 3), jnp.nan).at[1].set(2.0), jnp.ones((2, 3))
        >>> lengths = jnp.array([0, 3])
        >>> losses = optax.losses.huber_loss(*zero_padding((y, target), lengths))
        >>> float(masked_mean(losses, lengths).value)
        0.5
    """
    lengths = as_array(lengths)
    leaves = jax.tree.leaves(tree)
    if not leaves:
        return tree
    outer = leaves[0].shape[: 1 + jnp.ndim(lengths)]
    _checks.padded("zero_padding", {"tree": tree}, outer, lengths, time_major)
    steps = outer[0] if time_major else outer[-1]
    return select(_mask(lengths, steps, time_major), tree, tree_zeros(tree))


def valid_steps(
    outer: tuple[Any, ...], lengths: Any, weights: Any, time_major: bool
) -> jax.Array:
    """The steps that count, laid out as the time and batch axes `outer`."""
    valid = jnp.ones(outer, bool)
    if lengths is not None:
        valid = _mask(lengths, outer[0] if time_major else outer[-1], time_major)
    return valid if weights is None else valid & jnp.asarray(weights).astype(bool)


def sums(values: jax.Array, valid: jax.Array, weights: Any) -> Mean:
    """The sums over the valid steps, in at least 32 bits."""
    floating = jnp.issubdtype(values.dtype, jnp.floating)
    dtype = accum_dtype(values.dtype if floating else jnp.result_type(float))
    given = valid if weights is None else weights
    used = jnp.where(valid, jnp.asarray(given, dtype), 0.0)
    return Mean(
        (jnp.where(valid, jnp.asarray(values, dtype), 0.0) * used).sum(), used.sum()
    )


def masked_mean(
    values: Any, lengths: Any = None, *, weights: Any = None, time_major: bool = False
) -> Mean:
    """The mean over all valid steps of a batch, each weighing the same.

    ::

        total = Σ_b Σ_{t < lengths[b]} weights[b, t] * values[b, t]
        count = Σ_b Σ_{t < lengths[b]} weights[b, t]

    Not a mean of the rows' means: a row of length 0 adds nothing, and of a batch that
    is all padding the value is 0. What `values` holds in the padding changes nothing,
    not even NaN; NaN in what it was computed from there still reaches the gradient, if
    `zero_padding` does not replace it.

    Args:
        values: (*B, T) numbers; booleans count as 0 and 1.
        lengths: (*B,) integers; None where all steps are valid.
        weights: (*B, T) numbers of at least 0, or booleans; a step of weight 0 is left
            out as the padding is. None for 1.
        time_major: values and weights are (T, *B).

    Returns:
        A `Mean`, in the dtype of values but of 32 bits at least; `.value` is the mean.

    Raises:
        ValueError: shapes that disagree; concrete lengths outside [0, T].
        TypeError: lengths that are not integers.

    Example:
        >>> import jax.numpy as jnp
        >>> mean = masked_mean(jnp.array([[1.0, 5.0], [3.0, 9.0]]), jnp.array([2, 1]))
        >>> float(mean.total), float(mean.count), float(mean.value)
        (9.0, 3.0, 3.0)
    """
    values, lengths, weights = map(as_array, (values, lengths, weights))
    outer, named = values.shape, {"values": values}
    _checks.padded("masked_mean", named, outer, lengths, time_major, weights)
    return sums(values, valid_steps(outer, lengths, weights, time_major), weights)
