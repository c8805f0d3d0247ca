# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Smoothed n-grams: what follows the last characters, counted.

Interpolated Kneser-Ney. With c(g) the count of an n-gram g = (context, character), and
N the sum of c over all characters after this context::

    p_n(character | context) =
        (c(g) - D(c(g)) + lost · p_{n-1}(character | shorter)) / N

where D is taken off every count, `lost` is what was taken off in this context, and
`shorter` lacks the context's first character. The longest n-grams are counted as they
occur; of the shorter ones c is the number of distinct characters that come before.
p_0 is uniform, and p_n = p_{n-1} where the context was never seen.

References:
    Chen, Goodman 1999, An Empirical Study of Smoothing Techniques for Language
    Modeling: a D of its own for the counts 1, 2, and 3 or more.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Level(NamedTuple):
    """The n-grams of one length that a text has, and their contexts.

    Attributes:
        grams: (G,) sorted, each as one integer.
        counts: (G,) of each.
        contexts: (C,) sorted, each as one integer.
        totals: (C,) sum of the counts of each context.
        spread: (C, 3) how many characters have the count 1, 2, and 3 or more.
    """

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    spread: np.ndarray


class Seen(NamedTuple):
    """What a level says about M n-grams: 0 where a context or an n-gram is new.

    Attributes:
        counts: (M,) of each n-gram.
        totals: (M,) of its context.
        spread: (M, 3) of its context.
    """

    counts: np.ndarray
    totals: np.ndarray
    spread: np.ndarray


def packed(codes: np.ndarray, order: int, vocabulary: int) -> np.ndarray:
    """All n-grams of a text, each as an integer; its last digit is the last character.

    Args:
        codes: (..., T) characters in [0, vocabulary).
        order: n.
        vocabulary: base of the digits.

    Returns:
        (..., T - n + 1) int64.

    Raises:
        ValueError: n digits do not fit.
    """
    if vocabulary**order >= 2**63:
        raise ValueError(
            f"packed: vocabulary**order must be below 2**63; got {vocabulary}**{order}."
        )
    digits = vocabulary ** np.arange(order - 1, -1, -1, dtype=np.int64)
    return sliding_window_view(codes, order, axis=-1) @ digits


def level(codes: np.ndarray, order: int, vocabulary: int, before: bool) -> Level:
    """Counts the n-grams of a text.

    Args:
        codes: (T,) the text.
        order: n.
        vocabulary: number of characters.
        before: whether to count the distinct characters before each, rather than how
            often it occurs.
    """
    if before:
        longer = np.unique(packed(codes, order + 1, vocabulary))
        found = longer % vocabulary**order
    else:
        found = packed(codes, order, vocabulary)
    grams, counts = np.unique(found, return_counts=True)
    contexts, begin = np.unique(grams // vocabulary, return_index=True)
    of_three = np.minimum(counts, 3)[:, None] == [1, 2, 3]
    return Level(
        grams,
        counts,
        contexts,
        np.add.reduceat(counts, begin),
        np.add.reduceat(of_three.astype(np.int64), begin),
    )


def models(codes: np.ndarray, orders: int, vocabulary: int) -> Iterator[list[Level]]:
    """Models of order 1, 2, … of a text, each the levels of length 1 to its order."""
    lower: list[Level] = []
    for order in range(1, orders + 1):
        yield [*lower, level(codes, order, vocabulary, before=False)]
        lower.append(level(codes, order, vocabulary, before=True))


def seen(model: Sequence[Level], codes: np.ndarray, vocabulary: int) -> list[Seen]:
    """Looks characters up, each with those before it.

    Args:
        model: of order n.
        codes: (..., T) a text; its first n - 1 characters serve as context alone.
        vocabulary: number of characters.

    Returns:
        For each level, on M = T - n + 1 characters.
    """
    result = []
    for order, known in enumerate(model, 1):
        grams = packed(codes[..., len(model) - order :], order, vocabulary)
        at, hit = _find(known.grams, grams)
        where, context = _find(known.contexts, grams // vocabulary)
        result.append(
            Seen(
                known.counts[at] * hit,
                known.totals[where] * context,
                known.spread[where] * context[..., None],
            )
        )
    return result


def _find(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in a sorted array, and whether it is the one there."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def probabilities(
    found: Sequence[Seen], discounts: np.ndarray, vocabulary: int
) -> np.ndarray:
    """Mixes what the levels say.

    Args:
        found: from the shortest n-grams to the longest.
        discounts: (3,) D of the counts 1, 2, and 3 or more.
        vocabulary: number of characters.

    Returns:
        (M,) the probability of each character after its context.
    """
    p = np.full(found[0].counts.shape, 1 / vocabulary)
    taken = np.concatenate([[0.0], discounts])
    for counts, totals, spread in found:
        kept = counts - taken[np.minimum(counts, 3)]
        mixed = (kept + spread @ discounts * p) / np.maximum(totals, 1)
        p = np.where(totals > 0, mixed, p)
    return p


def grid(firsts: Sequence[float], steps: Sequence[float]) -> list[np.ndarray]:
    """Discounts that are tried: D(1), D(1) + step, D(1) + 2 steps."""
    return [first + step * np.arange(3) for first in firsts for step in steps]


def nats(found: Sequence[Seen], discounts: np.ndarray, vocabulary: int) -> float:
    """Cross entropy, in nats a character."""
    return float(-np.log(probabilities(found, discounts, vocabulary)).mean())


def study(
    train: np.ndarray,
    held_out: np.ndarray,
    vocabulary: int,
    orders: int,
    tried: Sequence[np.ndarray],
) -> list[dict[str, object]]:
    """Chooses discounts on the last tenth of the training text; reads the held-out one.

    Args:
        train: (N,) text.
        held_out: (M,) what follows it; all but its first character are predicted, as by
            a network that begins there.
        vocabulary: number of characters.
        orders: the highest n.
        tried: discounts to choose from.

    Returns:
        For each order, the discounts and the cross entropy.
    """
    cut = len(train) * 9 // 10
    whole = np.concatenate([train, held_out])
    results: list[dict[str, object]] = []
    pairs = zip(
        models(train[:cut], orders, vocabulary),
        models(train, orders, vocabulary),
        strict=True,
    )
    for order, (part, full) in enumerate(pairs, 1):
        found = seen(part, train[cut - order + 1 :], vocabulary)
        best = min(tried, key=lambda d: nats(found, d, vocabulary))
        after = seen(full, whole[len(train) + 2 - order :], vocabulary)
        results.append(
            {
                "order": order,
                "discounts": best.tolist(),
                "chosen_at_nats": nats(found, best, vocabulary),
                "held_out_nats": nats(after, best, vocabulary),
                "held_out_characters": len(after[0].counts),
            }
        )
    return results
