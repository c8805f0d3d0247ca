# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What Flax's linen and nnx have in common: functions, structure, one kernel a gate."""

import functools
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax._activation_functions import ActivationFn, activate, explicit
from lstm_jax._params import Bidirectional, Merge, Params, Reverse, Stack, layers
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.cells.options import CellOptions
from lstm_jax.convert._arrays import bias, named

# The first function of an activation is the one that is written.
FUNCTIONS: tuple[tuple[ActivationFn, Callable[..., Any]], ...] = (
    (ActivationFn("sigmoid"), jax.nn.sigmoid),
    (ActivationFn("sigmoid"), jax.lax.logistic),
    (ActivationFn("tanh"), jnp.tanh),
    (ActivationFn("tanh"), jax.lax.tanh),
    (ActivationFn("hard_sigmoid", 1 / 6, 0.5), jax.nn.hard_sigmoid),
    (ActivationFn("relu"), jax.nn.relu),
    (ActivationFn("elu"), jax.nn.elu),
    (ActivationFn("leaky_relu"), jax.nn.leaky_relu),
    (ActivationFn("softplus"), jax.nn.softplus),
    (ActivationFn("softsign"), jax.nn.soft_sign),
    (ActivationFn("affine"), jax.nn.identity),
)


def average(a: jax.Array, b: jax.Array) -> jax.Array:
    """The mean of two outputs, which JAX has no function for."""
    return (a + b) / 2


MERGES: dict[Merge, Callable[..., Any]] = {
    "concat": lambda a, b: jnp.concatenate([a, b], -1),
    "sum": jnp.add,
    "mul": jnp.multiply,
    "ave": average,
}


def activation(function: Any) -> ActivationFn | None:
    """What a function is, if it is JAX's or `function` made it."""
    if isinstance(function, functools.partial) and function.func is activate:
        return function.args[0]
    return next((known for known, f in FUNCTIONS if f is function), None)


def function(wanted: ActivationFn) -> Callable[..., Any]:
    """The function that a Flax cell takes."""
    same = (f for known, f in FUNCTIONS if explicit(known) == explicit(wanted))
    known = next(same, None)
    return functools.partial(activate, wanted) if known is None else known


def merge(function: Any) -> Merge | None:
    """What a function of two outputs does, found by calling it: most are lambdas."""
    rng = np.random.default_rng(0)
    scale = 10.0 ** rng.integers(-3, 4, (2, 3, 5, 4))
    a, b = jnp.asarray(rng.standard_normal(scale.shape) * scale, jnp.float32)
    try:
        got = np.asarray(function(a, b))
    except Exception:  # whatever it is, it is none of ours
        return None
    for kind, known in MERGES.items():
        expected = np.asarray(known(a, b))
        if got.shape == expected.shape and np.allclose(got, expected, 1e-5, 0):
            return kind
    return None


def structure(kit: ModuleType, module: Any) -> tuple[Any, list[str]]:
    """The network that a module is, with the module in place of each `w_x`.

    Args:
        kit: flax.linen or flax.nnx.
        module: one of its cells, RNN, Bidirectional or Sequential.

    Returns:
        Parameters without arrays, and what of the module they cannot express.
    """
    reasons: list[str] = []
    if type(module) in (kit.LSTMCell, kit.OptimizedLSTMCell):
        return _cell(kit, module, "module", reasons), reasons
    if type(module) is not kit.Sequential:
        return _over_time(kit, module, "module", reasons), reasons
    members = list(module.layers)
    for k, member in enumerate(members[:-1]):
        if type(member) is kit.RNN and member.reverse and not member.keep_order:
            reasons.append(
                f"outputs in the order of processing under another layer (in "
                f"module.layers[{k}], which lacks keep_order=True)"
            )
    parts = [
        _over_time(kit, member, f"module.layers[{k}]", reasons)
        for k, member in enumerate(members)
    ]
    return Stack(tuple(parts)), reasons


