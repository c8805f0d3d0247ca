# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Programs as the compiler for TPUs makes them, without a TPU; nothing runs.

`make accelerators` runs this; `make test` does not: it needs libtpu.
"""

import itertools
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

import lstm_jax
from benchmarks import fits
from benchmarks.compilers import compiled, mesh
from benchmarks.fits import layer, mean_square
from benchmarks.hlo import Program
from lstm_jax import Fused, Scan, serving, variants
from lstm_jax.sharding import SplitUnits, data_parallel
from tests import cases
from tests.cases import Case, weighted

jax.config.update("jax_platforms", "cpu")

KINDS = ("v5e", "v6e", "v5p")
FUSED = Fused()
# Options that no kernel has, and why.
REFUSED = {"activations_a": "it has no expm1"}
FLOAT32 = jnp.float32


def program(kind: str, f: Any, *args: Any, **mesh: Any) -> Program:
    return Program(compiled(kind, f, *args, **mesh).as_text())


def kernels(found: Program) -> int:
    return len(found.custom_calls("tpu_custom_call"))


def functions(call: cases.Call, implementation: Any) -> tuple[Any, Any, Any]:
    """Forward and gradient, and what both take."""

    def forward(params: Any, x: Any, state: Any) -> Any:
        run = partial(lstm_jax.apply, implementation=implementation)
        return run(params, x, state, **call.options)

    def loss(*args: Any) -> jax.Array:
        return weighted(forward(*args))

    args = call.params, call.x, cases.full_state(call)
    return forward, jax.grad(loss, (0, 1, 2)), args


def sampled(kinds: tuple[str, ...], names: Any, always: Any) -> list[Any]:
    """All pairs; at night alone those of other kinds than the first and not `always`.

    Nothing differs between two kinds but what a kind of device has.
    """
    return [
        pytest.param(
            kind,
            name,
            marks=[] if kind == kinds[0] or name in always else pytest.mark.nightly,
        )
        for kind, name in itertools.product(kinds, names)
    ]


def test_a_step_of_a_kernel_is_as_short_as_it_was(tmp_path: Path) -> None:
    """By libtpu's listing, in cycles: the more of bundles and the longest path."""
    asked = "--kinds v5e v6e --rows small fastrnns --ways Fused --hidden --out".split()
    verb = [sys.executable, "-m", "benchmarks", "programs", *asked, str(tmp_path)]
    subprocess.run(verb, check=True, capture_output=True)
    results = json.loads((tmp_path / "programs.json").read_text())["results"]
    found = {
        (one["kind"], one["row"]): [
            max(step.values()) for step in one["steps"].values()
        ]
        for one in results["programs"]
        if one["what"] == "train"
    }
    known = {
        ("v5e", "small"): (212, 222),
        ("v5e", "fastrnns"): (1236, 1348),
        ("v6e", "small"): (282, 271),
        ("v6e", "fastrnns"): (859, 1250),
    }
    assert found.keys() == known.keys()
    for key, cycles in known.items():
        for got, once in zip(found[key], cycles, strict=True):
            assert got <= 1.05 * once, key


OF_OPTIONS = sampled(KINDS, cases.OPTIONS, ("plain", "everything"))


@pytest.mark.parametrize("kind, option", OF_OPTIONS)
def test_scan_has_a_loop_forward_and_one_backward(kind: str, option: str) -> None:
    call = cases.draw(
        Case("cell", option, "whole", "", "three", "given"), 7, 0, FLOAT32
    )
    forward, gradient, args = functions(call, Scan())
    assert [loop.trips for loop in program(kind, forward, *args).loops] == [7]
    assert [loop.trips for loop in program(kind, gradient, *args).loops] == [7, 7]


@pytest.mark.parametrize("kind, option", OF_OPTIONS)
def test_fused_has_a_kernel_forward_and_one_backward(kind: str, option: str) -> None:
    call = cases.draw(
        Case("cell", option, "whole", "", "three", "given"), 7, 0, FLOAT32
    )
    forward, gradient, args = functions(call, FUSED)
    for f, number in ((forward, 1), (gradient, 2)):
        if reason := REFUSED.get(option):
            with pytest.raises(NotImplementedError, match=reason):
                program(kind, f, *args)
        else:
            found = program(kind, f, *args)
            assert kernels(found) == number and not found.loops


