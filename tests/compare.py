# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Comparison of trees, array by array, that names what differs."""

from typing import Any

import jax
import numpy as np

FLOAT64 = 1e-11
FLOAT32 = 5e-6


def assert_close(got: Any, expected: Any, bound: float, what: str = "") -> None:
    """Each array by max|difference| over max|expected|."""
    assert jax.tree.structure(got) == jax.tree.structure(expected), what
    named = jax.tree_util.tree_leaves_with_path(got)
    assert named, f"{what}: nothing to compare"
    for (path, a), b in zip(named, jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        name = f"{what}{jax.tree_util.keystr(path)}"
        assert a.shape == b.shape, f"{name}: {a.shape} instead of {b.shape}"
        assert np.isfinite(a).all(), f"{name}: not finite"
        if not a.size:
            continue
        error, scale = np.abs(a - b).max(), np.abs(b).max()
        assert error <= bound * max(scale, np.finfo(np.float64).tiny), (
            f"{name}: max|difference| {error:.3g} over max|expected| {scale:.3g} is "
            f"above {bound:g}"
        )


def assert_same(got: Any, expected: Any, what: str = "") -> None:
    """Bit for bit, dtype included."""
    assert jax.tree.structure(got) == jax.tree.structure(expected), what
    named = jax.tree_util.tree_leaves_with_path(got)
    assert named, f"{what}: nothing to compare"
    for (path, a), b in zip(named, jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        name = f"{what}{jax.tree_util.keystr(path)}"
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        np.testing.assert_array_equal(a, b, err_msg=name)
