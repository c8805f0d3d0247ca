# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""from_onnx: what it refuses, and files that are torn, corrupt or hostile."""

import itertools
import tracemalloc
import types
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from lstm_jax.convert import from_onnx
from lstm_jax.convert._onnx_model import Model
from tests.onnx_models import body, lstm, model, node, plain, weights

UNITS = 2
TENSORS = weights(np.random.default_rng(0), hidden=UNITS)


def without(*names: str) -> dict[str, Any]:
    return {n: a for n, a in TENSORS.items() if n not in names}


def computed(*nodes: Any, **constants: Any) -> Any:
    """A model whose W is made by nodes."""
    arrays = {n: np.asarray(a) for n, a in constants.items()}
    return model([*nodes, lstm()], {**without("W"), **arrays}, ["X"], ["Y"])


def quantised() -> Any:
    nodes = [
        helper.make_node(
            "DynamicQuantizeLSTM", ["X"], ["Y"], "q", domain="com.microsoft"
        ),
        helper.make_node("QLSTM", ["Y"], ["Z"], "", domain="com.example"),
        lstm("good", outputs=["U"]),
        lstm("fed", ["X", "w", "R", "b"], ["V"]),
    ]
    return model(nodes, TENSORS, ["X", "w", "b"], ["Z"])


def redefined() -> Any:
    function = helper.make_function(
        "", "LSTM", ["X", "W", "R", "B"], ["Y"], [node("Identity", "X", "Y")], []
    )
    return model([lstm()], TENSORS, ["X"], ["Y"], functions=[function])


def called() -> Any:
    function = helper.make_function(
        "own",
        "Make",
        ["a"],
        ["b"],
        [node("Neg", "a", "b")],
        [helper.make_opsetid("", 21)],
    )
    call = helper.make_node("Make", ["a"], ["W"], "make", domain="own")
    arrays = {**without("W"), "a": TENSORS["W"]}
    return model(
        [call, lstm()], arrays, ["X"], ["Y"], functions=[function], more=["own"]
    )


def chosen() -> Any:
    branches = {
        f"{n}_branch": body(n, [node("Neg", "a", n)], "", n) for n in ("then", "else")
    }
    choice = helper.make_node("If", ["yes"], ["W"], "choose", **branches)
    return computed(choice, a=TENSORS["W"], yes=np.array(True))


def external(name: str = "W") -> Any:
    """A model with weights in another file, which is there."""
    proto = plain()
    tensor = next(t for t in proto.graph.initializer if t.name == name)
    onnx.external_data_helper.set_external_data(tensor, "/etc/hostname", 0, 8)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    return proto


def external_in(operator: str, attribute: str) -> Any:
    tensor = external().graph.initializer[0]
    value = helper.make_node(operator, ["n"] * (operator != "Constant"), ["W"])
    value.attribute.append(helper.make_attribute(attribute, tensor))
    return computed(value, n=[1, 8, 3])


