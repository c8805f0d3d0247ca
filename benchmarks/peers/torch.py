# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""torch.nn.LSTM, with kernels of oneDNN and MKL, or cuDNN; ragged rows are packed."""

from typing import Any

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.cases import Problem
from benchmarks.peers import Peer

DEVICES = 1


def make(problem: Problem, device: str = "cpu", dtype: str = "float32") -> Peer:
    """The module as it comes, time first; results stay where `device` says."""
    weights = [w for both in problem.layers for w in both]
    inputs, columns = weights[0].w_x.shape
    module = torch.nn.LSTM(
        inputs,
        columns // 4,
        num_layers=len(problem.layers),
        bidirectional=len(problem.layers[0]) == 2,
    )
    values = [a for w in weights for a in (w.w_x.T, w.w_h.T, w.b, 0 * w.b)]
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), values, strict=True):
            parameter.copy_(torch.from_numpy(value.copy()))
    module.to(device, getattr(torch, dtype))
    x = torch.from_numpy(problem.x).to(device, getattr(torch, dtype))
    lengths = None if problem.lengths is None else torch.from_numpy(problem.lengths)

    def run() -> torch.Tensor:
        if lengths is None:
            return module(x)[0]
        return pad_packed_sequence(module(pack_padded_sequence(x, lengths))[0])[0]

    def finish() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def forward() -> torch.Tensor:
        with torch.no_grad():
            y = run()
        finish()
        return y

    def train() -> list[torch.Tensor]:
        module.zero_grad(set_to_none=True)
        run().square().mean().backward()
        finish()
        return [p.grad for p in module.parameters() if p.grad is not None]

    def gradients(found: list[torch.Tensor]) -> Any:
        four = (found[k : k + 4] for k in range(0, len(found), 4))
        own = [(w_x.numpy().T, w_h.numpy().T, b.numpy()) for w_x, w_h, b, _ in four]
        both = len(problem.layers[0])
        return [own[k : k + both] for k in range(0, len(own), both)]

    return Peer(forward, train, gradients)
