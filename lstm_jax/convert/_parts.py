# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Weights cut over several files: found by their index, or by the parts' names."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from lstm_jax.convert._files import Refused, beside

INDEX_BYTES = 64 * 2**20  # a larger index lists no parts of a model
OF = re.compile(r"(.*?)(\d+)([-_]?of[-_]?)(\d+)(.*)", re.IGNORECASE)
# Parts by tensor or pipeline parallelism, which say their number and not of how many.
# What is counted in the names of whole checkpoints.
WHOLE = re.compile(r".*(epoch|step|iter|iteration|fold|seed|run|trial)s?[-_.=]?", re.I)
NUMBERED = re.compile(r"((?:.*[^a-z])?(?:rank|shard|part)s?[-_.]?)(\d+)(.*)", re.I)


class Parts(NamedTuple):
    """The files of one model.

    Attributes:
        files: each with the names that an index says it has; None if nothing says.
        source: what says so, for messages.
    """

    files: dict[Path, frozenset[str] | None]
    source: str


def parts(call: str, path: Path) -> Parts:
    """The files that hold the model of which `path` is the index, a part, or all.

    Raises:
        Refused: it says that it is a part, and others are not there.
    """
    if path.suffix.lower() == ".json":
        table = _table(path)
        if table is None:
            raise Refused(
                f"{call}: {path} must be an index of parts, JSON with a 'weight_map' "
                "of names to files; it is not."
            )
        return _indexed(call, path, table, path)
    for index in sorted(path.parent.glob("*.index.json")):
        table = None if index == path else _table(index)
        if table is not None and path.name in table.values():
            return _indexed(call, index, table, path)
    match = OF.fullmatch(path.name)
    if match and not WHOLE.fullmatch(match[1]):
        return _numbered(call, path, match)
    if match := NUMBERED.fullmatch(path.name):
        others = _siblings(path, NUMBERED, {1: match[1], 3: match[3]}, 2)
        if len(others) > 1:
            raise Refused(
                f"{call}: {path} must hold a whole model; by its name it is one part "
                f"of {len(others)}, which are beside it ("
                f"{', '.join(p.name for p in list(others.values())[:5])}). Merge them, "
                "or load this one and pass its state dict."
            )
    return Parts({path: None}, path.name)


def _table(index: Path) -> dict[str, str] | None:
    """The map of names to files, or None where a file has none."""
    if index.is_symlink() or index.stat().st_size > INDEX_BYTES:
        return None
    try:
        table = json.loads(index.read_bytes())["weight_map"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    ok = isinstance(table, dict) and all(isinstance(f, str) for f in table.values())
    return table if ok and table else None


def _indexed(call: str, index: Path, table: dict[str, str], asked: Path) -> Parts:
    names: dict[str, set[str]] = {}
    for name, file in table.items():
        names.setdefault(file, set()).add(name)
    files: dict[Path, frozenset[str] | None] = {
        _own(call, index, file, asked): frozenset(own) for file, own in names.items()
    }
    return Parts(files, index.name)


def _own(call: str, source: Path, name: str, asked: Path) -> Path:
    """A file that stands beside another; the one that the caller names is no link's."""
    return asked if name == asked.name else beside(call, source, name)


def _numbered(call: str, path: Path, match: re.Match[str]) -> Parts:
    """All N of the files that are named "… K of N …"."""
    same = {1: match[1], 3: match[3], 4: match[4], 5: match[5]}
    found = _siblings(path, OF, same, 2)
    count = int(match[4])
    whole = len(found) == count and set(found) in (
        set(range(1, count + 1)),
        set(range(count)),
    )
    if not whole:
        raise Refused(
            f"{call}: {path} must have the other parts of its model beside it; by its "
            f"name it is one of {count}, and {len(found)} of them are there. A part "
            "alone would be read as a smaller network."
        )
    files = [_own(call, path, found[k].name, path) for k in sorted(found)]
    return Parts(dict.fromkeys(files), path.name)


def _siblings(
    path: Path, pattern: re.Pattern[str], same: dict[int, str], number: int
) -> dict[int, Path]:
    """The files of a folder whose names differ in a number alone, by that number."""
    found = {}
    for other in path.parent.iterdir():
        match = pattern.fullmatch(other.name)
        if match and all(match[k] == text for k, text in same.items()):
            found[int(match[number])] = other
    return found
