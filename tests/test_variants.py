# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The cells of the literature against their papers' equations and other libraries."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import lstm_jax
from lstm_jax import variants
from lstm_jax.testing import check_step
from lstm_jax.testing._check_step import PROPERTIES
from tests import cases
from tests.compare import FLOAT64, assert_close

T, B, I, H = 5, 3, 3, 4  # noqa: E741
KEY = jax.random.key(0)
LENGTHS = np.array([T, 0, 3])
OWN: dict[str, dict[str, Any]] = {
    "FGR": {},
    "LSTM1997": {"blocks": 2, "truncated": False},
    "GRU": {},
    "GRU reset_after": {"reset_after": True},
    "RNN": {},
}
LSTMS = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG")
ALL: dict[str, dict[str, Any]] = {**{name: {} for name in LSTMS}, **OWN}


def drawn(case: str, **options: Any) -> Any:
    """Parameters of which no two entries, biases and peepholes included, are alike."""
    name = case.split()[0]
    made = variants.init(name, KEY, I, H, **{**ALL.get(case, {}), **options})
    return cases.jitter(1, made)


def start(params: Any, seed: int) -> Any:
    return cases.jitter(seed, variants.zero_state(params, (B,)))


def s(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def greff(name: str, params: Any, state: Any, x: Any) -> Any:
    """Greff et al. 2017, sections II and III, by name; y, c, and i, f, o for FGR."""
    y, c, *last = state
    cell = params.cell if name == "FGR" else params
    absent = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}.get(name, "")
    columns = [k for k in "ifgo" if k not in absent]

    def each(a: Any) -> dict[str, Any]:
        return dict(zip(columns, np.split(a, len(columns), -1), strict=True))

    w, r, b = each(cell.w_x), each(cell.w_h), each(cell.b)
    if name != "NP":
        p = dict(zip([k for k in columns if k != "g"], cell.peephole, strict=True))

    def net(k: str, watched: Any) -> Any:
        z = x @ w[k] + y @ r[k] + b[k]
        if k != "g" and name != "NP":
            z = z + p[k] * watched
        if k != "g" and name == "FGR":
            to = "ifo".index(k)
            for source, gate in enumerate(last):
                block = params.w_gates[source * H : (source + 1) * H]
                z = z + gate @ block[:, to * H : (to + 1) * H]
        return z

    i = 1.0 if name == "NIG" else s(net("i", c))
    f = 1.0 if name == "NFG" else 1 - i if name == "CIFG" else s(net("f", c))
    g = net("g", None) if name == "NIAF" else np.tanh(net("g", None))
    c = i * g + f * c
    o = 1.0 if name == "NOG" else s(net("o", c))
    y = o * (c if name == "NOAF" else np.tanh(c))
    return (y, c, i, f, o)[: len(state)], y


def hochreiter(name: str, params: Any, state: Any, x: Any) -> Any:
    """Hochreiter, Schmidhuber 1997, section 4, unit by unit."""
    wide = np.result_type(x, *state, *jax.tree.leaves(params))
    y, c, *gates = (np.array(a, wide) for a in state)
    net = x @ params.w_x + np.concatenate([y, *gates]) @ params.w_h
    blocks, size = 2, H // 2
    y_in, y_out = gates
    for j in range(blocks):
        y_in[j] = s(net[j] + params.b[j])
        y_out[j] = s(net[blocks + H + j] + params.b[blocks + j])
        for v in range(j * size, (j + 1) * size):
            c[v] = c[v] + y_in[j] * (4 * s(net[blocks + v] + params.b_g[v]) - 2)
            y[v] = y_out[j] * (2 * s(c[v]) - 1)
    return (y, c, y_in, y_out), y


def cho(name: str, params: Any, state: Any, x: Any) -> Any:
    """Cho et al. 2014, equations 5 to 8; or cuDNN's CUDNN_GRU."""
    (h,) = state
    w, u = np.split(params.w_x, 3, -1), np.split(params.w_h, 3, -1)
    b = np.split(params.b, 3)
    r = s(x @ w[0] + h @ u[0] + b[0])
    z = s(x @ w[1] + h @ u[1] + b[1])
    after = name.endswith("reset_after")
    reset = r * (h @ u[2] + params.b_hn) if after else (r * h) @ u[2]
    h = z * h + (1 - z) * np.tanh(x @ w[2] + reset + b[2])
    return (h,), h


