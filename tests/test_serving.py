# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Exported programs: what they take and give, and what JAX alone makes of them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.core
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import (
    Bidirectional,
    Loop,
    LSTMState,
    Residual,
    Reverse,
    Scan,
    serving,
    variants,
)
from tests import cases
from tests.compare import FLOAT32, FLOAT64, assert_close, assert_same

STEPS, TOKENS = 7, 11
FULL = (3, STEPS)  # B and T
SIZES = [FULL, (1, 1), (1, STEPS)]
SERVER = Path(__file__).with_name("server.py")
# x·W_x of all steps is one product here, which adds up in another order than a step's.
STREAM = 2e-6
LOCATIONS = "jax_traceback_in_locations_limit"


def network(structure: str, option: str, dtype: Any) -> Any:
    options = {**cases.OPTIONS[option], "dtype": dtype}
    params = cases.STRUCTURES[structure](0, cases.INPUTS, options)
    return cases.jitter(1, params)


def causal(option: str, dtype: Any) -> Any:
    """A stack with a layer that adds its input."""
    stack = network("stack", option, dtype)
    width = stack.layers[-1].w_h.shape[0]
    top = lstm_jax.init_cell(jax.random.key(2), width, width, dtype=dtype)
    return stack.replace(layers=(*stack.layers, Residual(cases.jitter(3, top))))


class Served(NamedTuple):
    """A program, its arguments for (B, T), what they should give, and for which."""

    program: Any
    args: Callable[[int, int], Any]
    expected: Callable[..., Any]
    bound: float
    sizes: list[tuple[int, int]]


