# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Measurements of speed, each saved as JSON with the machine and versions."""
