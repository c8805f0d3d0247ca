# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The guides to recurrent policies and to streaming run from top to bottom."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDES = Path(__file__).parent.parent / "docs" / "guides"


@pytest.mark.parametrize("name", ["recurrent_policies", "streaming"])
def test_guide(name: str) -> None:
    """Its blocks are one program, which holds its own claims to account."""
    text = (GUIDES / f"{name}.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 3 and text.count("```") == 2 * len(blocks)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
