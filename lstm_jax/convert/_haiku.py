# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""dm-haiku: hk.LSTM and hk.DeepRNN of several, by the names of their parameters."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from lstm_jax._params import Params, Stack
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert._arrays import bias, finished, named, on_device, on_host, reorder
from lstm_jax.convert._systems import members, raise_reasons, refuse

ORDER = "igfo"


def from_haiku(params: Any, names: str | Sequence[str] | None = None) -> Params:
    """Reads the parameters of an hk.LSTM, or of an hk.DeepRNN of several.

    Haiku adds 1 to the forget gate at every step; here it is in the bias, whose sum
    with 1 is rounded once.

    Args:
        params: module names to `w` and `b`, as `init` of the transformed function
            gives them.
        names: of the module, as "lstm", or of several from the lowest on; other
            modules are left out. None takes all there are, in the order of their
            numbers (lstm, lstm_1, …).

    Returns:
        `LSTMParams` for one module, a `Stack` for a sequence of names or where there
        are several. In the dtype of the weights.

    Raises:
        ValueError: names or shapes are not of an LSTM.
        TypeError: params is no mapping; a dtype is not floating, or JAX would round
            it.
        NotImplementedError: another cell.

    Example:
        >>> import numpy as np
        >>> w, b = np.ones((3 + 5, 4 * 5), "f"), np.zeros(4 * 5, "f")
        >>> cell = from_haiku({"lstm/linear": {"w": w, "b": b}})
        >>> cell.b[5:10]  # of the forget gate
        Array([1., 1., 1., 1., 1.], dtype=float32)

    References:
        Haiku, `haiku.LSTM`: rows [x, h], columns i, g, f, o, and the constant 1.
    """
    call = "from_haiku"
    nested = isinstance(params, Mapping)
    if not nested or not all(isinstance(p, Mapping) for p in params.values()):
        kinds = [type(p).__name__ for p in (params.values() if nested else [params])]
        raise TypeError(
            f"{call}: params must map module names to mappings of arrays; got "
            f"{', '.join(kinds)}."
        )
    chosen = _all(call, params) if names is None else names
    if isinstance(chosen, str):
        return finished(call, _read(call, params, chosen))
    layers = tuple(_read(call, params, name) for name in chosen)
    return finished(call, Stack(layers))


def to_haiku(
    params: Params, names: str | Sequence[str] | None = None
) -> dict[str, dict[str, jax.Array]]:
    """The parameters for an hk.LSTM, or for an hk.DeepRNN of several.

    1 is taken from the bias of the forget gate, since Haiku adds it at every step:
    exact for biases from 0.5 on, and rounded once below. No bias becomes the one that
    gives zero.

    Args:
        params: `LSTMParams`, or a `Stack` of them.
        names: of the module, or of each from the lowest on; None for lstm, lstm_1, ….

    Returns:
        Module names to `w` (I + H, 4H) and `b` (4H,).

    Raises:
        ValueError: there are not as many different names as layers.
        NotImplementedError: Haiku cannot express the network; all reasons at once.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2)
        >>> list(to_haiku(params))
        ['lstm/linear', 'lstm_1/linear']
    """
    call = "to_haiku"
    refuse(call, "haiku", params)
    cells = members(on_host(call, params))
    if names is None:
        names = [f"lstm_{k}" if k else "lstm" for k in range(len(cells))]
    names = [names] if isinstance(names, str) else list(names)
    if len(set(names)) != len(cells) or len(names) != len(cells):
        raise ValueError(
            f"{call}: names must be {len(cells)} different ones (from params); got "
            f"{', '.join(names) or 'none'}."
        )
    return {
        f"{name}/linear": on_device(call, _written(cell))
        for name, cell in zip(names, cells, strict=True)
    }


def _all(call: str, params: Mapping[str, Any]) -> str | list[str]:
    """The names of all modules from the lowest on, which must all be LSTMs."""
    others = [name for name in params if not name.endswith("/linear")]
    if others:
        found = ", ".join(_lstms(params)) or "none"
        raise_reasons(
            call,
            "this library cannot express",
            [f"a GRU (in {name})" for name in others if "w_i" in params[name]],
        )
        raise ValueError(
            f"{call}: params must be of LSTMs alone, and has {', '.join(others)}; pass "
            f"names, of {found}."
        )
    names = sorted(_lstms(params), key=_number)
    if len({_number(name)[0] for name in names}) != 1:
        raise ValueError(
            f"{call}: params must be of modules that are numbered, which gives their "
            f"order; got {', '.join(params) or 'none'}. Pass names in their order."
        )
    missing = {_number(name)[1] for name in names} ^ set(range(len(names)))
    if len(names) > 1 and missing:
        raise ValueError(
            f"{call}: params must have modules of all numbers, or a layer is missing; "
            f"got {', '.join(names)}. If these are all, pass them as names."
        )
    return names[0] if len(names) == 1 else names


def _lstms(params: Iterable[str]) -> list[str]:
    return [n.removesuffix("/linear") for n in params if n.endswith("/linear")]


def _number(name: str) -> tuple[str, int]:
    """A module's name without its number, and the number, which the first lacks."""
    base, number = re.fullmatch(r"(.*?)(?:_(\d+))?", name).groups()  # type: ignore[union-attr]
    return base, int(number or 0)


def _read(call: str, params: Mapping[str, Any], name: str) -> LSTMParams:
    module = f"{name}/linear"
    if module not in params:
        raise ValueError(
            f"{call}: names must be of {', '.join(_lstms(params)) or 'none'}, which "
            f"are in params; got {name!r}."
        )
    arrays = named(call, params[module], ["w", "b"], where=module)
    w, b = arrays["w"], arrays["b"]
    units = w.shape[-1] // 4
    if w.ndim != 2 or w.shape[1] % 4 or not 0 < units < w.shape[0]:
        raise ValueError(
            f"{call}: w of {module} must have shape (I + H, 4·H), as of an hk.LSTM; "
            f"got {w.shape}."
        )
    if b.shape != w.shape[1:]:
        raise ValueError(
            f"{call}: b of {module} must have shape {w.shape[1:]} (from w); got "
            f"{b.shape}."
        )
    w, b = (reorder(a, ORDER, "ifgo") for a in (w, b))
    return LSTMParams(w_x=w[:-units], w_h=w[-units:], b=_forget(b, 1))


def _written(cell: LSTMParams) -> dict[str, np.ndarray]:
    w = np.concatenate([cell.w_x, cell.w_h])
    b = _forget(bias(cell), -1)
    return {"w": reorder(w, "ifgo", ORDER), "b": reorder(b, "ifgo", ORDER)}


def _forget(b: np.ndarray, added: int) -> np.ndarray:
    """A bias (4H,) with a number added for the forget gate."""
    i, f, g, o = np.split(b, 4)
    return np.concatenate([i, f + np.asarray(added, b.dtype), g, o])
