# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One layer's units over several devices.

Device k of n has H/n whole units: their columns of every gate, their c, and with a
projection their rows of it. It computes their gates from the whole h; then all devices
put the new h together, which is the one exchange of a step:

    z_k = x W_x[:, :, k] + b[:, k] + h W_h[:, :, k]     W as (I or H, G, H)
    h   = all_gather(m_k), or the sum over k of m_k W_p[k]

Differentiated, that exchange is one of the same kind in the other direction.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec as P

from lstm_jax._compat import vary
from lstm_jax._inputs import LayerInputs, Request
from lstm_jax._params import layers
from lstm_jax._types import match_manual_axes
from lstm_jax.cells.base import DropMasks
from lstm_jax.cells.lstm_params import LSTMParams, LSTMState
from lstm_jax.checks.mesh import mesh_problems
from lstm_jax.implementations.scan import Scan


@dataclasses.dataclass(frozen=True)
class _Gather:
    """The output of all units from that of each device's, typed as the carry is."""

    axis: str
    projected: bool

    def __call__(self, h: jax.Array) -> jax.Array:
        if self.projected:
            return vary(lax.psum(h, self.axis), self.axis)
        return lax.all_gather(h, self.axis, axis=h.ndim - 1, tiled=True)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitUnits(Scan):
    """`Scan`, with the hidden units of each layer over the devices of a mesh axis.

    Whole units are split, (I, 4, H) along H, once a call and outside the scan; a step
    exchanges its output alone. The outputs stay split by units, and so do gradients of
    a layer's columns, until something asks for them whole. Rows may be split too, over
    `batch`; their gradients are summed over the devices once a call. The loss is then
    that of the whole batch, and all stands under `jax.jit`: not inside `data_parallel`
    or another `shard_map`, where JAX 0.10.2 does not differentiate one of some axes.

    It pays where w_h is too large for one device, or for one device's cache: a step
    must compute for longer than devices need to meet. Cannot run a norm, whose mean is
    over all units, nor an H that the devices do not divide.

    Attributes:
        mesh: a `jax.sharding.Mesh` of automatic axes.
        axis: the name of the axis of the mesh over which units are split.
        batch: the name of the axis of the mesh over which the first batch axis is
            split; None leaves all other axes of the mesh to `jax.jit`.
        unroll: as of `Scan`.
        window: as of `Scan`.
        checkpoint: as of `Scan`.

    Example:
        >>> import jax, lstm_jax
        >>> from lstm_jax.sharding import SplitUnits
        >>> auto = (jax.sharding.AxisType.Auto,)
        >>> mesh = jax.make_mesh((1,), ("model",), auto, devices=jax.devices()[:1])
        >>> params = lstm_jax.init(jax.random.key(0), 3, 8)
        >>> split = SplitUnits(mesh=mesh)
        >>> x = jax.numpy.ones((2, 7, 3))
        >>> lstm_jax.apply(params, x, implementation=split)[0].shape
        (2, 7, 8)

    References:
        Shoeybi et al. 2019, Megatron-LM (units over devices).
    """

    mesh: Any
    axis: str = "model"
    batch: str | None = None

    @property
    def devices(self) -> int:
        """The number of parts."""
        return self.mesh.shape[self.axis]

    def layer(  # type: ignore[override]
        self, inputs: LayerInputs, reverse: bool
    ) -> tuple[LSTMState, jax.Array]:
        """Runs one layer of this library."""
        cell: Any = inputs.cell
        gather = _Gather(self.axis, cell.projection is not None)

        def part(inputs: LayerInputs) -> tuple[LSTMState, jax.Array]:
            # Here, so that a gradient is summed over devices once, not at every step.
            inputs = match_manual_axes(_joined_gates(inputs))
            state, y = super(SplitUnits, self).layer(inputs, reverse, gather)
            return LSTMState(self._share(state.h), state.c), self._share(y)

        given = _split_gates(inputs)
        specs = self._specs(given)
        units = specs.state.c
        run = jax.shard_map(
            part,
            mesh=self.mesh,
            in_specs=(specs,),
            out_specs=(LSTMState(units, units), P(None, *units)),
            axis_names={self.axis} if self.batch is None else {self.axis, self.batch},
        )
        (h, c), y = run(given)
        return LSTMState(h[..., : cell.output_size], c), y[..., : cell.output_size]

    def unsupported(self, request: Request) -> list[str]:
        """Why units cannot be split over the devices."""
        if request.params is None:
            return ["a bare step has no units that could be told apart"]
        reasons = set(super().unsupported(request))
        if jax.sharding.get_abstract_mesh().manual_axes:
            reasons.add("it is inside a shard_map, and has one of its own")
        rows = 1 if self.batch is None else self.mesh.shape[self.batch]
        if request.batch and request.batch[0] % rows:
            reasons.add(f"{rows} devices do not divide the {request.batch[0]} rows")
        for cell in layers(request.params):
            if not (isinstance(cell, LSTMParams) and cell.deferred_product):
                reasons.add(f"{type(cell).__name__} has no units that it can split")
                continue
            if cell.hidden_size % self.devices:
                reasons.add(
                    f"{self.devices} devices do not divide H={cell.hidden_size}, and "
                    "units are whole"
                )
            if cell.norm is not None:
                kind = type(cell.norm).__name__
                reasons.add(f"the mean in {kind} is over all units")
        return sorted(reasons)

    def check(self) -> list[str | Exception]:
        """As of `Scan`, and a mesh that has the axes."""
        axes = (self.axis, self.batch or self.axis)
        return super().check() or mesh_problems(self.mesh, axes)

    def _specs(self, inputs: LayerInputs) -> LayerInputs:
        """What is split by units and by rows, and what every device has whole."""
        cell: Any
        cell, x, fixed, stepped, _, reset_state, step_masks = inputs
        axes = x.ndim - 2
        batch = (self.batch, *[None] * (axes - 1)) if axes else ()

        def rows(before: tuple[Any, ...], units: str | None, tree: Any) -> Any:
            """Of arrays (before, *B, units); a cut may have T alone, a rate nothing."""
            full = *before, *batch, units
            return jax.tree.map(lambda a: P(*full[: a.ndim]), tree)

        def drop_masks(before: tuple[Any, ...], masks: DropMasks) -> DropMasks:
            g, h, c = masks
            return DropMasks(
                rows(before, self.axis, g),
                rows(before, None, h),
                rows(before, self.axis, c),
            )

        state = LSTMState(P(*batch, None), P(*batch, self.axis))
        return LayerInputs(
            self._columns(cell),
            rows((None,), None, x),
            drop_masks((), fixed),
            drop_masks((None,), stepped),
            state,
            None if reset_state is None else state,
            rows((None,), None, step_masks),
        )

    def _columns(self, cell: LSTMParams) -> LSTMParams:
        """Units stand last, but in a projection first."""
        specs = jax.tree.map(lambda a: P(*[None] * (a.ndim - 1), self.axis), cell)
        if cell.projection is None:
            return specs
        return specs.replace(projection=P(self.axis))

    def _share(self, h: jax.Array) -> jax.Array:
        """This device's columns of what all have, filled up where they do not divide.

        What leaves so is not summed over the devices, nor is its gradient.
        """
        each = -(-h.shape[-1] // self.devices)
        extra = each * self.devices - h.shape[-1]
        if extra:
            h = jnp.pad(h, [(0, 0)] * (h.ndim - 1) + [(0, extra)])
        first = lax.axis_index(self.axis) * each
        return lax.dynamic_slice_in_dim(h, first, each, axis=h.ndim - 1)


def _split_gates(inputs: LayerInputs) -> LayerInputs:
    """Columns of G·H as (G, H), so that units stand on the last axis of every leaf."""
    cell: Any = inputs.cell
    gates = len(cell.options.gates)

    def apart(w: Any) -> Any:
        if w is None:
            return None
        return w.reshape(*w.shape[:-1], gates, w.shape[-1] // gates)

    cell = cell.replace(w_x=apart(cell.w_x), w_h=apart(cell.w_h), b=apart(cell.b))
    return inputs._replace(cell=cell)


def _joined_gates(inputs: LayerInputs) -> LayerInputs:
    """The inverse of `_split_gates`, of any number of units."""
    cell: Any = inputs.cell

    def joined(w: Any) -> Any:
        if w is None:
            return None
        return w.reshape(*w.shape[:-2], w.shape[-2] * w.shape[-1])

    cell = cell.replace(w_x=joined(cell.w_x), w_h=joined(cell.w_h), b=joined(cell.b))
    return inputs._replace(cell=cell)
