# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""to_onnx: what onnxruntime makes of its models is what this library gives."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest

import lstm_jax
from lstm_jax import (
    ActivationFn,
    Bidirectional,
    CellOptions,
    LSTMParams,
    LSTMState,
    Residual,
    Reverse,
    Stack,
)
from lstm_jax._state import mirror
from lstm_jax.convert import to_onnx
from lstm_jax.convert._systems import FEATURES, SYSTEMS
from lstm_jax.testing import reference
from tests.foreign import HIDDEN, INPUTS, NETWORKS, cell, sequence, stack, states

BOUND = 2e-6  # absolute, for float32
WRITES = SYSTEMS["onnx"].writes or frozenset()
CLIPPED = CellOptions(clip=0.7)

MORE = {
    "bare": cell,
    "two_ways_of_two_nodes": lambda: Bidirectional(cell(1), cell(2, options=CLIPPED)),
    "two_sizes": lambda: Bidirectional(cell(1), cell(2, hidden=4)),
    "reversed_directions": lambda: Reverse(Bidirectional(cell(1), cell(2))),
    "sum": lambda: Bidirectional(cell(1), cell(2), merge="sum"),
    "ave": lambda: Stack((Bidirectional(cell(1), cell(2), merge="ave"),)),
    "half_biased": lambda: Bidirectional(
        cell(1), cell(2, use_bias=False, peephole=True)
    ),
    "deep": lambda: Stack(
        (
            Bidirectional(cell(1), Reverse(Stack((cell(2), cell(3, HIDDEN, 2))))),
            Residual(Residual(Reverse(cell(4, HIDDEN + 2, HIDDEN + 2)))),
            Reverse(
                Bidirectional(
                    Bidirectional(
                        cell(5, HIDDEN + 2), cell(6, HIDDEN + 2), merge="mul"
                    ),
                    cell(7, HIDDEN + 2),
                    merge="ave",
                )
            ),
        )
    ),
}
CONTRACT = {**{name: NETWORKS[name] for name in sorted(WRITES)}, **MORE}
REFUSED = sorted(set(FEATURES) - WRITES)
assert REFUSED


class Session:
    """A model in onnxruntime, fed in the order of its inputs."""

    def __init__(self, model: Any) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, *arrays: Any) -> list[np.ndarray]:
        names = [value.name for value in self.session.get_inputs()]
        feed = dict(zip(names, map(np.asarray, arrays), strict=True))
        return self.session.run(None, feed)


def assert_near(got: list[Any], y: Any, state: Any, what: str, bound: float) -> None:
    names = ["y", *(jax.tree_util.keystr(p) for p, _ in _paths(state))]
    for name, a, b in zip(names, got, [y, *jax.tree.leaves(state)], strict=True):
        assert a.shape == b.shape, f"{what}: {name}: {a.shape} instead of {b.shape}"
        error = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max()
        assert error <= bound, f"{what}: {name} differs by {error:.3g}"


def _paths(tree: Any) -> list[Any]:
    return jax.tree_util.tree_leaves_with_path(tree)


def spoiled(x: np.ndarray, lengths: Any) -> np.ndarray:
    """NaN and infinity in the padding."""
    x = x.copy()
    for row, length in zip(x, lengths, strict=True):
        row[length:] = np.nan
        row[length + 1 :] = np.inf
    return x


@pytest.mark.parametrize("name", CONTRACT)
def test_contract(name: str) -> None:
    params = CONTRACT[name]()
    session = Session(to_onnx(params))
    x = sequence()
    for rows, steps, lengths in (
        (3, 7, [7, 0, 4]),
        (3, 7, [1, 5, 6]),
        (2, 5, [2, 5]),
        (1, 1, [1]),
        (2, 1, [0, 1]),
        (2, 4, [0, 0]),
    ):
        state = jax.tree.map(lambda a, n=rows: a[:n], states(params))
        expected = reference(params, x[:rows, :steps], state, lengths=lengths)
        given = spoiled(x[:rows, :steps], lengths)
        got = session(given, np.int32(lengths), *jax.tree.leaves(state))
        assert_near(got, *expected, f"{rows} rows of {lengths}", BOUND)


