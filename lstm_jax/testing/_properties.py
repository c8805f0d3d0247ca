# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The properties that a step of a recurrence must have, each a function of a trial."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax._compat import enable_x64

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class Trial:
    """A step with all that the properties try it on."""

    step: Step
    params: Any
    state: Any
    x: Any
    xs: Any  # (T, B, ...): x, then its rows turned round and scaled down
    key: Any
    rtol: float
    atol: float | None

    def close(self, got: Any, expected: Any) -> None:
        import chex

        # As large a difference as the largest value's rounding, however small that is.
        sizes = [
            np.max(np.abs(np.asarray(a, float)), initial=0.0)
            for a in jax.tree.leaves(expected)
            if is_floating(a)
        ]
        atol = self.rtol * max(sizes, default=0.0) if self.atol is None else self.atol
        chex.assert_trees_all_close(got, expected, rtol=self.rtol, atol=atol)

    @functools.cached_property
    def scan(self) -> Callable[..., tuple[Any, Any]]:
        """(params, state, xs) -> (state, ys), compiled."""

        def run(params: Any, state: Any, xs: Any) -> tuple[Any, Any]:
            return jax.lax.scan(lambda s, x: self.step(params, s, x), state, xs)

        return jax.jit(run)

    def loop(self, params: Any, state: Any, xs: Any) -> tuple[Any, Any]:
        ys = []
        for t in range(len(jax.tree.leaves(xs)[0])):
            state, y = self.step(params, state, _at(xs, t))
            ys.append(y)
        return state, jax.tree.map(lambda *a: jnp.stack(a), *ys)


def _floats(trial: Trial) -> list[Any]:
    leaves = jax.tree.leaves((trial.params, trial.state, trial.xs))
    return [a for a in leaves if is_floating(a)]


def _at(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda a: a[index], tree)


def is_floating(a: Any) -> bool:
    return bool(jnp.issubdtype(jnp.asarray(a).dtype, jnp.floating))


def _dice(key: Any) -> np.random.Generator:
    """NumPy's: JAX would compile a program for every shape that is drawn."""
    return np.random.default_rng(np.ravel(jax.random.key_data(key)))


def _nudged(key: Any, tree: Any, scale: float) -> Any:
    """The floating leaves of a tree, moved a little; what is not floating stays."""
    dice = _dice(key)

    def moved(a: Any) -> Any:
        if not is_floating(a):
            return a
        return a + jnp.asarray(scale * dice.standard_normal(a.shape), a.dtype)

    return jax.tree.map(moved, tree)


def make_sequence(key: Any, x: Any, steps: int) -> Any:
    """More inputs of x's own domain: its rows in other places, drawn towards zero."""
    dice = _dice(key)

    def leaf(a: jax.Array) -> jax.Array:
        turned = jnp.stack([jnp.roll(a, t, axis=0) for t in range(steps)])
        if not is_floating(a):
            return turned
        factors = dice.uniform(0.5, 1.0, turned.shape)
        factors[0] = 1.0
        return turned * jnp.asarray(factors, a.dtype)

    return jax.tree.map(leaf, x)


def _keeps_types(trial: Trial) -> None:
    import chex

    state, y = trial.step(trial.params, trial.state, trial.x)
    chex.assert_trees_all_equal_structs(state, trial.state)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, trial.state)
    rows = jax.tree.leaves(trial.state)[0].shape[0]
    for path, a in jax.tree_util.tree_leaves_with_path(y):
        if jnp.shape(a)[:1] != (rows,):
            name = f"y{jax.tree_util.keystr(path)}"
            raise AssertionError(
                f"{name} must have {rows} rows, as the state has; got shape "
                f"{jnp.shape(a)}"
            )


def _is_finite(trial: Trial) -> None:
    state, ys = trial.scan(trial.params, trial.state, trial.xs)
    for path, a in jax.tree_util.tree_leaves_with_path({"state": state, "ys": ys}):
        odd = (
            ~np.isfinite(np.asarray(a, float)) if is_floating(a) else np.zeros(1, bool)
        )
        if odd.any():
            where = tuple(int(k[0]) for k in np.nonzero(odd))
            raise AssertionError(
                f"{odd.sum()} of {odd.size} values of {jax.tree_util.keystr(path)} "
                f"are not finite; the first is {a[where]} at {where}"
            )


