# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""from_onnx on what real files have: weights beside them, parts that cannot be read."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import lstm_jax
from lstm_jax.convert import from_onnx
from tests.compare import assert_same
from tests.onnx_models import lstm, model, node, plain, run, weights

T, B, INPUTS, UNITS = 4, 3, 3, 2
TENSORS = weights(np.random.default_rng(0), INPUTS, UNITS)


def beside(folder: Path, location: str = "w.data", **settings: Any) -> Path:
    """A model whose weights lie in another file."""
    path = folder / "a.onnx"
    onnx.save(
        plain(),
        path,
        save_as_external_data=True,
        size_threshold=0,
        location=location,
        **settings,
    )
    return path


def changed(path: Path, name: str = "W", **entries: Any) -> Path:
    """The model with other entries of where bytes lie; None takes one out."""
    proto = onnx.load(path, load_external_data=False)
    tensor = next(t for t in proto.graph.initializer if t.name == name)
    given = {e.key: e.value for e in tensor.external_data} | entries
    del tensor.external_data[:]
    for key, value in given.items():
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    path.write_bytes(proto.SerializeToString())
    return path


def test_weights_beside_the_file(tmp_path: Path) -> None:
    expected = from_onnx(plain())
    assert_same(from_onnx(beside(tmp_path)), expected)
    assert_same(from_onnx(changed(tmp_path / "a.onnx", length=None)), expected)
    (tmp_path / "own").mkdir()
    for each in (True, False):  # one file for all, a file for each
        path = beside(tmp_path / "own", "x", all_tensors_to_one_file=each)
        assert_same(from_onnx(path), expected)
    (tmp_path / "below").mkdir()
    (tmp_path / "w.data").rename(tmp_path / "below" / "w")
    for name in TENSORS:
        changed(tmp_path / "a.onnx", name, location="below/w")
    assert_same(from_onnx(tmp_path / "a.onnx"), expected)


def test_as_torch_exports_a_network(torch: Any, tmp_path: Path) -> None:
    """By its older exporter, which needs no package; onnxruntime is the oracle."""
    module = torch.nn.LSTM(INPUTS, UNITS, num_layers=2)
    x = torch.randn(T, B, INPUTS, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), tmp_path / "b.onnx", dynamo=False)
    proto = onnx.load(tmp_path / "b.onnx")
    y = next(iter(run(proto, {proto.graph.input[0].name: x.numpy()}).values()))
    onnx.save(proto, tmp_path / "a.onnx", save_as_external_data=True, size_threshold=0)
    found = from_onnx(tmp_path / "a.onnx")
    params: Any = lstm_jax.Stack(tuple(found.values()))
    got, _ = lstm_jax.apply(params, x.numpy(), time_major=True)
    np.testing.assert_allclose(got, y, rtol=0, atol=2e-6)


def test_only_what_is_needed_is_read(tmp_path: Path) -> None:
    proto = plain()
    other = onnx.numpy_helper.from_array(np.ones((2, 2), np.float32), "other")
    onnx.external_data_helper.set_external_data(other, "/etc/hostname", 0, 16)
    other.ClearField("raw_data")
    other.data_location = onnx.TensorProto.EXTERNAL
    proto.graph.initializer.append(other)
    path = tmp_path / "a.onnx"
    path.write_bytes(proto.SerializeToString())
    assert_same(from_onnx(path), from_onnx(plain()))


def link(path: Path) -> None:
    os.symlink(path.parent.parent / "secret", path.parent / "w.data")


def hard_link(path: Path) -> None:
    os.link(path.parent.parent / "secret", path.parent / "w.data")


def link_inside(path: Path) -> None:
    (path.parent / "real").write_bytes(bytes(96))
    os.symlink("real", path.parent / "w.data")


def linked_folder(path: Path) -> None:
    os.symlink(path.parent.parent, path.parent / "folder")
    changed(path, location="folder/secret")


def dangling(path: Path) -> None:
    os.symlink("nowhere", path.parent / "w.data")


def a_pipe(path: Path) -> None:
    os.mkfifo(path.parent / "w.data")


def a_folder(path: Path) -> None:
    (path.parent / "w.data").mkdir()


def at(location: str) -> Callable[[Path], None]:
    def move(path: Path) -> None:
        changed(path, location=location.format(path.parent.parent))

    return move


