# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Fused: a layer's steps as one kernel of a TPU, its gradient's as another."""

import dataclasses
import functools
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lstm_jax._chunks import sequence_length
from lstm_jax._compat import like_varying, setting, varying_axes
from lstm_jax._forward import StaticArgs
from lstm_jax._inputs import LayerInputs, Request
from lstm_jax._masks import Body, StepMasks
from lstm_jax._recurrence import recurrence
from lstm_jax._sequence import run_sequence
from lstm_jax.checks.messages import refuse, steps_problem
from lstm_jax.implementations.base import Implementation
from lstm_jax.implementations.fused_kernel import Arrays
from lstm_jax.implementations.fused_layer import CellTangent, LSTMPrimal, run_cell
from lstm_jax.implementations.fused_plan import Kernel, NoKernelError, device_kind
from lstm_jax.implementations.fused_steps import Steps, run
from lstm_jax.implementations.scan import Scan


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Fused(Implementation):
    """All steps of a layer in one Pallas kernel, and its gradient's in another one.

    For TPUs, and for cells of any kind; the state and what is the same at all steps
    stay in VMEM, the fast memory of a core, and x·W_x is one product before the kernel.
    With `unroll`, for any step of operations that Pallas compiles for a TPU. It keeps
    the whole contract. Forward mode, and derivatives of derivatives, are those of a
    scan, which they run. Under `vmap` there are more rows in the same kernels; where
    parameters differ too, one run of the kernel after the other.

    It has never been timed on a TPU, and so is never chosen by itself. It raises
    NotImplementedError with all reasons where it cannot run: without a TPU, unless
    interpreted; for sizes without a number, float64, products of precision "high", the
    activation `elu`, random keys in a state or in xs; where an estimate says that
    VMEM is too small. That counts the gradient's kernel too. Rows are divided over
    several runs before that, but weights are needed whole. It does not run on a mesh
    of explicit axes; inside `jax.shard_map`, interpret=True needs check_vma=False.

    Attributes:
        block: steps that are copied to VMEM together; None for what fits, up to 16.
        rows: rows that are run together, a multiple of 16 or all; None for as many as
            fit. A bare step of `unroll` has all.
        vmem: bytes of VMEM that a kernel may take; None for what the device has.
        interpret: True runs anywhere, slowly, in Pallas' interpret mode.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> x = jax.numpy.ones((2, 7, 3))
        >>> fused = lstm_jax.Fused(interpret=True)
        >>> lstm_jax.apply(params, x, implementation=fused)[0].shape
        (2, 7, 5)

    References:
        Diamos et al. 2016, Persistent RNNs: Stashing Recurrent Weights On-Chip.
    """

    instead: ClassVar[str] = " Scan() can."

    block: int | None = None
    rows: int | None = None
    vmem: int | None = None
    interpret: Any = False

    @property
    def kernel(self) -> Kernel:
        """The knobs of its kernels."""
        return Kernel(self.block, self.rows, self.vmem, self.interpret)

    def iterate(self, body: Body, carry: Any, xs: Any, reverse: bool) -> Any:
        """Runs any body of `lax.scan`."""
        if not sequence_length(xs):
            return lax.scan(body, carry, xs)
        one = jax.tree.map(lambda a: a[0], xs)
        traced, (_, y) = jax.make_jaxpr(body, return_shape=True)(carry, one)
        tree = jax.tree.structure((carry, y))

        def step(consts: Any, rows: Any, carry: Any, x: Any) -> tuple[Any, Any]:
            leaves = jax.tree.leaves((carry, x))
            out = jax.core.eval_jaxpr(traced.jaxpr, consts, *leaves)
            return jax.tree.unflatten(tree, out)

        steps = Steps(self.kernel, step, by_rows=False, reverse=reverse)
        try:
            return run(steps, Arrays(traced.consts, (), carry, xs))
        except NoKernelError as error:
            refuse("unroll", self, error.reasons, self.instead)

    def layer(self, inputs: LayerInputs, reverse: bool) -> tuple[Any, jax.Array]:
        """Runs one layer in one direction."""
        steps, *batch, _ = inputs.x.shape
        rows = math.prod(batch)
        if not steps or not rows:
            return Scan().layer(inputs, reverse)
        if inputs.cell.deferred_product:
            inputs = inputs._replace(cell=inputs.cell.cast(inputs.x.dtype))
            how = self.kernel
            static = StaticArgs(
                reverse,
                primal=LSTMPrimal(how),
                with_residuals=LSTMPrimal(how, saves=True),
                linear_scan=CellTangent(how),
                whole_steps=True,
            )
            state, y = recurrence(static, _merged(inputs, rows))
        else:
            state, y = run_cell(self.kernel, _merged(inputs, rows), reverse)
        state = jax.tree.map(lambda a: a.reshape(*batch, *a.shape[1:]), state)
        return state, y.reshape(steps, *batch, *y.shape[2:])

    def unsupported(self, request: Request) -> list[str]:
        """Why there is no kernel for a call."""
        reasons = []
        sizes = request.steps, *request.batch, *getattr(request.x, "shape", ())
        symbolic = not all(isinstance(size, int) for size in sizes)
        if symbolic:
            reasons.append("it needs numbers for sizes, and some are symbolic")
        if any(_is_explicit(a) for a in jax.tree.leaves((request.params, request.x))):
            reasons.append("it does not run on a mesh of explicit axes")
        if not self.interpret and device_kind() is None:
            reasons.append(
                "it is for a TPU, and the backend is "
                f"{jax.default_backend()}; interpret=True runs it anywhere, slowly"
            )
        if not (
            (self.interpret and self.vmem is None) or symbolic or not request.params
        ):
            reasons += _not_compiled(self, request)
        return reasons

    def check(self) -> list[str | Exception]:
        """The values of its knobs."""
        problems: list[Any] = [steps_problem("block", self.block)]
        problems += [
            None if fits else f"{name} must be {what} or None; got {value!r}."
            for name, value, what, fits in (
                ("rows", self.rows, "a multiple of 16", _is_multiple(self.rows, 16)),
                ("vmem", self.vmem, "a number of bytes", _is_multiple(self.vmem, 1)),
            )
        ]
        return [problem for problem in problems if problem]


