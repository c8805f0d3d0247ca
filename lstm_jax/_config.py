# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""config and from_config: the structure of parameters as plain data.

Neither Orbax nor flax.serialization saves static metadata: both fill a template and
keep its options. Save `config(params)` beside the arrays, make the template with
`from_config`, and `check_config` notices any that disagrees.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._activation_functions import ActivationFn
from lstm_jax._norms import GateNorm, SplitNorm
from lstm_jax._params import Bidirectional, Params, Residual, Reverse, Stack
from lstm_jax.cells.base import Cell
from lstm_jax.cells.fgr import FGRParams
from lstm_jax.cells.gru import GRUParams
from lstm_jax.cells.lstm1997 import LSTM1997Params
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.cells.options import CellOptions
from lstm_jax.cells.rnn import RNNParams

KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        LSTMParams,
        GRUParams,
        RNNParams,
        FGRParams,
        LSTM1997Params,
        Stack,
        Bidirectional,
        Reverse,
        Residual,
        SplitNorm,
        GateNorm,
        CellOptions,
        ActivationFn,
    )
}


def describe(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        items = {name: describe(item) for name, item in value.items()}
        return {"kind": "dict", "items": items}
    if isinstance(value, Cell) or type(value) in KINDS.values():
        fields = {
            field.name: describe(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
        return {"kind": type(value).__name__, **fields}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return {"shape": list(value.shape), "dtype": jnp.dtype(value.dtype).name}
    raise TypeError(f"config: params must hold arrays; got {type(value).__name__}.")


def config(params: Params) -> dict[str, Any]:
    """Structure, shapes, dtypes and options of parameters, as data fit for JSON.

    Args:
        params: parameters of any kind, of arrays or ShapeDtypeStructs.

    Returns:
        A dict of dicts, lists, strings, numbers, booleans and None. A class stands in
        it by its name alone.

    Raises:
        TypeError: something in params is neither of this library, nor a `Cell`, nor an
            array, nor plain data.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5, dtype="float32")
        >>> lstm_jax.config(params)["w_x"]
        {'shape': [3, 20], 'dtype': 'float32'}
    """
    described: dict[str, Any] = describe(params)
    return described


def build(path: str, value: Any, kinds: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return tuple(build(f"{path}[{k}]", item, kinds) for k, item in enumerate(value))
    if not isinstance(value, dict):
        return value
    if set(value) == {"shape", "dtype"}:
        return jax.ShapeDtypeStruct(tuple(value["shape"]), jnp.dtype(value["dtype"]))
    if set(value) == {"kind", "items"} and value["kind"] == "dict":
        items = value["items"].items()
        return {k: build(f"{path}.{k}", item, kinds) for k, item in items}
    kind = kinds.get(value.get("kind", ""))
    if kind is None:
        raise ValueError(
            f"from_config: {path}.kind must be one of {', '.join(kinds)}; got "
            f"{value.get('kind')!r}. A class of your own goes into cells."
        )
    fields = {name: item for name, item in value.items() if name != "kind"}
    known = {field.name for field in dataclasses.fields(kind)}
    if set(fields) != known:
        raise ValueError(
            f"from_config: {path} must have the fields {sorted(known)} of "
            f"{kind.__name__}; got {sorted(fields)}."
        )
    return kind(
        **{name: build(f"{path}.{name}", v, kinds) for name, v in fields.items()}
    )


def from_config(
    config: dict[str, Any], *, cells: Mapping[str, type[Cell]] | None = None
) -> Any:
    """The structure that `config` described, with ShapeDtypeStructs for arrays.

    It is the template that flax.serialization and Orbax fill.

    Args:
        config: what `config` gave, also after a way through JSON.
        cells: classes of one's own by name. Nothing is imported by its name.

    Returns:
        Parameters whose leaves are `jax.ShapeDtypeStruct`.

    Raises:
        ValueError: a kind or field that this version does not know.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> template = lstm_jax.from_config(lstm_jax.config(params))
        >>> template.layers[0].w_h.shape
        (5, 20)
    """
    return build("config", config, KINDS | dict(cells or {}))


def _differences(path: str, one: Any, two: Any) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(two, dict) and set(one) == set(two):
        for name in one:
            yield from _differences(f"{path}.{name}", one[name], two[name])
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for k, (a, b) in enumerate(zip(one, two, strict=True)):
            yield from _differences(f"{path}[{k}]", a, b)
    elif one != two:
        yield f"{path} is {one!r}, saved was {two!r}"


def check_config(params: Params, saved: dict[str, Any]) -> None:
    """Notices parameters, or a template, that disagree with a saved `config`.

    Args:
        params: parameters or a template of ShapeDtypeStructs.
        saved: the `config` of the parameters that were saved.

    Raises:
        ValueError: they disagree; every difference is named.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
        >>> saved = lstm_jax.config(params)
        >>> other = params.replace(options=lstm_jax.CellOptions(clip=3.0))
        >>> lstm_jax.check_config(other, saved)
        Traceback (most recent call last):
        ...
        ValueError: check_config: params.options.clip is 3.0, saved was None.
    """
    found = list(_differences("params", config(params), saved))
    if found:
        raise ValueError(f"check_config: {'; '.join(found)}.")
