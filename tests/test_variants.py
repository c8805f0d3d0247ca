# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The cells of the literature against their papers' equations and other libraries."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import chex
import flax.linen
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import CellOptions, LSTMParams, variants
from lstm_jax.testing import check_step
from lstm_jax.testing._check_step import PROPERTIES
from tests.compare import FLOAT64, assert_close, assert_same

T, B, I, H = 5, 3, 3, 4  # noqa: E741
KEY = jax.random.key(0)
LENGTHS = np.array([T, 0, 3])
RESETS = np.zeros((T, B), bool)
RESETS[2, 0] = RESETS[4, 2] = True  # the second lies in the padding
OWN: dict[str, dict[str, Any]] = {
    "FGR": {},
    "LSTM1997": {"blocks": 2, "truncated": False},
    "GRU": {},
    "GRU reset_after": {"reset_after": True},
    "RNN": {},
}
LSTMS = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG")
ALL: dict[str, dict[str, Any]] = {**{name: {} for name in LSTMS}, **OWN}


def random(seed: int, make: Callable[..., Any], *args: Any) -> Any:
    """What `make` gives, filled anew: no two entries, biases included, are alike."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda a: 0.5 * rng.standard_normal(a.shape), jax.eval_shape(make, *args)
    )


def drawn(case: str, **options: Any) -> Any:
    options = {**ALL.get(case, {}), **options}
    make: Any = partial(variants.init, case.split()[0], **options)
    return random(1, lambda key: make(key, I, H), KEY)


def start(params: Any, seed: int) -> Any:
    return random(seed, lambda params: variants.zero_state(params, (B,)), params)


def s(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def greff(name: str, params: Any, state: Any, x: Any) -> Any:
    """Greff et al. 2017, by name; the state is y, c, and of FGR i, f, o too."""
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
    """Hochreiter, Schmidhuber 1997, unit by unit."""
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
    """Cho et al. 2014; with reset_after, cuDNN's CUDNN_GRU."""
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


def by_paper(
    case: str, params: Any, begin: Any, fresh: Any, xs: Any, lengths: Any = LENGTHS
) -> Any:
    """Each row alone, cut to its length, a reset being another beginning."""
    step: Callable[..., Any] = PAPERS.get(case.split()[0], greff)
    dtype = np.result_type(*jax.tree.leaves((params, begin, fresh, xs)))
    leaves = [np.array(a, dtype) for a in jax.tree.leaves(begin)]
    ys = np.zeros((T, B, H), dtype)
    for row in range(B):
        state = tuple(a[row] for a in leaves)
        for t in range(lengths[row]):
            if fresh is not None and RESETS[t, row]:
                state = tuple(a[row] for a in jax.tree.leaves(fresh))
            state, ys[t, row] = step(case, params, state, xs[t, row])
        for whole, part in zip(leaves, state, strict=True):
            whole[row] = part
    return leaves, ys


def total(state: Any, ys: Any) -> Any:
    """A scalar that every entry enters with a weight of its own."""
    rng = np.random.default_rng(7)
    leaves = [*jax.tree.leaves(state), ys]
    return sum((a * rng.standard_normal(a.shape)).sum() for a in leaves)


@pytest.mark.parametrize("name", LSTMS)
def test_lstms_as_published(name: str) -> None:
    """Parameters of the library's own layer, whose gradients its own tests show."""
    params = drawn(name)
    assert isinstance(params, LSTMParams)
    state = begin = start(params, 3)
    xs = np.random.default_rng(2).standard_normal((T, B, I))
    ys = []
    for x in xs:
        state, y = variants.step(params, state, x)
        ys.append(y)
    expected = by_paper(name, params, begin, None, xs, [T] * B)
    assert_close((list(state), np.stack(ys)), expected, FLOAT64)


@pytest.mark.parametrize("case", OWN)
def test_others_as_published(case: str) -> None:
    """Values and gradients; the oracle's derivative is exact by a complex step."""
    params = drawn(case)
    xs = np.random.default_rng(2).standard_normal((T, B, I))
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


@pytest.mark.parametrize("group", [LSTMS, tuple(OWN)], ids=["LSTMParams", "own"])
def test_every_step_passes(group: tuple[str, ...]) -> None:
    """Side by side in one step, which is compiled at once."""
    params = {case: drawn(case) for case in group}
    states = {case: start(params[case], 3) for case in group}

    def side_by_side(params: Any, states: Any, x: Any) -> Any:
        pairs = {k: variants.step(params[k], states[k], x) for k in group}
        return {k: v[0] for k, v in pairs.items()}, {k: v[1] for k, v in pairs.items()}

    x = np.random.default_rng(2).standard_normal((B, I))
    checked = check_step(side_by_side, params, states, x, steps=4)
    assert checked == tuple(PROPERTIES)


