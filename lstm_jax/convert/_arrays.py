# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Arrays on their way in and out: exact, on the host, gate by gate."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax._params import Params
from lstm_jax._text import quoted
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.checks.params import check_params


def host(call: str, name: str, value: Any) -> np.ndarray:
    """A floating array of any library as NumPy's, bit for bit."""
    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"{call}: {name} must have values; got a tracer, as under jax.jit. Convert "
            "outside, and pass the parameters in."
        )
    if isinstance(value, jax.ShapeDtypeStruct) or getattr(value, "is_meta", False):
        raise TypeError(
            f"{call}: {name} must have values; got {_kind(value)}, which has none. "
            "Make the weights, or load them, first."
        )
    if hasattr(value, "detach"):
        value = _from_torch(call, name, value)
    array = np.asarray(value)
    if not jnp.issubdtype(array.dtype, np.floating):
        raise TypeError(
            f"{call}: {name} must have a floating dtype; got {array.dtype}, which no "
            "rule turns into weights."
        )
    if array.dtype.itemsize > 8:
        raise TypeError(
            f"{call}: {name} must have at most 64 bits a number; got {array.dtype}."
        )
    native = array.dtype.isnative
    return array if native else array.astype(array.dtype.newbyteorder("="))


def _kind(value: Any) -> str:
    """How to speak of what came."""
    meta = " on the device meta" if getattr(value, "is_meta", False) else ""
    return f"a {type(value).__name__}{meta}"


def _from_torch(call: str, name: str, value: Any) -> Any:
    value = value.detach().cpu()
    if str(value.dtype) == "torch.bfloat16":  # for which torch has no way of its own
        import torch

        return value.contiguous().view(torch.int16).numpy().view(jnp.bfloat16)
    try:
        return value.resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"{call}: {name} must be a dense tensor that NumPy can hold; got "
            f"{value.dtype}, {value.layout}. Cast it first. {quoted(error)}"
        ) from error


def reorder(w: Any, order: str, wanted: str, axis: int = -1) -> np.ndarray:
    """Puts the blocks of gates along an axis from one order into another.

    Example:
        >>> reorder(np.array([1, 1, 2, 2, 3, 3, 4, 4]), "iofg", "ifgo")
        array([1, 1, 3, 3, 4, 4, 2, 2])
    """
    blocks = dict(zip(order, np.split(np.asarray(w), len(order), axis), strict=True))
    return np.concatenate([blocks[gate] for gate in wanted], axis)


def named(
    call: str,
    source: Mapping[str, Any],
    required: Iterable[str],
    optional: Iterable[str] = (),
    where: str = "",
) -> dict[str, np.ndarray]:
    """The arrays of these names on the host; a missing or unknown name is an error."""
    required, optional = list(required), list(optional)
    missing = [name for name in required if name not in source]
    unknown = sorted(set(source) - {*required, *optional})
    of = f" of {where}" if where else ""
    if missing:
        raise ValueError(
            f"{call}: {', '.join(missing)}{of} must be there; got "
            f"{', '.join(sorted(source)) or 'nothing'}."
        )
    if unknown:
        raise ValueError(
            f"{call}: {', '.join(unknown)}{of} must be weights of an LSTM; known are "
            f"{', '.join([*required, *optional])}."
        )
    return {
        name: host(call, f"{where}{'.' if where else ''}{name}", source[name])
        for name in (*required, *optional)
        if name in source
    }


def on_device(call: str, tree: Any) -> Any:
    """A tree of arrays as JAX's, unrounded."""

    def array(a: Any) -> jax.Array:
        if a.dtype == np.float64 and not jax.config.read("jax_enable_x64"):
            raise TypeError(
                f"{call}: float64 weights would be rounded to float32, since "
                "jax_enable_x64 is off. Turn it on, or cast them first."
            )
        return jnp.asarray(a)

    return jax.tree.map(array, tree)


def finished(call: str, params: Any) -> Any:
    """Parameters of NumPy arrays as JAX's, unrounded and checked."""
    result = on_device(call, params)
    check_params(call, result)
    return result


def on_host(call: str, params: Params) -> Any:
    """Parameters of JAX's arrays, checked, as NumPy's."""
    check_params(call, params)
    if any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves(params)):
        raise TypeError(
            f"{call}: params must have values; got tracers, as under jax.jit. Call it "
            "outside."
        )
    return jax.tree.map(np.asarray, params)


def bias(cell: LSTMParams) -> np.ndarray:
    """The bias of a layer (G·H,), or zeros where it has none."""
    return np.zeros(cell.w_h.shape[1], cell.w_h.dtype) if cell.b is None else cell.b
