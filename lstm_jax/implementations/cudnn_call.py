# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One call of cuDNN, and what JAX may do with it.

    forward    one call: y, the last h and c of every layer, and what backward needs
    backward   one call: the gradients of x, h, c and the weights

It has neither a tangent nor a derivative of its gradient. JAX asks for these while it
transforms a call, so they are refused here, not among the checks of arguments. The rule
is of `jax.custom_jvp`, as that of `_recurrence` is: its tangent is a primitive that can
be transposed, and raises where it is to be computed.

`vmap` merges its axis into B. What backward needs of such a call has no shape that each
member could have a part of, so the gradient runs forward again instead of keeping it.
cuDNN adds up the gradient of the weights over B, and has one set of them for a call.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lstm_jax._types import match_manual_axes

VMAP = "a call has one set of weights, and vmap maps them"
EACH = "it sums the gradient of weights over B, and vmap asks for each member's"
FORWARD = "it has a gradient but no tangent, which forward mode asks for"
SECOND = "its gradient has no derivative, which second order asks for"
KEPT = 7  # arrays that backward needs
ROWS = (0, 0, 1, 1)  # where B is in lengths, x, h and c


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


def backward_again(call: Call, *args: Any) -> Any:
    """`backward` where y and the reserve are of other calls: runs forward for them."""
    lengths, x, h, c, w, _, _, *cotangents = args
    y, _, _, reserve = forward(call, lengths, x, h, c, w)
    return backward(call, lengths, x, h, c, w, y, reserve, *cotangents)


def _merge(a: jax.Array, axis: int, size: int, mapped: bool) -> jax.Array:
    """An axis of vmap, in front, and B at `axis` behind it, as one."""
    if not mapped:
        a = jnp.broadcast_to(a, (size, *a.shape))
    a = jnp.moveaxis(a, 0, axis)
    return a.reshape(*a.shape[:axis], -1, *a.shape[axis + 2 :])


