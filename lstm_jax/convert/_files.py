# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Files that may be torn, corrupt or hostile; results that are whole or not there."""

import contextlib
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstm_jax._text import quoted
from lstm_jax.convert._formats import FORMATS, found_in

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
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.is_file())[:5]
        raise IsADirectoryError(
            f"{call}: {path} must be a file; it is a folder. Pass a file in it: "
            f"{', '.join(inside) or 'it has none'}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"{call}: {path} must be a file; there is none.")
    try:
        yield path
    except ImportError:
        raise
    except Exception as error:  # a parser raises whatever it likes
        if str(error).startswith(f"{call}: "):
            raise
        raise ValueError(
            f"{call}: {path} cannot be read as {kind}: {quoted(error)}"
            + _fix(call, path)
        ) from error


def _fix(call: str, path: Path) -> str:
    """What else a file is, where another function reads it."""
    try:
        found = FORMATS.get(found_in(path) or "")
    except Exception:  # it is torn
        return ""
    if found is None or not found.reader or call in found.reader.split():
        return ""
    return f" By its content it is {found.title}, which {found.reader} reads."


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


def beside(call: str, path: Path, name: str) -> Path:
    """A file that `path` names as its own, which no name can lead out of its folder.

    Args:
        call: the public function.
        path: of the file that names it.
        name: relative to the folder of `path`.

    Raises:
        Refused: it is absolute, goes upwards, passes a link, or is no plain file.
    """
    parts = re.split(r"[/\\]", name)
    plain = all(part not in ("", ".", "..") for part in parts)
    if not plain or os.path.isabs(name) or re.search(r"[:\0]", name):
        raise Refused(
            f"{call}: {path} must name files in its own folder or below; got {name!r}, "
            "which is not followed."
        )
    there = path.parent
    for part in parts:
        there = there / part
        # A hard link is another's file under a name of this folder.
        junction = getattr(there, "is_junction", bool)()
        if there.is_symlink() or junction or _hard_link(there):
            raise Refused(
                f"{call}: {path} must have {name!r} beside it as a file; got a link "
                f"({there}), which is not followed. Put a copy in its place."
            )
    if not there.is_file():
        raise Refused(
            f"{call}: {path} must have {name!r} beside it, as a file; there is none. "
            "Put all files of the model into one folder."
        )
    return there


def _hard_link(path: Path) -> bool:
    return path.is_file() and path.stat().st_nlink > 1


def on_disk(path: Path) -> int:
    """The bytes that a file has on disk; the holes of a sparse one are none."""
    status = path.stat()
    blocks = getattr(status, "st_blocks", None)  # of 512 bytes, where the system counts
    return status.st_size if blocks is None else min(status.st_size, 512 * blocks)


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
    if path.is_dir():
        raise IsADirectoryError(
            f"{call}: {path} must be a file's path; it is a folder. Add a name."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{call}: {path} must be in a folder that is there; {path.parent} is not. "
            "Make it first."
        )
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
