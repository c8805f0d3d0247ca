# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The embedded Reber grammar: B, a T or P, a string of Reber's, the T or P again, E.

References:
    Smith, Zipser 1989, Learning Sequential Structure with the Real-time Recurrent
    Learning Algorithm. Fahlman 1991, The Recurrent Cascade-correlation Architecture.
    Hochreiter, Schmidhuber 1997, Long Short-Term Memory.
"""

from typing import NamedTuple

import numpy as np

SYMBOLS = "BTSXPVE"
# State -> which symbol leads to which state; 6 ends with its E.
REBER = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": 7},
)


class String(NamedTuple):
    """One string of n symbols.

    Attributes:
        symbols: (n,) int32 indices into `SYMBOLS`.
        legal: (n, 7) bool: what may follow each symbol; nothing follows the last.
    """

    symbols: np.ndarray
    legal: np.ndarray


def embedded(rng: np.random.Generator) -> String:
    """Draws a string; where two symbols are legal, each has half the chance.

    Args:
        rng: NumPy's generator, which is advanced.

    Returns:
        A `String` of at least 9 symbols, 12 on average.

    Example:
        >>> import numpy as np
        >>> string = embedded(np.random.default_rng(0))
        >>> "".join(SYMBOLS[s] for s in string.symbols)[:2] in ("BT", "BP")
        True
    """
    outer = "TP"[rng.integers(2)]
    choices, symbols = [], ["B", outer]
    choices.append("TP")
    state = 0
    while state < 7:
        allowed = sorted(REBER[state])
        choices.append("".join(allowed))
        symbols.append(allowed[rng.integers(len(allowed))])
        state = REBER[state][symbols[-1]]
    symbols += [outer, "E"]
    choices += [outer, "E", ""]
    legal = np.array([[s in allowed for s in SYMBOLS] for allowed in choices])
    return String(np.array([SYMBOLS.index(s) for s in symbols], np.int32), legal)
