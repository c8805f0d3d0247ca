# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a network remembers, and how far its gradients reach; with a plot of each.

Everything is computed for given data, in float32 where the data or the parameters have
16 bits, by jitted functions that leave padding out. Resets are not taken: give the
sequences between them as rows. On a mesh with explicit axes `gradient_lag` and
`lyapunov_exponents` do not run; under `jit`, `vmap` and `shard_map` all do. The plots
need matplotlib: `pip install 'lstm_jax[diagnostics]'`.
"""

from lstm_jax.diagnostics._gates import (
    MemoryHorizon,
    Saturation,
    memory_horizon,
    saturation,
)
from lstm_jax.diagnostics._gradient_lag import GradientLag, gradient_lag
from lstm_jax.diagnostics._lyapunov import lyapunov_exponents
from lstm_jax.diagnostics._plots import (
    plot_gradient_lag,
    plot_lyapunov_exponents,
    plot_memory_horizon,
    plot_saturation,
)

__all__ = [
    "GradientLag",
    "MemoryHorizon",
    "Saturation",
    "gradient_lag",
    "lyapunov_exponents",
    "memory_horizon",
    "plot_gradient_lag",
    "plot_lyapunov_exponents",
    "plot_memory_horizon",
    "plot_saturation",
    "saturation",
]
