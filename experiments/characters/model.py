# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trains a character model on one long stream, with carried state and checkpoints."""

import dataclasses
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.progress import Progress

import lstm_jax
from lstm_jax import Regularizer, training


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of the one large model."""

    seed: int = 0
    """Of the network's start and of dropout."""
    hidden_size: int = 256
    """Units of each layer."""
    num_layers: int = 2
    """Layers, one above the other."""
    embedding_size: int = 64
    """Features of a character at the entry."""
    dropout: float = 0.1
    """Between the layers and before the last, linear one."""
    steps: int = 1800
    """Steps of Adam; nearly six passes over the text."""
    lanes: int = 32
    """Places of the text that are read side by side."""
    window: int = 100
    """Characters between two steps; gradients go back no farther."""
    learning_rate: float = 4e-3
    """Highest step of Adam; it rises for 100 steps and falls as a cosine."""
    clip: float = 1.0
    """Highest norm of a gradient."""
    every: int = 100
    """Steps between checkpoints."""
    characters: int = 0
    """Length of the text that is used, from its start; 0 for all of it."""
    sample: int = 600
    """Characters of the sample at the end."""


class Text(NamedTuple):
    """A text in two parts, its characters as numbers.

    Attributes:
        alphabet: (V,) the characters, by number.
        train: (N,) int32: the first nine tenths.
        held_out: (M,) int32: the last tenth.
    """

    alphabet: np.ndarray
    train: np.ndarray
    held_out: np.ndarray


def split(text: str) -> Text:
    """Numbers the characters of a text and cuts its last tenth off."""
    alphabet, codes = np.unique(np.asarray(list(text)), return_inverse=True)
    codes = codes.astype(np.int32)
    cut = len(codes) * 9 // 10
    return Text(alphabet, codes[:cut], codes[cut:])


class Network(NamedTuple):
    """The features of each character, the LSTM, and the layer that reads it."""

    embedding: jax.Array
    lstm: lstm_jax.Stack
    w: jax.Array
    b: jax.Array


def init(settings: Settings, vocabulary: int, key: jax.Array) -> Network:
    """Draws a network."""
    one, two, three = jax.random.split(key, 3)
    size = settings.hidden_size
    return Network(
        jax.random.normal(one, (vocabulary, settings.embedding_size)),
        lstm_jax.init(
            two, settings.embedding_size, size, num_layers=settings.num_layers
        ),
        lstm_jax.initializers.glorot_uniform()(three, (size, vocabulary)),
        jnp.zeros(vocabulary),
    )


def logits(network: Network, characters: jax.Array, carry: Any, **call: Any) -> Any:
    """Reads characters (B, T); gives (B, T, vocabulary) and the state."""
    regularizer = call.get("regularizer")
    y, carry = lstm_jax.apply(
        network.lstm, network.embedding[characters], carry, **call
    )
    if regularizer is not None:
        kept = jax.random.bernoulli(
            jax.random.fold_in(call["key"], 1), 1 - regularizer.dropout, y.shape
        )
        y = jnp.where(kept, y / (1 - regularizer.dropout), 0.0)
    return y @ network.w + network.b[None, None], carry


def loss(
    regularizer: Regularizer | None,
    network: Network,
    carry: Any,
    batch: training.Windows,
    key: jax.Array | None,
) -> Any:
    """Cross entropy of one window, in nats a character."""
    characters, following = batch.data
    call = dict(lengths=batch.lengths, resets=batch.resets)
    if regularizer is not None:
        call |= dict(regularizer=regularizer, key=key)
    scores, carry = logits(network, characters, carry, **call)
    entropy = training.softmax_cross_entropy_with_integer_labels(
        scores, following, batch.lengths
    )
    return entropy.value, (carry, {"nats": entropy})


def start(settings: Settings, vocabulary: int) -> training.TrainState:
    """The state before the first step."""
    one, two = jax.random.split(jax.random.key(settings.seed))
    network = init(settings, vocabulary, one)
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, settings.learning_rate, min(100, settings.steps // 10), settings.steps
    )
    tx = optax.chain(optax.clip_by_global_norm(settings.clip), optax.adam(schedule))
    carry = lstm_jax.zero_state(network.lstm, (settings.lanes,))
    return training.create(network, tx, carry=carry, key=two)


def pairs(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each character with the one that follows it."""
    return codes[:-1], codes[1:]


def read(network: Network, cut: training.Windows) -> training.Mean:
    """Cross entropy of windows (N, B, …), the state carried from each to the next."""
    carry = lstm_jax.zero_state(network.lstm, (cut.lengths.shape[1],))

    def one(carry: Any, batch: training.Windows) -> Any:
        _, (carry, metrics) = loss(None, network, carry, batch, None)
        return carry, metrics["nats"]

    _, means = jax.lax.scan(one, carry, cut)
    return jax.tree.map(jnp.sum, means)


def stream(codes: np.ndarray, window: int) -> training.Windows:
    """A text that is read from its start to its end, as one stream."""
    return training.windows(pairs(codes), 1, window)


def sample(network: Network, first: int, count: int, key: jax.Array) -> np.ndarray:
    """Draws characters one after another, each given all before it."""

    @jax.jit
    def draw(network: Network, keys: jax.Array) -> jax.Array:
        def one(carry: Any, key: jax.Array) -> Any:
            state, code = carry
            x = network.embedding[code]
            state, y = lstm_jax.lstm_step(network.lstm, state, x)
            code = jax.random.categorical(key, y @ network.w + network.b)
            return (state, code), code

        begin = lstm_jax.zero_state(network.lstm), jnp.asarray(first)
        return jax.lax.scan(one, begin, keys)[1]

    return np.asarray(draw(network, jax.random.split(key, count)))


def digest(network: Network) -> str:
    """SHA-256 of all parameters: equal where they are equal bit for bit."""
    total = hashlib.sha256()
    for leaf in jax.tree.leaves(network):
        total.update(np.asarray(leaf).tobytes())
    return total.hexdigest()


def train(
    settings: Settings, text: Text, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Trains, going on from the folder's last checkpoint, and reads the held-out text.

    Args:
        settings: of this model.
        text: to be learnt.
        folder: for checkpoints and log; of this run alone.
        progress: shows the steps.
    """
    log = training.Log(folder, progress=progress)
    batches = training.windows(pairs(text.train), settings.lanes, settings.window)
    state = training.fit(
        training.train_step(partial(loss, Regularizer(dropout=settings.dropout))),
        start(settings, len(text.alphabet)),
        training.cycle(batches),
        steps=settings.steps,
        every=settings.every,
        checkpoints=training.Checkpoints(folder / "checkpoints"),
        log=log,
    )
    network: Any = state.params
    nats = jax.jit(read)(network, stream(text.held_out, settings.window))
    key = jax.random.fold_in(jax.random.key(settings.seed), 2)
    newline = int(np.flatnonzero(text.alphabet == "\n")[0])
    drawn = sample(network, newline, settings.sample, key)
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    steps = [line["step"] for line in lines]
    return {
        "held_out_bits": float(nats.bits),
        "held_out_characters": int(nats.count),
        "held_out_nats": float(nats.value),
        "parameters": sum(a.size for a in jax.tree.leaves(network)),
        "parameters_sha256": digest(network),
        "sample": "".join(text.alphabet[drawn]),
        "step": steps,
        "train_nats": [line["nats"] for line in lines],
        "training_seconds": sum(
            taken / line["steps_per_second"]
            for taken, line in zip(np.diff([0, *steps]).tolist(), lines, strict=True)
        ),
    }
