# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Converts between files: `python -m lstm_jax.convert IN OUT`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lstm_jax._params import Bidirectional, LSTMParams, Params, Residual, Reverse, Stack
from lstm_jax._params import layers as all_layers
from lstm_jax.convert import (
    from_keras_h5,
    from_onnx,
    from_safetensors,
    from_torch,
    to_keras,
    to_onnx,
    to_safetensors,
    to_torch,
)
from lstm_jax.convert._files import Refused, reading, writing
from lstm_jax.convert._safetensors import KEY, metadata
from lstm_jax.convert._systems import FEATURES, members, used
from lstm_jax.convert._torch import prefixes, torch_arrays
from lstm_jax.convert._torch_files import tensors

CALL = "convert"
OUTPUTS = (".safetensors", ".npz", ".pt", ".pth", ".onnx", ".keras")


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads IN, says what it found, and writes one LSTM of it to OUT.

    Args:
        arguments: of the command line, or None for the process' own.

    Returns:
        The exit status: 0, or 1 with a message where something is refused.
    """
    options = _parser().parse_args(arguments)
    errors = (ValueError, TypeError, NotImplementedError, OSError, ImportError)
    try:
        with jax.enable_x64(True):  # or double precision would not come through
            _convert(options)
    except errors as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lstm_jax.convert",
        description="Converts a trained LSTM from one file to another. Kinds of files "
        "are told by their endings: .safetensors (this library's own, or torch's "
        "names), .npz, .pt, .pth (torch's names), .h5, .keras, .onnx.",
    )
    add = parser.add_argument
    add("source", metavar="IN", type=Path, help="file to read")
    add("target", metavar="OUT", type=Path, nargs="?", help="file to write; none: look")
    add("--name", help="which LSTM of IN, as it is listed")
    add("--config", type=Path, help="JSON of the model whose bare Keras weights IN has")
    add("--torchscript", action="store_true", help="load IN as TorchScript: trust it")
    add(
        "--torch-names",
        action="store_true",
        help="a .safetensors OUT has torch's names",
    )
    add("--overwrite", action="store_true", help="replace OUT if it is there")
    return parser


def _convert(options: argparse.Namespace) -> None:
    found = _read(options)
    for name, params in found.items():
        print(f"{name or options.source.name}: {describe(params)}")
    if options.target is None:
        return
    name = next(iter(found)) if len(found) == 1 else options.name
    if name not in found or options.name not in (None, name):
        known = ", ".join(map(repr, found))
        raise ValueError(f"{CALL}: --name must be one of {known}; got {options.name}.")
    _write(found[name], options)
    print(f"written: {options.target}")


def _read(options: argparse.Namespace) -> dict[str, Params]:
    """Every LSTM of a file by its name; "" where it has none."""
    source = options.source
    match source.suffix:
        case ".onnx":
            return from_onnx(source)
        case ".h5" | ".hdf5" | ".keras":
            config = options.config and options.config.read_text()
            return from_keras_h5(source, config=config)
        case ".safetensors":
            with reading(CALL, source, "a safetensors file"):
                own = KEY in metadata(source)
            if own:
                return {"": from_safetensors(source)}
    arrays = tensors(CALL, source, options.torchscript)
    found = prefixes(arrays)
    if not found:
        raise Refused(f"{CALL}: {source} must have an LSTM in it; it has none.")
    if options.name in found:  # others may be of other cells
        found = [options.name]
    if len(found) == 1:
        return {found[0]: from_torch(arrays, found[0])}
    cells = {}
    for prefix in found:
        try:
            cells[prefix] = from_torch(arrays, prefix)
        except ValueError as error:  # one of another kind hides no LSTM
            print(f"{prefix}: no LSTM ({error})")
    return cells


def _write(params: Params, options: argparse.Namespace) -> None:
    target, suffix = options.target, options.target.suffix
    if suffix == ".safetensors" and not options.torch_names:
        to_safetensors(params, target, overwrite=options.overwrite)
        return
    if suffix not in OUTPUTS:
        raise ValueError(
            f"{CALL}: OUT must end with one of {', '.join(OUTPUTS)}; got {target.name}."
        )
    # Of torch's own names and of this library's, LSTMParams may stand for an LSTMCell.
    layer = options.source.suffix in (".onnx", ".h5", ".hdf5", ".keras")
    network = Stack(members(params)) if layer else params
    with writing(CALL, target, options.overwrite) as part:
        match suffix:
            case ".onnx":
                part.write_bytes(to_onnx(params).SerializeToString())
            case ".keras":
                _save_keras(params, part)
            case ".pt" | ".pth":
                import torch

                torch.save(to_torch(network), part)
            case ".npz":
                arrays: dict[str, Any] = torch_arrays(CALL, network)
                np.savez(part, **arrays)
            case ".safetensors":
                from safetensors.numpy import save_file

                arrays = torch_arrays(CALL, network)
                save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, part)


def _save_keras(params: Params, path: Path) -> None:
    import keras

    if isinstance(members(params)[-1], Reverse):
        raise NotImplementedError(
            f"{CALL}: a .keras file cannot hold a Reverse at its end, of which Keras "
            "gives the outputs in the order of processing."
        )
    made: Any = to_keras(params)
    inputs = all_layers(params)[0].w_x.shape[0]
    stacked = made if isinstance(made, list) else [made]
    keras.Sequential([keras.Input((None, inputs)), *stacked]).save(path)


def describe(params: Any) -> str:
    """A network in one line: its structure, sizes, dtype and features."""
    shown = {"stack", "bidirectional", "merge", "reverse", "residual", "sizes"}
    beyond = sorted({name for name, _ in used(params)} - shown - {"nesting"})
    features = "".join(f", {FEATURES[name].replace('`', '')}" for name in beyond)
    dtypes = {str(a.dtype) for a in jax.tree.leaves(params)}
    return f"{_structure(params)}, {'/'.join(sorted(dtypes))}{features}"


def _structure(params: Any) -> str:
    match params:
        case LSTMParams():
            units = params.w_x.shape[1] // len(params.options.gates)
            outputs = params.w_h.shape[0]
            projected = f" -> {outputs}" if params.projection is not None else ""
            return f"LSTM {params.w_x.shape[0]} -> {units}{projected}"
        case Bidirectional(forward, backward, merge):
            return f"both ways ({_structure(forward)}; {_structure(backward)}; {merge})"
        case Reverse(inner) | Residual(inner):
            return f"{type(params).__name__.lower()} ({_structure(inner)})"
    return ", then ".join(_structure(member) for member in members(params))


if __name__ == "__main__":
    sys.exit(main())
