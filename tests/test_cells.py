# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The cells: the LSTM's two forms against each other, GRU against torch and Keras."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import Bidirectional, Regularizer, Reverse, Stack, convert
from lstm_jax.cells import lstm, lstm_fast
from lstm_jax.variants import (
    FGRParams,
    GRUParams,
    LSTM1997Params,
    RNNParams,
)
from tests import cases
from tests.compare import assert_close, assert_same

LENGTHS = np.array([7, 3, 5])


def test_the_one_tanh_is_the_four_equations() -> None:
    """Values, and the closed derivative against JAX's of the equations."""
    cell = lstm_jax.init_cell(jax.random.key(0), 3, 5)
    z = 2.0 * jax.random.normal(jax.random.key(1), (4, 20))
    dz, c, dc, g_mask = (
        jax.random.normal(jax.random.key(k), (4, n))
        for k, n in ((2, 20), (3, 5), (4, 5), (5, 5))
    )

    def equations(z: Any, c: Any) -> Any:
        return lstm.pointwise(cell, (z,), c, g_mask)

    t = lstm_fast.tanh_columns(z)
    expected, tangent = jax.jvp(equations, (z, c), (dz, dc))
    assert_close(lstm_fast.standard_pointwise(t, c, g_mask), expected, 1e-14)
    partials = lstm_fast.standard_partials(t, c, g_mask)
    got = lstm_fast.standard_jvp(partials, dz, dc)
    assert_close(got, (tangent.m, tangent.c), 1e-13)


@pytest.mark.parametrize("kind", [GRUParams, RNNParams, FGRParams, LSTM1997Params])
def test_every_cell_runs_as_a_network(kind: Any) -> None:
    """Stacked, both ways, ragged; test_variants has their steps checked."""
    draw = partial(cases.initial, kind.init, 0, dtype=jnp.float64)
    lower, upper = cases.jitter(1, (draw(3, 4), draw(8, 4)))
    both = Bidirectional(lower, cases.jitter(2, lower))
    params = Stack((both, upper))
    lengths = np.array([4, 1, 3])
    x = jax.random.normal(jax.random.key(2), (3, 4, 3))

    def run(params: Any, x: Any, way: Any) -> Any:
        out = lstm_jax.apply(params, x, lengths=lengths, implementation=way)
        return cases.weighted(out), out

    scan, loop = (
        jax.jit(jax.grad(partial(run, way=way), (0, 1), has_aux=True))(params, x)
        for way in (lstm_jax.Scan(window=2), lstm_jax.Loop())
    )
    assert_close(scan, loop, 1e-11)
    alone, _ = lstm_jax.apply(params, x[2, :3])
    assert_close(scan[1][0][2, :3], alone, 1e-12)
    trace = lstm_jax.activations(params, x, lengths=lengths)
    assert_close(trace[1].h, scan[1][0], 1e-12)


def test_a_gru_has_no_cell_state_to_zone_out() -> None:
    params = GRUParams.init(jax.random.key(0), 3, 5)
    x = jnp.ones((2, 7, 3), params.w_x.dtype)
    both = Regularizer(zoneout_c=0.1, zoneout_h=0.1)
    with pytest.raises(NotImplementedError, match="GRUParams has no zoneout_c"):
        lstm_jax.apply(params, x, regularizer=both, key=jax.random.key(0))
    own = Regularizer(zoneout_h=0.5, recurrent_dropout=0.2, weight_drop=0.2)
    y, _ = lstm_jax.apply(params, x, regularizer=own, key=jax.random.key(0))
    kept = np.asarray(y[:, 1:] == y[:, :-1]).mean()
    assert 0.3 < kept < 0.7
    state = jnp.full((5,), 0.25, y.dtype)
    half = Regularizer(zoneout_h=0.5).inference()
    step, _ = lstm_jax.apply(params, x[:, :1], state)
    mean, _ = lstm_jax.apply(params, x[:, :1], state, regularizer=half)
    assert_close(mean, (step + jnp.broadcast_to(state, step.shape)) / 2, 1e-6)


