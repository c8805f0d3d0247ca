# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Keras' files: those that Keras 3 writes, those of Keras 2, and hostile ones."""

import importlib
import json
import os
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import (
    ActivationFn,
    Bidirectional,
    CellOptions,
    LSTMParams,
    Reverse,
    Stack,
)
from lstm_jax.convert import from_keras, from_keras_h5
from tests import foreign, models
from tests.compare import assert_same

pytestmark = pytest.mark.filterwarnings("ignore:::keras")

keras: Any = importlib.import_module("keras")
layers = keras.layers
INPUTS, H = 3, 2
SUFFIXES = ("keras", "weights.h5", "h5")


read: Any = from_keras_h5  # no type checker knows the kinds of the networks


@pytest.fixture(scope="module")
def model() -> Any:
    """Every kind of layer, in models within models, beside others."""

    def lstm(units: int = H, **settings: Any) -> Any:
        return layers.LSTM(units, return_sequences=True, **settings)

    gates = {
        "recurrent_activation": "hard_sigmoid",
        "activation": layers.LeakyReLU(0.1),
    }
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        inner = keras.Sequential(
            [
                keras.Input((None, INPUTS)),
                lstm(name="first", go_backwards=True),
                layers.Bidirectional(lstm(use_bias=False), "sum", name="ways"),
            ],
            name="inner",
        )
        wrapped = keras.Sequential(
            [keras.Input((None, INPUTS)), lstm(name="within")], name="wrapped"
        )
        x = keras.Input((4, INPUTS))
        y = inner(layers.Dropout(0.1)(x))
        y = layers.GRU(H, return_sequences=True)(y)
        cells = [layers.LSTMCell(3), layers.LSTMCell(H)]
        y = layers.RNN(cells, return_sequences=True, go_backwards=True, name="cells")(y)
        y = layers.RNN(layers.LSTMCell(3), return_sequences=True, name="rnn")(y)
        y = layers.Bidirectional(lstm(go_backwards=False), None, name="apart")(y)[0]
        y = layers.Dense(1)(lstm(name="last", **gates)(y))
        each = keras.Input((5, 4, INPUTS))
        z = layers.TimeDistributed(wrapped, name="each")(each)
        found = keras.Model([x, each], [y, z], name="outer")
    rng = np.random.default_rng(0)
    for w in found.weights:
        w.assign(rng.normal(size=w.shape).astype(w.dtype))
    return found


@pytest.fixture(scope="module")
def wanted(model: Any) -> dict[str, Any]:
    inner, apart = model.get_layer("inner"), model.get_layer("apart")
    single = {name: model.get_layer(name) for name in ("cells", "rnn", "last")}
    single |= {f"inner/{n}": inner.get_layer(n) for n in ("first", "ways")}
    single["apart/forward_layer"] = apart.forward_layer
    single["apart/backward_layer"] = apart.backward_layer
    each = model.get_layer("each").layer
    single["each/wrapped/within"] = each.get_layer("within")
    return {name: from_keras(layer) for name, layer in single.items()}


