# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a kernel of a scan will be: its program of one step, its tiles, its memory.

VMEM holds what is the same at every step once; what differs between tiles of rows, and
what streams through a block of steps at a time, twice, so that one is copied while the
other is used; and the values of a step that the compiler cannot keep in registers.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._dtypes import accum_dtype
from lstm_jax._types import is_random_key
from lstm_jax.implementations.fused_inline import inlined

# (shared, rows, carry, x) -> (carry, sums, y); closes over no array
KernelBody = Callable[[Any, Any, Any, Any], tuple[Any, Any, Any]]

MIB = 2**20
# MiB of VMEM of a core, by how the name of a kind of device begins.
VMEM = {
    "TPU v4": 16,
    "TPU v5 lite": 128,
    "TPU v5e": 128,
    "TPU v5": 64,
    "TPU v6": 128,
    "TPU7": 64,
}
UNKNOWN_VMEM = 16
MARGIN = 0.1  # of VMEM, which is left to the compiler
BLOCK = 16  # steps: more would save no time, and take memory
TILE = 16  # rows by which a tile grows: a whole tile of 16-bit numbers


class NoKernelError(NotImplementedError):
    """A kernel that cannot be made.

    Attributes:
        reasons: all there are.
    """

    def __init__(self, reasons: list[str]):
        super().__init__(f"Fused cannot make a kernel of this: {'; '.join(reasons)}.")
        self.reasons = reasons


@dataclasses.dataclass(frozen=True)
class Kernel:
    """How a kernel is made; static.

    Attributes:
        block: steps in a block; None for what fits, up to 16.
        rows: rows in a tile; None for as many as fit.
        vmem: bytes of VMEM that it may take; None for what the device has.
        interpret: as `pallas_call` takes it.
    """

    block: int | None = None
    rows: int | None = None
    vmem: int | None = None
    interpret: Any = False


class Plan(NamedTuple):
    """A kernel of which all is known.

    Attributes:
        jaxpr: one step of one tile, from flat arrays to flat arrays.
        consts: arrays that the step makes, which stand before the shared ones.
        shared: types of the shared arrays, those of `consts` among them.
        row_types: types of a tile.
        carry: likewise.
        xs: types of one step of a tile.
        sums: types of what is summed up.
        ys: types of one step of a tile.
        out_trees: of carry, sums and y.
        rows: as many as there are.
        tile: rows in a tile.
        tiles: their number; the last one may have rows too many.
        block: steps in a block.
        bytes: of VMEM, estimated.
        limit: bytes of VMEM.
    """

    jaxpr: Any
    consts: Any
    shared: Any
    row_types: Any
    carry: Any
    xs: Any
    sums: Any
    ys: Any
    out_trees: Any
    rows: int
    tile: int
    tiles: int
    block: int
    bytes: int
    limit: int


def stored_shape(shape: tuple[int, ...], by_rows: bool) -> tuple[int, ...]:
    """As it stands in VMEM, where all is (…, rows, columns)."""
    if len(shape) >= 2:
        return shape
    if not shape:
        return 1, 1
    return (*shape, 1) if by_rows else (1, *shape)


def stored_dtype(dtype: Any) -> Any:
    """VMEM has no booleans."""
    return jnp.dtype(jnp.int32) if jnp.issubdtype(dtype, jnp.bool_) else dtype


