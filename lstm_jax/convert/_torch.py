# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""torch: nn.LSTM and nn.LSTMCell, by the names of their state dict."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from lstm_jax._params import Bidirectional, Params, Stack, layers
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert._arrays import bias, finished, named, on_host
from lstm_jax.convert._systems import directions, members, mixed, refuse
from lstm_jax.convert._torch_files import tensors
from lstm_jax.convert._torch_transforms import WEIGHT


def from_torch(source: Any, prefix: str = "", *, torchscript: bool = False) -> Params:
    """Reads an nn.LSTM or nn.LSTMCell; torch is needed for its own objects alone.

    Of weights that weight_norm, spectral_norm (as in evaluation) or pruning compute,
    those that the network computes with are read, of a live module any.

    The two biases become their sum, rounded once. Whether the module had batch_first
    or dropout is no matter of its weights: say that to `apply`.

    Args:
        source: a module, a state dict, a program of torch.export, a mapping of NumPy
            arrays, lists and mappings of these, or the path of a file of one, told by
            its content: safetensors, `.npz`, or what torch.save wrote, read with
            weights_only=True. Of weights cut over several files, the index
            (`.index.json`) or any part: all are read, where they stand beside it.
        prefix: where the LSTM stands in it, as "encoder.lstm"; of a list by the number,
            "models.0". Nothing else is read of a safetensors or `.npz` file.
        torchscript: whether a path is of a TorchScript archive. Loading one may run
            what it contains, so it has to be asked for.

    Returns:
        A `Stack` for nn.LSTM, of `Bidirectional` for two directions; `LSTMParams` for
        nn.LSTMCell. In the dtype of the weights.

    Raises:
        ValueError: names or shapes are not of an LSTM; a file cannot be read.
        TypeError: a dtype is not floating, or JAX would round it.
        NotImplementedError: a plain pickle; a quantised LSTM; a weight computed in
            another way.

    Example:
        >>> import lstm_jax, numpy as np
        >>> rng = np.random.default_rng(0)
        >>> shapes = {"weight_ih_l0": (20, 3), "weight_hh_l0": (20, 5)}
        >>> weights = {n: rng.normal(size=s).astype("f") for n, s in shapes.items()}
        >>> params = from_torch(weights)
        >>> params.layers[0].w_x.shape
        (3, 20)

    References:
        torch, `torch.nn.LSTM`: names and layout of the weights.
    """
    call = "from_torch"
    found = group(call, tensors(call, source, torchscript), prefix)
    names = list(found)
    if "weight_hh" in found:
        params: Params = _layer(call, found, prefix, "")
    else:
        stacked: list[Any] = []
        while f"weight_hh_l{len(stacked)}" in found:
            suffixes = [f"_l{len(stacked)}", f"_l{len(stacked)}_reverse"]
            there = [s for s in suffixes if f"weight_hh{s}" in found]
            each = [_layer(call, found, prefix, s) for s in there]
            both = len(each) == 2
            stacked.append(Bidirectional(each[0], each[1]) if both else each[0])
        params = Stack(tuple(stacked))
    if found:
        raise ValueError(
            f"{call}: {', '.join(sorted(found))} must be weights of one LSTM; they are "
            "not among those of the layers before."
        )
    _alike(call, names)
    return finished(call, params)


def to_torch(params: Params) -> dict[str, Any]:
    """The state dict for an nn.LSTM, or for an nn.LSTMCell from `LSTMParams`.

    The bias goes into bias_ih, and bias_hh is zero. If any layer has a bias all get
    one.

    Args:
        params: `LSTMParams`, or a `Stack` of them or of `Bidirectional` ones that
            concatenate, of one hidden size.

    Returns:
        Names to torch.Tensor, for `load_state_dict`.

    Raises:
        NotImplementedError: torch cannot express the network; all reasons at once.

    Example:
        >>> import jax, lstm_jax, torch
        >>> module = torch.nn.LSTM(3, 5, num_layers=2)
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2)
        >>> module.load_state_dict(to_torch(params))
        <All keys matched successfully>
    """
    import torch

    def tensor(a: np.ndarray) -> Any:
        if a.dtype.name == "bfloat16":
            return torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(a)

    arrays = torch_arrays("to_torch", params)
    return {name: tensor(np.array(a)) for name, a in arrays.items()}


def torch_arrays(call: str, params: Params) -> dict[str, np.ndarray]:
    """What `to_torch` gives, as NumPy's arrays."""
    refuse(call, "torch", params, _more(params))
    params = on_host(call, params)
    if isinstance(params, LSTMParams):
        return _written(params, "", params.b is not None)
    arrays: dict[str, np.ndarray] = {}
    biased = any(cell.b is not None for cell in layers(params))
    for k, member in enumerate(members(params)):
        for cell, suffix in zip(
            directions(member), (f"_l{k}", f"_l{k}_reverse"), strict=False
        ):
            arrays |= _written(cell, suffix, biased)
    return arrays