def _is_multiple(value: Any, of: int) -> bool:
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return value is None or (number and value >= of and value % of == 0)


def _is_explicit(a: Any) -> bool:
    """Whether an array is sharded over explicit axes of a mesh."""
    if isinstance(a, jax.ShapeDtypeStruct):
        return False
    return any(jax.typeof(a).sharding.spec)


def _merged(inputs: LayerInputs, rows: int) -> LayerInputs:
    """All batch axes as one axis of rows; every step mask as (T, rows)."""
    axes = inputs.x.ndim - 2

    def merge(lead: int, tree: Any) -> Any:
        def leaf(a: jax.Array) -> jax.Array:
            if a.ndim < lead + axes:  # a rate that is the same for all units
                return a
            return a.reshape(*a.shape[:lead], rows, *a.shape[lead + axes :])

        return jax.tree.map(leaf, tree)

    def mask(a: Any) -> Any:
        if a is None:
            return None
        if a.ndim == 1:  # the same for all rows
            return jnp.broadcast_to(a[:, None], (a.shape[0], rows))
        return a.reshape(a.shape[0], rows)

    return LayerInputs(
        inputs.cell,
        merge(1, inputs.x),
        merge(0, inputs.fixed),
        merge(1, inputs.stepped),
        merge(0, inputs.state),
        merge(0, inputs.reset_state),
        StepMasks(*map(mask, inputs.step_masks)),
    )


def _not_compiled(fused: Fused, request: Request) -> list[str]:
    """Why the kernels of a network and its gradient cannot be made."""
    leaves, tree = jax.tree.flatten((request.params, request.x, request.args))
    types = tuple(map(_type, leaves))
    precision = setting("jax_default_matmul_precision")
    return list(_reasons(fused, tree, types, device_kind(), precision))


def _type(a: Any) -> jax.ShapeDtypeStruct:
    """Without a layout on a mesh, but with the axes that it varies over."""
    known = isinstance(a, jax.ShapeDtypeStruct)
    dtype = a.dtype if hasattr(a, "dtype") else jnp.result_type(a)
    dtype = jax.dtypes.canonicalize_dtype(dtype, allow_extended_dtype=True)
    axes = varying_axes(a if known else jax.typeof(a))
    return like_varying(jnp.shape(a), dtype, axes)


@functools.lru_cache(maxsize=256)
def _reasons(
    fused: Fused, tree: Any, types: Any, kind: Any, precision: Any
) -> tuple[str, ...]:
    """Plans both kernels of every layer, without making them."""

    def total(params: Any, x: Any, args: Any) -> Any:
        y, end = run_sequence(fused.network, params, x, None, args)
        floating = [
            a
            for a in jax.tree.leaves((y, end))
            if jnp.issubdtype(a.dtype, jnp.floating)
        ]
        return sum(jnp.sum(a.astype(y.dtype)) for a in floating)

    try:
        gradient = jax.grad(total, allow_int=True)
        jax.eval_shape(gradient, *jax.tree.unflatten(tree, types))
    except NoKernelError as error:
        return tuple(error.reasons)
    return ()
