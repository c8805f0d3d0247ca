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
from lstm_jax import Bidirectional, Loop, LSTMState, Residual, Reverse, Scan, serving
from tests import cases
from tests.compare import FLOAT32, FLOAT64, assert_close, assert_same

STEPS = 7
SIZES = [(1, 1), (1, STEPS), (3, 1), (3, STEPS)]  # (B, T)
TOKENS = 11

# Runs every program of a folder on every set of arrays beside it, with JAX alone: a
# name that begins with "step" takes x (T, B, I), one step after another.
SERVER = """
import sys
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"lstm_jax", "flax", "optax"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
try:
    import lstm_jax
except ModuleNotFoundError:
    import jax, numpy as np
    from jax import export

def stream(step, xs, state):
    state, ys = jax.device_put(state, jax.devices()[0]), []
    for x in xs:
        y, state = step(x, state)
        ys.append(y)
    assert step._cache_size() == 1
    return np.stack(ys), state

for path in Path(sys.argv[1]).glob("*.jax"):
    program = export.deserialize(bytearray(path.read_bytes()))
    wide = any(a.dtype in ("float64", "int64") for a in program.in_avals)
    with jax.enable_x64(wide):
        for given in path.parent.glob(f"{path.stem}.*.in.npz"):
            arrays = np.load(given).values()
            leaves = [a.astype(k.dtype) for a, k in zip(arrays, program.in_avals)]
            args, _ = jax.tree.unflatten(program.in_tree, leaves)
            run = jax.jit(program.call)
            out = stream(run, *args) if path.stem.startswith("step") else run(*args)
            kinds = [str(a.dtype) for a in jax.tree.leaves(out)]
            out = [a.astype("float64" if wide else "float32") for a in jax.tree.leaves(out)]
            np.savez(str(given).replace(".in.", ".out."), *out, kinds=kinds)
"""


def network(structure: str, option: str, dtype: Any) -> Any:
    options = {**cases.OPTIONS[option], "dtype": dtype}
    params = cases.STRUCTURES[structure](jax.random.key(0), cases.INPUTS, options)
    return cases.jitter(1, params)


def causal(dtype: Any) -> Any:
    """A stack with a layer that adds its input."""
    stack = network("stack", "everything", dtype)
    width = stack.layers[-1].w_h.shape[0]
    top = lstm_jax.init_cell(jax.random.key(2), width, width, dtype=dtype)
    return stack.replace(layers=(*stack.layers, Residual(cases.jitter(3, top))))


class Served(NamedTuple):
    """A program, its arguments for (B, T), and what they should give."""

    program: Any
    args: Callable[[int, int], Any]
    expected: Callable[..., Any]
    bound: float


def sequence(params: Any, bound: float, **options: Any) -> Served:
    dtype = jax.tree.leaves(params)[0].dtype

    def args(rows: int, steps: int) -> Any:
        rng = np.random.default_rng(rows + steps)
        x = jnp.asarray(rng.standard_normal((rows, steps, cases.INPUTS)), dtype)
        lengths = jnp.asarray([steps, 0, steps // 2 + 1][:rows], jnp.int32)
        state = cases.jitter(4, lstm_jax.zero_state(params, (rows,)))
        return x, lengths, serving.plain(state)

    def expected(x: Any, lengths: Any, state: Any) -> Any:
        return lstm_jax.apply(params, x, state, lengths=lengths)

    return Served(serving.export_sequence(params, **options), args, expected, bound)


def stream(params: Any, bound: float, **options: Any) -> Served:
    whole = sequence(params, bound, **options)

    def args(rows: int, steps: int) -> Any:
        x, _, state = whole.args(rows, steps)
        return jnp.moveaxis(x, 1, 0), state

    def expected(xs: Any, state: Any) -> Any:
        return lstm_jax.apply(params, xs, state, time_major=True)

    return Served(serving.export_step(params, **options), args, expected, bound)


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
    return Served(program, args, expected, FLOAT32)


def served() -> dict[str, Served]:
    f32, f64, bf16 = jnp.float32, jnp.float64, jnp.bfloat16
    window = Scan(window=3)
    nested, concat = (network(n, "peephole", f32) for n in ("nested", "concat"))
    return {
        "step": stream(causal(f32), FLOAT32, platforms=("cpu", "cuda", "tpu")),
        "step_bf16": stream(network("stack", "plain", bf16), 2**-7),
        "nested": sequence(nested, FLOAT32),
        "bf16": sequence(network("concat", "plain", bf16), 2**-7),
        "window": sequence(concat, FLOAT32, implementation=window),
        "f64": sequence(network("residual", "everything", f64), FLOAT64),
        "own": embedded(),
    }


def test_programs_run_without_this_package(tmp_path: Path) -> None:
    """JAX alone gives what is given here: bit for bit, and what `apply` says."""
    programs = served()
    for name, one in programs.items():
        serving.save(tmp_path / f"{name}.jax", one.program)
        for size in SIZES:
            leaves = [np.asarray(a) for a in jax.tree.leaves(one.args(*size))]
            wide = [a.astype(np.float32) if a.dtype == "bfloat16" else a for a in leaves]
            np.savez(tmp_path / f"{name}.{size[0]}.{size[1]}.in.npz", *wide)
    subprocess.run([sys.executable, "-I", "-c", SERVER, str(tmp_path)], check=True)
    for name, one in programs.items():
        for size in SIZES:
            what, given = f"{name} {size} ", one.args(*size)
            with np.load(tmp_path / f"{name}.{size[0]}.{size[1]}.out.npz") as file:
                got = [file[k] for k in file if k != "kinds"]
                kinds = file["kinds"].tolist()
            expected = jax.tree.leaves(one.expected(*given))
            assert kinds == [a.dtype for a in expected], what
            assert_close(got, expected, one.bound, what)
            if not name.startswith("step"):
                here = jax.tree.leaves(jax.jit(one.program.call)(*given))
                here = [a.astype(b.dtype) for a, b in zip(here, got, strict=True)]
                assert_same(got, here, what)
