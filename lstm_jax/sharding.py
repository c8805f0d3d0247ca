# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Batches, and hidden units, over several devices, on plain `jax.sharding`.

One line makes devices of a host's cores, before anything else uses JAX (as does
`JAX_NUM_CPU_DEVICES=8` in the environment)::

    jax.config.update("jax_num_cpu_devices", 8)

Any devices make a mesh::

    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

With several processes, each calls `jax.distributed.initialize` first, sees the devices
of all in `jax.devices()`, and runs the same program; on processors collectives need
`jax.config.update("jax_cpu_collectives_implementation", "gloo")`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from lstm_jax._compat import vary
from lstm_jax._dtypes import result_dtype
from lstm_jax._params import each_layer
from lstm_jax.cells.lstm_params import LSTMParams
from lstm_jax.checks.mesh import check_rows, check_same_batch
from lstm_jax.implementations.split_units import SplitUnits

__all__ = [
    "SplitUnits",
    "data_parallel",
    "pad_batch",
    "partition_specs",
    "replicate",
    "shard_batch",
]

Tree = TypeVar("Tree")


def _row_spec(axis: str, batch_axis: int) -> P:
    return P(*[None] * batch_axis, axis)


def shard_batch(tree: Tree, mesh: Any, axis: str = "data", batch_axis: Any = 0) -> Tree:
    """Puts every array of a batch on the devices of a mesh, each with its rows.

    A jitted function then runs where its rows are. Where the mesh spans processes, each
    gives the rows that its own devices shall hold, the same number in each process;
    together they are the batch, in the order of the processes.

    Args:
        tree: arrays, each with a batch axis.
        mesh: a `jax.sharding.Mesh`.
        axis: the axis of the mesh that has the rows.
        batch_axis: where the batch axis is; an int, or one for each part of the tree as
            `jax.vmap` takes them: 1 for x (T, B, I).

    Returns:
        The tree, of arrays on the mesh.

    Raises:
        ValueError: the devices do not divide the batch; see `pad_batch`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> auto = (jax.sharding.AxisType.Auto,)
        >>> mesh = jax.make_mesh((1,), ("data",), auto, devices=jax.devices()[:1])
        >>> x, lengths = shard_batch((jnp.ones((4, 7, 3)), jnp.arange(4)), mesh)
        >>> tuple(x.sharding.spec)
        ('data',)
    """
    axes = jax.tree.broadcast(batch_axis, tree)
    check_rows("shard_batch", tree, axes, axis, mesh, local=True)

    def put(a: Any, k: int) -> jax.Array:
        sharding = NamedSharding(mesh, _row_spec(axis, k))
        if sharding.is_fully_addressable:
            return jax.device_put(a, sharding)
        return jax.make_array_from_process_local_data(sharding, np.asarray(a))

    return jax.tree.map(put, tree, axes)


def pad_batch(
    tree: Tree, lengths: Any, number: int, batch_axis: Any = 0
) -> tuple[Tree, Any]:
    """Adds rows of zeros and of length 0 until a number divides the batch.

    Such a row changes nothing but a mean over rows: weight that by the rows that are
    real, as `data_parallel` can.

    Args:
        tree: arrays, each with a batch axis; lengths apart.
        lengths: (B,) integers; `jnp.full(B, T)` where all rows are whole.
        number: the number of devices, as `mesh.shape["data"]`.
        batch_axis: as for `shard_batch`; of lengths it is 0.

    Returns:
        The tree and the lengths, with B rounded up to a multiple of `number`.

    Raises:
        ValueError: batch axes that disagree with lengths.

    Example:
        >>> import numpy as np
        >>> x, lengths = pad_batch(np.ones((5, 7, 3)), np.full(5, 7), 4)
        >>> x.shape, lengths.tolist()
        ((8, 7, 3), [7, 7, 7, 7, 7, 0, 0, 0])
    """
    axes = jax.tree.broadcast(batch_axis, tree)
    check_same_batch("pad_batch", tree, axes, lengths, number)
    extra = -lengths.shape[0] % number

    def pad(a: Any, k: int) -> Any:
        after = [(0, extra if axis == k else 0) for axis in range(a.ndim)]
        return (jnp if isinstance(a, jax.Array) else np).pad(a, after)

    return jax.tree.map(pad, tree, axes), pad(lengths, 0)


def replicate(tree: Tree, mesh: Any) -> Tree:
    """Puts every array of a tree whole on every device of a mesh.

    Args:
        tree: parameters, or the state of an optimiser; the same in every process.
        mesh: a `jax.sharding.Mesh`.

    Returns:
        The tree, of arrays on the mesh.

    Example:
        >>> import jax, lstm_jax
        >>> auto = (jax.sharding.AxisType.Auto,)
        >>> mesh = jax.make_mesh((1,), ("data",), auto, devices=jax.devices()[:1])
        >>> params = replicate(lstm_jax.init(jax.random.key(0), 3, 5), mesh)
        >>> tuple(params.layers[0].w_h.sharding.spec)
        ()
    """
    return jax.device_put(tree, NamedSharding(mesh, P()))


