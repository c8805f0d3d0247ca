# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Networks of several seeds side by side."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp


def keys(seeds: Sequence[int], stream: int) -> jax.Array:
    """One random key a seed (S,), different for every `stream`."""
    return jnp.stack([jax.random.fold_in(jax.random.key(s), stream) for s in seeds])


def stack(trees: Sequence[Any]) -> Any:
    """Trees of one structure as one tree, with a new leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def draw(init: Callable[[jax.Array], Any], keys: jax.Array) -> Any:
    """The parameters that `init` gives for each key, stacked.

    They are drawn one after the other. Under `vmap` orthogonal matrices need batched
    QR decompositions, and two of these at once can wait for each other for ever on a
    machine of two cores (jaxlib 0.10.2).
    """
    one = jax.jit(init)
    return stack([one(key) for key in keys])
