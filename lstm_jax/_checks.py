# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Every error of shape, dtype, range and kind; no mathematics.

ValueError for shapes and values, TypeError for dtypes and kinds, NotImplementedError
for what an implementation cannot do. Each names the call, the argument, what was
expected and where that comes from, and what came.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

from lstm_jax import _cudnn
from lstm_jax._cell import ACTIVATIONS
from lstm_jax._implementations import Cudnn, Implementation, Loop, Scan
from lstm_jax._params import (
    Activation,
    Bidirectional,
    CellOptions,
    GateNorm,
    LSTMParams,
    Params,
    Residual,
    Reverse,
    SplitNorm,
    Stack,
    layers,
)
from lstm_jax._regularize import Regularizer
from lstm_jax._split import SplitUnits

SHAPES_SUFFICE = ("explain", "Cudnn.unpack")  # all others compute
MERGES = ("concat", "sum", "mul", "ave")


class Layout(NamedTuple):
    """The axes of x as the call understands them."""

    steps: Any
    batch: tuple[Any, ...]
    swapped: tuple[Any, ...] | None  # the batch axes if T and B stood the other way
    hint: str


def _name(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def _shape(
    call: str, name: str, value: Any, expected: tuple[Any, ...], why: str
) -> None:
    got = getattr(value, "shape", None)
    if got is None or tuple(got) != expected:
        text = tuple(got) if got is not None else _name(value)
        raise ValueError(
            f"{call}: {name} must have shape {expected} ({why}); got {text}."
        )


def dtype_of(value: Any) -> Any:
    """The dtype of an array of JAX or NumPy; None for any other, as torch's are."""
    dtype = getattr(value, "dtype", None)
    own = isinstance(dtype, np.dtype) or isinstance(value, jax.Array)
    return dtype if own else None


def _floating(call: str, name: str, value: Any, fix: str = "") -> None:
    dtype = dtype_of(value)
    if dtype is None and hasattr(value, "dtype"):
        raise TypeError(
            f"{call}: {name} must be an array of JAX or NumPy; got "
            f"{type(value).__module__}.{_name(value)}. Pass numpy.asarray of it."
        )
    if dtype is None:
        raise TypeError(f"{call}: {name} must be an array; got {_name(value)}.{fix}")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"{call}: {name} must have a floating dtype; got {dtype}.{fix}")
    if isinstance(value, jax.ShapeDtypeStruct) and call not in SHAPES_SUFFICE:
        raise TypeError(
            f"{call}: {name} must be an array; got a ShapeDtypeStruct, which has no "
            "values. Under jax.eval_shape it would do."
        )


def _is_key(value: Any) -> bool:
    return jnp.issubdtype(getattr(value, "dtype", float), jax.dtypes.prng_key)


def _is_raw_key(value: Any) -> bool:
    """A key of the older kind: a vector of uint32."""
    return getattr(value, "dtype", None) == jnp.uint32 and value.ndim == 1


def _options(call: str, path: str, options: Any) -> None:
    if not isinstance(options, CellOptions):
        kind = _name(options)
        raise TypeError(f"{call}: {path}.options must be CellOptions; got {kind}.")
    for field in ("gate_activation", "candidate_activation", "output_activation"):
        activation = getattr(options, field)
        known = isinstance(activation, Activation) and activation.name in ACTIVATIONS
        if not known:
            got = getattr(activation, "name", activation)
            raise ValueError(
                f"{call}: {path}.options.{field} must be one of "
                f"{', '.join(sorted(ACTIVATIONS))}; got {got!r}."
            )
    if options.coupled and not (options.input_gate and options.forget_gate):
        raise ValueError(
            f"{call}: {path}.options.coupled means f = 1 - i, which needs "
            "input_gate=True and forget_gate=True; got "
            f"input_gate={options.input_gate}, forget_gate={options.forget_gate}."
        )
    for field in ("clip", "cell_clip"):
        bound = getattr(options, field)
        number = isinstance(bound, int | float) and bound > 0
        if bound is not None and not number:
            raise ValueError(
                f"{call}: {path}.options.{field} must be positive or None; got "
                f"{bound!r}."
            )


