# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A whole network through cuDNN: packing of weights, states, lengths, and refusals."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax._dtypes import result_dtype
from lstm_jax._inputs import Request, SequenceArgs
from lstm_jax._masks import select, valid_steps
from lstm_jax._params import (
    Bidirectional,
    Params,
    Residual,
    Reverse,
    Stack,
    State,
    layers,
)
from lstm_jax._state import mirror
from lstm_jax._types import match_type, typed_eval_shape
from lstm_jax.cells.lstm_params import LSTMParams, LSTMState
from lstm_jax.cells.options import CellOptions
from lstm_jax.checks.messages import check_values
from lstm_jax.checks.params import check_params
from lstm_jax.implementations.base import Implementation
from lstm_jax.implementations.cudnn_call import Call, Sizes, rnn, run


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Cudnn(Implementation):
    """NVIDIA's cuDNN: all layers, directions and steps in one call.

    For `LSTMParams`, a `Bidirectional` of two that concatenates, or a `Stack` of
    either, of one hidden size, with or without biases; in float32, on CUDA; with any
    batch axes, lengths and states; under `jit`, `grad` and `vmap`. Everything else
    raises NotImplementedError with all reasons, so it has to be asked for: `Scan` does
    all. Compiled for another platform than CUDA, JAX says that it does not know
    `rnn_fwd`.

    cuDNN itself has bfloat16 and float16; `jax.experimental.rnn` describes every call
    to it as float32, whatever the arrays are, so nothing else can be passed.

    `vmap` makes its axis a part of the batch, where it does not map the parameters. A
    gradient of such a call runs forward again. Parameters that are mapped, and a
    gradient of them for each member, are refused: a call has one set of weights, and
    sums their gradient over its batch.

    Attributes:
        tf32: products may round their factors to 10 bits, which is faster.

    Example:
        >>> Cudnn()
        Cudnn(tf32=False)

    References:
        Chetlur et al. 2014, cuDNN: Efficient Primitives for Deep Learning. JAX, module
        `jax.experimental.rnn`.
    """

    instead: ClassVar[str] = " Scan() can."

    tf32: bool = False

    def network(
        self, params: Params, x: jax.Array, state: State, args: SequenceArgs
    ) -> tuple[jax.Array, State]:
        """Runs a network over a sequence.

        Args:
            params: all of the dtype of x.
            x: (T, *B, I), finite in the padding.
            state: in this library's containers, or None for zeros.
            args: of which `lengths`, (*B,) integers or None, are all that it can run.

        Returns:
            y (T, *B, H), or 2H wide with two directions, and the state after it.
        """
        cells, sizes, lengths = layers(params), _sizes(params), args.lengths
        steps, *batch, inputs = x.shape
        rows = math.prod(batch)
        start = _start(x, sizes.hidden, state, 2 * len(cells))
        tree = jax.tree.structure(mirror(params, lambda cell: LSTMState(0, 0)))
        if not steps or not rows:  # y has no entry, but a type
            last = jnp.concatenate(start[0::2][-sizes.directions :], -1)
            y = jnp.broadcast_to(last, (steps, *last.shape))
            return y, jax.tree.unflatten(tree, start)

        def entering(parts: list[jax.Array]) -> jax.Array:
            return jnp.stack([a.reshape(rows, sizes.hidden) for a in parts])

        y, h, c = run(
            Call(self, sizes),
            _counts(lengths, steps, rows),
            jnp.moveaxis(x, 0, -2).reshape(rows, steps, inputs),
            entering(start[0::2]),
            entering(start[1::2]),
            _packed(cells),
        )
        y = jnp.moveaxis(y.reshape(*batch, steps, y.shape[-1]), -2, 0)
        both = [a for pair in zip(h, c, strict=True) for a in pair]
        end = [a.reshape(*batch, sizes.hidden) for a in both]
        if lengths is not None:
            valid = valid_steps(steps, lengths)
            y = select(valid, y, jnp.zeros_like(y))
            end = select(lengths > 0, end, start)
        return y, jax.tree.unflatten(tree, end)

    def unsupported(self, request: Request) -> list[str]:
        """Why cuDNN cannot run a call."""
        params, x, args = request.params, request.x, request.args
        if params is None:
            return ["it has a step of its own, and runs no other"]
        found = missing((params, x)) + unfit(params)
        dtypes = {a.dtype for a in jax.tree.leaves((params, x))}
        if (dtype := result_dtype(*dtypes)) != jnp.float32:
            found.append(
                "jax.experimental.rnn describes every call as float32, and x and "
                f"params give {dtype}"
            )
        if not all(isinstance(size, int) for size in x.shape):
            found.append("it needs numbers for sizes, and some of x are symbolic")
        if args.mask is not None:
            found.append("it has no mask; lengths it has")
        if args.resets is not None:
            found.append("it has no resets")
        if args.truncate is not None:
            found.append("it has no truncation")
        if args.regularizer is not None and args.regularizer.acting():
            found.append("it has none of the regularizers")
        return found

    def check(self) -> list[str | Exception]:
        """The kind of its one knob."""
        if isinstance(self.tf32, bool):
            return []
        return [TypeError(f"tf32 must be a bool; got {self.tf32!r}.")]

    @staticmethod
    def pack(params: Params) -> jax.Array:
        """The vector of weights that cuDNN reads; differentiable.

        Layer by layer, forward before backward, W_ih (4H, I) and W_hh (4H, H) with
        gates in the order i, f, g, o; after them all, in the same order, b_ih and b_hh
        (4H,). The bias goes into b_ih, and b_hh is zero.

        Args:
            params: `LSTMParams`, `Bidirectional` or `Stack` as `Cudnn` runs them, of
                any floating dtype.

        Returns:
            (N,) of the promoted dtype of params.

        Raises:
            ValueError: shapes that disagree.
            TypeError: dtypes or kinds that disagree.
            NotImplementedError: cuDNN has no such network.

        Example:
            >>> import jax, lstm_jax
            >>> params = lstm_jax.init(jax.random.key(0), 3, 5, bidirectional=True)
            >>> Cudnn.pack(params).shape  # 2 · (3·20 + 5·20 + 20 + 20)
            (400,)
        """
        check_values("Cudnn.pack", params=params)
        _packable("Cudnn.pack", params)
        dtype = result_dtype(params)
        as_one = jax.tree.map(lambda a: jnp.asarray(a, dtype), params)
        return _packed(layers(as_one))

    @staticmethod
    def unpack(weights: Any, like: Params) -> Any:
        """The inverse of `pack`; differentiable. The two biases are added.

        Args:
            weights: (N,) floating, as cuDNN reads them.
            like: the network that they are of; ShapeDtypeStructs do.

        Returns:
            `like` with arrays of the dtype of weights.

        Raises:
            ValueError: shapes that disagree; biases where `like` has none.
            TypeError: dtypes or kinds that disagree.
            NotImplementedError: cuDNN has no such network.

        Example:
            >>> import jax, lstm_jax
            >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5)
            >>> again = Cudnn.unpack(Cudnn.pack(params), params)
            >>> bool((again.w_h == params.w_h).all())
            True
        """
        call = "Cudnn.unpack"
        _packable(call, like)
        cells, layout = layers(like), _sizes(like).layout
        expected = (rnn().get_num_params_in_lstm(*layout),)
        got = getattr(weights, "shape", type(weights).__name__)
        if got != expected:
            raise ValueError(
                f"{call}: weights must have shape {expected} (from like); got {got}."
            )
        w_ih, w_hh, b_ih, b_hh = rnn().unpack_lstm_weights(weights, *layout)
        filled = [
            cell.replace(
                w_x=w_ih[k].T,
                w_h=w_hh[k].T,
                b=_bias(call, k, cell, b_ih[k] + b_hh[k]),
            )
            for k, cell in enumerate(cells)
        ]
        return jax.tree.unflatten(jax.tree.structure(like), jax.tree.leaves(filled))


