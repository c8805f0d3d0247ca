# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Keras' files, of versions 2 and 3; without Keras, so that nothing in them runs."""

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax._params import Bidirectional, Params
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.convert._arrays import finished
from lstm_jax.convert._files import Refused, check_zip, is_path, member, reading
from lstm_jax.convert._hdf5 import Hdf5
from lstm_jax.convert._keras_config import (
    DEFAULTS,
    Entry,
    Recurrent,
    cell_options,
    entries,
    like,
    reverse,
    single,
    sublayers,
)
from lstm_jax.convert._keras_layouts import (
    OLDER,
    Arrays,
    guessed_keras2,
    guessed_keras3,
    keras2_arrays,
    keras3_arrays,
)
from lstm_jax.convert._parts import parts
from lstm_jax.convert._systems import chosen, only, raise_reasons

CALL = "from_keras_h5"


def from_keras_h5(
    path: Any, config: Any = None, *, names: Any = None
) -> dict[str, Params]:
    """Reads every LSTM of a file that Keras 2 or 3 has saved; needs h5py, not Keras.

    Files are `.h5`, of a model or of weights, `.weights.h5` and `.keras`. Activations,
    directions and merging are those of the configuration in the file, with the meaning
    they had in the version that wrote it.

    Weights without a configuration: pass the model's. Without it Keras' defaults are
    assumed (tanh, and sigmoid, or the hard_sigmoid of Keras before 2.3; forward; two
    directions concatenated), and the layers of Keras 3 are named by class and
    number, as "lstm_1", since their own names are not there. What that leaves open is
    refused. So it is with a `.keras` file of a subclassed model, and with subclassed
    layers of any, whose configuration does not list what they are made of.

    Each layer is read by itself: one with go_backwards is a `Reverse`, with outputs in
    the original order, where Keras flips them, also for the layers above.

    Args:
        path: of the file.
        config: the model's JSON, `model.to_json()`, as a text, a dict or the path of a
            file; for a file that has none.
        names: of the layers to read, by the names below; None for all. Nothing else is
            read, and what of it cannot be read is no matter.

    Returns:
        Names to parameters, as `from_keras` gives them, of LSTM, CuDNNLSTM, RNN of
        LSTMCells and Bidirectional; of a layer in a model within the model, with the
        names of both and "/" between. The two directions of a Bidirectional with
        merge_mode None stand apart, as "name/forward_layer" and "name/backward_layer".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is corrupt, unpacks to far more than it is, keeps data elsewhere,
            is a part of several, has no LSTM, or has not all that its configuration
            names; a name is of no layer.
        TypeError: JAX would round a dtype.
        NotImplementedError: layers like an LSTM, or activations, that are none of ours;
            all reasons at once.

    Example:
        >>> import h5py, numpy as np, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/model.weights.h5"
        ...     with h5py.File(path, "w") as file:
        ...         for k, shape in enumerate([(3, 20), (5, 20), (20,)]):
        ...             file[f"layers/lstm/cell/vars/{k}"] = np.ones(shape, "float32")
        ...     from_keras_h5(path)["lstm"].w_x.shape
        (3, 20)

    References:
        Keras 2 and 3, saving of models: names of groups and of attributes.
    """
    own = given(config)
    with reading(CALL, path, "a Keras file") as there, opened(there, own) as source:
        found = found_in(source)
        if not found:
            raise source.file.refused("must have an LSTM; it has none")
        labels = [label for entry in found for label in entry.labels]
        wanted = chosen(CALL, names, dict.fromkeys(labels))
        reasons: list[str] = []
        good: dict[str, Any] = {}
        for entry in found:
            if set(entry.labels) & set(wanted):
                before = len(reasons)
                try:
                    networks = dict(_networks(source, entry, reasons))
                except (ValueError, TypeError) as error:
                    others = [name for name in wanted if name not in entry.labels]
                    raise Refused(f"{error}{only(others)}") from error
                if twice := set(networks) & set(good):
                    raise source.file.refused(f"has two layers {twice.pop()}")
                good |= networks if len(reasons) == before else {}
        title = f"{there} has what lstm_jax cannot express"
        raise_reasons(CALL, title, reasons, only(n for n in good if n in wanted))
    return {name: finished(CALL, good[name]) for name in wanted}


