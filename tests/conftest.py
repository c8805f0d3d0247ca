# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Strict numerics for all tests, several CPU devices for those of meshes."""

import ctypes
import gc
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import jax
import pytest

from lstm_jax._compat import enable_x64
from tests import xla_flags

# Before the first use of a device, which is when XLA reads them; workers inherit them.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["XLA_FLAGS"] = xla_flags.chosen(os.environ.get("XLA_FLAGS", ""))
os.environ.setdefault("KERAS_BACKEND", "jax")  # it looks for tensorflow otherwise

gc.set_threshold(200_000, 20, 20)  # tracing makes many objects and few cycles
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

hypothesis.settings.register_profile(
    "lstm_jax", deadline=None, derandomize="CI" in os.environ, max_examples=15
)
hypothesis.settings.load_profile("lstm_jax")

# Marks of tests that are left out unless -m says something of them, and what runs them.
MARKS = {"data": "make test-data", "nightly": "make test-all"}
# How many of each were left out; workers tell the main process.
LEFT_OUT = pytest.StashKey[dict[str, int]]()


@pytest.hookimpl(trylast=True)  # those that -k leaves out are no concern of this
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leaves out tests that need the real files, or long, unless they are asked for."""
    counts = {}
    for mark in MARKS:
        marked = [item for item in items if item.get_closest_marker(mark)]
        if marked and mark not in config.option.markexpr:
            items[:] = [item for item in items if item not in marked]
            config.hook.pytest_deselected(items=marked)
            counts[mark] = len(marked)
    config.stash[LEFT_OUT] = counts
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = counts


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if "left_out" in (found := getattr(node, "workeroutput", {})):
        node.config.stash[LEFT_OUT] = found["left_out"]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for mark, count in config.stash.get(LEFT_OUT, {}).items():
        terminalreporter.write_line(
            f"{count} tests marked {mark!r} were left out; {MARKS[mark]} runs them."
        )


@pytest.fixture(scope="module", autouse=True)
def without_old_programs() -> Iterator[None]:
    """A process would keep every program that it has compiled: gigabytes of them."""
    yield
    jax.clear_caches()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)  # glibc would keep the pieces


@pytest.fixture(scope="session")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of the small files, and their sources."""
    from tests import small_data

    folder = tmp_path_factory.mktemp("data")
    return folder, small_data.write(folder)


@pytest.fixture
def small_data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments read small files of the same formats, unless the test is `data`."""
    if request.node.get_closest_marker("data"):
        return
    from experiments import data

    folder, sources = request.getfixturevalue("small_files")
    monkeypatch.setenv("LSTM_JAX_DATA", str(folder))
    for name, source in sources.items():
        monkeypatch.setattr(data, name, source)


@pytest.fixture
def as_users_have_it() -> Iterator[None]:
    """Strict promotion is for the library; scipy and optax ask for less."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def in_32_bits() -> Iterator[None]:
    """As experiments run; their results are of this width."""
    with enable_x64(False):
        yield


@pytest.fixture(scope="session")
def torch() -> Any:
    """Where it is missing, the tests that ask for it are left out."""
    return pytest.importorskip("torch")


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)
