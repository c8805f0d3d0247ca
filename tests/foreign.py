# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One network for every feature that another system may or may not have."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

import lstm_jax
from lstm_jax import (
    ActivationFn,
    Bidirectional,
    CellOptions,
    GateNorm,
    Residual,
    Reverse,
    SplitNorm,
    Stack,
)
from tests.cases import initial, jitter

INPUTS, HIDDEN = 3, 5
LENGTHS = np.array([7, 1, 4])  # of the rows of `sequence`
STEPS = int(LENGTHS.max())


def cell(
    seed: int = 0, inputs: int = INPUTS, hidden: int = HIDDEN, **options: Any
) -> Any:
    """A layer off its symmetric start; float32 unless told otherwise."""
    options = {"dtype": jnp.float32, **options}
    return jitter(seed, initial(lstm_jax.init_cell, seed, inputs, hidden, **options))


def stack(
    *hidden: int, directions: int = 1, dtype: Any = jnp.float32, **options: Any
) -> Any:
    """A network off its symmetric start."""
    both = directions == 2
    params = initial(
        lstm_jax.init, 1, INPUTS, hidden, bidirectional=both, dtype=dtype, **options
    )
    return jitter(1, params)


def sequence(
    inputs: int = INPUTS, dtype: Any = np.float32, seed: int = 5
) -> np.ndarray:
    """(B, T, I), a row for each of `LENGTHS`."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((len(LENGTHS), STEPS, inputs)).astype(dtype)


def states(params: Any, dtype: Any = np.float32, seed: int = 6) -> Any:
    """An initial state for the rows of `sequence` that is not zero."""
    return jitter(seed, lstm_jax.zero_state(params, (len(LENGTHS),), dtype=dtype))


def torch_state(
    prefix: str = "",
    inputs: int = INPUTS,
    hidden: int = HIDDEN,
    layers: int = 1,
    both: bool = False,
    gates: int = 4,
    dtype: Any = np.float32,
) -> dict[str, np.ndarray]:
    """Weights by torch's names, as the state dict of an LSTM, or of a GRU, has them."""
    rng, ways = np.random.default_rng(0), ("", "_reverse") if both else ("",)
    found = {}
    for layer in range(layers):
        width = len(ways) * hidden if layer else inputs
        for way in ways:
            shapes = ((width,), (hidden,), (), ())
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            for name, shape in zip(names, shapes, strict=True):
                a = rng.standard_normal((gates * hidden, *shape))
                found[f"{prefix}{name}_l{layer}{way}"] = a.astype(dtype)
    return found


def _with(**options: Any) -> Callable[[], Any]:
    return lambda: cell(options=CellOptions(**options))


# By the names of lstm_jax.convert._systems.FEATURES: each has that feature, and `stack`
# or none beside it.
NETWORKS: dict[str, Callable[[], Any]] = {
    "stack": lambda: stack(HIDDEN, HIDDEN),
    "sizes": lambda: stack(HIDDEN, HIDDEN + 1),
    "bidirectional": lambda: stack(HIDDEN, directions=2),
    "merge": lambda: Bidirectional(cell(1), cell(2), merge="mul"),
    "reverse": lambda: Reverse(cell()),
    "residual": lambda: Residual(cell(hidden=INPUTS)),
    "nesting": lambda: Reverse(Stack((cell(),))),
    "unbiased": lambda: cell(use_bias=False),
    "projection": lambda: Stack((cell(projection_size=4),)),
    "peephole": lambda: cell(peephole=True),
    "split_norm": lambda: cell(norm=SplitNorm),
    "gate_norm": lambda: cell(norm=GateNorm),
    "coupled": _with(coupled=True),
    "absent": _with(output_gate=False),
    "activations": _with(
        gate_activation=ActivationFn("hard_sigmoid", 1 / 6, 0.5),
        candidate_activation="softsign",
        output_activation="softsign",
    ),
    "clip": _with(clip=0.8),
    "cell_clip": _with(cell_clip=0.6),
}
