# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""CellOptions: what an LSTM computes beyond its arrays."""

import dataclasses

import jax

from lstm_jax._activation_functions import ActivationFn, python_numbers


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class CellOptions:
    """What a cell computes beyond its arrays; static, hashable, part of the pytree.

    The order within a step is product, peephole, norm, bias, clip, activation.

    Attributes:
        gate_activation: of i, f and o; a name or an `ActivationFn`.
        candidate_activation: of g.
        output_activation: of c in h_t = o_t * act(c_t).
        coupled: f_t = 1 - i_t; the forget gate has no columns.
        input_gate: False leaves it out: i_t = 1, no columns.
        forget_gate: False leaves it out: f_t = 1, no columns.
        output_gate: False leaves it out: o_t = 1, no columns.
        clip: bound of the absolute pre-activations of gates and candidate, or None.
        cell_clip: bound of the absolute cell state, or None.

    References:
        Greff et al. 2017, LSTM: A Search Space Odyssey (coupled and absent gates).
    """

    gate_activation: ActivationFn | str = "sigmoid"
    candidate_activation: ActivationFn | str = "tanh"
    output_activation: ActivationFn | str = "tanh"
    coupled: bool = False
    input_gate: bool = True
    forget_gate: bool = True
    output_gate: bool = True
    clip: float | None = None
    cell_clip: float | None = None

    def __post_init__(self) -> None:
        """Makes an `ActivationFn` of each function that was given by its name."""
        for field in ("gate_activation", "candidate_activation", "output_activation"):
            value = getattr(self, field)
            if isinstance(value, str):
                object.__setattr__(self, field, ActivationFn(value))
        python_numbers(self, "clip", "cell_clip")

    @property
    def gates(self) -> str:
        """The gates that have columns in `w_x` and `w_h`, in the order of `ifgo`."""
        present = {
            "i": self.input_gate,
            "f": self.forget_gate and not self.coupled,
            "g": True,
            "o": self.output_gate,
        }
        return "".join(gate for gate in "ifgo" if present[gate])