@pytest.fixture(scope="module")
def folder(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras")
    model.save(path / "model.keras")
    model.save(path / "model.h5")
    model.save_weights(path / "model.weights.h5")
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_layers_of_a_model_of_keras_3_are_found(
    suffix: str, folder: Path, model: Any, wanted: dict[str, Any]
) -> None:
    config = model.to_json() if suffix == "weights.h5" else None
    found = read(folder / f"model.{suffix}", config=config)
    assert set(found) == set(wanted)
    for name, params in wanted.items():
        assert_same(found[name], params, name)
    if config is not None:
        again = from_keras_h5(folder / f"model.{suffix}", config=json.loads(config))
        assert_same(again, found)


def test_weights_of_keras_3_alone_are_named_by_class(tmp_path: Path) -> None:
    parts = [
        layers.LSTM(H, return_sequences=True, name="a"),
        layers.LSTM(H, return_sequences=True, name="b", use_bias=False),
        layers.Bidirectional(layers.LSTM(H, return_sequences=True), name="c"),
        layers.RNN([layers.LSTMCell(2), layers.LSTMCell(3)], name="d"),
    ]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        net = keras.Sequential([keras.Input((None, INPUTS)), *parts])
    net.save_weights(tmp_path / "net.weights.h5")
    found = read(tmp_path / "net.weights.h5")
    names = ("lstm", "lstm_1", "bidirectional", "rnn")
    assert set(found) == set(names)
    for name, layer in zip(names, parts, strict=True):
        assert_same(found[name], from_keras(layer), name)


def test_weights_that_may_be_of_something_else_need_the_configuration(
    folder: Path, tmp_path: Path
) -> None:
    """Without one, `within` of TimeDistributed still has its path."""
    found = read(folder / "model.weights.h5")
    assert "time_distributed/layer/lstm" in found and "sequential/lstm" in found
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        write(file, "mine/vars/0", np.ones((INPUTS, 4 * H)))
        write(file, "mine/vars/1", np.ones((H, 4 * H)))
    with pytest.raises(ValueError, match=r"LSTM in mine/vars.*pass it as config"):
        from_keras_h5(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "b.weights.h5", "w") as file:
        for side, units in (("forward_layer", H), ("backward_layer", H)):
            gates = 4 if side == "forward_layer" else 3
            write(file, f"b/{side}/cell/vars/0", np.ones((INPUTS, gates * units)))
            write(file, f"b/{side}/cell/vars/1", np.ones((units, gates * units)))
    with pytest.raises(ValueError, match=r"LSTM in b .*pass it as config"):
        from_keras_h5(tmp_path / "b.weights.h5")
    with h5py.File(tmp_path / "c.weights.h5", "w") as file:
        write(file, "optimizer/vars/0", np.ones((INPUTS, 4 * H)))
        write(file, "layers/lstm_1/cell/vars/0", np.ones((INPUTS, 3 * H)))
    with pytest.raises(ValueError, match=r"LSTM in layers/lstm_1 .*pass it as config"):
        from_keras_h5(tmp_path / "c.weights.h5")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes_stay(dtype: str, tmp_path: Path) -> None:
    params = foreign.cell(dtype=jnp.dtype(dtype))
    layer = lstm_jax.convert.to_keras(params, name="a")
    net = keras.Sequential([keras.Input((None, INPUTS), dtype=dtype), layer])
    net.save(tmp_path / "net.keras")
    assert_same(from_keras_h5(tmp_path / "net.keras"), {"a": params})


# Keras 2: files made here, as its sources lay them out.


def write(group: Any, name: str, array: Any) -> None:
    """A dataset that is stored, in groups that are made."""
    group.create_dataset(name, data=np.asarray(array, np.float32))


def lstm_config(name: str = "lstm", **settings: Any) -> dict[str, Any]:
    """As Keras 2 stores a layer."""
    config = {
        "name": name,
        "units": H,
        "activation": "tanh",
        "recurrent_activation": "hard_sigmoid",
        "use_bias": True,
        "unit_forget_bias": True,
        "implementation": 1,
        "time_major": False,
        "unroll": False,
        "go_backwards": False,
    }
    kind = settings.pop("kind", "LSTM")
    return {"class_name": kind, "config": {**config, **settings}}


def cudnn_config(name: str) -> dict[str, Any]:
    keep = ("name", "units", "unit_forget_bias", "go_backwards")
    config = lstm_config(name)["config"]
    return {"class_name": "CuDNNLSTM", "config": {k: config[k] for k in keep}}


def bidirectional(name: str, layer: Any, **settings: Any) -> dict[str, Any]:
    config = {"name": name, "layer": layer, "merge_mode": "concat", **settings}
    return {"class_name": "Bidirectional", "config": config}


def weights(
    seed: int = 0, biases: int = 4, inputs: int = INPUTS
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes: dict[str, Any] = {"kernel": (inputs, 4 * H), "recurrent_kernel": (H, 4 * H)}
    shapes["bias"] = (biases * H,)
    arrays = {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    return arrays if biases else {n: a for n, a in arrays.items() if n != "bias"}


def scoped(scope: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{scope}/{name}:0": array for name, array in arrays.items()}


def keras2(
    path: Path,
    arrays: Mapping[str, Mapping[str, Any]],
    config: Any = None,
    version: str | None = "2.2.4",
    split: bool = False,
) -> Path:
    """A file of Keras 2: of a model if there are layers' configurations."""
    with h5py.File(path, "w") as file:
        group = file
        if config is not None:
            model = {"class_name": "Sequential", "config": {"layers": config}}
            file.attrs["model_config"] = np.bytes_(json.dumps(model))
            group = file.create_group("model_weights")
        if version is not None:
            file.attrs["keras_version"] = np.bytes_(version)
        names = np.asarray([name.encode() for name in arrays])
        parts = np.array_split(names, 2) if split else [names]
        for number, part in enumerate(parts):
            group.attrs[f"layer_names{number if split else ''}"] = part
        for layer, own in arrays.items():
            inside = group.create_group(layer)
            inside.attrs["weight_names"] = np.asarray([n.encode() for n in own])
            for name, array in own.items():
                inside.create_dataset(name, data=array)
    return path


def as_params(arrays: Mapping[str, Any], gates: Any = "sigmoid") -> LSTMParams:
    kernels = arrays["kernel"], arrays["recurrent_kernel"]
    return LSTMParams(*kernels, arrays.get("bias"), options=CellOptions(gates))


HARD2, HARD3 = (ActivationFn("hard_sigmoid", slope, 0.5) for slope in (0.2, 1 / 6))


def test_hard_sigmoid_is_that_of_the_version_that_wrote_it(tmp_path: Path) -> None:
    own = weights()
    arrays = {"lstm": scoped("lstm", own)}
    path = tmp_path / "a.h5"
    for version, function in (("2.0.8", HARD2), ("2.15.0", HARD2), ("3.1.0", HARD3)):
        found = read(keras2(path, arrays, [lstm_config()], version))
        assert_same(found, {"lstm": as_params(own, function)})
    x = foreign.sequence()
    y, _ = lstm_jax.apply(as_params(own, HARD2), x)
    h = c = np.zeros((len(x), H))
    for t in range(x.shape[1]):  # Keras 2: 0.2 x + 0.5, cut to [0, 1]
        z = x[:, t] @ own["kernel"] + h @ own["recurrent_kernel"] + own["bias"]
        i, f, g, o = np.split(z, 4, -1)
        i, f, o = (np.clip(0.2 * a + 0.5, 0, 1) for a in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        np.testing.assert_allclose(y[:, t], h, rtol=0, atol=2e-6)
    with pytest.raises(NotImplementedError, match="differently and nothing says which"):
        from_keras_h5(keras2(path, arrays, [lstm_config()], None))
    with pytest.raises(NotImplementedError, match=r"Keras 1\.2\.2, which is neither"):
        from_keras_h5(keras2(path, arrays, [lstm_config()], "1.2.2"))


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def test_cudnn_lstm_computes_what_cudnn_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    w = {
        g: rng.normal(size=(H, INPUTS)).astype("f") for g in "ifco"
    }  # as cuDNN has them
    r = {g: rng.normal(size=(H, H)).astype("f") for g in "ifco"}
    b_w, b_r = ({g: rng.normal(size=H).astype("f") for g in "ifco"} for _ in "wr")
    stored = {
        # Keras 2 hands cuDNN the memory of each block as it is.
        "kernel": np.concatenate([w[g].ravel().reshape(INPUTS, H) for g in "ifco"], 1),
        "recurrent_kernel": np.concatenate([r[g] for g in "ifco"], 1),
        "bias": np.concatenate([b[g] for b in (b_w, b_r) for g in "ifco"]),
    }
    other = weights(4, biases=8)
    config = [
        cudnn_config("one"),
        bidirectional("two", cudnn_config("lstm"), merge_mode="sum"),
    ]
    arrays = {
        "one": scoped("one", stored),
        "two": scoped("two/forward_lstm", stored) | scoped("two/backward_lstm", other),
    }
    found = read(keras2(tmp_path / "a.h5", arrays, config))
    x = foreign.sequence()
    y, _ = lstm_jax.apply(found["one"], x)
    h = c = np.zeros((len(x), H))
    for t in range(x.shape[1]):
        z = {g: x[:, t] @ w[g].T + h @ r[g].T + b_w[g] + b_r[g] for g in "ifco"}
        c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["c"])
        h = sigmoid(z["o"]) * np.tanh(c)
        np.testing.assert_allclose(y[:, t], h, rtol=0, atol=2e-6)
    assert_same(found["two"].forward, found["one"])
    assert found["two"].merge == "sum"
    alone = read(keras2(tmp_path / "b.h5", arrays))  # the bias tells cuDNN's
    assert_same(alone["one"], found["one"])
    assert_same(alone["two"].backward, found["two"].backward)


def test_directions_and_models_within_models_of_keras_2(tmp_path: Path) -> None:
    own = [weights(seed) for seed in range(9)]
    inner = {
        "class_name": "Model",
        "config": {
            "name": "inner",
            "layers": [
                {"class_name": "Dense", "config": {"name": "dense"}},
                lstm_config("deep", go_backwards=True),
                lstm_config("deeper"),
            ],
        },
    }
    config = [
        bidirectional("ways", lstm_config("a", go_backwards=True), merge_mode="ave"),
        bidirectional(
            "own",
            lstm_config("a", use_bias=False),
            backward_layer=lstm_config("b", go_backwards=True),
            merge_mode=None,
        ),
        {
            "class_name": "TimeDistributed",
            "config": {"name": "each", "layer": inner},
        },
        lstm_config("block/last"),
    ]
    plain = weights(3, biases=0)
    arrays = {
        # Of a layer that is not trained the weights come last.
        "ways": scoped("ways/backward_a", own[1]) | scoped("ways/forward_a", own[0]),
        "own": scoped("own/forward_a", plain) | scoped("own/b/lstm_cell_2", own[4]),
        "each": scoped("deeper/lstm_cell", own[6])
        | scoped("dense", {"kernel": np.ones((INPUTS, 4 * H)), "bias": np.ones(4 * H)})
        | scoped("deep/lstm_cell_1", own[5]),
        "block/last": scoped("block/last", own[7]),
    }
    found = read(keras2(tmp_path / "a.h5", arrays, config, split=True))
    p = [as_params(w, HARD2) for w in own]
    assert_same(
        found,
        {
            "ways": Reverse(Bidirectional(p[0], p[1], "ave")),
            "own/forward_layer": as_params(plain, HARD2),
            "own/backward_layer": Reverse(p[4]),
            "each/inner/deep": Reverse(p[5]),
            "each/inner/deeper": p[6],
            "block/last": p[7],
        },
    )


def test_old_forms_of_a_configuration(tmp_path: Path) -> None:
    """A Sequential that is a list; cells of one scope, numbered; a functional name."""
    own = [weights(0), weights(1, inputs=H)]
    cells = [lstm_config(f"cell_{k}", kind="LSTMCell") for k in range(2)]
    stacked = {"class_name": "StackedRNNCells", "config": {"cells": cells}}
    rnn = {"class_name": "RNN", "config": {"cell": stacked}, "name": "rnn"}
    named = [
        {f"rnn/{name}{number}:0": a for name, a in arrays.items()}
        for arrays, number in zip(own, ("", "_1"), strict=True)
    ]
    path = keras2(tmp_path / "a.h5", {"rnn": named[0] | named[1]})
    config = {"class_name": "Sequential", "config": [rnn], "keras_version": "2.1.6"}
    found = read(path, config=config)
    assert_same(found, {"rnn": Stack(tuple(as_params(w, HARD2) for w in own))})


def test_weights_of_keras_2_alone_have_its_defaults(tmp_path: Path) -> None:
    own, other = weights(), weights(1)
    path = tmp_path / "a.h5"
    arrays = {
        "embedding": scoped("embedding", {"embeddings": np.ones((3, 3), "f")}),
        "lstm": scoped("lstm", own),
        "ways": scoped("ways/forward_lstm", own) | scoped("ways/backward_lstm", other),
    }
    for version, gates in (("2.2.4", HARD2), ("2.3.0", "sigmoid")):
        found = read(keras2(path, arrays, None, version, split=True))
        p, q = as_params(own, gates), as_params(other, gates)
        assert_same(found, {"lstm": p, "ways": Bidirectional(p, q)})
    config = {"class_name": "Model", "config": {"layers": [lstm_config("lstm")]}}
    found = read(path, config=json.dumps({**config, "keras_version": "2.4.0"}))
    assert_same(found, {"lstm": as_params(own, HARD2)})
    for unclear in (None, "2.2.4-tf"):
        with pytest.raises(
            ValueError, match=r"sigmoid or hard_sigmoid.*pass it as conf"
        ):
            from_keras_h5(keras2(path, arrays, None, unclear))
    keras2(path, arrays)
    with h5py.File(path, "r+") as file:
        del file["ways"]
    with pytest.raises(ValueError, match="must have the weights of ways; it has none"):
        from_keras_h5(path)
    within = {"inner": scoped("a", own) | scoped("b", other)}
    with pytest.raises(ValueError, match=r"2 LSTMs in inner.*pass it as config"):
        from_keras_h5(keras2(path, within))


@pytest.mark.parametrize("windows", [False, True])
def test_the_first_files_of_the_new_format(windows: bool, tmp_path: Path) -> None:
    """Keras 2.13: another word for layers; one name for a path, on Windows."""
    own = weights()
    path = "_layer_checkpoint_dependencies/lstm/cell"
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        group = file.create_group(path.replace("/", "\\") if windows else path)
        for number, array in enumerate(own.values()):
            write(group, f"vars/{number}", array)
    model = {"class_name": "Sequential", "config": {"layers": [lstm_config("a")]}}
    given = {**model, "keras_version": "2.13.1"}
    found = read(tmp_path / "model.weights.h5", config=given)
    assert_same(found, {"a": as_params(own, HARD2)})
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.13.1"}))
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    assert_same(from_keras_h5(tmp_path / "model.keras"), found)


def test_a_trained_model_computes_what_keras_does(tmp_path: Path) -> None:
    inside = "asmscan/bilstm/resources/model/cvms/bass-model1.h5"
    path = models.extract("asmscan_bilstm", inside, tmp_path)
    found = read(path)
    assert set(found) == {"bi-lstm", "lstm"}
    with h5py.File(path) as file:
        group = file["model_weights/bi-lstm"]
        arrays = [group[name][()] for name in group.attrs["weight_names"]]
        embedding = file["model_weights/embedding/embedding/embeddings:0"][()]
    rng = np.random.default_rng(0)
    lengths = np.array([40, 1, 17, 33])
    x = embedding[rng.integers(0, 26, (4, 40))]
    mask = np.arange(40) < lengths[:, None]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        lstm = layers.LSTM(8, return_sequences=True, return_state=True)
        layer = layers.Bidirectional(lstm)
        layer.build((None, None, 8))
        layer.set_weights(arrays)
        y, *final = jax.jit(lambda x: layer(x, mask=mask))(x)
    got, state = lstm_jax.apply(found["bi-lstm"], x, lengths=lengths)
    np.testing.assert_allclose(got[mask], y[mask], rtol=0, atol=2e-6)
    for a, b in zip(jax.tree.leaves(state), final, strict=True):  # c is up to 11
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=2e-6)


# What is refused.


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lstm_config("a", activation="swish"), r"activation swish \(in a\)"),
        (lstm_config("a", recurrent_activation="leaky_relu"), "activation leaky_relu"),
        (
            lstm_config("a", activation={"class_name": "function", "config": "mine"}),
            r"activation mine \(in a\)",
        ),
        (lstm_config("a", kind="Custom>LSTM"), r"Custom>LSTM \(in a\)"),
        (lstm_config("a") | {"registered_name": "LSTM"}, r">LSTM \(in a\)"),
        (
            {"class_name": "Wrapper", "config": {"name": "a", "layer": lstm_config()}},
            r"LSTM \(in a\)",
        ),
        (
            {
                "class_name": "RNN",
                "config": {
                    "name": "a",
                    "cell": lstm_config(kind="LSTMCell", name="b")["config"]
                    | {"class_name": "P", "config": {"unit_forget_bias": True}},
                },
            },
            r"P \(in a\)",
        ),
    ],
)
def test_what_is_no_lstm_of_ours_is_refused_by_name(
    layer: Any, message: str, tmp_path: Path
) -> None:
    arrays = {"a": scoped("a", weights())}
    path = keras2(tmp_path / "a.h5", arrays, [layer])
    with pytest.raises(NotImplementedError, match=f"cannot express: {message}"):
        from_keras_h5(path)


