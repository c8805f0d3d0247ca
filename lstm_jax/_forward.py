# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One layer's scan over time: alone, and with the residuals that its gradient needs.

How residuals are saved depends on the platform: on a CPU in the memory of the projected
input, on a GPU all that leaves a step in one array.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._chunks import chunked, sequence_length
from lstm_jax._inputs import LayerInputs
from lstm_jax._masks import Body, masked_step, select, shifted, tree_zeros
from lstm_jax._matmul import add_bias, matmul
from lstm_jax._norms import SplitNorm
from lstm_jax._platforms import by_platform, step_major
from lstm_jax._types import match_type, typed_eval_shape
from lstm_jax.cells.lstm import GatherOutput, cell_step, identity, project
from lstm_jax.cells.lstm_params import LSTMState

# (static, inputs) -> the last state, and (y, residuals); or only y without residuals
Primal = Callable[["StaticArgs", LayerInputs], tuple[LSTMState, Any]]
# (static, step, given, tangents, dstate, xs) -> the last dstate, and dh of all steps,
# where step(given, tangents) is a body of `lax.scan`, and linear but for `given`
LinearScan = Callable[..., tuple[LSTMState, jax.Array]]


class Residuals(NamedTuple):
    """What the tangent needs of every step.

    Attributes:
        pre: the pre-activations, or of the standard cell its `tanh_columns`.
        h: the output that entered, after resets.
        c: the cell state that entered, after resets.
        m: the output before its projection; None without one.
    """

    pre: tuple[jax.Array, ...]
    h: jax.Array
    c: jax.Array
    m: jax.Array | None


def layer_step(static: "StaticArgs", inputs: LayerInputs, save: bool) -> Body:
    """One step from its projected input; emits y, or y and its residuals."""
    cell: Any = inputs.cell

    def step(state: LSTMState, xs: Any) -> tuple[LSTMState, Any]:
        zx, stepped = xs
        masks = inputs.drop_masks(stepped)
        h, c, pre, inside = cell_step(cell, zx, *state, masks, static.gather)
        if not save:
            return LSTMState(h, c), h
        m = None if cell.projection is None else inside.m.astype(h.dtype)
        return LSTMState(h, c), (h, Residuals(pre, *state, m))

    return masked_step(step, inputs.reset_state)


def _before(cell: Any, x: jax.Array) -> jax.Array:
    """The part of `project` that a CPU had better compute for many steps at once.

    To add a bias takes one pass over all of x·W_x more, and a product with one input is
    as many multiplications as it has results to be written and read again.
    """
    if cell.norm is not None:
        return project(cell, x)
    return x if cell.input_size == 1 else project(cell.replace(b=None), x)


def _in_step(cell: Any, zx: jax.Array) -> jax.Array:
    """The rest of it."""
    if cell.norm is not None:
        return zx
    return project(cell, zx) if cell.input_size == 1 else add_bias(zx, cell.b)


def _scan(
    static: "StaticArgs",
    inputs: LayerInputs,
    body: Body,
    window: int | None,
    cpu: bool = False,
) -> tuple[LSTMState, Any]:
    """Scans a body like `layer_step`; each window's input product is taken at once."""
    cell: Any = inputs.cell

    def step(state: LSTMState, xs: Any) -> tuple[LSTMState, Any]:
        (zx, stepped), masks = xs
        return body(state, ((_in_step(cell, zx), stepped), masks))

    def chunk(state: LSTMState, xs: Any) -> tuple[LSTMState, Any]:
        (x, stepped), masks = xs
        zx = _before(cell, x) if cpu else step_major(project(cell, x))
        return static.scan(step if cpu else body, state, ((zx, stepped), masks))

    xs = (inputs.x, inputs.stepped), inputs.step_masks
    return chunked(chunk, inputs.state, xs, window, static.reverse)


