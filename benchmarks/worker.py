# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One library in a process of its own: python -m benchmarks.worker NAME.

It reads a JSON request a line and answers with a JSON line:

    {"do": "limit", "seconds": s}                 operations a second of a large product
    {"do": "load", "row": [T, B, I, H], "to": f}  y and dW_h of the row go to the file f
    {"do": "time", "what": w, "seconds": s}       seconds a call, over about s seconds
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cases import Row, problem
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


def answer(module: Any, peer: Peer | None, request: dict[str, Any]) -> Any:
    """Does what a request asks for; gives the peer and the answer."""
    match request["do"]:
        case "limit":
            return peer, limit(request["seconds"])
        case "load":
            peer = module.make(problem(Row(*request["row"])))
            out: dict[str, Any] = {"y": np.asarray(peer.forward())}
            if peer.train is not None and peer.w_h is not None:
                out["w_h"] = np.asarray(peer.w_h(peer.train()))
            np.savez(request["to"], **out)
            return peer, sorted(out)
        case "time":
            assert peer is not None
            call = getattr(peer, request["what"])
            return peer, seconds_a_call(call, request["seconds"])
    raise ValueError(f"worker: no request is named {request['do']!r}.")


def main() -> None:
    """Serves requests until standard input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no reply
    module = importlib.import_module(f"benchmarks.peers.{sys.argv[1]}")
    if "jax" in sys.modules:
        import jax

        jax.config.update("jax_num_cpu_devices", module.DEVICES)
    peer = None
    for line in sys.stdin:
        peer, reply = answer(module, peer, json.loads(line))
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
