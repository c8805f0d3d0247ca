# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""from_onnx: weights that are computed from constants; subgraphs and functions."""

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from lstm_jax import Reverse, convert
from lstm_jax.convert._onnx_fold import FOLDED
from tests.compare import assert_same
from tests.onnx_models import body, lstm, model, node, run, weights


def from_onnx(source: Any) -> dict[str, Any]:
    return dict(convert.from_onnx(source))


def literal(name: str, **value: Any) -> Any:
    return helper.make_node("Constant", [], [name], **value)


W = weights(np.random.default_rng(3))["W"]  # (1, 8, 3)
ROWS = np.array([4, 5, 0, 1, 2, 3, 6, 7])
QUANTISED = np.random.default_rng(4).integers(-127, 128, W.shape).astype(np.int8)
SPARSE = helper.make_sparse_tensor(
    helper.make_tensor("values", 1, [3], [0.5, -1.5, 2.5]),
    helper.make_tensor("indices", 7, [3], [0, 7, 22]),
    W.shape[1:],
)
SPARSE_PAIRS = helper.make_sparse_tensor(
    helper.make_tensor("values", 1, [2], [0.5, -1.5]),
    helper.make_tensor("indices", 7, [2, 2], [3, 1, 7, 2]),
    W.shape[1:],
)

# Ways to W: nodes, constants, version of the operators.
FOLDS: dict[str, tuple[list[Any], dict[str, Any], int]] = {
    "transpose": ([node("Transpose", "a", "W", perm=[2, 1, 0])], {"a": W.T}, 21),
    "concat": (
        [node("Concat", "a b c", "W", axis=-2)],
        {"a": W[:, 6:], "b": W[:, :2], "c": W[:, 2:6]},
        21,
    ),
    "unsqueeze": ([node("Unsqueeze", "a n", "W")], {"a": W[0], "n": [0]}, 21),
    "unsqueeze_11": ([node("Unsqueeze", "a", "W", axes=[0])], {"a": W[0]}, 11),
    "squeeze": ([node("Squeeze", "a n", "W")], {"a": W[None], "n": [0]}, 21),
    "squeeze_11": ([node("Squeeze", "a", "W", axes=[1])], {"a": W[:, None]}, 11),
    "slice": (
        [node("Slice", "a start end axes steps", "W")],
        {
            "a": np.concatenate([W, W], 1),
            "start": [-1],
            "end": [-9],
            "axes": [1],
            "steps": [-1],
        },
        21,
    ),
    "slice_without_axes": (
        [node("Slice", "a start end - steps", "W")],
        {
            "a": np.repeat(W, 2, 0),
            "start": [0, 0, 0],
            "end": [9, 9, 9],
            "steps": [2, 1, 1],
        },
        21,
    ),
    "slice_9": (
        [node("Slice", "a", "W", axes=[1], starts=[1], ends=[9])],
        {"a": np.concatenate([W, W], 1)},
        9,
    ),
    "reshape": ([node("Reshape", "a n", "W")], {"a": W[0], "n": [1, -1, 3]}, 21),
    "flatten": (
        [node("Flatten", "a", "b", axis=2), node("Unsqueeze", "b n", "W")],
        {"a": W.reshape(2, 4, 3), "n": [0]},
        21,
    ),
    "split": (
        [
            node("Split", "a", "i o f c", axis=1, num_outputs=4),
            node("Concat", "i f c o", "W", axis=1),
        ],
        {"a": W},
        21,
    ),
    "split_11": (
        [
            node("Split", "a", "b c", axis=1, split=[6, 2]),
            node("Concat", "c b", "W", axis=1),
        ],
        {"a": W},
        11,
    ),
    "identity": (
        [node("Identity", "a", "b"), node("Identity", "b", "W")],
        {"a": W},
        21,
    ),
    "cast": ([node("Cast", "a", "W", to=1)], {"a": W.astype(np.float64) / 3}, 21),
    "cast_like": ([node("CastLike", "a b", "W")], {"a": W.astype("e"), "b": W}, 21),
    "arithmetic": (
        [
            node("Mul", "a b", "c"),
            node("Add", "c d", "e"),
            node("Sub", "e b", "f"),
            node("Div", "f g", "h"),
            node("Neg", "h", "k"),
            node("Pow", "k two", "l"),
            node("Sqrt", "l", "m"),
            node("Reciprocal", "m", "n"),
            node("Where", "which n a", "W"),
        ],
        {
            "a": W,
            "b": W[:, :, :1],
            "d": np.float32(0.3),
            "g": np.float32([1, 2, 3]),
            "two": np.float32(2),
            "which": W > 0.5,
        },
        21,
    ),
    "gather": ([node("Gather", "a n", "W", axis=1)], {"a": W, "n": ROWS}, 21),
    "constant_of_shape": (
        [
            node("Shape", "a", "s"),
            node(
                "ConstantOfShape",
                "s",
                "b",
                value=numpy_helper.from_array(np.float32([0.25])),
            ),
            node("Add", "a b", "W"),
        ],
        {"a": W},
        21,
    ),
    "expand": ([node("Expand", "a n", "W")], {"a": W[:, :1], "n": [1, 8, 3]}, 21),
    "tile": ([node("Tile", "a n", "W")], {"a": W[:, :2], "n": [1, 4, 1]}, 21),
    "range": (
        [
            node("Size", "rows", "n"),
            node("Range", "zero n one", "r"),
            node("Gather", "a r", "W", axis=1),
        ],
        {"a": W, "rows": np.zeros((2, 4)), "zero": np.int64(0), "one": np.int64(1)},
        21,
    ),
    "dequantize": (
        [node("DequantizeLinear", "a scale", "W")],
        {"a": QUANTISED, "scale": np.float32(0.01)},
        21,
    ),
    "dequantize_by_row": (
        [node("DequantizeLinear", "a scale zero", "W", axis=1)],
        {
            "a": QUANTISED,
            "scale": np.linspace(0.005, 0.02, 8, dtype="f"),
            "zero": np.arange(8, dtype=np.int8),
        },
        21,
    ),
    "constant": ([literal("W", value=numpy_helper.from_array(W))], {}, 21),
    "constant_sparse": (
        [literal("a", sparse_value=SPARSE), node("Unsqueeze", "a n", "W")],
        {"n": [0]},
        21,
    ),
    "constant_sparse_pairs": (
        [literal("a", sparse_value=SPARSE_PAIRS), node("Unsqueeze", "a n", "W")],
        {"n": [0]},
        21,
    ),
    "constant_numbers": (
        [
            literal("a", value_floats=W.ravel().tolist()),
            literal("n", value_ints=[1, 8, 3]),
            literal("s", value_float=0.5),
            literal("two", value_int=2),
            node("Cast", "two", "t", to=1),
            node("Reshape", "a n", "b"),
            node("Mul", "b s", "c"),
            node("Mul", "c t", "W"),
        ],
        {},
        21,
    ),
    "outputs_in_disorder": (
        [node("Neg", "b", "W"), node("Neg", "a", "b")],  # b is made after its use
        {"a": W},
        21,
    ),
}