def scan_primal(static: "StaticArgs", inputs: LayerInputs) -> tuple[LSTMState, Any]:
    """The last state and y."""

    def form(platform: str | None) -> Callable[..., Any]:
        window = (static.cpu_window if platform == "cpu" else None) or static.window

        def run(inputs: LayerInputs, _: Any) -> tuple[LSTMState, Any]:
            step = layer_step(static, inputs, save=False)

            def body(state: LSTMState, xs: Any) -> tuple[LSTMState, Any]:
                # It changes no value. Without it y is a plain copy of the state, and
                # XLA keeps a loop that has one out of its CUDA graphs.
                state, y = step(state, xs)
                return state, jnp.where(jnp.isnan(y), jnp.nan, y)

            own: Body = body if platform == "gpu" else step
            return _scan(static, inputs, own, window, platform == "cpu")

        return run

    return cast("tuple[LSTMState, Any]", by_platform(form, inputs))


def scan_with_residuals(
    static: "StaticArgs", inputs: LayerInputs
) -> tuple[LSTMState, Any]:
    """The last state, and (y, residuals)."""

    def form(platform: str | None) -> Callable[..., Any]:
        if platform == "gpu":
            run = _scan_packed
        elif platform == "cpu" and _has_one_buffer(inputs):
            run = _scan_in_place
        else:
            run = partial(_scan_plain, cpu=platform == "cpu")
        return lambda inputs, _: run(static, inputs)

    return cast("tuple[LSTMState, Any]", by_platform(form, inputs))


def _scan_plain(
    static: "StaticArgs", inputs: LayerInputs, cpu: bool = False
) -> tuple[LSTMState, Any]:
    """The last state, and (y, residuals), each in an array of its own."""
    body = layer_step(static, inputs, save=True)
    return _scan(static, inputs, body, static.window, cpu)


def _scan_packed(static: "StaticArgs", inputs: LayerInputs) -> tuple[LSTMState, Any]:
    """The last state, and (y, residuals), in one array a step for each dtype.

    It saves the state that leaves each step, which on a GPU the kernel that computes it
    also writes; saving the state that enters takes two copies more. The arrays are
    split after the loop; in one program with its gradient, where they are read.
    """
    _, (y, like) = typed_eval_shape(partial(_scan_plain, static), inputs)
    body = layer_step(static, inputs, save=True)

    def step(state: LSTMState, xs: Any) -> tuple[LSTMState, Any]:
        new, (_, saved) = body(state, xs)
        return new, _joined((*new, saved.pre, saved.m))

    end, joined = _scan(static, inputs, step, static.window)
    h, c, pre, m = _parted(joined, (y, like.c, like.pre, like.m))
    entered = _entered(static, inputs, LSTMState(h, c))
    if (valid := inputs.step_masks.valid) is not None:
        h, *entered = select(valid, (h, *entered), tree_zeros((h, *entered)))
    return end, (h, Residuals(pre, *entered, m))


def _joined(tree: Any) -> dict[str, jax.Array]:
    """The arrays of a tree side by side, those of each dtype by themselves."""
    alike: dict[str, list[jax.Array]] = {}
    for a in jax.tree.leaves(tree):
        alike.setdefault(a.dtype.name, []).append(a)
    return {name: jnp.concatenate(parts, -1) for name, parts in alike.items()}


def _parted(joined: dict[str, jax.Array], like: Any) -> Any:
    """The tree that `_joined` was given; `like` has its widths and dtypes."""
    used = dict.fromkeys(joined, 0)

    def take(leaf: Any) -> jax.Array:
        name, start = leaf.dtype.name, used[leaf.dtype.name]
        used[name] = start + leaf.shape[-1]
        return lax.slice_in_dim(joined[name], start, used[name], axis=-1)

    return jax.tree.map(take, like)


def _entered(static: "StaticArgs", inputs: LayerInputs, left: LSTMState) -> LSTMState:
    """The state that entered each step, after resets, from the one that left each."""
    steps = sequence_length(left)
    first = steps - 1 if static.reverse else 0

    def all_steps(state: Any) -> Any:
        return jax.tree.map(lambda a: a[None], state)

    state = jax.tree.map(partial(shifted, by=-1 if static.reverse else 1), left)
    state = select(jnp.arange(steps) == first, all_steps(inputs.state), state)
    reset = inputs.step_masks.reset
    if reset is None:
        return state
    return select(reset, all_steps(inputs.reset_state), state)


