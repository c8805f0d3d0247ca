# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Networks of several seeds side by side."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def keys(seeds: Sequence[int], stream: int) -> jax.Array:
    """One random key a seed (S,), different for every `stream`."""
    return jnp.stack([jax.random.fold_in(jax.random.key(s), stream) for s in seeds])


def stack(trees: Sequence[Any]) -> Any:
    """Trees of one structure as one tree, with a new leading axis.

    NumPy does it, for which nothing is compiled.
    """
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
