# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A plot of each diagnostic; matplotlib is imported where an Axes is made."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from lstm_jax.diagnostics._gates import MemoryHorizon, Saturation
from lstm_jax.diagnostics._gradient_lag import GradientLag

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _axes(call: str, given: Any) -> "Axes":
    """The Axes given, or those of a new figure."""
    if given is not None:
        return given
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            f"{call}: needs matplotlib; pip install 'lstm_jax[diagnostics]'."
        ) from error
    return pyplot.subplots(layout="constrained")[1]


def _layers(call: str, tree: Any, kind: type) -> Iterator[tuple[str, Any]]:
    """Each layer's name, which is its place in the tree, and its part."""
    leaves = jax.tree_util.tree_leaves_with_path(
        tree, is_leaf=lambda a: isinstance(a, kind)
    )
    for path, part in leaves:
        if not isinstance(part, kind):
            raise TypeError(
                f"{call}: tree must hold {kind.__name__} for each layer; got "
                f"{type(part).__name__}."
            )
        place = jax.tree_util.keystr(path, simple=True, separator=".")
        yield f"layer {place}".strip(), part


def _legend(axes: "Axes", lines: int) -> None:
    if lines:
        axes.legend(fontsize="small")


def plot_gradient_lag(tree: Any, axes: "Axes | None" = None) -> "Axes":
    """Draws norms of Jacobians against lag, on a logarithmic scale, relative to lag 0.

    Args:
        tree: what `gradient_lag` gave, or the part of a layer.
        axes: matplotlib Axes to draw on; None makes a figure.

    Returns:
        The Axes: three lines a layer, ∂h, ∂c and the cell path. Where a norm is 0, or
        no row is as long, there is none.

    Raises:
        TypeError: the tree is of something else.
        ImportError: matplotlib is missing.

    Example:
        >>> import jax, lstm_jax
        >>> from lstm_jax import diagnostics
        >>> from matplotlib.figure import Figure
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> lag = diagnostics.gradient_lag(params, jax.numpy.ones((2, 7, 3)))
        >>> plot_gradient_lag(lag, Figure().subplots()).get_xlabel()
        'lag (steps)'
    """
    layers = list(_layers("plot_gradient_lag", tree, GradientLag))
    axes = _axes("plot_gradient_lag", axes)
    names = {"h": (r"$\partial h$", "-"), "c": (r"$\partial c$", "--")}
    names["cell_path"] = (r"$\prod f$", ":")
    for k, (layer, part) in enumerate(layers):
        for field, (name, style) in names.items():
            norm = np.asarray(getattr(part, field))
            shown = np.where(norm > 0, norm, np.nan) / norm[0]
            axes.plot(shown, style, color=f"C{k}", label=f"{layer}, {name}")
    axes.set(yscale="log", xlabel="lag (steps)", ylabel="norm of Jacobian / at lag 0")
    _legend(axes, len(layers))
    return axes


def plot_saturation(tree: Any, axes: "Axes | None" = None) -> "Axes":
    """Draws, for each layer and gate, the shares of values near 0 and near 1.

    Args:
        tree: what `saturation` gave, or the part of a layer.
        axes: matplotlib Axes to draw on; None makes a figure.

    Returns:
        The Axes: a bar a gate, from 0 to 1, what is nearly closed on the left, what is
        nearly open on the right.

    Raises:
        TypeError: the tree is of something else.
        ImportError: matplotlib is missing.

    Example:
        >>> import jax, lstm_jax
        >>> from lstm_jax import diagnostics
        >>> from matplotlib.figure import Figure
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, num_layers=2)
        >>> shares = diagnostics.saturation(params, jax.numpy.ones((2, 7, 3)))
        >>> axes = plot_saturation(shares, Figure().subplots())
        >>> [label.get_text() for label in axes.get_yticklabels()][:2]
        ['layer 0, i', 'layer 0, f']
    """
    layers = list(_layers("plot_saturation", tree, Saturation))
    axes = _axes("plot_saturation", axes)
    names = [f"{layer}, {gate}" for layer, _ in layers for gate in "ifo"]
    rows = np.arange(len(names))

    def shares(field: str) -> np.ndarray:
        each = [np.asarray(getattr(part, field)).mean(-1) for _, part in layers]
        return np.concatenate([*each, np.zeros(0)])

    below, above = shares("below"), shares("above")
    axes.barh(rows, np.ones(len(rows)), color="0.93")
    axes.barh(rows, below, color="C0", label="nearly closed")
    axes.barh(rows, above, left=1 - above, color="C1", label="nearly open")
    axes.set(xlim=(0, 1), xlabel="share of values", yticks=rows, yticklabels=names)
    axes.invert_yaxis()
    _legend(axes, len(layers))
    return axes


