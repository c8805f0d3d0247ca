# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""torch: its modules, names and files; live modules are the oracle."""

import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import lstm_jax
from lstm_jax.convert import from_torch, to_torch
from tests.cases import weighted
from tests.compare import FLOAT64, assert_close, assert_same
from tests.foreign import HIDDEN, INPUTS, LENGTHS, cell, sequence, stack, states
from tests.models import extract

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.jit:DeprecationWarning", "ignore::DeprecationWarning:torch"
)
VARIANTS: dict[str, dict[str, Any]] = {
    "one": {},
    "deep": {"num_layers": 3},
    "both": {"num_layers": 2, "bidirectional": True},
    "projected": {"num_layers": 2, "bidirectional": True, "proj_size": 4},
    "unbiased": {"num_layers": 2, "bias": False},
}


def module(dtype: Any = torch.float64, **options: Any) -> Any:
    torch.manual_seed(0)
    made = torch.nn.LSTM(INPUTS, HIDDEN, batch_first=True, dtype=dtype, **options)
    with torch.no_grad():  # U(±1/√H) leaves no gate far from its middle
        for weight in made.parameters():
            weight.mul_(2)
    return made


def torch_state(state: Any) -> tuple[Any, Any]:
    """Ours as torch's: h and c (layers · directions, B, …)."""
    leaves = [torch.from_numpy(np.array(a)) for a in jax.tree.leaves(state)]
    return torch.stack(leaves[0::2]), torch.stack(leaves[1::2])


def ragged(made: Any, x: Any, state: Any) -> Any:
    """y with zeros in the padding, and the state after each row's last step."""
    pack = torch.nn.utils.rnn.pack_padded_sequence
    packed = pack(x, torch.from_numpy(LENGTHS), batch_first=True, enforce_sorted=False)
    y, (h, c) = made(packed, state)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
    return y, h, c


