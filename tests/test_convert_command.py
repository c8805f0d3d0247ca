# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""`python -m lstm_jax.convert IN OUT`: what it reads, says, writes and refuses."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

import lstm_jax
from lstm_jax import convert
from lstm_jax.convert.__main__ import describe, main
from tests.compare import assert_same
from tests.foreign import HIDDEN, INPUTS, cell, sequence, stack, torch_state

pytestmark = [
    pytest.mark.filterwarnings("ignore:::keras"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.safetensors"
    convert.to_safetensors(stack(HIDDEN, HIDDEN, directions=2), path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt", ".onnx", ".keras"])
def test_there_and_back(suffix: str, source: Path, capsys: Any) -> None:
    target = source.parent / f"out{suffix}"
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert main([str(source), str(target)]) == 0, capsys.readouterr()
    said = capsys.readouterr().out
    assert "both ways (LSTM 3 -> 5; LSTM 3 -> 5; concat), then both ways" in said
    assert "float32" in said and f"written: {target}" in said
    params: Any = stack(HIDDEN, HIDDEN, directions=2)
    if suffix in (".onnx", ".keras"):  # a network is several nodes, or layers, there
        read: Any = convert.from_onnx if suffix == ".onnx" else convert.from_keras_h5
        for a, b in zip(read(target).values(), params.layers, strict=True):
            assert_same(a, b)
        return
    own = suffix == ".safetensors"
    again = (convert.from_safetensors if own else convert.from_torch)(target)
    assert_same(again, params)


def test_a_layer_of_onnx_becomes_an_lstm_of_torch(torch: Any, tmp_path: Path) -> None:
    model = convert.to_onnx(cell()).SerializeToString()
    (tmp_path / "in.onnx").write_bytes(model)
    target = tmp_path / "out.pt"
    assert main([str(tmp_path / "in.onnx"), str(target)]) == 0
    assert_same(convert.from_torch(target), lstm_jax.Stack((cell(),)))


def test_torch_names_in_safetensors(source: Path) -> None:
    target = source.parent / "torch.safetensors"
    assert main([str(source), str(target), "--torch-names"]) == 0
    assert_same(convert.from_torch(target), convert.from_safetensors(source))
    assert main([str(target), str(target.with_suffix(".npz"))]) == 0


def test_nothing_is_overwritten_unasked(source: Path, capsys: Any) -> None:
    target = source.parent / "out.npz"
    target.write_bytes(b"mine")
    assert main([str(source), str(target)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert target.read_bytes() == b"mine"
    assert main([str(source), str(target), "--overwrite"]) == 0
    assert_same(convert.from_torch(target), convert.from_safetensors(source))


def test_one_of_several(tmp_path: Path, capsys: Any) -> None:
    two = torch_state("two.", 3, 4, dtype=np.float64)
    np.savez(tmp_path / "in.npz", **torch_state("one.", 2, 3), **two)
    source, target = str(tmp_path / "in.npz"), str(tmp_path / "out.safetensors")
    assert main([source]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "one: LSTM 2 -> 3, float32",
        "two: LSTM 3 -> 4, float64",
    ]
    assert main([source, target]) == 1
    assert "--name must be one of 'one', 'two'; got None" in capsys.readouterr().err
    assert main([source, target, "--name", "two"]) == 0
    assert_same(convert.from_safetensors(target), convert.from_torch(two, "two"))


def test_another_cell_hides_no_lstm(tmp_path: Path, capsys: Any) -> None:
    gru, lstm = torch_state("a.", 2, 3, gates=3), torch_state("b.", 2, 3)
    np.savez(tmp_path / "in.npz", **gru, **lstm)
    assert main([str(tmp_path / "in.npz")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("a: no LSTM (from_torch: weight_")
    assert second == "b: LSTM 2 -> 3, float32"


def test_keras_files_turn_no_sequence_round(tmp_path: Path, capsys: Any) -> None:
    convert.to_safetensors(lstm_jax.Reverse(cell()), tmp_path / "in.safetensors")
    target = tmp_path / "out.keras"
    assert main([str(tmp_path / "in.safetensors"), str(target)]) == 1
    assert "cannot hold a Reverse at its end" in capsys.readouterr().err
    assert not target.exists()


def test_torchscript_has_to_be_asked_for(
    torch: Any, tmp_path: Path, capsys: Any
) -> None:
    torch.jit.script(torch.nn.Sequential(torch.nn.LSTM(2, 3))).save(tmp_path / "in.pt")
    source, target = str(tmp_path / "in.pt"), str(tmp_path / "out.safetensors")
    assert main([source, target]) == 1
    assert "--torchscript" in capsys.readouterr().err
    assert main([source, target, "--torchscript"]) == 0


@pytest.mark.parametrize(
    "target, message",
    [
        ("out.txt", "OUT must end with one of"),
        ("out.onnx", "to_onnx: ONNX cannot express: clip of the cell state"),
        ("out.pt", "to_torch: torch cannot express: clip of the cell state"),
    ],
)
def test_refusals_leave_nothing(
    target: str, message: str, tmp_path: Path, capsys: Any
) -> None:
    source = tmp_path / "in.safetensors"
    params = cell(options=lstm_jax.CellOptions(cell_clip=1.0))
    convert.to_safetensors(params, source)
    assert main([str(source), str(tmp_path / target)]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]


def test_what_is_no_file_or_has_no_lstm(tmp_path: Path, capsys: Any) -> None:
    assert main([str(tmp_path / "nowhere.npz")]) == 1
    assert "nowhere.npz must be a file" in capsys.readouterr().err
    np.savez(tmp_path / "linear.npz", weight=np.ones((3, 2)), bias=np.ones(3))
    assert main([str(tmp_path / "linear.npz")]) == 1
    assert "must have an LSTM in it" in capsys.readouterr().err


def test_a_description_says_what_is_beyond_the_plain() -> None:
    params = lstm_jax.Stack(
        (
            lstm_jax.Residual(cell(hidden=INPUTS, peephole=True)),
            lstm_jax.Reverse(cell(projection_size=4, dtype=jnp.float16)),
        )
    )
    assert describe(params) == (
        "residual (LSTM 3 -> 3), then reverse (LSTM 3 -> 5 -> 4), float16/float32, "
        "peepholes, projection of h"
    )


def test_as_a_command(source: Path) -> None:
    target = source.parent / "out.npz"
    run = subprocess.run(
        [sys.executable, "-m", "lstm_jax.convert", source, target],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    assert target.exists()


def test_the_content_tells_what_is_read(
    torch: Any, tmp_path: Path, capsys: Any
) -> None:
    torch.save(torch.nn.LSTM(2, 3).state_dict(), tmp_path / "in.ckpt")
    (tmp_path / "model.bin").write_bytes(convert.to_onnx(cell()).SerializeToString())
    for name, listed in (("in.ckpt", "in.ckpt: LSTM 2 -> 3"), ("model.bin", "lstm: ")):
        assert main([str(tmp_path / name)]) == 0, capsys.readouterr()
        assert capsys.readouterr().out.startswith(listed)


def run_layers(params: Any) -> Any:
    """y of a network over the sequence that all tests have."""
    return lstm_jax.apply(params, sequence())[0]


@pytest.mark.parametrize("suffix", [".onnx", ".keras"])
def test_layers_in_sequence_become_one_stack(
    suffix: str, tmp_path: Path, capsys: Any
) -> None:
    """Of both directions, and of one from the end below others (Keras flips those)."""
    params: Any = lstm_jax.Stack(
        (
            lstm_jax.Reverse(cell()),
            lstm_jax.Bidirectional(cell(1, HIDDEN), cell(2, HIDDEN)),
            lstm_jax.Reverse(cell(4, 2 * HIDDEN)),
            cell(3, HIDDEN),
        )
    )
    whole, layers = tmp_path / f"a{suffix}", tmp_path / "b.safetensors"
    convert.to_safetensors(params, tmp_path / "in.safetensors")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert main([str(tmp_path / "in.safetensors"), str(whole)]) == 0
        capsys.readouterr()
        assert main([str(whole), str(layers)]) == 0, capsys.readouterr()
    said = capsys.readouterr().out
    assert "one after the other: " in said
    assert_same(convert.from_safetensors(layers), params)
    names = [line.partition(":")[0] for line in said.splitlines()[:4]]
    asked = [part for name in names[:2] for part in ("--name", name)]
    two = tmp_path / "two.safetensors"
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert main([str(whole), str(two), *asked]) == 0, capsys.readouterr()
        assert_same(
            run_layers(convert.from_safetensors(two)),
            run_layers(lstm_jax.Stack(params.layers[:2])),
        )
        assert main([str(whole), str(two), "--overwrite", *asked[2:], *asked[:2]]) == 1
    assert "in sequence: params.layers[1]" in capsys.readouterr().err


def test_a_stack_of_torch_comes_back_through_onnx(torch: Any, tmp_path: Path) -> None:
    """As torch exports it: between its layers stand operators that turn axes."""
    module = torch.nn.LSTM(INPUTS, HIDDEN, num_layers=2, bidirectional=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.ones(4, 2, INPUTS),), tmp_path / "in.onnx", dynamo=False
        )
    assert main([str(tmp_path / "in.onnx"), str(tmp_path / "out.npz")]) == 0
    assert_same(convert.from_torch(tmp_path / "out.npz"), convert.from_torch(module))


def test_what_is_no_sequence_has_to_be_said(tmp_path: Path, capsys: Any) -> None:
    """A residual stack: something is computed between the layers."""
    params = lstm_jax.Stack(
        (lstm_jax.Residual(cell(hidden=INPUTS)), cell(1, INPUTS, INPUTS))
    )
    source, target = tmp_path / "in.onnx", tmp_path / "out.npz"
    source.write_bytes(convert.to_onnx(params).SerializeToString())
    assert main([str(source), str(target)]) == 1
    said = capsys.readouterr().err
    assert "got None. Layers in sequence: --name for each" in said
    assert main([str(source), str(target), "--name", "lstm.0", "--name", "lstm.1"]) == 0
    np.savez(tmp_path / "b.npz", **torch_state("a."), **torch_state("b."))
    both = ["--name", "a", "--name", "b"]  # of torch each is a whole network
    assert main([str(tmp_path / "b.npz"), str(tmp_path / "c.npz"), *both]) == 1


def test_one_node_that_cannot_be_read_hides_no_other(
    tmp_path: Path, capsys: Any
) -> None:
    from tests.test_convert_onnx_callers import mixed

    (tmp_path / "in.onnx").write_bytes(mixed().SerializeToString())
    assert main([str(tmp_path / "in.onnx")]) == 0
    out = capsys.readouterr().out
    assert "good: LSTM 3 -> 2" in out and "fed: no LSTM (from_onnx: cannot be" in out
    target = str(tmp_path / "out.npz")
    assert main([str(tmp_path / "in.onnx"), target, "--name", "other"]) == 0
    assert main([str(tmp_path / "in.onnx"), target, "--name", "fed"]) == 1


def test_what_is_assumed_of_bare_weights_is_said(tmp_path: Path, capsys: Any) -> None:
    import h5py

    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        for k, a in enumerate((cell().w_x, cell().w_h, cell().b)):
            file[f"layers/lstm/cell/vars/{k}"] = a
    assert main([str(tmp_path / "a.weights.h5")]) == 0
    assert (
        "assumed, since nothing says it (--config): tanh and" in capsys.readouterr().out
    )


def test_activations_are_named() -> None:
    options = lstm_jax.CellOptions(lstm_jax.ActivationFn("hard_sigmoid", 0.2, 0.5))
    assert describe(cell(options=options)).endswith(
        ", activations hard_sigmoid(0.2, 0.5), tanh, tanh"
    )


def test_names_in_a_file_are_no_codes_for_a_terminal(
    tmp_path: Path, capsys: Any
) -> None:
    code = "\x1b]0;title\x07\x1b[31mred"
    lstm, gru = torch_state(f"{code}.", 2, 3), torch_state(f"b{code}.", 2, 3, gates=3)
    source = tmp_path / "in.safetensors"
    save_file({**lstm, **gru}, source)
    assert main([str(source)]) == 0
    assert main([str(source), str(tmp_path / "a.npz"), "--name", code]) == 0
    assert main([str(source), str(tmp_path / f"{code}.x")]) == 1
    out, err = capsys.readouterr()
    assert "red: LSTM 2 -> 3" in out and not set("\x1b\x07") & set(out + err)


def test_weights_beside_an_onnx_file(tmp_path: Path) -> None:
    import onnx

    onnx.save(
        convert.to_onnx(cell()),
        tmp_path / "in.onnx",
        save_as_external_data=True,
        size_threshold=0,
    )
    assert main([str(tmp_path / "in.onnx"), str(tmp_path / "a.safetensors")]) == 0
    assert_same(convert.from_safetensors(tmp_path / "a.safetensors"), cell())
