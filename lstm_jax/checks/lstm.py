# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What can be wrong with an LSTM layer by itself."""

from collections.abc import Iterator
from typing import Any

from lstm_jax._activation_functions import ACTIVATIONS, ActivationFn
from lstm_jax._norms import GateNorm, SplitNorm
from lstm_jax.cells.options import CellOptions
from lstm_jax.checks.messages import dtype_problem, kind_of, shape_problem


def lstm_problems(cell: Any) -> list[str | Exception]:
    """What contradicts itself in an `LSTMParams`; later ones may follow from it."""
    for found in (_options(cell.options), _matrices(cell), _vectors(cell)):
        problems = list(found)
        if problems:
            return problems
    return []


def _options(options: Any) -> Iterator[str | Exception]:
    if not isinstance(options, CellOptions):
        yield TypeError(f"options must be CellOptions; got {kind_of(options)}.")
        return
    for field in ("gate_activation", "candidate_activation", "output_activation"):
        activation = getattr(options, field)
        known = isinstance(activation, ActivationFn) and activation.name in ACTIVATIONS
        if not known:
            got = getattr(activation, "name", activation)
            yield (
                f"options.{field} must be one of {', '.join(sorted(ACTIVATIONS))}; got "
                f"{got!r}."
            )
    if options.coupled and not (options.input_gate and options.forget_gate):
        yield (
            "options.coupled means f = 1 - i, which needs input_gate=True and "
            f"forget_gate=True; got input_gate={options.input_gate}, "
            f"forget_gate={options.forget_gate}."
        )
    for field in ("clip", "cell_clip"):
        bound = getattr(options, field)
        number = isinstance(bound, int | float) and bound > 0
        if bound is not None and not number:
            yield f"options.{field} must be positive or None; got {bound!r}."


def _present(cell: Any) -> str:
    return f"gates {', '.join(cell.options.gates)} are present by options"


def _matrices(cell: Any) -> Iterator[str | Exception]:
    for name in ("w_x", "w_h"):
        w = getattr(cell, name)
        if problem := dtype_problem(name, w):
            yield TypeError(problem)
            return
        if len(w.shape) != 2:
            axes = "(I, G*H)" if name == "w_x" else "(H, G*H)"
            yield (
                f"{name} must have shape {axes}; got {tuple(w.shape)}. Parameters with "
                "further axes go under jax.vmap."
            )
            return
    gates, present = cell.options.gates, _present(cell)
    inputs, columns = cell.w_x.shape
    if columns % len(gates):
        yield (
            f"w_x must have {len(gates)} columns a unit ({present}); got shape "
            f"{(inputs, columns)}."
        )
        return
    units = width = columns // len(gates)
    if cell.projection is not None:
        if problem := dtype_problem("projection", cell.projection):
            yield TypeError(problem)
            return
        width = cell.projection.shape[-1]
        why = f"H={units} from w_x and {len(gates)} gates: {present}"
        if problem := shape_problem("projection", cell.projection, (units, width), why):
            yield problem
    why = f"from w_x {(inputs, columns)}; {present}; {width} outputs"
    if problem := shape_problem("w_h", cell.w_h, (width, columns), why):
        yield problem


def _vectors(cell: Any) -> Iterator[str | Exception]:
    inputs, columns = cell.w_x.shape
    units, present = cell.hidden_size, _present(cell)
    peepholes = len(cell.options.gates.replace("g", ""))
    vectors: dict[str, tuple[Any, tuple[int, ...]]] = {
        "b": (cell.b, (columns,)),
        "peephole": (cell.peephole, (peepholes, units)),
    }
    needed = {
        SplitNorm: {
            "gain_x": columns,
            "gain_h": columns,
            "gain_c": units,
            "bias_c": units,
        },
        GateNorm: {"gain": columns},
        type(None): {},
    }.get(type(cell.norm))
    if needed is None:
        kind = kind_of(cell.norm)
        yield TypeError(f"norm must be SplitNorm, GateNorm or None; got {kind}.")
        return
    for name, size in needed.items():
        value = getattr(cell.norm, name)
        vectors[f"norm.{name}"] = value, (size,)
        if value is None:
            yield f"norm.{name} must have shape {(size,)} ({present}); got None."
    why = f"from w_x {(inputs, columns)}; {present}"
    for name, (value, shape) in vectors.items():
        if value is None:
            continue
        if problem := dtype_problem(name, value):
            yield TypeError(problem)
        elif problem := shape_problem(name, value, shape, why):
            yield problem
