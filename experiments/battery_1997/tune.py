# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Tries other settings: python -m experiments.battery_1997.tune writes tuning.json.

What stands there already is not tried again. The seeds are none of the experiment's.
"""

from collections.abc import Iterator
from typing import Any

from rich.progress import Progress

from experiments._run_cache import RunCache
from experiments._training import TuningLog
from experiments.battery_1997.cases import CASES, REBER_3X2, Case, task
from experiments.battery_1997.nets import reber
from experiments.battery_1997.run import TUNING, Settings, Work, learned

SEED = 100


def attempts() -> Iterator[tuple[str, str, Case, int, int]]:
    """Course, what is tried, the case, seeds, and sequences at most."""
    for rate in (0.2, 0.5, 1.0, 2.0, 4.0):
        for bias in (0.0, 1.0):
            case = CASES["reber modern"]._replace(rate=rate, forget_bias=bias)
            what = f"rate {rate:g}, forget bias {bias:g}"
            yield "reber modern", what, case, 12, 25300
        for name in ("adding modern", "order modern"):
            case = CASES[name]._replace(rate=rate)
            yield name, f"rate {rate:g}, chrono", case, 6, 60000
    for name in ("adding modern", "order modern"):
        for rate in (0.1, 0.5, 1.5):
            for bias in (1.0, 3.0, 5.0):
                case = CASES[name]._replace(rate=rate, forget_bias=bias)
                yield name, f"rate {rate:g}, forget bias {bias:g}", case, 2, 50000
    low = (-1.0, -2.0, -3.0)
    for each_step in (False, True):
        case = REBER_3X2._replace(each_step=each_step)
        changes = {
            "as published": case,
            "rate 0.1": case._replace(rate=0.1),
            "rate 0.2": case._replace(rate=0.2),
            "rate 1": case._replace(rate=1.0),
            "output gates start as weights do": case._replace(
                layout=case.layout._replace(output_bias=())
            ),
            "input gates start as output gates do": case._replace(
                layout=case.layout._replace(input_bias=low)
            ),
            "linear outputs, rate 0.1": case._replace(linear=True, rate=0.1),
            "all legal symbols as the target": case._replace(all_legal=True),
        }
        sizes = (3, 3), (4, 2), (5, 2), (8, 1), (8, 2)
        changes |= {
            f"{count} blocks of {size}": case._replace(layout=reber(count, size))
            for count, size in sizes
        }
        kind = "reber each step" if each_step else "reber 3x2"
        for what, changed in changes.items():
            yield kind, what, changed, 12, 25300


def attempt(name: str, case: Case, seeds: int, sequences: int) -> dict[str, Any]:
    """Trains nets side by side; gives sequences to success, 0 where there was none."""
    settings = Settings(
        seeds=tuple(range(SEED, SEED + seeds)),
        fewer=seeds,
        budget=(sequences - 0.5) / case.unit,  # it is rounded up
    )
    with (
        Progress(disable=True) as progress,
        RunCache.temporary("battery_1997", settings) as cache,
    ):
        found = learned(Work(settings, progress, cache), name, case)[0]
    bar = "both sets" if task(name) == "reber" else "both"
    return {
        "budget": found["budget"],
        "seeds": list(settings.seeds),
        "success": list(found[bar]),
        "weights": found["weights"],
    } | ({} if task(name) == "reber" else {"mean error": list(found["mean error"])})


def main() -> None:
    """Tries what has not been tried."""
    log = TuningLog(TUNING)
    for name, what, case, seeds, sequences in attempts():
        key = {"course": name, "tried": what}
        if key not in log:
            log.add(key | attempt(name, case, seeds, sequences))
            print(name, what, log.rows[-1]["success"])


if __name__ == "__main__":
    main()
