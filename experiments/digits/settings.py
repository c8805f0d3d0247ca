# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What can be changed, and nothing that does anything."""

import dataclasses
from typing import Literal, TypeAlias

TaskName: TypeAlias = Literal["rows", "rows-permuted", "pixels", "pixels-permuted"]
NetName: TypeAlias = Literal["LSTM", "LSTM-zoneout", "LSTM-norm", "GRU", "RNN"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network each; of its start, its minibatches and its zoneout."""
    tasks: tuple[TaskName, ...] = ("rows", "rows-permuted", "pixels", "pixels-permuted")
    """What is read: 28 rows of 28 pixels, or one by one the means of 2 by 2 pixels; as
    they are, or all in one order drawn once."""
    nets: tuple[NetName, ...] = ("LSTM", "LSTM-zoneout", "LSTM-norm", "GRU", "RNN")
    """Which networks, each of one layer."""
    split_seed: int = 0
    """Of the split into training and held-out digits, the same for all networks."""
    order_seed: int = 0
    """Of the order of the permuted tasks, the same for all networks."""
    train: int = 4000
    """Training digits."""
    held_out: int = 1000
    """Digits held out."""
    rows_units: int = 64
    """Units of networks that read rows."""
    pixels_units: int = 32
    """Units of networks that read pixels."""
    rows_epochs: int = 8
    """Passes over the training digits, read in rows."""
    pixels_epochs: int = 8
    """Passes over the training digits, read in pixels."""
    rows_batch: int = 50
    """Digits in a minibatch, read in rows."""
    pixels_batch: int = 25
    """Digits in a minibatch, read in pixels."""
    rates: tuple[float, ...] = (3e-3, 1e-2, 3e-2, 1e-1)
    """Highest steps of AdamW to choose from, for each network and for rows and pixels;
    the step rises over the first tenth and falls as a cosine."""
    validation: int = 400
    """Training digits that judge the rates, left out while these are tried."""
    search_seed: int = 1000
    """Of the networks with which rates are tried."""
    weight_decay: float = 1e-2
    """Of AdamW."""
    clip: float = 1.0
    """Highest norm of a gradient."""
    zoneout: float = 0.1
    """Share of h, and of c, that stays at each step of LSTM-zoneout in training."""
