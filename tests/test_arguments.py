# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Arguments of another kind than they should be: each one clear error."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lstm_jax
import lstm_jax.linen
import lstm_jax.nnx
from lstm_jax import convert, training
from tests.foreign import HIDDEN, INPUTS, LENGTHS, cell, sequence

PARAMS = cell()
X = sequence()
TAKERS: dict[str, Callable[[Any], Any]] = {
    "apply": lambda x: lstm_jax.apply(PARAMS, x),
    "lstm_step": lambda x: lstm_jax.lstm_step(
        PARAMS, lstm_jax.zero_state(PARAMS, x.shape[:1]), x[:, 0]
    ),
    "activations": lambda x: lstm_jax.activations(PARAMS, x),
    "explain": lambda x: lstm_jax.explain(PARAMS, x),
    "linen": lambda x: lstm_jax.linen.LSTM(HIDDEN).init(jax.random.key(0), x),
    "linen, dtype": lambda x: lstm_jax.linen.LSTM(HIDDEN, dtype=jnp.float32).init(
        jax.random.key(0), x
    ),
    "nnx": lambda x: lstm_jax.nnx.LSTM(INPUTS, HIDDEN, rngs=nnx.Rngs(0))(x),
}


@pytest.mark.parametrize("name", TAKERS)
def test_a_tensor_of_torch_as_x(torch: Any, name: str) -> None:
    message = (
        r"^\w+: x must be an array of JAX or NumPy; got torch\.Tensor\. Pass numpy"
    )
    with pytest.raises(TypeError, match=message):
        TAKERS[name](torch.from_numpy(X))
    assert TAKERS[name](X) is not None


def test_tensors_of_torch_elsewhere(torch: Any) -> None:
    h = torch.ones(3, HIDDEN)
    resets = torch.zeros(*X.shape[:2], dtype=torch.bool)
    lengths = torch.from_numpy(LENGTHS)
    w_x = torch.from_numpy(np.array(PARAMS.w_x))
    with pytest.raises(TypeError, match=r"^apply: lengths must have an integ.*Tensor"):
        lstm_jax.apply(PARAMS, X, lengths=lengths)
    with pytest.raises(TypeError, match=r"^apply: resets must have dtype bool.*Tensor"):
        lstm_jax.apply(PARAMS, X, resets=resets)
    with pytest.raises(TypeError, match=r"^apply: state\.h must be an array.*Tensor"):
        lstm_jax.apply(PARAMS, X, (h, h))
    with pytest.raises(TypeError, match=r"^apply: params\.w_x must be .*torch\.Tensor"):
        lstm_jax.apply(PARAMS.replace(w_x=w_x), X)


def loss(params: Any, carry: Any, batch: Any, key: Any) -> Any:
    return jnp.mean(lstm_jax.apply(params, batch)[0] ** 2), (carry, {})


BATCHES = [X, X]
STATE = training.create(PARAMS, optax.sgd(0.1))
FIT: dict[str, tuple[dict[str, Any], Any, str]] = {
    "an iterator": (
        {"batches": iter(BATCHES)},
        TypeError,
        "batches must be a function of the step's number .*got list_iterator. train",
    ),
    "a list": ({"batches": BATCHES}, TypeError, "batches must be .*got list.*lambda"),
    "an array": ({"batches": X}, TypeError, r"batches must be .*got ndarray.*cycle\("),
    "a generator function": (
        {"batches": lambda step: (b for b in BATCHES)},
        TypeError,
        r"batches\(0\) must be a tree of arrays; got generator",
    ),
    "nothing": (
        {"batches": lambda step: None},
        TypeError,
        r"batches\(0\) .*got one without any",
    ),
    "a folder's name": (
        {"checkpoints": "runs"},
        TypeError,
        r"checkpoints must be Checkpoints or None; got str\. Pass training\.Check",
    ),
    "a path": ({"checkpoints": Path("a")}, TypeError, "checkpoints must be"),
    "a log's name": (
        {"log": "log.jsonl"},
        TypeError,
        "log must be a Log or None; got s",
    ),
    "parameters": (
        {"state": PARAMS},
        TypeError,
        "state must be a TrainState; got LSTMP",
    ),
    "no step": (
        {"step": None},
        TypeError,
        "step must be what training.train_step give",
    ),
    "steps": ({"steps": 2.5}, ValueError, "steps must be an integer of at least 0"),
    "every": (
        {"every": 0},
        ValueError,
        "every must be an integer of at least 1; got 0",
    ),
}


@pytest.mark.parametrize("what", FIT)
def test_fit(what: str) -> None:
    given, error, message = FIT[what]
    arguments: dict[str, Any] = {
        "step": training.train_step(loss),
        "state": STATE,
        "batches": training.cycle(np.stack(BATCHES)),
        "steps": 2,
        **given,
    }
    with pytest.raises(error, match=f"^fit: {message}"):
        training.fit(**arguments)


def test_a_file_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(
        NotADirectoryError, match=r"^Checkpoints: folder must be a fold"
    ):
        training.Checkpoints(tmp_path / "a")


def test_converters_under_jit() -> None:
    trees: tuple[tuple[Any, Any], ...] = (
        (convert.from_linen, convert.to_linen(PARAMS)),
        (convert.from_haiku, convert.to_haiku(PARAMS)),
    )
    for read, tree in trees:
        message = (
            rf"^{read.__name__}: .* must have values; got a tracer, as under jax.jit"
        )
        with pytest.raises(TypeError, match=message):
            jax.jit(read)(tree)


def test_a_layer_that_haikus_numbers_miss() -> None:
    params = lstm_jax.Stack((cell(), cell(1, HIDDEN), cell(2, HIDDEN)))
    tree = convert.to_haiku(params)
    del tree["lstm_1/linear"]
    with pytest.raises(
        ValueError, match=r"^from_haiku: .*or a layer is missing; got ls"
    ):
        convert.from_haiku(tree)
    assert convert.from_haiku(tree, ["lstm", "lstm_2"]) is not None
