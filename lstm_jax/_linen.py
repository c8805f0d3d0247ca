# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The parameters of the linen modules: fields that say what they are, registration."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import flax.core
import flax.linen as nn
import jax
import jax.numpy as jnp

import lstm_jax
from lstm_jax import _flax
from lstm_jax._params import Params
from lstm_jax.cells.options import CellOptions
from lstm_jax.initializers import (
    BiasInit,
    WeightInit,
    forget_bias,
    glorot_uniform,
    orthogonal,
)


def _register(scope: Any, tree: Mapping[str, Any]) -> dict[str, Any]:
    """One parameter for each leaf of nested names, in a scope for each mapping.

    Scopes and not modules, of which `nn.tabulate` would give each a row.
    """
    return {
        name: _register(scope.push(name), value)
        if isinstance(value, Mapping)
        else scope.param(name, partial(_value, value))
        for name, value in tree.items()
    }


def _value(value: Any, key: Any) -> Any:
    """An array as it is, or zeros of a shape; the key was used where it was drawn."""
    return jax.tree.map(
        lambda a: (
            jnp.zeros(a.shape, a.dtype)
            if isinstance(a, jax.ShapeDtypeStruct)
            else jnp.asarray(a)
        ),
        value,
    )


# The fields that `init` and `init_cell` take, and the names they have there.
_OF_INIT = {
    name: name
    for name in """hidden_size num_layers bidirectional merge projection_size peephole
    norm use_bias options kernel_init recurrent_init bias_init cell""".split()
} | {"param_dtype": "dtype"}


class Module(nn.Module, kw_only=True):
    """The fields of both modules, and their parameters."""

    _init: ClassVar[Callable[..., Params]] = staticmethod(lstm_jax.init)

    cell: Any = None
    projection_size: int | None = None
    peephole: bool = False
    norm: Any = None
    use_bias: bool = True
    options: CellOptions = CellOptions()
    kernel_init: WeightInit = glorot_uniform()
    recurrent_init: WeightInit = orthogonal()
    bias_init: BiasInit = forget_bias(1.0)
    param_dtype: Any = jnp.float32
    params_init: Callable[..., Params] | None = None
    dtype: Any = None

    @classmethod
    def from_params(cls, params: Params, **fields: Any) -> Any:
        """A module that starts from these parameters, whatever their structure.

        Args:
            params: parameters of any kind; for a cell, of a causal one.
            **fields: the module's fields that do not say what the parameters are.

        Returns:
            The module, which `init` gives these parameters.
        """
        return cls(params_init=lambda key, size: params, **fields)

    @nn.nowrap
    def unpack(self, collection: Any) -> Params:
        """The parameters in a "params" collection; the inverse of `pack`.

        Args:
            collection: the variables of this module, or their "params", or of a larger
                model's the sub-tree under the module's name. A learned state is left.

        Returns:
            Parameters as `lstm_jax.apply` takes them.

        Raises:
            ValueError: names are not those of the module's parameters.
        """
        tree = dict(collection.get("params", collection))
        tree.pop("state", None)
        # Names and options do not depend on the number of inputs.
        return _flax.filled(f"{type(self).__name__}.unpack", self._like(1), tree)

    @nn.nowrap
    def _draw(self, key: Any, input_size: Any) -> Params:
        """The parameters that the fields ask for."""
        given = {
            _OF_INIT[field.name]: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name in _OF_INIT and getattr(self, field.name) is not field.default
        }
        return _flax.draw(self._init, self.params_init, key, input_size, given)

    @nn.nowrap
    def _like(self, input_size: Any) -> Any:
        """The parameters' structure, shapes and dtypes."""
        draw = partial(self._draw, input_size=input_size)
        return jax.eval_shape(draw, jax.random.key(0))

    @nn.compact
    def _parameters(self, x: Any, learn_state: bool = False) -> tuple[Params, Any]:
        """The parameters, and the learned state or None, registered leaf by leaf."""
        call = type(self).__name__
        size = _flax.input_size(call, x)
        params = like = self._like(size)
        tree = _flax.nested(like)
        if learn_state:
            start = jax.eval_shape(_flax.learnable, flax.core.meta.unbox(like))
            tree["state"] = _flax.nested(start)
        if self.has_variable("params", next(iter(tree))):
            _flax.no_others(call, tree, self.variables["params"])
        elif self.is_mutable_collection("params"):
            params = self._draw(self.make_rng("params"), size)
            tree |= _flax.nested(params)
        arrays = _register(self.scope, tree)
        learned = arrays.pop("state", None)
        if learned is not None:
            learned = _flax.filled(call, start, learned)
        return _flax.filled(call, params, arrays), learned
