# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""from_onnx: what it reads computes what onnxruntime computes."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import lstm_jax
from lstm_jax import (
    ActivationFn,
    Bidirectional,
    CellOptions,
    LSTMParams,
    convert,
)
from lstm_jax.convert import from_torch
from lstm_jax.convert._systems import SYSTEMS, used
from lstm_jax.testing import reference
from tests.compare import assert_same
from tests.models import extract
from tests.onnx_models import lstm, model, run, session_of, weights

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

BOUND = 2e-6  # absolute, for float32


def from_onnx(source: Any) -> dict[str, Any]:
    return dict(convert.from_onnx(source))


STEPS, CONFIGURATIONS, APPLIED = 4, 520, 30
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
# By ONNX name, how many numbers each takes: alpha, beta.
TAKES = {
    "Affine": (True, True),
    "Elu": (True, False),
    "HardSigmoid": (True, True),
    "LeakyRelu": (True, False),
    "Relu": (False, False),
    "ScaledTanh": (True, True),
    "Sigmoid": (False, False),
    "Softplus": (False, False),
    "Softsign": (False, False),
    "Tanh": (False, False),
    "ThresholdedRelu": (True, False),
}


class Configuration:
    """A random LSTM node with all that is fed to it."""

    def __init__(self, k: int) -> None:
        rng = np.random.default_rng([k, 2024])
        self.name = f"lstm{k}"
        self.direction = list(DIRECTIONS)[k % 3]
        d = DIRECTIONS[self.direction]
        batch, inputs, hidden = (int(n) for n in rng.integers(1, [4, 6, 8]))
        self.attributes: dict[str, Any] = {
            "hidden_size": hidden,
            "direction": self.direction,
        }
        if rng.random() < 0.3:
            self.attributes["clip"] = float(rng.uniform(0.2, 1.0))
        if rng.random() < 0.3:
            self.attributes["input_forget"] = 1
        if rng.random() < 0.7:
            self.attributes |= self._activations(rng, d)
        # Unbounded functions stay where 2e-6 is more than float32's rounding.
        scale = 0.15 if "activations" in self.attributes else 0.8
        self.tensors = weights(
            rng, inputs, hidden, d, peepholes=rng.random() < 0.5, scale=scale
        )
        if rng.random() < 0.2:
            del self.tensors["B"]
        shape = (d, batch, hidden)
        self.fed: dict[str, np.ndarray] = {
            "X": rng.normal(size=(STEPS, batch, inputs)).astype("f")
        }
        for name, share in (("initial_h", 0.5), ("initial_c", 0.5)):
            if rng.random() < share:
                self.fed[name] = (0.5 * rng.normal(size=shape)).astype("f")
        if rng.random() < 0.5:
            lengths = rng.integers(1, STEPS + 1, size=batch)
            self.fed["sequence_lens"] = lengths.astype(np.int32)

    def _activations(self, rng: Any, directions: int) -> dict[str, Any]:
        names = [str(n) for n in rng.choice(list(TAKES), 3 * directions)]
        alpha = [float(rng.uniform(0.1, 0.9)) for n in names if TAKES[n][0]]
        beta = [float(rng.uniform(-0.5, 0.9)) for n in names if TAKES[n][1]]
        cased = [str(rng.choice([n, n.lower(), n.upper()])) for n in names]
        found: dict[str, Any] = {"activations": cased}
        return (
            found
            | ({"activation_alpha": alpha} if alpha else {})
            | ({"activation_beta": beta} if beta else {})
        )

    def own(self, name: str) -> str:
        """The name of an input, output or weight in the model of all."""
        return f"{self.name}.{name}"

    def node(self) -> Any:
        order = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
        there = {*self.tensors, *self.fed}
        return lstm(
            self.name,
            [self.own(n) if n in there else "" for n in order],
            [self.own(n) for n in ("Y", "Y_h", "Y_c")],
            **self.attributes,
        )

    def arguments(self, params: Any) -> tuple[Any, Any, Any]:
        """x, state and lengths for `apply` and for the reference."""
        shape = (*self.fed["X"].shape[:2], self.attributes["hidden_size"])[1:]
        given = [
            self.fed.get(n, np.zeros((DIRECTIONS[self.direction], *shape), np.float32))
            for n in ("initial_h", "initial_c")
        ]
        pairs = [lstm_jax.LSTMState(h, c) for h, c in zip(*given, strict=True)]
        state = tuple(pairs) if self.direction == "bidirectional" else pairs[0]
        return self.fed["X"], state, self.fed.get("sequence_lens")


