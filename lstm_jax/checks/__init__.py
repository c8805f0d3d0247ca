# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Every error of shape, dtype, range and kind; no mathematics.

ValueError for shapes and values, TypeError for dtypes and kinds, NotImplementedError
for what cannot be done. Each names the call, the argument, what was expected and where
that comes from, and what came.
"""

__all__: list[str] = []  # the public names stand in lstm_jax itself
