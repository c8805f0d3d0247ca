# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Compiles for accelerators that are not there: by libtpu, and by XLA for CUDA.

The results are programs and their memory, not times. Without a device XLA does not tune
a GPU's products, and cannot compile what needs cuDNN. Set `jax_platforms` to "cpu" in a
process that uses this: JAX would look for the devices otherwise.
"""

import functools
import importlib.util
import itertools
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

# Four chips of each kind.
TPUS = {"v4": "v4:2x2x1", "v5e": "v5e:2x2", "v5p": "v5p:2x2x1", "v6e": "v6e:2x2"}
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84942979072
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  driver_version: "12.9.0"
  runtime_version: "12.9.0"
  compile_time_toolkit_version: "12.9.0"
  dnn_version: "9.10.0"
  name: "NVIDIA H100 80GB HBM3"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
KINDS = ("cpu", *TPUS, "h100")
PACKAGES = {"tpu": "libtpu", "cuda": "jax_cuda12_plugin"}
COMMANDS = {"tpu": "make accelerators", "cuda": "make accelerators GPU=1"}


def platform(kind: str) -> str:
    """As JAX names it where it lowers."""
    return kind if kind == "cpu" else "cuda" if kind == "h100" else "tpu"


def missing(kind: str) -> str | None:
    """What is to be done before a kind can be compiled for; None if nothing."""
    package = PACKAGES.get(platform(kind))
    if package is None or importlib.util.find_spec(package):
        return None
    return f"{package} is not installed; {COMMANDS[platform(kind)]} gets it"


@functools.cache
def devices(kind: str) -> Sequence[Any]:
    """Devices to compile for: the host's for "cpu", four chips of a TPU, one GPU."""
    if kind == "cpu":
        return jax.devices("cpu")
    if kind == "h100":
        return topologies.get_topology_desc(
            platform="cuda",
            topology_name="1x1x1",
            target_config=H100,
            topology="1x1x1",
        ).devices
    for name, value in (  # of a machine that is asked for nothing
        ("TPU_SKIP_MDS_QUERY", "1"),
        ("TPU_ACCELERATOR_TYPE", "v5litepod-4"),
        ("TPU_WORKER_HOSTNAMES", "localhost"),
        ("TPU_WORKER_ID", "0"),
        ("TPU_LOG_DIR", "disabled"),
        ("ALLOW_MULTIPLE_LIBTPU_LOAD", "1"),  # by several processes, as none runs
    ):
        os.environ.setdefault(name, value)
    return topologies.get_topology_desc(
        platform="tpu", topology_name=TPUS[kind]
    ).devices


def mesh(kind: str, axis: str, number: int = 4) -> Mesh:
    """Devices of a kind in a row."""
    return Mesh(np.array(devices(kind)[:number]), (axis,), axis_types=(AxisType.Auto,))


def compiled(
    kind: str,
    f: Any,
    *args: Any,
    on: Mesh | None = None,
    specs: Sequence[P] = (),
    options: dict[str, Any] | None = None,
) -> Any:
    """Compiles a function for a kind of device.

    Args:
        kind: one of `KINDS`.
        f: a function, jitted or not.
        *args: trees of arrays, or of their types.
        on: a mesh of that kind; None for one device.
        specs: how each argument is laid out on the mesh; whole where none is given.
        options: of the compiler.

    Returns:
        A `jax.stages.Compiled`, which cannot run but for "cpu".
    """
    one = SingleDeviceSharding(devices(kind)[0])
    types = []
    for arg, spec in itertools.zip_longest(args, specs, fillvalue=P()):
        where = one if on is None else NamedSharding(on, spec)
        typed = partial(_typed, where)
        types.append(jax.tree.map(typed, arg))
    jitted = f if hasattr(f, "trace") else jax.jit(f)
    # Pallas asks the mesh of the context for the kind that it lowers for.
    with jax.set_mesh(mesh(kind, "one", 1) if on is None else on):
        traced = jitted.trace(*types)
        lowered = traced.lower(lowering_platforms=(platform(kind),))
        return lowered.compile(compiler_options=options)


def _typed(where: Any, a: Any) -> Any:
    return jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where)