# Models and why they are refused.
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "several": (
        quantised,
        r"from_onnx: cannot be read: DynamicQuantizeLSTM 'q': of domain "
        r"'com.microsoft', is not ONNX's own LSTM; QLSTM 'Z': of domain 'com.example', "
        r"is not .*; LSTM 'fed': W must be constant, and 'w' is fed as an input of a "
        r"graph; B must be constant, and 'b' is fed as an input of a graph\.",
    ),
    "redefined": (redefined, r"LSTM 'lstm': of domain 'ai.onnx', is not ONNX's own"),
    "computed from an input": (
        lambda: computed(node("Mul", "X a", "W"), a=1.0),
        r"W must be constant, and 'X' is fed",
    ),
    "not folded": (
        lambda: computed(node("Exp", "a", "W"), a=TENSORS["W"]),
        r"W must be constant, and Exp 'W' is not folded",
    ),
    "of another domain": (
        lambda: computed(
            helper.make_node("Add", ["a", "a"], ["W"], "add", domain="com.example"),
            a=TENSORS["W"],
        ),
        r"Add 'add' of domain 'com.example' is not folded",
    ),
    "by a function": (called, r"Make 'make' of domain 'own' is not folded"),
    "by If": (chosen, r"If 'choose' is not folded"),
    "cannot be folded": (
        lambda: computed(node("Reshape", "a n", "W"), a=TENSORS["W"], n=[5, 5]),
        r"Reshape 'W' cannot be folded \(ValueError: ",
    ),
    "without its input": (
        lambda: computed(node("Transpose", "", "W")),
        r"Transpose 'W' cannot be folded \(IndexError: ",
    ),
    "unknown attribute": (
        lambda: plain(gain=2.0),
        r"LSTM 'lstm' has an unknown attribute 'gain'",
    ),
    "attribute of a later version": (
        lambda: model([lstm(layout=1)], TENSORS, opset=13),
        r"unknown attribute 'layout'",
    ),
    "attribute of an earlier version": (
        lambda: model([lstm(output_sequence=1)], TENSORS, opset=7),
        r"unknown attribute 'output_sequence'",
    ),
    "activation": (
        lambda: plain(activations=["Sigmoid", "Tanh", "Gelu"]),
        r"there is no activation 'Gelu' among ONNX's eleven",
    ),
    "activation without a default": (
        lambda: plain(activations=["Affine", "Tanh", "Tanh"], activation_alpha=[1.0]),
        r"Affine needs activation_beta, which has no default",
    ),
    "opset of the future": (
        lambda: model([lstm()], TENSORS, opset=9999),
        r"opset 9999 is newer than the installed onnx: \d+",
    ),
    "operator of the future": (
        lambda: model(
            [node("CastLike", "W W", "w"), lstm(inputs=["X", "w", "R"])],
            TENSORS,
            opset=7,
        ),
        r"CastLike 'w': opset 7 has no such operator",
    ),
    "external data": (
        external,
        r"'W' lies in another file \(external data\): load it with onnx\.load, which "
        r"checks where the data lie, and pass the model",
    ),
    "external Constant": (
        lambda: external_in("Constant", "value"),
        r"W must be constant, and 'W' lies in another file",
    ),
    "external ConstantOfShape": (
        lambda: external_in("ConstantOfShape", "value"),
        r"W must be constant, and 'W' lies in another file",
    ),
    "external B": (lambda: external("B"), r"B must be constant, and 'B' lies"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    make, message = REFUSED[what]
    with pytest.raises(NotImplementedError, match=message):
        from_onnx(make())


def with_tensor(name: str, **fields: Any) -> Any:
    """The plain model with a tensor's fields put in the place of its own."""
    proto = plain()
    tensor = next(t for t in proto.graph.initializer if t.name == name)
    for field, value in fields.items():
        tensor.ClearField(field)
        if value is not None:
            changed = onnx.TensorProto(**{field: value})
            tensor.MergeFrom(changed)
    return proto


def with_weights(**changed: Any) -> Any:
    return model([lstm()], TENSORS | changed)


def twice(what: str) -> Any:
    proto = plain(hidden_size=UNITS)
    if what == "attribute":
        proto.graph.node[0].attribute.append(proto.graph.node[0].attribute[0])
    elif what == "initializer":
        proto.graph.initializer.append(proto.graph.initializer[0])
    else:
        proto.graph.node.append(node("Neg", "W", what))
    return proto


def bare(field: str) -> Any:
    proto = plain()
    proto.ClearField(field)
    return proto


def sparse(**fields: Any) -> Any:
    return computed(
        helper.make_node("Constant", [], ["W"], sparse_value=sparse_of(**fields))
    )


def sparse_of(indices: Any = (0, 1), dims: Any = (1, 8, 3), shape: Any = (2,)) -> Any:
    return helper.make_sparse_tensor(
        helper.make_tensor("some", 1, [2], [1.0, 2.0]),
        helper.make_tensor("where", 7, shape, indices),
        dims,
    )


def bare_constant() -> Any:
    return computed(helper.make_node("Constant", [], ["W"]))


def with_type(name: str, value: Any) -> Any:
    return plain(**{name: value})


# Models and what is wrong with them.
MALFORMED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no LSTM": (
        lambda: model([node("Neg", "X", "Y")], {}, ["X"], ["Y"]),
        ValueError,
        r"from_onnx: the model must hold an LSTM node; it has Neg\.",
    ),
    "nothing": (
        lambda: model([]),
        ValueError,
        r"must hold an LSTM node; it has no nodes at all",
    ),
    "ir_version": (lambda: bare("ir_version"), ValueError, r"ir_version must be there"),
    "opset_import": (
        lambda: bare("opset_import"),
        ValueError,
        r"opset_import must name a version of ONNX's operators; got none",
    ),
    "opset 0": (
        lambda: model([lstm()], TENSORS, opset=0),
        ValueError,
        r"must name a version .*; got none",
    ),
    "direction": (
        lambda: plain(direction="Forward"),
        ValueError,
        r"direction of LSTM 'lstm' must be forward, reverse or bidirectional; got Fo",
    ),
    "layout": (lambda: plain(layout=2), ValueError, r"layout .* must be 0 or 1; got 2"),
    "input_forget": (
        lambda: plain(input_forget=3),
        ValueError,
        r"input_forget .* must be 0 or 1; got 3",
    ),
    "clip": (lambda: plain(clip=0.0), ValueError, r"clip .* must be positive; got 0.0"),
    "clip, not a number": (
        lambda: plain(clip=float("nan")),
        ValueError,
        r"clip .* must be positive; got nan",
    ),
    "hidden_size": (
        lambda: plain(hidden_size=3),
        ValueError,
        r"LSTM 'lstm' must have hidden_size 2, by the shape of R; got 3",
    ),
    "activations": (
        lambda: plain(activations=["Sigmoid", "Tanh"]),
        ValueError,
        r"activations of LSTM 'lstm' must be 3, three for each direction; got 2",
    ),
    "too many alphas": (
        lambda: plain(activation_alpha=[0.1]),
        ValueError,
        r"activation_alpha .* must have a number for each .*; got 1 too many",
    ),
    "alpha": (
        lambda: plain(
            activations=["Elu", "Tanh", "Tanh"], activation_alpha=[float("inf")]
        ),
        ValueError,
        r"activation_alpha of LSTM 'lstm' must be finite; got inf",
    ),
    "type of an attribute": (
        lambda: with_type("hidden_size", 2.0),
        ValueError,
        r"hidden_size of LSTM 'lstm' must be of type INT; got FLOAT",
    ),
    "directions": (
        lambda: plain(direction="bidirectional"),
        ValueError,
        r"must have W of shape \(2, 8, 3\); got \(1, 8, 3\)",
    ),
    "rank of R": (
        lambda: with_weights(R=np.float32(1)),
        ValueError,
        r"must have W of shape",
    ),
    "B": (
        lambda: with_weights(B=TENSORS["B"][:, 1:]),
        ValueError,
        r"must have B of shape \(1, 16\); got \(1, 15\)",
    ),
    "P": (
        lambda: model(
            [lstm(inputs=["X", "W", "R", "", "", "", "", "P"])],
            {**TENSORS, "P": np.zeros((1, 4), "f")},
        ),
        ValueError,
        r"must have P of shape \(1, 6\); got \(1, 4\)",
    ),
    "missing R": (
        lambda: model([lstm(inputs=["X", "W"])], TENSORS),
        ValueError,
        r"LSTM 'lstm' must have inputs X, W and R; R is not there",
    ),
    "nine inputs": (
        lambda: model([lstm(inputs=["X", "W", "R", *[""] * 5, "B"])], TENSORS),
        ValueError,
        r"must have at most 8 inputs; got 9",
    ),
    "integers": (
        lambda: with_weights(W=np.zeros((1, 8, 3), np.int32)),
        TypeError,
        r"W of LSTM 'lstm' must have a dtype of float16, .*; got int32",
    ),
    "strings": (
        lambda: computed(
            helper.make_node("Constant", [], ["w"], value_strings=["w"] * 24),
            node("Reshape", "w n", "W"),
            n=[1, 8, 3],
        ),
        TypeError,
        r"W of LSTM 'lstm' must have a dtype of float16, .*; got object",
    ),
    "dtypes": (
        lambda: with_weights(R=TENSORS["R"].astype(np.float64)),
        TypeError,
        r"R of LSTM 'lstm' must have .*, one for all; got float64 beside float32",
    ),
    "unknown name": (
        lambda: model([lstm(inputs=["X", "V", "R"])], TENSORS),
        ValueError,
        r"'V' is used and nowhere made",
    ),
    "cycle": (
        lambda: computed(node("Neg", "a", "W"), node("Neg", "W", "a")),
        ValueError,
        r"'W' is computed from itself",
    ),
    "an attribute twice": (
        lambda: twice("attribute"),
        ValueError,
        r"hidden_size of LSTM 'lstm' must be there once; got it again",
    ),
    "an initializer twice": (
        lambda: twice("initializer"),
        ValueError,
        r"initializers must have names of their own",
    ),
    "an output twice": (
        lambda: twice("Y"),
        ValueError,
        r"'Y' must be made once; a second time it is by Neg 'Y'",
    ),
    "an initializer made again": (
        lambda: twice("R"),
        ValueError,
        r"'R' must be made o",
    ),
    "names": (
        lambda: model(
            [
                lstm("a", outputs=["Y"]),
                lstm("a", outputs=["b"]),
                lstm("b", outputs=[""]),
            ],
            TENSORS,
        ),
        ValueError,
        r"LSTM nodes must have names of their own; got 'b'",
    ),
    "no name": (
        lambda: model([lstm("", outputs=[""])], TENSORS),
        ValueError,
        r"must have names of their own; got ''",
    ),
    "too few bytes": (
        lambda: with_tensor("R", raw_data=b"1234"),
        ValueError,
        r"'R' of dims \[1, 8, 2\] cannot be read: ValueError: ",
    ),
    "broken bytes": (
        lambda: with_tensor("R", raw_data=b"12345"),
        ValueError,
        r"'R' of dims \[1, 8, 2\] cannot be read: ValueError: ",
    ),
    "no bytes": (lambda: with_tensor("R", raw_data=None), ValueError, r"'R' of dims"),
    "huge dims": (
        lambda: with_tensor("R", dims=[2**40, 2**40]),
        ValueError,
        r"'R' of dims \[1099511627776, 1099511627776\] cannot be read",
    ),
    "negative dims": (
        lambda: with_tensor("R", dims=[1, -1, 2]),
        ValueError,
        r"'R' of dims \[1, -1, 2\] cannot be read: ValueError: negative dims",
    ),
    "undefined type": (
        lambda: with_tensor("R", data_type=0),
        ValueError,
        r"'R' of dims .* cannot be read",
    ),
    "unknown type": (
        lambda: with_tensor("R", data_type=99),
        ValueError,
        r"'R' of dims .* cannot be read",
    ),
    "segment": (
        lambda: with_tensor("R", segment=onnx.TensorProto.Segment(begin=0, end=1)),
        ValueError,
        r"'R' of dims .* cannot be read",
    ),
    "an empty Constant": (
        bare_constant,
        ValueError,
        r"Constant 'W' must have one value; got none",
    ),
    "sparse, beyond": (
        lambda: sparse(indices=(0, 24)),
        ValueError,
        r"'some', sparse, of dims \[1, 8, 3\] cannot be read",
    ),
    "sparse, negative": (
        lambda: sparse(indices=(-1, 3)),
        ValueError,
        r"'some', sparse, .* cannot be read: negative indices",
    ),
    "sparse, of too many axes": (
        lambda: sparse(indices=(0, 0, 0, 0), shape=(2, 2)),
        ValueError,
        r"'some', sparse, .* cannot be read",
    ),
    "sparse, negative dims": (
        lambda: sparse(dims=(-8, -3)),
        ValueError,
        r"'some', sparse, .* cannot be read",
    ),
    "a mapping": (dict, TypeError, r"source must be an onnx.ModelProto or a path"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed(what: str) -> None:
    make, kind, message = MALFORMED[what]
    with pytest.raises(kind, match=message):
        from_onnx(make())


def test_a_model_that_protobuf_cannot_write_has_a_size() -> None:
    def size() -> int:
        raise OverflowError

    proto = types.SimpleNamespace(functions=[], ByteSize=size)
    assert Model("from_onnx", proto).limit > 2**31


def test_float64_needs_x64() -> None:
    tensors = {n: a.astype(np.float64) for n, a in TENSORS.items()}
    with (
        jax.enable_x64(False),
        pytest.raises(TypeError, match=r"float64 weights would be rounded"),
    ):
        from_onnx(model([lstm()], tensors))


def many(operator: str, count: int) -> Any:
    """A chain of nodes that begins with a and ends with W."""
    names = ["a", *[f"v{k}" for k in range(count - 1)], "W"]
    inputs = {"Concat": 2}.get(operator, 1)
    attributes = {"axis": 0} if operator == "Concat" else {}
    pairs = itertools.pairwise(names)
    nodes = [node(operator, " ".join([a] * inputs), b, **attributes) for a, b in pairs]
    return computed(*nodes, a=TENSORS["W"])


def nested(depth: int) -> Any:
    graph = body("leaf", [lstm()])
    for k in range(depth):
        choice = helper.make_node("If", ["yes"], ["Y"], f"if{k}", then_branch=graph)
        graph = body(f"graph{k}", [choice])
    return model(graph.node, TENSORS, ["X", "yes"], ["Y"])


def functions(calls: int, depth: int) -> Any:
    """Functions that call the next one several times each."""
    made = []
    for k in range(depth):
        inside = [
            helper.make_node(f"F{k + 1}", ["x"], [f"y{c}"], f"n{c}", domain="own")
            for c in range(calls)
        ]
        made.append(
            helper.make_function(
                "own", f"F{k}", ["x"], ["y0"], inside, [helper.make_opsetid("own", 1)]
            )
        )
    call = helper.make_node("F0", ["X"], ["Z"], "call", domain="own")
    return model([call, lstm()], TENSORS, ["X"], ["Y"], functions=made, more=["own"])


def copied(calls: int) -> Any:
    """A function with large weights that is called often."""
    big = np.zeros((1, 4, 2**18), np.float32)
    constants = [
        helper.make_node("Constant", [], [n], value=numpy_helper.from_array(a))
        for n, a in {"W": big, "R": np.zeros((1, 4, 1), "f")}.items()
    ]
    function = helper.make_function(
        "own",
        "F",
        ["X"],
        ["Y"],
        [*constants, lstm(inputs=["X", "W", "R"])],
        [helper.make_opsetid("", 21)],
    )
    nodes = [
        helper.make_node("F", ["X"], [f"Y{k}"], f"call{k}", domain="own")
        for k in range(calls)
    ]
    return model(nodes, {}, ["X"], ["Y0"], functions=[function], more=["own"])


def huge(operator: str, inputs: str, **constants: Any) -> Any:
    return computed(node(operator, inputs, "W"), **constants)


def recursive() -> Any:
    proto = functions(1, 1)
    proto.functions[0].node[0].op_type = "F0"
    return proto


# Small models that would take very much to read.
BOMBS: dict[str, tuple[Callable[[], Any], str]] = {
    "ConstantOfShape": (
        lambda: huge("ConstantOfShape", "n", n=[2**20, 2**20]),
        r"ConstantOfShape 'W' would take up to 8796093022208 bytes, far more than",
    ),
    "Expand": (
        lambda: huge("Expand", "a n", a=np.float32([1]), n=[2**20, 2**10]),
        r"Expand 'W' would take up to",
    ),
    "Expand, beyond NumPy": (
        lambda: huge("Expand", "a n", a=np.float32([1]), n=[2**40, 2**40]),
        r"Expand 'W' (would take up to|cannot be folded)",
    ),
    "Tile": (
        lambda: huge("Tile", "a n", a=np.ones((8, 8)), n=[2**15, 2**15]),
        r"Tile 'W' would take up to",
    ),
    "Range": (
        lambda: huge("Range", "a b c", a=np.int64(0), b=np.int64(2**60), c=np.int64(1)),
        r"Range 'W' would take up to",
    ),
    "Range without end": (
        lambda: huge(
            "Range", "a b c", a=np.float32(0), b=np.float32(np.inf), c=np.float32(1)
        ),
        r"Range 'W' cannot be folded",
    ),
    "Gather": (
        lambda: huge("Gather", "a n", a=np.ones((1, 2**14)), n=np.zeros(2**14, int)),
        r"Gather 'W' would take up to",
    ),
    "Add": (
        lambda: huge("Add", "a b", a=np.ones((2**14, 1)), b=np.ones((1, 2**14))),
        r"Add 'W' would take up to",
    ),
    "Concat": (lambda: many("Concat", 60), r"Concat 'v\d+' would take up to"),
    "Identity": (
        lambda: many("Identity", 5000),
        r"it takes more than 100 operators to compute",
    ),
    "sparse": (lambda: sparse(dims=(2**30, 2**30)), r"'some' would take up to"),
    "weights at every call": (lambda: copied(200), r"would take up to \d+ bytes"),
}


@pytest.mark.parametrize("what", BOMBS)
def test_bombs(what: str) -> None:
    make, message = BOMBS[what]
    proto = make()
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, NotImplementedError), match=message):
            from_onnx(proto)
        assert tracemalloc.get_traced_memory()[1] < 2**30
    finally:
        tracemalloc.stop()


