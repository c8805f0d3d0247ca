# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Flax linen modules: parameters, random streams and a call to the library.

`LSTM` is `lstm_jax.apply` as a module, `LSTMCell` is `lstm_jax.lstm_step`. Every leaf
of the parameters is one parameter of the module, by the names of `lstm_jax.LSTMParams`:
"layers_0/w_x", "layers_0/forward/w_h", "layers_0/norm/gain_x".
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import lstm_jax
from lstm_jax import _flax
from lstm_jax._linen import Module
from lstm_jax._params import Merge, Params, State
from lstm_jax._regularize import Regularizer
from lstm_jax.implementations.base import Implementation

__all__ = ["LSTM", "LSTMCell", "pack"]


def pack(params: Params, state: State = None) -> dict[str, Any]:
    """The "params" collection of a module with these parameters.

    It is where trained weights of other systems come in, through `lstm_jax.convert`;
    `unpack` of the module is the way back.

    Args:
        params: parameters of any kind.
        state: with learn_state=True, the initial state; each leaf (H,) or (P,).

    Returns:
        Nested names to arrays.

    Raises:
        ValueError: the state does not mirror the parameters.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> sorted(pack(params)["layers_0"])
        ['b', 'w_h', 'w_x']
    """
    tree = _flax.nested(params)
    if state is None:
        return tree
    like = _flax.learnable(params)
    if [a.shape for a in jax.tree.leaves(like)] != list(
        map(jnp.shape, jax.tree.leaves(state))
    ):
        raise ValueError(
            "pack: state must mirror params, without batch axes, as "
            "lstm_jax.zero_state(params) does; got "
            f"{jax.tree.map(jnp.shape, state)}."
        )
    start = jax.tree.unflatten(jax.tree.structure(like), jax.tree.leaves(state))
    return tree | {"state": _flax.nested(start)}


