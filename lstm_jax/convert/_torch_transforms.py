# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""torch: weights that a module computes from others, as weight_norm and pruning do."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lstm_jax.convert._arrays import host

WEIGHT = re.compile(r"(weight|bias)_(ih|hh|hr)(_l\d+(_reverse)?)?")
NAME = rf"(?P<name>{WEIGHT.pattern})"
PARAMETRIZED = re.compile(rf"((?:.*\.)?)parametrizations\.{NAME}\.(?P<part>.+)")
HOOKED = re.compile(rf"((?:.*\.)?){NAME}_(?P<part>g|v|u|orig|mask)")
# How torch's own quantised and quantizable LSTMs keep what stands for weights.
QUANTISED = re.compile(
    r"((?:.*\.)?)(?:_all_weight_values\.|_packed_weight_.h$|layers\.\d+\.layer_[fb]w"
    r"\.cell\.).*"
)


class Lazy(Mapping[str, Any]):
    """Arrays by name, each made when it is asked for."""

    def __init__(self, makers: dict[str, Callable[[], Any]]) -> None:
        """From a function for each name."""
        self._makers = makers

    def __getitem__(self, name: str) -> Any:
        return self._makers[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def effective(call: str, arrays: Mapping[str, Any]) -> Lazy:
    """The weights that a network computes with, of those that its module stores."""
    makers: dict[str, Callable[[], Any]] = {}
    stored: dict[str, dict[str, str]] = {}
    for name in arrays:
        if match := PARAMETRIZED.fullmatch(name) or HOOKED.fullmatch(name):
            stored.setdefault(match[1] + match["name"], {})[match["part"]] = name
        elif match := QUANTISED.fullmatch(name):
            makers[f"{match[1]}weight_hh_l0"] = functools.partial(
                _quantised, call, match[1]
            )
        else:
            makers[name] = functools.partial(arrays.__getitem__, name)
    for name, own in stored.items():
        made = functools.partial(_computed, call, name, own, arrays)
        makers[name] = made
    return Lazy(makers)


def _quantised(call: str, where: str) -> Any:
    raise NotImplementedError(
        f"{call}: the LSTM at {where.rstrip('.')!r} must be in floating point; it is a "
        "quantised one, or made for quantisation. Pass the model from before."
    )


def _computed(
    call: str, name: str, own: dict[str, str], arrays: Mapping[str, Any]
) -> np.ndarray:
    """A weight from what is stored for it, in float64 and rounded once."""
    recipes: dict[frozenset[str], Callable[..., Any]] = {
        frozenset(["original0", "original1"]): _weight_norm,
        frozenset(["g", "v"]): _weight_norm,
        frozenset(["original", "0._u", "0._v"]): _spectral_norm,
        frozenset(["orig", "u", "v"]): _spectral_norm,
        frozenset(["orig", "mask"]): np.multiply,
    }
    recipe = recipes.get(frozenset(own))
    made = None
    if recipe is not None:
        found = [host(call, own[k], arrays[own[k]]) for k in sorted(own, key=_order)]
        with np.errstate(all="ignore"):
            made = recipe(*(a.astype(np.float64) for a in found))
    if made is None:
        listed = ", ".join(own[key] for key in sorted(own))
        raise NotImplementedError(
            f"{call}: {name} must be stored as it is, or as weight_norm, spectral_norm "
            f"or pruning do; got {listed}, which do not say how it is computed. Pass "
            "the live module, or make it permanent before it is saved, as "
            "torch.nn.utils.parametrize.remove_parametrizations does."
        )
    return made.astype(found[-1 if recipe is _weight_norm else 0].dtype)


def _order(key: str) -> tuple[bool, str]:
    return not key.startswith("orig"), key


def _weight_norm(g: np.ndarray, v: np.ndarray) -> np.ndarray | None:
    """G · v / |v|, the norm over the axes along which g is constant."""
    if not g.ndim:
        return g * v / np.sqrt((v * v).sum())
    if g.ndim != v.ndim or any(
        a not in (1, b) for a, b in zip(g.shape, v.shape, strict=True)
    ):
        return None
    axes = tuple(k for k, size in enumerate(g.shape) if size == 1)
    return g * v / np.sqrt((v * v).sum(axes, keepdims=True))


def _spectral_norm(w: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray | None:
    """W / (u · W v), as in evaluation; u runs along the axis that torch calls dim."""
    if w.ndim != 2 or u.ndim != 1 or v.ndim != 1:
        return None
    if w.shape == (u.size, v.size):
        return w / (u @ w @ v)
    return w / (v @ w @ u) if w.shape == (v.size, u.size) else None


def of_module(module: Any) -> dict[str, Any]:
    """The state dict of a live module, with weights of parametrizations computed.

    As in evaluation: in training some change what they keep at every use.
    """
    state = dict(module.state_dict())
    for path, part in getattr(module, "named_modules", dict)():
        if type(part).__module__ != "torch.nn.utils.parametrize":
            continue
        for name in filter(WEIGHT.fullmatch, getattr(part, "parametrizations", ())):
            where = f"{path}." if path else ""
            begin = f"{where}parametrizations.{name}."
            state = {n: a for n, a in state.items() if not n.startswith(begin)}
            state[f"{where}{name}"] = _evaluated(part, name)
    return state


def _evaluated(part: Any, name: str) -> Any:
    """A parametrized weight in evaluation; modes are afterwards what they were."""
    import torch

    modes = [(m, m.training) for m in part.parametrizations[name].modules()]
    try:
        part.parametrizations[name].eval()
        with torch.no_grad():
            return getattr(part, name)
    finally:
        for inner, training in modes:
            inner.training = training
