# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""This library's own file: arrays in safetensors, structure and options beside them."""

import json
from typing import Any

import jax
import numpy as np

from lstm_jax._config import config, from_config
from lstm_jax._params import Params
from lstm_jax.convert._arrays import finished, on_host
from lstm_jax.convert._files import Refused, reading, writing

KEY = "lstm_jax.config"  # of the file's metadata


def to_safetensors(params: Params, path: Any, *, overwrite: bool = False) -> None:
    """Writes parameters of any kind to one file; all or nothing of it.

    Arrays stand under their paths in params, as "layers.0.forward.w_x"; what
    `lstm_jax.config` says of them stands in the metadata, as JSON.

    Args:
        params: parameters of any kind.
        path: of the file.
        overwrite: whether there may be one already.

    Raises:
        FileExistsError: there is one.

    Example:
        >>> import jax, lstm_jax, tempfile
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     to_safetensors(params, f"{folder}/lstm.safetensors")
        ...     again = from_safetensors(f"{folder}/lstm.safetensors")
        >>> bool((again.layers[0].w_h == params.layers[0].w_h).all())
        True
    """
    from safetensors.numpy import save_file

    call = "to_safetensors"
    # Its NumPy side writes the memory of an array as it lies, strides or not.
    arrays = {n: np.ascontiguousarray(a) for n, a in _named(on_host(call, params))}
    with writing(call, path, overwrite) as part:
        save_file(arrays, part, metadata={KEY: json.dumps(config(params))})


def from_safetensors(path: Any) -> Any:
    """Reads what `to_safetensors` wrote.

    Args:
        path: of the file.

    Returns:
        Parameters as they were, bit for bit.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it cannot be read, or is another's (of torch's names:
            `from_torch`), or its arrays are not those that its metadata says.

    Example:
        See `to_safetensors`; the two do no more than keep:

        >>> from_safetensors("nowhere.safetensors")
        Traceback (most recent call last):
        ...
        FileNotFoundError: from_safetensors: nowhere.safetensors must be a file; ...
    """
    call = "from_safetensors"
    with reading(call, path, "a safetensors file"):
        text = metadata(path).get(KEY)
        if text is None:
            raise Refused(
                f"{call}: {path} must have {KEY!r} in its metadata, as to_safetensors "
                "writes it; by torch's names it goes through from_torch."
            )
        from safetensors.numpy import load_file

        template = from_config(json.loads(text))
        arrays = load_file(path)
        expected = {n: (a.shape, a.dtype) for n, a in _named(template)}
        found = {n: (a.shape, a.dtype) for n, a in arrays.items()}
        if expected != found:
            differing = sorted(
                n for n in {*expected, *found} if expected.get(n) != found.get(n)
            )
            raise Refused(
                f"{call}: {path} must have the arrays that its metadata says; these "
                f"differ or are missing: {', '.join(differing)}."
            )
        leaves = [arrays[name] for name, _ in _named(template)]
        params = jax.tree.unflatten(jax.tree.structure(template), leaves)
    return finished(call, params)


def metadata(path: Any) -> dict[str, str]:
    """The metadata of a safetensors file."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return file.metadata() or {}


def _named(params: Any) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    ]