def by_rule_of_1997(params: Any, xs: Any, weight: Any) -> Any:
    """The learning rule of 1997 for one row and E = Σ_t weight_t · y_t.

    The derivatives of s_c are carried forward in time, as the paper's appendix has it.
    Each unit's weights are a row over the input, the sources, and 1 for the bias.
    """
    blocks, size = 2, H // 2
    units = 2 * blocks + H
    y, s_c, y_in, y_out = np.zeros(H), np.zeros(H), np.zeros(blocks), np.zeros(blocks)
    gradient = np.zeros((units, I + units + 1))
    by_in, by_c = np.zeros((2, H, I + units + 1))  # ∂s_c/∂w of the two that feed it
    bias = np.concatenate([params.b[:blocks], params.b_g, params.b[blocks:]])
    weights = np.concatenate([params.w_x, params.w_h, bias[None]]).T
    for x, e in zip(xs, weight, strict=True):
        source = np.concatenate([x, y, y_in, y_out, [1.0]])
        net = weights @ source
        for v in range(H):
            j = v // size
            cell, out = blocks + v, blocks + H + j
            g, i, o = 4 * s(net[cell]) - 2, s(net[j]), s(net[out])
            by_in[v] += g * i * (1 - i) * source
            by_c[v] += i * 4 * s(net[cell]) * (1 - s(net[cell])) * source
            s_c[v] += i * g
            shown = 2 * s(s_c[v]) - 1
            e_s = e[v] * o * 2 * s(s_c[v]) * (1 - s(s_c[v]))
            gradient[out] += e[v] * shown * o * (1 - o) * source
            gradient[j] += e_s * by_in[v]
            gradient[cell] += e_s * by_c[v]
            y[v] = o * shown
        y_in, y_out = s(net[:blocks]), s(net[blocks + H :])
    return gradient.T


def test_the_truncated_gradient_of_1997() -> None:
    params = drawn("LSTM1997", truncated=True)
    xs, weight = np.random.default_rng(2).standard_normal((2, T, H))
    xs = xs[:, :I]

    def loss(params: Any, c: Any) -> Any:
        zero = variants.zero_state(params)
        state, ys = lstm_jax.unroll(variants.step, params, zero._replace(c=c), xs)
        return (ys * weight).sum(), (state.c, ys)

    gradient = jax.jit(jax.grad(loss, has_aux=True))
    got, values = gradient(params, np.zeros(H))
    expected = by_rule_of_1997(params, xs, weight)
    rows, bias = expected[:-1], expected[-1]
    assert_close((got.w_x, got.w_h), (rows[:I], rows[I:]), FLOAT64)
    assert_close((got.b, got.b_g), (bias[[0, 1, -2, -1]], bias[2:-2]), FLOAT64)
    whole, same = gradient(params.replace(truncated=False), np.zeros(H))
    assert_close(values, same, FLOAT64)
    assert abs(whole.w_x - got.w_x).max() > 1e-3
    # The constant error carousel: what enters a cell's state leaves it unchanged.
    carousel = jax.jit(jax.jacobian(lambda c: loss(params, c)[1][0]))(np.zeros(H))
    assert_close(carousel, np.eye(H), FLOAT64)


@pytest.mark.parametrize(
    "blocks, cells, inputs, outputs, cell_bias, count",
    [
        pytest.param(2, 2, 2, 1, True, 93, id="adding"),
        pytest.param(3, 2, 7, 7, False, 276, id="reber"),
        pytest.param(4, 1, 7, 7, False, 264, id="reber, single cells"),
        pytest.param(2, 2, 8, 4, True, 156, id="temporal order"),
    ],
)
def test_the_published_numbers_of_weights(
    blocks: int, cells: int, inputs: int, outputs: int, cell_bias: bool, count: int
) -> None:
    """Output units see the cells; they have a bias where the cells have one."""
    options = {"blocks": blocks, "cell_bias": cell_bias}
    make: Any = partial(variants.init, "LSTM1997", **options)
    params = jax.eval_shape(lambda key: make(key, inputs, blocks * cells), KEY)
    inside = sum(a.size for a in jax.tree.leaves(params))
    assert inside + outputs * (blocks * cells + cell_bias) == count


