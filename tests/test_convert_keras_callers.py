# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Keras, on what real files and callers have: one bad layer, subclasses, models."""

import importlib
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import lstm_jax
from lstm_jax.convert import from_keras, from_keras_h5
from tests import foreign
from tests.compare import assert_same

pytestmark = pytest.mark.filterwarnings("ignore:::keras")

keras: Any = importlib.import_module("keras")
layers = keras.layers
INPUTS, H = foreign.INPUTS, 2


@pytest.fixture(autouse=True)
def _as_keras_has_it(as_users_have_it: None) -> None:
    """Keras promotes dtypes."""


def lstm(name: str, **settings: Any) -> Any:
    return layers.LSTM(H, return_sequences=True, name=name, **settings)


def drawn(model: Any) -> Any:
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(size=w.shape).astype(w.dtype))
    return model


@keras.saving.register_keras_serializable(package="mine")
class Own(keras.layers.LSTM):
    """It may compute anything."""


def with_an_own_layer() -> Any:
    x = keras.Input((4, INPUTS))
    y = lstm("b")(Own(H, return_sequences=True, name="own")(lstm("a")(x)))
    y = layers.Bidirectional(lstm("in"), merge_mode=None, name="apart")(y)[0]
    return drawn(keras.Model(x, layers.Dense(1)(y)))


@pytest.mark.parametrize("suffix", ["keras", "weights.h5"])
def test_names_read_these_and_nothing_else(suffix: str, tmp_path: Path) -> None:
    model, path = with_an_own_layer(), tmp_path / f"m.{suffix}"
    config = None
    if suffix == "keras":
        model.save(path)
    else:
        model.save_weights(path)
        config = model.to_json()
    found = from_keras_h5(path, config, names=["b", "apart/backward_layer"])
    assert list(found) == ["b", "apart/backward_layer"]
    assert_same(found["b"], from_keras(model.get_layer("b")))
    both = model.get_layer("apart")
    assert_same(found["apart/backward_layer"], from_keras(both.backward_layer))
    assert from_keras_h5(path, config, names=[]) == {}
    known = "'a', 'own', 'b', 'apart/forward_layer', 'apart/backward_layer'"
    with pytest.raises(ValueError, match=f"names must be of {known}; got 'c'"):
        from_keras_h5(path, config, names=["a", "c"])
    with pytest.raises(TypeError, match="names must be a list of names; got 'a'"):
        from_keras_h5(path, config, names="a")
    with pytest.raises(
        NotImplementedError, match=r"mine>Own \(in own\)\. names=\['a', 'b', 'apart/f"
    ):
        from_keras_h5(path, config)
    with pytest.raises(NotImplementedError, match=r"mine>Own \(in own\)\.$"):
        from_keras_h5(path, config, names=["own"])


class Encoder(keras.Model):
    """Of layers that no configuration lists."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.one = lstm("first", **settings)
        self.two = layers.Bidirectional(lstm("in"), name="ways")
        self.head = layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.head(self.two(self.one(x)))


def test_a_subclassed_model(tmp_path: Path) -> None:
    model = Encoder()
    x = foreign.sequence()
    model(x)
    drawn(model)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    one, two = from_keras(model.one), from_keras(model.two)
    expected = {"bidirectional": two, "lstm": one}
    for suffix in ("keras", "weights.h5"):
        assert_same(from_keras_h5(tmp_path / f"m.{suffix}"), expected)
    live = from_keras(model)
    assert_same(live, {"first": one, "ways": two})
    y, _ = lstm_jax.apply(lstm_jax.Stack(tuple(live.values())), x)
    kernel, bias = (np.asarray(w) for w in model.head.get_weights())
    np.testing.assert_allclose(y @ kernel + bias, model(x), rtol=0, atol=5e-6)


class Passing(keras.Model):
    """Its configuration has the layer that it is made of."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def get_config(self) -> Any:
        return {"inner": keras.saving.serialize_keras_object(self.inner)}


