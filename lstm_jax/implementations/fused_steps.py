# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Any step over a sequence in one kernel, and its gradient in another one.

Forward, the kernel gives the state that entered each step beside y. Backward, each step
is computed again from that state, and its derivative transposed; what all steps share
has its gradient summed up in VMEM, in 32 bits.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lstm_jax._recurrence import is_nonzero, jvp_of_nonzero
from lstm_jax._types import zeros
from lstm_jax.implementations.fused_kernel import Arrays, scan
from lstm_jax.implementations.fused_linear import Given, linear_scan
from lstm_jax.implementations.fused_plan import Kernel

# (shared, rows, carry, x) -> (carry, y); closes over no array
StepBody = Callable[[Any, Any, Any, Any], tuple[Any, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """A scan without its arrays.

    Attributes:
        how: knobs of the kernels.
        body: one step.
        by_rows: as `scan` of the kernel takes it.
        reverse: from the last step to the first.
    """

    how: Kernel
    body: StepBody
    by_rows: bool
    reverse: bool

    def kernel(self, arrays: Arrays) -> tuple[Any, Any]:
        """In one kernel."""

        def body(*args: Any) -> tuple[Any, Any, Any]:
            carry, y = self.body(*args)
            return carry, (), y

        carry, _, ys = scan(self.how, body, self.by_rows, arrays, self.reverse)
        return carry, ys

    def plain(self, arrays: Arrays) -> tuple[Any, Any]:
        """The same by `lax.scan`."""
        shared, rows, carry, xs = arrays
        step = partial(self.body, shared, rows)
        return lax.scan(step, carry, xs, reverse=self.reverse)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def kernel_with_plain_jvp(steps: Steps, arrays: Arrays) -> tuple[Any, Any]:
    """One kernel, whose derivative is that of `lax.scan`.

    Args:
        steps: what runs.
        arrays: what enters.
    """
    return steps.kernel(arrays)


@partial(kernel_with_plain_jvp.defjvp, symbolic_zeros=True)
def _(steps: Steps, primals: Any, tangents: Any) -> tuple[Any, Any]:
    out = kernel_with_plain_jvp(steps, *primals)
    tangent = jvp_of_nonzero(steps.plain, primals, tangents)
    return out, jax.tree.map(_zero, out) if tangent is None else tangent


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def run(steps: Steps, arrays: Arrays) -> tuple[Any, Any]:
    """Runs all steps.

    Args:
        steps: what runs.
        arrays: what enters, with at least one step and one row.

    Returns:
        The last carry, and the tree of ys (T, …).
    """
    return steps.kernel(arrays)


@partial(run.defjvp, symbolic_zeros=True)
def _(steps: Steps, primals: Any, tangents: Any) -> tuple[Any, Any]:
    (arrays,), (dots,) = primals, tangents

    def saving(*args: Any) -> tuple[Any, Any]:
        carry, y = steps.body(*args)
        return carry, (y, args[2])

    saves = dataclasses.replace(steps, body=saving)
    end, (ys, entering) = kernel_with_plain_jvp(saves, arrays)

    def of_step(given: Given, own: Arrays) -> tuple[Any, Any]:
        carry, x = given.xs
        args = given.shared, given.rows, carry, x
        out = jax.eval_shape(steps.body, *args)
        found = jvp_of_nonzero(steps.body, args, own)
        if found is None:
            found = jax.tree.map(zeros, out)
        return _floating(out, found)

    shared, rows, carry, xs = (
        jax.tree.map(lambda t: t if is_nonzero(t) else None, part) for part in dots
    )
    # A scan carries no symbolic zero; what is no floating number has no tangent.
    dense = jax.tree.map(
        lambda a, t: zeros(a) if t is None and _is_floating(a) else t,
        arrays.carry,
        carry,
    )
    given = Given(arrays.shared, arrays.rows, (entering, arrays.xs))
    own = Arrays(shared, rows, dense, xs)
    found = linear_scan(steps.how, of_step, steps.by_rows, given, own, steps.reverse)
    fill = lambda a, t: _zero(a) if t is None else t  # noqa: E731
    return (end, ys), jax.tree.map(fill, (end, ys), found)


def _is_floating(a: Any) -> bool:
    return bool(jnp.issubdtype(a.dtype, jnp.inexact))


def _floating(like: Any, tangents: Any) -> Any:
    """None for the tangents of what is no floating number."""
    return jax.tree.map(lambda a, t: t if _is_floating(a) else None, like, tangents)


def _zero(a: Any) -> Any:
    return zeros(a) if _is_floating(a) else np.zeros(a.shape, jax.dtypes.float0)
