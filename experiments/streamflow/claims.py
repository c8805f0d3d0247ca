# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the README says, held against results.json and tuning.json."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments._verify import Claim
from experiments.streamflow import run

YEARS = {
    "forwards": [[1981, 1995], [1996, 1999], [2000, 2008]],
    "backwards": [[2000, 2008], [2009, 2014], [1990, 1999]],
}


def claims(document: dict[str, Any]) -> Iterator[Claim]:
    """Every seed beats SAC-SMA in both directions; settings are the best of tuning."""
    splits = document["results"]["splits"]
    years = {
        name: [split["years"][part] for part in ("train", "choose", "test")]
        for name, split in splits.items()
    }
    yield years == YEARS, f"the years are {YEARS}; they are {years}"
    for name, split in splits.items():
        seeds, sac_sma = split["LSTM"], split["others"]["SAC-SMA"]
        count, given = len(seeds["test"]), len(document["settings"]["seeds"])
        yield count == given >= 5, f"{name}: all seeds, five or more; {count}, {given}"
        for part in ("test", "apart"):
            lowest, bar = min(seeds[part]), sac_sma[part]
            text = f"{name}: every seed is above SAC-SMA in the years of {part}"
            yield lowest > bar, f"{text}; the lowest has {lowest}, SAC-SMA {bar}"
    median = np.median(splits["forwards"]["LSTM"]["test"])
    yield median >= 0.78, f"the median in 2000-08 is at least 0.78; it is {median}"

    rows = json.loads(run.TUNING.read_text())
    best = max(rows, key=lambda row: np.median(row["choose"]))["settings"]
    settings = dataclasses.asdict(run.Settings())
    for whose, these in (("default", settings), ("run's", document["settings"])):
        used = {name: these[name] for name in best}
        text = f"the {whose} settings are those that were best in the validation years"
        yield used == best, f"{text}, {best}; they are {used}"
    tuning = document["results"]["tuning"]
    yield tuning == rows, "results.json has the rows of tuning.json"
