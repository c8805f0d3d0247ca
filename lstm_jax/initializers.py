# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Initialisers, called gate by gate for weights and once for all biases.

Weights take any initialiser of `jax.nn.initializers`: a function of (key, shape, dtype)
that is called for each gate's block, (I, H) or (H, H), and for the projection (H, P). A
bias initialiser is a function of (key, hidden_size, gates), gates being the letters of
those present, and gives (G·H,) values in their order; or any of JAX's again, which its
second or third parameter tells: "shape", "dtype", or a third one that has a default.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import sequential_vmap
from jax.nn.initializers import glorot_uniform, lecun_normal, lecun_uniform

__all__ = [
    "chrono",
    "forget_bias",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "torch_bias",
    "torch_uniform",
]

WeightInit: TypeAlias = Callable[..., jax.Array]
BiasInit: TypeAlias = Callable[..., jax.Array]


def weights(
    call: str, name: str, init: Any, key: jax.Array, shape: tuple[int, ...], dtype: Any
) -> jax.Array:
    """A matrix drawn by a user's function, which is checked."""
    _is_function(call, name, init, "(key, shape, dtype)")
    return _checked(call, name, init(key, shape, dtype), shape)


def biases(
    call: str, init: Any, key: jax.Array, hidden_size: int, gates: str, dtype: Any
) -> jax.Array:
    """The biases (G·H,) drawn by a user's function of either kind, which is checked."""
    _is_function(call, "bias_init", init, "(key, hidden_size, gates)")
    shape = (hidden_size * len(gates),)
    given = (shape, dtype) if _takes_a_shape(init) else (hidden_size, gates)
    return _checked(call, "bias_init", init(key, *given), shape)


def _is_function(call: str, name: str, init: Any, arguments: str) -> None:
    if not callable(init):
        raise TypeError(
            f"{call}: {name} must be a function of {arguments}; got {init!r}."
        )


def _takes_a_shape(init: Any) -> bool:
    try:
        parameters = list(inspect.signature(init).parameters.values())
    except (TypeError, ValueError):  # one that does not say
        return False
    names = [p.name for p in parameters]
    third = parameters[2:3]
    return (
        names[1:2] == ["shape"]
        or names[2:3] == ["dtype"]
        or any(p.default is not p.empty for p in third)
    )


def _checked(call: str, name: str, value: Any, shape: tuple[int, ...]) -> jax.Array:
    got = getattr(value, "shape", None), getattr(value, "dtype", None)
    kind = type(value).__name__
    if got[0] is None or not isinstance(got[1], np.dtype):
        raise TypeError(
            f"{call}: {name} must give an array of JAX or NumPy; got {kind}."
        )
    if not jnp.issubdtype(got[1], jnp.floating):
        raise TypeError(f"{call}: {name} must give a floating dtype; got {got[1]}.")
    if tuple(got[0]) != shape:
        raise ValueError(f"{call}: {name} must give shape {shape}; got {got[0]}.")
    return jnp.asarray(value)


@functools.cache
def _orthogonal(scale: float, shape: tuple[int, ...], dtype: Any) -> Any:
    init = jax.nn.initializers.orthogonal(scale)
    return sequential_vmap(lambda key: init(key, shape, dtype))


def orthogonal(scale: float = 1.0) -> WeightInit:
    """A matrix with orthonormal rows or columns, as `jax.nn.initializers` has it.

    Under `jax.vmap` matrices are drawn one after the other: two batched QR
    decompositions in one program can wait for each other for ever on a CPU (jaxlib
    0.10), which would make vmap over `init` hang.

    Args:
        scale: what multiplies the matrix.

    Returns:
        A function of (key, shape, dtype).

    Example:
        >>> w = orthogonal()(jax.random.key(0), (3, 3))
        >>> bool(abs(w @ w.T - jnp.eye(3)).max() < 1e-6)
        True

    References:
        Saxe et al. 2013, Exact Solutions to the Nonlinear Dynamics of Learning in Deep
        Linear Neural Networks.
    """

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        dtype = jax.dtypes.canonicalize_dtype(float if dtype is None else dtype)
        return _orthogonal(float(scale), tuple(shape), jnp.dtype(dtype))(key)

    return init


def _gate_by_gate(gates: str, hidden_size: int, **values: Any) -> jax.Array:
    blocks = [values.get(gate, jnp.zeros(())) for gate in gates]
    return jnp.concatenate([jnp.broadcast_to(b, (hidden_size,)) for b in blocks])


def forget_bias(value: float = 1.0) -> BiasInit:
    """Zeros, and `value` for the forget gate.

    Args:
        value: bias of the forget gate at the start.

    Returns:
        A bias initialiser.

    Example:
        >>> forget_bias(1.0)(jax.random.key(0), 2, "ifgo").tolist()
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]

    References:
        Gers et al. 2000, Learning to Forget. Jozefowicz et al. 2015, An Empirical
        Exploration of Recurrent Network Architectures.
    """

    def init(key: jax.Array, hidden_size: int, gates: str) -> jax.Array:
        return _gate_by_gate(gates, hidden_size, f=jnp.asarray(value, float))

    return init


def chrono(t_max: int) -> BiasInit:
    """b_f ~ log U[1, t_max - 1] and b_i = -b_f: memory up to t_max steps.

    Args:
        t_max: the longest dependency expected, in steps; at least 2.

    Returns:
        A bias initialiser.

    Raises:
        ValueError: t_max is below 2.

    Example:
        >>> b = chrono(100)(jax.random.key(0), 3, "ifgo")
        >>> bool((b[:3] == -b[3:6]).all() & (b[3:6] <= jnp.log(99.0)).all())
        True

    References:
        Tallec, Ollivier 2018, Can Recurrent Neural Networks Warp Time?
    """
    if t_max < 2:
        raise ValueError(f"chrono: t_max must be at least 2; got {t_max}.")

    def init(key: jax.Array, hidden_size: int, gates: str) -> jax.Array:
        horizon = jax.random.uniform(key, (hidden_size,), float, 1.0, t_max - 1.0)
        return _gate_by_gate(
            gates, hidden_size, f=jnp.log(horizon), i=-jnp.log(horizon)
        )

    return init


def torch_uniform(hidden_size: int | None = None) -> WeightInit:
    """U(-1/sqrt(H), 1/sqrt(H)), with which torch.nn.LSTM starts every weight.

    Args:
        hidden_size: H; None takes the last axis of the shape, which is H for w_x and
            w_h. With a projection name it: there torch means H, not P.

    Returns:
        A weight initialiser.

    Example:
        >>> w = torch_uniform()(jax.random.key(0), (5, 4))
        >>> w.shape, bool((abs(w) <= 0.5).all())
        ((5, 4), True)
    """

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        bound = (hidden_size or shape[-1]) ** -0.5
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def torch_bias() -> BiasInit:
    """The sum of two U(-1/sqrt(H), 1/sqrt(H)): torch.nn.LSTM adds b_ih and b_hh.

    Returns:
        A bias initialiser.

    Example:
        >>> torch_bias()(jax.random.key(0), 4, "ifgo").shape
        (16,)
    """

    def init(key: jax.Array, hidden_size: int, gates: str) -> jax.Array:
        shape = 2, hidden_size * len(gates)
        return torch_uniform(hidden_size)(key, shape).sum(0)

    return init
