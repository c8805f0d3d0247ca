# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Flax nnx modules: parameters, random streams and a call to the library.

`LSTM` is `lstm_jax.apply` as a module, `LSTMCell` is `lstm_jax.lstm_step`. Their
`weights` are parameters of this library with an `nnx.Param` for each array.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import lstm_jax
from lstm_jax import _flax, _nnx
from lstm_jax._init import given_fields
from lstm_jax._nnx import Module
from lstm_jax._params import Merge, Params, State
from lstm_jax._regularize import Regularizer
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.cells.options import CellOptions
from lstm_jax.implementations.base import Implementation
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    forget_bias,
    glorot_uniform,
    orthogonal,
)

__all__ = ["LSTM", "LSTMCell"]


class LSTM(Module):
    """`lstm_jax.apply` as a module: called on x, it gives (y, state).

    It stands where `nnx.RNN(nnx.OptimizedLSTMCell(I, H, rngs=rngs))` stood, which gives
    y alone. In an `nnx.Sequential`, which would hand the state to the next module,
    `lambda y, state: y` goes behind it. `LSTM.from_params` makes one of any parameters.
    `nnx.tabulate` of flax 0.12 cannot show named tuples: give it a state of plain ones.

    Args:
        input_size: I of the first layer.
        hidden_size: H of every layer, or a sequence with the H of each.
        rngs: draws the parameters from its stream "params"; with a regularizer, a fork
            of "dropout" is kept.
        num_layers: this and the others up to `param_dtype` as `lstm_jax.linen.LSTM`
            has them.

    Attributes:
        weights: the parameters, with an `nnx.Param` for each array.
        start: the learned state likewise, or None.
        params: the parameters, of plain arrays.
        deterministic: evaluation, by `Regularizer.inference`; `model.eval()` and
            `model.train()` set it.
        rngs: the random stream of the regularizer, or None.
        regularizer: this and the others as in `lstm_jax.linen.LSTM`: params_init,
            dtype, learn_state, time_major, truncate, implementation.

    Example:
        >>> import jax.numpy as jnp, lstm_jax.nnx
        >>> from flax import nnx
        >>> lstm = lstm_jax.nnx.LSTM(3, 5, rngs=nnx.Rngs(0), num_layers=2)
        >>> y, state = lstm(jnp.ones((2, 7, 3), "float32"))
        >>> y.shape, lstm.params.layers[1].w_x.shape
        ((2, 7, 5), (5, 20))

    References:
        As `lstm_jax.apply`.
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int | Sequence[int] | None = None,
        *,
        rngs: nnx.Rngs | None,
        num_layers: int | None = None,
        bidirectional: bool = False,
        merge: Merge = "concat",
        cell: Any = LSTMParams,
        projection_size: int | None = None,
        peephole: bool = False,
        norm: Any = None,
        use_bias: bool = True,
        options: CellOptions = CellOptions(),
        kernel_init: WeightInit = glorot_uniform(),
        recurrent_init: WeightInit = orthogonal(),
        bias_init: BiasInit = forget_bias(1.0),
        param_dtype: Any = jnp.float32,
        params_init: Callable[..., Params] | None = None,
        dtype: Any = None,
        learn_state: bool = False,
        regularizer: Regularizer | None = None,
        deterministic: bool = False,
        time_major: bool = False,
        truncate: int | None = None,
        implementation: Implementation | None = None,
    ) -> None:
        fields = given_fields(
            type(self).__init__,
            num_layers=num_layers,
            bidirectional=bidirectional,
            merge=merge,
            cell=cell,
            projection_size=projection_size,
            peephole=peephole,
            norm=norm,
            use_bias=use_bias,
            options=options,
            kernel_init=kernel_init,
            recurrent_init=recurrent_init,
            bias_init=bias_init,
            param_dtype=param_dtype,
        )
        params = _nnx.drawn(
            lstm_jax.init, rngs, input_size, hidden_size, params_init, fields
        )
        self.weights = _nnx.stored(params)
        self.start = (
            _nnx.stored(_flax.learnable(self.params)) if learn_state else nnx.data(None)
        )
        kept = None if regularizer is None or rngs is None else rngs.dropout.fork()
        self.rngs = nnx.data(kept)
        self.dtype = dtype
        self.regularizer = regularizer
        self.deterministic = deterministic
        self.time_major = time_major
        self.truncate = truncate
        self.implementation = implementation

    def __call__(
        self,
        x: Any,
        state: State = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        resets: Any = None,
        reset_state: State = None,
        seq_lengths: Any = None,
        time_major: bool | None = None,
        regularizer: Regularizer | None = None,
        key: Any = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        deterministic: bool | None = None,
        truncate: int | None = None,
        implementation: Implementation | None = None,
    ) -> tuple[jax.Array, State]:
        """Runs the network over a sequence; None stands for the module's own.

        Args:
            x: (*B, T, I) floating.
            state: as for `lstm_jax.apply`; the learned one, or zeros, if None.
            lengths: (*B,) integers.
            mask: (*B, T) booleans in place of lengths.
            resets: (*B, T) booleans.
            reset_state: the learned state, or zeros, if None.
            seq_lengths: what `nnx.RNN` calls lengths.
            time_major: x, y, mask and resets have T in front.
            regularizer: dropout and zoneout of this call.
            key: a random key in place of any stream.
            rngs: a random stream, or streams with "dropout", in place of the kept one.
            deterministic: evaluation.
            truncate: as for `lstm_jax.apply`.
            implementation: as for `lstm_jax.apply`.

        Returns:
            y (*B, T, H), and the state after the last valid step.

        Raises:
            ValueError: shapes or values that disagree; no random stream to drop with.
            TypeError: dtypes or kinds that disagree.
            NotImplementedError: the implementation cannot run this.
        """
        return _flax.run(
            self.params,
            x,
            state,
            learned=_nnx.arrays(self.start),
            dtype=self.dtype,
            lengths=_flax.one_of(lengths, seq_lengths),
            mask=mask,
            resets=resets,
            reset_state=reset_state,
            time_major=_flax.first(time_major, self.time_major),
            truncate=_flax.first(truncate, self.truncate),
            implementation=_flax.first(implementation, self.implementation),
            **_flax.randomness(
                _flax.first(regularizer, self.regularizer),
                lambda: _flax.first(deterministic, self.deterministic),
                key,
                lambda: _nnx.key(_flax.first(rngs, self.rngs)),
            ),
        )

    def step(self, state: State, x: Any) -> tuple[State, jax.Array]:
        """One step with the same parameters.

        Args:
            state: as for `lstm_jax.lstm_step`; the learned one, or zeros, if None.
            x: (*B, I) floating.

        Returns:
            The state after the step, and y (*B, H or P).

        Raises:
            ValueError: shapes that disagree.
            TypeError: dtypes or kinds that disagree.
            NotImplementedError: the network needs the whole sequence.
        """
        learned = _nnx.arrays(self.start)
        return _flax.step(self.params, state, x, learned, self.dtype)

    def set_view(self, deterministic: bool | None = None) -> None:
        """What `nnx.view` calls.

        Args:
            deterministic: evaluation; None for no change.
        """
        self.deterministic = _flax.first(deterministic, self.deterministic)


class LSTMCell(Module, nnx.RNNCellBase):
    """`lstm_jax.lstm_step` as a module: called on (state, x), it gives (state, y).

    It is a body for `nnx.scan`, and stands in `nnx.RNN` for Flax's own cells. The state
    is (h, c), where those carry (c, h).

    Args:
        input_size: I.
        hidden_size: H.
        rngs: draws the parameters from its stream "params".
        params_init: in place of hidden_size and fields, a function of (key, input_size)
            that gives parameters of any causal structure.
        dtype: what x and the parameters are cast to; None for the promoted one.
        cell: this and the others up to `param_dtype` as for `LSTM`.

    Attributes:
        weights: the parameters, with an `nnx.Param` for each array.
        params: the parameters, of plain arrays.
        dtype: as given.

    Example:
        >>> import jax.numpy as jnp, lstm_jax.nnx
        >>> from flax import nnx
        >>> rnn = nnx.RNN(lstm_jax.nnx.LSTMCell(3, 5, rngs=nnx.Rngs(0), peephole=True))
        >>> rnn(jnp.ones((2, 7, 3), "float32")).shape
        (2, 7, 5)

    References:
        As `lstm_jax.apply`.
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int | None = None,
        *,
        rngs: nnx.Rngs | None,
        cell: Any = LSTMParams,
        projection_size: int | None = None,
        peephole: bool = False,
        norm: Any = None,
        use_bias: bool = True,
        options: CellOptions = CellOptions(),
        kernel_init: WeightInit = glorot_uniform(),
        recurrent_init: WeightInit = orthogonal(),
        bias_init: BiasInit = forget_bias(1.0),
        param_dtype: Any = jnp.float32,
        params_init: Callable[..., Params] | None = None,
        dtype: Any = None,
    ) -> None:
        fields = given_fields(
            type(self).__init__,
            cell=cell,
            projection_size=projection_size,
            peephole=peephole,
            norm=norm,
            use_bias=use_bias,
            options=options,
            kernel_init=kernel_init,
            recurrent_init=recurrent_init,
            bias_init=bias_init,
            param_dtype=param_dtype,
        )
        self.weights = _nnx.stored(
            _nnx.drawn(
                _flax.init_one_cell, rngs, input_size, hidden_size, params_init, fields
            )
        )
        self.dtype = dtype

    def __call__(self, state: State, x: Any) -> tuple[State, jax.Array]:
        """One step.

        Args:
            state: h (*B, H or P) and c (*B, H), or what broadcasts to them; zeros if
                None.
            x: (*B, I) floating.

        Returns:
            The state after the step, in the containers and dtypes given, and y (*B, H
            or P).

        Raises:
            ValueError: shapes that disagree.
            TypeError: dtypes or kinds that disagree.
            NotImplementedError: the parameters need the whole sequence.
        """
        return _flax.step(self.params, state, x, None, self.dtype)

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None
    ) -> State:
        """The state with which `nnx.RNN` begins.

        Args:
            input_shape: (*B, I).
            rngs: without effect; for `nnx.RNN`.
            carry_init: must be None, for zeros.

        Returns:
            h (*B, H or P) and c (*B, H).

        Raises:
            NotImplementedError: carry_init is given.
        """
        if carry_init is not None:
            raise NotImplementedError(
                "initialize_carry: carry_init must be None; got "
                f"{carry_init!r}. Pass nnx.RNN an initial_carry."
            )
        return lstm_jax.zero_state(self.params, input_shape[:-1], self.dtype)

    @property
    def num_feature_axes(self) -> int:
        """One: x is (*B, I)."""
        return 1