def test_other_layers_are_passed_over(tmp_path: Path) -> None:
    own = weights()
    others = ("ConvLSTM2D", "Lambda", "GRU")
    config = [
        {"class_name": kind, "config": {"name": kind, "unit_forget_bias": True}}
        if kind == "ConvLSTM2D"
        else {"class_name": kind, "config": {"name": kind, "function": "!marshalled"}}
        for kind in others
    ]
    arrays = {"a": scoped("a", own)}
    gru = {"class_name": "GRU", "config": {"name": "gru"}}
    config += [bidirectional("b", gru), lstm_config("a")]
    path = keras2(tmp_path / "a.h5", arrays, config)
    assert_same(from_keras_h5(path), {"a": as_params(own, HARD2)})


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path, own = tmp_path / "a.h5", weights()
    arrays = {"lstm": scoped("lstm", own)}

    def refused(message: str, *args: Any) -> None:
        with pytest.raises(ValueError, match=f"from_keras_h5: .*{message}"):
            from_keras_h5(keras2(path, *args))

    refused("must have arrays of the shapes", arrays, [lstm_config(units=3)])
    refused("must have arrays of the shapes", arrays, [lstm_config(use_bias=False)])
    refused("weights of b; it has none", arrays, [lstm_config("b")])
    two_ways = bidirectional("lstm", lstm_config())
    refused("2 cells for lstm; it has those of 1", arrays, [two_ways])
    same = bidirectional("lstm", lstm_config(), backward_layer=lstm_config("b"))
    both = {"lstm": scoped("a", own) | scoped("b", own)}
    refused("two directions in lstm that are the same", both, [same])
    refused("two layers lstm", arrays, [lstm_config(), lstm_config()])
    refused("must have an LSTM; it has none", {"a": {}}, [])
    refused("has none", {"a": {}})
    refused("of no model: KeyError 'config'", arrays, [{"class_name": "LSTM"}])
    refused(
        "KeyError: 'recurrent_activation'",
        arrays,
        [{"class_name": "LSTM", "config": {"name": "lstm"}}],
    )
    whole = {n: a.astype(np.int32) for n, a in own.items()}
    refused(
        "floating numbers in .*int32", {"lstm": scoped("lstm", whole)}, [lstm_config()]
    )


