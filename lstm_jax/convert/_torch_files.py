# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""torch: the names and arrays in modules, containers and files, whatever holds them."""

import functools
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax._text import quoted
from lstm_jax.convert._files import Refused, allowed, check_zip, is_path, reading
from lstm_jax.convert._formats import FORMATS, format_of
from lstm_jax.convert._parts import parts
from lstm_jax.convert._torch_transforms import QUANTISED, Lazy, effective, of_module

# Of nested containers: one can hold another many times, or itself.
ENTRIES, DEEP = 100_000, 64


def tensors(call: str, source: Any, torchscript: bool = False) -> Lazy:
    """The names and arrays of whatever holds weights by torch's names."""
    if isinstance(source, Lazy):
        return source
    if is_path(source):
        return effective(call, _of_path(call, source, torchscript))
    if isinstance(source, np.lib.npyio.NpzFile):
        return effective(call, source)
    if hasattr(source, "state_dict") or isinstance(source, Mapping | list | tuple):
        return effective(call, _flat(call, source))
    raise TypeError(
        f"{call}: source must be a module, a mapping or a path; got "
        f"{type(source).__name__}."
    )


def _of_path(call: str, source: Any, torchscript: bool) -> Mapping[str, Any]:
    if torchscript:
        with reading(call, source, "a TorchScript archive") as path:
            import torch

            check_zip(call, path)
            loaded = torch.jit.load(str(path), map_location="cpu")
            return _flat(call, loaded.state_dict())
    with reading(call, source, "weights") as path:
        cut = parts(call, path)
        makers: dict[str, Callable[[], Any]] = {}
        for part, expected in cut.files.items():
            arrays = _of_file(call, part)
            lacking = sorted((expected or frozenset()) - set(arrays))
            doubled = sorted(set(makers) & set(arrays))
            if lacking or doubled:
                what = "must have" if lacking else "must be the only one to have"
                raise Refused(
                    f"{call}: {part} {what} what {cut.source} says it holds: "
                    f"{', '.join(lacking or doubled)}."
                )
            makers |= {n: functools.partial(arrays.__getitem__, n) for n in arrays}
    return Lazy(makers)


def _of_file(call: str, path: Path) -> Mapping[str, Any]:
    """The arrays of one file, of which no code is run."""
    found = format_of(path)
    match found:
        case "safetensors":
            with reading(call, path, "a safetensors file"):
                from safetensors import safe_open

                with safe_open(path, framework="numpy") as file:
                    names = list(file.keys())
            read: Any = _from_safetensors
        case "npz":
            with reading(call, path, "NumPy arrays"):
                check_zip(call, path)
                with np.load(path, allow_pickle=False) as archive:
                    names = archive.files
            read = _from_npz
        case "torch" | "torchscript":
            with reading(call, path, "weights saved by torch"):
                return _of_torch_file(call, path)
        case None:
            raise NotImplementedError(
                f"{call}: {path} must be a file of safetensors, NumPy (.npz) or torch, "
                "or an index of such parts; by its content it is none of them. Others, "
                "as plain pickles, may run what they contain when they are read."
            )
        case _:
            form = FORMATS[found]
            fix = f"which {form.reader} reads"
            if found == "exported":
                fix = "which torch.export.load reads, if you trust it; pass its result"
            raise Refused(
                f"{call}: {path} must hold weights by torch's names; it is "
                f"{form.title}, {fix}."
            )
    return Lazy({name: functools.partial(read, call, path, name) for name in names})


def _from_safetensors(call: str, path: Path, name: str) -> Any:
    with reading(call, path, f"a safetensors file with {name}"):
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            return file.get_tensor(name)


def _from_npz(call: str, path: Path, name: str) -> Any:
    with reading(call, path, f"NumPy arrays with {name}"):
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]


def _of_torch_file(call: str, path: Path) -> dict[str, Any]:
    import torch

    if zipfile.is_zipfile(path):
        check_zip(call, path)
        refuse_torchscript(call, path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        blocked = _blocked(path)
        if not blocked:
            raise
        raise Refused(
            f"{call}: {path} cannot be read as weights saved by torch: it must hold "
            f"tensors and plain containers alone; got {', '.join(blocked)}, which "
            "weights_only=True does not make. The state dict saved alone would do: "
            f"torch.save(model.state_dict(), path). {quoted(error)}"
        ) from error
    arrays = _flat(call, loaded)
    # A view can repeat a number of its storage without end.
    size = sum(
        a.numel() * a.element_size()
        for a in arrays.values()
        if isinstance(a, torch.Tensor) and a.layout is torch.strided and not a.is_meta
    )
    if size > allowed(path.stat().st_size):
        raise Refused(
            f"{call}: {path} has {path.stat().st_size} bytes and makes {size} of them, "
            "as no weights do."
        )
    return arrays


def _blocked(path: Path) -> list[str]:
    """What a file would have to import, by name; nothing of it is imported."""
    from torch import serialization

    try:
        return sorted(set(serialization.get_unsafe_globals_in_checkpoint(path)))
    except Exception:  # an older torch, or a file from before archives
        return []


def refuse_torchscript(call: str, path: Path) -> None:
    """Refuses an archive that holds code; torch.load would say so less clearly."""
    if format_of(path) == "torchscript":
        raise Refused(
            f"{call}: {path} is a TorchScript archive, which may run what it contains "
            "when it is loaded; pass torchscript=True (--torchscript) if you trust it."
        )


def _flat(call: str, tree: Any) -> dict[str, Any]:
    """The arrays of nested containers by dotted names; what is no array is left out."""
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any, int]] = [("", tree, 0)]
    seen = 0
    while waiting:
        path, value, depth = waiting.pop()
        if depth > DEEP:
            raise ValueError(
                f"{call}: source must be nested at most {DEEP} deep; it holds more, or "
                "itself."
            )
        if (seen := seen + 1) > ENTRIES:
            raise ValueError(f"{call}: source must have at most {ENTRIES} entries.")
        if hasattr(value, "shape") or QUANTISED.fullmatch(path):
            if path in found:
                raise ValueError(
                    f"{call}: source must have one array by a name; got two by {path}."
                )
            found[path] = value
            continue
        if hasattr(value, "state_dict"):  # of a program of torch.export no method
            made = callable(value.state_dict)
            value = of_module(value) if made else value.state_dict
        if isinstance(value, list | tuple):
            value = {str(k): item for k, item in enumerate(value)}
        if isinstance(value, Mapping):
            within = f"{path}." if path else ""
            inner = [(f"{within}{n}", item, depth + 1) for n, item in value.items()]
            waiting += reversed(inner)
    return found
