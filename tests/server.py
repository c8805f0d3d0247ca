# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Runs exported programs with JAX alone: python -I tests/server.py FOLDER.

Every NAME.jax of the folder is called with the arrays of every NAME.*.in.npz beside it,
in the order of its leaves; what it gives is saved as NAME.*.out.npz. A name that begins
with "step" is given x (T, B, I), one step after another.
"""

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

ABSENT = {"lstm_jax", "flax", "optax"}


class Absent:
    """Makes packages be as if they were not installed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(name)


def stream(step: Any, xs: Any, state: Any) -> Any:
    """The outputs of all steps, and the state after the last."""
    state, ys = jax.device_put(state, jax.devices()[0]), []
    for x in xs:
        y, state = step(x, state)
        ys.append(y)
    assert step._cache_size() == 1, "one program for all steps"
    return np.stack(ys), state


def serve(program: Any, name: str, given: Path) -> None:
    """One call, or one stream."""
    with np.load(given) as file:
        arrays = list(file.values())
    pairs = zip(arrays, program.in_avals, strict=True)
    leaves = [a.astype(kind.dtype) for a, kind in pairs]
    args, _ = jax.tree.unflatten(program.in_tree, leaves)
    run = jax.jit(program.call)
    out = jax.tree.leaves(stream(run, *args) if name.startswith("step") else run(*args))
    kinds = [str(a.dtype) for a in out]
    # NumPy's files have no bfloat16.
    wide = [a.astype("float32") if a.dtype == "bfloat16" else a for a in out]
    np.savez(str(given).replace(".in.", ".out."), *wide, kinds=kinds)


def main(folder: Path) -> None:
    """Every program, under the numbers of its types alone."""
    for path in folder.glob("*.jax"):
        program = export.deserialize(bytearray(path.read_bytes()))
        wide = any(a.dtype == "float64" for a in program.in_avals)
        jax.config.update("jax_enable_x64", wide)
        for given in folder.glob(f"{path.stem}.*.in.npz"):
            serve(program, path.stem, given)


if __name__ == "__main__":
    assert not ABSENT & set(sys.modules), "JAX does not need them"
    sys.meta_path.insert(0, Absent())
    try:
        import lstm_jax
    except ModuleNotFoundError:
        main(Path(sys.argv[1]))
    else:
        raise RuntimeError(f"{lstm_jax} must not be there")
