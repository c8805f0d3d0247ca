# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Where the arrays of a layer stand in Keras' weights files, of versions 2 and 3."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.convert._files import Refused
from lstm_jax.convert._hdf5 import Hdf5
from lstm_jax.convert._keras_config import DEFAULTS, SIDES, Entry, Recurrent

WEIGHTS = ("kernel", "recurrent_kernel", "bias")
WEIGHT = re.compile(rf"(?:(.*)/)?({'|'.join(WEIGHTS)})(?:_\d+)?(?::0)?")
OLDER = "_layer_checkpoint_dependencies"  # what Keras 2.13 called layers
WAYS = ("forward", "backward")
NEED_CONFIG = "the model's JSON tells them apart: pass it as config"


class Arrays(NamedTuple):
    """What one cell has in a file."""

    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None = None


class Run(NamedTuple):
    """Weights of one cell, one after the other in a layer's list.

    Attributes:
        scope: what stands before their own names.
        names: kernel, recurrent kernel and, if there is one, bias.
    """

    scope: tuple[str, ...]
    names: list[str]


def keras2_arrays(file: Hdf5, weights: Any, entry: Entry) -> list[list[Arrays]]:
    """The arrays of a layer's cells, for each direction, in the layout of Keras 2.

    Args:
        file: the file.
        weights: the group that has one group a layer.
        entry: the layer.
    """
    where = "/".join(entry.names)
    group = file.find(weights, *entry.names[0].split("/"))
    if group is None:
        raise file.refused(f"must have the weights of {where}; it has none")
    found = _runs(file, group)
    if entry.nested:  # a list of all the weights of the model within the model
        own = entry.names[-1].rpartition("/")[2]
        found = [run for run in found if own in run.scope]
    needed = sum(len(part.cells) for part in entry.parts)
    if len(found) != needed:
        raise file.refused(
            f"must have the weights of {needed} cells for {where}; it has those of "
            f"{len(found)} under that name"
        )
    if _starts(found[0], "backward_") and _starts(found[-1], "forward_"):
        half = len(entry.parts[0].cells)  # weights that are not trained come last
        found = found[-half:] + found[:-half]
    cells = iter(found)
    return [
        [_read(file, group, next(cells).names) for _ in part.cells]
        for part in entry.parts
    ]


def _read(file: Hdf5, group: Any, names: list[str]) -> Arrays:
    return Arrays(*(file.array(group, *name.split("/")) for name in names))


def _runs(file: Hdf5, group: Any) -> list[Run]:
    """The weights of LSTM cells in a layer's group; other layers have other shapes."""
    found = [Run((), [])]
    for name in file.texts(group, "weight_names") or ():
        match = WEIGHT.fullmatch(name)
        if match is None:
            found.append(Run((), []))
        elif match[2] == "kernel":
            found.append(Run(tuple((match[1] or "").split("/")), [name]))
        elif found[-1].names and WEIGHTS.index(match[2]) == len(found[-1].names):
            found[-1].names.append(name)
        else:
            found.append(Run((), []))
    return [
        run
        for run in found
        if _are_lstm([_shape(file, group, *name.split("/")) for name in run.names])
    ]


def _shape(file: Hdf5, node: Any, *names: str) -> tuple[int, ...] | None:
    return file.shape(file.find(node, *names))


def _are_lstm(shapes: list[tuple[int, ...] | None]) -> bool:
    """Whether shapes are of kernel, recurrent kernel and bias with four gates."""
    match shapes:
        case [(_, columns), (units, recurrent)] | [
            (_, columns),
            (units, recurrent),
            (_,),
        ]:
            return columns == recurrent == 4 * units
    return False


def _starts(run: Run, prefix: str) -> bool:
    return any(part.startswith(prefix) for part in run.scope)


def keras3_arrays(file: Hdf5, entry: Entry) -> list[list[Arrays]]:
    """The arrays of a layer's cells, for each direction, in the layout of Keras 3."""
    found = []
    for part, side in zip(entry.parts, SIDES, strict=False):
        place = (*entry.place, side) if len(entry.parts) > 1 else entry.place
        cells = [(*place, "cell")]
        if part.stacked:
            numbers = ["", *(f"_{k}" for k in range(1, len(part.cells)))]
            cells = [(*place, "cell", "cells", f"lstm_cell{k}") for k in numbers]
        found.append([_variables(file, cell) for cell in cells])
    return found


def _variables(file: Hdf5, place: tuple[str, ...]) -> Arrays:
    """The arrays of one cell; Keras 2.13 had another word and, on Windows, one name."""
    older = [OLDER if p == "layers" else p for p in place]
    for names in (place, older, ["\\".join(place)], ["\\".join(older)]):
        group = file.find(file.root, *names, "vars")
        if group is not None and len(group) in (2, 3):
            return Arrays(*(file.array(group, str(k)) for k in range(len(group))))
    raise file.refused(f"must have the weights {'/'.join(place)}; it has none")


