# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""For tests: the NumPy float64 reference, and properties of any step function."""

from lstm_jax.testing._check_step import check_step
from lstm_jax.testing._reference import reference, reference_step

__all__ = ["check_step", "reference", "reference_step"]