def test_a_configuration_that_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    path = folder / "model.weights.h5"
    none: list[Any] = ["{", 3, {"layers": []}]
    for config in none:
        with pytest.raises(ValueError, match="config must be a model's JSON"):
            from_keras_h5(path, config=config)
    with pytest.raises(ValueError, match=r"config must be None for .*model\.keras"):
        from_keras_h5(folder / "model.keras", config={"config": {}})
    subclass = {"class_name": "Mine", "config": {"trainable": True}, "module": "m"}
    with pytest.raises(
        NotImplementedError, match="Mine, a configuration that does not"
    ):
        from_keras_h5(path, config=subclass)
    other = {"class_name": "Sequential", "config": {"layers": [lstm_config("a")] * 5}}
    with pytest.raises(ValueError, match="must have the weights layers/lstm_"):
        from_keras_h5(path, config={**other, "module": "keras"})
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        write(file, "layers/lstm/cell/vars/0", np.ones((INPUTS, 4 * H)))
        file["layers/lstm/cell/vars/1"] = h5py.Empty("f")
    one = {"class_name": "Sequential", "config": {"layers": [lstm_config("a")]}}
    with pytest.raises(ValueError, match=r"must have an array in .*/1; it is empty"):
        from_keras_h5(tmp_path / "a.weights.h5", config=one)
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        del file["layers/lstm/cell/vars/1"]
        file.create_group("layers/lstm/cell/vars/1")
    with pytest.raises(ValueError, match=r"must have a dataset .*/1; it has none"):
        from_keras_h5(tmp_path / "a.weights.h5", config=one)
    with pytest.raises(FileNotFoundError, match="there is none"):
        from_keras_h5(tmp_path / "none.h5")


