# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The pytrees: parameters that carry their architecture, and the state they need.

Legend of shapes, used everywhere in this package: B batch, T time, I inputs, H hidden
units, P units after a projection, G gates present (4 in the standard cell). `x_t` is
one step, `x` a sequence; `w_` weights, `b` biases; `z` pre-activations; `dz` their
tangent or cotangent. `*B` stands for zero, one or many batch axes.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import flax.struct
import jax
import numpy as np

# A leaf is an array in use, and anything JAX puts in its place: a tracer, a
# ShapeDtypeStruct, a sharding, None. Constructors therefore never validate.
Leaf: TypeAlias = Any
Params: TypeAlias = "LSTMParams | Stack | Bidirectional | Reverse | Residual"
State: TypeAlias = Any  # a tree of (h, c) pairs that mirrors the parameters
Merge: TypeAlias = Literal["concat", "sum", "mul", "ave"]


def _plain_numbers(record: Any, *fields: str) -> None:
    for field in fields:
        value = getattr(record, field)
        if isinstance(value, np.generic):
            object.__setattr__(record, field, value.item())


class LSTMState(NamedTuple):
    """What one layer carries from step to step: output `h` first, then cell `c`.

    A plain tuple or list `(h, c)` is accepted wherever a state is. Beware that Flax
    carries `(c, h)`: where both have one shape the order cannot be told apart.

    Attributes:
        h: (*B, H), or (*B, P) with a projection: the last output.
        c: (*B, H): the cell state; float32 where h has a 16-bit type.
    """

    h: Leaf
    c: Leaf


@dataclasses.dataclass(frozen=True)
class Activation:
    """An elementwise function by its ONNX name, with its two parameters.

    Attributes:
        name: one of `affine`, `elu`, `hard_sigmoid`, `leaky_relu`, `relu`,
            `scaled_tanh`, `sigmoid`, `softplus`, `softsign`, `tanh`,
            `thresholded_relu`.
        alpha: first parameter, where the function has one; None for its default.
        beta: second parameter, likewise.

    Example:
        Keras' hard sigmoids, of version 2 and of version 3:

        >>> Activation("hard_sigmoid", alpha=0.2, beta=0.5)
        Activation(name='hard_sigmoid', alpha=0.2, beta=0.5)
        >>> keras3 = Activation("hard_sigmoid", alpha=1 / 6, beta=0.5)

    References:
        ONNX operator LSTM, attribute `activations`.
    """

    name: str
    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        """Turns NumPy's numbers into Python's, which are static and fit for JSON."""
        _plain_numbers(self, "alpha", "beta")


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class CellOptions:
    """What a cell computes beyond its arrays; static, hashable, part of the pytree.

    The order within a step is product, peephole, norm, bias, clip, activation.

    Attributes:
        gate_activation: of i, f and o; a name or an `Activation`.
        candidate_activation: of g.
        output_activation: of c in h_t = o_t * act(c_t).
        coupled: f_t = 1 - i_t; the forget gate has no columns.
        input_gate: False leaves it out: i_t = 1, no columns.
        forget_gate: False leaves it out: f_t = 1, no columns.
        output_gate: False leaves it out: o_t = 1, no columns.
        clip: bound of the absolute pre-activations of gates and candidate, or None.
        cell_clip: bound of the absolute cell state, or None.

    References:
        Greff et al. 2017, LSTM: A Search Space Odyssey (coupled and absent gates).
    """

    gate_activation: Activation | str = "sigmoid"
    candidate_activation: Activation | str = "tanh"
    output_activation: Activation | str = "tanh"
    coupled: bool = False
    input_gate: bool = True
    forget_gate: bool = True
    output_gate: bool = True
    clip: float | None = None
    cell_clip: float | None = None

    def __post_init__(self) -> None:
        """Gives a function that was named by a string its `Activation`."""
        for field in ("gate_activation", "candidate_activation", "output_activation"):
            value = getattr(self, field)
            if isinstance(value, str):
                object.__setattr__(self, field, Activation(value))
        _plain_numbers(self, "clip", "cell_clip")

    @property
    def gates(self) -> str:
        """The gates that have columns in `w_x` and `w_h`, in the order of `ifgo`."""
        present = {
            "i": self.input_gate,
            "f": self.forget_gate and not self.coupled,
            "g": True,
            "o": self.output_gate,
        }
        return "".join(gate for gate in "ifgo" if present[gate])


class SplitNorm(flax.struct.PyTreeNode):
    """Layer norm of the two products each, and of the cell inside the output.

    z_t = LN(W_x x_t) * gain_x + LN(W_h h_{t-1}) * gain_h + b, normed over all G·H, and
    h_t = o_t * tanh(LN(c_t) * gain_c + bias_c). The carried c_t is not normed.

    Attributes:
        gain_x: (G·H,) gain of the input product.
        gain_h: (G·H,) gain of the recurrent product.
        gain_c: (H,) gain of the cell state inside the output.
        bias_c: (H,) bias of the cell state inside the output.
        eps: added to the variance; static.

    References:
        Ba, Kiros, Hinton 2016, Layer Normalization.
    """

    gain_x: Leaf = None
    gain_h: Leaf = None
    gain_c: Leaf = None
    bias_c: Leaf = None
    eps: float = flax.struct.field(pytree_node=False, default=1e-5)

    def __post_init__(self) -> None:
        """As `CellOptions`."""
        _plain_numbers(self, "eps")