def _split(a: jax.Array, axis: int, size: int) -> jax.Array:
    """The inverse of `_merge`."""
    shape = (*a.shape[:axis], size, a.shape[axis] // size, *a.shape[axis + 1 :])
    return jnp.moveaxis(a.reshape(shape), axis, 0)


def _merged(size: int, mapped: Any, args: Any) -> list[jax.Array]:
    """The lengths, x, h and c of all members of a vmap."""
    return list(map(_merge, args, ROWS, (size,) * len(ROWS), mapped))


def _last(
    function: Callable[..., Any], rule: Callable[..., Any], call: Call, *arrays: Any
) -> Any:
    """Calls a function that has a rule for vmap and cannot be differentiated."""
    single = custom_vmap(partial(function, call))
    single.def_vmap(partial(rule, call))
    constant = jax.custom_jvp(lambda *arrays: single(*arrays))
    constant.defjvp(lambda *_: call.refuse(SECOND))
    return constant(*arrays)


def _forward(call: Call, *args: Any) -> Any:
    """`forward`, as JAX may transform it."""

    def rule(call: Call, size: int, mapped: Any, *args: Any) -> Any:
        if mapped[len(ROWS)]:
            call.refuse(VMAP)
        y, h, c, _ = _forward(call, *_merged(size, mapped, args), args[-1])
        member = [
            jax.ShapeDtypeStruct(a.shape[1:] if one else a.shape, a.dtype)
            for a, one in zip(args, mapped, strict=True)
        ]
        like = jax.eval_shape(partial(forward, call), *member)[-1]
        reserve = jnp.zeros(like.shape, like.dtype)  # of this type, and never read
        out = _split(y, 0, size), _split(h, 1, size), _split(c, 1, size), reserve
        return match_manual_axes(out), (True, True, True, False)

    return _last(forward, rule, call, *args)


def _backward(call: Call, again: bool, weights: bool, *args: Any) -> Any:
    """The gradients of x, h, c and, where they are wanted, w; as JAX may transform it.

    Args:
        call: as for `forward`.
        again: y and the reserve are not those of these arguments.
        weights: w has a gradient.
        *args: as of `backward`.
    """

    def function(call: Call, *args: Any) -> Any:
        found = (backward_again if again else backward)(call, *args)
        return list(found) if weights else list(found)[:-1]

    def rule(call: Call, size: int, mapped: Any, *args: Any) -> Any:
        if mapped[len(ROWS)]:
            call.refuse(VMAP)
        if weights:
            call.refuse(EACH)
        of_out = zip(args[KEPT:], (0, 1, 1), mapped[KEPT:], strict=True)
        cotangents = [_merge(a, axis, size, one) for a, axis, one in of_out]
        kept = *_merged(size, mapped, args), *args[len(ROWS) : KEPT]
        found = _backward(call, True, False, *kept, *cotangents)
        parts = [_split(g, k, size) for g, k in zip(found, ROWS[1:], strict=True)]
        return parts, [True] * len(parts)

    return _last(function, rule, call, *args)


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
    y, h, c, _ = _forward(call, lengths, x, h, c, w)
    return y, h, c


@partial(run.defjvp, symbolic_zeros=True)
def _(call: Call, primals: Any, tangents: Any) -> Any:
    *out, reserve = _forward(call, *primals)
    live = tuple(not isinstance(t, SymbolicZero) for t in tangents)
    moving = [t for t, alive in zip(tangents, live, strict=True) if alive]
    static = dict(call=call, live=live, again=False)
    changes = _tangent.bind(*primals, out[0], reserve, *moving, **static)
    return tuple(out), tuple(changes)


# Linear in what follows the first KEPT arguments; gives the tangents of y, h and c.
_tangent = Primitive("lstm_cudnn_tangent")
_tangent.multiple_results = True


def _transpose(
    cotangents: Any, *args: Any, call: Call, live: tuple[bool, ...], again: bool
) -> Any:
    kept, moving = args[:KEPT], args[KEPT:]
    weights = live[-1] and ad.is_undefined_primal(moving[-1])
    out = map(ad.instantiate_zeros, cotangents)
    found = _backward(call, again, weights, *kept, *out)
    gradients = [*found, *[None] * (not weights)]
    wanted = [g for g, alive in zip(gradients, live[1:], strict=True) if alive]
    return [None] * KEPT + [
        g if ad.is_undefined_primal(m) else None
        for g, m in zip(wanted, moving, strict=True)
    ]


def _batch(
    args: Any, dims: Any, *, call: Call, live: tuple[bool, ...], again: bool
) -> Any:
    """The tangent of the merged call, which keeps none of what each member kept."""
    mapped = [d is not None for d in dims]
    size = next(a.shape[d] for a, d, one in zip(args, dims, mapped, strict=True) if one)
    front = [
        jnp.moveaxis(a, d, 0) if one else a
        for a, d, one in zip(args, dims, mapped, strict=True)
    ]
    w = len(ROWS)
    if mapped[w] or (live[w] and mapped[-1]):
        call.refuse(VMAP)
    axes = [axis for axis, alive in zip((*ROWS, None), live, strict=True) if alive]
    moving = [
        a if axis is None else _merge(a, axis, size, one)
        for a, axis, one in zip(front[KEPT:], axes, mapped[KEPT:], strict=True)
    ]
    y, reserve = front[w + 1 : KEPT]
    kept = *_merged(size, mapped, front), front[w], _merge(y, 0, size, mapped[w + 1])
    static = dict(call=call, live=live, again=True)
    found = _tangent.bind(*kept, reserve, *moving, **static)
    return [_split(t, k, size) for t, k in zip(found, (0, 1, 1), strict=True)], [0] * 3


def _refused(why: str) -> Callable[..., Any]:
    return lambda *_, call, **__: call.refuse(why)


_tangent.def_abstract_eval(lambda lengths, x, h, c, w, y, *_, **__: [y, h, c])
_tangent.def_impl(_refused(FORWARD))
mlir.register_lowering(_tangent, _refused(FORWARD))
batching.primitive_batchers[_tangent] = _batch
ad.primitive_jvps[_tangent] = _refused(SECOND)
ad.primitive_transposes[_tangent] = _transpose