def vmem_bytes(shape: tuple[int, ...], dtype: Any) -> int:
    """What an array takes in VMEM, where its last two axes fill whole tiles."""
    *lead, rows, columns = stored_shape(shape, False)
    size = max(1, stored_dtype(dtype).itemsize)
    tile = max(8, 32 // size)
    rows, columns = -(-rows // tile) * tile, -(-columns // 128) * 128
    return math.prod(lead) * rows * columns * size


def device_kind() -> str | None:
    """The kind of TPU that is compiled for, by the mesh of the context or the backend.

    None where it is no TPU.
    """
    device = getattr(jax.sharding.get_abstract_mesh(), "abstract_device", None)
    kind: str = (jax.devices()[0] if device is None else device).device_kind
    return kind if kind.startswith("TPU") else None


def vmem_limit(how: Kernel) -> int:
    """Bytes of VMEM of the device, or as many as are given.

    Where kernels are interpreted there is no VMEM; then those of the largest.
    """
    if how.vmem is not None:
        return how.vmem
    if how.interpret:
        return max(VMEM.values()) * MIB
    kind = device_kind() or ""
    found = [size for name, size in VMEM.items() if kind.startswith(name)]
    return (found or [UNKNOWN_VMEM])[0] * MIB


def make_plan(
    how: Kernel, body: KernelBody, by_rows: bool, steps: int, types: Any
) -> Plan:
    """Chooses the tiles of rows and the blocks of steps.

    Args:
        how: knobs.
        body: of one step.
        by_rows: whether rows may be tiled.
        steps: T.
        types: of shared, rows, carry and x, for all rows.

    Raises:
        NoKernelError: with all reasons why there is none.
    """
    rows = _row_count(types) if by_rows else 1
    if any(is_random_key(a) for a in jax.tree.leaves(types)):
        raise NoKernelError(["it has no random keys"])
    limit = vmem_limit(how)
    usable = int(limit * (1 - MARGIN))
    for tile in _tiles(rows, how.rows if by_rows else rows):
        plan = _planned(how, body, by_rows, steps, types, rows, tile, usable, limit)
        if plan.bytes <= usable:
            break
    reasons = [] if how.interpret else problems(plan.jaxpr, device_kind() or "")
    if plan.bytes > usable:
        reasons.append(
            f"it needs {plan.bytes / MIB:.1f} MiB of VMEM by an estimate, with "
            f"{plan.tile if by_rows else 'all'} rows at a time, and of {limit / MIB:g} "
            f"MiB it may take {usable / MIB:.1f}"
        )
    if reasons:
        raise NoKernelError(reasons)
    return plan


def _row_count(types: Any) -> int:
    _, rows, carry, xs = types
    return jax.tree.leaves((carry, xs, rows))[0].shape[0]


def _tiles(rows: int, given: int | None) -> list[int]:
    """Sizes of a tile that are tried, one after the other."""
    if given is not None:
        return [min(rows, given)]
    sizes, tiles = [rows], 2
    while sizes[-1] > TILE:
        sizes.append(math.ceil(rows / tiles / TILE) * TILE)
        tiles *= 2
    return sizes


def _planned(
    how: Kernel,
    body: KernelBody,
    by_rows: bool,
    steps: int,
    types: Any,
    rows: int,
    tile: int,
    usable: int,
    limit: int,
) -> Plan:
    """The kernel with tiles of some size, whether it fits or not."""
    if by_rows:
        types = types[0], *jax.tree.map(partial(_of_tile, tile), types[1:])
    traced, out = jax.make_jaxpr(body, return_shape=True)(*types)
    flat = [jax.tree.leaves(part) for part in types]
    jaxpr, consts = inlined(traced, jax.tree.leaves(types))
    made = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in consts]
    shared, (row_types, carry, xs) = [*made, *flat[0]], flat[1:]
    _, sums, ys = ([*jax.tree.leaves(part)] for part in out)
    tiles = -(-rows // tile)

    def size(arrays: Any, dtype: Any = None) -> int:
        return sum(
            vmem_bytes(stored_shape(a.shape, by_rows), dtype or a.dtype) for a in arrays
        )

    once = sum(vmem_bytes(a.shape, a.dtype) for a in shared)
    twice = size(row_types) + 2 * size(carry)
    twice += sum(vmem_bytes(a.shape, accum_dtype(a.dtype)) for a in sums)
    fixed = once + (2 if tiles > 1 else 1) * twice + live_bytes(jaxpr)
    moving = 2 * (size(xs) + size(ys))
    fit = (usable - fixed) // max(1, moving)
    block = how.block or max(1, min(BLOCK, fit))
    block = min(block, steps)
    return Plan(
        jaxpr,
        consts,
        shared,
        row_types,
        carry,
        xs,
        sums,
        ys,
        tuple(jax.tree.structure(part) for part in out),
        rows,
        tile,
        tiles,
        block,
        fixed + moving * block,
        limit,
    )


def _of_tile(tile: int, a: Any) -> Any:
    return jax.ShapeDtypeStruct((tile, *a.shape[1:]), a.dtype)


def live_bytes(jaxpr: Any) -> int:
    """The most that the values of a step take at one time, its arguments aside.

    An estimate of the compiler's stack: what is computed elementwise may never be
    stored, and the order may be another one.
    """
    last: dict[Any, int] = {}
    for k, eqn in enumerate(jaxpr.eqns):
        for var in eqn.invars:
            if not hasattr(var, "val"):
                last[var] = k
    for var in jaxpr.outvars:
        if not hasattr(var, "val"):
            last[var] = len(jaxpr.eqns)
    ends: dict[int, int] = {}
    live = most = 0
    for k, eqn in enumerate(jaxpr.eqns):
        for var in eqn.outvars:
            aval = var.aval
            size = vmem_bytes(aval.shape, aval.dtype)
            live += size
            end = last.get(var, k)
            ends[end] = ends.get(end, 0) + size
        most = max(most, live)
        live -= ends.get(k, 0)
    return most


def problems(jaxpr: Any, kind: str) -> list[str]:
    """Why a kernel of this step cannot be compiled for a kind of TPU."""
    found = set()
    if kind.startswith("TPU v6") and _breaks_libtpu(jaxpr):
        found.add(
            "libtpu 0.0.42 fails on a TPU v6 where more than 24 rows of float32 gates "
            "take 128 columns or fewer together"
        )
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "expm1":
            found.add("it has no expm1, which elu and its like need")
        if eqn.primitive.name == "dot_general" and not _precision_fits(
            eqn.params["precision"]
        ):
            found.add(
                "its products have the precisions default and highest; got "
                f"{eqn.params['precision']}"
            )
        for var in (*eqn.invars, *eqn.outvars):
            dtype = getattr(var.aval, "dtype", None)
            if dtype is not None and dtype in (jnp.float64, jnp.complex128):
                found.add(f"a TPU's kernel has no {dtype}")
    return sorted(found)


def _breaks_libtpu(jaxpr: Any) -> bool:
    """Whether a concatenation is one for which libtpu 0.0.42.1 fails on a TPU v6.

    Its register allocator ends with an error. It was seen in float32 for results of at
    most 128 columns and of 32 rows or more, and not for 24 rows or in bfloat16.
    """
    joined = [
        e.outvars[0].aval for e in jaxpr.eqns if e.primitive.name == "concatenate"
    ]
    narrow = any(a.ndim == 2 and a.shape[0] > 24 and a.shape[1] <= 128 for a in joined)
    return narrow and all(var.aval.dtype.itemsize != 2 for var in jaxpr.invars)


def _precision_fits(precision: Any) -> bool:
    both = precision if isinstance(precision, tuple) else (precision,)
    fitting = (None, lax.Precision.DEFAULT, lax.Precision.HIGHEST)
    return all(one in fitting for one in both)
