# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a general compressor makes of a text."""

import lzma
import math


def compressed(text: str) -> int:
    """Bytes that xz makes of a text, with a dictionary that holds all of it."""
    data = text.encode()
    strongest = {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": max(len(data), 4096),  # no smaller one is allowed
        "lc": 4,  # for text: the byte before decides, its position does not
        "lp": 0,
        "pb": 0,
    }
    return len(lzma.compress(data, filters=[strongest]))


def xz(train: str, held_out: str) -> dict[str, float]:
    """Nats a character of the held-out text: given the training text, and alone."""
    scale = 8 * math.log(2) / len(held_out)
    given = compressed(train + held_out) - compressed(train)
    return {
        "given_training_nats": given * scale,
        "alone_nats": compressed(held_out) * scale,
    }
