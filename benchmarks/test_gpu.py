# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Programs as XLA makes them for an H100, without one; nothing runs.

`make accelerators GPU=1` runs this; it needs CUDA's wheels, several GB.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import lstm_jax
from benchmarks.cases import ROWS
from benchmarks.compilers import compiled
from benchmarks.device import COMMAND_BUFFERS
from benchmarks.fits import layer, mean_square
from benchmarks.hlo import Program
from lstm_jax import Scan, serving
from tests import cases
from tests.cases import weighted

jax.config.update("jax_platforms", "cpu")

FLOAT32 = jnp.float32
FOUR = ("small", "fastrnns", "stream", "smnist")


def gradient_of(row: str, implementation: Any) -> tuple[Any, Any]:
    steps, batch, inputs, hidden, *_ = ROWS[row]
    args = layer(inputs, hidden), jax.ShapeDtypeStruct((steps, batch, inputs), FLOAT32)
    return compiled("h100", jax.grad(partial(mean_square, implementation)), *args), args


@pytest.mark.parametrize("implementation, most", [(Scan(), 10.2), (Scan(unroll=4), 7)])
@pytest.mark.parametrize("row", FOUR)
def test_kernels_a_step_of_a_gradient(
    row: str, implementation: Any, most: float
) -> None:
    made, _ = gradient_of(row, implementation)
    launched = Program(made.as_text()).launched_in_loops()
    assert launched / ROWS[row].steps <= most


@pytest.mark.parametrize("row", FOUR)
def test_kernels_a_step_forward(row: str) -> None:
    steps, batch, inputs, hidden, *_ = ROWS[row]
    x = jax.ShapeDtypeStruct((steps, batch, inputs), FLOAT32)
    run = partial(lstm_jax.apply, time_major=True)
    found = Program(compiled("h100", run, layer(inputs, hidden), x).as_text())
    assert found.launched_in_loops() <= 4 * steps


@pytest.mark.parametrize("what", ["forward", "gradient"])
@pytest.mark.parametrize("row", FOUR)
def test_command_buffers_hold_all(row: str, what: str, tmp_path: Path) -> None:
    """With the options of the guide the program is one CUDA graph, loops and all."""
    steps, batch, inputs, hidden, *_ = ROWS[row]
    x = jax.ShapeDtypeStruct((steps, batch, inputs), FLOAT32)
    forward = partial(lstm_jax.apply, time_major=True)
    run = forward if what == "forward" else jax.grad(partial(mean_square, None))
    dump = {"xla_dump_to": str(tmp_path), "xla_dump_hlo_as_text": True}
    compiled("h100", run, layer(inputs, hidden), x, options=COMMAND_BUFFERS | dump)
    (listed,) = tmp_path.glob("*.thunk_sequence_after_thunk_passes.txt")
    text = listed.read_text()
    assert re.findall(r"^\d+: (k\w+)", text, re.MULTILINE) == ["kCommandBuffer"]
    assert len(re.findall("kWhile", text)) == (2 if what == "gradient" else 1)


@pytest.mark.parametrize("option", cases.OPTIONS)
def test_scan_has_a_loop_forward_and_one_backward(option: str) -> None:
    """At sizes that are whole tiles: no others compile without a device to tune on."""
    options = {**cases.OPTIONS[option], "dtype": FLOAT32}
    if "projection_size" in options:
        options["projection_size"] = 16
    params = lstm_jax.init_cell(jax.random.key(0), 16, 32, **options)
    x, lengths = jnp.ones((7, 16, 16), FLOAT32), jnp.arange(16) % 8

    def forward(params: Any, x: Any) -> Any:
        return lstm_jax.apply(params, x, lengths=lengths, time_major=True)

    def loss(params: Any, x: Any) -> jax.Array:
        return weighted(forward(params, x))

    for f, number in ((forward, 1), (jax.grad(loss, (0, 1)), 2)):
        found = Program(compiled("h100", f, params, x).as_text())
        assert [loop.trips for loop in found.loops] == [7] * number


@pytest.mark.parametrize("way", ["step", "sequence"])
def test_exports_compile(way: str) -> None:
    params = cases.STRUCTURES["concat" if way == "sequence" else "stack"](
        0, cases.INPUTS, {"dtype": FLOAT32}
    )
    state = serving.plain(lstm_jax.zero_state(params, (4,)))
    x, lengths = jnp.ones((4, 7, cases.INPUTS), FLOAT32), jnp.ones(4, "int32")
    if way == "step":
        exported = serving.export_step(params, platforms=("cuda",))
        args: Any = x[:, 0], state
    else:
        exported = serving.export_sequence(params, platforms=("cuda",))
        args = x, lengths, state
    found = Program(compiled("h100", exported.call, *args).as_text())
    assert len(found.loops) == (2 if way == "sequence" else 0)


def test_memory_of_a_gradient() -> None:
    """In arrays (T, B, H), of which the projected input is four."""
    made, (_, x) = gradient_of("small", Scan())
    one = x.shape[0] * x.shape[1] * ROWS["small"].hidden * 4
    assert made.memory_analysis().temp_size_in_bytes <= 17.5 * one
