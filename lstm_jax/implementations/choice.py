# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What runs where nothing is asked for, and why."""

import math
from typing import Any

from lstm_jax._chunks import divisor
from lstm_jax._dtypes import accum_dtype, result_dtype
from lstm_jax._params import Params, layers
from lstm_jax.checks.messages import Layout
from lstm_jax.implementations.base import Implementation
from lstm_jax.implementations.scan import Scan

CACHED = 2**24  # bytes of x·W_x beyond which it should not be made for all steps


def default(
    steps: Any, rows: Any, columns: int, itemsize: int, platform: str
) -> tuple[Scan, str]:
    """What suits the sizes.

    On a CPU, x·W_x for all steps is slower to write and read again than a product a
    window once it leaves the cache: windows of 8 steps, or of up to 16 if that divides
    T. Elsewhere, for sizes without a number, and for what fits, `Scan()`.

    Args:
        steps: T; an int, or symbolic.
        rows: the product of *B; likewise.
        columns: 4 H of the widest layer.
        itemsize: bytes of an entry.
        platform: "cpu", "gpu" or "tpu".
    """
    known = isinstance(steps, int) and isinstance(rows, int)
    if known and platform == "cpu" and steps * rows * columns * itemsize >= CACHED:
        return Scan(window=divisor(steps, 8) or 8), "x·W_x of all steps fits no cache"
    return Scan(), "default"


def choose(
    given: Implementation | None, params: Params, x: Any, axes: Layout, platform: str
) -> tuple[Implementation, str]:
    """What is asked for, which has been checked; else what suits the sizes."""
    if given is not None:
        return given, "asked for"
    columns = max(cell.projected_size for cell in layers(params))
    itemsize = accum_dtype(result_dtype(params, x)).itemsize
    return default(axes.steps, math.prod(axes.batch), columns, itemsize, platform)
