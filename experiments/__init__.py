# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Questions put to the library, each in a folder of its own.

An experiment is a sub-package with a README, the results and the figure of its last
full run, and three modules:

    __init__.py   ABOUT: question, cost and data, shown by `python -m experiments list`
    run.py        Settings   frozen dataclass; each field's docstring is its help
                  SMOKE      settings that take seconds
                  run        (settings, progress, cache) -> results, fit for JSON
                  tables     (document) -> the Markdown tables of its README
                  compare    (document) -> a few numbers beside the published ones
                  draw       (document, folder): the figures
    claims.py     claims     (document) -> what its README says to believe and its bars,
                  each with whether the results bear it out, for
                  `python -m experiments verify`

A folder that has a run.py is an experiment; there is no other list.
"""
