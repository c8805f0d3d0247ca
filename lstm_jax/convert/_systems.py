# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What each system can express: one declaration for refusals, README and tests."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from lstm_jax._norms import GateNorm, SplitNorm
from lstm_jax._params import Bidirectional, Params, Residual, Reverse, Stack, layers
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.cells.options import CellOptions
from lstm_jax.checks.params import check_params

# By name, what a network may have beyond one layer with biases.
FEATURES = {
    "stack": "several layers (`Stack`)",
    "sizes": "layers of different hidden sizes",
    "bidirectional": "two directions, concatenated",
    "merge": "two directions, merged by sum, mul or ave",
    "reverse": "one direction, from the end (`Reverse`)",
    "residual": "added inputs (`Residual`)",
    "nesting": "structures nested otherwise",
    "unbiased": "no bias",
    "projection": "projection of h",
    "peephole": "peepholes",
    "split_norm": "layer norm, `SplitNorm`",
    "gate_norm": "layer norm, `GateNorm`",
    "coupled": "coupled gates, f = 1 − i",
    "absent": "absent gates",
    "activations": "other activations",
    "clip": "clip of pre-activations",
    "cell_clip": "clip of the cell state",
}


@dataclasses.dataclass(frozen=True)
class System:
    """A library or format, and which features go in and come out of it.

    Attributes:
        title: its name.
        reads: features that `from_…` understands.
        writes: features that `to_…` can express, or None where there is none.
        only: for features that are partly there, what there is.
    """

    title: str
    reads: frozenset[str]
    writes: frozenset[str] | None
    only: dict[str, str] = dataclasses.field(default_factory=dict)


def _features(names: str) -> frozenset[str]:
    found = frozenset(names.split())
    if unknown := found - set(FEATURES):
        raise ValueError(f"features must be of {list(FEATURES)}; got {unknown}.")
    return found


def _both(title: str, names: str, only: dict[str, str] | None = None) -> System:
    return System(title, _features(names), _features(names), only or {})


SYSTEMS = {
    "safetensors": _both("own file", " ".join(FEATURES)),
    "torch": _both("torch", "stack bidirectional unbiased projection"),
    "keras": _both(
        "Keras",
        "stack sizes bidirectional merge reverse unbiased activations",
        {"activations": "one for g and c"},
    ),
    "onnx": System(
        "ONNX",
        _features("bidirectional reverse unbiased peephole coupled activations clip"),
        _features(
            "stack sizes bidirectional merge reverse residual nesting unbiased "
            "peephole coupled activations clip"
        ),
    ),
    "linen": System(
        "Flax linen",
        _features("stack sizes bidirectional merge reverse activations"),
        _features("stack sizes bidirectional merge reverse unbiased activations"),
        {
            "merge": "with the module",
            "reverse": "with the module",
            "unbiased": "as zeros",
            "activations": "with the module; one for g and c",
        },
    ),
    "nnx": System(
        "Flax nnx",
        _features("stack sizes bidirectional merge reverse activations"),
        _features("stack sizes bidirectional merge reverse unbiased activations"),
        {"unbiased": "as zeros", "activations": "one for g and c"},
    ),
    "haiku": System(
        "Haiku",
        _features("stack sizes"),
        _features("stack sizes unbiased"),
        {"unbiased": "as zeros"},
    ),
    "equinox": _both("Equinox", "stack sizes unbiased"),
    "cudnn": _both("cuDNN", "stack bidirectional unbiased"),
    "tflite": System(
        "LiteRT",
        _features("projection peephole gate_norm coupled activations cell_clip"),
        None,
        {"activations": "one for g and c"},
    ),
}