class Source(NamedTuple):
    """An open file.

    Attributes:
        file: its HDF5 part.
        weights: the group of the weights in the layout of Keras 2; None for Keras 3's.
        model: the model's configuration, or None.
        version: of Keras, which wrote that, or None.
        given: whether the configuration is the caller's.
    """

    file: Hdf5
    weights: Any
    model: Mapping[str, Any] | None
    version: str | None
    given: bool

    @property
    def major(self) -> int | None:
        """The major version."""
        match = re.match(r"\d+", self.version or "")
        if match is None:
            return None
        if int(match[0]) not in (2, 3):
            raise NotImplementedError(
                f"{CALL}: {self.file.path} was written by Keras {self.version}, which "
                "is neither 2 nor 3."
            )
        return int(match[0])


def given(config: Any) -> Mapping[str, Any] | None:
    """The configuration that the caller passes, as a mapping."""
    text = config
    if is_path(config) and not str(config).lstrip().startswith(("{", "[")):
        with reading(CALL, config, "a model's JSON") as path:
            text = path.read_text()
    if isinstance(text, str):
        try:
            config = json.loads(text)
        except ValueError as error:
            raise ValueError(
                f"{CALL}: config must be a model's JSON; got {text[:40]!r}: {error}."
            ) from error
    if config is None or (isinstance(config, Mapping) and "config" in config):
        return config
    raise ValueError(
        f"{CALL}: config must be a model's JSON, as model.to_json() gives it, with "
        f"class_name and config, or the path of it; got {type(config).__name__}."
    )


def _refuse_part(path: Path) -> None:
    """Refuses one of the files into which Keras or others cut large weights."""
    match = re.fullmatch(r"(.+)_\d{5}\.weights\.h5", path.name)
    index = path.with_name(f"{match[1]}.weights.json") if match else path
    others = index.is_file() and index.suffix == ".json"
    if others or len(parts(CALL, path).files) > 1:
        raise Refused(
            f"{CALL}: {path} must hold all weights of a model; it is of several files"
            f"{f', which {index.name} lists' if others else ''}. Load the model with "
            "Keras, and save its weights without max_shard_size."
        )


@contextmanager
def opened(path: Path, given: Mapping[str, Any] | None) -> Iterator[Source]:
    """A file of weights or of a model, and the configuration that is of it."""
    _refuse_part(path)
    archived = zipfile.is_zipfile(path)
    model, version, data = None, None, b""
    if archived:
        check_zip(CALL, path)
        with zipfile.ZipFile(path) as archive:
            model = json.loads(member(archive, "config.json"))
            version = str(json.loads(member(archive, "metadata.json"))["keras_version"])
            data = member(archive, "model.weights.h5")
    content = io.BytesIO(data) if archived else path
    size = len(data) if archived else path.stat().st_size
    with Hdf5(CALL, path, content, size) as file:
        root = file.root
        weights = file.find(root, "model_weights")
        if weights is None and file.texts(root, "layer_names") is not None:
            weights = root
        if not archived:
            text = file.text(root, "model_config")
            model = None if text is None else json.loads(text)
            version = file.text(root, "keras_version")
        if given is not None and model is not None:
            raise Refused(
                f"{CALL}: config must be None for {path}, which has its own; got one."
            )
        if given is not None:
            model = given
            version = given.get("keras_version", "3" if "module" in given else version)
        yield Source(file, weights, model, version, given is not None)


