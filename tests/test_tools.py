# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What runs the tests: XLA's flags, processes that die, the newest Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import xla_flags

ROOT = Path(__file__).parent.parent


def test_flags_that_xla_does_not_know_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = "--xla_backend_optimization_level=0"
    flags = ("--xla_invented=1", known)
    assert xla_flags.known(flags, tmp_path) == [known]
    monkeypatch.setattr(xla_flags, "refusal", None)  # answers are kept
    assert xla_flags.known(flags, tmp_path) == [known]


def test_flags_of_the_user_are_not_left_out() -> None:
    with pytest.raises(pytest.UsageError, match=r"Unknown flag.*--xla_invented"):
        xla_flags.chosen("--xla_invented=1")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_process_that_dies_says_why(workers: int, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os\ndef test():\n    os.write(2, b'the reason')\n    os.abort()\n"
    )
    pytest_ = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
    run = subprocess.run(
        [*pytest_, f"-n{workers}", "--rootdir", str(tmp_path), str(tmp_path)],
        # Options of the run that this test is part of may be unknown there.
        env={k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode and "the reason" in run.stderr


def interpreter(path: Path, says: str, status: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\nexit {status}\n")
    path.chmod(0o755)
    return path


def newest(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / ".ci/newest_python.py")],
        env={"PATH": str(folder / "bin"), "PYENV_ROOT": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_newest_python_is_one_that_runs(tmp_path: Path) -> None:
    interpreter(tmp_path / "bin/python3.14", "pyenv: python3.14: not found", 127)
    older = interpreter(tmp_path / "bin/python3.9", "3 9 20", 1)
    named = interpreter(tmp_path / "bin/python3.12", "3 12 9")
    found = interpreter(tmp_path / "versions/3.13.0/bin/python", "3 13 0")
    assert newest(tmp_path).stdout.strip() == str(found)
    assert newest(tmp_path, NEWEST_PYTHON=str(named)).stdout.strip() == str(named)
    refused = newest(tmp_path, NEWEST_PYTHON=str(older))
    assert refused.returncode == 1 and refused.stdout == ""
    assert refused.stderr.strip() == (
        f"no Python of 3.12 or later runs here; tried {older}"
    )