def elman(name: str, params: Any, state: Any, x: Any) -> Any:
    (h,) = state
    h = np.tanh(params.w_x.T @ x + params.w_h.T @ h + params.b)
    return (h,), h


PAPERS = {"LSTM1997": hochreiter, "GRU": cho, "RNN": elman}


def by_paper(case: str, params: Any, begin: Any, fresh: Any, xs: Any) -> Any:
    """Each row alone, cut to its length, a reset being another beginning."""
    step: Callable[..., Any] = PAPERS.get(case.split()[0], greff)
    dtype = np.result_type(*jax.tree.leaves((params, begin, fresh, xs)))
    leaves = [np.array(a, dtype) for a in jax.tree.leaves(begin)]
    ys = np.zeros((T, B, H), dtype)
    for row in range(B):
        state = tuple(a[row] for a in leaves)
        for t in range(LENGTHS[row]):
            if RESETS[t, row]:
                state = tuple(a[row] for a in jax.tree.leaves(fresh))
            state, ys[t, row] = step(case, params, state, xs[t, row])
        for whole, part in zip(leaves, state, strict=True):
            whole[row] = part
    return leaves, ys


RESETS = np.zeros((T, B), bool)
RESETS[2, 0] = RESETS[4, 2] = True  # the second lies in the padding


def total(state: Any, ys: Any) -> Any:
    """A scalar that every entry enters with a weight of its own."""
    rng = np.random.default_rng(7)
    leaves = [*jax.tree.leaves(state), ys]
    return sum((a * rng.standard_normal(a.shape)).sum() for a in leaves)


@pytest.mark.parametrize("case", ALL)
def test_as_published(case: str) -> None:
    """Values and gradients; the oracle's derivative is exact by a complex step."""
    params = drawn(case)
    xs = jax.random.normal(jax.random.key(2), (T, B, I))
    at = params, start(params, 3), start(params, 4), xs

    def run(params: Any, begin: Any, fresh: Any, xs: Any) -> Any:
        options = {"lengths": LENGTHS, "resets": RESETS, "reset_state": fresh}
        out = lstm_jax.unroll(variants.step, params, begin, xs, **options)
        return total(*out), out

    gradient, (state, ys) = jax.jit(jax.grad(run, (0, 1, 2, 3), has_aux=True))(*at)
    at = jax.tree.map(np.asarray, at)
    assert_close((jax.tree.leaves(state), ys), by_paper(case, *at), FLOAT64)
    rng = np.random.default_rng(5)
    leaves, shape = jax.tree.flatten(at)
    for k, slope in enumerate(jax.tree.leaves(gradient)):
        along = rng.standard_normal(slope.shape)
        moved = [*leaves[:k], leaves[k] + 1e-30j * along, *leaves[k + 1 :]]
        expected = (
            total(*by_paper(case, *jax.tree.unflatten(shape, moved))).imag / 1e-30
        )
        assert abs(expected) > 1e-4, f"leaf {k} has no slope to compare"
        assert_close(np.vdot(slope, along), expected, 1e-9, f"leaf {k} ")


@pytest.mark.no_cover
@pytest.mark.parametrize("group", [LSTMS, tuple(OWN)], ids=["LSTMParams", "own"])
def test_every_step_passes(group: tuple[str, ...]) -> None:
    """Side by side in one step, which is compiled at once."""
    params = {case: drawn(case) for case in group}
    states = {case: start(params[case], 3) for case in group}

    def side_by_side(params: Any, states: Any, x: Any) -> Any:
        pairs = {k: variants.step(params[k], states[k], x) for k in group}
        return {k: v[0] for k, v in pairs.items()}, {k: v[1] for k, v in pairs.items()}

    x = jax.random.normal(jax.random.key(2), (B, I))
    checked = check_step(side_by_side, params, states, x, steps=3)
    assert checked == tuple(PROPERTIES)
