# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What is trained: tasks, nets, learning rates and budgets."""

from typing import Any, NamedTuple

from experiments.battery_1997.nets import LAYOUTS, Layout


class Case(NamedTuple):
    """One kind of net on one task.

    Attributes:
        name: in the tables.
        layout: of the net of 1997; a modern one has at least as many weights.
        rate: learning rate.
        unit: sequences to success as published for this task; the budget is counted in
            it.
        as_published: whether that number is of such a net.
        modern: whether the cell is.
        forget_bias: where a modern cell's forget gates start; None for chrono.
        each_step: an update a step, not a sequence.
        linear: the outputs are, not logistic.
        all_legal: in Reber strings all legal symbols are the target, not the next one.
    """

    name: str
    layout: Layout
    rate: float
    unit: int
    as_published: bool = True
    modern: bool = False
    forget_bias: float | None = None
    each_step: bool = False
    linear: bool = False
    all_legal: bool = False


# Sequences to success: Hochreiter and Schmidhuber 1997.
REBER_3X2 = Case("1997, 3 blocks of 2", LAYOUTS["reber 3x2"], 0.5, 8440)
ADDING = Case("1997", LAYOUTS["adding"], 0.5, 74000)
ORDER = Case("1997", LAYOUTS["order"], 0.5, 31390)
MODERN: dict[str, Any] = {"name": "modern", "modern": True, "as_published": False}
# The settings of modern nets are those with the most successes in tuning.json (adding:
# of the mean error), of equals the lowest rate.
CASES = {
    "reber 3x2": REBER_3X2,
    "reber each step": REBER_3X2._replace(
        name="1997, the same, an update a step", each_step=True
    ),
    "reber 4x1": Case("1997, 4 blocks of 1", LAYOUTS["reber 4x1"], 0.1, 39740),
    "reber 8x2": REBER_3X2._replace(
        name="1997, 8 blocks of 2", layout=LAYOUTS["reber 8x2"], as_published=False
    ),
    "reber modern": REBER_3X2._replace(**MODERN, rate=0.5, forget_bias=1.0),
    "adding": ADDING,
    "adding linear": ADDING._replace(name="1997, linear output", linear=True),
    "adding modern": ADDING._replace(**MODERN, rate=2.0),
    "order": ORDER,
    "order modern": ORDER._replace(**MODERN, rate=2.0),
}
# Bounds of the mean error and of each error.
LIMITS = {"adding": (0.01, 0.04), "order": (0.1, 0.3)}


def task(course: str) -> str:
    """The task of a course: the first word of its name."""
    return course.split()[0]
