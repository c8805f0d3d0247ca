# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""mask: a row is its unmasked steps run alone; a reset acts at masked steps too."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import Cudnn, Loop, Reverse, Scan, Stack
from lstm_jax.testing import reference
from tests import cases
from tests.cases import weighted
from tests.compare import FLOAT64, assert_close, assert_same
from tests.plain import plain

STEPS = 8
# Gaps, left padding, right padding, all, none.
MASK = np.array(
    [
        [1, 0, 0, 1, 1, 0, 1, 0],
        [0, 0, 1, 1, 0, 1, 1, 1],
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1] * STEPS,
        [0] * STEPS,
    ],
    bool,
)


def call(structure: str, option: str = "peephole") -> tuple[Any, Any, Any, Any]:
    """Parameters, x, a state and a reset state; nothing constant, no zero bias."""
    options = {**cases.OPTIONS[option], "dtype": jnp.float64}
    make = cases.STRUCTURES[structure]
    params = cases.jitter(1, make(0, cases.INPUTS, options))
    x = jax.random.normal(jax.random.key(2), (len(MASK), STEPS, cases.INPUTS))
    state = cases.jitter(3, lstm_jax.zero_state(params, (len(MASK),)))
    return params, x, state, cases.jitter(4, lstm_jax.zero_state(params))


def some_resets() -> np.ndarray:
    """At masked and unmasked steps, at the first and in a trailing gap."""
    resets = np.random.default_rng(5).random(MASK.shape) < 0.3
    resets[0, [0, 2, 7]] = resets[4, 3] = True
    assert (resets & MASK).any() and (resets & ~MASK).any()
    return resets


@pytest.mark.parametrize("with_resets", [False, True])
@pytest.mark.parametrize("structure", cases.STRUCTURES)
def test_against_the_reference(structure: str, with_resets: bool) -> None:
    params, x, state, fresh = call(structure)
    given: dict[str, Any] = {"mask": MASK}
    if with_resets:
        given |= {"resets": some_resets(), "reset_state": fresh}
    poisoned = np.where(MASK[..., None], x, np.nan)
    got = lstm_jax.apply(params, poisoned, state, **given)
    assert_close(got, reference(params, poisoned, state, **given), FLOAT64)


KEPT = MASK.sum(1)
# The unmasked steps of each row in front, in their order, and where each went.
ORDER = np.argsort(~MASK, axis=1, kind="stable")
PLACE = np.argsort(ORDER, axis=1)


def alone(params: Any, x: Any, state: Any, **given: Any) -> Any:
    """By the plain scan each row's unmasked steps alone, outputs where they were."""
    x = jnp.take_along_axis(x, ORDER[..., None], 1)
    y, end = plain(params, x, state, lengths=jnp.asarray(KEPT), **given)
    return jnp.take_along_axis(y, PLACE[..., None], 1), end


def alone_with_resets(params: Any, x: Any, state: Any, fresh: Any, back: bool) -> Any:
    """Likewise: a reset in a gap comes before the next step of those that are left."""
    resets, moved = some_resets(), np.zeros(MASK.shape, bool)
    first, last = np.zeros(len(MASK), bool), np.zeros(len(MASK), bool)
    for row, count in enumerate(KEPT):
        kept = ORDER[row, :count]
        bounds = [0, *(kept + 1)]
        for n, (a, b) in enumerate(zip(bounds, kept, strict=False)):
            moved[row, n] = resets[row, a : b + 1].any()
        first[row] = resets[row, 1 : kept[0] + 1].any() if count else False
        last[row] = resets[row, bounds[-1] :].any()

    def where(rows: Any, state: Any) -> Any:
        return jax.tree.map(lambda a, r: jnp.where(rows[:, None], r, a), state, fresh)

    start = where(last, state) if back else state
    y, end = alone(params, x, start, resets=jnp.asarray(moved), reset_state=fresh)
    return y, where(first if back else last, end)


def with_gradients(run: Any, *args: Any) -> Any:
    """Gradients of all arguments, and what run gives, by one program."""

    def loss(*args: Any) -> Any:
        out = run(*args)
        return weighted(out), out

    return jax.jit(jax.grad(loss, range(len(args)), has_aux=True))(*args)


@pytest.mark.parametrize("structure", ["cell", "reverse"])
@pytest.mark.parametrize("option", ["plain", "everything"])
def test_resets_in_gaps_have_their_gradients(structure: str, option: str) -> None:
    """Of parameters, x, the state and the reset state, against the rows alone."""
    params, x, state, fresh = call(structure, option)
    given = {"mask": MASK, "resets": some_resets()}

    def masked(params: Any, x: Any, state: Any, fresh: Any) -> Any:
        return lstm_jax.apply(params, x, state, reset_state=fresh, **given)

    poisoned = np.where(MASK[..., None], x, np.nan)
    got = with_gradients(masked, params, poisoned, state, fresh)
    expected = partial(alone_with_resets, back=structure == "reverse")
    assert_close(got, with_gradients(expected, params, x, state, fresh), FLOAT64)


@pytest.mark.parametrize(
    "structure, option, way",
    [
        ("concat", "plain", Scan()),
        ("nested", "split_norm", Scan(checkpoint=3, window=2)),
        ("cell", "everything", Loop()),
        ("residual", "gate_norm", Scan(unroll=3)),
    ],
)
def test_each_row_is_its_unmasked_steps_alone(
    structure: str, option: str, way: Any
) -> None:
    """Values, and the gradients of parameters, x and state, with NaN in the gaps."""
    params, x, state, _ = call(structure, option)
    masked = partial(lstm_jax.apply, mask=MASK, implementation=way)
    poisoned = np.where(MASK[..., None], x, np.nan)
    got = with_gradients(masked, params, poisoned, state)
    assert_close(got, with_gradients(alone, params, x, state), FLOAT64)


