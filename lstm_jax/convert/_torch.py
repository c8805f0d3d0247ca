# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""torch: nn.LSTM and nn.LSTMCell, by the names of their state dict."""

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax._params import Bidirectional, Params, Stack, layers
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert._arrays import bias, finished, named, on_host
from lstm_jax.convert._files import Refused, allowed, check_zip, is_path, reading
from lstm_jax.convert._systems import directions, members, mixed, refuse

WEIGHT = re.compile(r"(weight|bias)_(ih|hh|hr)(_l\d+(_reverse)?)?")
ENTRIES = 100_000  # of nested mappings in a file; one can hold another many times


def from_torch(source: Any, prefix: str = "", *, torchscript: bool = False) -> Params:
    """Reads an nn.LSTM or nn.LSTMCell; torch is needed for its own objects alone.

    The two biases become their sum, rounded once. Whether the module had batch_first
    or dropout is no matter of its weights: say that to `apply`.

    Args:
        source: a module, a state dict, a mapping of NumPy arrays, or the path of a
            `.safetensors`, `.npz`, `.pt` or `.pth` file of one; pickled files are
            read by torch with weights_only=True.
        prefix: where the LSTM stands in it, as "encoder.lstm".
        torchscript: whether a path is of a TorchScript archive. Loading one may run
            what it contains, so it has to be asked for.

    Returns:
        A `Stack` for nn.LSTM, of `Bidirectional` for two directions; `LSTMParams` for
        nn.LSTMCell. In the dtype of the weights.

    Raises:
        ValueError: names or shapes are not of an LSTM; a file cannot be read.
        TypeError: a dtype is not floating, or JAX would round it.
        NotImplementedError: a plain pickle.

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


def tensors(call: str, source: Any, torchscript: bool = False) -> dict[str, Any]:
    """The names and arrays of whatever holds weights by torch's names."""
    if hasattr(source, "state_dict"):
        return _flat(source.state_dict())
    if isinstance(source, Mapping):
        return _flat(source)
    if not is_path(source):
        raise TypeError(
            f"{call}: source must be a module, a mapping or a path; got "
            f"{type(source).__name__}."
        )
    if torchscript:
        with reading(call, source, "a TorchScript archive") as path:
            import torch

            check_zip(call, path)
            return _flat(torch.jit.load(str(path), map_location="cpu").state_dict())
    match Path(source).suffix:
        case ".safetensors":
            with reading(call, source, "a safetensors file") as path:
                from safetensors.numpy import load_file

                return load_file(path)
        case ".npz":
            with reading(call, source, "NumPy arrays") as path:
                check_zip(call, path)
                with np.load(path, allow_pickle=False) as archive:
                    return dict(archive)
        case ".pt" | ".pth":
            with reading(call, source, "weights saved by torch") as path:
                import torch

                if zipfile.is_zipfile(path):
                    check_zip(call, path)
                    refuse_torchscript(call, path)
                loaded = torch.load(path, map_location="cpu", weights_only=True)
                arrays = _flat(loaded)
                # A view can repeat a number of its storage without end.
                size = sum(a.numel() * a.element_size() for a in arrays.values())
                if size > allowed(path.stat().st_size):
                    raise Refused(
                        f"{call}: {path} has {path.stat().st_size} bytes and makes "
                        f"{size} of them, as no weights do."
                    )
                return arrays
    raise NotImplementedError(
        f"{call}: {source} must be a .safetensors, .npz, .pt or .pth file; others, as "
        "plain pickles, may run what they contain when they are read."
    )


def refuse_torchscript(call: str, path: Path) -> None:
    """Refuses an archive that holds code; torch.load would say so less clearly."""
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    if any(name == "constants.pkl" or name.startswith("code/") for name in names):
        raise Refused(
            f"{call}: {path} is a TorchScript archive, which may run what it contains "
            "when it is loaded; pass torchscript=True (--torchscript) if you trust it."
        )


def _flat(tree: Any) -> dict[str, Any]:
    """The arrays of nested mappings by dotted names; what is no array is left out."""
    found: dict[str, Any] = {}
    waiting, seen = [("", tree)], 0
    while waiting:
        path, mapping = waiting.pop()
        for name, value in mapping.items():
            where = f"{path}{name}"
            if (seen := seen + 1) > ENTRIES:
                raise ValueError(f"source must have at most {ENTRIES} entries.")
            if isinstance(value, Mapping):
                waiting.append((f"{where}.", value))
            elif hasattr(value, "shape"):
                found[where] = value
    return found


def prefixes(names: Iterable[str]) -> list[str]:
    """Where LSTMs, or what has weights named like theirs, stand among names."""
    matches = (re.fullmatch(r"(?:(.*)\.)?weight_hh(_l0)?", name) for name in names)
    return [match[1] or "" for match in matches if match]


def group(call: str, arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The weights under a prefix by their last names; other modules' are left out."""
    dotted = f"{prefix}." if prefix and not prefix.endswith(".") else prefix
    under = {
        name.removeprefix(dotted): a
        for name, a in arrays.items()
        if name.startswith(dotted)
    }
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
    return under


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