def _members(params: Any) -> list[tuple[str, Any]]:
    """What stands one above the other, with where it is found."""
    if isinstance(params, Stack):
        return [(f"params.layers[{k}]", m) for k, m in enumerate(params.layers)]
    return [("params", params)]


def _sizes(params: Any) -> Sizes:
    cells, depth = layers(params), len(_members(params))
    inputs, hidden = cells[0].w_x.shape[0], cells[0].w_h.shape[0]
    return Sizes(inputs, hidden, depth, len(cells) // depth)


def _packed(cells: list[LSTMParams]) -> jax.Array:
    """The weights of layers of one dtype."""
    parts = [w.T.ravel() for cell in cells for w in (cell.w_x, cell.w_h)]
    for cell in cells:
        none = jnp.zeros(cell.w_h.shape[1], cell.w_h.dtype)
        parts += [none if cell.b is None else cell.b, none]
    return jnp.concatenate(parts)


def _bias(call: str, k: int, cell: LSTMParams, b: jax.Array) -> jax.Array | None:
    """The bias of a layer, or None where it has none."""
    if cell.b is not None:
        return b
    if not isinstance(b, jax.core.Tracer) and np.any(np.asarray(b)):
        raise ValueError(
            f"{call}: weights must have zero biases where like has b=None; got others "
            f"for layer {k}, counted by depth and forward before backward."
        )
    return None


def _start(x: jax.Array, hidden: int, state: State, count: int) -> list[jax.Array]:
    """The leaves of the state, or zeros: (*B, H), of the mesh type of a step."""

    def step(x: jax.Array) -> jax.Array:
        one = x.sum((0, -1))[..., None]
        return jnp.broadcast_to(one, (*one.shape[:-1], hidden))

    like = typed_eval_shape(step, x)
    leaves = [0.0] * count if state is None else jax.tree.leaves(state)
    return [match_type(jnp.asarray(a, x.dtype), like) for a in leaves]


def _counts(lengths: Any, steps: int, rows: int) -> jax.Array:
    """The steps to run in each row (B,); at least one, as cuDNN takes none without."""
    if lengths is None:
        return jnp.full(rows, steps, jnp.int32)
    wide = jnp.asarray(lengths, jnp.arange(0).dtype)  # T may not fit into its own
    return jnp.clip(wide, 1, steps).astype(jnp.int32).reshape(rows)


def missing(values: Any) -> list[str]:
    """What there must be, and is not, to run on these values.

    Where values are traced it is not known on what they will be: a machine whose jaxlib
    has the functions may compile for CUDA without a GPU of its own.
    """
    gpu = getattr(rnn(), "gpu_rnn", None)
    if getattr(gpu, "_cuda_rnn", None) is None:
        return ["this jaxlib has no CUDA functions"]
    leaves = jax.tree.leaves(values)
    if any(isinstance(a, jax.core.Tracer) for a in leaves):
        return []
    arrays = [a for a in leaves if isinstance(a, jax.Array)]
    platforms = {d.platform for a in arrays for d in a.devices()}
    others = sorted((platforms or {jax.default_backend()}) - {"gpu", "cuda"})
    return [f"it runs on CUDA, and arguments are on {', '.join(others)}"] * bool(others)


def unfit(params: Any) -> list[str]:
    """Why cuDNN has no such network."""
    return list(dict.fromkeys([*_structure(params), *_kinds(layers(params))]))


def _structure(params: Any) -> Iterator[str]:
    directions = set()
    for path, member in _members(params):
        match member:
            case LSTMParams():
                directions.add(1)
            case Bidirectional(LSTMParams(), LSTMParams(), merge):
                directions.add(2)
                if merge != "concat":
                    yield f"it concatenates directions, and {path}.merge is {merge!r}"
            case Bidirectional():
                yield f"directions must be LSTMParams, and those of {path} are not"
            case Reverse() | Residual() | Stack():
                yield f"it has no {type(member).__name__}, which {path} is"
    if len(directions) > 1:
        yield "all layers must have as many directions"


def _kinds(cells: list[LSTMParams]) -> Iterator[str]:
    others = {type(cell).__name__ for cell in cells} - {"LSTMParams"}
    if others:
        yield f"it runs LSTMParams, and not {', '.join(sorted(others))}"
        return
    hidden = {cell.hidden_size for cell in cells}
    if len(hidden) > 1:
        yield f"all layers must have one hidden size; got {sorted(hidden)}"
    for cell in cells:
        if cell.peephole is not None:
            yield "it has no peepholes"
        if cell.projection is not None:
            yield "jax.experimental.rnn has no projection"
        if cell.norm is not None:
            yield "it has no layer norm"
        if cell.options != CellOptions():
            yield "it has the standard CellOptions() alone"


def _packable(call: str, params: Any) -> None:
    check_params(call, params)
    if found := unfit(params):
        raise NotImplementedError(
            f"{call}: cuDNN has no such network: {'; '.join(found)}."
        )