def cell(call: str, cell: LSTMParams, path: str = "params") -> tuple[int, int]:
    """Checks one layer against itself; its input size and its output size."""
    _options(call, path, cell.options)
    for name in ("w_x", "w_h"):
        w = getattr(cell, name)
        _floating(call, f"{path}.{name}", w)
        if len(w.shape) != 2:
            axes = "(I, G*H)" if name == "w_x" else "(H, G*H)"
            raise ValueError(
                f"{call}: {path}.{name} must have shape {axes}; got {tuple(w.shape)}. "
                "Parameters with further axes go under jax.vmap."
            )
    gates = cell.options.gates
    present = f"gates {', '.join(gates)} are present by params.options"
    inputs, columns = cell.w_x.shape
    if columns % len(gates):
        raise ValueError(
            f"{call}: {path}.w_x must have {len(gates)} columns a unit ({present}); "
            f"got shape {(inputs, columns)}."
        )
    units = columns // len(gates)
    width = units
    if cell.projection is not None:
        _floating(call, f"{path}.projection", cell.projection)
        width = cell.projection.shape[-1]
        _shape(
            call,
            f"{path}.projection",
            cell.projection,
            (units, width),
            f"H={units} from {path}.w_x and {len(gates)} gates: {present}",
        )
    _shape(
        call,
        f"{path}.w_h",
        cell.w_h,
        (width, columns),
        f"from {path}.w_x {(inputs, columns)}; {present}; {width} outputs",
    )
    watching = len(gates.replace("g", ""))
    vectors: dict[str, tuple[Any, tuple[int, ...]]] = {
        "b": (cell.b, (columns,)),
        "peephole": (cell.peephole, (watching, units)),
    }
    match cell.norm:
        case None:
            pass
        case SplitNorm():
            for name, size in (
                ("gain_x", columns),
                ("gain_h", columns),
                ("gain_c", units),
                ("bias_c", units),
            ):
                vectors[f"norm.{name}"] = getattr(cell.norm, name), (size,)
                if getattr(cell.norm, name) is None:
                    raise ValueError(
                        f"{call}: {path}.norm.{name} must have shape {(size,)}; "
                        "got None."
                    )
        case GateNorm():
            _shape(call, f"{path}.norm.gain", cell.norm.gain, (columns,), present)
            vectors["norm.gain"] = cell.norm.gain, (columns,)
        case _:
            raise TypeError(
                f"{call}: {path}.norm must be SplitNorm, GateNorm or None; got "
                f"{_name(cell.norm)}."
            )
    for name, (value, shape) in vectors.items():
        if value is not None:
            _floating(call, f"{path}.{name}", value)
            _shape(
                call,
                f"{path}.{name}",
                value,
                shape,
                f"from {path}.w_x {(inputs, columns)}; {present}",
            )
    return inputs, width


