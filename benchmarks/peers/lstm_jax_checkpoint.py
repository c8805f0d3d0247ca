# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""This library with the gradient's memory growing with the square root of T."""

from functools import partial

from benchmarks.peers import lstm_jax
from lstm_jax import Scan

DEVICES = 1
make = partial(lstm_jax.make, implementation=Scan(checkpoint="sqrt"))