@pytest.mark.parametrize("dtype, bound", [("float64", 1e-12), ("float32", 2e-6)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_both_ways(variant: str, dtype: Any, bound: float) -> None:
    """Ours on its weights, and its on ours: ragged rows, states, all that comes out."""
    theirs = module(getattr(torch, dtype), **VARIANTS[variant])
    params = from_torch(theirs)
    x, start = sequence(dtype=dtype), states(params, dtype)
    again = module(getattr(torch, dtype), **VARIANTS[variant])
    with torch.no_grad():
        for weight in again.parameters():
            weight.zero_()
    again.load_state_dict(to_torch(params))
    y, state = lstm_jax.apply(params, x, start, lengths=LENGTHS)
    for each in (theirs, again):
        expected = ragged(each, torch.from_numpy(x), torch_state(start))
        for a, b in zip((y, *torch_state(state)), expected, strict=True):
            np.testing.assert_allclose(a, b.detach(), rtol=0, atol=bound)
    assert_same(from_torch(to_torch(params)), params)


def test_gradients() -> None:
    """Of one loss over valid steps and final states, for every weight, x and state."""
    theirs = module(num_layers=2, bidirectional=True, proj_size=4)
    params = from_torch(theirs)
    x, start = sequence(dtype="float64"), states(params, "float64")

    def loss(params: Any, x: Any, start: Any) -> Any:
        y, state = lstm_jax.apply(params, x, start, lengths=LENGTHS)
        leaves = jax.tree.leaves(state)
        return weighted([y, jnp.stack(leaves[0::2]), jnp.stack(leaves[1::2])])

    got = jax.grad(loss, (0, 1, 2))(params, x, start)
    inputs = [torch.from_numpy(x), *torch_state(start)]
    inputs = [a.requires_grad_() for a in inputs]
    outputs = ragged(theirs, inputs[0], (inputs[1], inputs[2]))
    rng = np.random.default_rng(99)  # the weights of `weighted`
    total = sum(
        (a * torch.from_numpy(rng.standard_normal(a.shape))).sum() + 0.1 * (a**2).sum()
        for a in outputs
    )
    total.backward()
    named = {n: p.grad for n, p in theirs.named_parameters() if "bias_hh" not in n}
    zero = {n: torch.zeros(4 * HIDDEN) for n in theirs.state_dict() if "bias_hh" in n}
    zero = {n: a.double() for n, a in zero.items()}
    assert_close(got[0], from_torch({**named, **zero}), FLOAT64)
    assert_close(got[1], inputs[0].grad, FLOAT64)
    ours = [a.numpy() for a in torch_state(got[2])]
    assert_close(ours, [a.grad.numpy() for a in inputs[1:]], FLOAT64)


def module_inputs() -> Iterator[Any]:
    from torch.testing._internal.common_modules import module_db

    for info in module_db:
        if info.module_cls in (torch.nn.LSTM, torch.nn.LSTMCell):
            inputs = info.module_inputs_func(
                info,
                device="cpu",
                dtype=torch.float64,
                requires_grad=False,
                training=False,
            )
            yield from ((info.module_cls, each) for each in inputs)


def test_torch_module_inputs() -> None:
    """Every constructor and input by which torch tests these two modules."""
    counts = {torch.nn.LSTM: 0, torch.nn.LSTMCell: 0}
    for kind, each in module_inputs():
        made = kind(
            *each.constructor_input.args, **each.constructor_input.kwargs
        ).double()
        expected = made(*each.forward_input.args, **each.forward_input.kwargs)
        x, *given = [
            jax.tree.map(lambda a: a.numpy(), a) for a in each.forward_input.args
        ]
        params, state = from_torch(made), None
        if kind is torch.nn.LSTMCell:
            state, _ = lstm_jax.lstm_step(params, given[0], x)
            assert_close(
                tuple(state), tuple(a.detach().numpy() for a in expected), FLOAT64
            )
        else:
            if given:
                h, c = given[0]
                leaves = [a for pair in zip(h, c, strict=True) for a in pair]
                zero = lstm_jax.zero_state(params, h.shape[1:-1])
                state = jax.tree.unflatten(jax.tree.structure(zero), leaves)
            time_major = x.ndim == 3 and not made.batch_first
            y, state = lstm_jax.apply(params, x, state, time_major=time_major)
            got = [np.asarray(y), *(a.numpy() for a in torch_state(state))]
            expected = [expected[0], *expected[1]]
            assert_close(got, [a.detach().numpy() for a in expected], FLOAT64)
        counts[kind] += 1
    assert counts == {torch.nn.LSTM: 32, torch.nn.LSTMCell: 2}


@pytest.mark.parametrize("bias", [True, False])
def test_a_cell(bias: bool) -> None:
    theirs = torch.nn.LSTMCell(INPUTS, HIDDEN, bias=bias, dtype=torch.float64)
    params = from_torch(theirs)
    x = sequence(dtype="float64")[:, 0]
    state, _ = lstm_jax.lstm_step(params, states(params, "float64"), x)
    start = tuple(map(torch.from_numpy, map(np.array, states(params, "float64"))))
    for a, b in zip(state, theirs(torch.from_numpy(x), start), strict=True):
        np.testing.assert_allclose(a, b.detach(), rtol=0, atol=1e-12)
    theirs.load_state_dict(to_torch(params))
    assert_same(from_torch(theirs), params)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bits_stay(dtype: str) -> None:
    params = stack(HIDDEN, directions=2, dtype=dtype)
    theirs = to_torch(params)
    assert all(a.dtype == getattr(torch, dtype) for a in theirs.values())
    assert_same(from_torch(theirs), params)


def test_the_order_of_bytes_is_the_machines() -> None:
    weights = {n: a.numpy() for n, a in module().state_dict().items()}
    swapped = {n: a.astype(a.dtype.newbyteorder("S")) for n, a in weights.items()}
    assert_same(from_torch(swapped), from_torch(weights))


def test_without_double_precision_doubles_are_not_rounded() -> None:
    with (
        jax.enable_x64(False),
        pytest.raises(TypeError, match="float64 weights would be rounded to float32"),
    ):
        from_torch(module())


class Encoder(torch.nn.Module):
    """An LSTM somewhere in a model."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = module()
        self.head = torch.nn.Linear(HIDDEN, 2).double()


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt", "legacy.pth"])
def test_files(suffix: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path, model = tmp_path / f"model.{suffix}", Encoder()
    arrays = {name: a.numpy() for name, a in model.state_dict().items()}
    match suffix:
        case "safetensors":
            save_file(model.state_dict(), path)
        case "npz":
            np.savez(path, **arrays)
        case "pt":
            torch.save({"step": 3, "model": model.state_dict()}, path)
        case _:
            torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    prefix = "model.lstm" if suffix == "pt" else "lstm."
    assert_same(from_torch(path, prefix), from_torch(model.lstm))
    assert_same(from_torch(str(path), prefix), from_torch(arrays, "lstm"))


def test_torchscript_is_read_when_asked_for(tmp_path: Path) -> None:
    path, model = tmp_path / "model.pt", Encoder()
    torch.jit.script(model).save(path)
    with pytest.raises(ValueError, match=r"is a TorchScript archive.*torchscript=True"):
        from_torch(path, "lstm")
    assert_same(from_torch(path, "lstm", torchscript=True), from_torch(model.lstm))


class Touches:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_no_file_runs_anything(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for name in ("plain.pkl", "plain.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Touches(trace)))
    torch.save({"weight_hh_l0": Touches(trace)}, tmp_path / "saved.pt")
    np.savez(tmp_path / "objects.npz", weight_hh_l0=np.array([Touches(trace)]))
    with pytest.raises(NotImplementedError, match="plain pickles, may run"):
        from_torch(tmp_path / "plain.pkl")
    for name in ("plain.pt", "saved.pt", "objects.npz"):
        with pytest.raises(
            ValueError, match=f"^from_torch: .*{name} cannot be read as"
        ):
            from_torch(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt"])
def test_torn_and_corrupt_files(suffix: str, tmp_path: Path) -> None:
    """Cut anywhere it is an error; with a byte changed it is one, or still an LSTM."""
    from safetensors.torch import save_file

    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"part.{suffix}"
    theirs = torch.nn.LSTM(2, 3)
    match suffix:
        case "safetensors":
            save_file(theirs.state_dict(), whole)
        case "npz":
            np.savez(whole, **{n: a.numpy() for n, a in theirs.state_dict().items()})
        case "pt":
            torch.save(theirs.state_dict(), whole)
    data = whole.read_bytes()
    for cut in np.linspace(0, len(data) - 1, 20, dtype=int):
        path.write_bytes(data[:cut])
        with pytest.raises(ValueError, match=r"^from_torch: "):
            from_torch(path)
    dice, noticed = np.random.default_rng(0), 0
    for where in dice.integers(0, len(data), 60):
        path.write_bytes(data[:where] + bytes([data[where] ^ 0x55]) + data[where + 1 :])
        try:
            from_torch(path)
        except (ValueError, TypeError) as error:
            assert str(error).startswith("from_torch: ")
            noticed += 1
    assert noticed


def test_an_archive_that_unpacks_without_end(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("weight_hh_l0.npy", "w") as entry:
            for _ in range(257):
                entry.write(bytes(2**20))
    with pytest.raises(ValueError, match=r"would unpack from .* as no weights do"):
        from_torch(path)


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_archive_whose_unpacking_has_no_bound(kind: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("weight_hh_l0.npy", bytes(2**20))
    with pytest.raises(ValueError, match="must be stored or deflated"):
        from_torch(path)


def test_small_pickled_files_that_would_grow(tmp_path: Path) -> None:
    """A number repeated by a view, and mappings that hold each other many times."""
    path = tmp_path / "bomb.pt"
    torch.save({"weight_hh_l0": torch.zeros(1, 1).expand(40_000, 10_000)}, path)
    with pytest.raises(ValueError, match=r"^from_torch: .* as no weights do"):
        from_torch(path)
    nested: dict[str, Any] = {"a": torch.zeros(1)}
    for _ in range(40):
        nested = {"a": nested, "b": nested}
    torch.save(nested, path)
    with pytest.raises(ValueError, match=r"^from_torch: .* at most 100000 entries"):
        from_torch(path)


def arrays(**changes: Any) -> dict[str, Any]:
    ones = np.ones
    whole = {
        "weight_ih_l0": ones((20, 3)),
        "weight_hh_l0": ones((20, 5)),
        "bias_ih_l0": ones(20),
        "bias_hh_l0": ones(20),
    }
    return {n: a for n, a in {**whole, **changes}.items() if a is not None}


@pytest.mark.parametrize(
    "source, error, message",
    [
        (3, TypeError, "source must be a module, a mapping or a path; got int"),
        ({}, ValueError, "prefix must be where an LSTM stands, one of none; got ''"),
        (
            {f"a.b.{n}": a for n, a in arrays().items()},
            ValueError,
            "one of 'a.b'; got ''",
        ),
        (arrays(bias_hh_l0=None), ValueError, "bias_hh_l0 must be there"),
        (
            arrays(bias_hh_l0=np.ones(20, np.longdouble)),
            TypeError,
            "bias_hh_l0 must have at most 64 bits a number; got float128",
        ),
        (
            arrays(peephole_i=np.ones(5)) | {"norm.weight": np.ones(5)},
            ValueError,
            r"got norm\.weight, peephole_i too",
        ),
        (arrays(weight_ih_l0=None), ValueError, "weight_ih_l0 must be there"),
        (
            arrays(weight_hh_l2=np.ones(3)),
            ValueError,
            "weight_hh_l2 must be weights of",
        ),
        (arrays(weight_hh_l0=np.ones((15, 5))), ValueError, "four gates of 5 units"),
        (arrays(weight_ih_l0=np.ones((16, 3))), ValueError, r"shape \(20, 3\)"),
        (arrays(bias_ih_l0=np.ones(1)), ValueError, "bias_ih_l0 .*must have shape"),
        (arrays(bias_ih_l0=np.ones(20, int)), TypeError, "floating dtype; got int64"),
        (torch.nn.GRU(3, 5), ValueError, "four gates of 5 units"),
        (torch.nn.Linear(3, 5), ValueError, "prefix must be where an LSTM stands"),
        ("nowhere.pt", FileNotFoundError, "nowhere.pt must be a file"),
    ],
)
def test_what_is_no_lstm(source: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^from_torch: .*{message}"):
        from_torch(source)


@pytest.mark.parametrize(
    "params, message",
    [
        (lambda: cell(projection_size=4), "a projection in an LSTMCell"),
        (
            lambda: lstm_jax.Stack((stack(5, directions=2).layers[0], cell(inputs=10))),
            "layers of one and of two directions together",
        ),
        (
            lambda: lstm_jax.Stack(
                (cell(projection_size=4), cell(inputs=4, projection_size=3))
            ),
            "projections of different sizes",
        ),
    ],
)
def test_refusals_beyond_single_features(params: Any, message: str) -> None:
    with pytest.raises(NotImplementedError, match=f"torch cannot express: {message}"):
        to_torch(params())


def test_layers_without_bias_beside_others_get_zeros() -> None:
    params = lstm_jax.Stack((cell(), cell(inputs=5, use_bias=False)))
    again: Any = from_torch(to_torch(params))
    assert_same(again.layers[1].b, jnp.zeros(4 * HIDDEN, jnp.float32))


def test_resemblyzer(tmp_path: Path) -> None:
    """Three layers of 256 units, strongly saturated, of a speaker encoder."""
    path = extract("Resemblyzer", "resemblyzer/pretrained.pt", tmp_path)
    params = from_torch(path, "model_state.lstm")
    theirs = torch.nn.LSTM(40, 256, num_layers=3, batch_first=True)
    loaded = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    theirs.load_state_dict(
        {n.removeprefix("lstm."): a for n, a in loaded.items() if n.startswith("lstm.")}
    )
    rng = np.random.default_rng(0)
    x = rng.gamma(0.5, size=(3, 40, 40)).astype(np.float32)  # like mel energies
    lengths = np.array([40, 17, 1])
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.from_numpy(x), torch.from_numpy(lengths), batch_first=True
    )
    with torch.no_grad():
        y, (h, c) = theirs(packed)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
    got, state = lstm_jax.apply(params, x, lengths=lengths)
    leaves = jax.tree.leaves(state)
    assert np.abs(np.asarray(got)).max() > 0.5
    for a, b in ((got, y), (np.stack(leaves[0::2]), h), (np.stack(leaves[1::2]), c)):
        np.testing.assert_allclose(
            a, b, rtol=0, atol=2e-6 * max(1, float(b.abs().max()))
        )


class ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy's arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            if name == "_reconstruct":
                from numpy._core.multiarray import _reconstruct

                return _reconstruct
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")


def test_g2pm(tmp_path: Path) -> None:
    """Chinese sentences of several lengths, both directions; a NumPy loop as oracle."""
    with pytest.raises(pickle.UnpicklingError, match="is not allowed"):
        ArraysOnly(io.BytesIO(pickle.dumps(Touches(tmp_path / "trace")))).load()
    path = extract("g2pM", "g2pM/np_ckpt.pkl", tmp_path)
    with pytest.raises(NotImplementedError, match="plain pickles, may run"):
        from_torch(path)
    weights = ArraysOnly(io.BytesIO(path.read_bytes())).load()
    index = ArraysOnly(
        io.BytesIO(extract("g2pM", "g2pM/char2idx.pkl", tmp_path).read_bytes())
    ).load()
    params = from_torch(weights, "lstm")
    sentences = ["然而,他红了20年以后,他竟退出了大家的视线。", "银行行长", "好"]
    lengths = np.array([len(s) for s in sentences])
    x = np.zeros((3, lengths.max(), 64), np.float32)
    for row, sentence in zip(x, sentences, strict=True):
        ids = [index.get(char, index["<UNK>"]) for char in sentence]
        row[: len(ids)] = weights["embedding.weight"][ids]
    y, _ = lstm_jax.apply(params, x, lengths=lengths)
    for k, n in enumerate(lengths):
        forward = loop(weights, "", x[k, :n])
        backward = loop(weights, "_reverse", x[k, :n][::-1])[::-1]
        expected = np.concatenate([forward, backward], -1)
        np.testing.assert_allclose(y[k, :n], expected, rtol=0, atol=2e-6)
        assert not np.asarray(y[k, n:]).any()


def loop(weights: Any, suffix: str, x: Any) -> np.ndarray:
    """One direction over one row (T, I), in float64, written from torch's equations."""
    ih, hh, b, d = (
        weights[f"lstm.{name}_l0{suffix}"].astype(np.float64)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h, c, ys = np.zeros(hh.shape[1]), np.zeros(hh.shape[1]), []
    for x_t in x.astype(np.float64):
        i, f, g, o = np.split(ih @ x_t + b + hh @ h + d, 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        ys.append(h)
    return np.stack(ys)
