# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Files that may be torn, corrupt or hostile; results that are whole or not there."""

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Weights hardly compress: what unpacks to more than both is no model.
UNPACKED_BYTES, UNPACKED_RATIO = 256 * 2**20, 20
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack as they like


def allowed(stored: int) -> int:
    """How many bytes may be made of a file of that many."""
    return max(UNPACKED_BYTES, UNPACKED_RATIO * stored)


def is_path(value: Any) -> bool:
    """Whether a value names a file."""
    return isinstance(value, str | os.PathLike)


@contextlib.contextmanager
def reading(call: str, path: Any, kind: str) -> Iterator[Path]:
    """The path of a file that is there; what its parser raises becomes a ValueError.

    Args:
        call: the public function.
        path: of the file.
        kind: what it should be, for the message: "an ONNX model".
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{call}: {path} must be a file; there is none.")
    try:
        yield path
    except ImportError:
        raise
    except Exception as error:  # a parser raises whatever it likes
        if str(error).startswith(f"{call}: "):
            raise
        text = str(error).strip().splitlines() or [""]
        raise ValueError(
            f"{call}: {path} cannot be read as {kind}: "
            f"{type(error).__name__}: {text[0][:300]}"
        ) from error


class Refused(ValueError):
    """A file that can be read and must not be."""


def check_zip(call: str, path: Path) -> None:
    """Refuses an archive that unpacks to far more than it is."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if any(entry.compress_type not in BOUNDED for entry in entries):
        raise Refused(f"{call}: {path} must be stored or deflated; it is neither.")
    if unpacked > allowed(path.stat().st_size):
        raise Refused(
            f"{call}: {path} would unpack from {path.stat().st_size} to {unpacked} "
            "bytes, as no weights do."
        )


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file of an archive, of which no more is unpacked than its size says."""
    with archive.open(name) as file:
        return file.read(archive.getinfo(name).file_size)


@contextlib.contextmanager
def writing(call: str, path: Any, overwrite: bool = False) -> Iterator[Path]:
    """A path to write to, which takes its place only when all is written.

    Args:
        call: the public function.
        path: of the result.
        overwrite: whether it may be there already.
    """
    path = Path(path)
    there = f"{call}: {path} is there already, and nothing said to overwrite it."
    if path.exists() and not overwrite:
        raise FileExistsError(there)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as new:
        part = Path(new) / path.name
        yield part
        if overwrite:
            part.replace(path)
            return
        try:
            os.link(part, path)  # fails, unlike replace, where another was faster
        except FileExistsError:
            raise FileExistsError(there) from None
        except OSError:  # a file system without hard links
            path.touch(exist_ok=False)
            part.replace(path)