HARM: dict[str, tuple[Callable[[Path], None], str]] = {
    "up": (at("../secret"), "in its own folder or below; got '../secret'"),
    "up from below": (at("a/../../secret"), "in its own folder or below"),
    "up on Windows": (at("..\\secret"), "in its own folder or below"),
    "absolute": (at("{}/secret"), "in its own folder or below"),
    "of a drive": (at("C:secret"), "in its own folder or below"),
    "no name": (at(""), "in its own folder or below; got ''"),
    "itself": (at("."), "in its own folder or below"),
    "zero": (at("a\0b"), "in its own folder or below"),
    "a link": (link, r"got a link .* not followed"),
    "a hard link": (hard_link, r"got a link .* not followed"),
    "a link within": (link_inside, r"got a link .* not followed"),
    "a linked folder": (linked_folder, r"got a link .* not followed"),
    "a dangling link": (dangling, r"got a link .* not followed"),
    "a pipe": (a_pipe, "there is none"),
    "a folder": (a_folder, "there is none"),
    "nothing": (lambda path: None, "there is none. Put all files of the model into"),
}


@pytest.mark.parametrize("what", HARM)
def test_nothing_outside_of_the_folder_is_read(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(4096))
    path = beside(folder)
    (folder / "w.data").unlink()
    harm, message = HARM[what]
    harm(path)
    with pytest.raises(
        NotImplementedError, match=rf"^from_onnx: .*W must .*another file .*{message}"
    ):
        from_onnx(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": -1}, "offset of 'W' must be a number of bytes; got '-1'"),
        ({"offset": 2**64}, "offset of 'W' must be a number"),
        ({"offset": "9" * 5000}, "offset of 'W' must be a number"),
        ({"offset": "1e3"}, "offset of 'W' must be a number"),
        ({"offset": 2**63 - 1}, "must lie within w.data, which has"),
        ({"offset": 10**6}, "must lie within w.data, which has"),
        ({"length": 95}, "length of 'W' must be 96, by its dims"),
        ({"length": 2**62}, "length of 'W' must be 96, by its dims"),
        ({"length": "x"}, "length of 'W' must be a number"),
    ],
)
def test_offsets_and_lengths(entries: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^from_onnx: .*{message}"):
        from_onnx(changed(beside(tmp_path), **entries))


def test_a_huge_file_of_holes_is_not_read(tmp_path: Path) -> None:
    path = beside(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    tensor = proto.graph.initializer[0]
    tensor.dims[:] = (1, 8, 2**35)
    path.write_bytes(proto.SerializeToString())
    changed(path, length=None, offset=0)
    with (tmp_path / "w.data").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(
        NotImplementedError, match=r"'W' would take up to 1099511627776"
    ):
        from_onnx(path)


def test_one_range_read_again_and_again_is_within_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made is bounded by what lies on disk, the companions included."""
    from lstm_jax.convert import _onnx_model

    monkeypatch.setattr(_onnx_model, "UNPACKED_BYTES", 0)
    monkeypatch.setattr(_onnx_model, "RATIO", 3)
    big = weights(np.random.default_rng(0), 300, 200)
    for count, fits in ((1, True), (9, False)):
        tensors: dict[str, Any] = {}
        nodes = []
        for k in range(count):
            own = {f"{n}{k}": a for n, a in big.items()}
            tensors |= own
            nodes.append(lstm(f"l{k}", ["X", *own], [f"Y{k}"]))
        proto = model(nodes, tensors, ["X"], ["Y0"])
        path = tmp_path / "a.onnx"
        onnx.save(
            proto,
            path,
            save_as_external_data=True,
            size_threshold=0,
            location=f"w{count}",
        )
        proto = onnx.load(path, load_external_data=False)
        for tensor in proto.graph.initializer:  # all are the first three's bytes
            where = proto.graph.initializer["WRB".index(tensor.name[0])].external_data
            found = [(e.key, e.value) for e in where]
            del tensor.external_data[:]
            for key, value in found:
                tensor.external_data.add(key=key, value=value)
        path.write_bytes(proto.SerializeToString())
        with (tmp_path / f"w{count}").open("r+b") as file:
            file.truncate(4 * sum(a.size for a in big.values()) + 2**15)
        if fits:
            assert len(from_onnx(path)) == count
        else:
            with pytest.raises(NotImplementedError, match=r"would take up to \d+ byt"):
                from_onnx(path)


def test_a_constant_beside_the_file_is_read_and_others_operators_values_are_not(
    tmp_path: Path,
) -> None:
    path = beside(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    tensor = next(t for t in proto.graph.initializer if t.name == "W")
    constant = helper.make_node("Constant", [], ["W"], value=tensor)
    proto.graph.initializer.remove(tensor)
    proto.graph.node.insert(0, constant)
    path.write_bytes(proto.SerializeToString())
    assert_same(from_onnx(path), from_onnx(plain()))
    filled = helper.make_node("ConstantOfShape", ["n"], ["W"], value=tensor)
    proto.graph.node[0].CopyFrom(filled)
    proto.graph.initializer.append(
        onnx.numpy_helper.from_array(np.array([1, 8, 3]), "n")
    )
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(
        NotImplementedError, match=r"'W' lies in another file.*ConstantO"
    ):
        from_onnx(path)


# Shapes that cannot be.


def shaped(**shapes: Any) -> Any:
    """A model whose inputs have these shapes: arrays are constants, others declared."""
    order = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c")
    constants = {n: a for n, a in shapes.items() if isinstance(a, np.ndarray)}
    layout = {"layout": 1} if shapes.pop("layout", 0) else {}
    given = [n if n in {"X", *TENSORS, *shapes} else "" for n in order]
    fed = [n for n in ("X", *shapes) if n not in constants]
    proto = model(
        [lstm(inputs=given, hidden_size=UNITS, **layout)],
        {**TENSORS, **constants},
        dict.fromkeys(fed),
        ["Y"],
    )
    for value in proto.graph.input:
        if value.name in shapes:
            value.CopyFrom(
                helper.make_tensor_value_info(value.name, 1, shapes[value.name])
            )
    return proto


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "projected": (
        {"initial_c": np.ones((1, 2, 4), "f")},
        r"initial_c .*\(1, 'B', 2\), by W \(1, 8, 3\), R \(1, 8, 2\).*got \(1, 2, 4\)",
    ),
    "directions": (
        {"initial_h": np.ones((2, B, UNITS), "f")},
        r"initial_h .*\(2, 3, 2",
    ),
    "flat": ({"initial_h": np.ones((B, UNITS), "f")}, "initial_h .*got"),
    "declared": ({"initial_h": (1, "b", 4)}, r"initial_h .*got \(1, None, 4\)"),
    "width of X": ({"X": ("t", "b", 5)}, r"X .*must have shape \('T', 'B', 3\)"),
    "axes of X": ({"X": ("t", 3)}, r"X .*must have shape"),
    "batch": ({"X": (T, B, 3), "initial_h": (1, 5, UNITS)}, r"initial_h .*\(1, 3, 2\)"),
    "lengths": (
        {"X": (T, B, 3), "sequence_lens": np.ones(5, "i")},
        "sequence_lens .*3,",
    ),
    "layout": ({"layout": 1, "initial_c": (1, B, 7)}, r"initial_c .*\('B', 1, 2\)"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_inputs_that_do_not_fit_are_refused(what: str) -> None:
    shapes, message = IMPOSSIBLE[what]
    with pytest.raises(ValueError, match=f"^from_onnx: {message}"):
        from_onnx(shaped(**shapes))


def test_inputs_that_fit_or_are_not_known() -> None:
    state = np.ones((1, B, UNITS), "f")
    expected = from_onnx(plain())
    for shapes in (
        {"X": (T, B, 3), "initial_h": state, "initial_c": ("d", "b", UNITS)},
        {"X": ("t", None, "i"), "sequence_lens": np.ones(B, "i")},
        {"layout": 1, "X": (B, T, 3), "initial_h": (B, 1, UNITS)},
        {"initial_h": ()},
    ):
        assert_same(from_onnx(shaped(**shapes)), expected)


# Of several nodes, some.


def mixed() -> Any:
    """Nodes that can be read beside one of each kind that cannot."""
    other = weights(np.random.default_rng(1), INPUTS, UNITS)
    nodes = [
        lstm("good"),
        lstm("fed", ["X", "w", "R"], ["F"]),
        lstm("torn", ["X", "W", "B"], ["T"]),
        node("QLSTM", "X", "Q", name="quantised", domain="com.example"),
        lstm("other", ["X", "W2", "R2", "B2"], ["O"]),
    ]
    more = {f"{n}2": a for n, a in other.items()}
    return model(nodes, {**TENSORS, **more}, ["X", "w"], ["Y"], more=["com.example"])


def test_names_read_these_and_nothing_else() -> None:
    found = from_onnx(mixed(), names=["other", "good"])
    assert list(found) == ["other", "good"]
    assert_same(found["good"], from_onnx(plain())["lstm"])
    assert from_onnx(mixed(), names=[]) == {}
    with pytest.raises(
        ValueError, match=r"names must be of 'good', 'fed', .*; got 'x'"
    ):
        from_onnx(mixed(), names=["good", "x"])
    with pytest.raises(TypeError, match=r"names must be a list of names; got 'good'"):
        from_onnx(mixed(), names="good")
    with pytest.raises(
        NotImplementedError, match=r"LSTM 'fed': W must .*names=\['good'\].* alone"
    ):
        from_onnx(mixed(), names=["good", "fed"])
    with pytest.raises(NotImplementedError, match=r"QLSTM 'quantised': of domain"):
        from_onnx(mixed(), names=["quantised"])
    with pytest.raises(
        ValueError, match=r"torn' must have .*names=\['good', 'fed', 'q"
    ):
        from_onnx(mixed())


def test_a_message_of_others_is_whole() -> None:
    proto = plain()
    proto.graph.initializer[0].raw_data = b"\x1b[1m"
    with pytest.raises(ValueError, match=r"cannot be read: ValueError: cannot reshape"):
        from_onnx(proto)
