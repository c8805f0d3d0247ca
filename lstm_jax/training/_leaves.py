# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The leaves of a state: their paths, what they are, and their digests."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax._params import Bidirectional, Residual, Reverse, Stack
from lstm_jax.cells.lstm_params import LSTMParams

NETWORKS = LSTMParams, Stack, Bidirectional, Reverse, Residual


def is_key(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def paths(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> dict[str, Any]:
    """Every leaf by its path, as "params/layers/0/w_x"."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf)
    named: dict[str, Any] = {}
    for path, leaf in flat:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name in named:
            raise ValueError(f"training: two leaves have the path {name}.")
        named[name] = leaf
    return named


def kind(leaf: Any) -> dict[str, Any]:
    """Shape and dtype of a leaf, fit for JSON."""
    leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    return {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}


def host(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def digest_json(tree: Any) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def networks(params: Any) -> dict[str, Any]:
    """Every network among parameters, by path."""
    nodes = paths(params, lambda node: isinstance(node, NETWORKS))
    return {name: node for name, node in nodes.items() if isinstance(node, NETWORKS)}


def addressable(leaf: Any) -> bool:
    return not isinstance(leaf, jax.Array) or leaf.is_fully_addressable


def target(leaf: Any) -> jax.ShapeDtypeStruct:
    """What Orbax is to make of a leaf: an array that is where the leaf is."""
    if is_key(leaf):
        data = jax.eval_shape(jax.random.key_data, leaf)
        return jax.ShapeDtypeStruct(data.shape, data.dtype)
    leaf = np.asarray(leaf) if not hasattr(leaf, "dtype") else leaf
    # An array that nobody placed must not be bound to its device: a step over several
    # devices would refuse it.
    chosen = getattr(leaf, "committed", True)
    sharding = getattr(leaf, "sharding", None) if chosen else None
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def like(array: Any, leaf: Any) -> jax.Array:
    array = jnp.asarray(array)
    if is_key(leaf):
        impl = jax.random.key_impl(jnp.zeros((), leaf.dtype))
        return jax.random.wrap_key_data(array, impl=impl)
    return array