@pytest.mark.parametrize(
    "structure, extra, batch, layers",
    [
        ("stack", "all", "two_axes", 2),
        ("concat", "lengths", "none", 2),
        ("reverse", "resets", "three", 1),
        ("residual", "lengths_resets", "three", 2),
        ("nested", "truncate", "three", 3),
    ],
)
def test_fused_has_two_kernels_a_layer(
    structure: str, extra: str, batch: str, layers: int
) -> None:
    case = Case(structure, "everything", extra, "", batch, "learned")
    _, gradient, args = functions(cases.draw(case, 7, 0, FLOAT32), FUSED)
    found = program("v5e", gradient, *args)
    assert kernels(found) == 2 * layers and not found.loops


def test_fused_with_a_regularizer() -> None:
    call = cases.draw(Case("cell", "plain", "all", "", "three", "given"), 7, 0, FLOAT32)
    drop = lstm_jax.Regularizer(0.3, recurrent_dropout=0.2, zoneout_h=0.1)
    call.options.update(regularizer=drop, key=jax.random.key(3))
    _, gradient, args = functions(call, FUSED)
    assert kernels(program("v5e", gradient, *args)) == 2


@pytest.mark.parametrize(
    "kind", ["GRUParams", "RNNParams", "FGRParams", "LSTM1997Params"]
)
@pytest.mark.parametrize("run", ["apply", "unroll"])
def test_fused_has_every_cell_and_any_step(kind: str, run: str) -> None:
    params = getattr(variants, kind).init(jax.random.key(0), 4, 5, dtype=FLOAT32)
    x, lengths = jnp.ones((7, 3, 4), FLOAT32), jnp.array([7, 0, 4])
    more: dict[str, Any] = {"lengths": lengths, "implementation": FUSED}

    def loss(params: Any, x: Any) -> jax.Array:
        if run == "apply":
            return weighted(lstm_jax.apply(params, x, time_major=True, **more))
        step = lambda p, state, x: p.step(state, x)  # noqa: E731
        state = params.zero_state((3,), FLOAT32)
        return weighted(lstm_jax.unroll(step, params, state, x, **more))

    found = program("v5e", jax.grad(loss), params, x)
    assert kernels(found) == 2 and not found.loops


@pytest.mark.parametrize("precision", ["default", "high", "highest"])
def test_precisions_of_fused(precision: str) -> None:
    args = layer(64, 128), jax.ShapeDtypeStruct((16, 8, 64), FLOAT32)
    gradient = jax.grad(partial(mean_square, FUSED))
    with jax.default_matmul_precision(precision):
        if precision == "high":
            with pytest.raises(NotImplementedError, match="default and highest"):
                program("v5e", gradient, *args)
        else:
            assert kernels(program("v5e", gradient, *args)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_refused_with_its_bytes(kind: str) -> None:
    args = layer(64, 4096), jax.ShapeDtypeStruct((16, 8, 64), FLOAT32)
    needs = r"needs \d+\.\d MiB of VMEM .* of \d+ MiB it may take \d+\.\d"
    with pytest.raises(NotImplementedError, match=needs):
        program(kind, jax.grad(partial(mean_square, FUSED)), *args)


PAIRS = list(
    itertools.product(
        KINDS, ("float32", "bfloat16"), (5, 128, 512, 2048), (1, 3, 32, 512)
    )
)
IN_CI = {
    ("float32", 5, 1),
    ("float32", 5, 512),
    ("float32", 512, 32),
    ("bfloat16", 128, 512),
}


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(p, marks=[] if p[1:] in IN_CI else pytest.mark.nightly)
        for p in PAIRS
    ],
    ids=str,
)
def test_sizes_of_fused(pair: Any) -> None:
    """Two kernels and no loop, or refused beforehand."""
    found = fits.compiled(*pair)
    assert "failed" not in found, found
    if "refused" in found and pair == ("v6e", "float32", 5, 512):
        assert "libtpu 0.0.42 fails on a TPU v6" in found["refused"]
    elif "refused" in found:
        assert fits.NEEDS.search(found["refused"])
    else:
        assert (found["kernels"], found["loops"]) == (2, 0)