@pytest.mark.parametrize(
    "settings", [{}, {"activation": "relu"}, {"go_backwards": True}]
)
def test_a_subclass_whose_configuration_contradicts_what_would_be_assumed(
    settings: Any, tmp_path: Path
) -> None:
    model = Passing(lstm("a", **settings))
    model(foreign.sequence())
    drawn(model).save(tmp_path / "m.keras")
    if not settings:
        found = from_keras_h5(tmp_path / "m.keras")
        assert_same(found, {"inner": from_keras(model.inner)})
        return
    with pytest.raises(
        NotImplementedError, match=rf"Passing, .*has {next(iter(settings))}"
    ):
        from_keras_h5(tmp_path / "m.keras")


def test_a_subclassed_layer_in_a_model_hides_no_lstm(tmp_path: Path) -> None:
    x = keras.Input((4, INPUTS))
    inner = Encoder()
    model = keras.Model(x, inner(lstm("a")(x)))
    drawn(model).save(tmp_path / "m.keras")
    found = from_keras_h5(tmp_path / "m.keras")
    assert_same(
        found,
        {
            "a": from_keras(model.get_layer("a")),
            "encoder/lstm": from_keras(inner.one),
            "encoder/bidirectional": from_keras(inner.two),
        },
    )


def test_a_live_functional_model_is_read_as_its_file(tmp_path: Path) -> None:
    x = keras.Input((4, INPUTS))
    within = keras.Sequential([keras.Input((None, INPUTS)), lstm("c", use_bias=False)])
    y = layers.GRU(H, return_sequences=True)(within(x))
    y = layers.Bidirectional(lstm("in"), "sum", name="ways")(y)
    y = layers.Bidirectional(layers.GRU(H, return_sequences=True))(y)
    y = layers.RNN([layers.LSTMCell(3), layers.LSTMCell(H)], name="r")(y)
    each = keras.Input((2, 4, INPUTS))
    z = layers.TimeDistributed(lstm("t", go_backwards=True), name="each")(each)
    model = drawn(keras.Model([x, each], [layers.Dense(1)(y), z]))
    model.save(tmp_path / "m.keras")
    found = from_keras_h5(tmp_path / "m.keras")
    assert len(found) == 4
    assert_same(from_keras(model), found)
    with pytest.raises(ValueError, match=r"must have an LSTM in it; other has none"):
        from_keras(keras.Model(x, layers.Dense(1)(x), name="other"))
    with pytest.raises(NotImplementedError, match="cannot express: Own own"):
        from_keras(with_an_own_layer())


def test_config_is_a_path_too(tmp_path: Path) -> None:
    model = drawn(keras.Sequential([keras.Input((None, INPUTS)), lstm("a")]))
    model.save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.json").write_text(model.to_json())
    expected = {"a": from_keras(model.layers[0])}
    given: list[Any] = [
        tmp_path / "m.json",
        str(tmp_path / "m.json"),
        model.to_json(),
        json.loads(model.to_json()),
    ]
    for config in given:
        assert_same(from_keras_h5(tmp_path / "m.weights.h5", config), expected)
    with pytest.raises(
        FileNotFoundError, match=r"from_keras_h5: .*x\.json must be a fi"
    ):
        from_keras_h5(tmp_path / "m.weights.h5", tmp_path / "x.json")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        from_keras_h5(tmp_path / "m.weights.h5", str(tmp_path))


def test_a_part_is_not_read_as_a_smaller_model(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, INPUTS)), lstm("a"), lstm("b")])
    drawn(model).save_weights(tmp_path / "m.weights.json", max_shard_size=2e-7)
    shards = sorted(tmp_path.glob("*.h5"))
    assert len(shards) > 1
    for path in (*shards, tmp_path / "m.weights.json"):
        with pytest.raises(
            ValueError, match=r"^from_keras_h5: .*several files, which m"
        ):
            from_keras_h5(path)


def test_a_message_of_h5py_is_whole(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ValueError) as raised:
        from_keras_h5(tmp_path / "m.h5")
    assert str(raised.value).endswith(" ".join(str(raised.value.__cause__).split()))
