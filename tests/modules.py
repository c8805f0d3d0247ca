# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the tests of both kinds of Flax modules call them with, and compare them to."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax
from lstm_jax import Loop, Regularizer
from tests.foreign import LENGTHS, STEPS, sequence

RESETS = np.arange(STEPS) == np.array([[3], [0], [2]])
KEY = jax.random.key(8)
DROPPING = Regularizer(input_dropout=0.4, recurrent_dropout=0.3, zoneout_h=0.2)
# Of init: of a kind for every field, with values that the key has no part in.
FIELDS: dict[str, Any] = {
    "num_layers": 2,
    "bidirectional": True,
    "merge": "mul",
    "projection_size": 4,
    "peephole": True,
    "norm": lstm_jax.SplitNorm(eps=1e-3),
    "options": lstm_jax.CellOptions(coupled=True, clip=3.0),
    "kernel_init": jax.nn.initializers.constant(0.25),
    "recurrent_init": jax.nn.initializers.constant(-0.5),
    "bias_init": lambda key, units, gates: jnp.arange(1.0 * units * len(gates)),
    "param_dtype": jnp.float16,
    "use_bias": False,
}
# Of apply: those of the call alone, and those that a module may have too.
CALL: dict[str, Any] = {
    "state": object(),
    "lengths": LENGTHS,
    "mask": object(),
    "resets": RESETS,
    "reset_state": object(),
    "key": KEY,
}
EITHER: dict[str, Any] = {
    "time_major": True,
    "regularizer": DROPPING,
    "truncate": 3,
    "implementation": Loop(),
}


def fields_of_init() -> set[str]:
    """The names of `FIELDS`, from the functions themselves."""
    both = [inspect.signature(f) for f in (lstm_jax.init, lstm_jax.init_cell)]
    names = {name for signature in both for name in signature.parameters}
    return names - {"key", "input_size", "hidden_size", "cell", "dtype"} | {
        "param_dtype"
    }


def reaches_apply(
    monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any], given: dict[str, Any]
) -> None:
    """That a call hands all this to `apply`, as it is, and gives what that gives."""
    seen: dict[str, Any] = {}
    result = jnp.ones(2), (jnp.ones(3),)

    def apply(params: Any, x: Any, state: Any, **others: Any) -> Any:
        seen.update(others, state=state)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(lstm_jax, "apply", apply)
        assert call(sequence(), **given) is not None
    assert set(seen) == set(CALL) | set(EITHER)
    assert given and all(seen[name] is given[name] for name in given)


def learned_by_hand(
    params: Any, start: Any, x: Any, resets: Any = None
) -> tuple[jax.Array, Any]:
    """`apply` with a state that a network learns: broadcast, and entering at resets."""
    return lstm_jax.apply(
        params, x, start, resets=resets, reset_state=None if resets is None else start
    )


def uncoloured(text: str) -> str:
    """A table without the codes of a terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