@pytest.mark.parametrize("option", ["plain", "projection"])
def test_data_parallel_sums_over_the_chips_once(option: str) -> None:
    call = cases.draw(
        Case("cell", option, "whole", "", "three", "given"), 7, 0, FLOAT32
    )
    params, x = call.params, jax.ShapeDtypeStruct((7, 8, cases.INPUTS), FLOAT32)
    for implementation, number in ((None, 0), (FUSED, 2)):
        four = mesh("v5e", "data")
        loss = partial(mean_square, implementation)
        step = data_parallel(jax.value_and_grad(loss), four, batch_axis=1)
        given = {"on": four, "specs": (P(), P(None, "data"))}
        found = program("v5e", step, params, x, **given)
        # XLA puts all arrays into one exchange.
        assert found.collectives() == {True: [], False: ["all-reduce"]}
        assert kernels(found) == number and len(found.loops) == 2 - number


@pytest.mark.parametrize(
    "option, exchanges",
    [
        ("plain", ["all-gather", "reduce-scatter"]),
        ("peephole", ["all-gather", "reduce-scatter"]),
        ("projection", ["all-reduce", "all-reduce"]),
    ],
)
def test_split_units_exchange_once_a_step(option: str, exchanges: list[str]) -> None:
    """At a size that XLA exchanges as it is asked to."""
    options = {**cases.OPTIONS[option], "dtype": FLOAT32}
    if "projection_size" in options:
        options["projection_size"] = 256
    params = lstm_jax.init_cell(jax.random.key(0), 64, 512, **options)
    x = jax.ShapeDtypeStruct((7, 8, 64), FLOAT32)
    four = mesh("v5e", "model")
    loss = partial(mean_square, SplitUnits(mesh=four))
    forward = program("v5e", loss, params, x, on=four)
    assert forward.collectives()[True] == exchanges[:1]
    gradient = program("v5e", jax.grad(loss), params, x, on=four)
    assert gradient.collectives()[True] == exchanges


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["step", "sequence", "mask", "fused"])
def test_exports_compile(kind: str, way: str) -> None:
    params = cases.STRUCTURES["stack"](
        0, cases.INPUTS, {**cases.OPTIONS["peephole"], "dtype": FLOAT32}
    )
    state = serving.plain(lstm_jax.zero_state(params, (4,)))
    x, lengths = jnp.ones((4, 7, cases.INPUTS), FLOAT32), jnp.array([7, 0, 4, 2])
    platforms = ("tpu",)
    if way == "step":
        exported = serving.export_step(params, platforms=platforms)
        args: Any = x[:, 0], state
    elif way == "fused":
        run = partial(lstm_jax.apply, params, implementation=FUSED)
        with jax.set_mesh(mesh(kind, "one", 1)):  # names the kind that it is for
            exported = serving.export(run, x, platforms=platforms)
        args = (x,)
    else:
        mask = way == "mask"
        exported = serving.export_sequence(params, mask=mask, platforms=platforms)
        valid = jnp.ones((4, 7), bool) if mask else lengths.astype("int32")
        args = x, valid, state
    again = jax.export.deserialize(exported.serialize())
    found = program(kind, again.call, *args)
    assert kernels(found) == (2 if way == "fused" else 0)
    assert len(found.loops) == (2 if way in ("sequence", "mask") else 0)


@pytest.mark.parametrize("implementation, arrays", [(None, 11), (FUSED, 12)])
def test_memory_of_a_gradient(implementation: Any, arrays: int) -> None:
    """In arrays (T, B, H), of which the projected input is four, and so its tangent.

    On this kind, whose VMEM is too small to hide them.
    """
    steps, batch, hidden = 128, 32, 128
    args = layer(64, hidden), jax.ShapeDtypeStruct((steps, batch, 64), FLOAT32)
    made = compiled("v5p", jax.grad(partial(mean_square, implementation)), *args)
    one = steps * batch * hidden * 4
    assert made.memory_analysis().temp_size_in_bytes <= (arrays + 0.5) * one
