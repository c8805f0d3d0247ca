# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The names, and what each is made by."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from lstm_jax.cells.fgr import FGRParams
from lstm_jax.cells.gru import GRUParams
from lstm_jax.cells.lstm1997 import LSTM1997Params
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.cells.options import CellOptions
from lstm_jax.cells.rnn import RNNParams


def _lstm(
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    changes: dict[str, Any],
    peephole: bool = True,
    options: CellOptions = CellOptions(),
    **cell: Any,
) -> LSTMParams:
    options = dataclasses.replace(options, **changes)
    return LSTMParams.init(
        key, input_size, hidden_size, peephole=peephole, options=options, **cell
    )


_INIT: dict[str, Callable[..., Any]] = {
    "V": partial(_lstm, changes={}),
    "NIG": partial(_lstm, changes={"input_gate": False}),
    "NFG": partial(_lstm, changes={"forget_gate": False}),
    "NOG": partial(_lstm, changes={"output_gate": False}),
    "NIAF": partial(_lstm, changes={"candidate_activation": "affine"}),
    "NOAF": partial(_lstm, changes={"output_activation": "affine"}),
    "NP": partial(_lstm, changes={}, peephole=False),
    "CIFG": partial(_lstm, changes={"coupled": True}),
    "FGR": FGRParams.init,
    "LSTM1997": LSTM1997Params.init,
    "GRU": GRUParams.init,
    "RNN": RNNParams.init,
}


def names() -> tuple[str, ...]:
    """The names that `init` knows.

    "V" is the LSTM with forget gate and peepholes. Of it, "NIG", "NFG" and "NOG" have
    no input, forget or output gate (it is 1), "NIAF" and "NOAF" no activation of the
    candidate or of the output (it is the identity), "NP" no peepholes; "CIFG" couples
    f = 1 - i; in "FGR" all gates see all gates of the step before. "LSTM1997" is the
    cell without forget gate as it was published; "GRU" and "RNN" are baselines.

    Returns:
        A tuple of strings.

    Example:
        >>> names()
        ('V', 'NIG', 'NFG', 'NOG', 'NIAF', 'NOAF', 'NP', 'CIFG', 'FGR', 'LSTM1997',
         'GRU', 'RNN')

    References:
        Greff et al. 2017, LSTM: A Search Space Odyssey. Hochreiter, Schmidhuber 1997,
        Long Short-Term Memory. Cho et al. 2014, Learning Phrase Representations using
        RNN Encoder-Decoder for Statistical Machine Translation.
    """
    return tuple(_INIT)


def init(
    name: str, key: jax.Array, input_size: int, hidden_size: int, **options: Any
) -> Any:
    """Draws the parameters of a cell that is called by its name.

    Weights are drawn gate by gate. Peepholes start at 0.

    Args:
        name: one of `names()`.
        key: a JAX random key.
        input_size: I.
        hidden_size: H, the width of the output; of "LSTM1997" the cells of all blocks.
        **options: of every cell use_bias, kernel_init, recurrent_init, bias_init and
            dtype, as `lstm_jax.init_cell` has them, whose defaults they have. Of "V" to
            "FGR" all else that it takes but peephole, as clip in its `CellOptions`; of
            "FGR" no norm and no projection. Of "LSTM1997" blocks, a number K that
            divides H (each cell is one if None), cell_bias (False leaves biases to the
            gates), and truncated (False for the whole gradient). Of "GRU" reset_after.
            Of "RNN" activation, an `ActivationFn` or a name. A bias_init is called with
            (key, H, "rzn") for "GRU", (key, H, "n") for its b_hn and (key, H, "h") for
            "RNN"; for "LSTM1997" with (key, K, "io") and, for cells, (key, H, "g").

    Returns:
        `LSTMParams`, `FGRParams`, `LSTM1997Params`, `GRUParams` or `RNNParams`.

    Raises:
        ValueError: an unknown name; sizes or options that contradict each other.
        TypeError: an option that the cell does not have; a dtype that is not floating.
        NotImplementedError: "FGR" with a norm or a projection, or without a gate.

    Example:
        >>> import jax, lstm_jax
        >>> params = init("CIFG", jax.random.key(0), 3, 5)
        >>> lstm_jax.apply(params, jax.numpy.ones((2, 7, 3), params.w_x.dtype))[0].shape
        (2, 7, 5)

    References:
        As `names`.
    """
    call = "variants.init"
    if name not in _INIT:
        raise ValueError(
            f"{call}: name must be one of {', '.join(_INIT)}; got {name!r}."
        )
    return _INIT[name](key, input_size, hidden_size, **options)
