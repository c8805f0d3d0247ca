# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""This library on one device."""

from typing import Any

import jax

import lstm_jax
from benchmarks.cases import Problem
from benchmarks.peers import Peer
from benchmarks.peers._jax import peer

DEVICES = 1


def network(problem: Problem) -> lstm_jax.Stack:
    """The weights in this library's containers."""
    layers: list[lstm_jax.LSTMParams | lstm_jax.Bidirectional] = []
    for both in problem.layers:
        cells = [lstm_jax.LSTMParams(*weights) for weights in both]
        pair = len(cells) == 2
        layers.append(lstm_jax.Bidirectional(cells[0], cells[1]) if pair else cells[0])
    return lstm_jax.Stack(tuple(layers))


def gradients(found: Any) -> Any:
    """The gradients of all layers and directions."""
    return [
        [(cell.w_x, cell.w_h, cell.b) for cell in directions(layer)]
        for layer in found.layers
    ]


def directions(layer: Any) -> tuple[Any, ...]:
    """The cells of a layer."""
    if isinstance(layer, lstm_jax.Bidirectional):
        return layer.forward, layer.backward
    return (layer,)


def make(
    problem: Problem,
    implementation: Any = None,
    compiler_options: dict[str, Any] | None = None,
) -> Peer:
    """`apply` as a user calls it."""

    def run(params: Any, x: Any) -> jax.Array:
        return lstm_jax.apply(
            params,
            x,
            lengths=problem.lengths,
            time_major=True,
            implementation=implementation,
        )[0]

    return peer(
        run,
        network(problem),
        problem.x,
        gradients,
        compiler_options=compiler_options,
    )