def found_in(source: Source) -> list[Entry]:
    """The LSTMs of a file, and what looks like one."""
    file = source.file
    if source.weights is not None and source.model is None:
        return list(guessed_keras2(file, source.weights, source.version))
    if source.model is None:
        return list(guessed_keras3(file, file.root))
    try:
        listed = sublayers(source.model) is not None
        found = list(entries(source.model)) if listed else []
        if not listed:
            _refuse_unlisted(source)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise file.refused(
            f"has a configuration of no model: {type(error).__name__} {error}"
        ) from error
    if source.weights is None:
        known = [entry.place for entry in found]
        for entry in guessed_keras3(file, file.root):
            place = tuple("layers" if p == OLDER else p for p in entry.place)
            within = any(place[: len(path)] == path for path in known)
            # Of layers that are listed, what is unclear is none.
            if not within and (entry.parts or not listed):
                found.append(entry)
    return found


def _refuse_unlisted(source: Source) -> None:
    """Refuses a subclassed model, unless its arrays say all there is to say."""
    model: Any = source.model
    inner = like(model["config"])
    config = {} if inner is None else inner["config"]
    usual = {**DEFAULTS, "go_backwards": False, "use_bias": config.get("use_bias")}
    other = [name for name in usual if config.get(name, usual[name]) != usual[name]]
    if source.given or source.weights is not None or other:
        what = f" and has {', '.join(other)} of its own" if other else ""
        raise NotImplementedError(
            f"{CALL}: {source.file.path} has what lstm_jax cannot express: "
            f"{model['class_name']}, a configuration that does not list its layers"
            f"{what}."
        )


def _networks(
    source: Source, entry: Entry, reasons: list[str]
) -> Iterator[tuple[str, Any]]:
    """The network of a layer by its name; two, where nothing merges the directions."""
    name, file = "/".join(entry.names), source.file
    if entry.unclear:
        raise Refused(entry.unclear)
    if entry.reason:
        reasons.append(entry.reason)
        return
    if source.weights is None:
        arrays = keras3_arrays(file, entry)
    else:
        arrays = keras2_arrays(file, source.weights, entry)
    networks = [
        _part(source, part, cells, name, reasons)
        for part, cells in zip(entry.parts, arrays, strict=True)
    ]
    turned = [part.backwards for part in entry.parts]
    if len(networks) == 2 and turned[0] == turned[1]:
        raise file.refused(f"has two directions in {name} that are the same")
    if len(networks) == 2 and entry.merge is not None:
        networks = [Bidirectional(networks[0], networks[1], entry.merge)]
    for name, network, backwards in zip(entry.labels, networks, turned, strict=False):
        yield name, reverse(network) if backwards else network


def _part(
    source: Source, part: Recurrent, cells: list[Arrays], name: str, reasons: list[str]
) -> Any:
    return single(
        [
            _cell(source.file, arrays, config, name).replace(
                options=cell_options(config, source.major, name, reasons)
            )
            for arrays, config in zip(cells, part.cells, strict=True)
        ],
        part.stacked,
    )


def _cell(
    file: Hdf5, arrays: Arrays, config: Mapping[str, Any], name: str
) -> LSTMParams:
    """The parameters of one cell; the bias tells cuDNN's layout, as Keras has it."""
    kernel, recurrent_kernel, bias = arrays
    units = config.get("units", len(recurrent_kernel))
    biased = config.get("use_bias", bias is not None)
    shapes = [None if a is None else a.shape for a in arrays]
    inputs = kernel.shape[:1]
    plain = [(*inputs, 4 * units), (units, 4 * units), (4 * units,) if biased else None]
    cudnn = [*plain[:2], (8 * units,)]
    if shapes not in (plain, cudnn):
        raise file.refused(
            f"must have arrays of the shapes {plain} for {name}; got {shapes}"
        )
    if bias is None or shapes == plain:
        return LSTMParams(kernel, recurrent_kernel, bias)
    first, second = np.split(bias, 2)
    return LSTMParams(
        np.concatenate([_stored_by_units(w) for w in np.split(kernel, 4, 1)], 1),
        np.concatenate([w.T for w in np.split(recurrent_kernel, 4, 1)], 1),
        first + second,
    )


def _stored_by_units(block: np.ndarray) -> np.ndarray:
    """A block (I, H) in whose memory stands, row by row, the transposed (H, I)."""
    inputs, units = block.shape
    return np.ascontiguousarray(block).reshape(units, inputs).T
