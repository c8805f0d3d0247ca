# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The cells: a protocol, the LSTM, and others of the literature; a file each."""

__all__: list[str] = []  # the public names stand in lstm_jax itself