def used(params: Params, path: str = "params") -> Iterator[tuple[str, str]]:
    """Every feature of a network, with what has it."""
    match params:
        case LSTMParams():
            yield from _cell(params, path)
            return
        case Stack(members):
            yield "stack", path
            parts = [(f"{path}.layers[{k}]", p) for k, p in enumerate(members)]
            allowed: tuple[type, ...] = (LSTMParams, Bidirectional, Reverse, Residual)
        case Bidirectional(forward, backward, merge):
            yield ("bidirectional" if merge == "concat" else "merge"), path
            parts = [(f"{path}.forward", forward), (f"{path}.backward", backward)]
            allowed = (LSTMParams,)
        case Reverse(inner):
            yield "reverse", path
            parts, allowed = [(f"{path}.inner", inner)], (LSTMParams,)
        case Residual(inner):
            yield "residual", path
            parts = [(f"{path}.inner", inner)]
            allowed = (LSTMParams, Bidirectional, Reverse)
    for where, part in parts:
        if not isinstance(part, allowed):
            yield "nesting", where
        yield from used(part, where)
    if len({p.w_x.shape[1] // len(p.options.gates) for p in layers(params)}) > 1:
        yield "sizes", path


def _cell(cell: LSTMParams, path: str) -> Iterator[tuple[str, str]]:
    options, plain = cell.options, CellOptions()
    found = {
        "unbiased": cell.b is None,
        "projection": cell.projection is not None,
        "peephole": cell.peephole is not None,
        "split_norm": isinstance(cell.norm, SplitNorm),
        "gate_norm": isinstance(cell.norm, GateNorm),
        "coupled": options.coupled,
        "absent": not all(
            (options.input_gate, options.forget_gate, options.output_gate)
        ),
        "activations": any(
            getattr(options, f"{name}_activation")
            != getattr(plain, f"{name}_activation")
            for name in ("gate", "candidate", "output")
        ),
        "clip": options.clip is not None,
        "cell_clip": options.cell_clip is not None,
    }
    yield from ((name, path) for name, there in found.items() if there)


def refuse(call: str, system: str, params: Params, more: Iterable[str] = ()) -> None:
    """Raises where a system cannot express a network; all reasons at once.

    Args:
        call: the public function.
        system: a key of `SYSTEMS`.
        params: parameters of any kind; they are checked first.
        more: reasons that no feature covers.

    Raises:
        ValueError, TypeError: the parameters are no network.
        NotImplementedError: it has features that the system does not write.
    """
    check_params(call, params)
    target = SYSTEMS[system]
    others = {type(c).__name__: 0 for c in layers(params) if type(c) is not LSTMParams}
    cannot = f"{target.title} cannot express"
    raise_reasons(call, cannot, [f"a layer of {name}" for name in others])
    where: dict[str, str] = {}
    for feature, path in used(params):
        if feature not in (target.writes or ()):
            where.setdefault(feature, path)
    reasons = [f"{FEATURES[f]} (in {path})" for f, path in where.items()]
    raise_reasons(call, cannot, [*reasons, *more])


def raise_reasons(call: str, what: str, reasons: list[str], fix: str = "") -> None:
    """Raises NotImplementedError if there are reasons; `fix` is a further sentence."""
    if reasons:
        raise NotImplementedError(f"{call}: {what}: {'; '.join(reasons)}.{fix}")


def chosen(call: str, names: Any, known: Iterable[str]) -> list[str]:
    """The names that are asked for, each known, or all for None."""
    known = list(known)
    if names is None:
        return known
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"{call}: names must be a list of names; got {names!r}.")
    names = list(names)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"{call}: names must be of {', '.join(map(repr, known))}; got "
            f"{', '.join(map(repr, unknown))}."
        )
    return names


def only(names: Iterable[str]) -> str:
    """How to read these although others cannot be read; "" if there are none."""
    listed = ", ".join(map(repr, names))
    return f" names=[{listed}] (--name) reads the others alone." if listed else ""


def table() -> str:
    """What goes into and comes out of each system, as Markdown."""
    lines = [
        f"| | {' | '.join(s.title for s in SYSTEMS.values())} |",
        f"| :-- |{' :-: |' * len(SYSTEMS)}",
    ]
    for feature, text in FEATURES.items():
        cells = [_entry(system, feature) for system in SYSTEMS.values()]
        lines.append(f"| {text} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _entry(system: System, feature: str) -> str:
    ways = {"in": system.reads, "out": system.writes or frozenset()}
    there = ", ".join(way for way, features in ways.items() if feature in features)
    note = system.only.get(feature, "")
    return f"{there} ({note})" if there and note else there


def members(params: Any) -> tuple[Any, ...]:
    """What stands one above the other in a network, itself if it is no `Stack`."""
    return tuple(params.layers) if isinstance(params, Stack) else (params,)


def directions(member: Any) -> tuple[LSTMParams, ...]:
    """The layer, or the forward and the backward one."""
    if isinstance(member, Bidirectional):
        return member.forward, member.backward
    return (member,)


def mixed(params: Any) -> Iterator[str]:
    """The reason of systems in which all layers have as many directions."""
    if len({len(directions(member)) for member in members(params)}) > 1:
        yield "layers of one and of two directions together"