@pytest.mark.parametrize("name", ["bidirectional", "peephole", "coupled", "deep"])
def test_apply(name: str) -> None:
    params, x, lengths = CONTRACT[name](), sequence(), np.int32([7, 0, 4])
    state = states(params)
    expected = lstm_jax.apply(params, x, state, lengths=lengths)
    got = Session(to_onnx(params))(x, lengths, *jax.tree.leaves(state))
    assert_near(got, *expected, name, BOUND)


def test_lengths_are_clipped() -> None:
    params, x = stack(HIDDEN, directions=2), sequence()
    state = states(params)
    expected = reference(params, x, state, lengths=[7, 0, 4])
    given = np.int32([8, -1, 4])
    got = Session(to_onnx(params))(x, given, *jax.tree.leaves(state))
    assert_near(got, *expected, "clipped", BOUND)


@pytest.mark.parametrize("lengths", [True, False])
@pytest.mark.parametrize("state", [True, False])
def test_inputs_left_out(lengths: bool, state: bool) -> None:
    params, x = stack(HIDDEN, 4, directions=2), sequence()
    start = states(params) if state else None
    ragged = np.int32([0, 7, 3]) if lengths else None
    session = Session(to_onnx(params, lengths=lengths, state=state))
    given = [x, *([ragged] if lengths else []), *jax.tree.leaves(start)]
    assert_near(
        session(*given), *reference(params, x, start, lengths=ragged), "", BOUND
    )


def _activation(rng: np.random.Generator, names: list[str]) -> ActivationFn:
    name = str(rng.choice(names))
    if rng.random() < 0.3:
        return ActivationFn(name)
    alpha, beta = rng.uniform(0.1, 0.9, 2)
    match name:
        case "affine" | "hard_sigmoid" | "scaled_tanh":
            return ActivationFn(name, alpha, beta)
        case "elu" | "leaky_relu":
            return ActivationFn(name, alpha)
        case "thresholded_relu":
            return ActivationFn(name, 0.2 * alpha)
    return ActivationFn(name)


NAMES = [
    *("affine", "elu", "hard_sigmoid", "leaky_relu", "relu", "scaled_tanh"),
    *("sigmoid", "softplus", "softsign", "tanh", "thresholded_relu"),
]


def _options(rng: np.random.Generator) -> dict[str, Any]:
    """What the two directions of one node share."""
    return {
        "coupled": bool(rng.random() < 0.3),
        "clip": float(rng.uniform(0.2, 0.9)) if rng.random() < 0.4 else None,
    }


def _cell(
    rng: np.random.Generator, inputs: int, units: int, options: dict[str, Any]
) -> LSTMParams:
    if rng.random() < 0.7:
        kinds = ("gate_activation", "candidate_activation", "output_activation")
        options = {**options, **{kind: _activation(rng, NAMES) for kind in kinds}}
    full = CellOptions(**options)
    columns = len(full.gates) * units

    def array(*shape: int) -> np.ndarray:
        return rng.uniform(-0.5, 0.5, shape).astype(np.float32)

    return LSTMParams(
        w_x=array(inputs, columns),
        w_h=array(units, columns),
        b=array(columns) if rng.random() < 0.8 else None,
        peephole=array(len(full.gates) - 1, units) if rng.random() < 0.5 else None,
        options=full,
    )


def _member(rng: np.random.Generator, inputs: int) -> tuple[Any, int]:
    """A layer of any kind, and the width of what it gives."""
    units, options = int(rng.integers(1, 6)), _options(rng)
    kind = rng.choice(["forward", "reverse", "residual", "two", "two", "apart"])
    if kind in ("forward", "reverse", "residual"):
        units = inputs if kind == "residual" else units
        layer = _cell(rng, inputs, units, options)
        wrap = {"forward": lambda p: p, "reverse": Reverse, "residual": Residual}
        return wrap[kind](layer), units
    merge = str(rng.choice(["concat", "concat", "sum", "mul", "ave"]))
    other = options if kind == "two" else _options(rng)
    one, two = (_cell(rng, inputs, units, each) for each in (options, other))
    return Bidirectional(
        one, two, merge=merge
    ), 2 * units if merge == "concat" else units


