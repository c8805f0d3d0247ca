# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX: the order of its gates and the names of its activations."""

from typing import NamedTuple

ORDER = "iofg"  # ONNX calls the candidate c
PEEPHOLES = "iof"


class OnnxActivation(NamedTuple):
    """An activation by its ONNX name.

    Attributes:
        name: as the operator spells it.
        alpha: its default, or None where the function takes none.
        beta: likewise.
    """

    name: str
    alpha: float | None = None
    beta: float | None = None


ACTIVATIONS = {
    "affine": OnnxActivation("Affine", 1.0, 0.0),
    "elu": OnnxActivation("Elu", 1.0),
    "hard_sigmoid": OnnxActivation("HardSigmoid", 0.2, 0.5),
    "leaky_relu": OnnxActivation("LeakyRelu", 0.01),
    "relu": OnnxActivation("Relu"),
    "scaled_tanh": OnnxActivation("ScaledTanh", 1.0, 1.0),
    "sigmoid": OnnxActivation("Sigmoid"),
    "softplus": OnnxActivation("Softplus"),
    "softsign": OnnxActivation("Softsign"),
    "tanh": OnnxActivation("Tanh"),
    "thresholded_relu": OnnxActivation("ThresholdedRelu", 1.0),
}
