# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""torch.nn.LSTM, whose kernels are oneDNN's and MKL's."""

import torch

from benchmarks.cases import Problem
from benchmarks.peers import Peer

DEVICES = 1


def make(problem: Problem) -> Peer:
    """The module as it comes, time first."""
    inputs, columns = problem.w_x.shape
    module = torch.nn.LSTM(inputs, columns // 4)
    with torch.no_grad():
        for parameter, value in zip(
            module.parameters(),
            (problem.w_x.T, problem.w_h.T, problem.b, 0 * problem.b),
            strict=True,
        ):
            parameter.copy_(torch.from_numpy(value.copy()))
    x = torch.from_numpy(problem.x)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return module(x)[0]

    def train() -> list[torch.Tensor]:
        module.zero_grad(set_to_none=True)
        module(x)[0].square().mean().backward()
        return [p.grad for p in module.parameters() if p.grad is not None]

    return Peer(forward, train, lambda gradient: gradient[1].numpy().T)