def guessed_keras2(file: Hdf5, weights: Any, version: str | None) -> Iterator[Entry]:
    """The LSTMs of a file that has no configuration: Keras' defaults, or unclear."""
    for name in file.texts(weights, "layer_names") or ():
        try:
            parts = _guessed_layer(file, weights, name, version)
        except Refused as error:
            yield Entry((name,), (), [], unclear=str(error))
        else:
            if parts:
                yield Entry((name,), (), parts, guessed=True)


def _guessed_layer(
    file: Hdf5, weights: Any, name: str, version: str | None
) -> list[Recurrent]:
    """The directions of an LSTM, by its weights alone; none of another layer."""
    group = file.find(weights, *name.split("/"))
    if group is None:
        raise file.refused(f"must have the weights of {name}; it has none")
    found = _runs(file, group)
    if not found:
        return []
    parts = [_guessed_part(file, group, run, name, version) for run in found]
    weighed = sum(len(run.names) for run in found)
    if weighed == len(file.texts(group, "weight_names") or ()):
        if len(found) == 1:
            return parts
        ways = [_starts(run, f"{side}_") for run in found for side in WAYS]
        if ways == [True, False, False, True]:
            return _two_ways(parts)
    raise file.refused(
        f"has {len(found)} LSTMs in {name} of which it does not say what they are; "
        f"{NEED_CONFIG}"
    )


def _guessed_part(
    file: Hdf5, group: Any, run: Run, name: str, version: str | None
) -> Recurrent:
    shapes = [_shape(file, group, *part.split("/")) for part in run.names]
    units = shapes[1][0] if shapes[1] else 0
    if shapes[2:] == [(8 * units,)]:
        return Recurrent([DEFAULTS], False, False)
    match = re.match(r"(\d+)\.(\d+)", version or "")
    if match is None or (match.string.startswith("2.2") and "tf" in match.string):
        raise file.refused(
            f"does not say whether the gates of {name} are sigmoid or hard_sigmoid, "
            f"either of which was the default of Keras {version}; {NEED_CONFIG}"
        )
    old = (int(match[1]), int(match[2])) < (2, 3)
    gate = {"recurrent_activation": "hard_sigmoid"} if old else {}
    return Recurrent([{**DEFAULTS, **gate}], False, False)


def _two_ways(parts: list[Recurrent]) -> list[Recurrent]:
    return [parts[0], parts[1]._replace(backwards=True)]


def guessed_keras3(
    file: Hdf5, group: Any, place: tuple[str, ...] = ()
) -> Iterator[Entry]:
    """The LSTMs of a file that has no configuration: Keras' defaults, or unclear."""
    for name, child in file.children(group):
        here = (*place, name)
        if here == ("optimizer",):
            continue
        names = tuple(part for part in here if part != "layers")
        sides = [_guessed_cells(file, file.find(child, side)) for side in SIDES]
        alone = _guessed_cells(file, child)
        if sides[0] and sides[1] and not alone:
            parts = _two_ways([sides[0], sides[1]])
            yield Entry(names, here, parts, guessed=True)
        elif alone and not any(sides):
            yield Entry(names, here, [alone], guessed=True)
        elif (
            alone
            or any(sides)
            or (re.fullmatch(r"lstm(_\d+)?", name) and file.find(child, "cell"))
            or _are_lstm(_shapes(file, child))
        ):
            error = file.refused(
                f"has the weights of an LSTM in {'/'.join(here)} of which it does not "
                f"say what they are; {NEED_CONFIG}"
            )
            yield Entry(names, here, [], unclear=str(error))
        else:
            yield from guessed_keras3(file, child, here)


def _guessed_cells(file: Hdf5, node: Any) -> Recurrent | None:
    """A layer that has the LSTM cells of a group, or None."""
    if _are_lstm(_variable_shapes(file, file.find(node, "cell"))):
        return Recurrent([DEFAULTS], False, False)
    cells = file.find(node, "cell", "cells")
    if not cells:
        return None
    names = [f"lstm_cell_{k}" if k else "lstm_cell" for k in range(len(cells))]
    each = [_variable_shapes(file, file.find(cells, name)) for name in names]
    known = all(_are_lstm(shapes) for shapes in each)
    return Recurrent([DEFAULTS] * len(names), True, False) if known else None


def _variable_shapes(file: Hdf5, node: Any) -> list[tuple[int, ...] | None]:
    group = file.find(node, "vars")
    return [] if group is None else _shapes(file, group)


def _shapes(file: Hdf5, group: Any) -> list[tuple[int, ...] | None]:
    return [_shape(file, group, name) for name in group]
