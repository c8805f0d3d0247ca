# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the README says, held against results.json."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments._verify import Claim
from experiments.forgetting import report


def claims(document: dict[str, Any]) -> Iterator[Claim]:
    """What the full run says of forget gates, and of what grows without them."""
    yield from of_gates(document)
    yield from of_norms(document["results"])


def of_gates(document: dict[str, Any]) -> Iterator[Claim]:
    """By hand from results.json, and with it what the README's tables count."""
    settings, kinds = document["settings"], document["results"]["kinds"]
    count = len(settings["seeds"])
    yield count >= 10, f"there are ten seeds or more; there are {count}"
    million = settings["million"]
    yield million == 1_000_000, f"the long test has 1,000,000 symbols; {million}"
    perfect = {
        name: int(np.sum(np.asarray(found["perfect_after"]) > 0))
        for name, found in kinds.items()
        if name != report.MODERN
    }
    same = set(perfect) == set(report.BLOCKS) and len(perfect) == 8
    yield same, f"the eight kinds are {sorted(report.BLOCKS)}; {sorted(perfect)}"
    for name, count in perfect.items():
        shown = report.perfect(document, name).sum()
        yield shown == count, f"{name}: {count} are perfect; the table counts {shown}"
    for ending in ("", report.LEGAL):
        none = perfect["no forget gate" + ending]
        yield none == 0, f"no forget gate{ending}: none is perfect; {none} are"
        constant, decaying = (
            perfect[name + ending] for name in ("forget gates", "forget gates, decay")
        )
        yield constant > 0, f"forget gates{ending}: some are perfect"
        text = f"forget gates{ending}: decay does not make more perfect"
        yield constant >= decaying, f"{text}; {constant}, {decaying}"
    for name in ("external reset", "forget gates", "forget gates, decay"):
        one, both = perfect[name], perfect[name + report.LEGAL]
        text = f"{name}: more are perfect with both legal targets; {one}, {both}"
        yield one < both, text
    lasting = {name: report.million(document, name).sum() for name in perfect}
    some, everyone = sum(lasting.values()), sum(perfect.values())
    text = f"less than half of the perfect last; {some} of {everyone}"
    yield some < everyone / 2, text
    modern, best = report.perfect(document, report.MODERN).sum(), max(perfect.values())
    text = "as many modern nets are perfect as of the best kind, to 3"
    yield abs(modern - best) < 4, f"{text}; {modern}, {best}"
    modern, best = report.million(document, report.MODERN).sum(), max(lasting.values())
    text = f"more modern nets last than of any kind; {modern}, {best}"
    yield modern > best, text


def of_norms(results: dict[str, Any]) -> Iterator[Claim]:
    """Exponents of the norm of c in the length of the stream, by least squares."""
    late = np.log([p for p in results["points"] if p >= 1000])
    yield len(late) >= 5, f"five points or more are late; {len(late)} are"
    for name in report.BLOCKS:
        norms = np.asarray(results["kinds"][name]["norms"])[-len(late) :]
        exponents = np.polyfit(late, np.log(norms), 1)[0]
        if name.startswith("no forget gate"):
            share = np.mean(np.abs(exponents - 1) < 0.1)
            text = f"{name}: c grows with exponent 1 to 0.1 in more than 0.8; {share}"
            yield share > 0.8, text
        else:
            middle = np.median(exponents)
            text = f"{name}: c does not grow, its exponent is 0 to 0.1; {middle}"
            yield abs(middle) < 0.1, text
