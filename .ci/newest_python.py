# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Prints the newest Python, 3.12 or later, of those that run here.

NEWEST_PYTHON names it; otherwise all on PATH and all of pyenv's are tried, each by
running it: a shim of pyenv's on PATH may stand for nothing.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

# Of these JAX has wheels, and they can build a virtual environment.
TRIAL = """
import ensurepip, sys, sysconfig, venv
assert sys.implementation.name == "cpython" and sys.version_info >= (3, 12)
assert sys.version_info.releaselevel == "final"
assert not sysconfig.get_config_var("Py_GIL_DISABLED")
print(*sys.version_info[:3])
"""


def version(python: str) -> tuple[int, ...]:
    """Of an interpreter that will do; empty of any other."""
    command = [python, "-I", "-c", TRIAL]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return () if run.returncode else tuple(map(int, run.stdout.split()))


def candidates() -> list[str]:
    """The one that is named, or whatever has the name of a Python."""
    if named := os.environ.get("NEWEST_PYTHON"):
        return [named]
    folders = [Path(folder) for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += sorted(pyenv.glob("versions/*/bin"))
    paths = [path for folder in folders for path in sorted(folder.glob("python*"))]
    return [str(p) for p in paths if re.fullmatch(r"python(3(\.\d+)?)?", p.name)]


if __name__ == "__main__":
    tried = candidates()
    newest = max(tried, key=version, default="")
    if not version(newest):
        sys.exit(f"no Python of 3.12 or later runs here; tried {', '.join(tried)}")
    print(newest)