def network(
    call: str,
    params: Any,
    features: Any,
    source: str = "x",
    path: str = "params",
    causal: bool = False,
) -> Any:
    """Checks a structure against the width of its input; the width of its output."""
    match params:
        case LSTMParams():
            inputs, width = cell(call, params, path)
            if features is not None and inputs != features:
                raise ValueError(
                    f"{call}: {path}.w_x must have {features} rows (the width of "
                    f"{source}); got shape {tuple(params.w_x.shape)}."
                )
            return width
        case Stack(layers):
            if not isinstance(layers, tuple | list) or not layers:
                raise ValueError(
                    f"{call}: {path}.layers must be a tuple of one layer or more; got "
                    f"{layers!r}."
                )
            for k, layer in enumerate(layers):
                own = f"{path}.layers[{k}]"
                features = network(call, layer, features, source, own, causal)
                source = f"the output of {own}"
            return features
        case Residual(inner):
            width = network(call, inner, features, source, f"{path}.inner", causal)
            if features is not None and width != features:
                raise ValueError(
                    f"{call}: {path} adds its input of width {features} ({source}) to "
                    f"its output, which must have that width; got {width}."
                )
            return width
        case Reverse() | Bidirectional() if causal:
            raise NotImplementedError(
                f"{call}: {path} is {_name(params)}, which needs the whole sequence; "
                "a step goes forward only. Use lstm_jax.apply."
            )
        case Reverse(inner):
            return network(call, inner, features, source, f"{path}.inner")
        case Bidirectional(forward, backward, merge):
            if merge not in MERGES:
                raise ValueError(
                    f"{call}: {path}.merge must be one of {', '.join(MERGES)}; got "
                    f"{merge!r}."
                )
            one = network(call, forward, features, source, f"{path}.forward")
            two = network(call, backward, features, source, f"{path}.backward")
            if merge == "concat":
                return one + two
            if one != two:
                raise ValueError(
                    f"{call}: {path}.merge={merge!r} needs two outputs of one width; "
                    f"got {one} and {two}."
                )
            return one
    raise TypeError(
        f"{call}: {path} must be LSTMParams, Stack, Bidirectional, Reverse or "
        f"Residual; got {_name(params)}."
    )


def _first(params: Any) -> tuple[Any, str]:
    """The layer that reads the input first, or what stands in its place."""
    path, node = "params", params
    while True:
        match node:
            case Stack(layers) if isinstance(layers, tuple | list) and layers:
                path, node = f"{path}.layers[0]", layers[0]
            case Bidirectional():
                path, node = f"{path}.forward", node.forward
            case Reverse(inner) | Residual(inner):
                path, node = f"{path}.inner", inner
            case _:
                return node, path


def parameters(call: str, params: Any, causal: bool = False) -> tuple[Any, str]:
    """Checks params by themselves; their input size and the layer it is found in."""
    first, path = _first(params)
    if not isinstance(first, LSTMParams):
        network(call, params, None, causal=causal)  # says what is wrong
        raise AssertionError("checked before")
    cell(call, first, path)
    size = first.w_x.shape[0]
    network(call, params, size, f"the input of {path}", causal=causal)
    return size, path


def _input(call: str, params: Any, x: Any, axes: str, causal: bool = False) -> None:
    """Checks params, and x against their input size; x has the axes named."""
    size, path = parameters(call, params, causal)
    fix = " One-hot or embed integer tokens first."
    _floating(call, "x", x, fix if hasattr(x, "dtype") else "")
    least = axes.count(",")
    if len(x.shape) < least or x.shape[-1] != size:
        raise ValueError(
            f"{call}: x must have shape {axes} with I={size} (from {path}.w_x); "
            f"got {tuple(x.shape)}."
        )


def _fits(shape: tuple[Any, ...], batch: tuple[Any, ...], size: int) -> bool:
    """Whether a state of this shape is (*B, size) or broadcasts to it."""
    if not shape or shape[-1] != size or len(shape) > len(batch) + 1:
        return False
    own = shape[:-1]
    against = batch[len(batch) - len(own) :]
    return all(
        (isinstance(a, int) and a == 1) or a == b
        for a, b in zip(own, against, strict=True)
    )


def state(
    call: str,
    name: str,
    params: Params,
    value: Any,
    batch: tuple[Any, ...],
    swapped: tuple[Any, ...] | None = None,
    hint: str = "",
) -> None:
    """Checks that a state mirrors params and broadcasts over the batch."""

    def must_hold(count: int, kind: str) -> None:
        if isinstance(value, tuple | list) and len(value) == count:
            return
        got = _name(value)
        if isinstance(value, tuple | list):
            got = f"{got} of {len(value)}"
        raise ValueError(
            f"{call}: {name} must be a tuple or list, {kind}; got {got}. "
            "lstm_jax.zero_state(params, batch_shape) makes one."
        )

    match params:
        case LSTMParams():
            must_hold(2, "(h, c) of LSTMParams")
            _cell_state(call, name, params, value, batch, swapped, hint)
        case Reverse(inner) | Residual(inner):
            state(call, name, inner, value, batch, swapped, hint)
        case Bidirectional(forward, backward):
            must_hold(2, "(forward, backward) of Bidirectional")
            for k, part in enumerate((forward, backward)):
                state(call, f"{name}[{k}]", part, value[k], batch, swapped, hint)
        case Stack(layers):
            must_hold(len(layers), f"the {len(layers)} states of Stack")
            for k, part in enumerate(layers):
                state(call, f"{name}[{k}]", part, value[k], batch, swapped, hint)


