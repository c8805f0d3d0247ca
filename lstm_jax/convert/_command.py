# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The command line, in: every LSTM of a file, and those that stand in sequence."""

from argparse import Namespace
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from lstm_jax._params import Params, Reverse, Stack
from lstm_jax._text import uncoded
from lstm_jax.checks.params import check_params
from lstm_jax.convert._arrays import finished
from lstm_jax.convert._files import Refused, reading
from lstm_jax.convert._formats import format_of
from lstm_jax.convert._keras_config import chain as keras_chain
from lstm_jax.convert._keras_config import reverse
from lstm_jax.convert._keras_file import found_in, from_keras_h5, given, opened
from lstm_jax.convert._onnx_chain import chain as onnx_chain
from lstm_jax.convert._onnx_fold import Unknown
from lstm_jax.convert._onnx_read import lstms, named
from lstm_jax.convert._onnx_read import read as read_node
from lstm_jax.convert._safetensors import KEY, from_safetensors, metadata
from lstm_jax.convert._systems import members
from lstm_jax.convert._torch import from_torch, prefixes
from lstm_jax.convert._torch_files import tensors

CALL = "convert"
LAYERED = ("onnx", "keras", "hdf5")  # formats in which each layer stands by itself
ASSUMED = (
    "assumed, since nothing says it (--config): tanh and sigmoid, or hard_sigmoid "
    "before Keras 2.3; forwards; two directions concatenated"
)


class Found(NamedTuple):
    """What a file holds.

    Attributes:
        networks: by name; "" where it has none.
        layered: whether each is one layer, which may feed another.
        turned: whether outputs of a `Reverse` are read in the order of processing.
        chain: the names from the lowest layer on, where the file says that all feed
            each other in one sequence.
        notes: what else is to be said.
    """

    networks: dict[str, Params]
    layered: bool = False
    turned: bool = False
    chain: list[str] | None = None
    notes: tuple[str, ...] = ()


def read(options: Namespace) -> Found:
    """Every LSTM of a file that can be read, or those that are asked for."""
    source = options.source
    match format_of(source):
        case "onnx":
            return _onnx(source, options.name)
        case "keras" | "hdf5":
            return _keras(source, options.name, options.config)
        case "safetensors":
            with reading(CALL, source, "a safetensors file"):
                own = KEY in metadata(source)
            if own:
                return Found({"": from_safetensors(source)})
    arrays = tensors(CALL, source, options.torchscript)
    found = prefixes(arrays)
    if not found:
        raise Refused(f"{CALL}: {source} must have an LSTM in it; it has none.")
    return Found(_each(found, options.name, lambda name: from_torch(arrays, name)))


def _each(
    names: Iterable[str], asked: list[str] | None, read: Callable[[str], Params]
) -> dict[str, Params]:
    """The networks that can be read, of those asked for all; others are printed."""
    names = list(names)
    only = asked is not None and set(asked) <= set(names)
    found: dict[str, Params] = {}
    errors: dict[str, Exception] = {}
    for name in asked if asked is not None and only else names:
        try:
            found[name] = read(name)
        except (ValueError, TypeError, NotImplementedError) as error:
            errors[name] = error
    for name, reason in errors.items():
        if only or not found:
            raise reason
        # One of another kind hides no other.
        print(uncoded(f"{name}: no LSTM ({reason})"))
    return found


def _onnx(source: Any, asked: list[str] | None) -> Found:
    call = "from_onnx"
    model, nodes = lstms(call, source)
    known, _ = named(nodes)

    def network(name: str) -> Params:
        try:
            return finished(call, read_node(model, known[name]))
        except Unknown as error:
            raise NotImplementedError(
                f"{call}: cannot be read: {known[name].node.op_type} {name!r}: {error}."
            ) from error

    networks = _each(known, asked, network)
    order = onnx_chain(model, known) if set(networks) == set(known) else None
    return Found(networks, layered=True, chain=order)


def _keras(source: Any, asked: list[str] | None, config: Any) -> Found:
    call = "from_keras_h5"
    config = given(config)
    with reading(call, source, "a Keras file") as path, opened(path, config) as file:
        entries = found_in(file)
        names = [label for entry in entries for label in entry.labels]
        order = None if file.model is None else keras_chain(file.model)
        guessed = any(entry.guessed for entry in entries)
    if not names:
        from_keras_h5(source, config)  # says so
    networks = _each(
        names, asked, lambda name: from_keras_h5(source, config, names=[name])[name]
    )
    whole = order if order and set(order) == set(networks) == set(names) else None
    notes = (ASSUMED,) if guessed else ()
    return Found(networks, layered=True, turned=True, chain=whole, notes=notes)


def joined(found: Found, names: list[str]) -> Params:
    """One network, or several layers as a `Stack`, from the lowest on."""
    networks = [found.networks[name] for name in names]
    if len(networks) == 1:
        return networks[0]
    if found.turned:
        networks = _unturned(networks)
    stack = Stack(tuple(layer for network in networks for layer in members(network)))
    check_params(f"{CALL}: {', '.join(names)} in sequence", stack)
    return stack


def _unturned(networks: list[Any]) -> list[Any]:
    """Layers as they run in sequence: Keras' outputs of a `Reverse` are flipped."""
    flipped, result = False, []
    for network in networks:
        cells = members(network)
        backwards = all(isinstance(cell, Reverse) for cell in cells)
        inner = [cell.inner if isinstance(cell, Reverse) else cell for cell in cells]
        flipped ^= backwards
        plain = inner[0] if len(inner) == 1 else Stack(tuple(inner))
        result.append(reverse(plain) if flipped else plain)
    return result
