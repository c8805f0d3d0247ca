# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Cudnn on a machine without CUDA: everything around the call, and the call's program.

In place of cuDNN's two calls stands `lstm_ref`, which `jax.experimental.rnn` itself is
tested against on GPUs. No test here runs cuDNN.
"""

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental import rnn
from jax.interpreters import mlir
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import lstm_jax as lj
from lstm_jax import (
    Bidirectional,
    Cudnn,
    Regularizer,
    Reverse,
    Scan,
    Stack,
    _apply,
)
from lstm_jax._compat import varying_axes
from lstm_jax._params import layers
from lstm_jax.implementations import cudnn as _cudnn
from lstm_jax.implementations import cudnn_call as _cudnn_call
from tests import jaxprs
from tests.cases import initial, jitter, weighted
from tests.compare import FLOAT32, assert_close, assert_same

INPUTS, HIDDEN = 3, 5
KEY = jax.random.key(0)


def cell(seed: int, inputs: int = INPUTS, hidden: int = HIDDEN, **options: Any) -> Any:
    options = {"dtype": jnp.float32, **options}
    return jitter(seed, initial(lj.init_cell, seed, inputs, hidden, **options))


def both(seed: int, inputs: int = INPUTS, **options: Any) -> Bidirectional:
    return Bidirectional(
        cell(seed, inputs, **options), cell(seed + 1, inputs, **options)
    )


NETWORKS: dict[str, Any] = {
    "cell": cell(1),
    "no_bias": Stack((cell(1, use_bias=False),)),
    "stack": Stack((cell(1), cell(2, HIDDEN, use_bias=False), cell(3, HIDDEN))),
    "both": both(1),
    "stack_of_both": Stack((both(1), both(3, 2 * HIDDEN, use_bias=False))),
}


def reference(call: Any, lengths: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """In place of `_cudnn_call.forward`."""
    inputs, hidden, layers, both = call.sizes.layout
    matrices = rnn.unpack_lstm_weights(w, inputs, hidden, layers, both)
    sizes = inputs, hidden, layers, 0.0, both
    run = rnn.lstm_ref(x, h, c, *matrices, lengths, *sizes)
    return *run, jnp.ones(reserved(x), x.dtype)


def reserved(x: Any) -> int:
    """The size of what backward needs, which does not grow as B does."""
    return 3 * x.shape[0] + 2


def reference_gradient(call: Any, *args: Any) -> Any:
    """In place of `_cudnn_call.backward`."""
    lengths, x, h, c, w, y, reserve, *cotangents = args
    assert y.shape[:2] == x.shape[:2] and reserve.shape == (reserved(x),)

    def run(*args: Any) -> Any:
        return reference(call, lengths, *args)[:3]

    return jax.vjp(run, x, h, c, w)[1](tuple(cotangents))


def forget() -> None:
    """Drops traced programs, which hold what stood in place of what."""
    jitted: Any = _apply._apply
    jitted.clear_cache()


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that seems to have CUDA."""
    monkeypatch.setattr(_cudnn, "missing", lambda values: [])
    forget()
    yield
    forget()


@pytest.fixture
def stand_in(found: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cudnn_call, "forward", reference)
    monkeypatch.setattr(_cudnn_call, "backward", reference_gradient)


def outcome(implementation: Any, params: Any, x: Any, state: Any, **more: Any) -> Any:
    """Output, state and gradients of parameters, input and state."""

    def loss(params: Any, x: Any, state: Any) -> Any:
        out = lj.apply(params, x, state, implementation=implementation, **more)
        return weighted(jax.tree.map(lambda a: a.astype(x.dtype), out)), out

    gradient = jax.grad(loss, (0, 1, 2), has_aux=True)
    return jax.jit(gradient)(params, x, state)


LENGTHS: dict[str, tuple[tuple[int, ...], Any]] = {
    "no_batch_axis": ((), None),
    "no_batch_axis_empty": ((), 0),
    "whole": ((3,), None),
    "ragged": ((5,), [0, 1, 7, 4, 0]),
    "two_axes": ((2, 3), [[0, 7, 1], [3, 0, 6]]),
    "all_empty": ((2,), [0, 0]),
}


