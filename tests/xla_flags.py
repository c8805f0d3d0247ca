# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""XLA's flags for tests: those that the XLA in use knows.

XLA ends the whole process on a flag that it doesn't know, and what it knows changes
with its releases: each flag is tried in a process of its own, once for each jaxlib.
"""

import importlib.metadata
import json
import operator
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

# Nearly all of a test's time is compilation. XLA's passes all run; LLVM's do not, and
# fusions are emitted the older way, which takes a third of the time.
FLAGS = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
ANSWERS = Path(__file__).parent.parent / ".pytest_cache/xla_flags"
START = "from jaxlib import xla_client; xla_client.make_cpu_client()"


def chosen(given: str) -> str:
    """The user's own XLA_FLAGS, which XLA must accept, and ours that it knows."""
    if said := given and refusal(given):
        raise pytest.UsageError(f"XLA refuses XLA_FLAGS={given!r}\n{said}")
    return " ".join([given, *known(FLAGS)]).strip()


def known(flags: tuple[str, ...], answers: Path = ANSWERS) -> list[str]:
    """Those of the flags that XLA starts with; answers are kept for the next run."""
    path = answers / f"{importlib.metadata.version('jaxlib')}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    if new := [flag for flag in flags if flag not in found]:
        with ThreadPoolExecutor() as pool:
            found |= zip(new, map(operator.not_, pool.map(refusal, new)), strict=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.with_suffix(f".{os.getpid()}")
        whole.write_text(json.dumps(found))
        whole.replace(path)  # another run never reads half a file
    return [flag for flag in flags if found[flag]]


def refusal(flags: str) -> str:
    """What XLA says where it dies of flags; nothing where it starts."""
    run = subprocess.run(
        [sys.executable, "-c", START],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode and "nknown flag" not in run.stderr:
        raise pytest.UsageError(f"XLA does not start with {flags}\n{run.stderr}")
    return run.stderr if run.returncode else ""