def _cell_state(
    call: str,
    name: str,
    cell: LSTMParams,
    value: Any,
    batch: tuple[Any, ...],
    swapped: tuple[Any, ...] | None,
    hint: str,
) -> None:
    units = cell.w_x.shape[1] // len(cell.options.gates)
    for letter, part, size in zip("hc", value, (cell.w_h.shape[0], units), strict=True):
        own = f"{name}.{letter}"
        _floating(call, own, part)
        shape = tuple(part.shape)
        if not _fits(shape, batch, size):
            turned = swapped is not None and _fits(shape, swapped, size)
            raise ValueError(
                f"{call}: {own} must have shape {(*batch, size)}, or broadcast to it "
                f"over the batch axes (from x and params); got {shape}."
                + (hint if turned else "")
            )


def _integers(call: str, lengths: Any, layout: Layout, source: str = "x") -> None:
    """Checks lengths: dtype, shape, and range where they are concrete."""
    dtype = dtype_of(lengths)
    if dtype is None or not jnp.issubdtype(dtype, jnp.integer):
        got = dtype if dtype is not None else _name(lengths)
        raise TypeError(f"{call}: lengths must have an integer dtype; got {got}.")
    if tuple(lengths.shape) != layout.batch:
        turned = layout.swapped is not None and tuple(lengths.shape) == layout.swapped
        raise ValueError(
            f"{call}: lengths must have shape {layout.batch}, the batch axes of "
            f"{source}; got "
            f"{tuple(lengths.shape)}." + (layout.hint if turned else "")
        )
    concrete = isinstance(lengths, np.ndarray) or (
        isinstance(lengths, jax.Array)
        and not isinstance(lengths, jax.core.Tracer)
        and lengths.is_fully_addressable
    )
    if concrete and isinstance(layout.steps, int) and lengths.size:
        values = np.asarray(lengths)  # an operation on a jax.Array would be traced
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > layout.steps:
            raise ValueError(
                f"{call}: lengths must lie in [0, T] with T={layout.steps} (from "
                f"{source}); got values from {low} to {high}."
            )


def _resets(call: str, resets: Any, expected: tuple[Any, ...], axes: str) -> None:
    dtype = dtype_of(resets)
    if dtype is None or jnp.dtype(dtype) != jnp.bool_:
        got = dtype if dtype is not None else _name(resets)
        raise TypeError(f"{call}: resets must have dtype bool; got {got}.")
    _shape(call, "resets", resets, expected, f"{axes}, the time and batch axes of x")