# Hostile and broken files.


KERNEL = "model_weights/lstm/lstm/kernel:0"


def soft(file: Any, path: Path) -> str:
    file[KERNEL] = h5py.SoftLink("/moved")
    return r"link to elsewhere \(SoftLink\)"


def loop(file: Any, path: Path) -> str:
    file[KERNEL] = h5py.SoftLink(f"/{KERNEL}")
    return "link to elsewhere"


def external_link(file: Any, path: Path) -> str:
    file[KERNEL] = h5py.ExternalLink(str(path), "/kernel")
    return r"link to elsewhere \(ExternalLink\)"


def linked_group(file: Any, path: Path) -> str:
    del file["model_weights/lstm"]
    file["model_weights/lstm"] = h5py.ExternalLink(str(path), "/")
    return r"link to elsewhere \(ExternalLink\)"


def external_data(file: Any, path: Path) -> str:
    file["model_weights/lstm/lstm"].create_dataset(
        "kernel:0", (INPUTS, 4 * H), "f", external=[(str(path), 0, 4 * INPUTS * 4 * H)]
    )
    return "keeps the data of .* elsewhere"


def virtual(file: Any, path: Path) -> str:
    layout = h5py.VirtualLayout((INPUTS, 4 * H), "f")
    layout[:] = h5py.VirtualSource(str(path), "kernel", (INPUTS, 4 * H))
    file["model_weights/lstm/lstm"].create_virtual_dataset("kernel:0", layout)
    return "keeps the data of .* elsewhere"