# Every network with ragged rows, and every kind of rows with both directions.
PAIRS = sorted(
    {(network, "ragged") for network in NETWORKS}
    | {("both", lengths) for lengths in LENGTHS}
)
assert len(PAIRS) == len(NETWORKS) + len(LENGTHS) - 1


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("network, lengths", PAIRS)
def test_it_is_scan(network: str, lengths: str) -> None:
    """Values and gradients, as by `Scan`; padding full of what must not matter."""
    params = NETWORKS[network]
    batch, counts = LENGTHS[lengths]
    x = np.asarray(jax.random.normal(KEY, (*batch, 7, INPUTS), jnp.float32))
    more = {}
    if counts is not None:
        more["lengths"] = np.asarray(counts, np.uint8)
        padding = np.arange(7) >= more["lengths"][..., None]
        x = np.where(padding[..., None], np.float32(np.nan), x)
    state = jitter(7, lj.zero_state(params, batch))
    got = outcome(Cudnn(), params, x, state, **more)
    assert_close(got, outcome(Scan(), params, x, state, **more), FLOAT32)
    if counts is not None:
        (_, dx, _), (y, _) = got
        assert not np.asarray(y)[padding].any() and not np.asarray(dx)[padding].any()


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("state", ["none", "learned", "wide"])
def test_layouts_and_states(state: str) -> None:
    """Time in front, a state that broadcasts, one of another dtype, and none."""
    params = NETWORKS["both"]
    x = jax.random.normal(KEY, (7, 2, 2, INPUTS), jnp.float32)
    more = {"time_major": True, "lengths": jnp.array([[7, 0], [2, 1]])}
    start = None
    if state == "learned":
        start = jitter(7, lj.zero_state(params))
    if state == "wide":
        start = jitter(7, lj.zero_state(params, (2, 2), jnp.float64))
    got = outcome(Cudnn(tf32=True), params, x, start, **more)
    expected = outcome(Scan(), params, x, start, **more)
    assert_close(got, expected, FLOAT32)
    assert jax.tree.map(jnp.result_type, got) == jax.tree.map(jnp.result_type, expected)


@pytest.mark.usefixtures("stand_in")
def test_a_row_without_a_step_gives_its_state_back() -> None:
    """To the bit, and its gradient is what reaches the state after it."""
    params = NETWORKS["both"]
    x = jax.random.normal(KEY, (2, 7, INPUTS), jnp.float32)
    lengths = jnp.array([0, 7])
    state = jitter(7, lj.zero_state(params, (2,)))
    (_, end), pull = jax.vjp(
        lambda x, s: lj.apply(params, x, s, lengths=lengths, implementation=Cudnn()),
        x,
        state,
    )
    row = lambda tree: jax.tree.map(lambda a: a[0], tree)  # noqa: E731
    assert_same(row(end), row(state))
    cotangent = jitter(8, end)
    dx, ds = pull((jnp.ones((2, 7, 2 * HIDDEN), jnp.float32), cotangent))
    assert_same(row(ds), row(cotangent))
    assert not np.asarray(dx[0]).any() and np.asarray(dx[1]).all()


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize("shape", [(2, 0, INPUTS), (0, 7, INPUTS), (0, 0, INPUTS)])
def test_nothing_to_run_needs_no_call(shape: tuple[int, ...]) -> None:
    params = NETWORKS["stack_of_both"]
    x, state = jnp.zeros(shape, jnp.float32), jitter(7, lj.zero_state(params))
    got = outcome(Cudnn(), params, x, state)
    assert_same(got, outcome(Scan(), params, x, state))


@pytest.mark.usefixtures("stand_in")
def test_jit_checkpoint_and_scan_around_it() -> None:
    params = NETWORKS["stack"]
    x = jax.random.normal(KEY, (3, 2, 4, INPUTS), jnp.float32)

    def gradient(implementation: Any) -> Any:
        @jax.checkpoint
        def window(state: Any, x: Any, params: Any) -> Any:
            y, state = lj.apply(params, x, state, implementation=implementation)
            return state, y

        def loss(params: Any) -> Any:
            start = lj.zero_state(params, (2,))
            run = functools.partial(window, params=params)
            return weighted(jax.lax.scan(run, start, x))

        return jax.jit(jax.value_and_grad(loss))(params)

    assert_close(gradient(Cudnn()), gradient(Scan()), FLOAT32)


