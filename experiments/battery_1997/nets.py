# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The nets of 1997, weight by weight, and nets of modern cells as large as they."""

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

import lstm_jax
from lstm_jax import variants
from lstm_jax.initializers import BiasInit, glorot_uniform


class Net(flax.struct.PyTreeNode):
    """A layer of cells, and outputs that see the cells alone.

    Attributes:
        cell: parameters, `LSTM1997Params` or `LSTMParams`.
        w: (H, O).
        b: (O,) or None.
        linear: whether the outputs are linear, not logistic; static.
    """

    cell: Any
    w: jax.Array
    b: jax.Array | None
    linear: bool = flax.struct.field(pytree_node=False, default=False)


class Layout(NamedTuple):
    """A net of 1997.

    Attributes:
        inputs: I.
        outputs: O.
        blocks: K.
        size: cells of a block.
        weights: how many there are, as published for nets that were.
        span: weights start in [-span, span].
        input_bias: where the biases of the input gates start; () for as weights do.
        output_bias: the same of the output gates.
        all_biased: whether cells and outputs have biases; gates always do.
    """

    inputs: int
    outputs: int
    blocks: int
    size: int
    weights: int
    span: float
    input_bias: tuple[float, ...] = ()
    output_bias: tuple[float, ...] = ()
    all_biased: bool = True


def reber(blocks: int, size: int) -> Layout:
    """Another size of the published net for Reber strings.

    Its output gates start at -0.5, -1, … as in Gers et al. 2000: steps of 1, as
    published, would all but close those of the last of many blocks.
    """
    cells = blocks * size
    units = cells + 2 * blocks
    weights = units * (7 + units) + 2 * blocks + 7 * cells
    biases = tuple(-0.5 * k for k in range(1, blocks + 1))
    return Layout(7, 7, blocks, size, weights, 0.2, (), biases, False)


LAYOUTS = {
    "reber 3x2": Layout(7, 7, 3, 2, 276, 0.2, (), (-1.0, -2.0, -3.0), False),
    "reber 4x1": Layout(7, 7, 4, 1, 264, 0.2, (), (-1.0, -2.0, -3.0, -4.0), False),
    "reber 8x2": reber(8, 2),
    "adding": Layout(2, 1, 2, 2, 93, 0.1, (-3.0, -6.0)),
    "order": Layout(8, 4, 2, 2, 156, 0.1, (-2.0, -4.0)),
}


def weights(net: Net) -> int:
    """How many weights a net has, biases included."""
    return sum(leaf.size for leaf in jax.tree.leaves(net))


def literal(key: jax.Array, layout: Layout) -> Net:
    """Draws a net as it was published."""
    cells = layout.blocks * layout.size
    one, two, three = jax.random.split(key, 3)

    def uniform(key: jax.Array, shape: Any, dtype: Any = float) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -layout.span, layout.span)

    def biases(key: jax.Array, count: int, gates: str) -> jax.Array:
        drawn = uniform(key, (len(gates), count))
        for gate, start in (("i", layout.input_bias), ("o", layout.output_bias)):
            if gate in gates and start:
                drawn = drawn.at[gates.index(gate)].set(jnp.asarray(start))
        return drawn.ravel()

    cell = variants.init(
        "LSTM1997",
        one,
        layout.inputs,
        cells,
        blocks=layout.blocks,
        cell_bias=layout.all_biased,
        kernel_init=uniform,
        recurrent_init=uniform,
        bias_init=biases,
    )
    b = uniform(three, (layout.outputs,)) if layout.all_biased else None
    net = Net(cell, uniform(two, (cells, layout.outputs)), b)
    if weights(net) != layout.weights:
        raise ValueError(f"{weights(net)} weights; there should be {layout.weights}")
    return net


def modern_width(layout: Layout) -> int:
    """The fewest modern cells with at least as many weights as a net of 1997."""
    width, inputs, outputs = 1, layout.inputs, layout.outputs
    while 4 * width * (inputs + width + 1) + (width + 1) * outputs < layout.weights:
        width += 1
    return width


def modern(key: jax.Array, layout: Layout, bias_init: BiasInit) -> Net:
    """Draws a net of `lstm_jax.init_cell` that has its other defaults."""
    width = modern_width(layout)
    one, two = jax.random.split(key)
    return Net(
        lstm_jax.init_cell(one, layout.inputs, width, bias_init=bias_init),
        glorot_uniform()(two, (width, layout.outputs)),
        jnp.zeros(layout.outputs),
    )


def outputs(net: Net, x: jax.Array) -> jax.Array:
    """What a net says after each step of x (T, I): (T, O)."""
    state = lstm_jax.zero_state(net.cell)
    # Steps this small take longer to begin than to do.
    pairs = lstm_jax.Scan(unroll=2)
    _, h = lstm_jax.unroll(lstm_jax.lstm_step, net.cell, state, x, implementation=pairs)
    return readout(net, h)


def readout(net: Net, h: jax.Array) -> jax.Array:
    """The outputs for h (T, H)."""
    z = h @ net.w
    z = z if net.b is None else z + net.b[None]
    return z if net.linear else jax.nn.sigmoid(z)