def _network(rng: np.random.Generator) -> tuple[Any, int]:
    inputs = width = int(rng.integers(1, 5))
    members = []
    for _ in range(rng.integers(1, 4)):
        member, width = _member(rng, width)
        members.append(member)
    if len(members) == 1 and rng.random() < 0.5:
        return members[0], inputs
    return Stack(tuple(members)), inputs


def _call(
    rng: np.random.Generator, params: Any, inputs: int, ragged: bool, begun: bool
) -> tuple[list[Any], tuple[Any, Any]]:
    """What the model is given, and what it must give."""
    rows, steps = (int(n) for n in rng.integers(1, [5, 7]))
    x = rng.standard_normal((rows, steps, inputs)).astype(np.float32)
    lengths = rng.integers(0, steps + 1, rows).astype(np.int32) if ragged else None

    def start(cell: LSTMParams) -> LSTMState:
        shape = (rows, cell.w_h.shape[0])
        h, c = (rng.standard_normal(shape).astype(np.float32) for _ in "hc")
        return LSTMState(h, c)

    state = mirror(params, start) if begun else None
    given = [x] if lengths is None else [spoiled(x, lengths), lengths]
    expected = reference(params, x, state, lengths=lengths)
    return [*given, *jax.tree.leaves(state)], expected


CHUNKS, EACH = 10, 51
# Unbounded activations can grow without end, where float32 has no 2e-6.
LARGEST = 3.0
assert CHUNKS * EACH >= 500


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random(chunk: int) -> None:
    rng = np.random.default_rng(chunk)
    done = 0
    for _ in range(2 * EACH):
        params, inputs = _network(rng)
        ragged, begun = (bool(n) for n in rng.random(2) < 0.7)
        calls = [_call(rng, params, inputs, ragged, begun) for _ in range(2)]
        if (
            max(np.abs(a).max() for a in jax.tree.leaves([c[1] for c in calls]))
            > LARGEST
        ):
            continue
        session = Session(to_onnx(params, lengths=ragged, state=begun))
        for given, expected in calls:
            assert_near(session(*given), *expected, str(params), BOUND)
        done += 1
        if done == EACH:
            return
    raise AssertionError(f"only {done} of {EACH} networks stayed below {LARGEST}")


def _nodes(model: Any, operator: str = "LSTM") -> list[Any]:
    return [node for node in model.graph.node if node.op_type == operator]


def _shapes(values: Any) -> dict[str, list[Any]]:
    def size(axis: Any) -> Any:
        return axis.dim_param or axis.dim_value

    return {v.name: [size(a) for a in v.type.tensor_type.shape.dim] for v in values}


def test_names_and_shapes() -> None:
    params = Stack((Bidirectional(cell(1), cell(2)), Residual(cell(3, 10, 10))))
    model = to_onnx(params)
    where = ("0.0.h", "0.0.c", "0.1.h", "0.1.c", "1.h", "1.c")
    widths = [5, 5, 5, 5, 10, 10]
    states_ = {w: ["B", n] for w, n in zip(where, widths, strict=True)}
    assert _shapes(model.graph.input) == {
        "x": ["B", "T", INPUTS],
        "lengths": ["B"],
        **{f"state.{w}": shape for w, shape in states_.items()},
    }
    assert _shapes(model.graph.output) == {
        "y": ["B", "T", 10],
        **{f"final.{w}": shape for w, shape in states_.items()},
    }
    assert [node.name for node in _nodes(model)] == ["lstm.0", "lstm.1"]
    # The names are the paths of the state's tree.
    paths = [_path(path) for path, _ in _paths(states(params))]
    assert paths == list(where)


def _path(path: Any) -> str:
    return ".".join(str(getattr(key, "idx", getattr(key, "name", ""))) for key in path)


def test_names_of_a_bare_layer() -> None:
    model = to_onnx(cell(), lengths=False)
    assert list(_shapes(model.graph.input)) == ["x", "state.h", "state.c"]
    assert list(_shapes(model.graph.output)) == ["y", "final.h", "final.c"]
    assert [node.name for node in _nodes(model)] == ["lstm"]