@pytest.mark.parametrize("way", FOLDS)
def test_weights_computed_from_constants(way: str) -> None:
    nodes, constants, opset = FOLDS[way]
    rest = weights(np.random.default_rng(0))
    del rest["W"]
    arrays = {n: np.asarray(a) for n, a in constants.items()}
    runnable = nodes[::-1] if way == "outputs_in_disorder" else nodes
    made = run(model(runnable, arrays, [], ["W"], opset=opset), {})["W"]
    got = from_onnx(model([lstm(), *nodes], arrays | rest, ["X"], ["Y"], opset=opset))
    assert_same(got, from_onnx(model([lstm()], {"W": made, **rest})))


def test_every_folded_operator_is_tried() -> None:
    tried = {n.op_type for nodes, _, _ in FOLDS.values() for n in nodes}
    assert tried == {*FOLDED, "Constant"}


def test_a_sparse_initializer() -> None:
    rest = weights(np.random.default_rng(0))
    proto = model([lstm()], rest)
    w = proto.graph.initializer.pop(0)
    assert w.name == "W"
    sparse = proto.graph.sparse_initializer.add()
    sparse.CopyFrom(SPARSE)
    sparse.dims[:] = W.shape
    sparse.values.name = "W"
    dense = np.zeros(W.size, np.float32)
    dense[[0, 7, 22]] = [0.5, -1.5, 2.5]
    wanted = from_onnx(model([lstm()], rest | {"W": dense.reshape(W.shape)}))
    assert_same(from_onnx(proto), wanted)


def test_an_initializer_that_is_an_input_too_is_constant() -> None:
    tensors = weights(np.random.default_rng(0))
    got = from_onnx(model([lstm()], tensors, ["X", *tensors], ["Y"], ir_version=3))
    assert_same(got, from_onnx(model([lstm()], tensors)))