def plot_memory_horizon(tree: Any, axes: "Axes | None" = None) -> "Axes":
    """Draws the units' horizons in rising order, on a logarithmic scale.

    Args:
        tree: what `memory_horizon` gave, or the part of a layer.
        axes: matplotlib Axes to draw on; None makes a figure.

    Returns:
        The Axes: a line a layer against the share of its units. Its name says how many
        units have no end, which no line can show.

    Raises:
        TypeError: the tree is of something else.
        ImportError: matplotlib is missing.

    Example:
        >>> import jax, lstm_jax
        >>> from lstm_jax import diagnostics
        >>> from matplotlib.figure import Figure
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> horizon = diagnostics.memory_horizon(params, jax.numpy.ones((2, 7, 3)))
        >>> plot_memory_horizon(horizon, Figure().subplots()).get_ylabel()
        'memory horizon (steps)'
    """
    layers = list(_layers("plot_memory_horizon", tree, MemoryHorizon))
    axes = _axes("plot_memory_horizon", axes)
    for layer, part in layers:
        steps = np.sort(np.asarray(part.steps))
        endless = np.isposinf(steps).sum()
        note = f" ({endless} of {len(steps)} units without end)" if endless else ""
        share = np.arange(1, len(steps) + 1) / len(steps)
        shown = np.where(np.isfinite(steps) & (steps > 0), steps, np.nan)
        axes.plot(share, shown, ".-", label=layer + note)
    axes.set(yscale="log", xlabel="share of units", ylabel="memory horizon (steps)")
    _legend(axes, len(layers))
    return axes


def plot_lyapunov_exponents(exponents: Any, axes: "Axes | None" = None) -> "Axes":
    """Draws the spectrum: each row's exponents, the largest first, and their mean.

    Args:
        exponents: (*B, K), what `lyapunov_exponents` gave.
        axes: matplotlib Axes to draw on; None makes a figure.

    Returns:
        The Axes. Exponents of -inf are not drawn; the name of the mean says how many
        there are in all rows. Rows without a step are left out.

    Raises:
        ImportError: matplotlib is missing.

    Example:
        >>> import jax, lstm_jax
        >>> from lstm_jax import diagnostics
        >>> from matplotlib.figure import Figure
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> x = jax.numpy.ones((2, 7, 3))
        >>> exponents = diagnostics.lyapunov_exponents(params, x)
        >>> plot_lyapunov_exponents(exponents, Figure().subplots()).get_xlabel()
        'index'
    """
    axes = _axes("plot_lyapunov_exponents", axes)
    rows = np.asarray(exponents).reshape(-1, np.shape(exponents)[-1])
    rows = rows[~np.isnan(rows).any(-1)]
    lost = np.isneginf(rows).sum()
    index = np.arange(1, rows.shape[-1] + 1)
    rows = np.where(np.isfinite(rows), rows, np.nan)
    for row in rows:
        axes.plot(index, row, "-", color="C0", alpha=0.3, linewidth=1)
    note = f" ({lost} of {rows.size} are −∞)" if lost else ""
    known = np.isfinite(rows)
    mean = np.where(known, rows, 0).sum(0) / np.where(
        known.any(0), known.sum(0), np.nan
    )
    axes.plot(index, mean, ".-", color="C0", label=f"mean of {len(rows)} rows{note}")
    axes.axhline(0, color="0.5", linewidth=1)
    axes.set(xlabel="index", ylabel="Lyapunov exponent (nats a step)")
    _legend(axes, len(rows))
    return axes
