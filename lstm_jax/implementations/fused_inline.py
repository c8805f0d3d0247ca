# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A traced step without calls inside it, and without what nothing needs.

A kernel has no use for what surrounds a step's arithmetic: marks of what is computed
again, rules of derivatives, types of a mesh.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax._compat import bind_again

# What only calls another program, and the name of the parameter with that.
CALLS = {
    "pjit": "jaxpr",
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}
# Those that change an array's mesh type and not its value.
TYPES = ("pvary", "pcast")
# Those that a TPU's kernel has for numbers and not for booleans.
SHAPES = ("broadcast_in_dim", "reshape", "squeeze")


def inlined(traced: Any, types: list[Any]) -> tuple[Any, list[Any]]:
    """A program of the same values.

    Args:
        traced: a ClosedJaxpr.
        types: of its arguments.

    Returns:
        A jaxpr that takes its constants first, then those arguments; the constants.
    """

    def run(consts: Any, *args: Any) -> list[Any]:
        return _evaluate(traced.jaxpr, consts, args)

    consts = list(traced.consts)
    return _without_unused(jax.make_jaxpr(run)(consts, *types).jaxpr), consts


def _evaluate(jaxpr: Any, consts: Any, args: Any) -> list[Any]:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, args, strict=True))
    read = lambda var: var.val if hasattr(var, "val") else values[var]  # noqa: E731
    for eqn in jaxpr.eqns:
        given = [read(var) for var in eqn.invars]
        name = eqn.primitive.name
        if name in TYPES:
            out = given
        elif name in SHAPES and given[0].dtype == bool and jnp.ndim(given[0]):
            out = [bind_again(eqn, [given[0].astype(jnp.int32)]) != 0]
        elif name in CALLS:
            inner = eqn.params[CALLS[name]]
            own = getattr(inner, "consts", ())
            out = _evaluate(getattr(inner, "jaxpr", inner), own, given)
        else:
            out = bind_again(eqn, given)
            out = out if eqn.primitive.multiple_results else [out]
        values.update(zip(eqn.outvars, out, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _without_unused(jaxpr: Any) -> Any:
    """Leaves out equations of which nothing is needed."""
    needed = {var for var in jaxpr.outvars if not hasattr(var, "val")}
    kept = []
    for eqn in reversed(jaxpr.eqns):
        if eqn.effects or any(var in needed for var in eqn.outvars):
            kept.append(eqn)
            needed.update(var for var in eqn.invars if not hasattr(var, "val"))
    return jaxpr.replace(eqns=kept[::-1])


def used(f: Any, *types: Any) -> list[bool]:
    """Which leaves of a function's arguments anything depends on."""
    flat = jax.tree.leaves(types)
    jaxpr, consts = inlined(jax.make_jaxpr(f)(*types), flat)
    needed = {
        var for eqn in jaxpr.eqns for var in eqn.invars if not hasattr(var, "val")
    }
    needed.update(var for var in jaxpr.outvars if not hasattr(var, "val"))
    return [var in needed for var in jaxpr.invars[len(consts) :]]
