# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""TensorFlow Lite, now LiteRT: the named tensors of one LSTM operator."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstm_jax._activation_functions import ActivationFn
from lstm_jax._norms import GateNorm
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.cells.options import CellOptions
from lstm_jax.convert._arrays import finished, named
from lstm_jax.convert._systems import raise_reasons

GATES = {"i": "input", "f": "forget", "g": "cell", "o": "output"}
ACTIVATIONS = {
    "tanh": ActivationFn("tanh"),
    "sigmoid": ActivationFn("sigmoid"),
    "relu": ActivationFn("relu"),
    "none": ActivationFn("affine", 1.0, 0.0),
}
NORM_EPSILON = 1e-8  # a constant of LiteRT's kernels


def from_tflite_tensors(
    tensors: Mapping[str, Any],
    *,
    activation: str = "tanh",
    cell_clip: float = 0.0,
    proj_clip: float = 0.0,
) -> LSTMParams:
    """Reads the tensors of a LSTM or UNIDIRECTIONAL_SEQUENCE_LSTM operator.

    Names are those of LiteRT's kernels, with X one of `input`, `forget`, `cell`,
    `output`: `input_to_X_weights` (H, I), `recurrent_to_X_weights` (H, H or P),
    `X_gate_bias` (H,), and where the operator has them `cell_to_X_weights` (H,) of
    peepholes, `X_layer_norm_coefficients` (H,), `projection_weights` (P, H) and
    `projection_bias` (P,). Without those of the input gate the operator is coupled,
    i = 1 - f; here that is f = 1 - i, with the forget gate's numbers negated.

    Args:
        tensors: names to floating arrays; None where the operator has no such tensor.
        activation: the operator's fused activation, of candidate and output.
        cell_clip: bound of the absolute cell state; 0 for none.
        proj_clip: bound of the absolute projected output; 0 for none.

    Returns:
        `LSTMParams` in the dtype of the tensors.

    Raises:
        ValueError: a tensor is missing, unknown or has another shape.
        TypeError: tensors are quantised.
        NotImplementedError: `proj_clip`, a bias of the projection, an activation that
            this library has not; all reasons at once.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> tensors = {}
        >>> for gate in ("input", "forget", "cell", "output"):
        ...     tensors[f"input_to_{gate}_weights"] = rng.normal(size=(5, 3))
        ...     tensors[f"recurrent_to_{gate}_weights"] = rng.normal(size=(5, 5))
        ...     tensors[f"{gate}_gate_bias"] = rng.normal(size=5)
        >>> tensors = {n: a.astype("float32") for n, a in tensors.items()}
        >>> from_tflite_tensors(tensors, cell_clip=10.0).options.cell_clip
        10.0

    References:
        LiteRT, `tflite/kernels/lstm.cc`: names, layout and order of the operations.
    """
    call = "from_tflite_tensors"
    there = {name: a for name, a in tensors.items() if a is not None}
    coupled = not any(_of_input_gate(name) for name in there)
    arrays = _arrays(call, there, "fgo" if coupled else "ifgo")
    _check_shapes(call, arrays)
    projection_bias = arrays.get("projection_bias")
    reasons = []
    if activation not in ACTIVATIONS:
        reasons.append(
            f"activation {activation!r} (known are {', '.join(ACTIVATIONS)})"
        )
    if proj_clip:
        reasons.append(f"a clip of the projected output (proj_clip={proj_clip})")
    if projection_bias is not None and projection_bias.any():
        reasons.append("a bias of the projection (projection_bias is not zero)")
    raise_reasons(call, "there are no parameters here for", reasons)

    order = "igo" if coupled else "ifgo"

    def joined(pattern: str, gates: str, negated: bool = True) -> list[np.ndarray]:
        """A kind of tensor for each gate; i of a coupled cell is f turned round."""
        if not coupled:
            return [arrays[pattern.format(GATES[g])] for g in gates]
        sign = -1 if negated else 1
        return [
            sign * arrays[pattern.format("forget")]
            if g == "i"
            else arrays[pattern.format(GATES[g])]
            for g in gates
        ]

    gains = "forget_layer_norm_coefficients" in arrays
    norm = "{}_layer_norm_coefficients"
    projection = arrays.get("projection_weights")
    function = ACTIVATIONS[activation]
    return finished(
        call,
        LSTMParams(
            w_x=np.concatenate(joined("input_to_{}_weights", order)).T,
            w_h=np.concatenate(joined("recurrent_to_{}_weights", order)).T,
            b=np.concatenate(joined("{}_gate_bias", order)),
            peephole=np.stack(joined("cell_to_{}_weights", order.replace("g", "")))
            if "cell_to_forget_weights" in arrays
            else None,
            projection=None if projection is None else projection.T,
            norm=GateNorm(np.concatenate(joined(norm, order, False)), NORM_EPSILON)
            if gains
            else None,
            options=CellOptions(
                candidate_activation=function,
                output_activation=function,
                coupled=coupled,
                cell_clip=float(cell_clip) or None,
            ),
        ),
    )


def _of_input_gate(name: str) -> bool:
    return name.endswith("_to_input_weights") or name.startswith(
        ("input_gate", "input_layer_norm")
    )


def _arrays(call: str, there: Mapping[str, Any], gates: str) -> dict[str, np.ndarray]:
    """The tensors on the host: all of a kind, or none where the kind may be absent."""

    def kind(pattern: str, of: str = gates) -> list[str]:
        return [pattern.format(GATES[gate]) for gate in of]

    required = [
        *kind("input_to_{}_weights"),
        *kind("recurrent_to_{}_weights"),
        *kind("{}_gate_bias"),
    ]
    for names in (
        kind("cell_to_{}_weights", gates.replace("g", "")),
        kind("{}_layer_norm_coefficients"),
    ):
        required += names if any(name in there for name in names) else []
    return named(call, there, required, ["projection_weights", "projection_bias"])


def _check_shapes(call: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Gate by gate, so that no sum of wrong sizes passes for a right one."""
    first = arrays["input_to_cell_weights"].shape
    units, inputs = first if len(first) == 2 else (-1, -1)
    projection = arrays.get("projection_weights")
    outputs = units if projection is None else projection.shape[0]
    for name, a in arrays.items():
        match name.split("_"):
            case ["input", "to", *_]:
                expected: tuple[int, ...] = (units, inputs)
            case ["recurrent", "to", *_]:
                expected = (units, outputs)
            case ["projection", "weights"]:
                expected = (outputs, units)
            case ["projection", "bias"]:
                expected = (outputs,)
            case _:
                expected = (units,)
        if a.shape != expected:
            raise ValueError(
                f"{call}: {name} must have shape {expected} (H={units} and I={inputs} "
                f"from input_to_cell_weights, {outputs} outputs); got {a.shape}."
            )
