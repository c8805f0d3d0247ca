# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The README's blocks: `python -m tests.blocks N` prints one."""

import re
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
assert len(BLOCKS) >= 6

if __name__ == "__main__":
    print(BLOCKS[int(sys.argv[1])])