def data_parallel(
    fn: Callable[..., Any],
    mesh: Any,
    *,
    axis: str = "data",
    batch_axis: Any = 0,
    weight: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Runs a function of a batch on every device with its rows, and averages.

    Every device computes by itself; then there is one sum over the devices for each
    array. Left to `jax.jit`, the partitioner sums a gradient over the devices in every
    window of steps in which this library takes the product that gives it.

    Args:
        fn: fn(params, *batch) -> a tree of means over its rows: a loss, a gradient, or
            what `jax.value_and_grad` gives. It sees one device's rows, without knowing
            of others. `jax.grad` may stand inside of it or outside of the result. A
            random key it uses: fold `jax.lax.axis_index(axis)` into it.
        mesh: a `jax.sharding.Mesh` of automatic axes; the others are left to
            `jax.jit`. For units over one of them, `SplitUnits` takes the rows too, and
            has no need of this.
        axis: the axis of the mesh that has the rows.
        batch_axis: as for `shard_batch`, of the tuple `batch`.
        weight: weight(*batch) -> how much a device's means count: the number of its
            rows that are real, or of its valid steps. The result is
            sum(weight * mean) / sum(weight). A device of weight 0 adds nothing, to
            gradients neither, even where its mean is 0/0. None for equal weights.

    Returns:
        A jitted function of (params, *batch), which `replicate` and `shard_batch` put
        where they are needed; its result is whole on every device. It raises ValueError
        where the devices do not divide the batch, or the mesh has explicit axes.

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax
        >>> auto = (jax.sharding.AxisType.Auto,)
        >>> mesh = jax.make_mesh((1,), ("data",), auto, devices=jax.devices()[:1])
        >>> def loss(params, x):
        ...     return jnp.mean(lstm_jax.apply(params, x)[0] ** 2)
        >>> step = data_parallel(jax.value_and_grad(loss), mesh)
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> value, gradient = step(params, jnp.ones((4, 7, 3)))
        >>> gradient.layers[0].w_h.shape
        (5, 20)
    """

    def local(params: Any, batch: tuple[Any, ...]) -> Any:
        # A gradient with respect to what is not varying would be summed already.
        params = jax.tree.map(lambda a: vary(a, axis), params)
        own = jnp.asarray(1 if weight is None else weight(*batch))
        params, batch = _only_if(own > 0, (params, batch))
        return jax.tree.map(partial(_mean, own, axis), fn(params, *batch))

    @jax.jit
    def parallel(params: Any, *batch: Any) -> Any:
        axes = jax.tree.broadcast(batch_axis, batch)
        check_rows("data_parallel", batch, axes, axis, mesh)
        rows = jax.tree.map(lambda k: _row_spec(axis, k), axes)
        return jax.shard_map(
            local,
            mesh=mesh,
            in_specs=(P(), rows),
            out_specs=P(),
            axis_names={axis},
        )(params, batch)

    return parallel


def _only_if(live: jax.Array, tree: Tree) -> Tree:
    """The same values, but a derivative of zero, whatever comes, unless `live`."""
    return jax.tree.map(lambda a: jnp.where(live, a, lax.stop_gradient(a)), tree)


def _mean(own: jax.Array, axis: str, mean: Any) -> jax.Array:
    """The mean over the devices of an axis, by their weights, summed wide."""
    mean = jnp.asarray(mean)
    kind = result_dtype(mean, jnp.float32(0))
    weight = own.astype(kind)
    part = jnp.where(own > 0, mean.astype(kind) * weight, 0)
    whole = lax.psum(part, axis) / lax.psum(weight, axis)
    floating = jnp.issubdtype(mean.dtype, jnp.floating)
    return whole.astype(mean.dtype) if floating else whole


def partition_specs(params: Any, axis: str | None = None) -> Any:
    """How parameters are laid out on a mesh, as a tree of `PartitionSpec`.

    Args:
        params: `LSTMParams` or any tree with such in it.
        axis: None for data parallelism, in which every device has all; else the axis of
            the mesh over which the columns of every layer are stored, "model" say.

    Returns:
        A tree like params, for `jax.device_put` and `jax.jit`. With `axis` a device
        stores contiguous columns of (I, G·H), which are not whole units: that is for
        storage, of an optimiser's state too. `SplitUnits` splits them by units, once
        a call. What is not part of a layer is whole.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 8)
        >>> tuple(partition_specs(params, "model").w_h)
        (None, 'model')
    """

    def columns(a: Any) -> P:
        return P(*[None] * (len(a.shape) - 1), axis)

    def specs(node: Any) -> Any:
        if axis is None or not isinstance(node, LSTMParams):
            return jax.tree.map(lambda a: P(), node)
        split = jax.tree.map(columns, node)
        if node.projection is not None:
            split = split.replace(projection=P(axis))
        return split

    return each_layer(specs, params)
