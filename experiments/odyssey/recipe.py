# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What can be chosen about the training of a network."""

import dataclasses

from lstm_jax import Regularizer


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    epochs: int
    """Passes over the training pieces; the best one by validation is taken."""
    rows: int
    """Rows of a batch, each of two to three pieces."""
    learning_rates: tuple[float, ...]
    """Highest steps of Adam, which fall as a cosine; validation picks one."""
    input_dropout: float = 0.0
    """Share of the keys dropped at the entry, drawn for every frame."""
    between_dropout: float = 0.0
    """Share of the units dropped between layers, drawn once for all frames."""
    output_dropout: float = 0.0
    """Share of the units dropped before the linear layer, drawn for every frame."""
    recurrent_dropout: float = 0.0
    """Share of the candidates dropped in each layer, drawn once for all frames."""
    weight_drop: float = 0.0
    """Share of the recurrent weights dropped, drawn for every batch."""
    fresh_starts: float = 0.0
    """Chance at every frame that the state is set back to zeros in training."""
    weight_decay: float = 0.0
    """Of AdamW."""
    averaging: float = 0.0
    """Decay of the running average of the parameters, which is what is judged."""
    clip: float = 1.0
    """Highest norm of a gradient."""

    def regularizer(self) -> Regularizer:
        """Dropout between and inside layers."""
        return Regularizer(
            dropout=self.between_dropout,
            recurrent_dropout=self.recurrent_dropout,
            weight_drop=self.weight_drop,
        )
