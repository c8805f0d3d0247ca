# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The package: its names, their documentation, what importing it needs."""

import ast
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lstm_jax

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAMESPACES = [
    importlib.import_module(f"lstm_jax.{module.name}")
    for module in pkgutil.iter_modules(lstm_jax.__path__)
    if not module.name.startswith("_")
]
PUBLIC = [
    (module.__name__, name)
    for module in (lstm_jax, *NAMESPACES)
    for name in module.__all__
    if inspect.getattr_static(module, name).__class__.__name__ != "module"
]
OWN = [
    (module, name)
    for module, name in PUBLIC
    if getattr(sys.modules[module], name).__module__.startswith("lstm_jax")
]


def test_the_names_of_the_public_interface() -> None:
    expected = """ActivationFn Bidirectional Cell CellOptions Cudnn DropMasks Fused
        GateNorm Implementation LSTMParams LSTMState Loop Packed Plan Regularizer
        Residual Reverse Scan SplitNorm Stack StepTrace activations apply check_config
        config explain from_config init init_cell initializers lstm_step sharding
        unroll zero_state"""
    assert sorted(lstm_jax.__all__) == sorted(expected.split())


@pytest.mark.parametrize("module, name", OWN)
def test_every_public_name_is_documented(module: str, name: str) -> None:
    """A line, Args and Returns of functions, Attributes of classes; an example."""
    thing = getattr(sys.modules[module], name)
    text = inspect.getdoc(thing) or ""
    assert text and text != dataclass_text(thing)
    if inspect.isclass(thing):
        assert "Attributes:" in text or name in ("Loop",)
    else:
        parameters = inspect.signature(thing).parameters
        assert not parameters or "Args:" in text
        missing = [p for p in parameters if f"{p}:" not in text]
        assert not missing
        assert ">>>" in text


def dataclass_text(thing: type) -> str:
    """What dataclasses write where a class has no docstring."""
    try:
        return f"{thing.__name__}{inspect.signature(thing)}"
    except ValueError:
        return ""


def test_one_version() -> None:
    assert importlib.metadata.version("lstm_jax") == lstm_jax.__version__
    assert "version" not in PROJECT


def test_it_is_typed() -> None:
    assert (Path(lstm_jax.__file__).parent / "py.typed").exists()


def test_importing_needs_jax_flax_and_optax_alone() -> None:
    """Whatever the extras bring is not imported, by no namespace."""
    extras = {"hypothesis", "pytest", "mlxtend", "tyro"}.union(*EXTRAS.values())
    names = ", ".join(module.__name__ for module in NAMESPACES)
    script = (  # jax and flax take some of these where they are installed
        "import sys, jax, flax.linen, flax.nnx, optax; theirs = set(sys.modules);"
        f"import {names}; print(sorted({extras!r} & set(sys.modules) - theirs))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_importing_lstm_jax_alone_is_quick() -> None:
    """What only its namespaces need, and what takes long, is not imported."""
    heavy = {"flax.nnx", "jax.experimental.pallas", "optax", "scipy", "tensorflow"}
    heavy |= {"tensorstore", "treescope"}.union(*EXTRAS.values())
    heavy -= {"flatbuffers", "rich"}  # jax and flax import these
    script = f"import sys, lstm_jax; print(sorted({heavy!r} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_a_package_index_shows_no_dead_link() -> None:
    """It has the README alone, and no address to which a relative link could go."""
    shown = importlib.metadata.metadata("lstm_jax").json["description"]
    assert isinstance(shown, str)
    assert "## Ten lines of research code" in shown
    targets = re.findall(r"\]\(([^)]*)\)", shown)
    assert all(target.startswith("https://") for target in targets), targets
    assert "experiments/gradient_lag/README.md" in shown


# What a namespace imports where it is used; importing the namespace needs none of it.
EXTRAS = {
    "testing": {"chex"},
    "convert": {"equinox", "h5py", "haiku", "keras", "onnx", "safetensors", "torch"},
    "diagnostics": {"matplotlib"},
    "serving": {"flatbuffers"},
    "training": {"orbax", "rich", "tensorboardX"},
}


def imported(path: Path) -> set[str]:
    """The packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def test_the_library_imports_what_it_declares() -> None:
    declared = {"jax", "flax", "optax", "numpy", "lstm_jax"}
    for path in (ROOT / "lstm_jax").rglob("*.py"):
        namespace = path.relative_to(ROOT / "lstm_jax").parts[0].removesuffix(".py")
        extra = EXTRAS.get(namespace, set())
        assert imported(path) <= declared | extra, path


def test_mathematics_and_validation_stand_apart() -> None:
    """Checks raise and compute nothing; equations do the reverse."""
    for name in ("lstm", "lstm_fast"):
        path = ROOT / "lstm_jax" / "cells" / f"{name}.py"
        assert "raise" not in path.read_text(), path
    for path in (ROOT / "lstm_jax" / "checks").glob("*.py"):
        text = path.read_text()
        assert "lax" not in text and "@" not in text, path
