# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""For `device`: what can run, what became of it, and results beside the host's."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lstm_jax
from benchmarks import cases
from benchmarks.peers.lstm_jax import network
from lstm_jax._compat import enable_x64
from lstm_jax.testing import reference

# Largest difference over the largest value, by dtype and precision of products.
BOUNDS = {
    ("float32", "highest"): 5e-5,
    ("float32", "default"): 5e-2,
    ("bfloat16", "default"): 1e-1,
}
ROWS = {
    "one layer, ragged": cases.Row(7, 8, 16, 128, ragged=True),
    "one layer, resets": cases.Row(7, 8, 16, 128),
    "both ways, ragged": cases.Row(7, 5, 3, 5, layers=2, directions=2, ragged=True),
}


class Log:
    """What was measured and what was not, before a deadline.

    Attributes:
        checks: results beside the host's.
        times: of calls.
        left_out: what cannot run here, with the reason.
        failed: what should have, likewise.
        skipped: what the deadline came before.
    """

    def __init__(self, budget: float) -> None:
        self.end = time.monotonic() + budget
        self.checks: list[Any] = []
        self.times: list[Any] = []
        self.left_out: list[Any] = []
        self.failed: list[Any] = []
        self.skipped: list[str] = []

    def attempt(self, name: str, call: Callable[[], Any]) -> Any:
        """What a call gives; None where it is too late or fails, which is noted."""
        if time.monotonic() >= self.end:
            self.skipped.append(name)
            return None
        try:
            return call()
        except Exception as error:  # the others are measured all the same
            expected = isinstance(error, NotImplementedError | ImportError)
            why = (str(error).strip() or "no message").splitlines()[0]
            why = f"{type(error).__name__}: {why}"
            (self.left_out if expected else self.failed).append(
                {"what": name, "why": why}
            )
            return None


def ours(platform: str) -> list[Any]:
    """This library's ways of running that the platform may have."""
    ways: list[Any] = [lstm_jax.Scan()]
    if platform == "tpu" and (fused := getattr(lstm_jax, "Fused", None)):
        ways.append(fused())
    if platform == "gpu":
        ways += [lstm_jax.Cudnn(), lstm_jax.Cudnn(tf32=True)]
    return ways


def cast(problem: cases.Problem, dtype: str) -> cases.Problem:
    """The weights and the input in another dtype."""
    own = jax.tree.map(lambda a: np.asarray(a, jnp.dtype(dtype)), problem)
    return own._replace(lengths=problem.lengths)


def error(got: Any, expected: Any) -> float:
    """The largest difference over the largest value, in the worst array."""
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
    both = [(np.asarray(a, np.float64), np.asarray(b)) for a, b in pairs]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in both)


def outcome(way: Any, more: Any, params: Any, x: Any) -> Any:
    """y, and the gradients of a weighted sum of y with respect to params and x."""

    def loss(params: Any, x: Any) -> Any:
        y = lstm_jax.apply(params, x, implementation=way, **more)[0]
        weights = np.random.default_rng(1).standard_normal(y.shape)
        return jnp.mean(y * weights.astype(y.dtype)), y

    (_, y), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, x)
    return y, gradients


def expected(problem: cases.Problem, more: Any) -> Any:
    """The outcome in float64, by a Python loop on the host."""
    with enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        exact = cast(problem, "float64")
        params = network(exact)
        got = jax.device_get(outcome(lstm_jax.Loop(), more, params, exact.x))
    if error(got[0], reference(params, exact.x, **more)[0]) > 1e-12:
        raise AssertionError("device: the host's loop is not NumPy's.")
    return got


def check(log: Log, networks: Any, dtypes: Any, platform: str) -> None:
    """Compares every way of running with the host."""
    for name in networks:
        problem = cases.problem(ROWS[name])
        more: dict[str, Any] = {"lengths": problem.lengths, "time_major": True}
        if "resets" in name:
            shape = problem.x.shape[:2]
            more["resets"] = np.random.default_rng(2).random(shape) < 0.3
        exact = log.attempt(f"the host, {name}", partial(expected, problem, more))
        for (dtype, products), bound in BOUNDS.items():
            if exact is None or dtype not in dtypes:
                continue
            own = cast(problem, dtype)
            for way in ours(platform):
                if products == "highest" and getattr(way, "tf32", False):
                    continue  # it rounds whatever the default is
                what = dict(network=name, way=repr(way), dtype=dtype, products=products)
                run = jax.jit(partial(outcome, way, more))
                call = lambda: jax.device_get(run(network(own), own.x))  # noqa: B023, E731
                with jax.default_matmul_precision(products):
                    got = log.attempt(", ".join(what.values()), call)
                if got is not None:
                    y, gradients = map(error, got, exact)
                    errors = {"values": y, "gradients": gradients}
                    right = max(errors.values()) < bound  # so that NaN is wrong
                    log.checks.append(
                        {**what, **errors, "bound": bound, "right": right}
                    )