def test_says_who_wrote_it() -> None:
    model = to_onnx(cell())
    assert model.producer_name == "lstm_jax"
    assert model.producer_version == lstm_jax.__version__


@pytest.mark.parametrize(
    ("name", "directions"),
    [
        ("bidirectional", ["bidirectional"]),
        ("merge", ["bidirectional"]),
        ("half_biased", ["bidirectional"]),
        ("reverse", ["reverse"]),
        ("two_sizes", ["forward", "reverse"]),
        ("two_ways_of_two_nodes", ["forward", "reverse"]),
        ("reversed_directions", ["reverse", "forward"]),
    ],
)
def test_directions_of_nodes(name: str, directions: list[str]) -> None:
    nodes = _nodes(to_onnx(CONTRACT[name]()))
    found = [
        onnx.helper.get_attribute_value(a).decode()
        for node in nodes
        for a in node.attribute
        if a.name == "direction"
    ]
    assert found == directions


def test_weights_are_exact() -> None:
    params = cell(peephole=True)
    arrays = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in to_onnx(params).graph.initializer
    }
    i, f, g, o = (slice(k * HIDDEN, (k + 1) * HIDDEN) for k in range(4))
    for name, w in (("W", params.w_x), ("R", params.w_h)):
        expected = np.concatenate([w[:, gate].T for gate in (i, o, f, g)])
        np.testing.assert_array_equal(arrays[f"lstm.{name}"], expected[None])
    b = np.concatenate([params.b[gate] for gate in (i, o, f, g)])
    np.testing.assert_array_equal(arrays["lstm.B"], [[*b, *(0 * b)]])
    p = params.peephole[np.array([0, 2, 1])].reshape(1, -1)
    np.testing.assert_array_equal(arrays["lstm.P"], p)


def test_a_coupled_forget_gate_is_zeros() -> None:
    model = to_onnx(cell(peephole=True, options=CellOptions(coupled=True)))
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for name, block in (("W", 2), ("R", 2), ("P", 2)):
        f = arrays[f"lstm.{name}"][0][block * HIDDEN : (block + 1) * HIDDEN]
        np.testing.assert_array_equal(f, 0 * f)


def test_fixed_sizes() -> None:
    params, x = cell(), sequence()
    model = to_onnx(params, dynamic=False, batch=3, steps=7)
    assert _shapes(model.graph.input)["x"] == [3, 7, INPUTS]
    assert _shapes(model.graph.output) == {
        "y": [3, 7, HIDDEN],
        "final.h": [3, HIDDEN],
        "final.c": [3, HIDDEN],
    }
    state = states(params)
    got = Session(model)(x, np.int32([7, 0, 4]), *jax.tree.leaves(state))
    assert_near(got, *reference(params, x, state, lengths=[7, 0, 4]), "", BOUND)
    assert _shapes(to_onnx(params, batch=1).graph.input)["x"] == [1, "T", INPUTS]


@pytest.mark.parametrize("opset", [13, 14, 17, 18, 21, 22])
def test_opsets(opset: int) -> None:
    params, x = CONTRACT["deep"](), sequence()
    model, state = to_onnx(params, opset=opset), states(params)
    assert model.opset_import[0].version == opset
    got = Session(model)(x, np.int32([7, 0, 4]), *jax.tree.leaves(state))
    assert_near(got, *reference(params, x, state, lengths=[7, 0, 4]), "", BOUND)


def test_newest_opset() -> None:
    newest = onnx.defs.onnx_opset_version()
    assert to_onnx(cell(), opset=newest).opset_import[0].version == newest


