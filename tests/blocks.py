# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The README's blocks and the guides' programs: `python -m tests.blocks N` prints one.

The other pages of the site run when it is built.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
assert len(BLOCKS) >= 2

CELLS = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Pages that need the library and its extras alone, not those that it is compared with.
GUIDES = {
    name: "\n".join(CELLS.findall((ROOT / f"docs/{name}.md").read_text()))
    for name in (
        "guides/convert",
        "guides/devices",
        "guides/diagnostics",
        "guides/flax",
        "guides/network",
        "guides/recurrent_policies",
        "guides/serving",
        "guides/streaming",
        "guides/training",
        "tutorials/own_cell",
    )
}

if __name__ == "__main__":
    print(BLOCKS[int(sys.argv[1])])