def as_onnx(y: Any, state: Any) -> dict[str, np.ndarray]:
    """Outputs (T, B, D·H) and states in ONNX's layout."""
    pairs = [state] if isinstance(state, lstm_jax.LSTMState) else list(state)
    y = np.asarray(y)
    steps, batch, width = y.shape
    folded = y.reshape(steps, batch, len(pairs), width // len(pairs))
    return {
        "Y": folded.transpose(0, 2, 1, 3),
        "Y_h": np.stack([np.asarray(h) for h, _ in pairs]),
        "Y_c": np.stack([np.asarray(c) for _, c in pairs]),
    }


@pytest.fixture(scope="module")
def configurations() -> list[Configuration]:
    return [Configuration(k) for k in range(CONFIGURATIONS)]


@pytest.fixture(scope="module")
def imported(configurations: list[Configuration]) -> dict[str, Any]:
    return from_onnx(of_all(configurations))


def of_all(configurations: list[Configuration]) -> Any:
    """One model with a node for each configuration."""
    return model(
        [c.node() for c in configurations],
        {c.own(n): a for c in configurations for n, a in c.tensors.items()},
        [c.own(n) for c in configurations for n in c.fed],
        [c.own(n) for c in configurations for n in ("Y", "Y_h", "Y_c")],
        types={c.own("sequence_lens"): onnx.TensorProto.INT32 for c in configurations},
    )


@pytest.fixture(scope="module")
def expected(configurations: list[Configuration]) -> dict[str, np.ndarray]:
    feeds = {c.own(n): a for c in configurations for n, a in c.fed.items()}
    return run(of_all(configurations), feeds)


def errors(
    configurations: list[Configuration],
    expected: dict[str, np.ndarray],
    function: Callable[[Configuration], tuple[Any, Any]],
) -> dict[str, float]:
    """The largest difference of each configuration."""
    found = {}
    for c in configurations:
        got = as_onnx(*function(c))
        found[c.name] = max(
            float(np.abs(got[n] - expected[c.own(n)]).max()) for n in got
        )
    return found


def test_random_configurations_against_onnxruntime(
    configurations: list[Configuration],
    imported: dict[str, Any],
    expected: dict[str, np.ndarray],
) -> None:
    assert len(imported) == len(configurations) >= 500

    def ours(c: Configuration) -> tuple[Any, Any]:
        params = imported[c.name]
        x, state, lengths = c.arguments(params)
        return reference(params, x, state, lengths=lengths, time_major=True)

    found = errors(configurations, expected, ours)
    bad = {name: error for name, error in found.items() if not error <= BOUND}
    assert not bad, bad


def test_configurations_cover_what_the_operator_has(
    configurations: list[Configuration],
) -> None:
    used = {
        n.lower() for c in configurations for n in c.attributes.get("activations", [])
    }
    assert used == {n.lower() for n in TAKES}
    for direction in DIRECTIONS:
        mine = [c for c in configurations if c.direction == direction]
        for there in (
            [c.attributes.get("clip") for c in mine],
            [c.attributes.get("input_forget") for c in mine],
            [c.fed.get("sequence_lens") for c in mine],
            [c.fed.get("initial_h") for c in mine],
            [c.fed.get("initial_c") for c in mine],
            [c.tensors.get("P") for c in mine],
            [c.tensors.get("B") for c in mine],
        ):
            assert 10 < sum(value is not None for value in there) < len(mine) - 10


def test_apply_gives_the_same(
    configurations: list[Configuration],
    imported: dict[str, Any],
    expected: dict[str, np.ndarray],
) -> None:
    def ours(c: Configuration) -> tuple[Any, Any]:
        params = imported[c.name]
        x, state, lengths = c.arguments(params)
        return lstm_jax.apply(params, x, state, lengths=lengths, time_major=True)

    some = configurations[:: len(configurations) // APPLIED]
    found = errors(some, expected, ours)
    assert len(found) >= APPLIED
    bad = {name: error for name, error in found.items() if not error <= BOUND}
    assert not bad, bad


def test_declared_is_what_is_read(imported: dict[str, Any]) -> None:
    found = {f for params in imported.values() for f, _ in used(params)}
    assert found == SYSTEMS["onnx"].reads


def node_cases() -> list[Any]:
    # collect_testcases would make those of all other operators too.
    from onnx.backend.test.case import node
    from onnx.backend.test.case.node import lstm  # noqa: F401

    return [case for case in node._NodeTestCases if "_lstm_" in case.name]


@pytest.mark.parametrize("case", node_cases(), ids=lambda case: case.name)
def test_node_cases_of_onnx(case: Any) -> None:
    (node,) = case.model.graph.node
    ((inputs, outputs),) = case.data_sets
    fed = dict(zip([n for n in node.input if n], inputs, strict=True))
    params = from_onnx(
        model(
            [node],
            {n: a for n, a in fed.items() if n in "WRBP"},
            ["X"],
            opset=case.model.opset_import[0].version,
        )
    )
    (params,) = params.values()
    batchwise = any(a.name == "layout" and a.i for a in node.attribute)
    y, state = lstm_jax.apply(params, fed["X"], time_major=not batchwise)
    got = as_onnx(y.swapaxes(0, 1) if batchwise else y, state)
    if batchwise:
        got = {
            "Y": got["Y"].transpose(2, 0, 1, 3),
            **{n: got[n].swapaxes(0, 1) for n in ("Y_h", "Y_c")},
        }
    for name, value in zip([n for n in node.output if n], outputs, strict=True):
        np.testing.assert_allclose(got[name], value, atol=BOUND, rtol=0, err_msg=name)


def test_there_are_six_node_cases() -> None:
    assert len(node_cases()) == 6


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_float64_against_the_reference_evaluator(direction: str, layout: int) -> None:
    rng = np.random.default_rng(layout)
    tensors = weights(
        rng, 3, 5, DIRECTIONS[direction], dtype=np.float64, peepholes=True
    )
    x = rng.normal(size=(4, 2, 3))  # (T, B, I)
    node = lstm(
        "",
        ["X", "W", "R", "B", "", "", "", "P"],
        ["Y", "Y_h", "Y_c"],
        direction=direction,
        layout=layout,
    )
    proto = model([node], tensors, ["X"], ["Y", "Y_h", "Y_c"])
    fed = {"X": x.swapaxes(0, 1) if layout else x}
    outputs = dict(
        zip(
            ["Y", "Y_h", "Y_c"],
            ReferenceEvaluator(proto).run(None, fed),
            strict=True,
        )
    )
    if layout:
        outputs = {
            "Y": outputs["Y"].transpose(1, 2, 0, 3),
            **{n: outputs[n].swapaxes(0, 1) for n in ("Y_h", "Y_c")},
        }
    params = from_onnx(proto)["Y"]  # which is named by its output
    got = as_onnx(*lstm_jax.apply(params, x, time_major=True))
    for name, value in outputs.items():
        np.testing.assert_allclose(got[name], value, atol=1e-12, rtol=0, err_msg=name)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("raw", [True, False])
def test_weights_keep_their_dtype_and_their_bits(dtype: str, raw: bool) -> None:
    wide = jax.numpy.dtype(dtype)
    tensors = weights(np.random.default_rng(0), dtype=wide, peepholes=True)
    proto = model([lstm(inputs=["X", "W", "R", "B", "", "", "", "P"])])
    kind = {"float16": 10, "bfloat16": 16, "float32": 1, "float64": 11}[dtype]
    for name, a in tensors.items():
        values = a.tobytes() if raw else a.astype(np.float64).ravel().tolist()
        proto.graph.initializer.append(
            helper.make_tensor(name, kind, a.shape, values, raw=raw)
        )
    params = from_onnx(proto)["lstm"]
    blocks = {"i": 0, "o": 1, "f": 2, "g": 3}  # of two rows each
    rows = [2 * blocks[gate] + k for gate in "ifgo" for k in (0, 1)]
    expected = LSTMParams(
        tensors["W"][0][rows].T,
        tensors["R"][0][rows].T,
        (tensors["B"][0][:8] + tensors["B"][0][8:])[rows],
        tensors["P"][0].reshape(3, 2)[[0, 2, 1]],
    )
    assert_same(params, expected)


@pytest.mark.parametrize("version", range(1, onnx.defs.onnx_opset_version() + 1))
def test_every_version_of_the_operators(version: int) -> None:
    tensors = weights(np.random.default_rng(0))
    attributes = {"output_sequence": 1} if version < 7 else {}
    got = from_onnx(model([lstm(**attributes)], tensors, opset=version))
    assert_same(got, from_onnx(model([lstm()], tensors)))


def test_attributes_become_options_of_each_direction() -> None:
    tensors = weights(np.random.default_rng(0), directions=2)
    node = lstm(
        direction="bidirectional",
        activations=["HardSigmoid", "Relu", "Elu", "Sigmoid", "LeakyRelu", "ELU"],
        activation_alpha=[0.3, 0.7, 0.1],  # the last Elu has the default
        activation_beta=[0.6],
        clip=0.8,
        input_forget=1,
    )
    params = from_onnx(model([node], tensors))["lstm"]
    assert isinstance(params, Bidirectional)
    assert params.forward.options == CellOptions(
        ActivationFn("hard_sigmoid", 0.3, 0.6),
        "relu",
        ActivationFn("elu", 0.7),
        coupled=True,
        clip=0.8,
    )
    assert params.backward.options == CellOptions(
        "sigmoid", ActivationFn("leaky_relu", 0.1), "elu", coupled=True, clip=0.8
    )


def test_an_infinite_clip_is_none() -> None:
    tensors = weights(np.random.default_rng(0))
    params = from_onnx(model([lstm(clip=float("inf"))], tensors))["lstm"]
    assert params.options == CellOptions()


SILERO = "silero_vad/data/silero_vad"


def signal(frames: int) -> np.ndarray:
    """Something like audio: chirps that come and go over noise, 576 samples a frame."""
    rng = np.random.default_rng(0)
    t = np.arange(576 * frames) / 16000
    sound = 0.02 * rng.normal(size=t.shape)
    for low, rate, beat in ((120, 40, 1.3), (700, -60, 2.1), (2100, 300, 3.7)):
        on = np.sin(2 * np.pi * beat * t) > 0
        sound += 0.2 * on * np.sin(2 * np.pi * (low * t + rate * t**2))
    return sound.astype(np.float32).reshape(frames, 576)


def test_silero_streamed_with_carried_state(tmp_path: Any) -> None:
    path = extract("silero_vad", f"{SILERO}_16k_sequence.onnx", tmp_path)
    params = from_onnx(path)["/recurrent/LSTM"]
    proto = onnx.load(path)
    inside = ["/Transpose_output_0", "/recurrent/LSTM_output_0"]
    for name in inside:
        proto.graph.output.append(helper.make_tensor_value_info(name, 1, None))
    session = session_of(proto)
    zeros = np.zeros((1, 1, 128), np.float32)
    theirs, ours = {"h": zeros, "c": zeros}, lstm_jax.zero_state(params, (1,))
    for frames in np.split(signal(60), 6):
        names = [*inside, "hn", "cn"]
        x, y, h, c = session.run(names, {"input": frames, **theirs})
        got, ours = lstm_jax.apply(params, x, ours, time_major=True)
        for a, b in ((got, y[:, 0]), (ours.h, h[0])):
            np.testing.assert_allclose(a, b, atol=BOUND, rtol=0)
        # The cell goes up to 20, where one rounding is 2e-6.
        np.testing.assert_allclose(ours.c, c[0], atol=BOUND, rtol=BOUND)
        theirs = {"h": h, "c": c}
    assert np.abs(theirs["c"]).max() > 1  # it heard something


# By file: the LSTMs in it, and whether they are those of 8 kHz.
SILERO_FILES: dict[str, dict[str, bool]] = {
    "": {
        f"If_0_{branch}_branch__Inline_0__/decoder/{rnn}/LSTM": branch == "else"
        for branch in ("then", "else")
        for rnn in ("rnn", "rnn_1")
    },
    "_16k_op15": {f"/model/decoder/{rnn}/LSTM": False for rnn in ("rnn", "rnn_1")},
    "_16k_sequence": {"/recurrent/LSTM": False},
    "_openvino_16k": {
        "F2::If_0_then_branch__Inline_0__/decoder/rnn/LSTM": False,
    },
}


@pytest.fixture(scope="module")
def silero_torch(torch: Any, tmp_path_factory: Any) -> dict[bool, Any]:
    folder = tmp_path_factory.mktemp("silero")
    path = extract("silero_vad", f"{SILERO}.jit", folder)
    return {
        eight: from_torch(path, prefix, torchscript=True)
        for eight, prefix in (
            (False, "_model.decoder.rnn"),
            (True, "_model_8k.decoder.rnn"),
        )
    }


@pytest.mark.parametrize("file", SILERO_FILES)
def test_silero_files_hold_what_its_torchscript_holds(
    file: str, silero_torch: dict[bool, Any], tmp_path: Any
) -> None:
    path = extract("silero_vad", f"{SILERO}{file}.onnx", tmp_path)
    found = from_onnx(path)
    assert sorted(found) == sorted(SILERO_FILES[file])
    for name, eight in SILERO_FILES[file].items():
        assert_same(found[name], silero_torch[eight], name)


def test_silero_half_holds_what_its_initializers_say_by_their_names(
    tmp_path: Any,
) -> None:
    path = extract("silero_vad", f"{SILERO}_half.onnx", tmp_path)
    found = from_onnx(path)
    assert sorted(found) == ["/decoder/rnn/LSTM", "/decoder/rnn_1/LSTM"]
    tensors = onnx.load(path).graph.initializer
    by_name = {t.name: numpy_helper.to_array(t) for t in tensors}
    expected = from_torch(by_name, "decoder.rnn")
    for name, params in found.items():
        assert_same(params, expected, name)


def test_silero_without_the_operator_is_refused(tmp_path: Any) -> None:
    path = extract("silero_vad", f"{SILERO}_op18_ifless.onnx", tmp_path)
    with pytest.raises(ValueError, match=r"must hold an LSTM node; it has .*Gemm"):
        from_onnx(path)
