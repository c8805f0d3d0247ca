# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the README says, held against results.json."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments._verify import Claim
from experiments.gradient_lag import nets
from experiments.gradient_lag.run import compare


def claims(document: dict[str, Any]) -> Iterator[Claim]:
    """The cell path's closed form, and forget bias 0 said to vanish."""
    results = document["results"]
    error = results["closed_form_error"]
    yield error < 0.01, f"the closed form is off by less than 0.01; it is by {error}"
    starts = set(nets.rnns(1, 1))
    yield set(results["rnn"]) == starts, f"the RNNs start in these ways: {starts}"
    lag = results["lags"].index(100)
    for bias in (0, 1, 2, 3, 5):
        name = f"forget bias {bias}"
        start = results["lstm"][name]["untrained"]
        c = np.asarray(start["c"])
        shape = 5, len(results["lags"])
        yield c.shape == shape, f"{name}: c has shape {shape}; it has {c.shape}"
        yield (c[:, 0] == 1).all(), f"{name}: the gradient starts from 1"
        vanishes = (c[:, lag] < 1e-7).all()
        text = f"{name}: it is below 1e-7 after 100 steps, in all seeds, if the bias "
        yield vanishes == (bias == 0), text + "is 0 and only then"
        path = np.asarray(start["path"])[:, lag]
        ratio = np.median(path) * (1 + np.exp(-bias)) ** 100
        text = f"{name}: the cell path is σ(b)^100 to a factor of 10; {ratio}"
        yield 0.1 < ratio < 10, text
    recall = {k: np.median(found["accuracy"]) for k, found in results["lstm"].items()}
    low, high = recall["forget bias 1"], recall["forget bias 3"]
    yield low < 0.2, f"forget bias 1 recalls less than 0.2; it recalls {low}"
    yield high > 0.9, f"forget bias 3 recalls more than 0.9; it recalls {high}"
    zero = [row for row in compare(document) if row.what.endswith("forget bias 0")]
    yield len(zero) == 1, f"one row compares forget bias 0; {len(zero)} do"
    yield all("vanishes" in row.ours for row in zero), "forget bias 0 vanishes"
