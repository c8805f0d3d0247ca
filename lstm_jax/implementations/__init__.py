# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Ways of running a recurrence: a base class, a file each, and the rule of choice."""

__all__: list[str] = []  # the public names stand in lstm_jax itself
