# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""from_torch on what real files and callers have: formats, containers, weights."""

import copy
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.utils import parametrizations, prune

import lstm_jax
from lstm_jax import convert
from lstm_jax.convert import from_torch
from tests.compare import assert_same
from tests.foreign import HIDDEN, INPUTS, LENGTHS, sequence

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:torch"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor"),
    pytest.mark.filterwarnings("ignore:Sparse invariant checks"),
    pytest.mark.filterwarnings("ignore:The tensor attributes self.lstm._flat"),
]


class Net(torch.nn.Module):
    """Two layers, both ways, beside others."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Linear(2, INPUTS)
        self.lstm = torch.nn.LSTM(INPUTS, HIDDEN, batch_first=True, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0]


@pytest.fixture(scope="module")
def net() -> Any:
    return Net(num_layers=2, bidirectional=True)


# Formats, by content.


def save_npz(net: Any, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **{f"a.{n}": a.numpy() for n, a in net.state_dict().items()})


SAVES: dict[str, Callable[[Any, Path], None]] = {
    "torch": lambda net, path: torch.save({"a": net.state_dict()}, path),
    "legacy": lambda net, path: torch.save(
        {"a": net.state_dict()}, path, _use_new_zipfile_serialization=False
    ),
    "safetensors": lambda net, path: save_file(
        {f"a.{n}": a for n, a in net.state_dict().items()}, path
    ),
    "npz": lambda net, path: save_npz(net, path),
}


@pytest.mark.parametrize("name", ["m.ckpt", "m.pth.tar", "m.PT", "m", "m.onnx", "m.h5"])
@pytest.mark.parametrize("form", SAVES)
def test_the_content_tells_the_format(
    form: str, name: str, net: Any, tmp_path: Path
) -> None:
    SAVES[form](net, tmp_path / name)
    assert_same(from_torch(tmp_path / name, "a.lstm"), from_torch(net.lstm))


def test_what_another_function_reads_is_said(net: Any, tmp_path: Path) -> None:
    script, exported = tmp_path / "script.ckpt", tmp_path / "a.pt2"
    torch.jit.script(net).save(script)
    with pytest.raises(ValueError, match="is a TorchScript archive"):
        from_torch(script)
    assert_same(from_torch(script, "lstm", torchscript=True), from_torch(net.lstm))
    torch.export.save(torch.export.export(net, (torch.ones(1, 2, INPUTS),)), exported)
    with pytest.raises(ValueError, match=r"it is an archive of torch\.export, which"):
        from_torch(exported)
    model = tmp_path / "model.pt"
    model.write_bytes(convert.to_onnx(convert.from_torch(net.lstm)).SerializeToString())
    with pytest.raises(ValueError, match="it is an ONNX model, which from_onnx reads"):
        from_torch(model)
    torch.save(net.state_dict(), tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"By its content .* which from_torch reads"):
        convert.from_onnx(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"By its content .* which from_torch reads"):
        convert.from_safetensors(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"By its content .* which from_torch reads"):
        convert.from_keras_h5(tmp_path / "a.onnx")


@pytest.mark.parametrize("name", ["m.pkl", "m.ckpt", "m.bin", "m.th"])
def test_a_plain_pickle_stays_refused_by_any_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"weight_hh_l0": np.ones((4, 1))}))
    with pytest.raises(NotImplementedError, match="plain pickles, may run"):
        from_torch(tmp_path / name)


def test_what_blocks_a_file_is_named_whole(net: Any, tmp_path: Path) -> None:
    for legacy in (False, True):
        torch.save(
            {"sd": net.state_dict(), "best": np.float64(0.5)},
            tmp_path / "a.pt",
            _use_new_zipfile_serialization=not legacy,
        )
        with pytest.raises(ValueError) as raised:
            from_torch(tmp_path / "a.pt")
        said = str(raised.value)
        assert said.startswith("from_torch: ") and "\x1b" not in said
        assert "numpy._core.multiarray.scalar" in said and "pytorch.org/docs" in said
        assert legacy or "state dict saved alone would do" in said


@pytest.mark.parametrize(
    "lost",
    [r".*_l1_reverse", r"bias.*_l1.*", r".*_l0_reverse", r"bias.*_l0_reverse"],
)
def test_layers_of_a_network_have_the_same_kinds_of_weights(
    lost: str, net: Any
) -> None:
    state = net.lstm.state_dict()
    state = {n: a for n, a in state.items() if not re.fullmatch(lost, n)}
    with pytest.raises(ValueError, match="must be there, since other layers or direct"):
        from_torch(state)


# Weights that are computed.


def oracle(module: Any) -> Any:
    """y of a live module in evaluation over ragged rows."""
    pack = torch.nn.utils.rnn.pack_padded_sequence
    x = torch.from_numpy(sequence())
    packed = pack(x, torch.from_numpy(LENGTHS), batch_first=True, enforce_sorted=False)
    with torch.no_grad():
        training, _ = module.training, module.eval()
        y, _ = module(packed)
        module.train(training)
    return torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0].numpy()


def legacy(name: str) -> Any:
    return getattr(torch.nn.utils, name)


TRANSFORMS: dict[str, Callable[[Any, str], Any]] = {
    "weight_norm": parametrizations.weight_norm,
    "weight_norm, dim=1": lambda m, n: parametrizations.weight_norm(m, n, dim=1),
    "old weight_norm": lambda m, n: legacy("weight_norm")(m, n),
    "old weight_norm, no dim": lambda m, n: legacy("weight_norm")(m, n, dim=None),
    "spectral_norm": parametrizations.spectral_norm,
    "old spectral_norm": lambda m, n: legacy("spectral_norm")(m, n),
    "old spectral_norm, dim=1": lambda m, n: legacy("spectral_norm")(m, n, dim=1),
    "pruned": lambda m, n: prune.random_unstructured(m, n, amount=0.4),
}


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_weights_are_those_that_the_network_computes_with(
    kind: str, tmp_path: Path
) -> None:
    model = Net(bidirectional=True)
    for name in ("weight_hh_l0", "weight_ih_l0_reverse"):
        TRANSFORMS[kind](model.lstm, name)
    with torch.no_grad():  # off what it was made of
        for a in model.lstm.parameters():
            a.mul_(torch.linspace(0.5, 2, a.numel()).reshape(a.shape))
    model.lstm(torch.zeros(1, 1, INPUTS))  # the older hooks compute when it is called
    before = copy.deepcopy(model.state_dict())
    expected = oracle(model.lstm)
    torch.save(model.state_dict(), tmp_path / "a.pt")
    found = [
        from_torch(model.lstm),
        from_torch(model, "lstm"),
        from_torch(model.state_dict(), "lstm"),
        from_torch(tmp_path / "a.pt", "lstm"),
    ]
    for params in found:
        y, _ = lstm_jax.apply(params, sequence(), lengths=LENGTHS)
        np.testing.assert_allclose(y, expected, rtol=0, atol=2e-6)
    for name, a in model.state_dict().items():
        assert torch.equal(a, before[name]), name  # nothing was changed


class Twice(torch.nn.Module):
    def forward(self, w: Any) -> Any:
        return 2 * w


@pytest.mark.parametrize("kind", ["orthogonal", "own"])
def test_a_live_module_has_what_its_state_does_not_say(kind: str) -> None:
    module = torch.nn.LSTM(INPUTS, HIDDEN, batch_first=True)
    if kind == "own":
        torch.nn.utils.parametrize.register_parametrization(
            module, "weight_ih_l0", Twice()
        )
    else:
        parametrizations.orthogonal(module, "weight_hh_l0")
    y, _ = lstm_jax.apply(from_torch(module), sequence(), lengths=LENGTHS)
    np.testing.assert_allclose(y, oracle(module), rtol=0, atol=2e-6)
    with pytest.raises(
        NotImplementedError,
        match=r"weight_.h_l0 must be stored .*got parametrizations.*live module",
    ):
        from_torch(module.state_dict())


def test_a_weight_that_cannot_be_computed_hides_no_other_lstm() -> None:
    model = torch.nn.ModuleDict(
        {
            "a": torch.nn.LSTM(2, 3),
            "b": parametrizations.orthogonal(torch.nn.LSTM(2, 3), "weight_hh_l0"),
        }
    )
    assert_same(from_torch(model.state_dict(), "a"), from_torch(model["a"]))


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.LSTMCell])
def test_a_quantised_lstm_is_called_so(kind: Any) -> None:
    quantize = torch.ao.quantization.quantize_dynamic
    model = quantize(torch.nn.ModuleDict({"a": kind(2, 3)}), {kind})
    with pytest.raises(
        NotImplementedError, match=r"the LSTM at 'a' .* a quantised one"
    ):
        from_torch(model, "a")
    prepared = torch.ao.nn.quantizable.LSTM(2, 3)
    with pytest.raises(NotImplementedError, match="made for quantisation"):
        from_torch(prepared)


# Containers, and what is not asked for.


def test_containers(net: Any, tmp_path: Path) -> None:
    expected, state = from_torch(net.lstm), net.state_dict()
    inputs = (torch.ones(1, 2, INPUTS),)
    torch.save({"models": [state], "epoch": 3}, tmp_path / "a.pt")
    for source, prefix in (
        ([{}, state], "1.lstm"),
        ((3, state), "1.lstm"),
        ({"models": [state]}, "models.0.lstm"),
        ([net], "0.lstm"),
        ({"ema": {"net": net}}, "ema.net.lstm"),
        (torch.export.export(net, inputs), "lstm"),
        (tmp_path / "a.pt", "models.0.lstm"),
        (torch.jit.script(net), "lstm"),
    ):
        assert_same(from_torch(source, prefix), expected)
    with pytest.raises(ValueError, match=r"got two by a\.b\.weight_hh_l0"):
        w = torch.ones(4, 1)
        from_torch({"a": {"b.weight_hh_l0": w}, "a.b": {"weight_hh_l0": w}})
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(
        ValueError, match=r"^from_torch: source must be nested at most 64"
    ):
        from_torch(loop)


def test_what_is_not_asked_for_does_not_block(net: Any, tmp_path: Path) -> None:
    state = net.state_dict()
    fp8 = torch.ones(2, 2).to(torch.float8_e4m3fn)
    save_file({**state, "other": fp8}, tmp_path / "a.safetensors")
    arrays = {n: a.numpy() for n, a in state.items()}
    np.savez(tmp_path / "a.npz", other=np.array([object()]), **arrays)
    sparse = torch.sparse_coo_tensor([[0], [0]], [1.0], (2**20, 2**20))
    torch.save({**state, "other": sparse}, tmp_path / "a.pt")
    for suffix in ("safetensors", "npz", "pt"):
        found = from_torch(tmp_path / f"a.{suffix}", "lstm")
        assert_same(found, from_torch(net.lstm))
    with np.load(tmp_path / "a.npz") as archive:
        assert_same(from_torch(archive, "lstm"), from_torch(net.lstm))
    save_file({**state, "lstm.weight_hh_l0": fp8}, tmp_path / "a.safetensors")
    with pytest.raises((ValueError, TypeError), match=r"^from_torch: .*weight_hh_l0"):
        from_torch(tmp_path / "a.safetensors", "lstm")


# Kinds of arguments.


def test_what_has_no_values(net: Any) -> None:
    meta = torch.nn.LSTM(2, 3, device="meta")
    with pytest.raises(
        TypeError, match=r"^from_torch: weight_.* a Tensor on the device meta"
    ):
        from_torch(meta)
    shapes = {n: jax.ShapeDtypeStruct(a.shape, "f") for n, a in arrays(net).items()}
    with pytest.raises(TypeError, match=r"must have values; got a ShapeDtypeStruct"):
        from_torch(shapes)
    with pytest.raises(TypeError, match=r"^from_torch: .*got a tracer, as under jax"):
        jax.jit(from_torch)(arrays(net))
    params = from_torch(net.lstm)
    for write in (convert.to_torch, convert.to_onnx, convert.to_linen):
        with pytest.raises(
            TypeError, match=r"^to_\w+: params must have values; got tr"
        ):
            jax.jit(write)(params)


def arrays(net: Any) -> dict[str, Any]:
    return {n: jnp.asarray(a.numpy()) for n, a in net.lstm.state_dict().items()}


@pytest.mark.parametrize(
    "value, said",
    [
        (torch.ones(12, 3).to_sparse(), "a dense tensor .*torch.sparse_coo"),
        (torch.ones(12, 3).to(torch.float8_e5m2), "torch.float8_e5m2"),
        (torch.ones(12, 3).to_mkldnn(), "a dense tensor .*torch._mkldnn"),
    ],
)
def test_tensors_that_numpy_cannot_hold(value: Any, said: str) -> None:
    state = torch.nn.LSTM(2, 3).state_dict()
    state["weight_hh_l0"] = value
    with pytest.raises(TypeError, match=f"^from_torch: weight_hh_l0 must be .*{said}"):
        from_torch(state)


def test_a_folder_for_a_file(net: Any, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    torch.save(net.state_dict(), folder / "a.pt")
    readers: tuple[Any, ...] = (
        from_torch,
        convert.from_onnx,
        convert.from_keras_h5,
        convert.from_safetensors,
    )
    for read in readers:
        with pytest.raises(
            IsADirectoryError, match=rf"^{read.__name__}: .*Pass .*a\.pt"
        ):
            read(folder)
    params = from_torch(net.lstm)
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        convert.to_safetensors(params, folder, overwrite=True)
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="must be in a folder that is there"):
        convert.to_safetensors(params, folder / "a.safetensors")