def _is_causal(trial: Trial) -> None:
    """Other inputs later leave what came before as it was."""
    half = len(jax.tree.leaves(trial.xs)[0]) // 2

    def later(a: jax.Array) -> jax.Array:
        turned = a[half:][::-1]
        return jnp.concatenate([a[:half], turned / 2 if is_floating(a) else turned])

    _, ys = trial.loop(trial.params, trial.state, trial.xs)
    _, again = trial.loop(trial.params, trial.state, jax.tree.map(later, trial.xs))
    trial.close(_at(again, slice(half)), _at(ys, slice(half)))


def _keeps_rows_apart(trial: Trial) -> None:
    """Another first, middle or last row leaves all other rows as they were."""
    moved = _nudged(trial.key, (trial.state, trial.xs), 0.5)
    count = jax.tree.leaves(trial.state)[0].shape[0]
    end, ys = trial.scan(trial.params, trial.state, trial.xs)
    for row in sorted({0, count // 2, count - 1}):

        def swap(where: Any, tree: Any, other: Any) -> Any:
            return jax.tree.map(lambda a, b: a.at[where].set(b[where]), tree, other)

        state = swap(row, trial.state, moved[0])
        xs = swap((slice(None), row), trial.xs, moved[1])
        rest = np.delete(np.arange(count), row)
        other, zs = trial.scan(trial.params, state, xs)
        trial.close(_at(other, rest), _at(end, rest))
        trial.close(_at(zs, (slice(None), rest)), _at(ys, (slice(None), rest)))


def _permutes_rows(trial: Trial) -> None:
    """Rows in another order give results in that order."""
    rows = jax.tree.leaves(trial.state)[0].shape[0]
    order = np.roll(np.arange(rows)[::-1], rows // 2)
    end, ys = trial.scan(trial.params, trial.state, trial.xs)
    turned = _at(trial.state, order), _at(trial.xs, (slice(None), order))
    other, zs = trial.scan(trial.params, *turned)
    trial.close((other, zs), (_at(end, order), _at(ys, (slice(None), order))))


def _scans(trial: Trial) -> None:
    at = trial.params, trial.state, trial.xs
    trial.close(trial.scan(*at), trial.loop(*at))


def _splits(trial: Trial) -> None:
    """The state carries all that the second part needs of the first."""
    half = len(jax.tree.leaves(trial.xs)[0]) // 2
    middle, first = trial.scan(trial.params, trial.state, _at(trial.xs, slice(half)))
    end, second = trial.scan(trial.params, middle, _at(trial.xs, slice(half, None)))
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)
    whole = trial.scan(trial.params, trial.state, trial.xs)
    trial.close((end, joined), whole)


def _widened(trial: Trial) -> Trial:
    """The trial in float64, if the step lets it be so; else as it is."""
    if all(a.dtype == jnp.float64 for a in _floats(trial)):
        return trial

    def wide(tree: Any) -> Any:
        return jax.tree.map(
            lambda a: jnp.asarray(np.asarray(a), jnp.float64) if is_floating(a) else a,
            tree,
        )

    params, state, x, xs = map(wide, (trial.params, trial.state, trial.x, trial.xs))
    try:
        after, _ = jax.eval_shape(trial.step, params, state, x)
    except TypeError:  # strict promotion meets a constant of the step's own
        return trial
    kept = all(
        a.dtype == b.dtype
        for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True)
    )
    if not kept:
        return trial
    return dataclasses.replace(trial, params=params, state=state, x=x, xs=xs)


def _slopes(trial: Trial, derivative: Callable[..., Any]) -> None:
    """A derivative along random directions against central differences."""
    with enable_x64(True):
        wide = _widened(trial)
        flat, shape = jax.tree.flatten((wide.params, wide.state, wide.xs))
        live = [k for k, a in enumerate(flat) if is_floating(a)]
        exact = all(flat[k].dtype == jnp.float64 for k in live)
        moves, bound = ((1e-5, 1e-7), 1e-5) if exact else ((1e-2, 1e-3), 5e-2)
        rounding = min(float(jnp.finfo(flat[k].dtype).eps) for k in live)
        keys = jax.random.split(wide.key, 2)

        out = jax.tree.leaves(wide.scan(*jax.tree.unflatten(shape, flat)))
        out = [a for a in out if is_floating(a)]
        weights = _nudged(keys[0], [jnp.zeros_like(a) for a in out], 1.0)

        def total(values: list[Any]) -> jax.Array:
            full = list(flat)
            for k, value in zip(live, values, strict=True):
                full[k] = value
            out = wide.scan(*jax.tree.unflatten(shape, full))
            leaves = [a for a in jax.tree.leaves(out) if is_floating(a)]
            terms = [jnp.sum(a * w) for a, w in zip(leaves, weights, strict=True)]
            return sum(terms[1:], start=terms[0])

        at = [flat[k] for k in live]
        total = jax.jit(total)
        scale = sum(float(jnp.sum(jnp.abs(a))) for a in out)
        noise = 8 * rounding * scale / moves[0]  # of a difference of two rounded sums
        # One direction for each of parameters, state and inputs, and all together.
        sizes = [len(jax.tree.leaves(t)) for t in (wide.params, wide.state, wide.xs)]
        group = np.repeat(np.arange(3), sizes)[live]
        for chosen, name in enumerate(("params", "state", "xs", "all together")):
            along = [
                a if chosen in (g, 3) else jnp.zeros_like(a)
                for a, g in zip(
                    _nudged(keys[1], [jnp.zeros_like(a) for a in at], 1.0),
                    group,
                    strict=True,
                )
            ]
            got = float(derivative(total, at, along))
            # Two sizes of a move: one may be too large for the curvature.
            differences = [
                sum(
                    sign * float(total(_moved(at, along, sign * m))) for sign in (1, -1)
                )
                / (2 * m)
                for m in moves
            ]
            expected = min(differences, key=lambda d: abs(d - got))
            allowed = bound * max(abs(expected), abs(got)) + noise
            if not abs(got - expected) <= allowed:
                raise AssertionError(
                    f"along a random direction of {name} the derivative is {got:.9g}, "
                    f"the central difference {expected:.9g}; they may differ by "
                    f"{allowed:.2g}"
                )


def _moved(at: list[Any], along: list[Any], distance: float) -> list[Any]:
    return [a + distance * d for a, d in zip(at, along, strict=True)]


def _reverse(f: Callable[..., Any], at: list[Any], along: list[Any]) -> Any:
    gradient = jax.grad(f)(at)
    pairs = zip(gradient, along, strict=True)
    return sum(np.vdot(np.asarray(g), np.asarray(d)) for g, d in pairs)


def _forward(f: Callable[..., Any], at: list[Any], along: list[Any]) -> Any:
    return jax.jvp(f, (at,), (along,))[1]


def _jits(trial: Trial) -> None:
    at = trial.params, trial.state, trial.x
    trial.close(jax.jit(trial.step)(*at), trial.step(*at))


def _traces_once(trial: Trial) -> None:
    """A jitted step is traced once, also when it is fed the state that it gave."""
    traces = 0

    def counted(*a: Any) -> tuple[Any, Any]:
        nonlocal traces
        traces += 1
        return trial.step(*a)

    step, state = jax.jit(counted), trial.state
    for t in range(3):
        state, _ = step(trial.params, state, _at(trial.xs, t % 2))
    if traces != 1:
        raise AssertionError(f"three calls of one shape were traced {traces} times")


def _maps_over_params(trial: Trial) -> None:
    """Three sets of parameters under vmap give what they give one by one."""
    keys = jax.random.split(trial.key, 3)
    several = [_nudged(k, trial.params, 0.1) for k in keys]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *several)
    mapped = jax.jit(jax.vmap(trial.step, (0, None, None)))
    got = mapped(stacked, trial.state, trial.x)
    step = jax.jit(trial.step)
    each = [step(params, trial.state, trial.x) for params in several]
    trial.close(got, jax.tree.map(lambda *a: jnp.stack(a), *each))


PROPERTIES: dict[str, Callable[[Trial], None]] = {
    "shapes and dtypes are kept": _keeps_types,
    "outputs are finite": _is_finite,
    "causal": _is_causal,
    "batch rows are independent": _keeps_rows_apart,
    "batch rows are permutable": _permutes_rows,
    "scan is the loop": _scans,
    "a sequence in two parts is the whole": _splits,
    "gradients are finite differences": lambda trial: _slopes(trial, _reverse),
    "forward mode is finite differences": lambda trial: _slopes(trial, _forward),
    "jit is no jit": _jits,
    "one trace": _traces_once,
    "vmap over parameters": _maps_over_params,
}

# Relative and absolute difference that is taken for rounding, by bytes of the dtype.
ROUNDING = {1: 0.3, 2: 3e-2, 4: 2e-5, 8: 1e-10}
