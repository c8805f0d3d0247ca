# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""cuDNN's flat vector of weights, as jax.experimental.rnn takes it."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._init import init
from lstm_jax._params import Params, Stack, each_layer, layers
from lstm_jax.convert._arrays import finished, host, on_device, on_host, reorder
from lstm_jax.convert._systems import mixed, refuse
from lstm_jax.implementations.cudnn import Cudnn
from lstm_jax.implementations.cudnn_call import Sizes, rnn


def from_cudnn(
    weights: Any,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bidirectional: bool = False,
    *,
    use_bias: bool = True,
    rocm: bool = False,
) -> Stack:
    """Reads the weights of `jax.experimental.rnn.lstm`, and takes its sizes.

    The two biases become their sum, rounded once.

    Args:
        weights: (N,), laid out as `Cudnn.pack` says.
        input_size: I.
        hidden_size: H.
        num_layers: how many stand one above the other.
        bidirectional: whether each is of two directions.
        use_bias: False leaves the biases out, which must be zero.
        rocm: whether the weights are for an AMD GPU, which has g and o the other way.

    Returns:
        A `Stack`, of `Bidirectional` for two directions. In the dtype of the weights.

    Raises:
        ValueError: sizes that are not positive, or not those of the weights; biases
            without use_bias.
        TypeError: a dtype is not floating, or JAX would round it.

    Example:
        >>> import jax
        >>> from jax.experimental import rnn
        >>> weights = rnn.init_lstm_weight(jax.random.key(0), 3, 5, 2, True)
        >>> len(from_cudnn(weights, 3, 5, 2, True).layers)
        2

    References:
        JAX, module `jax.experimental.rnn`: layout of the weights.
    """
    call = "from_cudnn"
    sizes = {"input_size": input_size, "hidden_size": hidden_size}
    for name, size in {**sizes, "num_layers": num_layers}.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{call}: {name} must be a positive int; got {size!r}.")
    layout = Sizes(input_size, hidden_size, num_layers, 1 + bidirectional).layout
    array = host(call, "weights", weights)
    expected = (rnn().get_num_params_in_lstm(*layout),)
    if array.shape != expected:
        raise ValueError(
            f"{call}: weights must have shape {expected} (from the sizes); got "
            f"{array.shape}."
        )
    like = jax.eval_shape(
        lambda: init(
            jax.random.key(0),
            input_size,
            hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dtype=jnp.float32,
        )
    )
    params = Cudnn.unpack(array, like)
    if rocm:
        params = _swapped(params)
    if not use_bias:
        if any(cell.b.any() for cell in layers(params)):
            raise ValueError(
                f"{call}: weights must have zero biases (from use_bias=False); got "
                "others."
            )
        params = each_layer(lambda cell: cell.replace(b=None), params)
    return finished(call, params)


def to_cudnn(params: Params, *, rocm: bool = False) -> jax.Array:
    """The weights for `jax.experimental.rnn.lstm`, as `Cudnn.pack` gives them.

    The bias goes into b_ih, and b_hh is zero; None becomes zeros.

    Args:
        params: `LSTMParams`, a `Bidirectional` that concatenates, or a `Stack` of
            them, of one hidden size.
        rocm: whether they are for an AMD GPU, which has g and o the other way.

    Returns:
        (N,) of the promoted dtype of params.

    Raises:
        NotImplementedError: cuDNN cannot express the network; all reasons at once.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> to_cudnn(params).shape  # 3·20 + 5·20 + 20 + 20
        (200,)
    """
    refuse("to_cudnn", "cudnn", params, mixed(params))
    arrays = _swapped(on_host("to_cudnn", params)) if rocm else params
    return Cudnn.pack(on_device("to_cudnn", arrays))


def _swapped(params: Any) -> Any:
    """NumPy's arrays with g and o in each other's place; its own inverse."""
    return jax.tree.map(lambda a: reorder(a, "ifog", "ifgo"), params)
