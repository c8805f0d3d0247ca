# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The README's blocks, and the guides, run as they stand, each in a new process."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blocks import BLOCKS, GUIDES, README, ROOT


@pytest.fixture(scope="module")
def forks() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(ROOT / "tests/forks.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[-1][:40])
def test_block(block: str, forks: subprocess.Popen[str], tmp_path: Path) -> None:
    run(block, forks, tmp_path)


@pytest.mark.parametrize("name", GUIDES)
def test_guide(name: str, forks: subprocess.Popen[str], tmp_path: Path) -> None:
    assert GUIDES[name]
    run(GUIDES[name], forks, tmp_path)


def run(program: str, forks: subprocess.Popen[str], folder: Path) -> None:
    assert forks.stdin is not None and forks.stdout is not None
    print(json.dumps([program, str(folder)]), file=forks.stdin, flush=True)
    status, written = json.loads(forks.stdout.readline())
    assert status == 0, written


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_every_block_is_python() -> None:
    assert README.count("```") == 2 * len(BLOCKS)


def test_what_it_points_to_exists() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets and all((ROOT / target).exists() for target in targets)