def _has_one_buffer(inputs: LayerInputs) -> bool:
    """Whether x·W_x is one array that pre-activations can take the place of.

    A norm of both shares needs them apart, a slice needs a step, and one input has no
    product of all steps.
    """
    cell: Any = inputs.cell
    steps = sequence_length(inputs.x)
    no_steps = isinstance(steps, int) and not steps
    if isinstance(cell.norm, SplitNorm) or no_steps:
        return False
    return cell.norm is not None or cell.input_size > 1


def _scan_in_place(static: "StaticArgs", inputs: LayerInputs) -> tuple[LSTMState, Any]:
    """The last state, and (y, residuals), in the memory of the projected input.

    Each step's pre-activations take the place of what they were made from: half the
    memory, and none that is fresh, which a CPU pays for with page faults.
    """
    steps = sequence_length(inputs.x)
    cell: Any = inputs.cell
    body = layer_step(static, inputs, save=True)

    def step(carry: Any, xs: Any) -> tuple[Any, Any]:
        state, buffer = carry
        t, stepped, masks = xs
        zx = lax.dynamic_index_in_dim(buffer, t, keepdims=False)
        state, (y, saved) = body(state, ((_in_step(cell, zx), stepped), masks))
        buffer = lax.dynamic_update_index_in_dim(buffer, *saved.pre, t, 0)
        return (state, buffer), (y, saved._replace(pre=()))

    zx = _before(cell, inputs.x)
    # What replaces it has the mesh type of the state too.
    both = lambda zx, h: _in_step(cell, zx) + matmul(h, cell.w_h)[None]  # noqa: E731
    zx = match_type(zx, typed_eval_shape(both, zx, inputs.state.h))
    xs = jnp.arange(steps), inputs.stepped, inputs.step_masks
    (end, buffer), (y, saved) = static.scan(step, (inputs.state, zx), xs)
    return end, (y, saved._replace(pre=(buffer,)))


def linear_scan(
    static: "StaticArgs",
    step: Callable[[Any, Any], Body],
    given: Any,
    tangents: Any,
    dstate: LSTMState,
    xs: Any,
) -> tuple[LSTMState, jax.Array]:
    """The scan of the tangent, which JAX differentiates and transposes.

    Args:
        static: direction and unrolling.
        step: (given, tangents) -> a body; it closes over no other array.
        given: the cell, in which a CPU has w_h transposed, and its `DropMasks` of all
            steps.
        tangents: of the cell's `gate_leaves`, and of the reset state.
        dstate: the tangent of the state that enters first.
        xs: ((what is saved of each step, its drop masks), its `StepMasks`), and the
            tangents (dpre, dp), which are linear too.
    """
    return static.scan(step(given, tangents), dstate, xs)


@dataclasses.dataclass(frozen=True)
class StaticArgs:
    """How the recurrence runs; every field is compared by value, or it is traced anew.

    An implementation with a kernel of its own passes `primal`, `with_residuals` and
    `linear_scan`, and keeps the derivative rule, so that jvp, hessian and vmap work.

    Attributes:
        reverse: the last step is processed first.
        window: steps whose input product is taken together; None for all.
        cpu_window: likewise, where the program is lowered for a CPU.
        unroll: steps in one iteration of the compiled loop.
        gather: makes the output whole where a cell has a part of a layer's units.
        primal: gives the last state and y.
        with_residuals: gives the last state, and y with its `Residuals`.
        linear_scan: runs the tangent; JAX must be able to differentiate and transpose
            it.
        whole_steps: the tangent's step computes all that it can by itself: nothing is
            made for many steps beforehand but products.
    """

    reverse: bool = False
    window: int | None = None
    cpu_window: int | None = None
    unroll: int = 1
    gather: GatherOutput = identity
    primal: Primal = scan_primal
    with_residuals: Primal = scan_with_residuals
    linear_scan: LinearScan = linear_scan
    whole_steps: bool = False

    def scan(self, body: Body, carry: Any, xs: Any) -> Any:
        """`lax.scan` in this direction."""
        return lax.scan(body, carry, xs, reverse=self.reverse, unroll=self.unroll)
