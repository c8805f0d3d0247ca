# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The parameters, states and keys of the nnx modules."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from lstm_jax import _flax
from lstm_jax._flax_boxes import is_box, unboxed
from lstm_jax._params import Params


def stored(tree: Any) -> Any:
    """Arrays as parameters of a module, with the metadata that they are boxed with."""
    return nnx.data(jax.tree.map(_param, tree, is_leaf=is_box))


def _param(a: Any) -> nnx.Param:
    if not is_box(a):
        return nnx.Param(jnp.asarray(a))
    if not isinstance(a, nnx.VariableMetadata):  # linen's, whose names are its axes
        array, names = unboxed(a), a.get_partition_spec()
        a = nnx.with_partitioning(lambda: array, tuple(names))()
    return nnx.Param(a)


def arrays(tree: Any) -> Any:
    """The inverse of `stored`."""
    return jax.tree.map(
        lambda variable: variable[...],
        tree,
        is_leaf=lambda a: isinstance(a, nnx.Variable),
    )


class Module(nnx.Module):
    """What both modules have."""

    weights: Any

    @classmethod
    def from_params(cls, params: Params, **fields: Any) -> Any:
        """A module with these parameters, whatever their structure.

        It is where trained weights of other systems come in, through
        `lstm_jax.convert`; the property `params` is the way back.

        Args:
            params: parameters of any kind; for a cell, of a causal one.
            **fields: what the module takes beside what says how to draw parameters;
                rngs only where there is a regularizer.

        Returns:
            The module.
        """
        fields = {"rngs": None} | fields
        make: Any = cls
        return make(None, params_init=lambda key, size: params, **fields)

    @property
    def params(self) -> Params:
        """The parameters as `lstm_jax.apply` takes them, of plain arrays."""
        return arrays(self.weights)


def drawn(
    init: Any,
    rngs: nnx.Rngs | None,
    input_size: Any,
    hidden_size: Any,
    params_init: Any,
    fields: dict[str, Any],
) -> Params:
    """Parameters drawn by `init` or `params_init`."""
    if "param_dtype" in fields:
        fields["dtype"] = fields.pop("param_dtype")
    if hidden_size is not None:
        fields = {"hidden_size": hidden_size, **fields}
    key = None if rngs is None else rngs.params()
    return _flax.draw(init, params_init, key, input_size, fields)


def key(source: Any) -> Any:
    """A key of a random stream."""
    if source is None:
        raise ValueError(
            "LSTM: rngs must be given, to the module or the call, where a regularizer "
            "drops anything; got None. Pass deterministic=True for evaluation."
        )
    return source.dropout() if isinstance(source, nnx.Rngs) else source()
