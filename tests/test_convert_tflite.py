# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""LiteRT's tensors: its published numbers, and its own interpreter as the oracle."""

from typing import Any

import numpy as np
import pytest

import lstm_jax
from lstm_jax.convert import from_tflite_tensors
from tests.foreign import HIDDEN, INPUTS, sequence
from tests.litert import GATES, interpret, published

PROJECTED = 4


def tensors(*extras: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors of an operator; extras of projection, peephole, norm, coupled."""
    rng = np.random.default_rng(seed)
    outputs = PROJECTED if "projection" in extras else HIDDEN
    gates = [g for g in GATES if g != "input" or "coupled" not in extras]
    shapes: dict[str, tuple[int, ...]] = {}
    for gate in gates:
        shapes[f"input_to_{gate}_weights"] = (HIDDEN, INPUTS)
        shapes[f"recurrent_to_{gate}_weights"] = (HIDDEN, outputs)
        shapes[f"{gate}_gate_bias"] = (HIDDEN,)
        if "norm" in extras:
            shapes[f"{gate}_layer_norm_coefficients"] = (HIDDEN,)
        if "peephole" in extras and gate != "cell":
            shapes[f"cell_to_{gate}_weights"] = (HIDDEN,)
    if "projection" in extras:
        shapes["projection_weights"] = (PROJECTED, HIDDEN)
    return {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}


@pytest.mark.parametrize(
    "extras",
    [
        (),
        ("coupled",),
        ("peephole",),
        ("projection",),
        ("norm",),
        ("coupled", "peephole", "projection"),
        ("norm", "peephole", "projection"),
        ("coupled", "norm", "peephole", "projection"),
    ],
    ids="-".join,
)
@pytest.mark.parametrize("options", [{}, {"activation": "relu", "cell_clip": 0.7}])
def test_as_its_interpreter(extras: tuple[str, ...], options: dict[str, Any]) -> None:
    given, x = tensors(*extras), sequence()
    clip = options.get("cell_clip", 0.0)
    expected = interpret(given, x, options.get("activation", "tanh").upper(), clip)
    y, _ = lstm_jax.apply(from_tflite_tensors(given, **options), x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=2e-6)
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("name", ["plain", "cifg_peephole"])
def test_as_its_published_numbers(name: str) -> None:
    given = published(name)
    x, expected = given.pop("lstm_input"), given.pop("lstm_golden_output")
    y, _ = lstm_jax.apply(from_tflite_tensors(given), x)
    # Its unit tests allow 1e-5; the numbers are printed with eight places.
    np.testing.assert_allclose(y, expected, rtol=0, atol=2e-6)


def test_tensors_that_are_absent_may_be_none() -> None:
    given: dict[str, Any] = {**tensors("coupled"), "input_gate_bias": None}
    assert from_tflite_tensors(given).options.coupled


@pytest.mark.parametrize(
    "change, options, error, message",
    [
        ({}, {"proj_clip": 2.0}, NotImplementedError, r"proj_clip=2\.0"),
        ({}, {"activation": "relu6"}, NotImplementedError, "activation 'relu6'"),
        (
            {"projection_bias": np.ones(PROJECTED, np.float32)},
            {},
            NotImplementedError,
            "bias of the projection",
        ),
        (
            {"cell_gate_bias": np.ones(HIDDEN, np.int32)},
            {},
            TypeError,
            "cell_gate_bias must have a floating dtype; got int32",
        ),
        (
            {"forget_gate_bias": np.ones(HIDDEN + 1, np.float32)},
            {},
            ValueError,
            r"forget_gate_bias must have shape \(5,\).*got \(6,\)",
        ),
        ({"output_gate_bias": None}, {}, ValueError, "output_gate_bias must be there"),
        ({"aux_input": np.ones(1)}, {}, ValueError, "aux_input must be weights"),
        (
            {"cell_to_forget_weights": np.ones(HIDDEN, np.float32)},
            {},
            ValueError,
            "cell_to_input_weights, cell_to_output_weights must be there",
        ),
    ],
)
def test_refusals(
    change: dict[str, Any], options: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=f"^from_tflite_tensors: .*{message}"):
        from_tflite_tensors({**tensors("projection"), **change}, **options)