class GateNorm(flax.struct.PyTreeNode):
    """Layer norm of every gate's whole pre-activation, as LiteRT has it.

    z_t = LN(W_x x_t + W_h h_{t-1} + p * c) * gain + b for each gate by itself.

    Attributes:
        gain: (G·H,) gains, gate by gate in the order of the columns.
        eps: added to the variance; static.

    References:
        LiteRT (TensorFlow Lite), operator LSTM with layer-norm coefficients.
    """

    gain: Leaf = None
    eps: float = flax.struct.field(pytree_node=False, default=1e-8)

    def __post_init__(self) -> None:
        """As `CellOptions`."""
        _plain_numbers(self, "eps")


Norm: TypeAlias = SplitNorm | GateNorm


class LSTMParams(flax.struct.PyTreeNode):
    """One layer, one direction. Columns stand in the order i, f, g, o.

    Attributes:
        w_x: (I, G·H) weights of the input.
        w_h: (H, G·H), or (P, G·H) with a projection: weights of the last output.
        b: (G·H,) biases, or None.
        peephole: rows i, f, o of the gates present, each (H,), or None; i and f look
            at c_{t-1}, o looks at c_t.
        projection: (H, P): h_t = (o_t * tanh(c_t)) · projection, or None.
        norm: `SplitNorm`, `GateNorm` or None.
        options: `CellOptions`; static.
    """

    w_x: Leaf
    w_h: Leaf
    b: Leaf = None
    peephole: Leaf = None
    projection: Leaf = None
    norm: Any = None
    options: CellOptions = flax.struct.field(pytree_node=False, default=CellOptions())


class Stack(flax.struct.PyTreeNode):
    """Layers one above the other; each reads what the one below gives.

    Attributes:
        layers: tuple of parameters of any kind; a list becomes one. The state is a
            tuple of theirs.
    """

    layers: Sequence[Any]

    def __post_init__(self) -> None:
        """Makes a list a tuple, so that one network has one structure."""
        if isinstance(self.layers, list):
            object.__setattr__(self, "layers", tuple(self.layers))


class Bidirectional(flax.struct.PyTreeNode):
    """Two networks over one input, the second from the last valid step to the first.

    Attributes:
        forward: parameters of any kind.
        backward: parameters of any kind, run in reverse. The state is a tuple of both.
        merge: "concat" (forward's features first), "sum", "mul" or "ave"; static.
    """

    forward: Any
    backward: Any
    merge: Merge = flax.struct.field(pytree_node=False, default="concat")


class Reverse(flax.struct.PyTreeNode):
    """Runs `inner` from the last valid step to the first; outputs in original order.

    Attributes:
        inner: parameters of any kind; the state is theirs.
    """

    inner: Any


class Residual(flax.struct.PyTreeNode):
    """Adds the input to the output of `inner`; the two must have one width.

    Attributes:
        inner: parameters of any kind; the state is theirs.
    """

    inner: Any


class Activations(NamedTuple):
    """The inside of every step of one layer; time stands where it does in x.

    A gate that is absent is 1; a coupled forget gate is 1 - i. Zero in the padding.

    Attributes:
        i: (*B, T, H) input gate.
        f: (*B, T, H) forget gate.
        g: (*B, T, H) candidate.
        o: (*B, T, H) output gate.
        c: (*B, T, H) cell state after the step.
        h: (*B, T, H or P) output.
    """

    i: Leaf
    f: Leaf
    g: Leaf
    o: Leaf
    c: Leaf
    h: Leaf


def mirror(params: Params, leaf: Callable[[LSTMParams], Any]) -> State:
    """A tree like the state of `params`, with `leaf(layer)` where a layer's is."""
    match params:
        case LSTMParams():
            return leaf(params)
        case Reverse(inner) | Residual(inner):
            return mirror(inner, leaf)
        case Bidirectional(forward, backward):
            return mirror(forward, leaf), mirror(backward, leaf)
        case Stack(layers):
            return tuple(mirror(layer, leaf) for layer in layers)
    kinds = "LSTMParams, Stack, Bidirectional, Reverse or Residual"
    raise TypeError(f"params must be {kinds}; got {type(params).__name__}.")


def each_layer(function: Callable[[LSTMParams], Any], params: Params) -> Any:
    """The tree of `params` with `function(layer)` where each `LSTMParams` is."""
    return jax.tree.map(function, params, is_leaf=lambda p: isinstance(p, LSTMParams))


def layers(params: Params) -> list[LSTMParams]:
    """All layers of a network; by depth, forward before backward."""
    return jax.tree.leaves(params, is_leaf=lambda p: isinstance(p, LSTMParams))