@pytest.mark.parametrize(
    ("dtype", "bound"),
    [(jnp.float64, 1e-12), (jnp.float16, 2e-3), (jnp.bfloat16, 2e-2)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_dtypes(dtype: Any, bound: float) -> None:
    """ONNX's own evaluator, which knows no lengths: all rows are whole."""

    def cast(tree: Any) -> Any:
        return jax.tree.map(lambda a: np.asarray(a).astype(dtype), tree)

    params, x = cast(CONTRACT["half_biased"]()), cast(sequence())
    model, state = to_onnx(params), cast(states(params))
    feed = [x, np.full(3, 7, np.int32), *jax.tree.leaves(state)]
    names = _shapes(model.graph.input)
    evaluator = onnx.reference.ReferenceEvaluator(model)
    got = evaluator.run(None, dict(zip(names, feed, strict=True)))
    assert {np.asarray(a).dtype for a in got} == {np.dtype(dtype)}
    assert_near(got, *reference(params, x, state), "", bound)


def test_padding_is_left_out_whatever_the_operator_does() -> None:
    """ONNX's own evaluator runs through the padding; NaN there would stay."""
    params, x, lengths = cell(), sequence(), [7, 0, 4]
    evaluator = onnx.reference.ReferenceEvaluator(to_onnx(params, state=False))
    y, *final = evaluator.run(
        None, {"x": spoiled(x, lengths), "lengths": np.int32(lengths)}
    )
    assert np.isfinite(final).all()
    expected, _ = reference(params, x, lengths=lengths)
    assert_near([y], expected, (), "", BOUND)


def test_float64_is_kept_where_jax_has_it_off() -> None:
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), cell())
    with jax.enable_x64(False):
        model = to_onnx(params)
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE


def test_mixed_dtypes_are_promoted() -> None:
    params = cell()
    params = params.replace(w_h=params.w_h.astype(jnp.float16))
    state, x = states(params), sequence()
    got = Session(to_onnx(params))(x, np.int32([7, 0, 4]), *jax.tree.leaves(state))
    assert_near(got, *reference(params, x, state, lengths=[7, 0, 4]), "", BOUND)


@pytest.mark.parametrize("feature", REFUSED)
def test_refused_features(feature: str) -> None:
    with pytest.raises(NotImplementedError) as caught:
        to_onnx(NETWORKS[feature]())
    assert "to_onnx: ONNX cannot express" in str(caught.value)
    assert FEATURES[feature] in str(caught.value)


def test_all_reasons_at_once() -> None:
    params = cell(projection_size=4, options=CellOptions(cell_clip=1.0))
    params = jax.tree.map(lambda a: a.astype(jnp.float8_e4m3fn), params)
    with pytest.raises(NotImplementedError) as caught:
        to_onnx(params)
    assert str(caught.value) == (
        "to_onnx: ONNX cannot express: projection of h (in params); clip of the cell "
        "state (in params); weights in float8_e4m3fn."
    )


def test_refused_bfloat16() -> None:
    params = jax.tree.map(lambda a: a.astype(jnp.bfloat16), cell())
    with pytest.raises(NotImplementedError, match="weights in bfloat16 below opset 22"):
        to_onnx(params, opset=21)


def test_refused_size() -> None:
    """Arrays of one number in memory, seen as many."""

    def wide(*shape: int) -> Any:
        return np.broadcast_to(np.float32(1), shape)

    params = LSTMParams(wide(1, 4 * 2**14), wide(2**14, 4 * 2**14))
    with pytest.raises(NotImplementedError, match="more than 2 GiB of weights"):
        to_onnx(params)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"opset": 12}, ValueError, r"opset must be 13 to \d+; got 12"),
        ({"opset": 999}, ValueError, r"opset must be 13 to \d+; got 999"),
        ({"opset": 22.0}, TypeError, "opset must be an integer; got 22.0"),
        ({"opset": True}, TypeError, "opset must be an integer; got True"),
        ({"batch": 0}, ValueError, "batch must be 1 or more; got 0"),
        ({"steps": "T"}, TypeError, "steps must be an integer; got 'T'"),
        ({"dynamic": False}, ValueError, "batch and steps must be given with"),
        ({"dynamic": False, "batch": 2}, ValueError, "to_onnx: steps must be given"),
    ],
)
def test_arguments(
    arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        to_onnx(cell(), **arguments)


def test_no_network() -> None:
    with pytest.raises(TypeError, match="to_onnx: params must be LSTMParams"):
        to_onnx({"w": np.ones(3)})