def sequence(params: Any, bound: float, sizes: Any = (FULL,), **options: Any) -> Served:
    dtype = jax.tree.leaves(params)[0].dtype

    def args(rows: int, steps: int) -> Any:
        rng = np.random.default_rng(rows + steps)
        x = jnp.asarray(rng.standard_normal((rows, steps, cases.INPUTS)), dtype)
        lengths = jnp.asarray([steps, 0, steps // 2 + 1][:rows], jnp.int32)
        state = cases.jitter(4, lstm_jax.zero_state(params, (rows,)))
        return x, lengths, serving.plain(state)

    def expected(x: Any, lengths: Any, state: Any) -> Any:
        return lstm_jax.apply(params, x, state, lengths=lengths)

    program = serving.export_sequence(params, **options)
    return Served(program, args, expected, bound, sizes)


def stream(params: Any, bound: float, sizes: Any = (FULL,), **options: Any) -> Served:
    whole = sequence(params, bound)

    def args(rows: int, steps: int) -> Any:
        x, _, state = whole.args(rows, steps)
        return jnp.moveaxis(x, 1, 0), state

    def expected(xs: Any, state: Any) -> Any:
        return lstm_jax.apply(params, xs, state, time_major=True)

    program = serving.export_step(params, **options)
    return Served(program, args, expected, bound, sizes)


def embedded() -> Served:
    """Tokens in, logits out, by a function of one's own; its weights at every call."""
    cell = network("cell", "peephole", jnp.float32)
    rng = np.random.default_rng(5)
    table = jnp.asarray(rng.standard_normal((TOKENS, cases.INPUTS)), jnp.float32)
    head = jnp.asarray(rng.standard_normal((cases.HIDDEN, TOKENS)), jnp.float32)

    def answer(params: Any, tokens: Any, state: LSTMState) -> Any:
        y, state = lstm_jax.apply(params, table[tokens], state)
        return {"logits": y @ head, "h": state.h, "c": state.c}

    def args(rows: int, steps: int) -> Any:
        tokens = np.random.default_rng(rows).integers(0, TOKENS, (rows, steps))
        state = cases.jitter(4, lstm_jax.zero_state(cell, (rows,)))
        return serving.plain((cell, jnp.asarray(tokens, jnp.int32), state))

    def expected(params: Any, tokens: Any, state: Any) -> Any:
        return answer(cell, tokens, LSTMState(*state))

    b, t = jax.export.symbolic_shape("b, t")
    state = jax.eval_shape(lambda: lstm_jax.zero_state(cell, (b,)))
    tokens = jax.ShapeDtypeStruct((b, t), jnp.int32)
    program = serving.export(answer, cell, tokens, state)
    return Served(program, args, expected, FLOAT32, [FULL])


def served() -> dict[str, Served]:
    f32, f64, bf16 = jnp.float32, jnp.float64, jnp.bfloat16
    window, streams = Scan(window=3), [FULL, (1, STEPS)]
    everywhere = "cpu", "cuda", "tpu"
    nested, concat = (network(n, "peephole", f32) for n in ("nested", "concat"))
    return {
        "step": stream(causal("peephole", f32), STREAM, streams, platforms=everywhere),
        "step_f64": stream(causal("everything", f64), FLOAT64),
        "step_bf16": stream(network("stack", "plain", bf16), 2**-7),
        "nested": sequence(nested, FLOAT32, SIZES),
        "bf16": sequence(network("concat", "plain", bf16), 2**-7),
        "window": sequence(concat, FLOAT32, implementation=window),
        "f64": sequence(network("residual", "everything", f64), FLOAT64),
        "own": embedded(),
    }


def called(name: str, program: Any, args: Any) -> list[Any]:
    """What a program gives in this process, for all steps if it is of one."""
    run = jax.jit(program.call)
    if not name.startswith("step"):
        return jax.tree.leaves(run(*args))
    xs, state = args
    ys = []
    for x in xs:
        y, state = run(x, state)
        ys.append(y)
    return [jnp.stack(ys), *jax.tree.leaves(state)]


def test_programs_run_without_this_package(tmp_path: Path) -> None:
    """JAX alone gives the bits that the program gives here, and what `apply` says."""
    programs = served()
    for name, one in programs.items():
        serving.save(tmp_path / f"{name}.jax", one.program)
        for size in one.sizes:
            leaves = [np.asarray(a) for a in jax.tree.leaves(one.args(*size))]
            wide = [a.astype("float32") if a.dtype == "bfloat16" else a for a in leaves]
            np.savez(tmp_path / f"{name}.{size[0]}.{size[1]}.in.npz", *wide)
    subprocess.run([sys.executable, "-I", SERVER, tmp_path], check=True)
    for name, one in programs.items():
        for size in one.sizes:
            what, given = f"{name} {size} ", one.args(*size)
            with np.load(tmp_path / f"{name}.{size[0]}.{size[1]}.out.npz") as file:
                got = [file[k] for k in file if k != "kinds"]
                kinds = file["kinds"].tolist()
            expected = jax.tree.leaves(one.expected(*given))
            assert kinds == [a.dtype for a in expected], what
            assert_close(got, expected, one.bound, what)
            if size == FULL:
                here = called(name, one.program, given)
                here = [a.astype(b.dtype) for a, b in zip(here, got, strict=True)]
                assert_same(got, here, what)


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
def test_it_lowers_for_a_machine_that_is_not_here(platform: str) -> None:
    params = network("concat", "everything", jnp.float32)
    program = serving.export_sequence(params, platforms=[platform])
    assert program.platforms == (platform,)
    assert b"StableHLO" in program.mlir_module_serialized


def test_the_types_of_a_program() -> None:
    """What it takes can be read from it, as the README does."""
    params = network("cell", "projection", jnp.float32)
    program = serving.export_step(params, dtype=jnp.bfloat16)
    (x, (h, c)), _ = jax.tree.unflatten(program.in_tree, program.in_avals)
    (b, *_) = x.shape
    assert (x.shape[1], x.dtype) == (cases.INPUTS, jnp.bfloat16)
    assert (h.shape, h.dtype) == ((b, cases.PROJECTED), jnp.bfloat16)
    assert (c.shape, c.dtype) == ((b, cases.HIDDEN), jnp.float32)
    assert [a.dtype for a in program.out_avals] == ["float32", "bfloat16", "float32"]
    with pytest.raises(ValueError, match="Expected value >= 1"):
        state = serving.plain(lstm_jax.zero_state(params, (0,), jnp.bfloat16))
        program.call(jnp.zeros((0, cases.INPUTS), jnp.bfloat16), state)


def test_a_file_holds_the_weights_and_little_else(tmp_path: Path) -> None:
    before = getattr(jax.config, LOCATIONS)
    wide = jax.eval_shape(lambda: lstm_jax.init(jax.random.key(0), 64, 128))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: rng.random(a.shape, np.float32), wide)
    weights = sum(a.nbytes for a in jax.tree.leaves(params))
    for export in (serving.export_step, serving.export_sequence):
        serving.save(tmp_path / "program", export(params))
        data = (tmp_path / "program").read_bytes()
        assert weights < len(data) < weights + 30_000
        assert b".py" not in data, "paths of this machine"
    assert getattr(jax.config, LOCATIONS) == before


def test_plain() -> None:
    params = Bidirectional(network("cell", "everything", None), Reverse(None), "sum")
    tree = {"b": [LSTMState(1, 2.5), None], "a": flax.core.freeze({"y": 3, "x": (4,)})}
    got = serving.plain((params, tree))
    assert jax.tree.leaves(got) == jax.tree.leaves((params, tree))
    forward, backward = got[0]
    assert type(forward) is tuple and backward == (None,)
    assert forward[3].shape == params.forward.peephole.shape
    assert got[1] == {"b": [(1, 2.5), None], "a": ((4,), 3)}
    assert type(got[1]["b"][0]) is tuple


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "lstm.jax", tmp_path / "other"
    program = serving.export(jnp.sin, jax.ShapeDtypeStruct((3,), jnp.float32))
    other.write_bytes(b"old")
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(os, "fsync", full)
        serving.save(path, program)
    with path.open("rb") as reader:
        serving.save(str(path), program)
        assert reader.read() == b"old"
    assert path.read_bytes() == program.serialize()
    assert path.stat().st_mode == other.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [path, other]


CELL = network("cell", "plain", jnp.float32)
SPEC = jax.ShapeDtypeStruct((3,), jnp.float32)


@pytest.mark.parametrize(
    "run, error, text",
    [
        (
            lambda: serving.export_step(
                lstm_jax.Stack((CELL, Bidirectional(CELL, CELL)))
            ),
            NotImplementedError,
            r"export_step: params.layers\[1\] is Bidirectional, which needs the whole",
        ),
        (
            lambda: serving.export_step(Residual(Reverse(CELL))),
            NotImplementedError,
            "export_step: params.inner is Reverse, which needs the whole sequence",
        ),
        (
            lambda: serving.export_sequence(CELL, implementation=Loop()),
            NotImplementedError,
            "T is symbolic",
        ),
        (
            lambda: serving.export_sequence((CELL,)),
            TypeError,
            "export_sequence: params must be LSTMParams or another Cell.*; got tuple",
        ),
        (
            lambda: serving.export_sequence(CELL, dtype="int32"),
            TypeError,
            "export_sequence: dtype must be floating; got int32",
        ),
        (
            lambda: serving.export_step(CELL, platforms=("cpu", "gpu")),
            ValueError,
            r"export_step: platforms must be .*; got \('cpu', 'gpu'\)",
        ),
        (
            lambda: serving.export(jnp.sin, SPEC, platforms="cpu"),
            ValueError,
            "export: platforms must be None or a tuple of .*; got 'cpu'",
        ),
        (
            lambda: serving.export(jnp.add, SPEC, [2.0]),
            TypeError,
            r"export: args\[1\]\[0\] must be an array or .*; got float",
        ),
        (
            lambda: serving.save("never", jnp.sin),
            TypeError,
            "save: program must be a jax.export.Exported; got",
        ),
    ],
)
def test_errors(run: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        run()


@pytest.mark.parametrize("name", ["CIFG", "GRU", "RNN", "FGR", "LSTM1997"])
def test_own_pytrees_in_a_program_of_jax_export(name: str) -> None:
    """Parameters and states as they are; their static parts are JSON in the bytes."""
    fields = {"blocks": 2} if name == "LSTM1997" else {}
    cell = variants.init(name, jax.random.key(0), 3, 4, dtype=jnp.float32, **fields)
    params = lstm_jax.Stack((lstm_jax.Bidirectional(cell, cell, "sum"),))
    x = jax.random.normal(jax.random.key(1), (2, 5, 3), jnp.float32)
    state = lstm_jax.zero_state(params, (2,))
    run = jax.jit(lambda params, x, state: lstm_jax.apply(params, x, state))
    data = jax.export.export(run)(params, x, state).serialize()
    program = jax.export.deserialize(bytearray(data))
    assert program.in_tree == jax.tree.structure(((params, x, state), {}))
    assert_close(program.call(params, x, state), run(params, x, state), 1e-6)
    assert f"lstm_jax.{type(cell).__name__}".encode() in data and b"pickle" not in data