def prefixes(names: Iterable[str]) -> list[str]:
    """Where LSTMs, or what has weights named like theirs, stand among names."""
    matches = (re.fullmatch(r"(?:(.*)\.)?weight_hh(_l0)?", name) for name in names)
    return [match[1] or "" for match in matches if match]


def group(call: str, arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The weights under a prefix by their last names; other modules' are left out."""
    dotted = f"{prefix}." if prefix and not prefix.endswith(".") else prefix
    under = {n.removeprefix(dotted): n for n in arrays if n.startswith(dotted)}
    if not any(name in under for name in ("weight_hh", "weight_hh_l0")):
        others = ", ".join(repr(p) for p in prefixes(arrays)) or "none"
        raise ValueError(
            f"{call}: prefix must be where an LSTM stands, one of {others}; got "
            f"{prefix!r}."
        )
    if strangers := sorted(name for name in under if not WEIGHT.fullmatch(name)):
        raise ValueError(
            f"{call}: what stands with an LSTM, under the prefix {prefix!r}, must be "
            f"its weights; got {', '.join(strangers)} too."
        )
    return {name: arrays[full] for name, full in under.items()}


def _alike(call: str, found: Iterable[str]) -> None:
    """Refuses layers or directions that lack what others have; torch makes no such."""
    kinds: dict[str, set[str]] = {}
    for name in found:
        kind, _, suffix = name.partition("_l")
        kinds.setdefault(suffix, set()).add(kind)
    layers = {suffix.removesuffix("_reverse") for suffix in kinds}
    both = any(suffix.endswith("_reverse") for suffix in kinds)
    ends = ("", "_reverse") if both else ("",)
    wanted = set[str]().union(*kinds.values())
    lacking = [
        f"{kind}_l{layer}{end}" if layer else kind
        for layer in sorted(layers)
        for end in ends
        for kind in sorted(wanted - kinds.get(f"{layer}{end}", set()))
    ]
    if lacking:
        raise ValueError(
            f"{call}: {', '.join(lacking)} must be there, since other layers or "
            "directions of the LSTM have such weights; is it a part of a model?"
        )


def _layer(call: str, found: dict[str, Any], where: str, suffix: str) -> LSTMParams:
    """The layer and direction whose names end with `suffix`, taken out of `found`."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    mine = {
        name: found.pop(name)
        for name in [f"{k}{suffix}" for k in kinds]
        if name in found
    }
    biases = [f"bias_ih{suffix}", f"bias_hh{suffix}"]
    need = [f"weight_ih{suffix}", f"weight_hh{suffix}"]
    need += biases if any(name in mine for name in biases) else []
    arrays = named(call, mine, need, [f"weight_hr{suffix}"], where)
    ih, hh = (arrays[f"weight_{k}{suffix}"] for k in ("ih", "hh"))
    hr = arrays.get(f"weight_hr{suffix}")
    outputs, inputs = hh.shape[-1], ih.shape[-1]
    units = outputs if hr is None else hr.shape[-1]
    for name, a in arrays.items():
        match name.removesuffix(suffix).split("_"):
            case "weight", "hr":
                expected: tuple[int, ...] = (outputs, units)
            case "weight", kind:
                expected = (4 * units, inputs if kind == "ih" else outputs)
            case _:
                expected = (4 * units,)
        if a.shape != expected:
            raise ValueError(
                f"{call}: {name} must have shape {expected}, with four gates of "
                f"{units} units and {outputs} outputs; got {a.shape}."
            )
    return LSTMParams(
        w_x=ih.T,
        w_h=hh.T,
        b=arrays[biases[0]] + arrays[biases[1]] if biases[0] in arrays else None,
        projection=None if hr is None else hr.T,
    )


def _written(cell: LSTMParams, suffix: str, biased: bool) -> dict[str, np.ndarray]:
    arrays = {f"weight_ih{suffix}": cell.w_x.T, f"weight_hh{suffix}": cell.w_h.T}
    if biased:
        arrays[f"bias_ih{suffix}"] = bias(cell)
        arrays[f"bias_hh{suffix}"] = np.zeros_like(bias(cell))
    if cell.projection is not None:
        arrays[f"weight_hr{suffix}"] = cell.projection.T
    return arrays


def _more(params: Params) -> Iterator[str]:
    """What torch's constructor cannot say, beyond single features."""
    if isinstance(params, LSTMParams):
        if params.projection is not None:
            yield "a projection in an LSTMCell (put it into a Stack, for an LSTM)"
        return
    yield from mixed(params)
    projections = [cell.projection for cell in layers(params)]
    if len({None if p is None else p.shape[1] for p in projections}) > 1:
        yield "projections of different sizes"
