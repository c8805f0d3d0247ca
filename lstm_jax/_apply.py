# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""apply, activations, lstm_step and explain: structure around the recurrence."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax import _checks
from lstm_jax._cell import Noise, advance, cast, project, result_dtype, wide
from lstm_jax._implementations import Cudnn, Implementation, Scan, default
from lstm_jax._params import (
    Activations,
    Bidirectional,
    LSTMParams,
    LSTMState,
    Params,
    Residual,
    Reverse,
    Stack,
    State,
    each_layer,
    layers,
    mirror,
)
from lstm_jax._recurrence import Driven
from lstm_jax._regularize import (
    MEMBERS,
    Regularizer,
    drop_between,
    drop_input,
    drop_weights,
    layer_noise,
)
from lstm_jax._scan import array, controls, guarded, select
from lstm_jax._types import evaluated, typed, vary_alike, zeros

# (layer, x, driven, reverse) -> what a layer gives: its output and its part of the tree
Layer = Callable[[Driven, bool], tuple[jax.Array, Any]]


@dataclasses.dataclass(frozen=True)
class _Run:
    """What is the same for all layers of one call."""

    layer: Layer
    lengths: Any
    resets: Any
    truncate: int | None
    regularizer: Regularizer | None


def _merge(merge: str, forward: jax.Array, backward: jax.Array) -> jax.Array:
    match merge:
        case "concat":
            return jnp.concatenate([forward, backward], -1)
        case "sum":
            return forward + backward
        case "mul":
            return forward * backward
        case _:
            return (forward + backward) / 2


def _entering(cell: LSTMParams, x: jax.Array) -> LSTMState:
    """The state as a step gives it: shapes, dtypes and mesh types."""

    def step(x: jax.Array) -> LSTMState:
        # A sum over time has the type of one step, even where there is none.
        zx = project(cell, x.sum(0))
        units = zx.shape[-1] // len(cell.options.gates)
        h = jnp.zeros((*zx.shape[:-1], cell.w_h.shape[0]), cell.w_h.dtype)
        c = jnp.zeros((*zx.shape[:-1], units), zx.dtype)
        return advance(cell, zx, LSTMState(h, c))[0]

    return evaluated(step, x)


def _filled(like: LSTMState, given: Any) -> LSTMState:
    """The state given, or zeros, with the types of `like`."""
    if given is None:
        return jax.tree.map(zeros, like)
    return LSTMState(
        *(typed(jnp.asarray(g, k.dtype), k) for g, k in zip(given, like, strict=True))
    )


def _cell(
    run: _Run,
    cell: LSTMParams,
    x: jax.Array,
    state: Any,
    reset: Any,
    reverse: bool,
    key: Any,
) -> tuple[jax.Array, Any]:
    """One layer in one direction."""
    like = _entering(cast(cell, x.dtype), x)
    noise = Noise(), Noise()
    if run.regularizer is not None:
        noise = layer_noise(run.regularizer, cell, x.shape[0], like, key)
        cell = drop_weights(run.regularizer, cell, key)
    driven = Driven(
        cell,
        x,
        *noise,
        state=_filled(like, state),
        reset_state=None if run.resets is None else _filled(like, reset),
        controls=controls(x.shape[0], run.lengths, run.resets, run.truncate, reverse),
    )
    return run.layer(driven, reverse)


def _part(tree: Any, k: int) -> Any:
    return None if tree is None else tree[k]


def _fold(key: Any, k: int) -> Any:
    """The key of the k-th member of a structure."""
    return None if key is None else jax.random.fold_in(key, MEMBERS + k)


def _network(
    run: _Run,
    params: Params,
    x: jax.Array,
    state: Any,
    reset: Any,
    reverse: bool,
    key: Any,
) -> tuple[jax.Array, Any]:
    """Runs any structure over (T, *B, I): the output, and a tree like the state."""
    match params:
        case LSTMParams():
            return _cell(run, params, x, state, reset, reverse, key)
        case Reverse(inner):
            return _network(run, inner, x, state, reset, not reverse, key)
        case Residual(inner):
            y, out = _network(run, inner, x, state, reset, reverse, key)
            return x + y, out
        case Bidirectional(forward, backward, merge):
            ys, outs = zip(
                *(
                    _network(
                        run,
                        part,
                        x,
                        _part(state, k),
                        _part(reset, k),
                        reverse != bool(k),
                        _fold(key, k),
                    )
                    for k, part in enumerate((forward, backward))
                ),
                strict=True,
            )
            return _merge(merge, *ys), outs
        case Stack(members):
            each = []
            for k, layer in enumerate(members):
                own = _fold(key, k)
                if k and run.regularizer is not None:
                    x = drop_between(run.regularizer, x, own)
                x, out = _network(
                    run, layer, x, _part(state, k), _part(reset, k), reverse, own
                )
                each.append(out)
            return x, tuple(each)
    raise AssertionError("checked before")


