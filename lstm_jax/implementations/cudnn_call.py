# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One call of cuDNN, and what JAX may do with it.

    forward    one call: y, the last h and c of every layer, and what backward needs
    backward   one call: the gradients of x, h, c and the weights

It has neither a tangent nor a derivative of its gradient, and one batch axis alone. JAX
asks for these while it transforms a call, so they are refused here, not among the
checks of arguments. The rule is of `jax.custom_jvp`, as that of `_recurrence` is: its
tangent is a primitive that can be transposed, and raises where it is to be computed.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn

import jax
from jax import lax
from jax.custom_batching import custom_vmap
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lstm_jax._types import match_manual_axes

VMAP = "it has one batch axis, and vmap asks for another; apply takes x (*B, T, I)"
FORWARD = "it has a gradient but no tangent, which forward mode asks for"
SECOND = "its gradient has no derivative, which second order asks for"
KEPT = 7  # arrays that backward needs


def rnn() -> Any:
    """The module: an experimental one, which the rest of the library never needs."""
    from jax.experimental import rnn

    return rnn


class Sizes(NamedTuple):
    """What cuDNN is told of a network.

    Attributes:
        inputs: I.
        hidden: H, of all layers.
        layers: the depth L.
        directions: D, 1 or 2.
    """

    inputs: int
    hidden: int
    layers: int
    directions: int

    @property
    def layout(self) -> tuple[int, int, int, bool]:
        """The same as `jax.experimental.rnn` has it."""
        return self.inputs, self.hidden, self.layers, self.directions == 2


class Call(NamedTuple):
    """What is static in a call.

    Attributes:
        how: the `Cudnn`.
        sizes: of the network.
    """

    how: Any
    sizes: Sizes

    def options(self) -> dict[str, Any]:
        """Arguments of `jax.experimental.rnn`, where TF32 is what a None allows."""
        inputs, hidden, layers, bidirectional = self.sizes.layout
        return dict(
            input_size=inputs,
            hidden_size=hidden,
            num_layers=layers,
            dropout=0.0,
            bidirectional=bidirectional,
            precision=lax.Precision.HIGH if self.how.tf32 else lax.Precision.HIGHEST,
        )

    def refuse(self, why: str) -> NoReturn:
        """Says that a transformation cannot be had."""
        raise NotImplementedError(
            f"apply: {self.how} cannot run this: {why}. Scan() can."
        )


def forward(call: Call, lengths: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """Gives y (B, T, D·H), the last h and c (L·D, B, H), and a reserve of backward."""
    (y, h, c), kept = rnn().lstm_fwd(x, h, c, w, lengths, **call.options())
    return match_manual_axes((y, h, c, kept[-1]))  # y comes without a mesh type


def backward(call: Call, *args: Any) -> Any:
    """The gradients of x, h, c and w.

    Args:
        call: as for `forward`.
        *args: lengths, x, h, c and w of `forward`; its y and its reserve; the
            cotangents of y, h and c.
    """
    lengths, x, h, c, w, y, reserve, *cotangents = args
    residuals = x, h, c, w, lengths, y, reserve
    *gradients, _ = rnn().lstm_bwd(
        residuals=residuals, gradients=cotangents, **call.options()
    )
    return gradients


def _last(function: Callable[..., Any], call: Call, *args: Any) -> Any:
    """Calls a function that can be neither batched nor differentiated further."""

    @custom_vmap
    def single(*args: Any) -> Any:
        return function(call, *args)

    @jax.custom_jvp
    def constant(*args: Any) -> Any:
        return single(*args)

    single.def_vmap(lambda *_: call.refuse(VMAP))
    constant.defjvp(lambda *_: call.refuse(SECOND))
    return constant(*args)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def run(
    call: Call, lengths: jax.Array, x: jax.Array, h: jax.Array, c: jax.Array, w: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Runs a network; differentiable once, in reverse.

    Args:
        call: what is static.
        lengths: (B,) int32 in [1, T].
        x: (B, T, I).
        h: (L·D, B, H) enters; layers by depth, forward before backward.
        c: (L·D, B, H) likewise.
        w: (N,) packed weights.

    Returns:
        y (B, T, D·H), and h and c (L·D, B, H) after the last valid step.
    """
    y, h, c, _ = _last(forward, call, lengths, x, h, c, w)
    return y, h, c


@partial(run.defjvp, symbolic_zeros=True)
def _(call: Call, primals: Any, tangents: Any) -> Any:
    *out, reserve = _last(forward, call, *primals)
    live = tuple(not isinstance(t, SymbolicZero) for t in tangents)
    moving = [t for t, alive in zip(tangents, live, strict=True) if alive]
    kept = *primals, out[0], reserve
    return tuple(out), tuple(_tangent.bind(*kept, *moving, call=call, live=live))


# Linear in what follows the first KEPT arguments; gives the tangents of y, h and c.
_tangent = Primitive("lstm_cudnn_tangent")
_tangent.multiple_results = True


def _transpose(cotangents: Any, *args: Any, call: Call, live: tuple[bool, ...]) -> Any:
    kept, moving = args[:KEPT], args[KEPT:]
    gradients = _last(backward, call, *kept, *map(ad.instantiate_zeros, cotangents))
    wanted = [g for g, alive in zip(gradients, live[1:], strict=True) if alive]
    return [None] * KEPT + [
        g if ad.is_undefined_primal(m) else None
        for g, m in zip(wanted, moving, strict=True)
    ]


def _refused(why: str) -> Callable[..., Any]:
    return lambda *_, call, **__: call.refuse(why)


_tangent.def_abstract_eval(
    lambda lengths, x, h, c, w, y, *_, call, live: [y, h, c],
)
_tangent.def_impl(_refused(FORWARD))
mlir.register_lowering(_tangent, _refused(FORWARD))
batching.primitive_batchers[_tangent] = _refused(FORWARD)
ad.primitive_jvps[_tangent] = _refused(SECOND)
ad.primitive_transposes[_tangent] = _transpose