def test_nodes_in_subgraphs_see_the_names_around_them() -> None:
    tensors = weights(np.random.default_rng(0))
    inner = weights(np.random.default_rng(1))
    backward = body("else", [lstm("down", direction="reverse")])
    forward = body("then", [lstm("up", ["X", "W", "R", "twice"])])
    own = numpy_helper.from_array(inner["W"], "W")  # hides the one around
    scanned = body("scan", [lstm("", ["x", "W", "R"], ["y"])], "x", "y")
    scanned.initializer.append(own)
    nodes = [
        node("Add", "B B", "twice"),
        helper.make_node(
            "If", ["which"], ["Y"], "if", then_branch=forward, else_branch=backward
        ),
        helper.make_node("Scan", ["X"], ["Z"], "scan", body=scanned, num_scan_inputs=1),
    ]
    got = from_onnx(model(nodes, tensors, ["X", "which"], ["Y", "Z"]))

    def alone(**changed: Any) -> Any:
        return from_onnx(model([lstm()], tensors | changed))["lstm"]

    assert_same(got["up"], alone(B=2 * tensors["B"]))
    assert isinstance(got["down"], Reverse)
    assert_same(got["down"].inner, alone())
    assert_same(got["y"].w_x, alone(W=inner["W"]).w_x)
    assert got["y"].b is None
    assert sorted(got) == ["down", "up", "y"]


def test_functions_are_read_where_they_are_called() -> None:
    one, two = (weights(np.random.default_rng(k)) for k in (1, 2))
    inside = lstm("inner", ["x", "w", "Rt", "b"], ["y"])
    inside.attribute.append(helper.make_attribute("direction", "", None, 3))
    inside.attribute[0].ClearField("s")
    inside.attribute[0].ref_attr_name = "way"
    layer = helper.make_function(
        "own",
        "Layer",
        ["x", "w", "r", "b"],
        ["y"],
        [node("Transpose", "r", "Rt", perm=[0, 2, 1]), inside],
        [helper.make_opsetid("", OPSET_OF_FUNCTION)],
        attributes=["way"],
    )
    wrap = helper.make_function(
        "own",
        "OwnLSTM",
        ["x", "w", "r", "b"],
        ["y"],
        [
            helper.make_node(
                "Layer",
                ["x", "w", "r", "b"],
                ["y"],
                "call",
                domain="own",
                way="reverse",
            )
        ],
        [helper.make_opsetid("own", 1)],
    )
    tensors = {f"{n}{k}": a for k, t in enumerate((one, two)) for n, a in t.items()}
    tensors |= {f"R{k}": tensors[f"R{k}"].transpose(0, 2, 1) for k in (0, 1)}
    calls = [
        helper.make_node(
            "Layer",
            ["X", "W0", "R0", "B0"],
            ["Y0"],
            "first",
            domain="own",
            way="forward",
        ),
        helper.make_node("OwnLSTM", ["X", "W1", "R1", "B1"], ["Y1"], domain="own"),
        helper.make_node("Layer", ["X", "W1", "R1"], ["Y2"], "last", domain="own"),
    ]
    proto = model(
        calls, tensors, ["X"], ["Y0", "Y1", "Y2"], functions=[layer, wrap], more=["own"]
    )
    with pytest.raises(NotImplementedError, match=r"'b' is not given"):
        from_onnx(proto)
    proto.graph.node[2].input.append("B0")
    got = from_onnx(proto)
    assert list(got) == ["first/y", "Y1/call/y", "last/y"]
    assert_same(got["first/y"], from_onnx(model([lstm()], one))["lstm"])
    assert_same(got["Y1/call/y"], Reverse(from_onnx(model([lstm()], two))["lstm"]))
    assert_same(got["last/y"].w_x, got["Y1/call/y"].inner.w_x)


OPSET_OF_FUNCTION = 14


def test_names_that_are_there_twice_get_their_graphs_before_them() -> None:
    tensors = weights(np.random.default_rng(0))
    branches = {
        f"{name}_branch": body(
            name, [lstm("same", outputs=[f"Y_{name}"])], "", f"Y_{name}"
        )
        for name in ("then", "else")
    }
    nodes = [
        lstm("same", outputs=["Y"]),
        lstm("other", outputs=["Z"]),
        helper.make_node("If", ["which"], ["V"], "if", **branches),
    ]
    got = from_onnx(model(nodes, tensors, ["X", "which"], ["Y", "Z", "V"]))
    assert sorted(got) == [
        "Y",
        "if.else_branch/Y_else",
        "if.then_branch/Y_then",
        "other",
    ]