def test_functions_without_end() -> None:
    with pytest.raises(ValueError, match=r"must have at most 30000 nodes, counted at"):
        from_onnx(functions(4, 30))
    with pytest.raises(ValueError, match=r"at most 64 deep; 'call' holds more, or its"):
        from_onnx(recursive())


def test_names_that_are_not_text() -> None:
    changed = plain().SerializeToString().replace(b"LSTM", b"LS\xffM")
    proto = onnx.ModelProto.FromString(changed)
    with pytest.raises(ValueError, match=r"names must be UTF-8; .*LS.xffM"):
        from_onnx(proto)


def test_graphs_may_be_nested() -> None:
    assert list(from_onnx(nested(30))) == ["lstm"]


def test_no_file(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"from_onnx: .* must be a file"):
        from_onnx(tmp_path / "none.onnx")


def test_a_file_is_protobuf_whatever_its_name(tmp_path: Any) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(plain().SerializeToString())
    assert list(from_onnx(str(path))) == ["lstm"]
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"cannot be read as an ONNX model"):
        from_onnx(path)


def test_files_that_are_cut_off(tmp_path: Any) -> None:
    whole, path = plain(hidden_size=UNITS).SerializeToString(), tmp_path / "cut.onnx"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"^from_onnx: "):
            from_onnx(path)
    path.write_bytes(whole)
    assert list(from_onnx(path)) == ["lstm"]


