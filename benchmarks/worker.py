# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One library in a process of its own: python -m benchmarks.worker NAME.

Its first line is "ready". Then it reads a JSON request a line and answers with one:

    {"do": "limit", "seconds": s}            operations a second of a large product
    {"do": "load", "row": [T, B, …]}         the row is what the others are about
    {"do": "save", "to": f}                  its y and gradients go to the file f
    {"do": "time", "what": w, "seconds": s}  seconds a call, over about s seconds
    {"do": "memory"}                         temporary bytes of the compiled gradient
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cases import Row, Weights, problem
from benchmarks.peers import Peer

SQUARE = 1536  # rows of the product that measures the machine


def seconds_a_call(call: Callable[[], Any], least: float) -> float:
    """Mean time of as many calls as fill `least` seconds; one at least."""
    start = time.perf_counter()
    count = 0
    while True:
        call()
        count += 1
        taken = time.perf_counter() - start
        if taken >= least:
            return taken / count


def limit(least: float) -> float:
    """Operations a second of a square float32 product, by this process's JAX."""
    import jax

    a = jax.random.normal(jax.random.key(0), (SQUARE, SQUARE))
    product = jax.jit(lambda a: a @ a)
    call = lambda: jax.block_until_ready(product(a))  # noqa: E731
    call()
    return 2 * SQUARE**3 / seconds_a_call(call, least)


def save(peer: Peer, file: str) -> None:
    """Writes y, with time in front, and the gradients of all weights."""
    y = np.asarray(peer.forward())
    found: Any = {"y": y.swapaxes(0, 1) if peer.batch_major else y}
    if peer.train is not None and peer.gradients is not None:
        for k, both in enumerate(peer.gradients(peer.train())):
            for way, weights in zip(("forward", "backward"), both, strict=False):
                for name, value in zip(Weights._fields, weights, strict=True):
                    found[f"d{name} of layer {k}, {way}"] = np.asarray(value)
    np.savez(file, **found)


def answer(module: Any, peer: Any, request: dict[str, Any]) -> tuple[Any, Any]:
    """Does what a request asks for; gives the peer and the answer."""
    match request:
        case {"do": "limit", "seconds": seconds}:
            return peer, limit(seconds)
        case {"do": "load", "row": row}:
            return module.make(problem(Row(*row))), "loaded"
        case {"do": "save", "to": file}:
            save(peer, file)
            return peer, "saved"
        case {"do": "time", "what": what, "seconds": seconds}:
            call = getattr(peer, what)
            return peer, None if call is None else seconds_a_call(call, seconds)
        case {"do": "memory"}:
            train = peer.programs["train"].lower(*peer.args).compile()
            return peer, train.memory_analysis().temp_size_in_bytes
    raise ValueError(f"worker: no request is like {request!r}.")


def main() -> None:
    """Serves requests until standard input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no reply
    module = importlib.import_module(f"benchmarks.peers.{sys.argv[1]}")
    if "jax" in sys.modules:
        import jax

        jax.config.update("jax_num_cpu_devices", module.DEVICES)
    print(json.dumps("ready"), file=replies, flush=True)
    peer = None
    for line in sys.stdin:
        peer, reply = answer(module, peer, json.loads(line))
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