@pytest.mark.usefixtures("stand_in")
def test_in_shard_map() -> None:
    """With the check of varying axes on; the stand-in gives types that vary."""
    params = NETWORKS["stack_of_both"]
    x = jax.random.normal(KEY, (4, 7, INPUTS), jnp.float32)
    lengths = jnp.array([0, 7, 3, 1])

    def run(implementation: Any, params: Any, x: Any, lengths: Any) -> Any:
        return lj.apply(params, x, lengths=lengths, implementation=implementation)

    expected = run(Scan(), params, x, lengths)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    rows = P("data")
    got = jax.shard_map(
        functools.partial(run, Cudnn()),
        mesh=mesh,
        in_specs=(P(), rows, rows),
        out_specs=rows,
    )(params, x, lengths)
    assert_close(got, expected, FLOAT32)


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_there_and_back(network: str) -> None:
    params = NETWORKS[network]
    assert_same(Cudnn.unpack(Cudnn.pack(params), params), params)
    template = lj.from_config(lj.config(params))
    assert_same(
        jax.jit(lambda p: Cudnn.unpack(Cudnn.pack(p), template))(params), params
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_are_found_where_they_belong(network: str) -> None:
    """By the module's own unpacking: W_ih, W_hh and b_ih of torch, b_hh zero."""
    params = NETWORKS[network]
    cells = layers(params)
    depth = len(params.layers) if isinstance(params, Stack) else 1
    w_ih, w_hh, b_ih, b_hh = rnn.unpack_lstm_weights(
        Cudnn.pack(params), INPUTS, HIDDEN, depth, len(cells) > depth
    )
    assert len(w_ih) == len(cells)
    for k, own in enumerate(cells):
        assert_same((w_ih[k], w_hh[k]), (own.w_x.T, own.w_h.T))
        zero = jnp.zeros(4 * HIDDEN, jnp.float32)
        assert_same((b_ih[k], b_hh[k]), (zero if own.b is None else own.b, zero))


def test_two_biases_are_added_and_packing_is_differentiable() -> None:
    params = NETWORKS["both"]
    weights = Cudnn.pack(params)
    given = jitter(1, weights)
    _, _, b_ih, b_hh = rnn.unpack_lstm_weights(given, INPUTS, HIDDEN, 1, True)
    got = Cudnn.unpack(given, params)
    assert_same(got.forward.b, b_ih[0] + b_hh[0])
    assert_same(got.backward.b, b_ih[1] + b_hh[1])
    gradient = jax.grad(lambda p: jnp.sum(Cudnn.pack(p) * given))(params)
    assert_same(gradient.backward.b, b_ih[1])
    gradient = jax.grad(lambda w: weighted(Cudnn.unpack(w, params)))(given)
    _, _, b_ih, b_hh = rnn.unpack_lstm_weights(gradient, INPUTS, HIDDEN, 1, True)
    assert_same(b_ih, b_hh)


def test_packing_promotes() -> None:
    half = NETWORKS["cell"].replace(b=jnp.ones(4 * HIDDEN, jnp.bfloat16))
    assert Cudnn.pack(half).dtype == jnp.float32


class Descriptor:
    """In place of the extension that describes a call to cuDNN."""

    @staticmethod
    def build_rnn_descriptor(*sizes: Any) -> bytes:
        return repr(sizes).encode()


@pytest.fixture
def cuda(found: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a jaxlib for the CPU lacks: sizes of buffers, the descriptor of a call."""
    gpu: Any = rnn.gpu_rnn
    sizes = lambda i, h, layers, rows, *_: (11, 11 + rows)  # noqa: E731
    name = "compute_rnn_workspace_reserve_space_sizes"
    monkeypatch.setattr(gpu, name, sizes, raising=False)
    rules = [
        (rnn.rnn_fwd_p, gpu._rnn_fwd_lowering, gpu.cudnn_rnn_lowering),
        (rnn.rnn_bwd_p, gpu._rnn_bwd_lowering, gpu.cudnn_rnn_bwd_lowering),
    ]
    for primitive, rule, _ in rules:
        with_descriptor = functools.partial(rule, Descriptor, "cu")
        mlir.register_lowering(primitive, with_descriptor, platform="cuda")
    yield
    for primitive, _, own in rules:
        mlir.register_lowering(primitive, own, platform="cuda")


def program(implementation: Any, gradient: bool) -> str:
    """The program for CUDA of two layers and directions, as text."""

    def run(params: Any, x: Any, lengths: Any) -> Any:
        return weighted(
            lj.apply(params, x, lengths=lengths, implementation=implementation)
        )

    f = jax.value_and_grad(run) if gradient else run
    x = jax.ShapeDtypeStruct((2, 7, INPUTS), jnp.float32)
    lengths = jax.ShapeDtypeStruct((2,), jnp.int32)
    traced = jax.jit(f).trace(NETWORKS["stack_of_both"], x, lengths)
    return traced.lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("tf32", [False, True])
def test_the_program_for_cuda_is_one_call_and_one_for_the_gradient(tf32: bool) -> None:
    """Stubbed are the sizes of cuDNN's buffers and its descriptor.

    No number is computed, so none is checked. The descriptor shows what cuDNN would be
    told: I, H, depth, B, T, dropout, directions, TF32 and the two sizes.
    """
    told = repr((INPUTS, HIDDEN, 2, 2, 7, 0.0, True, tf32, 11, 13))
    once = program(Cudnn(tf32), False)
    assert once.count("@cudnn_rnn_ffi(") == 1 and "cudnn_rnn_bwd" not in once
    assert once.count(told) == 1 and "while" not in once
    twice = program(Cudnn(tf32), True)
    assert twice.count("@cudnn_rnn_ffi(") == twice.count("@cudnn_rnn_bwd_ffi(") == 1
    assert twice.count(told) == 2 and "while" not in twice


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("outside", ["gradient", "vmap"])
def test_the_program_of_a_vmap_is_that_of_a_larger_batch(outside: str) -> None:
    """Forward runs again for the gradient: twice in all where values are wanted."""

    def loss(x: Any) -> Any:
        return weighted(lj.apply(NETWORKS["both"], x, implementation=Cudnn()))

    x = jax.ShapeDtypeStruct((3, 2, 7, INPUTS), jnp.float32)
    f = jax.vmap(jax.value_and_grad(loss))
    if outside == "gradient":
        f = jax.value_and_grad(lambda x: jax.vmap(loss)(x).sum())
    text = jax.jit(f).trace(x).lower(lowering_platforms=("cuda",)).as_text()
    told = repr((INPUTS, HIDDEN, 1, 6, 7, 0.0, True, False, 11, 17))
    assert text.count(told) == 3
    assert text.count("@cudnn_rnn_ffi(") == 2
    assert text.count("@cudnn_rnn_bwd_ffi(") == 1


@pytest.mark.usefixtures("cuda")
def test_types_in_shard_map() -> None:
    """What the call gives varies over the mesh as its arguments do."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    varying: list[Any] = []

    def loss(params: Any, x: Any) -> Any:
        out = lj.apply(params, x, implementation=Cudnn())
        varying.extend(varying_axes(jax.typeof(a)) for a in out[:1])
        return jax.lax.psum(weighted(out), "data")

    run = jax.shard_map(loss, mesh=mesh, in_specs=(P(), P("data")), out_specs=P())
    x = jax.ShapeDtypeStruct((8, 7, INPUTS), jnp.float32)
    traced = jax.jit(jax.grad(run)).trace(NETWORKS["cell"], x)
    assert varying == [{"data"}]
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("@cudnn_rnn_bwd_ffi(") == 1
    assert text.count("stablehlo.all_reduce") == 3  # of w_x, w_h and b


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("default", [None, "highest", "tensorfloat32", "bfloat16"])
def test_tf32_is_what_was_asked_for(default: Any) -> None:
    """Whatever JAX's default precision of products is."""

    def allowed(implementation: Cudnn) -> list[bool]:
        def loss(params: Any, x: Any) -> Any:
            return weighted(lj.apply(params, x, implementation=implementation))

        x = jax.ShapeDtypeStruct((2, 7, INPUTS), jnp.float32)
        with jax.default_matmul_precision(default):
            traced = jax.make_jaxpr(jax.grad(loss))(NETWORKS["cell"], x)
        return [
            e.params["cudnn_allow_tf32"]
            for e, _ in jaxprs.equations(traced)
            if e.primitive in (rnn.rnn_fwd_p, rnn.rnn_bwd_p)
        ]

    assert allowed(Cudnn()) == [False, False]
    assert allowed(Cudnn(tf32=True)) == [True, True]


@pytest.mark.usefixtures("cuda")
def test_exported_for_cuda_and_refused_elsewhere() -> None:
    f = jax.jit(lambda x: lj.apply(NETWORKS["both"], x, implementation=Cudnn())[0])
    x = jax.ShapeDtypeStruct((2, 7, INPUTS), jnp.float32)
    unchecked = [
        export.DisabledSafetyCheck.custom_call(f"cudnn_rnn{part}_ffi")
        for part in ("", "_bwd")
    ]
    made = export.export(f, platforms=["cuda"], disabled_checks=unchecked)(x)
    assert made.platforms == ("cuda",)
    with pytest.raises(NotImplementedError, match=r"rnn_fwd.*platform cpu"):
        f(jnp.zeros(x.shape, x.dtype))


X = np.ones((2, 7, INPUTS), np.float32)
HERE = "this jaxlib has no CUDA functions"
FLOAT32_ALONE = (
    "jax.experimental.rnn describes every call as float32, and x and params give "
)


def message(call: str, *why: str) -> str:
    text = "; ".join(why)
    return f"{call}: Cudnn(tf32=False) cannot run this: {text}. Scan() can."


def with_state(**leaves: Any) -> Any:
    return NETWORKS["cell"].replace(**leaves)


REFUSED: dict[str, tuple[Any, dict[str, Any], tuple[str, ...]]] = {
    "this machine": (NETWORKS["cell"], {}, ()),
    "everything": (
        Stack(
            (
                cell(1, peephole=True, projection_size=4, norm=lj.SplitNorm),
                Reverse(cell(2, 4, 6, options=lj.CellOptions(clip=1.0))),
                both(3, 6),
                lj.Residual(both(5, 2 * HIDDEN)),
            )
        ),
        {"truncate": 2, "resets": np.zeros((2, 7), bool)},
        (
            "it has no Reverse, which params.layers[1] is",
            "it has no Residual, which params.layers[3] is",
            "all layers must have as many directions",
            "all layers must have one hidden size; got [5, 6]",
            "it has no peepholes",
            "jax.experimental.rnn has no projection",
            "it has no layer norm",
            "it has the standard CellOptions() alone",
            "it has no resets",
            "it has no truncation",
        ),
    ),
    "merge": (
        both(1).replace(merge="sum"),
        {},
        ("it concatenates directions, and params.merge is 'sum'",),
    ),
    "directions that are stacks": (
        Bidirectional(Stack((cell(1),)), Stack((cell(2),))),
        {},
        ("directions must be LSTMParams, and those of params are not",),
    ),
    "a stack in a stack": (
        Stack((Stack((cell(1),)),)),
        {},
        ("it has no Stack, which params.layers[0] is",),
    ),
    "16 bits": (
        jax.tree.map(lambda a: a.astype(jnp.bfloat16), NETWORKS["cell"]),
        {"x": X.astype(jnp.bfloat16)},
        (FLOAT32_ALONE + "bfloat16",),
    ),
    "float16": (
        jax.tree.map(lambda a: a.astype(jnp.float16), NETWORKS["cell"]),
        {"x": X.astype(np.float16)},
        (FLOAT32_ALONE + "float16",),
    ),
    "64 bits": (
        NETWORKS["cell"],
        {"x": X.astype(np.float64)},
        (FLOAT32_ALONE + "float64",),
    ),
    "regularizer": (
        NETWORKS["cell"],
        {"regularizer": Regularizer(weight_drop=0.1), "key": KEY},
        ("it has none of the regularizers",),
    ),
    "zoneout at evaluation": (
        NETWORKS["cell"],
        {"regularizer": Regularizer(zoneout_c=0.1).inference()},
        ("it has none of the regularizers",),
    ),
}


@pytest.mark.parametrize("call", [lj.apply, lj.explain], ids=["apply", "explain"])
@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_all_reasons(name: str, call: Callable[..., Any]) -> None:
    """Those of the machine that the test runs on come first."""
    params, given, why = REFUSED[name]
    given = {"x": X, **given}
    expected = message(call.__name__, HERE, *why)
    with pytest.raises(NotImplementedError, match="^" + re.escape(expected) + "$"):
        call(params, implementation=Cudnn(), **given)


@pytest.mark.usefixtures("stand_in")
def test_a_regularizer_that_does_nothing_is_none() -> None:
    params = NETWORKS["cell"]
    expected = lj.apply(params, X, implementation=Cudnn())
    for idle in (Regularizer(0.3).inference(), Regularizer(locked=False)):
        got = lj.apply(params, X, regularizer=idle, key=KEY, implementation=Cudnn())
        assert_same(got, expected)


@pytest.mark.usefixtures("found")
def test_symbolic_sizes() -> None:
    run = jax.jit(lambda x: lj.apply(NETWORKS["cell"], x, implementation=Cudnn()))
    for text in ("b, 7", "2, t"):
        shape = (*export.symbolic_shape(text), INPUTS)
        why = "it needs numbers for sizes, and some of x are symbolic"
        with pytest.raises(NotImplementedError, match=re.escape(message("apply", why))):
            export.export(run)(jax.ShapeDtypeStruct(shape, jnp.float32))


@pytest.mark.usefixtures("found")
def test_a_plan() -> None:
    plan = lj.explain(NETWORKS["stack"], X, implementation=Cudnn())
    assert plan.implementation == Cudnn() and plan.reason == "asked for"


def test_what_a_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CUDA's functions, but on the CPU: known of values, not of tracers."""
    assert _cudnn.missing((X,)) == [HERE]
    monkeypatch.setattr(rnn.gpu_rnn, "_cuda_rnn", Descriptor)
    elsewhere = ["it runs on CUDA, and arguments are on cpu"]
    assert _cudnn.missing((X,)) == _cudnn.missing((X, jnp.ones(3))) == elsewhere
    seen = []
    jax.eval_shape(lambda x: seen.append(_cudnn.missing((jnp.ones(3), x))), X)
    assert seen == [[]]


Transformed = Callable[[Callable[[Any], Any], Any], Any]

TRANSFORMED: dict[str, tuple[Transformed, str]] = {
    "jvp of a vmap": (
        lambda f, x: jax.jvp(jax.vmap(f), (x[None],), (x[None],)),
        _cudnn_call.FORWARD,
    ),
    "vmap of a jvp": (
        lambda f, x: jax.vmap(lambda x: jax.jvp(f, (x,), (x,)))(x[None]),
        _cudnn_call.FORWARD,
    ),
    "hessian of a vmap": (
        lambda f, x: jax.hessian(lambda x: jax.vmap(f)(x).sum())(x[None]),
        _cudnn_call.SECOND,
    ),
    "vmap of a gradient of a gradient": (
        lambda f, x: jax.vmap(jax.grad(lambda x: jax.grad(f)(x).sum()))(x[None]),
        _cudnn_call.SECOND,
    ),
    "jvp": (lambda f, x: jax.jvp(f, (x,), (x,)), _cudnn_call.FORWARD),
    "linearize": (lambda f, x: jax.linearize(f, x)[1](x), _cudnn_call.FORWARD),
    "jacfwd": (lambda f, x: jax.jacfwd(f)(x), _cudnn_call.FORWARD),
    "hessian": (lambda f, x: jax.hessian(f)(x), _cudnn_call.SECOND),
    "gradient of a gradient": (
        lambda f, x: jax.grad(lambda x: jax.grad(f)(x).sum())(x),
        _cudnn_call.SECOND,
    ),
    "gradient of a jvp": (
        lambda f, x: jax.grad(lambda x: jax.jvp(f, (x,), (x,))[1])(x),
        _cudnn_call.SECOND,
    ),
    "gradient of a pullback": (
        lambda f, x: jax.grad(lambda s: jax.vjp(f, x)[1](s)[0].sum())(f(x)),
        _cudnn_call.SECOND,
    ),
    "jvp of a linear function": (
        lambda f, x: jax.jvp(jax.linearize(f, x)[1], (x,), (x,)),
        _cudnn_call.SECOND,
    ),
}


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformations_that_it_has_not(name: str, jit: bool) -> None:
    """The stand-in has them all: it is this library that refuses."""
    transformed, why = TRANSFORMED[name]

    def f(x: Any) -> Any:
        return weighted(lj.apply(NETWORKS["stack"], x, implementation=Cudnn()))

    run = functools.partial(transformed, f)
    with pytest.raises(NotImplementedError) as caught:
        (jax.jit(run) if jit else run)(jnp.asarray(X))
    assert str(caught.value) == message("apply", why)


MEMBERS = 3
Mapped = Callable[[Callable[..., Any], Any, Any, Any], Any]


def total(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: weighted(f(*args))


# f gives y and the state after it of (params, x, lengths).
MAPPED: dict[str, Mapped] = {
    "values": lambda f, p, x, n: jax.vmap(f, (None, 0, 0))(p, x, n),
    "last axis": lambda f, p, x, n: jax.vmap(f, (None, 3, None), 1)(
        p, jnp.moveaxis(x, 0, 3), n[1]
    ),
    "lengths alone": lambda f, p, x, n: jax.vmap(f, (None, None, 0))(p, x[1], n),
    "twice": lambda f, p, x, n: jax.vmap(jax.vmap(f, (None, 0, None)), (None, None, 0))(
        p, x, n
    ),
    "gradient of a vmap": lambda f, p, x, n: jax.grad(
        total(jax.vmap(f, (None, 0, 0))), (0, 1)
    )(p, x, n),
    "gradient of a vmap of a vmap": lambda f, p, x, n: jax.grad(
        total(jax.vmap(jax.vmap(f, (None, 0, None)), (None, None, 0))), (0, 1)
    )(p, x, n),
    "gradient of a vmap of what is not mapped": lambda f, p, x, n: jax.grad(
        total(jax.vmap(f, (None, None, 0))), (0, 1)
    )(p, x[1], n),
    "vmap of a gradient": lambda f, p, x, n: jax.vmap(
        jax.grad(total(f), 1), (None, 0, 0)
    )(p, x, n),
    "rows of a jacobian": lambda f, p, x, n: jax.jacrev(
        lambda x: f(p, x, n[1])[0][0, :2]
    )(x[1]),
    "vmap of a checkpoint": lambda f, p, x, n: jax.grad(
        total(jax.vmap(jax.checkpoint(f), (None, 0, 0))), (0, 1)
    )(p, x, n),
    "vmap of a map": lambda f, p, x, n: jax.grad(
        lambda p, x: weighted(
            jax.vmap(lambda x: jax.lax.map(lambda x: f(p, x, n[1]), x))(x)
        ),
        (0, 1),
    )(p, x[:, None]),
}


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "name, jit",
    [
        *((name, True) for name in MAPPED),
        ("gradient of a vmap", False),
        ("vmap of a gradient", False),
    ],
)
def test_vmap(name: str, jit: bool) -> None:
    """The axis is part of B: values, and gradients that are sums over it."""
    params = NETWORKS["both"]
    x = jax.random.normal(KEY, (MEMBERS, 2, 7, INPUTS), jnp.float32)
    lengths = jnp.array([[7, 0], [3, 7], [1, 1]])

    def run(implementation: Any) -> Any:
        def f(params: Any, x: Any, lengths: Any) -> Any:
            return lj.apply(params, x, lengths=lengths, implementation=implementation)

        given = functools.partial(MAPPED[name], f)
        return (jax.jit(given) if jit else given)(params, x, lengths)

    assert_close(run(Cudnn()), run(Scan()), FLOAT32)


def stacked(params: Any) -> Any:
    return jax.tree.map(lambda a: jnp.stack([a, a]), params)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_vmap_of_weights_is_refused(jit: bool) -> None:
    params = NETWORKS["stack"]

    def loss(params: Any, x: Any) -> Any:
        return weighted(lj.apply(params, x, implementation=Cudnn()))

    def either(x: Any) -> Any:
        """JAX maps all that a branch reads where it maps the predicate."""
        return jax.lax.cond(x[0, 0, 0] > 0, functools.partial(loss, params), jnp.sum, x)

    x, both = jnp.asarray(X), stacked(params)
    for f, args, why in (
        (jax.vmap(either), (x[None],), _cudnn_call.VMAP),
        (jax.vmap(loss, (0, None)), (both, x), _cudnn_call.VMAP),
        (jax.vmap(jax.grad(loss), (0, None)), (both, x), _cudnn_call.VMAP),
        (jax.vmap(jax.grad(loss), (None, 0)), (params, x[None]), _cudnn_call.EACH),
        (
            jax.grad(lambda p: jax.vmap(loss, (0, None))(p, x).sum()),
            (both,),
            _cudnn_call.VMAP,
        ),
    ):
        with pytest.raises(NotImplementedError) as caught:
            (jax.jit(f) if jit else f)(*args)
        assert str(caught.value) == message("apply", why)


def add(params: Any, state: Any, x: Any) -> Any:
    return state + x, state


MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "tf32 that is no bool": (
        lambda: lj.apply(NETWORKS["cell"], X, implementation=Cudnn(tf32=1)),
        TypeError,
        "apply: Cudnn.tf32 must be a bool; got 1.",
    ),
    "a foreign step": (
        lambda: lj.unroll(add, None, X[0], X, implementation=Cudnn()),
        NotImplementedError,
        message("unroll", "it has a step of its own, and runs no other"),
    ),
    "packing peepholes in reverse": (
        lambda: Cudnn.pack(Reverse(cell(1, peephole=True))),
        NotImplementedError,
        "Cudnn.pack: cuDNN has no such network: it has no Reverse, which params is; "
        "it has no peepholes.",
    ),
    "packing what disagrees": (
        lambda: Cudnn.pack(with_state(w_h=jnp.zeros((4, 20), jnp.float32))),
        ValueError,
        "Cudnn.pack: params.w_h must have shape (5, 20) (from w_x (3, 20); ",
    ),
    "packing no network": (
        lambda: Cudnn.pack(Stack(())),
        ValueError,
        "Cudnn.pack: params.layers must be a tuple of one layer or more; got ().",
    ),
    "packing a template": (
        lambda: Cudnn.pack(lj.from_config(lj.config(NETWORKS["cell"]))),
        TypeError,
        "Cudnn.pack: params.w_x must be an array; got a ShapeDtypeStruct, ",
    ),
    "unpacking another size": (
        lambda: Cudnn.unpack(jnp.zeros(199), NETWORKS["cell"]),
        ValueError,
        "Cudnn.unpack: weights must have shape (200,) (from like); got (199,).",
    ),
    "unpacking a list": (
        lambda: Cudnn.unpack([0.0], NETWORKS["cell"]),
        ValueError,
        "Cudnn.unpack: weights must have shape (200,) (from like); got list.",
    ),
    "unpacking biases that have no place": (
        lambda: Cudnn.unpack(jnp.ones(200), with_state(b=None)),
        ValueError,
        "Cudnn.unpack: weights must have zero biases where like has b=None; got "
        "others for layer 0, counted by depth and forward before backward.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake(mistake: str) -> None:
    call, kind, text = MISTAKES[mistake]
    with pytest.raises(kind, match="^" + re.escape(text)) as caught:
        call()
    assert caught.type is kind
