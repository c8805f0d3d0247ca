# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Converts between files: `python -m lstm_jax.convert IN OUT`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lstm_jax._compat import enable_x64
from lstm_jax._params import Bidirectional, Params, Residual, Reverse, Stack
from lstm_jax._params import layers as all_layers
from lstm_jax._text import uncoded
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert import to_keras, to_onnx, to_safetensors, to_torch
from lstm_jax.convert._command import LAYERED, joined, read
from lstm_jax.convert._files import writing
from lstm_jax.convert._formats import format_of
from lstm_jax.convert._systems import FEATURES, members, used
from lstm_jax.convert._torch import torch_arrays

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
        with enable_x64(True):  # or double precision would not come through
            _convert(options)
    except errors as error:
        print(uncoded(f"error: {error}"), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lstm_jax.convert",
        description="Converts a trained LSTM from one file to another. IN is "
        "told by its content: safetensors (this library's own, or torch's names), "
        "NumPy .npz and whatever torch.save writes (torch's names; .pt, .pth, .ckpt, "
        ".bin), an index of parts, TorchScript with --torchscript, Keras' .h5, "
        ".weights.h5 and .keras, and ONNX with the files beside it. OUT is told by its "
        f"ending: {', '.join(OUTPUTS)}.",
    )
    add = parser.add_argument
    add("source", metavar="IN", type=Path, help="file to read")
    add("target", metavar="OUT", type=Path, nargs="?", help="file to write; none: look")
    add(
        "--name",
        action="append",
        help="which LSTM of IN, as it is listed; several are layers in sequence",
    )
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
    found = read(options)
    for name, params in found.networks.items():
        print(uncoded(f"{name or options.source.name}: {describe(params)}"))
    for note in found.notes:
        print(note)
    if options.target is None:
        return
    names = options.name or found.chain or list(found.networks)
    known, given = ", ".join(map(repr, found.networks)), options.name
    several = len(names) > 1 and not (found.layered and (given or found.chain))
    if several or not set(names) <= set(found.networks):
        got = ", ".join(map(repr, given)) if given else None
        more = " Layers in sequence: --name for each, from the lowest on."
        raise ValueError(
            f"{CALL}: --name must be one of {known}; got {got}."
            f"{more if found.layered else ''}"
        )
    if len(names) > 1:
        print(uncoded(f"one after the other: {', '.join(names)}"))
    _write(joined(found, names), options)
    print(f"written: {options.target}")


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
    layer = format_of(options.source) in LAYERED
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
    said = {name: FEATURES[name].replace("`", "") for name in beyond}
    if "activations" in said:
        said["activations"] = f"activations {_functions(params)}"
    features = "".join(f", {text}" for text in said.values())
    dtypes = {str(a.dtype) for a in jax.tree.leaves(params)}
    return f"{_structure(params)}, {'/'.join(sorted(dtypes))}{features}"


def _functions(params: Any) -> str:
    """The activations of gates, candidate and output, of all layers."""

    def one(a: Any) -> str:
        numbers = [f"{n:.6g}" for n in (a.alpha, a.beta) if n is not None]
        return a.name + (f"({', '.join(numbers)})" if numbers else "")

    sets = {
        ", ".join(
            one(getattr(cell.options, f"{which}_activation"))
            for which in ("gate", "candidate", "output")
        )
        for cell in all_layers(params)
    }
    return " / ".join(sorted(sets))


def _structure(params: Any) -> str:
    match params:
        case LSTMParams():
            units, outputs = params.hidden_size, params.output_size
            projected = f" -> {outputs}" if params.projection is not None else ""
            return f"LSTM {params.w_x.shape[0]} -> {units}{projected}"
        case Bidirectional(forward, backward, merge):
            return f"both ways ({_structure(forward)}; {_structure(backward)}; {merge})"
        case Reverse(inner) | Residual(inner):
            return f"{type(params).__name__.lower()} ({_structure(inner)})"
    return ", then ".join(_structure(member) for member in members(params))


if __name__ == "__main__":
    sys.exit(main())
