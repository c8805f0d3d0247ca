# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What libtpu's own listing of a kernel says of one step of its loop.

A bundle is the instructions that a core of a TPU issues in one cycle. The longest path
is the longest chain of dependent instructions in a step. Neither counts waits for
memory: both are lower bounds of a step's cycles.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

BUNDLE = re.compile(r"^\s*(?:0x[0-9a-f]+|0)\s+([A-Z]{2})?\s*:\s*(>*)")
FLAGS = (
    "--xla_jf_dump_to={} --xla_jf_dump_llo_text=true "
    "--xla_jf_dump_llo_pass_label_regex=.*(final_bundles|critical-path).*"
)


class Step(NamedTuple):
    """One step of a kernel.

    Attributes:
        bundles: in the innermost loop.
        path: the longest one, in cycles.
    """

    bundles: int
    path: int


def list_into(folder: str) -> None:
    """Has libtpu list what this process compiles.

    libtpu reads once where to, when the process first asks it for devices.
    """
    os.environ["LIBTPU_INIT_ARGS"] = FLAGS.format(folder)


def steps(folder: Path, prefix: str) -> dict[str, Step]:
    """The kernels whose names begin so, by name; what was listed is deleted."""
    found = {}
    for path in sorted(folder.glob(f"*-{prefix}*-critical-path.txt")):
        fingerprint, name, *_ = path.name.split("-")
        (listed,) = (
            p
            for p in folder.glob(f"{fingerprint}-{name}-*-final_bundles.txt")
            if "schedule-analysis" not in p.name
        )
        found[name] = Step(innermost(listed.read_text()), longest(path.read_text()))
    for path in folder.iterdir():
        path.unlink()
    return found


def innermost(text: str) -> int:
    """The number of bundles of the deepest loop."""
    found = (BUNDLE.match(line) for line in text.splitlines())
    depths = [len(one[2]) for one in found if one]
    return depths.count(max(depths))


def longest(text: str) -> int:
    """The longest path of any region; of a kernel with a loop, its body's."""
    return max(map(int, re.findall(r"^\s+Length to end: (\d+)", text, re.MULTILINE)))
