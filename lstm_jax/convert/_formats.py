# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a file is, by its content; its name counts only where that says nothing."""

import zipfile
from pathlib import Path
from typing import NamedTuple


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        title: for messages, with its article.
        reader: the function of this library that reads it; "" for none.
        suffixes: by which a file is known that is torn or of no known content.
    """

    title: str
    reader: str
    suffixes: tuple[str, ...] = ()


FORMATS = {
    "safetensors": Format(
        "a safetensors file", "from_torch or from_safetensors", (".safetensors",)
    ),
    "npz": Format("an archive of NumPy arrays", "from_torch", (".npz",)),
    "torch": Format("a file saved by torch", "from_torch", (".pt", ".pth")),
    "torchscript": Format(
        "a TorchScript archive", "from_torch with torchscript=True, if you trust it,"
    ),
    "exported": Format("an archive of torch.export", ""),
    "keras": Format("a .keras archive", "from_keras_h5", (".keras",)),
    "hdf5": Format("an HDF5 file", "from_keras_h5", (".h5", ".hdf5")),
    "onnx": Format("an ONNX model", "from_onnx", (".onnx",)),
    "index": Format("an index of parts", "from_torch", (".index.json",)),
}
HDF5 = b"\x89HDF\r\n\x1a\n"
# How torch.save began before it wrote archives: its magic number, pickled.
LEGACY_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")


def found_in(path: Path) -> str | None:
    """The key in `FORMATS` of what a file holds; None where the content says nothing.

    A plain pickle says nothing that could be trusted.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        if head.startswith(LEGACY_TORCH):
            return "torch"
        if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
            return "safetensors"
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _of_archive(archive.namelist())
        at = 0
        while at < size:  # behind a block of the user's, 512, 1024, 2048, … bytes
            file.seek(at)
            if file.read(8) == HDF5:
                return "hdf5"
            at = 2 * at or 512
    # Field 1 of a message, the version of the format, and the tag of the next field.
    match list(head[:3]):
        case [0x08, version, tag] if 0 < version < 0x40 and tag & 7 in (0, 2):
            return "onnx"
    return None


def _of_archive(names: list[str]) -> str | None:
    if {"config.json", "model.weights.h5"} <= set(names):
        return "keras"
    inside = [name.partition("/")[2] for name in names]
    if any(n == "constants.pkl" or n.startswith("code/") for n in inside):
        return "torchscript"
    if "data.pkl" in inside:
        return "torch"
    if "archive_format" in inside or "serialized_exported_program.json" in names:
        return "exported"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    return None


def format_of(path: Path) -> str | None:
    """As `found_in`, or else by the ending of the name; None if neither says it."""
    found = found_in(path) if path.is_file() else None
    if found is not None:
        return found
    name = path.name.lower()
    endings = ((key, end) for key, form in FORMATS.items() for end in form.suffixes)
    return next((key for key, end in endings if name.endswith(end)), None)