def _cast(params: Params, dtype: Any) -> Params:
    """Every layer of a network, cast."""
    return each_layer(partial(cast, dtype=dtype), params)


def _mirrored(params: Params, state: State) -> State:
    """A given state in this library's containers."""
    if state is None:
        return None
    shape = mirror(params, lambda cell: LSTMState(0, 0))
    return jax.tree.unflatten(jax.tree.structure(shape), jax.tree.leaves(state))


def _as_given(state: State, given: State) -> State:
    """A state in the containers and dtypes of the one that was given."""
    if given is None:
        return state
    like, containers = jax.tree.flatten(given)
    leaves = [
        new.astype(jnp.asarray(old).dtype)
        for new, old in zip(jax.tree.leaves(state), like, strict=True)
    ]
    return jax.tree.unflatten(containers, leaves)


def _scan_order(x: Any, time_major: bool, trailing: int) -> jax.Array:
    """Moves time to the front, from before `trailing` axes."""
    return x if time_major else jnp.moveaxis(x, x.ndim - 1 - trailing, 0)


def _given_order(x: jax.Array, time_major: bool) -> jax.Array:
    return x if time_major else jnp.moveaxis(x, 0, -2)


def _over_time(
    runner: Layer | Cudnn,
    params: Params,
    x: Any,
    state: Any,
    *,
    lengths: Any,
    resets: Any,
    reset_state: Any,
    time_major: bool,
    regularizer: Regularizer | None = None,
    key: Any = None,
    truncate: int | None = None,
) -> tuple[jax.Array, Any]:
    """What `apply` and `activations` share: dtypes, layout and padding."""
    params, x, state, lengths, resets, reset_state, key = vary_alike(
        (params, x, state, lengths, resets, reset_state, key)
    )
    dtype = result_dtype(params, x)
    x = _scan_order(jnp.asarray(x, dtype), time_major, 1)
    if resets is not None:
        resets = _scan_order(resets, time_major, 0)
    if lengths is not None:
        valid = controls(x.shape[0], lengths, None, None, False).valid
        x = select(valid, x, jnp.zeros_like(x))
    if regularizer is not None:
        x = drop_input(regularizer, x, key)
    ready = _cast(params, wide(dtype))
    if isinstance(runner, Cudnn):
        y, out = runner.network(ready, x, state, lengths)
    else:
        run = _Run(runner, lengths, resets, truncate, regularizer)
        y, out = _network(run, ready, x, state, reset_state, False, key)
    return _given_order(y, time_major), out


def _runner(implementation: Implementation) -> Layer | Cudnn:
    """What runs the layers one by one, or all of them at once."""
    if isinstance(implementation, Cudnn):
        return implementation

    def layer(driven: Driven, reverse: bool) -> tuple[jax.Array, LSTMState]:
        state, y = implementation.layer(driven, reverse)
        return y, state

    return layer


@partial(
    jax.jit,
    static_argnames=("time_major", "regularizer", "truncate", "implementation"),
)
def _apply(
    params: Params, x: Any, state: Any, implementation: Implementation, **call: Any
) -> tuple[jax.Array, Any]:
    runner = _runner(implementation)
    y, out = _over_time(runner, params, x, _mirrored(params, state), **call)
    return y, _as_given(out, state)