@pytest.mark.parametrize("case", ["GRU reset_after", "RNN", "RNN relu"])
def test_as_torch(torch: Any, case: str) -> None:
    """Outputs and every gradient."""
    relu = {"activation": "relu"} if case == "RNN relu" else {}
    params = drawn(case, **relu)
    xs = np.random.default_rng(2).standard_normal((T, B, I))
    weight = np.random.default_rng(3).standard_normal((T, B, H))
    begin = start(params, 4)
    options = {"nonlinearity": "relu" if relu else "tanh"} if case[0] == "R" else {}
    theirs = getattr(torch.nn, case[:3])(I, H, **options).double()
    w_x, w_h, b_ih, b_hh = theirs.parameters()
    values = [params.w_x.T, params.w_h.T, params.b, np.zeros_like(params.b)]
    if case == "GRU reset_after":
        values[3][2 * H :] = params.b_hn
    with torch.no_grad():
        for leaf, value in zip((w_x, w_h, b_ih, b_hh), values, strict=True):
            leaf.copy_(torch.tensor(value))
    x = torch.tensor(xs, requires_grad=True)
    h = torch.tensor(begin[None], requires_grad=True)
    expected, _ = theirs(x, h)
    (expected * torch.tensor(weight)).sum().backward()

    def loss(params: Any, h: Any, xs: Any) -> Any:
        _, ys = lstm_jax.unroll(variants.step, params, h, xs)
        return (ys * weight).sum(), ys

    gradient = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))
    (d, dh, dx), ys = gradient(params, begin, xs)
    assert_close(ys, expected.detach().numpy(), FLOAT64)
    got = [d.w_x.T, d.w_h.T, d.b, dh[None], dx]
    leaves: Any = (w_x, w_h, b_ih, h, x)
    grads = [a.grad.numpy() for a in leaves]
    assert_close(got, grads, FLOAT64)
    if case == "GRU reset_after":
        assert_close(d.b_hn, b_hh.grad.numpy()[2 * H :], FLOAT64)


@pytest.mark.parametrize("case", ["GRU reset_after", "RNN"])
def test_as_flax(case: str) -> None:
    params, x = drawn(case), np.random.default_rng(2).standard_normal((B, I))
    h = start(params, 4)
    weights: dict[str, Any] = {}
    if case == "RNN":
        cell: Any = flax.linen.SimpleCell(H, param_dtype=float)
        weights["i"] = {"kernel": params.w_x, "bias": params.b}
        weights["h"] = {"kernel": params.w_h}
    else:
        cell = flax.linen.GRUCell(H, param_dtype=float)
        columns = [np.split(a, 3, -1) for a in (params.w_x, params.w_h, params.b)]
        for letter, w_x, w_h, b in zip("rzn", *columns, strict=True):
            weights[f"i{letter}"] = {"kernel": w_x, "bias": b}
            weights[f"h{letter}"] = {"kernel": w_h}
        weights["hn"]["bias"] = params.b_hn
    with jax.numpy_rank_promotion("allow"):
        expected, _ = cell.apply({"params": weights}, h, x)
    assert_close(variants.step(params, h, x)[0], expected, FLOAT64)


def test_full_gate_recurrence_adds_nine_matrices() -> None:
    params = drawn("FGR")
    assert params.w_gates.size == 9 * H * H
    x, state = np.ones((B, I)), start(params, 3)
    alone = params.replace(w_gates=np.zeros((3 * H, 3 * H)))
    got, y = variants.step(alone, state, x)
    expected = lstm_jax.lstm_step(params.cell, state[:2], x)
    assert_close((got[:2], y), expected, FLOAT64)


def test_what_init_draws() -> None:
    """No block copies another; options reach the cell; what is drawn can be saved."""
    normal = jax.nn.initializers.normal()
    nine = variants.init("FGR", KEY, I, H, recurrent_init=normal).w_gates
    assert len(set(nine.ravel().tolist())) == 9 * H * H
    for case in OWN:
        bare = jax.tree.leaves(drawn(case, use_bias=False))
        assert len(bare) < len(jax.tree.leaves(drawn(case)))
        data = flax.serialization.to_bytes(drawn(case))
        assert_same(flax.serialization.from_bytes(drawn(case), data), drawn(case))
    options = CellOptions(clip=2.0)
    make = partial(variants.init, "NOG", input_size=I, hidden_size=H, options=options)
    assert jax.eval_shape(make, KEY).options == replace(options, output_gate=False)

    def told(key: Any, units: int, gates: str) -> Any:
        return jnp.full(units * len(gates), float(len(gates)))

    more: Any = {"recurrent_init": normal, "bias_init": told}
    biased = variants.init("LSTM1997", KEY, I, H, blocks=2, **more)
    assert_same((biased.b, biased.b_g), (jnp.full(4, 2.0), jnp.full(4, 1.0)))


def cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), tree)


