# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What runs where nothing is asked for, and why."""

import dataclasses
import itertools
import math
from typing import Any, NamedTuple, cast

import jax

from lstm_jax._chunks import divisor
from lstm_jax._dtypes import accum_dtype, result_dtype
from lstm_jax._forward import StaticArgs
from lstm_jax._params import Params, layers
from lstm_jax._platforms import PLATFORMS
from lstm_jax.cells.lstm import GatherOutput
from lstm_jax.checks.messages import Layout
from lstm_jax.implementations.base import Implementation
from lstm_jax.implementations.scan import Scan

WINDOW = 8  # steps in a window, at least
SHORT = 6  # likewise, in a shard_map over several devices
TINY = 2**14  # bytes of x·W_x of a step below which a loop over windows costs too much
CACHED = 2**24  # bytes of x·W_x beyond which it should not be made for all steps


def default(
    steps: Any,
    rows: Any,
    columns: int,
    itemsize: int,
    platform: str,
    shared_out: bool = False,
) -> tuple[Scan, str]:
    """What suits the sizes.

    On a CPU, x·W_x for all steps is slower to write and read again than a product a
    window once it leaves the cache: windows of 8 steps, or of up to 16 if that divides
    T. Elsewhere, for sizes without a number, and for what fits, `Scan()`.

    In a `shard_map` windows are short and do not divide T. Profiles of other windows
    show XLA running the loop on threads that all devices share, where each product
    takes longer; with a few steps left over after the loop, it stays on its device's
    own thread. On two cores that made forward of the benchmarks' rows 10% to 20%
    faster.

    Args:
        steps: T; an int, or symbolic.
        rows: the product of *B; likewise.
        columns: 4 H of the widest layer.
        itemsize: bytes of an entry.
        platform: "cpu", "gpu" or "tpu".
        shared_out: several devices run it, in a `shard_map`.
    """
    if not (isinstance(steps, int) and isinstance(rows, int) and platform == "cpu"):
        return Scan(), "default"
    step = rows * columns * itemsize
    if shared_out and steps and step >= TINY:
        window = next(k for k in itertools.count(SHORT) if steps % k)
        return Scan(window=window), "several devices in a shard_map"
    if steps * step >= CACHED:
        window = divisor(steps, WINDOW) or WINDOW
        return Scan(window=window), "x·W_x of all steps fits no cache"
    return Scan(), "default"


class PlatformPlan(NamedTuple):
    """What runs on one platform.

    Attributes:
        implementation: what runs the recurrence, with its knobs.
        reason: why that one.
    """

    implementation: Implementation
    reason: str


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class DefaultScan(Scan):
    """`Scan`, with a window of its own where the program is lowered for a CPU.

    Attributes:
        unroll: as of `Scan`.
        window: as of `Scan`.
        checkpoint: as of `Scan`.
        cpu_window: the window on a CPU.
    """

    cpu_window: int | None = None

    def static_args(self, reverse: bool, gather: GatherOutput) -> StaticArgs:
        """How the differentiable recurrence runs."""
        static = super().static_args(reverse, gather)
        return dataclasses.replace(static, cpu_window=self.cpu_window)


def choose(
    given: Implementation | None, params: Params, x: Any, axes: Layout
) -> tuple[Implementation, dict[str, PlatformPlan]]:
    """What is asked for, which has been checked; else what suits the sizes.

    Returns:
        What runs on any platform, and what that is on each.
    """
    if given is not None:
        return given, dict.fromkeys(PLATFORMS, PlatformPlan(given, "asked for"))
    cells = layers(params)
    if not all(cell.deferred_product for cell in cells):
        # JAX differentiates these step by step, and cannot choose by platform.
        return Scan(), dict.fromkeys(PLATFORMS, PlatformPlan(Scan(), "default"))
    # A CPU has no product of one input.
    wide = [cell for cell in cells if cell.input_size > 1]
    columns = max((cell.projected_size for cell in wide), default=0)
    itemsize = accum_dtype(result_dtype(params, x)).itemsize
    sizes = axes.steps, math.prod(axes.batch), columns, itemsize
    mesh = jax.sharding.get_abstract_mesh()
    shared_out = math.prod(mesh.shape[axis] for axis in mesh.manual_axes) > 1
    plans = {n: PlatformPlan(*default(*sizes, n, shared_out)) for n in PLATFORMS}
    cpu = plans["cpu"].implementation
    if cpu == Scan():
        return cpu, plans
    return DefaultScan(cpu_window=cast("Scan", cpu).window), plans
