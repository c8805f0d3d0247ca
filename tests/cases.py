# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One table of structures, options, sequences and implementations for all tests."""

import functools
import itertools
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import lstm_jax
from lstm_jax import (
    ActivationFn,
    Bidirectional,
    CellOptions,
    GateNorm,
    Loop,
    Residual,
    Reverse,
    Scan,
    SplitNorm,
    Stack,
)

INPUTS, HIDDEN, PROJECTED = 3, 5, 4


def _with(**options: Any) -> dict[str, Any]:
    return {"options": CellOptions(**options)}


# What init_cell is told, by name. Unbounded activations are kept to short sequences.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "peephole": {"peephole": True},
    "projection": {"projection_size": PROJECTED, "use_bias": False},
    "split_norm": {"norm": SplitNorm},
    "gate_norm": {"norm": GateNorm(eps=1e-3), "use_bias": False},
    "no_input_no_output_gate": _with(input_gate=False, output_gate=False),
    "no_forget_gate": _with(forget_gate=False, cell_clip=3.0),
    "activations_a": _with(
        gate_activation="hard_sigmoid",
        candidate_activation=ActivationFn("elu", 0.8),
        output_activation="softsign",
    ),
    "coupled_activations_b": _with(
        coupled=True,
        gate_activation=ActivationFn("hard_sigmoid", 1 / 6, 0.5),
        candidate_activation=ActivationFn("leaky_relu", 0.1),
        output_activation=ActivationFn("affine", 0.8, 0.1),
    ),
    "activations_c": _with(
        gate_activation=ActivationFn("scaled_tanh", 0.6, 0.9),
        candidate_activation="relu",
        output_activation="softplus",
    ),
    "clips_activations_d": _with(
        clip=0.7,
        cell_clip=0.4,
        candidate_activation=ActivationFn("scaled_tanh", 1.7, 0.6),
        output_activation=ActivationFn("thresholded_relu", 0.05),
    ),
    "everything": {
        "peephole": True,
        "projection_size": PROJECTED,
        "norm": SplitNorm(eps=1e-3),
        **_with(coupled=True, clip=2.0, cell_clip=1.5),
    },
    "gate_norm_everything": {
        "peephole": True,
        "projection_size": PROJECTED,
        "norm": GateNorm(eps=1e-3),
        **_with(output_gate=False, clip=2.0, gate_activation="hard_sigmoid"),
    },
}

# Options whose programs differ in shape: the standard cell's closed form, a projection,
# either norm with all else, absent gates, coupled ones. The others change a function.
SHAPES = (
    "plain",
    "projection",
    "everything",
    "gate_norm_everything",
    "no_input_no_output_gate",
    "coupled_activations_b",
)

Make = Callable[[int, int, dict[str, Any]], Any]  # (seed, inputs, options) -> params


@functools.cache
def initial(
    init: Callable[..., Any], seed: int, *sizes: int | tuple[int, ...], **options: Any
) -> Any:
    """init(key, *sizes, **options), drawn once: JAX would compile all that it does."""
    return init(jax.random.key(seed), *sizes, **options)


def _cell(seed: int, inputs: int, options: dict[str, Any]) -> Any:
    return initial(lstm_jax.init_cell, seed, inputs, HIDDEN, **options)


def _two(make: Make) -> Callable[[int, int, dict[str, Any]], tuple[Any, Any]]:
    def pair(seed: int, inputs: int, options: dict[str, Any]) -> tuple[Any, Any]:
        one, two = 2 * seed + 1, 2 * seed + 2
        return make(one, inputs, options), make(two, inputs, options)

    return pair


def _bidirectional(merge: Any) -> Make:
    return lambda *a: Bidirectional(*_two(_cell)(*a), merge=merge)


def _stack(seed: int, inputs: int, options: dict[str, Any]) -> Any:
    one, two = 2 * seed + 1, 2 * seed + 2
    lower = _cell(one, inputs, options)
    return Stack((lower, _cell(two, lower.w_h.shape[0], options)))


def _residual(seed: int, inputs: int, options: dict[str, Any]) -> Any:
    """A layer, and above it one that adds its input."""
    one, two = 2 * seed + 1, 2 * seed + 2
    lower = _cell(one, inputs, options)
    width = lower.w_h.shape[0]
    return Stack((lower, Residual(Reverse(_cell(two, width, options)))))


def _nested(seed: int, inputs: int, options: dict[str, Any]) -> Any:
    """Two directions turned round, one of them the product of two directions."""
    one, two = 2 * seed + 1, 2 * seed + 2
    both = Bidirectional(*_two(_cell)(one, inputs, options), merge="mul")
    return Reverse(Bidirectional(both, _cell(two, inputs, options), merge="ave"))


STRUCTURES: dict[str, Make] = {
    "cell": _cell,
    "stack": _stack,
    "reverse": lambda *a: Reverse(_cell(*a)),
    "concat": _bidirectional("concat"),
    "residual": _residual,
    "nested": _nested,
}

IMPLEMENTATIONS: dict[str, Any] = {
    "default": None,
    "unroll": Scan(unroll=3),
    "window": Scan(window=2),
    "checkpoint": Scan(checkpoint=3),
    "sqrt": Scan(checkpoint="sqrt"),
    "window_in_checkpoint": Scan(checkpoint=4, window=3, unroll=2),
    "loop": Loop(),
}