def torch_gru(module: Any) -> Stack:
    """The parameters of a torch GRU of two layers and directions."""

    def cell(suffix: str) -> GRUParams:
        w_x, w_h, b_x, b_h = (
            getattr(module, f"{name}_{suffix}").detach().numpy()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        units = w_h.shape[1]
        outside = np.concatenate([b_h[: 2 * units], np.zeros(units, "float32")])
        return GRUParams(w_x.T, w_h.T, b_x + outside, b_h[2 * units :], True)

    return Stack(
        tuple(Bidirectional(cell(f"l{k}"), cell(f"l{k}_reverse")) for k in range(2))
    )


def test_gru_against_torch(torch: Any) -> None:
    """Stacked, bidirectional, ragged: outputs, last states and gradients."""
    torch.manual_seed(0)
    module = torch.nn.GRU(3, 5, 2, batch_first=True, bidirectional=True)
    x = torch.randn(3, 7, 3, requires_grad=True)
    pack = torch.nn.utils.rnn.pack_padded_sequence
    packed = pack(x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    y, h = module(packed)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
    weights = np.random.default_rng(0).normal(size=y.shape).astype("float32")
    (y * torch.tensor(weights)).sum().backward()

    def loss(params: Any, x: Any) -> Any:
        out, state = lstm_jax.apply(params, x, lengths=LENGTHS)
        return jnp.sum(out * weights), (out, state)

    params, own_x = torch_gru(module), jnp.asarray(x.detach().numpy())
    (dparams, dx), (out, state) = jax.grad(loss, (0, 1), has_aux=True)(params, own_x)
    assert_close(out, y.detach().numpy(), 2e-6)
    (end,) = convert.to_torch_state(params, state)
    assert_close(end, h.detach().numpy(), 2e-6)
    assert_same(convert.from_torch_state(params, end), state)
    assert x.grad is not None
    assert_close(dx, x.grad.numpy(), 2e-6)
    for layer in range(2):
        for side, suffix in (
            ("forward", f"l{layer}"),
            ("backward", f"l{layer}_reverse"),
        ):
            own = getattr(dparams.layers[layer], side)
            expected = {
                "w_x": getattr(module, f"weight_ih_{suffix}").grad.numpy().T,
                "w_h": getattr(module, f"weight_hh_{suffix}").grad.numpy().T,
                "b": getattr(module, f"bias_ih_{suffix}").grad.numpy(),
                "b_hn": getattr(module, f"bias_hh_{suffix}").grad.numpy()[10:],
            }
            for name, value in expected.items():
                assert_close(getattr(own, name), value, 2e-6, name)


def test_gru_against_keras() -> None:
    """reset_after=True, both directions, stacked, masked; gradients too."""
    import keras

    def keras_cell(layer: Any) -> GRUParams:
        kernel, recurrent, bias = (np.array(w.value) for w in layer.weights)
        units = recurrent.shape[0]

        def columns(a: Any) -> Any:  # Keras has z, r, h
            z, r, h = np.split(a, 3, -1)
            return np.concatenate([r, z, h], -1)

        b_x, b_h = columns(bias[0]), columns(bias[1])
        b = b_x + np.concatenate([b_h[: 2 * units], np.zeros(units, b_h.dtype)])
        return GRUParams(columns(kernel), columns(recurrent), b, b_h[2 * units :], True)

    layers = [
        keras.layers.Bidirectional(
            keras.layers.GRU(
                5,
                return_sequences=True,
                reset_after=True,
                bias_initializer=keras.initializers.RandomNormal(seed=k),
                dtype="float32",
            )
        )
        for k in range(2)
    ]
    x = np.random.default_rng(0).normal(size=(3, 7, 3)).astype("float32")
    mask = np.arange(7) < LENGTHS[:, None]

    def theirs(x: Any) -> Any:
        for layer in layers:
            x = layer(x, mask=mask)
        return x

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        y = theirs(x)
        weights = np.random.default_rng(1).normal(size=y.shape).astype("float32")
        weights = weights * mask[..., None]
        expected = jax.grad(lambda x: jnp.sum(theirs(x) * weights))(x)
    params = Stack(
        tuple(
            Bidirectional(
                keras_cell(layer.forward_layer), keras_cell(layer.backward_layer)
            )
            for layer in layers
        )
    )
    out, _ = lstm_jax.apply(params, x, mask=mask)
    assert_close(out, np.asarray(y) * mask[..., None], 2e-6)
    run = lambda x: jnp.sum(lstm_jax.apply(params, x, mask=mask)[0] * weights)  # noqa: E731
    assert_close(jax.grad(run)(x), expected, 2e-6)


def test_a_reset_gru_in_reverse_has_its_state() -> None:
    """A state that is one array, given and reset, broadcast over the batch."""
    params = GRUParams.init(jax.random.key(0), 3, 5)
    x = jax.random.normal(jax.random.key(1), (2, 4, 3)).astype(params.w_x.dtype)
    start = jnp.linspace(-1.0, 1.0, 5, dtype=x.dtype)
    resets = np.zeros((2, 4), bool)
    resets[:, 2] = True
    y, h = lstm_jax.apply(
        Reverse(params), x, start, resets=resets, reset_state=2 * start
    )
    second, _ = lstm_jax.apply(Reverse(params), x[:, 2:], start)
    first, end = lstm_jax.apply(Reverse(params), x[:, :2], 2 * start)
    assert_close(y, jnp.concatenate([first, second], 1), 1e-12)
    assert_close(h, end, 1e-12)


def test_converters_write_lstms() -> None:
    """Of other cells they say so; this library's own file has any of its cells."""
    params = lstm_jax.init(jax.random.key(0), 3, 5, cell=GRUParams, dtype="float32")
    systems = [name for name in convert.__all__ if name.startswith("to_")]
    for name in set(systems) - {"to_safetensors", "to_torch_state"}:
        with pytest.raises(NotImplementedError, match="a layer of GRUParams"):
            getattr(convert, name)(params)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
def test_states_of_torch(torch: Any) -> None:
    """A network that goes on from a state of torch goes on as torch does."""
    torch.manual_seed(0)
    module = torch.nn.LSTM(3, 5, 2, batch_first=True, bidirectional=True, proj_size=4)
    params = convert.from_torch(module)
    x = torch.randn(3, 7, 3)
    h, c = torch.randn(4, 3, 4), torch.randn(4, 3, 5)
    with torch.no_grad():
        expected, ends = module(x, (h, c))
    start = convert.from_torch_state(params, (h, c))
    y, state = lstm_jax.apply(params, x.numpy(), start)
    assert_close(y, expected.numpy(), 2e-6)
    for own, end in zip(convert.to_torch_state(params, state), ends, strict=True):
        assert_close(own, end.numpy(), 2e-6)
    with pytest.raises(ValueError, match="with 4 layers and directions"):
        convert.from_torch_state(params, (h[:2], c[:2]))
    with pytest.raises(ValueError, match=r"state\[0\]\[0\]\.h must have shape"):
        convert.from_torch_state(params, (c, h))
    with pytest.raises(ValueError, match="state must have 2 arrays"):
        convert.from_torch_state(params, h)
