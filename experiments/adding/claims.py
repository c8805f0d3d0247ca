# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the README says, held against results.json."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments._verify import Claim
from experiments.adding import nets, report, run, task


def claims(document: dict[str, Any]) -> Iterator[Claim]:
    """What the constant's error is, how rates were picked, and who adds."""
    yield from of_rates(document)
    yield from of_nets(document["results"])
    yield from of_rows(document)


def of_rates(document: dict[str, Any]) -> Iterator[Claim]:
    """Rates are those of the rule, by a seed that no run has."""
    settings, results = document["settings"], document["results"]
    lengths = ["50", "100", "200"]
    yield set(results["search"]) == set(lengths), f"rates were tried at {lengths}"
    for name in nets.names():
        rate = None
        for length in lengths:
            found = results["search"][length][name]
            rate = run.choose(settings["rates"], found["errors"], rate)
            text = f"{name} at {length} has the rate of the rule, {rate}"
            yield found["rate"] == rate, f"{text}; it has {found['rate']}"
    seed = settings["search_seed"]
    yield seed not in settings["seeds"], f"the search's seed {seed} is not a run's"


def of_nets(results: dict[str, Any]) -> Iterator[Claim]:
    """Who adds within the budget, and who does not."""
    for length, error in results["constant"].items():
        near = abs(error / task.CONSTANT - 1) <= 0.15
        text = f"at {length} the constant has the published {task.CONSTANT:.3f} to 15%"
        yield near, f"{text}; it has {error}"
    for length, found in results["nets"].items():
        errors = {name: np.asarray(net["test"][length]) for name, net in found.items()}
        solved = {name: int((e < report.SOLVED).sum()) for name, e in errors.items()}
        count = solved["LSTM, chrono"]
        yield count == 5, f"at {length} chrono adds with all seeds; with {count}"
        count = solved["GRU"]
        if int(length) <= 200:
            yield count >= 4, f"at {length} the GRU adds with four or more; {count}"
        else:
            yield 0 < count < 5, f"at {length} the GRU adds with some seeds; {count}"
        for name in ("RNN", "IRNN"):
            count = solved[name]
            yield count == 0, f"at {length} the {name} adds with no seed; with {count}"
        for bias in (0, 1, 3):
            count = solved[f"LSTM, forget bias {bias}"]
            text = f"forget bias {bias} adds with three seeds or more only at 50"
            yield (count >= 3) == (length == "50"), f"{text}; at {length} with {count}"
        farthest = str(4 * int(length))
        for name, net in found.items():
            error = np.median(net["test"][farthest])
            text = f"{name} of {length} does not add at {farthest}; it has {error}"
            yield error > report.SOLVED, text


def of_rows(document: dict[str, Any]) -> Iterator[Claim]:
    """Rows beside published numbers, by hand from results.json."""
    found, rows = document["results"]["nets"], run.compare(document)
    yield 1 <= len(rows) <= 6, f"one to six rows are compared; {len(rows)} are"
    gru = next(row for row in rows if row.what.startswith("GRU, mean"))
    middle = report.number(sorted(found["400"]["GRU"]["test"]["400"])[2])
    shown = gru.ours.startswith(f"{middle} (")
    yield shown, f"the GRU's row has the median {middle}; it has {gru.ours}"
    yield "5.3e-05" in gru.published, "beside it stands 5.3e-05"
    lstm = next(row for row in rows if "forget bias 1, trained" in row.what)
    median = sorted(found["100"]["LSTM, forget bias 1"]["test"]["100"])[2] ** 0.5
    shown = lstm.ours.startswith(f"{median:.2f} (")
    yield shown, f"forget bias 1's row has the median {median:.2f}; it has {lstm.ours}"
    beside = lstm.published.startswith("0.0105; 0.038; 0.105")
    yield beside, "beside it stand 0.0105, 0.038 and 0.105"
