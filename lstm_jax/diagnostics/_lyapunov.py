# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""lyapunov_exponents: the mean rates at which gradients grow or fade."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lstm_jax._dtypes import accum_dtype, as_array, result_dtype
from lstm_jax._inputs import SequenceArgs
from lstm_jax._masks import StepMasks, masked_step, select, valid_steps
from lstm_jax._params import Params, State
from lstm_jax._sequence import run_sequence, sequence_args
from lstm_jax._state import zero_state
from lstm_jax._step import network_step
from lstm_jax._types import match_type
from lstm_jax.checks.params import check_params
from lstm_jax.checks.sequence import check_sequence
from lstm_jax.diagnostics._lstm_only import check_lstm_only


def _parts(state: Any) -> list[jax.Array]:
    """The c of all layers, then the h of all layers.

    In this order a start along the axes gives the closed form where w_h = 0: the
    columns of c span what J_tᵀ reaches, and those of h find nothing left.
    """
    leaves = jax.tree.leaves(state)
    return leaves[1::2] + leaves[::2]


def _columns(matrix: jax.Array, state: Any) -> Any:
    """A tree like the state, leaves (*B, H, K), of the rows of (*B, N, K)."""
    leaves, shape = jax.tree.flatten(state)
    sizes = [a.shape[-1] for a in _parts(state)]
    cuts = [sum(sizes[:k]) for k in range(1, len(sizes))]
    parts = jnp.split(matrix, cuts, -2)
    layers = len(leaves) // 2
    ordered = [a for k in range(layers) for a in (parts[layers + k], parts[k])]
    return jax.tree.unflatten(shape, ordered)


def _start(size: int, k: int, dtype: Any) -> jax.Array:
    """Orthonormal columns (N, K): the axes, or directions that single out none."""
    if k == size:
        return jnp.eye(size, dtype=dtype)
    normal = jax.random.normal(jax.random.key(0), (size, k), dtype)
    return jnp.linalg.qr(normal)[0]


def _growth(r: jax.Array) -> jax.Array:
    """Log of |R_jj|; -inf where a column is dependent, to its rounding, on others."""
    size = jnp.abs(jnp.diagonal(r, axis1=-2, axis2=-1))
    columns = jnp.linalg.norm(r, axis=-2)
    rounding = r.shape[-1] * jnp.finfo(r.dtype).eps
    return jnp.log(jnp.where(size > rounding * columns, size, 0.0))


def _first(params: Params, x: jax.Array, state: Any) -> Any:
    """The state that enters, typed as a step on a mesh gives it."""
    blank = jnp.zeros_like(x[..., :1].sum(0))
    like = zero_state(params, x.shape[1:-1], x.dtype)
    like = jax.tree.map(lambda a: a + blank, like)
    if state is None:
        return like
    return jax.tree.map(
        lambda g, a: match_type(jnp.asarray(g, a.dtype), a), state, like
    )


def _pull(params: Params, carry: Any, inputs: Any) -> tuple[Any, None]:
    """One step back: the basis times J_tᵀ, made orthonormal again."""
    basis, grown = carry
    x, valid, counted, entering = inputs
    _, transposed = jax.vjp(lambda state: network_step(params, state, x)[0], entering)
    (pulled,) = jax.vmap(transposed, -1, -1)(_columns(basis, entering))
    new, r = jnp.linalg.qr(jnp.concatenate(_parts(pulled), -2))
    growth = jnp.where(counted[..., None], _growth(r), 0.0)
    return (select(valid, new, basis), grown + growth), None


def _network(
    k: int, skip: int, params: Params, x: jax.Array, state: Any, args: SequenceArgs
) -> tuple[jax.Array, jax.Array]:
    """The input as it is, and the exponents (*B, K)."""
    total, *batch, _ = x.shape
    valid = valid_steps(total, args.lengths, args.mask)
    valid = jnp.ones((total, *batch), bool) if valid is None else valid
    # Of the steps that count, all but the last ones of each row.
    counted = valid & (valid.cumsum(0) <= valid.sum(0)[None] - skip)

    def step(state: Any, x: jax.Array) -> tuple[Any, Any]:
        return network_step(params, state, x)[0], state

    first = _first(params, x, state)
    xs = x, StepMasks(valid)
    _, entering = lax.scan(masked_step(step, None), first, xs)
    parts = _parts(first)
    blank = jnp.zeros_like(parts[0][..., :1])
    basis = _start(sum(a.shape[-1] for a in parts), k, x.dtype)
    basis = lax.expand_dims(basis, range(len(batch))) + blank[..., None]
    last = basis, jnp.broadcast_to(blank, (*batch, k))
    inputs = x, valid, counted, entering
    (_, grown), _ = lax.scan(partial(_pull, params), last, inputs, reverse=True)
    exponents = grown / counted.sum(0, dtype=x.dtype)[..., None]
    return x, jnp.sort(exponents, descending=True)