def huge(file: Any, path: Path) -> str:
    file["model_weights/lstm/lstm"].create_dataset(
        "kernel:0", (2**34, 4 * H), "f", chunks=(1024, 4 * H), compression="gzip"
    )
    return "0 bytes stored .* which would be 549755813888"


def packed(file: Any, path: Path) -> str:
    file["model_weights/lstm/lstm"].create_dataset(
        "kernel:0", (2**24, 4 * H), "f", compression="gzip", chunks=(2**12, 4 * H)
    )[: 2**12] = 0
    return "bytes stored .* which would be 536870912, as no weights are"


def in_a_larger_chunk(file: Any, path: Path) -> str:
    file["model_weights/lstm/lstm"].create_dataset(
        "kernel:0",
        (INPUTS, 4 * H),
        "f",
        maxshape=(None, None),
        chunks=(2**14, 2**13),
        compression="gzip",
    )[:] = 0
    return "bytes stored .* which would be 536870912, as no weights are"


def unstored(file: Any, path: Path) -> str:
    file["model_weights/lstm/lstm"].create_dataset("kernel:0", (INPUTS, 4 * H), "f")
    return "has 0 bytes stored"


def empty(file: Any, path: Path) -> str:
    file[KERNEL] = h5py.Empty("f")
    return "1 cells for lstm; it has those of 0"


