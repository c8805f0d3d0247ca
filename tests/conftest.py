# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Strict numerics for all tests, several CPU devices for those of meshes."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jax
import pytest

from lstm_jax._compat import enable_x64
from tests import xla_flags

# Where the variable is not set, files that were laid beside the checkout are found.
BESIDE = Path(__file__).parents[2] / "shared/data"
if BESIDE.is_dir():
    os.environ.setdefault("LSTM_JAX_DATA", str(BESIDE))

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


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)