def _over_time(kit: ModuleType, module: Any, path: str, reasons: list[str]) -> Any:
    if type(module) is kit.RNN:
        inner = _cell(kit, module.cell, f"{path}.cell", reasons)
        return Reverse(inner) if module.reverse else inner
    if type(module) is not kit.Bidirectional:
        reasons.append(f"{_name(module)} (in {path})")
        return LSTMParams(module, None)
    kind = merge(module.merge_fn)
    if kind is None:
        reasons.append(f"merge_fn {_name(module.merge_fn)} (in {path})")
    both = []
    for name in ("forward_rnn", "backward_rnn"):
        part = getattr(module, name)
        inner = _over_time(kit, part, f"{path}.{name}", reasons)
        if isinstance(inner, Bidirectional):
            reasons.append(f"Bidirectional within Bidirectional (in {path}.{name})")
        # Bidirectional itself says what runs in which direction.
        both.append(inner.inner if isinstance(inner, Reverse) else inner)
    return Bidirectional(both[0], both[1], merge=kind or "concat")


def _cell(kit: ModuleType, cell: Any, path: str, reasons: list[str]) -> LSTMParams:
    if type(cell) not in (kit.LSTMCell, kit.OptimizedLSTMCell):
        reasons.append(f"{_name(cell)} (in {path})")
        return LSTMParams(cell, None)
    found = {}
    for name in ("gate_fn", "activation_fn"):
        found[name] = activation(getattr(cell, name))
        if found[name] is None:
            reasons.append(f"{name} {_name(getattr(cell, name))} (in {path})")
    if cell.carry_init not in (None, jax.nn.initializers.zeros):
        reasons.append(f"carry_init (in {path}; `apply` takes a state)")
    gate, other = (found[name] or "tanh" for name in ("gate_fn", "activation_fn"))
    options = CellOptions(
        gate_activation=gate, candidate_activation=other, output_activation=other
    )
    return LSTMParams(cell, None, options=options)


def _name(value: Any) -> str:
    """Of a function its own, of a module that of its class."""
    return getattr(value, "__name__", type(value).__name__)


def two_activations(params: Params) -> Iterator[str]:
    """Why Flax cannot express the activations, which it has one of for g and c."""
    for cell in layers(params):
        options = cell.options
        both = options.candidate_activation, options.output_activation
        if len(set(map(explicit, both))) > 1:
            yield "one activation of g and another of c"
            return


def split_kernels(
    call: str, where: str, tree: Any, names: dict[str, str]
) -> dict[str, np.ndarray]:
    """The arrays of an LSTMCell, joined.

    Args:
        call: the public function.
        where: of the tree, for messages.
        tree: nested names to arrays.
        names: of the input's Dense by gate.

    Returns:
        `w_x`, `w_h` and `b`.
    """
    sides = {
        "w_x": ([f"{names[gate]}.kernel" for gate in "ifgo"], "(I, H)"),
        "w_h": ([f"h{gate}.kernel" for gate in "ifgo"], "(H, H)"),
        "b": ([f"h{gate}.bias" for gate in "ifgo"], "(H,)"),
    }
    flat = flax.traverse_util.flatten_dict(tree, sep=".")
    required = [name for parts, _ in sides.values() for name in parts]
    arrays = named(call, flat, required, where=where)
    joined = {}
    for side, (parts, axes) in sides.items():
        shapes = [arrays[name].shape for name in parts]
        # Gates of several sizes could add up to what four of one size have.
        if len(set(shapes)) > 1 or len(shapes[0]) != (1 if side == "b" else 2):
            raise ValueError(
                f"{call}: {', '.join(parts)} of {where} must have one shape {axes}; "
                f"got {', '.join(map(str, shapes))}."
            )
        joined[side] = np.concatenate([arrays[name] for name in parts], -1)
    return joined


def split(cell: LSTMParams, names: dict[str, str]) -> dict[str, dict[str, np.ndarray]]:
    """The inverse of `split_kernels`."""
    tree: dict[str, dict[str, np.ndarray]] = {}
    parts = (np.split(a, 4, -1) for a in (cell.w_x, cell.w_h, bias(cell)))
    for gate, w_x, w_h, b in zip("ifgo", *parts, strict=True):
        tree[names[gate]] = {"kernel": w_x}
        tree[f"h{gate}"] = {"kernel": w_h, "bias": b}
    return tree
