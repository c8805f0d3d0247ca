# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""For tests/ and for the doctests of lstm_jax/ alike."""

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import jax
import pytest

from lstm_jax import _compat

ROOT = Path(__file__).parent
OURS = ("benchmarks", "experiments", "tests")
# What files and tests need beyond what they import first and the fixture `torch`: how
# they begin, and the packages. lstm_jax[test] has none of these.
NEEDS = {
    "lstm_jax/convert/_equinox.py": "equinox",
    "lstm_jax/convert/_keras.py": "keras",
    "lstm_jax/convert/_keras_write.py": "keras",
    "lstm_jax/convert/_torch.py::lstm_jax.convert._torch.to_torch": "torch",
    "tests/test_benchmarks.py": "equinox haiku keras onnxruntime tyro",
    "tests/test_benchmarks.py::test_peers": "torch",
    "tests/test_cells.py::test_converters_write_lstms": "equinox haiku keras torch",
    "tests/test_cells.py::test_gru_against_keras": "keras",
    "tests/test_convert.py": "equinox haiku keras",
    "tests/test_convert.py::*[[]torch": "torch",
    "tests/test_convert_command.py": "keras",
    "tests/test_convert_command.py::test_refusals_leave_nothing[[]out.pt": "torch",
    "tests/test_convert_command.py::test_there_and_back[[].pt": "torch",
    "tests/test_convert_keras*.py": "keras",
    "tests/test_convert_parts.py::test_all_parts_are_read_from_any[[]bin": "torch",
    "tests/test_convert_tflite.py": "ai_edge_litert",
    "tests/test_experiment*.py": "gymnax mlxtend pooch scipy sklearn tyro",
}


def imported(path: Path, seen: set[Path]) -> set[str]:
    """Packages that a file, and files of ours that it imports, import when read."""
    found: set[str] = set()
    if path in seen or not path.exists():
        return found
    seen.add(path)
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.Import(names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(str(module), names):
                modules = [module, *(f"{module}.{alias.name}" for alias in names)]
            case ast.Assign(value=call) | ast.AnnAssign(value=call):
                modules = []
                match call:
                    case ast.Call(ast.Attribute(attr="import_module"), [arg]):
                        modules = [ast.literal_eval(arg)]
            case _:
                modules = []
        for module in modules:
            if module.startswith(OURS):
                found |= imported(ROOT / (module.replace(".", "/") + ".py"), seen)
            else:
                found.add(module.partition(".")[0])
    return found


def missing(packages: Iterable[str]) -> list[str]:
    """Those that are not installed."""
    return sorted(p for p in set(packages) if not importlib.util.find_spec(p))


NEEDED = {
    str(path.relative_to(ROOT)): imported(path, set())
    for path in sorted((ROOT / "tests").glob("*.py"))
}
# For the summary: pytest knows which tests these are.
NEEDED["tests::that have the fixture torch"] = {"torch"}
for name, packages in NEEDS.items():
    NEEDED[name] = {*NEEDED.get(name, ()), *packages.split()}
LEFT_OUT = {
    name: " and ".join(absent)
    for name, packages in NEEDED.items()
    if (absent := missing(packages))
}
collect_ignore_glob = [name for name in LEFT_OUT if "::" not in name]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--whole", action="store_true", help="fail where a package is missing"
    )


def pytest_configure(config: pytest.Config) -> None:
    if LEFT_OUT and config.option.whole:
        raise pytest.UsageError("--whole needs all packages\n" + "\n".join(left_out()))


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    fixtures = set(missing(["torch"]))  # named as what they import
    out = [
        item
        for item in items
        if any(fnmatchcase(item.nodeid, f"{name}*") for name in LEFT_OUT)
        or fixtures.intersection(getattr(item, "fixturenames", ()))
    ]
    items[:] = [item for item in items if item not in out]
    config.hook.pytest_deselected(items=out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in left_out():
        terminalreporter.write_line(line)


def left_out() -> list[str]:
    """A line for each kind of package that isn't there."""
    return [
        f"Left out, for want of {missing}: "
        + ", ".join(name for name, m in LEFT_OUT.items() if m == missing)
        + "; lstm_jax[dev,benchmarks] has it"
        for missing in sorted(set(LEFT_OUT.values()))
    ]


@pytest.fixture(autouse=True)
def examples_run_as_users_run_them(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests have 64 bits and strict promotion; JAX comes with neither."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    with (
        _compat.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        yield