@pytest.mark.parametrize("case", OWN)
def test_sixteen_bits(case: str) -> None:
    """h and gates in bfloat16, c in float32; a state's own dtypes are kept."""
    exact, x = drawn(case), np.random.default_rng(2).standard_normal((B, I))
    params, narrow = cast((exact, x), jnp.bfloat16)
    begin = start(exact, 3)
    zero = variants.zero_state(params, (B,))
    c = getattr(zero, "c", None)
    assert c is None or c.dtype == jnp.float32
    others = [a for a in jax.tree.leaves(zero) if a is not c]
    assert others and all(a.dtype == jnp.bfloat16 for a in others)
    chex.assert_trees_all_equal_shapes_and_dtypes(
        zero, variants.zero_state(exact, (B,), jnp.bfloat16)
    )
    state, y = jax.eval_shape(variants.step, params, zero, narrow)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, zero)
    state, y = jax.jit(variants.step)(params, begin, narrow)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, begin)
    assert y.dtype == jnp.bfloat16
    expected = variants.step(exact, begin, x)
    assert_close((state, cast(y, float)), expected, 2e-2)


def test_a_state_may_be_a_list_and_can_be_donated() -> None:
    for case in OWN:
        params = drawn(case)
        zero = variants.zero_state(params, (B,))
        leaves = jax.tree.leaves(zero)
        assert len({a.unsafe_buffer_pointer() for a in leaves}) == len(leaves)
        if len(leaves) > 1:
            got, _ = variants.step(params, leaves, np.ones((B, I)))
            expected, _ = variants.step(params, zero, np.ones((B, I)))
            assert_same(got, list(expected))


def test_errors() -> None:
    params = {case: drawn(case) for case in OWN}
    states = {case: start(params[case], 3) for case in OWN}
    x, init = np.ones((B, I)), variants.init

    def step(case: str, x: Any = x, state: Any = states, **leaves: Any) -> Any:
        own = states[case] if state is states else state
        return variants.step(params[case].replace(**leaves), own, x)

    calls: list[tuple[Any, str, Callable[[], Any]]] = [
        (ValueError, "one of V, NIG.*got 'LSTM'", lambda: init("LSTM", KEY, I, H)),
        (ValueError, "hidden_size must be", lambda: init("GRU", KEY, I, 0)),
        (ValueError, "input_size must be", lambda: init("RNN", KEY, True, H)),
        (TypeError, "dtype must be", lambda: init("RNN", KEY, I, H, dtype=int)),
        (ValueError, "activation must", lambda: init("RNN", KEY, I, H, activation="x")),
        (ValueError, "blocks=3", lambda: init("LSTM1997", KEY, I, H, blocks=3)),
        (TypeError, "blocks", lambda: init("GRU", KEY, I, H, blocks=2)),
        (TypeError, "peephole", lambda: init("FGR", KEY, I, H, peephole=True)),
        (
            NotImplementedError,
            "FGRParams.init: params.cell must.*projection .*Array",
            lambda: init("FGR", KEY, I, H, projection_size=2),
        ),
        (
            NotImplementedError,
            "lstm_step: params.cell must.*got gates fgo",
            lambda: step("FGR", cell=drawn("NIG")),
        ),
        (
            TypeError,
            "must be LSTMParams or another Cell.*dict",
            lambda: variants.step({}, x, x),
        ),
        (TypeError, "params must be LSTMParams", lambda: variants.zero_state(None)),
        (TypeError, "must be a tuple", lambda: variants.zero_state(params["GRU"], 3)),
        (ValueError, "I=3.*\\(3, 2\\)", lambda: step("FGR", x=x[:, :2])),
        (TypeError, "x must have a floating", lambda: step("GRU", x=x.astype(int))),
        (TypeError, "x must be an array", lambda: step("GRU", x=None)),
        (ValueError, "\\(h, c, i, f, o\\) of FGR", lambda: step("FGR", state=(x, x))),
        (ValueError, "state must have shape \\(3, 4\\)", lambda: step("RNN", state=x)),
        (TypeError, "state must be an array", lambda: step("RNN", state=None)),
        (ValueError, "params.w_h must have shape", lambda: step("GRU", w_h=x)),
        (ValueError, "params.w_x must have two", lambda: step("GRU", w_x=None)),
        (ValueError, "params.w_x must have two", lambda: step("GRU", w_x=x[0])),
        (TypeError, "params.w_h must be an array", lambda: step("RNN", w_h=None)),
        (ValueError, "without reset_after", lambda: step("GRU", b_hn=np.ones(H))),
        (ValueError, "params.blocks must divide", lambda: step("LSTM1997", blocks=3)),
        (ValueError, "params.b_g must have", lambda: step("LSTM1997", b_g=np.ones(2))),
    ]
    for kind, message, call in calls:
        with pytest.raises(kind, match=message):
            call()
