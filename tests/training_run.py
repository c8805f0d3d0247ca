# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A small run with everything that must survive: carry, dropout, momentum, resets."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lstm_jax
from lstm_jax import training

STEPS, EVERY = 360, 2
REGULARIZER = lstm_jax.Regularizer(input_dropout=0.3, zoneout_c=0.1)


def loss(params: Any, carry: Any, batch: training.Windows, key: Any) -> Any:
    x, target = batch.data
    call: dict[str, Any] = {"lengths": batch.lengths, "resets": batch.resets}
    if key is not None:
        call |= {"regularizer": REGULARIZER, "key": key}
    y, carry = lstm_jax.apply(params["lstm"], x, carry, **call)
    error = training.squared_error(y @ params["w"], target, batch.lengths)
    return error.value, (carry, {"error": error})


def start(tx: Any = None, key: int | None = 1) -> training.TrainState:
    rng = np.random.default_rng(1)
    shapes = (2, 20), (5, 20), (20,), (5, 1)
    w_x, w_h, b, w = (
        jnp.asarray(rng.normal(size=shape) / 2, "float32") for shape in shapes
    )
    params = {"lstm": lstm_jax.LSTMParams(w_x, w_h, b), "w": w}
    if tx is None:
        tx = optax.chain(optax.clip_by_global_norm(0.1), optax.adam(1e-2))
    carry = lstm_jax.zero_state(params["lstm"], (3,))
    drawn = None if key is None else jax.random.key(key)
    return training.create(params, tx, carry=carry, key=drawn)


def batches() -> training.Windows:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2)).astype(np.float32)
    target = np.cumsum(x[:, :1], 0) / 5
    return training.windows((x, target), 3, 5, rng.random(100) < 0.1)


def run(folder: Path | None, steps: int = STEPS) -> training.TrainState:
    return training.fit(
        training.train_step(loss),
        start(),
        training.cycle(batches()),
        steps=steps,
        every=EVERY,
        checkpoints=folder and training.Checkpoints(folder, config={"width": 5}),
        log=folder and training.Log(folder, tensorboard=False),
    )


def dump(state: training.TrainState) -> list[bytes]:
    """Every leaf, bit for bit."""
    leaves = (
        jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a
        for a in jax.tree.leaves(state)
    )
    return [np.asarray(a).tobytes() for a in leaves]


def life(folder: Path | None, cache: str, pipe: Any) -> None:
    """One life of a run that is to be killed; the first one compiles for all."""
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    pipe.send("running")
    pipe.send(dump(run(folder)))