def _positive(call: str, name: str, value: Any, extra: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(
            f"{call}: {name} must be a positive number of steps or None{extra}; got "
            f"{value!r}."
        )


def implementation(
    call: str,
    value: Any,
    steps: Any,
    foreign: bool = False,
    params: Any = None,
    batch: tuple[Any, ...] = (),
    against: Any = (),
) -> None:
    """Checks a way of running against what it is to run.

    Args:
        call: the public function.
        value: the way of running.
        steps: T.
        foreign: the step is a user's.
        params: the network, where it is this library's.
        batch: *B, likewise.
        against: reasons that are known already.
    """
    if not isinstance(value, Implementation):
        raise TypeError(
            f"{call}: implementation must be Scan(...), Loop(), Cudnn(...), "
            f"SplitUnits(...) or None; got {value!r}."
        )
    reasons = list(against)
    symbolic = not isinstance(steps, int)
    if isinstance(value, Loop) and symbolic:
        reasons.append("a Python loop needs a number of steps, and T is symbolic")
    if isinstance(value, Scan):
        if (
            isinstance(value.unroll, bool)
            or not isinstance(value.unroll, int)
            or value.unroll < 1
        ):
            raise ValueError(
                f"{call}: Scan.unroll must be a positive number of steps; got "
                f"{value.unroll!r}."
            )
        if value.window is not None:
            _positive(call, "Scan.window", value.window)
        if value.checkpoint is not None and value.checkpoint != "sqrt":
            _positive(call, "Scan.checkpoint", value.checkpoint, ', or "sqrt"')
        if value.unroll > 1 and symbolic:
            reasons.append("unroll > 1 needs a number of steps, and T is symbolic")
        if value.window is not None and foreign:
            reasons.append("window hoists x·W_x, which a foreign step does not have")
    if isinstance(value, Cudnn):
        if not isinstance(value.tf32, bool):
            raise TypeError(f"{call}: Cudnn.tf32 must be a bool; got {value.tf32!r}.")
        if foreign:
            reasons.append("it has a step of its own, and runs no foreign one")
    if isinstance(value, SplitUnits):
        for axis in (value.axis, value.batch or value.axis):
            _mesh_axis(call, value.mesh, axis)
        _automatic(call, value.mesh)
        reasons += _not_split(value, foreign, params, batch)
    if reasons:
        fix = " Scan() can." if isinstance(value, Cudnn) else ""
        raise NotImplementedError(
            f"{call}: {value} cannot run this: {'; '.join(reasons)}.{fix}"
        )


def _not_split(
    value: SplitUnits, foreign: bool, params: Any, batch: tuple[Any, ...]
) -> list[str]:
    """Why units cannot be split over devices."""
    if foreign:
        return ["a foreign step has no units that could be told apart"]
    reasons = set()
    if jax.sharding.get_abstract_mesh().manual_axes:
        reasons.add("it is inside a shard_map, and has one of its own")
    rows = 1 if value.batch is None else value.mesh.shape[value.batch]
    if batch and batch[0] % rows:
        reasons.add(f"{rows} devices do not divide the {batch[0]} rows")
    for layer in layers(params):
        units = layer.w_x.shape[1] // len(layer.options.gates)
        if units % value.devices:
            reasons.add(
                f"{value.devices} devices do not divide H={units}, and units are whole"
            )
        if layer.norm is not None:
            reasons.add(f"the mean in {_name(layer.norm)} is over all units")
    return sorted(reasons)


def step(call: str, params: Any, state_: Any, x: Any) -> None:
    """Checks the arguments of `lstm_step`."""
    _input(call, params, x, "(*B, I)", causal=True)
    state(call, "state", params, state_, tuple(x.shape[:-1]))


def sequence(
    call: str,
    params: Any,
    x: Any,
    state_: Any,
    *,
    lengths: Any,
    resets: Any,
    reset_state: Any,
    time_major: bool,
    regularizer: Any = None,
    key: Any = None,
    truncate: Any = None,
    implementation_: Any = None,
) -> None:
    """Checks the arguments of `apply`, `activations` and `explain`."""
    _input(call, params, x, "(T, *B, I)" if time_major else "(*B, T, I)")
    layout = _layout(x, time_major)
    where = layout.batch, layout.swapped, layout.hint
    if state_ is not None:
        state(call, "state", params, state_, *where)
    if lengths is not None:
        _integers(call, lengths, layout)
    if resets is not None:
        axes = "(T, *B)" if time_major else "(*B, T)"
        _resets(call, resets, tuple(x.shape[:-1]), axes)
    if reset_state is not None:
        if resets is None:
            raise ValueError(f"{call}: reset_state has no effect without resets.")
        state(call, "reset_state", params, reset_state, *where)
    _regularizer(call, regularizer, key)
    if truncate is not None:
        _positive(call, "truncate", truncate)
    if implementation_ is not None:
        against = (
            _cudnn.reasons(params, x, resets, truncate, regularizer)
            if isinstance(implementation_, Cudnn)
            else ()
        )
        implementation(
            call,
            implementation_,
            layout.steps,
            params=params,
            batch=layout.batch,
            against=against,
        )


def _layout(x: Any, time_major: bool) -> Layout:
    outer = tuple(x.shape[:-1])
    if time_major:
        steps, batch = outer[0], outer[1:]
        hint = " If x is (B, T, I), leave time_major=False."
    else:
        steps, batch = outer[-1], outer[:-1]
        hint = " If x is (T, B, I), pass time_major=True."
    return Layout(steps, batch, (steps,) if len(batch) == 1 else None, hint)


def _regularizer(call: str, regularizer: Any, key: Any) -> None:
    if regularizer is None:
        if key is not None:
            raise ValueError(
                f"{call}: key has no effect without a regularizer; pass "
                "regularizer=Regularizer(...) or drop the key."
            )
        return
    if not isinstance(regularizer, Regularizer):
        raise TypeError(
            f"{call}: regularizer must be a Regularizer or None; got "
            f"{_name(regularizer)}."
        )
    for name in (
        "dropout",
        "input_dropout",
        "recurrent_dropout",
        "zoneout_h",
        "zoneout_c",
        "weight_drop",
    ):
        rate = getattr(regularizer, name)
        if isinstance(rate, jax.core.Tracer) or not 0 <= rate < 1:
            raise ValueError(
                f"{call}: regularizer.{name} must lie in [0, 1); got {rate}."
            )
    if key is not None and not (_is_key(key) or _is_raw_key(key)):
        raise TypeError(
            f"{call}: key must be a JAX random key, as jax.random.key(seed) makes; got "
            f"{key!r}."
        )
    if key is None and not regularizer.deterministic:
        raise ValueError(
            f"{call}: regularizer needs a key; pass key=jax.random.key(...), or "
            "regularizer.inference() for evaluation."
        )


def steps(
    call: str,
    xs: Any,
    state_: Any,
    lengths: Any,
    resets: Any,
    reset_state: Any,
    truncate: Any,
) -> None:
    """Checks the arguments of `unroll`, whose xs and state are any trees."""
    leaves = jax.tree_util.tree_leaves_with_path(xs)
    if not leaves or not all(jnp.ndim(a) for _, a in leaves):
        raise ValueError(f"{call}: xs must be a tree of arrays (T, *B, …); got {xs!r}.")
    total = jnp.shape(leaves[0][1])[0]
    batch: tuple[Any, ...] | None = None
    if resets is not None:
        batch = tuple(getattr(resets, "shape", ()))[1:]
        _resets(call, resets, (total, *batch), "(T, *B)")
    if lengths is not None:
        if batch is None:
            batch = tuple(getattr(lengths, "shape", ()))
        _integers(call, lengths, Layout(total, batch, None, ""), "xs")
    for path, a in leaves:
        where = f"xs{jax.tree_util.keystr(path)}"
        _leading(call, where, a, (total, *(batch or ())), "T of the first leaf and *B")
    if batch is not None:
        for path, a in jax.tree_util.tree_leaves_with_path(state_):
            where = f"state{jax.tree_util.keystr(path)}"
            _leading(call, where, a, batch, "*B of lengths or resets")
    keys = [a for a in jax.tree.leaves(state_) if _is_key(a)]
    if resets is not None and reset_state is None and keys:
        raise ValueError(
            f"{call}: reset_state must be given where the state holds random keys, "
            "which have no zero; got None."
        )
    if reset_state is not None:
        if resets is None:
            raise ValueError(f"{call}: reset_state has no effect without resets.")
        got, want = map(jax.tree.structure, (reset_state, state_))
        if got != want:  # type: ignore[operator]
            raise ValueError(
                f"{call}: reset_state must have the structure of state, {want}; got "
                f"{got}."
            )
    if truncate is not None:
        _positive(call, "truncate", truncate)


def _leading(
    call: str, name: str, value: Any, expected: tuple[Any, ...], why: str
) -> None:
    got = jnp.shape(value)
    if got[: len(expected)] != expected:
        raise ValueError(
            f"{call}: {name} must have the leading axes {expected} ({why}); got shape "
            f"{got}."
        )


def kept(call: str, before: Any, after: Any) -> None:
    """Checks that a step gave its state back with the types it had."""
    one, two = jax.tree.structure(before), jax.tree.structure(after)
    if one != two:  # type: ignore[operator]
        raise TypeError(
            f"{call}: step must return a state of the structure it was given, {one}; "
            f"got {two}."
        )
    named = jax.tree_util.tree_leaves_with_path(before)
    for (path, a), b in zip(named, jax.tree.leaves(after), strict=True):
        if (a.shape, a.dtype) != (b.shape, b.dtype) and not a.weak_type:
            raise TypeError(
                f"{call}: step must keep the shape and dtype of the state; "
                f"state{jax.tree_util.keystr(path)} is {a.dtype}{list(a.shape)} and "
                f"becomes {b.dtype}{list(b.shape)}."
            )


def _mesh_axis(call: str, mesh: Any, axis: Any) -> None:
    names = getattr(mesh, "axis_names", None)
    if names is None:
        raise TypeError(f"{call}: mesh must be a jax.sharding.Mesh; got {_name(mesh)}.")
    if axis not in names:
        raise ValueError(
            f"{call}: axis must be an axis of the mesh, one of {names}; got {axis!r}."
        )


def _automatic(call: str, mesh: Any) -> None:
    """Checks that arrays from anywhere may enter a `shard_map` over a mesh."""
    if any(kind != AxisType.Auto for kind in mesh.axis_types):
        raise ValueError(
            f"{call}: mesh must have automatic axes; got {mesh.axis_types}. Pass "
            "axis_types=(jax.sharding.AxisType.Auto, ...) to jax.make_mesh."
        )


def _named_rows(call: str, tree: Any, axes: Any) -> list[tuple[str, int, Any]]:
    """The path, the number of rows and the shape of every array of a batch."""
    found = []
    named = jax.tree_util.tree_leaves_with_path(tree)
    for (path, a), k in zip(named, jax.tree.leaves(axes), strict=True):
        name, shape = f"batch{jax.tree_util.keystr(path)}", jnp.shape(a)
        if not 0 <= k < len(shape):
            raise ValueError(
                f"{call}: batch_axis must be an axis of {name}, counted from 0; got "
                f"{k} for shape {shape}."
            )
        found.append((name, shape[k], shape))
    return found


def rows(
    call: str, tree: Any, axes: Any, axis: str, mesh: Any, local: bool = False
) -> None:
    """Checks that the devices of a mesh, or of this process, divide a batch."""
    _mesh_axis(call, mesh, axis)
    if not local:
        _automatic(call, mesh)
    number = (mesh.local_mesh if local else mesh).shape[axis]
    for name, size, shape in _named_rows(call, tree, axes):
        if size % number:
            raise ValueError(
                f"{call}: {name} must have a batch that the {number} devices of the "
                f"mesh axis {axis!r} divide; got {size} rows in shape {shape}. "
                "lstm_jax.sharding.pad_batch adds rows of length 0."
            )


def same_batch(call: str, tree: Any, axes: Any, lengths: Any, number: Any) -> None:
    """Checks that every array has as many rows as there are lengths."""
    if not isinstance(number, int | np.integer) or number < 1:
        raise ValueError(
            f"{call}: number must be a positive number of devices; got {number!r}."
        )
    layout = tuple(getattr(lengths, "shape", ()))
    if len(layout) != 1:
        raise ValueError(f"{call}: lengths must have shape (B,); got {layout}.")
    _integers(call, lengths, Layout(None, layout, None, ""))
    for name, size, shape in _named_rows(call, tree, axes):
        if size != layout[0]:
            raise ValueError(
                f"{call}: {name} must have {layout[0]} rows (from lengths); got {size} "
                f"in shape {shape}."
            )
