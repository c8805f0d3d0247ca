# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One layer over rows, in kernels: what is shared, what each row has, what each step.

All arrays have one axis of rows; step masks are (T, rows).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._forward import StaticArgs, layer_step
from lstm_jax._inputs import LayerInputs
from lstm_jax._masks import StepMasks, masked_step
from lstm_jax.cells.base import DropMasks
from lstm_jax.cells.lstm import gate_leaves, project
from lstm_jax.cells.lstm_params import LSTMParams, LSTMState
from lstm_jax.implementations.fused_inline import used
from lstm_jax.implementations.fused_kernel import Arrays
from lstm_jax.implementations.fused_linear import Given, linear_scan
from lstm_jax.implementations.fused_plan import Kernel
from lstm_jax.implementations.fused_steps import Steps, kernel_with_plain_jvp, run


@dataclasses.dataclass(frozen=True)
class LSTMPrimal:
    """`primal`, or `with_residuals`, of `StaticArgs`.

    Attributes:
        how: knobs of the kernel.
        saves: gives the residuals too.
    """

    how: Kernel
    saves: bool = False

    def __call__(self, static: StaticArgs, inputs: LayerInputs) -> tuple[Any, Any]:
        """The last state, and y with what is saved."""
        saves, (one, own) = self.saves, _apart(inputs.fixed)

        def body(shared: Any, rows: Any, state: Any, x: Any) -> tuple[Any, Any]:
            (cell, one), (own, reset_state) = shared, rows
            none = StepMasks()
            fixed = _together(one, own)
            of_step: Any = cell, None, fixed, None, None, reset_state, none
            return layer_step(static, LayerInputs(*of_step), saves)(state, x)

        cell: Any = inputs.cell
        xs = (project(cell, inputs.x), inputs.stepped), _columns(inputs.step_masks)
        shared, rows = (_recurrent_leaves(cell), one), (own, inputs.reset_state)
        steps = Steps(self.how, body, by_rows=True, reverse=static.reverse)
        return kernel_with_plain_jvp(steps, Arrays(shared, rows, inputs.state, xs))


@dataclasses.dataclass(frozen=True)
class CellTangent:
    """`linear_scan` of `StaticArgs`.

    Attributes:
        how: knobs of the kernel.
    """

    how: Kernel

    def __call__(
        self,
        static: StaticArgs,
        step: Any,
        given: Any,
        tangents: Any,
        dstate: LSTMState,
        xs: Any,
    ) -> tuple[Any, Any]:
        """The last tangent of the state, and those of y."""
        (cell, fixed), (dgates, dreset) = given, tangents
        (x, masks), linear = xs
        one, own = _apart(fixed)

        def body(given: Given, d: Arrays) -> tuple[Any, Any]:
            cell, one = given.shared
            both = cell, _together(one, given.rows)
            return step(both, (d.shared, d.rows))(d.carry, (given.xs, d.xs))

        shared = _recurrent_leaves(cell), one
        return linear_scan(
            self.how,
            body,
            True,
            Given(shared, own, (x, _columns(masks))),
            Arrays(dgates, dreset, dstate, linear),
            static.reverse,
        )


def run_cell(how: Kernel, inputs: LayerInputs, reverse: bool) -> tuple[Any, jax.Array]:
    """Runs a cell that JAX differentiates step by step; projects its input first.

    Args:
        how: knobs of the kernels.
        inputs: all that enters the layer.
        reverse: from the last step to the first.
    """
    dtype = inputs.x.dtype
    leaves, tree = jax.tree.flatten(inputs.cell)
    leaves = list(map(jnp.asarray, leaves))
    cell = jax.tree.unflatten(tree, leaves)
    one, own = _apart(inputs.fixed)

    def step(cell: Any, fixed: DropMasks, state: Any, x: Any) -> tuple[Any, Any]:
        zx, stepped = x
        of_step = inputs._replace(fixed=fixed).drop_masks(stepped)
        # Cast here: gradients are summed over the steps in the wider dtype.
        return cell.cast(dtype).advance(state, zx, of_step)

    zx = cell.cast(dtype).project(inputs.x)
    first = jax.tree.map(_first_step, (zx, inputs.stepped))
    of_one = cell, inputs.fixed, inputs.state, first
    types = jax.tree.map(_type_of, of_one)
    out = jax.eval_shape(step, *types)
    masks = inputs.step_masks
    if all(a.ndim > 1 for a in jax.tree.leaves(out)):
        masks = _columns(masks)
    # What only the product before uses, and its gradient, take no VMEM.
    needed = used(step, *types)[: len(leaves)]

    def body(shared: Any, rows: Any, state: Any, x: Any) -> tuple[Any, Any]:
        (kept, one), (own, reset_state) = shared, rows
        each = iter(kept)
        whole = [
            next(each) if need else jnp.zeros(a.shape, a.dtype)
            for a, need in zip(like, needed, strict=True)
        ]
        cell, fixed = jax.tree.unflatten(tree, whole), _together(one, own)
        masked = masked_step(lambda state, x: step(cell, fixed, state, x), reset_state)
        return masked(state, x)

    like = list(map(_type_of, leaves))
    kept = [a for a, need in zip(leaves, needed, strict=True) if need]
    shared, rows = (kept, one), (own, inputs.reset_state)
    xs = (zx, inputs.stepped), masks
    steps = Steps(how, body, by_rows=True, reverse=reverse)
    return run(steps, Arrays(shared, rows, inputs.state, xs))


def _type_of(a: Any) -> Any:
    return jax.ShapeDtypeStruct(a.shape, a.dtype)


def _first_step(a: Any) -> Any:
    return jax.ShapeDtypeStruct(a.shape[1:], a.dtype)


def _recurrent_leaves(cell: LSTMParams) -> LSTMParams:
    """The leaves that a step uses; None elsewhere."""
    return gate_leaves(cell).replace(w_h=cell.w_h, projection=cell.projection)


def _apart(fixed: DropMasks) -> tuple[DropMasks, DropMasks]:
    """Rates that are the same for all rows, as (1, 1), and masks that rows have."""

    def one(a: Any) -> Any:
        return a.reshape(1, 1) if a is not None and not a.ndim else None

    def own(a: Any) -> Any:
        return a if a is not None and a.ndim else None

    return DropMasks(*map(one, fixed)), DropMasks(*map(own, fixed))


def _together(one: DropMasks, own: DropMasks) -> DropMasks:
    return DropMasks(*(b if a is None else a for a, b in zip(one, own, strict=True)))


def _columns(masks: StepMasks) -> StepMasks:
    """(T, rows, 1), so that all that a kernel reads has two axes."""
    return jax.tree.map(lambda a: a[..., None], masks)