class LSTM(Module):
    """`lstm_jax.apply` as a module: called on x, it gives (y, state).

    It stands where `nn.RNN(nn.OptimizedLSTMCell(H))` stood, which gives y alone. In an
    `nn.Sequential`, which would hand the state to the next module, `lambda y, state: y`
    goes behind it. Where nothing else is said, the fields up to `param_dtype` are those
    of `lstm_jax.init`, and those from `regularizer` on arguments of `lstm_jax.apply`.

    Attributes:
        hidden_size: H of every layer, or a sequence with the H of each.
        num_layers: number of layers; 1 if None.
        bidirectional: each layer runs in both directions.
        merge: how two directions become one: "concat", "sum", "mul", "ave".
        projection_size: P, or None for no projection.
        peephole: whether gates look at the cell state.
        cell: a `lstm_jax.Cell` class or a function, as `lstm_jax.init` takes it; None
            for `LSTMParams`.
        norm: `SplitNorm`, `GateNorm` (the class, or an instance for its eps), or None.
        use_bias: whether there are biases.
        options: `CellOptions`.
        kernel_init: of each gate's block of w_x, and of the projection.
        recurrent_init: of each gate's block of w_h.
        bias_init: of all biases, a function of (key, hidden_size, gates), or one of
            JAX's. What `nn.with_partitioning` makes of these three gives the parameters
            its logical axes.
        param_dtype: dtype of the parameters.
        params_init: in place of all these, a function of (key, input_size) that gives
            parameters of any structure.
        dtype: what x and the parameters are cast to; None for the promoted one.
        learn_state: the initial state is made of parameters, "state/layers_0/h" (H or
            P,) and so on, zero at first. Sequences begin with it at resets too.
        regularizer: `Regularizer`; its key is of the random stream "dropout".
        deterministic: evaluation, by `Regularizer.inference`; here or in the call.
        time_major: x, y, mask and resets have T in front.
        truncate: no gradient passes the state across t = k, 2k, 3k, …
        implementation: `Scan(...)`, `Loop()`, `Cudnn(...)`, or None.

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax.linen
        >>> lstm, x = lstm_jax.linen.LSTM(5), jnp.ones((2, 7, 3), "float32")
        >>> variables = lstm.init(jax.random.key(0), x)
        >>> y, state = lstm.apply(variables, x, lengths=jnp.array([7, 4]))
        >>> y.shape, variables["params"]["layers_0"]["w_x"].shape
        ((2, 7, 5), (3, 20))

    References:
        As `lstm_jax.apply`.
    """

    hidden_size: int | Sequence[int] | None = None
    num_layers: int | None = None
    bidirectional: bool = False
    merge: Merge = "concat"
    learn_state: bool = False
    regularizer: Regularizer | None = None
    deterministic: bool | None = None
    time_major: bool = False
    truncate: int | None = None
    implementation: Implementation | None = None

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
        deterministic: bool | None = None,
        truncate: int | None = None,
        implementation: Implementation | None = None,
    ) -> tuple[jax.Array, State]:
        """Runs the network over a sequence; None stands for the field of that name.

        Args:
            x: (*B, T, I) floating.
            state: as for `lstm_jax.apply`; the learned one, or zeros, if None.
            lengths: (*B,) integers.
            mask: (*B, T) booleans in place of lengths.
            resets: (*B, T) booleans.
            reset_state: the learned state, or zeros, if None.
            seq_lengths: what `nn.RNN` calls lengths.
            time_major: x, y, mask and resets have T in front.
            regularizer: dropout and zoneout of this call.
            key: a random key in place of the stream "dropout".
            deterministic: evaluation; needed, here or as a field, with a regularizer.
            truncate: as for `lstm_jax.apply`.
            implementation: as for `lstm_jax.apply`.

        Returns:
            y (*B, T, H), and the state after the last valid step.

        Raises:
            ValueError: shapes or values that disagree; variables of another structure.
            TypeError: dtypes or kinds that disagree.
            NotImplementedError: the implementation cannot run this.
        """
        params, learned = self._parameters(x, self.learn_state)
        return _flax.run(
            params,
            x,
            state,
            learned=learned,
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
                lambda: nn.merge_param(
                    "deterministic", self.deterministic, deterministic
                ),
                key,
                lambda: self.make_rng("dropout"),
            ),
        )

    def step(self, state: State, x: Any) -> tuple[State, jax.Array]:
        """One step with the same parameters: `apply(…, method="step")`.

        Args:
            state: as for `lstm_jax.lstm_step`; the learned one, or zeros, if None.
            x: (*B, I) floating.

        Returns:
            The state after the step, and y (*B, H or P).

        Raises:
            ValueError: shapes that disagree; variables of another structure.
            TypeError: dtypes or kinds that disagree.
            NotImplementedError: the network needs the whole sequence.
        """
        params, learned = self._parameters(x, self.learn_state)
        return _flax.step(params, state, x, learned, self.dtype)


class LSTMCell(Module, nn.RNNCellBase):
    """`lstm_jax.lstm_step` as a module: called on (state, x), it gives (state, y).

    It is a body for `nn.scan`, and stands in `nn.RNN` for Flax's own cells. The state
    is (h, c), where those carry (c, h).

    Attributes:
        hidden_size: H.
        projection_size: this and the others as in `LSTM`, but that params_init gives
            parameters of any causal structure.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp, lstm_jax.linen
        >>> rnn = nn.RNN(lstm_jax.linen.LSTMCell(5, peephole=True))
        >>> x = jnp.ones((2, 7, 3), "float32")
        >>> rnn.init_with_output(jax.random.key(0), x)[0].shape
        (2, 7, 5)

    References:
        As `lstm_jax.apply`.
    """

    _init = staticmethod(_flax.init_one_cell)

    hidden_size: int | None = None

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
            ValueError: shapes that disagree; variables of another structure.
            TypeError: dtypes or kinds that disagree.
            NotImplementedError: params_init gives what needs the whole sequence.
        """
        params, _ = self._parameters(x)
        return _flax.step(params, state, x, None, self.dtype)

    @nn.nowrap
    def initialize_carry(self, rng: Any, input_shape: tuple[int, ...]) -> State:
        """The state of zeros with which `nn.RNN` begins.

        Args:
            rng: without effect; for `nn.RNN`.
            input_shape: (*B, I).

        Returns:
            h (*B, H or P) and c (*B, H).
        """
        *batch, size = input_shape
        return lstm_jax.zero_state(self._like(size), batch, self.dtype)

    @property
    def num_feature_axes(self) -> int:
        """One: x is (*B, I)."""
        return 1