# Those that differ: a scan, chunks in segments, segments alone, JAX's own derivative.
WAYS = ("default", "window_in_checkpoint", "sqrt", "loop")

BATCHES: dict[str, tuple[int, ...]] = {"none": (), "three": (3,), "two_axes": (2, 2)}
STATES = ("zeros", "given", "learned")
EXTRAS: dict[str, tuple[str, ...]] = {
    "whole": (),
    "lengths": ("lengths",),
    "resets": ("resets",),
    "truncate": ("truncate",),
    "lengths_resets": ("lengths", "resets", "reset_state"),
    "all": ("lengths", "resets", "reset_state", "truncate"),
}


class Case(NamedTuple):
    """One row of the table, by names."""

    structure: str
    option: str
    extra: str
    implementation: str
    batch: str
    state: str

    @property
    def id(self) -> str:
        return "-".join(self)


class Call(NamedTuple):
    """The arguments of one call of `apply`."""

    params: Any
    x: Any
    state: Any
    options: dict[str, Any]


def jitter(seed: int, tree: Any, scale: float = 0.3) -> Any:
    """Moves every leaf off its symmetric start: no zero bias, no constant weight.

    In NumPy: JAX would compile a program for every shape, `jnp.asarray` included.
    """
    rng = np.random.default_rng(seed)

    def moved(a: Any) -> jax.Array:
        more = (scale * rng.standard_normal(a.shape)).astype(a.dtype)
        return jax.device_put(np.asarray(a) + more)

    return jax.tree.map(moved, tree)


def draw(case: Case, steps: int = 5, seed: int = 0, dtype: Any = jnp.float64) -> Call:
    """The arrays of a case."""
    rng = np.random.default_rng(seed)
    options = {**OPTIONS[case.option], "dtype": dtype}
    params = jitter(seed + 1, STRUCTURES[case.structure](seed, INPUTS, options))
    batch = BATCHES[case.batch]
    x = jax.device_put(rng.standard_normal((*batch, steps, INPUTS)).astype(dtype))
    state = None
    if case.state != "zeros":
        shape = batch if case.state == "given" else ()
        state = jitter(seed + 2, lstm_jax.zero_state(params, shape))
    extras = EXTRAS[case.extra]
    given: dict[str, Any] = {}
    if "lengths" in extras:
        lengths = np.asarray(rng.integers(0, steps + 1, batch))
        if lengths.size > 1:  # a row that is empty and one that is full, always
            lengths.flat[0], lengths.flat[1] = 0, steps
        given["lengths"] = jax.device_put(lengths)
    if "resets" in extras:
        given["resets"] = jax.device_put(rng.random((*batch, steps)) < 0.4)
    if "reset_state" in extras:
        given["reset_state"] = jitter(seed + 3, lstm_jax.zero_state(params))
    if "truncate" in extras:
        given["truncate"] = 2
    return Call(params, x, state, given)


def pairwise(factors: Sequence[Sequence[str]], seed: int = 0) -> list[tuple[str, ...]]:
    """Rows in which every pair of values of any two factors stands at least once.

    Greedy: each row starts from a pair that is not yet covered and takes, factor by
    factor, the value that covers most.
    """
    dice = random.Random(seed)
    columns = range(len(factors))
    missing = {
        ((i, a), (j, b))
        for i, j in itertools.combinations(columns, 2)
        for a in factors[i]
        for b in factors[j]
    }
    rows = []
    while missing:
        row = dict(min(missing))
        for k in dice.sample(columns, len(columns)):
            if k not in row:
                values = dice.sample(list(factors[k]), len(factors[k]))
                row[k] = max(values, key=partial(_gain, row, k, missing))
        missing -= set(itertools.combinations(sorted(row.items()), 2))
        rows.append(tuple(row[k] for k in columns))
    return rows


def _gain(row: dict[int, str], k: int, missing: set[Any], value: str) -> int:
    """How many missing pairs a row would cover with one value more."""
    pairs = (tuple(sorted([(k, value), other])) for other in row.items())
    return sum(pair in missing for pair in pairs)


CASES = [
    Case(*row)
    for row in pairwise(
        [
            list(STRUCTURES),
            list(SHAPES),
            list(EXTRAS),
            list(WAYS),
            list(BATCHES),
            list(STATES),
        ],
        seed=9,  # gives few rows, of which few are large programs
    )
]
CASES += [
    Case("cell", option, "all", "default", "three", "given")
    for option in OPTIONS
    if option not in SHAPES
]
assert len(CASES) >= len(STRUCTURES) * len(SHAPES)
assert {case.option for case in CASES} == set(OPTIONS)


def weighted(tree: Any) -> jax.Array:
    """A scalar that every entry of a tree enters with a weight of its own."""
    rng = np.random.default_rng(99)
    terms = [
        _weighted(a, rng.standard_normal(a.shape).astype(a.dtype))
        for a in jax.tree.leaves(tree)
    ]
    return sum(terms[1:], start=terms[0])


@jax.jit
def _weighted(a: Any, weights: Any) -> jax.Array:
    return jnp.sum(a * weights + 0.1 * jnp.square(a))


def full_state(call: Call) -> Any:
    """The call's state, or zeros."""
    if call.state is not None:
        return call.state
    return lstm_jax.zero_state(call.params, call.x.shape[:-2])