@pytest.mark.parametrize("structure", ["stack", "nested"])
def test_a_prefix_is_what_lengths_is(structure: str) -> None:
    """To the bit: values and gradients, with truncation and resets before the end."""
    params, x, state, fresh = call(structure)
    lengths = np.array([8, 5, 4, 1, 0])
    mask = np.arange(STEPS) < lengths[:, None]
    given = {"resets": some_resets() & mask, "reset_state": fresh, "truncate": 2}

    @jax.jit
    @partial(jax.grad, argnums=(0, 1, 2), has_aux=True)
    def run(params: Any, x: Any, state: Any, fresh: Any, **steps: Any) -> Any:
        others = given | {"reset_state": fresh}
        out = lstm_jax.apply(params, x, state, **steps, **others)
        return weighted(out), out

    one = run(params, x, state, fresh, lengths=lengths)
    assert_same(run(params, x, state, fresh, mask=mask), one)


def test_truncation_counts_the_original_steps() -> None:
    """A cut in a gap is met on leaving it; where nothing follows, it is not met."""
    cell = cases.jitter(1, lstm_jax.init_cell(jax.random.key(0), 3, 5))
    x = jax.random.normal(jax.random.key(2), (6, 3))
    mask = np.array([1, 1, 0, 0, 1, 0], bool)

    def end(x: Any, truncate: Any, keep: int) -> Any:
        own = mask & (np.arange(6) < keep)
        return weighted(lstm_jax.apply(cell, x, mask=own, truncate=truncate)[1])

    for truncate, keep, reached in (
        (None, 6, [1, 1, 0, 0, 1, 0]),
        (3, 6, [0, 0, 0, 0, 1, 0]),
        (3, 4, [1, 1, 0, 0, 0, 0]),
    ):
        slope = jax.grad(end)(x, truncate, keep)
        assert np.any(slope, axis=-1).tolist() == [bool(k) for k in reached]


@pytest.mark.parametrize("cut", [1, 2, 3, 6, 7])
def test_a_stream_in_chunks_is_the_whole(cut: int) -> None:
    """With a reset at the masked end of a chunk."""
    params, x, state, fresh = call("stack")
    resets = some_resets()
    resets[0, cut] = resets[0, cut - 1] = True

    def run(state: Any, own: slice) -> Any:
        return lstm_jax.apply(
            params,
            x[:, own],
            state,
            mask=MASK[:, own],
            resets=resets[:, own],
            reset_state=fresh,
        )

    whole, end = run(state, slice(None))
    first, middle = run(state, slice(cut))
    second, last = run(middle, slice(cut, None))
    assert_close((jnp.concatenate([first, second], 1), last), (whole, end), FLOAT64)


def test_rows_without_a_step() -> None:
    params, x, state, fresh = call("stack")
    nothing = np.zeros(MASK.shape, bool)
    y, end = lstm_jax.apply(params, x, state, mask=nothing)
    assert not np.asarray(y).any()
    assert_same(end, state)
    last = nothing.copy()
    last[1, -1] = True
    _, end = lstm_jax.apply(
        params, x, state, mask=nothing, resets=last, reset_state=fresh
    )
    assert_same(jax.tree.map(lambda a: a[1], end), fresh)
    assert_same(jax.tree.map(lambda a: a[2], end), jax.tree.map(lambda a: a[2], state))


@pytest.mark.parametrize("reverse", [False, True])
def test_unroll_and_activations_and_time_axes(reverse: bool) -> None:
    params, x, state, fresh = call("cell")
    resets = some_resets()
    given = {"mask": MASK, "resets": resets, "reset_state": fresh}
    network = Reverse(params) if reverse else params
    expected = lstm_jax.apply(network, x, state, **given)
    unroll = partial(lstm_jax.unroll, lstm_jax.lstm_step, params, reverse=reverse)
    end, ys = unroll(state, x, time_major=False, **given)
    assert_close((ys, end), expected, FLOAT64)
    turned = given | {"mask": MASK.T, "resets": resets.T}
    end, ys = unroll(state, jnp.swapaxes(x, 0, 1), **turned)
    assert_close((jnp.swapaxes(ys, 0, 1), end), expected, FLOAT64)
    y, end = lstm_jax.apply(
        network, jnp.swapaxes(x, 0, 1), state, time_major=True, **turned
    )
    assert_close((jnp.swapaxes(y, 0, 1), end), expected, FLOAT64)
    trace = lstm_jax.activations(network, x, state, **given)
    assert_close(trace.h, expected[0], FLOAT64)
    assert not np.asarray(trace.f)[~MASK].any() and np.asarray(trace.f)[MASK].all()


def test_what_is_refused() -> None:
    params, x, _, _ = call("cell")
    lengths = np.full(len(MASK), 3)
    with pytest.raises(ValueError, match="lengths and mask say the same thing"):
        lstm_jax.apply(params, x, mask=MASK, lengths=lengths)
    with pytest.raises(TypeError, match="mask must have dtype bool; got int64"):
        lstm_jax.apply(params, x, mask=MASK.astype(int))
    with pytest.raises(ValueError, match=r"mask must have shape \(5, 8\)"):
        lstm_jax.apply(params, x, mask=MASK.T)
    with pytest.raises(NotImplementedError, match="it has no mask; lengths it has"):
        lstm_jax.apply(Stack((params,)), x, mask=MASK, implementation=Cudnn())
