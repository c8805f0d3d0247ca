# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The sources of the site; docs/test_site.py looks at what is built from them."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.test_package import PUBLIC

DOCS = Path(__file__).parent.parent / "docs"
GROUP = re.compile(r"^\.\. public:: (\S+)\n\n((?:   \S+\n?)+)", re.MULTILINE)
HEADER = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n"
MADE = {DOCS / "experiments", DOCS / "benchmarks", DOCS / "build"}
PAGES = [
    path for path in sorted(DOCS.rglob("*.md")) if not MADE.intersection(path.parents)
]
assert len(PAGES) > 15


def listed() -> Counter[tuple[str, str]]:
    """How often a name stands in a group of the reference."""
    found: Counter[tuple[str, str]] = Counter()
    for path in (DOCS / "reference").glob("*.rst"):
        for module, names in GROUP.findall(path.read_text()):
            found.update((module, name) for name in names.split())
    return found


def test_every_public_name_has_a_place_in_the_reference() -> None:
    missing = sorted(".".join(name) for name in set(PUBLIC) - set(listed()))
    assert not missing, f"add these to a group of docs/reference/: {missing}"


def test_the_reference_has_public_names_once() -> None:
    found = listed()
    unknown = sorted(".".join(name) for name in set(found) - set(PUBLIC))
    assert not unknown, f"not public, but in docs/reference/: {unknown}"
    again = [name for name, count in found.items() if count > 1]
    assert not again, f"more than once in docs/reference/: {again}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_block_of_python_runs(path: Path) -> None:
    """A block is a code cell, and none is left out."""
    text = path.read_text()
    fences = re.findall(r"^(?:```|:::)(\{?[\w-]+\}?.*)$", text, re.MULTILINE)
    allowed = ["{code-cell} ipython3", "{figure}", "{generated}", "{include}"]
    allowed += ["{toctree}", "{note}", "{tip}"]
    assert [fence for fence in fences if not fence.startswith(tuple(allowed))] == []
    assert ("```{code-cell}" in text) == text.startswith(HEADER)
    assert "skip-execution" not in text and "raises-exception" not in text
    assert ">>>" not in text