def apply(
    params: Params,
    x: Any,
    state: State = None,
    *,
    lengths: Any = None,
    resets: Any = None,
    reset_state: State = None,
    time_major: bool = False,
    regularizer: Regularizer | None = None,
    key: Any = None,
    truncate: int | None = None,
    implementation: Implementation | None = None,
) -> tuple[jax.Array, State]:
    """Runs a network over a sequence.

    For one layer, with everything optional left out::

        for t in range(T):
            i, f, g, o = gates(x[:, t] @ w_x + h @ w_h + b)
            c = f * c + i * g
            h = y[:, t] = o * tanh(c)

    Args:
        params: `LSTMParams`, `Stack`, `Bidirectional`, `Reverse` or `Residual`.
        x: (*B, T, I) floating; zero, one or many batch axes.
        state: mirrors params, each leaf (*B, H) or what broadcasts to it over *B;
            zeros if None. The order is (h, c).
        lengths: (*B,) integers: steps from there on are padding, which influences
            nothing. Outside [0, T] they are an error where concrete, else clipped.
        resets: (*B, T) booleans: True where a new sequence begins.
        reset_state: the state with which it begins; zeros if None.
        time_major: x, y and resets have T in front: (T, *B, I).
        regularizer: dropout and zoneout of this call.
        key: a JAX random key for the regularizer.
        truncate: no gradient passes the state across t = k, 2k, 3k, …
        implementation: `Scan(...)`, `Loop()`, `Cudnn(...)`, or None for what `explain`
            says.

    Returns:
        y (*B, T, H), with P for H under a projection and twice as wide for directions
        that are concatenated, zero in the padding; and the state after the last valid
        step, in the containers and dtypes of the one given.

    Raises:
        ValueError: shapes or values that disagree.
        TypeError: dtypes or kinds that disagree.
        NotImplementedError: the implementation cannot run this.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> x = jax.random.normal(jax.random.key(1), (2, 7, 3))
        >>> y, ((h, c),) = lstm_jax.apply(params, x)
        >>> y.shape, h.shape
        ((2, 7, 5), (2, 5))

    References:
        Hochreiter, Schmidhuber 1997, Long Short-Term Memory. Gers et al. 2000,
        Learning to Forget.
    """
    x, lengths, resets = map(array, (x, lengths, resets))
    given = dict(
        lengths=lengths,
        resets=resets,
        reset_state=reset_state,
        time_major=time_major,
        regularizer=regularizer,
        key=key,
        truncate=truncate,
    )
    _checks.sequence("apply", params, x, state, implementation_=implementation, **given)
    given["reset_state"] = _mirrored(params, reset_state)
    chosen, _ = _choose(implementation, params, x, time_major)
    return _apply(params, x, state, implementation=chosen, **given)


@partial(jax.jit, static_argnames=("time_major",))
def _activations(params: Params, x: Any, state: Any, **call: Any) -> Any:
    def layer(driven: Driven, reverse: bool) -> tuple[jax.Array, Activations]:
        cell = cast(driven.cell, driven.x.dtype)

        def step(state: LSTMState, x: jax.Array) -> tuple[LSTMState, Activations]:
            state, _, inside = advance(cell, project(cell, x), state)
            return state, Activations(*inside[:5], h=state.h)

        body = guarded(step, driven.reset_state)
        xs = driven.x, driven.controls
        _, inside = Scan().iterate(body, driven.state, xs, reverse)
        return inside.h, inside

    _, out = _over_time(layer, params, x, _mirrored(params, state), **call)
    return jax.tree.map(lambda a: _given_order(a, call["time_major"]), out)


def activations(
    params: Params,
    x: Any,
    state: State = None,
    *,
    lengths: Any = None,
    resets: Any = None,
    reset_state: State = None,
    time_major: bool = False,
) -> Any:
    """The inside of every step: gates, candidate, cell state and output.

    Args:
        params: as for `apply`.
        x: as for `apply`.
        state: as for `apply`.
        lengths: as for `apply`.
        resets: as for `apply`.
        reset_state: as for `apply`.
        time_major: as for `apply`.

    Returns:
        A tree that mirrors params as the state does, with `Activations` for each
        layer: i, f, g, o, c (*B, T, H) and h (*B, T, H or P), zero in the padding.

    Raises:
        ValueError: as `apply`.
        TypeError: as `apply`.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
        >>> inside = lstm_jax.activations(params, jax.numpy.zeros((2, 7, 3)))
        >>> inside.f.shape
        (2, 7, 5)
        >>> bool(jax.numpy.allclose(inside.f, jax.nn.sigmoid(1.0)))  # the forget bias
        True
    """
    x, lengths, resets = map(array, (x, lengths, resets))
    given = dict(
        lengths=lengths, resets=resets, reset_state=reset_state, time_major=time_major
    )
    _checks.sequence("activations", params, x, state, **given)
    given["reset_state"] = _mirrored(params, reset_state)
    return _activations(params, x, state, **given)


def _step(params: Params, state: Any, x: jax.Array) -> tuple[Any, jax.Array]:
    match params:
        case LSTMParams():
            zx = project(params, x)
            h, c = state
            units = zx.shape[-1] // len(params.options.gates)
            batch = zx.shape[:-1]
            start = LSTMState(
                jnp.broadcast_to(h.astype(x.dtype), (*batch, params.w_h.shape[0])),
                jnp.broadcast_to(c.astype(zx.dtype), (*batch, units)),
            )
            new, _, _ = advance(params, zx, start)
            return new, new.h
        case Residual(inner):
            new, y = _step(inner, state, x)
            return new, x + y
        case Stack(members):
            states = []
            for layer, own in zip(members, state, strict=True):
                new, x = _step(layer, own, x)
                states.append(new)
            return tuple(states), x
    raise AssertionError("checked before")


