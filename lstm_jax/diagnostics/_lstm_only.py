# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Refuses networks of cells whose state is not (h, c)."""

from lstm_jax._params import Params, layers
from lstm_jax.cells.lstm_params import LSTMParams


def check_lstm_only(call: str, params: Params) -> None:
    """Checks that all layers are `LSTMParams`."""
    others = {type(c).__name__: 0 for c in layers(params) if type(c) is not LSTMParams}
    if others:
        raise NotImplementedError(
            f"{call}: params must have layers of LSTMParams, whose gates and cell "
            f"state it looks at; got {', '.join(others)}."
        )
