# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What others say, as part of an error of this library."""

import re

# Escape sequences of terminals (CSI, OSC, single ones), then what else controls them.
CODES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0e-\x1f\x7f-\x9f]"
)


def uncoded(text: str) -> str:
    """A text without codes for terminals, which a hostile file may have for names."""
    return CODES.sub("", text)


def one_line(text: str) -> str:
    """A text whole, in one line and without codes for terminals.

    Example:
        >>> one_line(f"a {chr(27)}[1mbold{chr(27)}[0m word,  and more")
        'a bold word, and more'
    """
    return " ".join(uncoded(text).split())


def quoted(error: BaseException) -> str:
    """Another library's error: its kind and all that it says."""
    return f"{type(error).__name__}: {one_line(str(error))}".rstrip(": ")
