# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trains a stacked LSTM to read handwritten digits row by row."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.progress import Progress
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

import lstm_jax
from experiments import _seeds, data
from experiments._figure import BLUE, GREEN, ORANGE, VERMILION, label, saved
from experiments._parts import Parts
from experiments._results import table

ROW = 28
CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network each, trained side by side; of its start and its minibatches."""
    split_seed: int = 0
    """Of the split into training and held-out digits, the same for all networks."""
    train: int = 4000
    """Training digits."""
    held_out: int = 1000
    """Digits held out."""
    hidden_size: int = 128
    """Units of each layer."""
    num_layers: int = 2
    """Layers, one above the other."""
    epochs: int = 12
    """Passes over the training digits."""
    batch_size: int = 50
    """Digits in a minibatch."""
    learning_rate: float = 3e-3
    """Highest step of AdamW; it rises over the first tenth and falls as a cosine."""
    weight_decay: float = 1e-2
    """Of AdamW."""
    clip: float = 1.0
    """Highest norm of a gradient."""


SMOKE = Settings(
    seeds=(0, 1), train=200, held_out=100, hidden_size=16, epochs=3, learning_rate=1e-2
)


class Network(NamedTuple):
    """The LSTM, and the linear layer that reads its last output."""

    lstm: lstm_jax.Stack
    w: jax.Array
    b: jax.Array


def init(settings: Settings, key: jax.Array) -> Network:
    """Draws a network."""
    one, two = jax.random.split(key)
    size = settings.hidden_size
    return Network(
        lstm_jax.init(one, ROW, size, num_layers=settings.num_layers),
        lstm_jax.initializers.glorot_uniform()(two, (size, CLASSES)),
        jnp.zeros(CLASSES),
    )


def logits(network: Network, x: jax.Array) -> jax.Array:
    """Reads digits (B, 28, 28), one row a step; gives (B, 10)."""
    y, _ = lstm_jax.apply(network.lstm, x)
    return y[:, -1] @ network.w + network.b[None]


def loss(network: Network, x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean cross entropy in nats."""
    entropy = optax.softmax_cross_entropy_with_integer_labels
    return entropy(logits(network, x), y).mean()


def optimizer(settings: Settings) -> optax.GradientTransformation:
    """AdamW, with clipped gradients and a step that rises and falls."""
    steps = settings.epochs * (settings.train // settings.batch_size)
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, settings.learning_rate, max(1, steps // 10), steps
    )
    return optax.chain(
        optax.clip_by_global_norm(settings.clip),
        optax.adamw(schedule, weight_decay=settings.weight_decay),
    )


def epoch(
    settings: Settings, x: jax.Array, y: jax.Array, state: Any, key: jax.Array
) -> tuple[Any, jax.Array]:
    """One pass over the digits in a new order: a scan over minibatches."""
    count = len(y) // settings.batch_size
    order = jax.random.permutation(key, len(y))[: count * settings.batch_size]

    def update(state: Any, rows: jax.Array) -> tuple[Any, jax.Array]:
        network, moments = state
        value, gradient = jax.value_and_grad(loss)(network, x[rows], y[rows])
        step, moments = optimizer(settings).update(gradient, moments, network)
        return (optax.apply_updates(network, step), moments), value

    state, losses = jax.lax.scan(update, state, order.reshape(count, -1))
    return state, losses.mean()


def accuracy(network: Network, x: jax.Array, y: jax.Array) -> jax.Array:
    """Share of digits read right."""
    return jnp.mean(logits(network, x).argmax(-1) == y)


def train(settings: Settings, digits: data.Digits, progress: Progress) -> Any:
    """Trains one network a seed.

    Returns:
        Training loss and held-out accuracy, lists of (seeds, epochs).
    """
    draw = jax.jit(jax.vmap(partial(init, settings)))
    networks = draw(_seeds.keys(settings.seeds, 0))
    state = networks, jax.vmap(optimizer(settings).init)(networks)
    one = partial(epoch, settings, *jax.device_put(digits[:2]))
    one_epoch = jax.jit(jax.vmap(one))
    test = jax.jit(jax.vmap(accuracy, (0, None, None)))
    task = progress.add_task("digits", total=settings.epochs, note="compiling")
    losses, accuracies = [], []
    for number in range(settings.epochs):
        state, value = one_epoch(state, _seeds.keys(settings.seeds, number + 1))
        losses.append(np.asarray(value))
        accuracies.append(np.asarray(test(state[0], *digits[2:])))
        note = (
            f"loss {losses[-1].mean():.3f}, "
            f"held-out accuracy {np.median(accuracies[-1]):.3f}"
        )
        progress.update(task, advance=1, note=note)
    return np.stack(losses, 1).tolist(), np.stack(accuracies, 1).tolist()


def baselines(digits: data.Digits) -> dict[str, float]:
    """Held-out accuracy of two methods that see all pixels at once."""
    x, held_out = (a.reshape(len(a), -1) for a in (digits.x, digits.held_out_x))
    methods = {
        "logistic regression": LogisticRegression(max_iter=1000),
        "support vector machine": SVC(),
    }
    return {
        name: float(method.fit(x, digits.y).score(held_out, digits.held_out_y))
        for name, method in methods.items()
    }


def run(settings: Settings, progress: Progress, parts: Parts) -> dict[str, Any]:
    """Trains the networks and the baselines."""
    digits = data.digits(settings.train, settings.held_out, settings.split_seed)
    with jax.enable_x64(False):
        losses, accuracies = train(settings, digits, progress)
    return {
        "baselines": baselines(digits),
        "held_out_accuracy": accuracies,
        "train_loss": losses,
    }


def tables(document: dict[str, Any]) -> str:
    """Renders accuracy after the last epoch beside the baselines'."""
    results = document["results"]
    last = [curve[-1] for curve in results["held_out_accuracy"]]
    size, layers = (document["settings"][k] for k in ("hidden_size", "num_layers"))
    rows = [
        (
            f"LSTM, {layers} layers of {size}, row by row",
            f"{np.median(last):.3f}",
            f"{min(last):.3f} to {max(last):.3f}",
        )
    ]
    rows += [
        (f"{name}, on all pixels", f"{value:.3f}", "")
        for name, value in results["baselines"].items()
    ]
    return table(("", "held-out accuracy", f"range, {len(last)} seed(s)"), rows)


def draw(document: dict[str, Any], folder: Path) -> None:
    """Draws the learning curve."""
    results = document["results"]
    losses, accuracies = (
        np.asarray(results[k]) for k in ("train_loss", "held_out_accuracy")
    )
    epochs = np.arange(1, losses.shape[1] + 1)
    with saved(folder / "learning_curve.png", 9, 3.6) as figure:
        left, right = figure.subplots(1, 2)
        for axes, curves, colour in (
            (left, losses, VERMILION),
            (right, accuracies, BLUE),
        ):
            axes.plot(epochs, curves.T, color=colour, alpha=0.3, linewidth=1)
            axes.plot(epochs, np.median(curves, 0), color=colour, linewidth=2.2)
            axes.set_xlabel("epoch")
        left.set_yscale("log")
        left.set_title("training loss, nats a digit")
        right.set_title("held-out accuracy")
        ends = {"LSTM": (np.median(accuracies[:, -1]), BLUE)}
        for (name, value), colour in zip(
            results["baselines"].items(), (ORANGE, GREEN), strict=True
        ):
            right.axhline(value, color=colour, linestyle="--", linewidth=1.4)
            ends[name] = value, colour
        for name, (value, colour) in ends.items():
            label(right, float(epochs[-1]), value, name, colour)