def test_files_with_a_changed_byte(tmp_path: Any) -> None:
    whole = computed(
        node("Slice", "a start end", "b"),
        node("Unsqueeze", "b axes", "W"),
        a=np.concatenate([TENSORS["W"][0]] * 2),
        start=[4],
        end=[12],
        axes=[0],
    ).SerializeToString()
    path, kinds = (
        tmp_path / "changed.onnx",
        (ValueError, TypeError, NotImplementedError),
    )
    read = refused = 0
    for position in range(len(whole)):
        for change in (0x01, 0xFF):
            changed = bytearray(whole)
            changed[position] ^= change
            path.write_bytes(changed)
            try:
                result = from_onnx(path)
            except kinds as error:
                assert str(error).startswith("from_onnx: "), (position, change, error)
                refused += 1
            else:  # a changed weight or name cannot be told
                assert len(result) == 1
                read += 1
    assert min(read, refused) > 100


def test_external_data_are_not_looked_for(tmp_path: Any) -> None:
    path = tmp_path / "external.onnx"
    path.write_bytes(external().SerializeToString())
    with pytest.raises(NotImplementedError, match=r"'W' lies in another file"):
        from_onnx(path)


def test_external_data_loaded_by_onnx_are_read(tmp_path: Any) -> None:
    path = tmp_path / "external.onnx"
    onnx.save(plain(), path, save_as_external_data=True, size_threshold=0, location="w")
    proto = onnx.load(path, load_external_data=False)
    with pytest.raises(
        NotImplementedError, match=r"another file .*; R must be constant"
    ):
        from_onnx(proto)
    assert list(from_onnx(onnx.load(path))) == ["lstm"]
