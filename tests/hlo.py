# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a compiled program contains."""

import re
from collections.abc import Iterator
from typing import Any

# As instructions begin; a collective may have a -start and a -done.
COLLECTIVE = re.compile(
    r"= .*?\b(all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)"
    r"(?:-start)?\("
)
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$", re.MULTILINE)
CALLED = re.compile(
    r"(?:body|condition|calls|to_apply|branch_computations)=\{?([^,}\s]+)"
)


def collectives(f: Any, *args: Any) -> dict[bool, list[str]]:
    """The exchanges between devices in a jitted function, by whether in a loop."""
    text = f.lower(*args).compile().as_text()
    bodies = dict(_computations(text))
    inside = set(_reached(bodies, re.findall(r"body=%?([\w.\-]+)", text)))
    found: dict[bool, list[str]] = {True: [], False: []}
    for name, body in bodies.items():
        found[name in inside] += COLLECTIVE.findall(body)
    return {looped: sorted(kinds) for looped, kinds in found.items()}


def _computations(text: str) -> Iterator[tuple[str, str]]:
    parts = COMPUTATION.split(text)
    return zip(parts[1::2], parts[2::2], strict=True)


def _reached(bodies: dict[str, str], names: list[str]) -> Iterator[str]:
    """Computations that are called from those named, and these."""
    seen: set[str] = set()
    while names:
        name = names.pop().lstrip("%")
        if name in bodies and name not in seen:
            seen.add(name)
            yield name
            names += CALLED.findall(bodies[name])