@partial(jax.jit, static_argnames=("k", "skip"))
def _exponents(
    params: Params, x: Any, state: Any, args: SequenceArgs, k: int, skip: int
) -> jax.Array:
    dtype = accum_dtype(result_dtype(params, x))
    return run_sequence(partial(_network, k, skip), params, x, state, args, dtype)[1]


def lyapunov_exponents(
    params: Params,
    x: Any,
    state: State = None,
    *,
    k: int | None = None,
    lengths: Any = None,
    mask: Any = None,
    time_major: bool = False,
    skip: int = 0,
) -> jax.Array:
    """The largest Lyapunov exponents of a network that is driven by given data.

    The state (h, c) of all layers is one vector of size N, which a step takes from
    s_{t-1} to s_t with the Jacobian J_t. Orthonormal columns Q, first of the last step,
    are pulled back as gradients are, in nats a step::

        Q R = J_tᵀ Q,  t = T, …, 1        λ_j = mean of log |R_jj|

    Positive: gradients grow, and states that are near diverge (chaos). Near zero: they
    are kept. Negative: they fade. Where w_h = 0 and there are no peepholes, the finite
    ones of a layer are its means of log f_t, and the others, of its h, are -inf.

    Args:
        params: `LSTMParams`, or a `Stack` or `Residual` of such.
        x: as for `lstm_jax.apply`.
        state: as for `lstm_jax.apply`.
        k: how many; None for all N, which is the sum of H + H, or H + P, over layers. A
            smaller number starts from directions that single out no unit, and its error
            fades as 1 / T, or faster with `skip`.
        lengths: as for `lstm_jax.apply`; each row is pulled back from its last step.
        mask: as for `lstm_jax.apply`.
        time_major: as for `lstm_jax.apply`.
        skip: how many last steps of each row turn Q without being counted.

    Returns:
        (*B, K) exponents of each row, the largest first; -inf where a step leaves
        nothing of a direction, to the rounding of the dtype, so that the smallest want
        float64; NaN where no step counts.

    Raises:
        ValueError: as `lstm_jax.apply`; k outside [1, N], skip outside [0, T).
        TypeError: as `lstm_jax.apply`.
        NotImplementedError: Reverse and Bidirectional, which have no step.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 8, num_layers=2)
        >>> x = jax.random.normal(jax.random.key(1), (2, 50, 3))
        >>> exponents = lyapunov_exponents(params, x, k=4)
        >>> exponents.shape, bool((exponents < 0).all())
        ((2, 4), True)

    References:
        Benettin et al. 1980, Lyapunov Characteristic Exponents for Smooth Dynamical
        Systems. Engelken, Wolf, Abbott 2023, Lyapunov Spectra of Chaotic Recurrent
        Neural Networks. Vogt et al. 2022, On Lyapunov Exponents for RNNs.
    """
    call = "lyapunov_exponents"
    x, args = as_array(x), sequence_args(lengths, mask, time_major=time_major)
    check_params(call, params, causal=True)
    check_sequence(call, params, x, state, args)
    check_lstm_only(call, params)
    total = x.shape[0 if time_major else -2]
    parts = _parts(jax.eval_shape(partial(zero_state, params)))
    size = sum(a.shape[-1] for a in parts)
    k = size if k is None else k
    if not (isinstance(k, int) and 1 <= k <= size):
        raise ValueError(
            f"{call}: k must be an integer in [1, N] with N={size} (h and c of all "
            f"layers); got {k}."
        )
    if not (isinstance(skip, int) and 0 <= skip < max(total, 1)):
        raise ValueError(
            f"{call}: skip must be an integer in [0, T) with T={total} (from x); got "
            f"{skip}."
        )
    return _exponents(params, x, state, args, k, skip)
