# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""For which sizes `Fused` has its two kernels of a gradient, and what it refuses."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import lstm_jax
from benchmarks import compilers
from benchmarks.hlo import Program
from experiments._results import table as markdown

STEPS = 64
NEEDS = re.compile(r"needs (\S+) MiB .* it may take (\d+\.\d)")


def mean_square(implementation: Any, params: Any, x: Any) -> jax.Array:
    """The mean of y²; x is (T, B, I)."""
    y, _ = lstm_jax.apply(params, x, time_major=True, implementation=implementation)
    return jnp.mean(jnp.square(y))


def layer(inputs: int, hidden: int, dtype: str = "float32") -> Any:
    """The types of a layer's parameters."""
    make = partial(lstm_jax.init, dtype=dtype)
    return jax.eval_shape(lambda: make(jax.random.key(0), inputs, hidden))


def compiled(kind: str, dtype: str, hidden: int, batch: int) -> dict[str, Any]:
    """Compiles the gradient of a layer with I = H for a TPU.

    Args:
        kind: of TPU.
        dtype: of parameters and input.
        hidden: H.
        batch: B.

    Returns:
        The number of kernels and of loops; or why it was refused beforehand; or how the
        compiler failed, which `Fused` should have known.
    """
    found = {"kind": kind, "dtype": dtype, "hidden": hidden, "batch": batch}
    args = (
        layer(hidden, hidden, dtype),
        jax.ShapeDtypeStruct((STEPS, batch, hidden), dtype),
    )
    gradient = jax.grad(partial(mean_square, lstm_jax.Fused()))
    try:
        program = Program(compilers.compiled(kind, gradient, *args).as_text())
    except NotImplementedError as error:
        return found | {"refused": str(error)}
    except jax.errors.JaxRuntimeError as error:
        return found | {"failed": str(error).splitlines()[0]}
    kernels = program.custom_calls("tpu_custom_call")
    return found | {"kernels": len(kernels), "loops": len(program.loops)}


def table(found: list[dict[str, Any]]) -> str:
    """Batches side by side."""
    by: dict[Any, dict[int, str]] = {}
    for one in found:
        row = one["kind"], one["dtype"], str(one["hidden"])
        by.setdefault(row, {})[one["batch"]] = _cell(one)
    batches = list(dict.fromkeys(one["batch"] for one in found))
    rows = [(*row, *(cells[b] for b in batches)) for row, cells in by.items()]
    return markdown(("", "", "I = H", *(f"B = {b}" for b in batches)), rows)


def _cell(one: dict[str, Any]) -> str:
    if "failed" in one:
        return "fails"
    if "refused" not in one:
        return f"{one['kernels']} kernels, {one['loops']} loops"
    needs = NEEDS.search(one["refused"])
    return f"needs {needs[1]} of {needs[2]} MiB" if needs else "refused: libtpu fails"