def a_group(file: Any, path: Path) -> str:
    file.create_group(KERNEL)
    return "1 cells for lstm; it has those of 0"


HOSTILE = (
    soft,
    loop,
    external_link,
    linked_group,
    external_data,
    virtual,
    huge,
    packed,
    in_a_larger_chunk,
    unstored,
    empty,
    a_group,
)


@pytest.mark.parametrize("harm", HOSTILE, ids=lambda harm: harm.__name__)
def test_nothing_outside_a_file_is_read_and_nothing_is_unpacked(
    harm: Any, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "secret.h5"
    with h5py.File(elsewhere, "w") as file:
        write(file, "kernel", np.ones((INPUTS, 4 * H)))
    path = keras2(
        tmp_path / "a.h5", {"lstm": scoped("lstm", weights())}, [lstm_config()]
    )
    with h5py.File(path, "r+") as file:
        file.move(KERNEL, "moved")
        message = harm(file, elsewhere)
    with pytest.raises(ValueError, match=f"from_keras_h5: .*{message}"):
        from_keras_h5(path)


def test_a_group_that_contains_itself_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.create_group("layers/a")
        file["layers/a/again"] = file["layers"]
    with pytest.raises(ValueError, match="twice, as a loop would"):
        from_keras_h5(tmp_path / "a.weights.h5")


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("config.json", b"{}")
        with archive.open("model.weights.h5", "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(bytes(2**20))
    with pytest.raises(ValueError, match="would unpack from"):
        from_keras_h5(path)


def test_an_archive_that_lies_about_a_size_is_not_unpacked(tmp_path: Path) -> None:
    path, real, said = tmp_path / "a.keras", 2**26, 10
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(real))
    raw = path.read_bytes()
    assert raw.count(real.to_bytes(4, "little")) == 2  # both headers have it
    path.write_bytes(
        raw.replace(real.to_bytes(4, "little"), said.to_bytes(4, "little"))
    )
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"^from_keras_h5: .* cannot be read as"):
        from_keras_h5(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < real / 8


def test_an_archive_without_its_members_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    for missing in ("config.json", "metadata.json", "model.weights.h5"):
        path = tmp_path / f"no {missing}.keras"
        with zipfile.ZipFile(folder / "model.keras") as whole:
            with zipfile.ZipFile(path, "w") as part:
                for name in set(whole.namelist()) - {missing}:
                    part.writestr(name, whole.read(name))
        with pytest.raises(ValueError, match=f"a Keras file: KeyError.*{missing}"):
            from_keras_h5(path)


@pytest.mark.parametrize("kind", ["keras", "h5", "weights.h5"])
def test_a_torn_or_corrupt_file_is_an_error_or_whole(
    kind: str, folder: Path, tmp_path: Path
) -> None:
    """Only flipped bits of numbers go unseen, and those in a zip archive do not."""
    if kind == "h5":
        arrays = {"lstm": scoped("lstm", weights())}
        source = keras2(tmp_path / "whole.h5", arrays, [lstm_config()])
    else:
        source = folder / f"model.{kind}"
    whole, raw = from_keras_h5(source), source.read_bytes()
    shapes = jax.tree.map(jnp.shape, whole)
    path = tmp_path / f"broken.{kind}"
    rng = np.random.default_rng(0)
    cut = [raw[:size] for size in range(0, len(raw), max(1, len(raw) // 20))]
    flipped = [flip(raw, place) for place in rng.integers(0, len(raw), 50)]
    seen = 0
    for broken in cut + flipped:
        path.write_bytes(broken)
        try:
            got = from_keras_h5(path)
        except (ValueError, NotImplementedError, TypeError) as error:
            assert str(error).startswith("from_keras_h5: ")
            seen += 1
        else:
            found = jax.tree.map(jnp.shape, got)
            renamed = kind == "weights.h5" and len(found) == len(shapes)
            assert found == shapes or renamed  # where nothing else has the names
    assert seen >= len(cut)


def flip(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1 :]