def lstm_step(params: Params, state: State, x: Any) -> tuple[State, jax.Array]:
    """One step of a network: the body of a `jax.lax.scan`.

    The equations, for one layer::

        i, f, g, o = σ(z_i), σ(z_f), tanh(z_g), σ(z_o)   z = x·w_x + h·w_h + b
        c_t = f * c + i * g
        h_t = o * tanh(c_t)

    Args:
        params: `LSTMParams`, or a `Stack` or `Residual` of such.
        state: mirrors params: (h, c) with h (*B, H or P) and c (*B, H); broadcasts.
        x: (*B, I) floating.

    Returns:
        The state after the step, in the containers and dtypes given, and y (*B, H or
        P): the last layer's h.

    Raises:
        ValueError: shapes that disagree.
        TypeError: dtypes or kinds that disagree.
        NotImplementedError: params need the whole sequence (Reverse, Bidirectional).

    Example:
        >>> import functools, jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
        >>> xs = jax.random.normal(jax.random.key(1), (7, 2, 3))  # (T, B, I)
        >>> step = functools.partial(lstm_jax.lstm_step, params)
        >>> state, ys = jax.lax.scan(step, lstm_jax.zero_state(params, (2,)), xs)
        >>> ys.shape
        (7, 2, 5)

    References:
        As `apply`.
    """
    x = array(x)
    _checks.step("lstm_step", params, state, x)
    dtype = result_dtype(params, x)
    ready = _cast(params, dtype)
    new, y = _step(ready, _mirrored(params, state), jnp.asarray(x, dtype))
    return _as_given(new, state), y


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `apply` will do.

    Attributes:
        implementation: what runs the recurrence, with its knobs.
        reason: why that one.
        steps: T; an int, or symbolic.
        batch: *B.
        dtype: of y.
        platform: "cpu", "gpu" or "tpu": the default backend's.
    """

    implementation: Implementation
    reason: str
    steps: Any
    batch: tuple[Any, ...]
    dtype: Any
    platform: str

    def __str__(self) -> str:
        """The plan in two lines."""
        return (
            f"{self.implementation} on {self.platform}: {self.reason}\n"
            f"T={self.steps}, B={self.batch}, {self.dtype}"
        )


def _outer(x: Any, time_major: bool) -> tuple[Any, tuple[Any, ...]]:
    """T and *B."""
    *outer, _ = x.shape
    return (outer[0], tuple(outer[1:])) if time_major else (outer[-1], (*outer[:-1],))


def _choose(
    given: Implementation | None, params: Params, x: Any, time_major: bool
) -> tuple[Implementation, str]:
    """What is asked for; else what suits the sizes. Both keep the whole contract."""
    if given is not None:
        return given, "asked for"
    steps, batch = _outer(x, time_major)
    columns = max(layer.w_x.shape[1] for layer in layers(params))
    itemsize = wide(result_dtype(params, x)).itemsize
    return default(steps, math.prod(batch), columns, itemsize, jax.default_backend())


def explain(
    params: Params,
    x: Any,
    state: State = None,
    *,
    lengths: Any = None,
    resets: Any = None,
    reset_state: State = None,
    time_major: bool = False,
    regularizer: Regularizer | None = None,
    key: Any = None,
    truncate: int | None = None,
    implementation: Implementation | None = None,
) -> Plan:
    """Which implementation `apply` would use for these arguments, and why.

    Args:
        params: as for `apply`; ShapeDtypeStructs do.
        x: as for `apply`; a ShapeDtypeStruct does.
        state: as for `apply`.
        lengths: as for `apply`.
        resets: as for `apply`.
        reset_state: as for `apply`.
        time_major: as for `apply`.
        regularizer: as for `apply`.
        key: as for `apply`.
        truncate: as for `apply`.
        implementation: as for `apply`.

    Returns:
        A `Plan`; print it.

    Raises:
        ValueError: as `apply`.
        TypeError: as `apply`.
        NotImplementedError: as `apply`.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> plan = lstm_jax.explain(params, jax.ShapeDtypeStruct((2, 7, 3), "float32"))
        >>> plan.implementation
        Scan(unroll=1, window=None, checkpoint=None)
    """
    x, lengths, resets = map(array, (x, lengths, resets))
    _checks.sequence(
        "explain",
        params,
        x,
        state,
        lengths=lengths,
        resets=resets,
        reset_state=reset_state,
        time_major=time_major,
        regularizer=regularizer,
        key=key,
        truncate=truncate,
        implementation_=implementation,
    )
    chosen, reason = _choose(implementation, params, x, time_major)
    steps, batch = _outer(x, time_major)
    dtype = jax.eval_shape(lambda *a: jnp.zeros((), result_dtype(*a)), params, x).dtype
    return Plan(chosen, reason, steps, batch, dtype, jax.default_backend())
