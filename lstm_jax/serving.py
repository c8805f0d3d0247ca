# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Programs that run without this package: exported, saved, loaded by JAX alone.

A program takes and gives arrays in plain tuples, lists and dicts, for batches and
lengths of any size from 1, and holds its weights itself: a file is whole, and about
20 kB larger than they are. Weights of 2 GB or more do not fit into one; `export` can
make them an argument. Where it is served::

    program = jax.export.deserialize(bytearray(Path("step.jax").read_bytes()))
    step = jax.jit(program.call)
    state = jax.device_put(state, jax.devices()[0])  # else the second call compiles too
    y, state = step(x, state)

JAX reads programs that are up to six months older than itself. Load only what you
trust: a program may call whatever is in jaxlib.
"""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.export import Exported, symbolic_shape
from jax.export import export as export_jitted

from lstm_jax._apply import apply
from lstm_jax._dtypes import result_dtype
from lstm_jax._params import Params, State
from lstm_jax._state import zero_state
from lstm_jax._step import lstm_step
from lstm_jax.checks.params import check_params
from lstm_jax.implementations.base import Implementation

__all__ = ["export", "export_sequence", "export_step", "plain", "save"]

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def plain(tree: Any) -> Any:
    """The same leaves in the containers that JAX knows without any package.

    Named tuples and this library's nodes, or anyone's, become tuples of what they hold,
    in the order of `jax.tree.leaves`. What is static is left out.

    Args:
        tree: any pytree: a state, params, variables of a Flax module.

    Returns:
        Nested tuples, lists, dicts and None with the leaves of tree.

    Example:
        >>> import jax, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> jax.tree.map(jax.numpy.shape, plain(lstm_jax.zero_state(params, (2,))))
        (((2, 5), (2, 5)),)
    """
    if tree is None:
        return None
    if type(tree) is dict:
        return {name: plain(part) for name, part in tree.items()}
    level = jax.tree_util.default_registry.flatten_one_level(tree)
    if level is None:
        return tree
    parts = map(plain, level[0])
    return list(parts) if type(tree) is list else tuple(parts)


@contextlib.contextmanager
def _without_paths() -> Iterator[None]:
    """Leaves out of a program the paths of the source files on this machine."""
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


def export(
    function: Callable[..., Any], *args: Any, platforms: Sequence[str] | None = None
) -> Exported:
    """Exports any function: an LSTM between an embedding and a head, say.

    The function sees the containers of args, and may return any; the program takes
    `plain(args)` and gives `plain` of the result. Arrays that the function closes over
    are part of the program; those in args are given at every call. With params among
    them, weights can be exchanged without a new program::

        program = export(lambda params, x: lstm_jax.apply(params, x)[0], params, x)
        y = program.call(plain(params), x)

    Args:
        function: what to export; anything that `jax.jit` takes.
        *args: its arguments, each a tree of arrays (*B, …) or `jax.ShapeDtypeStruct`,
            of any dtype. Sizes of `jax.export.symbolic_shape` may be any number from 1.
        platforms: for which of "cpu", "cuda", "rocm" and "tpu"; none of them need be
            here. None for the default backend's.

    Returns:
        A `jax.export.Exported`: `.call(*plain(args))` runs it, `save` writes it.

    Raises:
        ValueError: platforms are not known; or whatever function raises.
        TypeError: a leaf of args is no array; or whatever function raises.

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, dtype="float32")
        >>> embedding, head = jnp.ones((11, 3), "float32"), jnp.ones((5, 11), "float32")
        >>> def answer(token, state):
        ...     state, y = lstm_jax.lstm_step(params, state, embedding[token])
        ...     return y @ head, state
        >>> (b,) = jax.export.symbolic_shape("b")
        >>> token = jax.ShapeDtypeStruct((b,), "int32")
        >>> state = jax.eval_shape(lambda: lstm_jax.zero_state(params, (b,)))
        >>> program = export(answer, token, state)
        >>> state = plain(lstm_jax.zero_state(params, (2,)))
        >>> program.call(jnp.array([3, 7], "int32"), state)[0].shape
        (2, 11)

    References:
        JAX documentation, Exporting and serializing staged-out computations.
    """
    return _export("export", function, args, platforms)


def _export(call: str, function: Any, args: Any, platforms: Any) -> Exported:
    known = isinstance(platforms, tuple | list) and set(platforms) <= set(PLATFORMS)
    if platforms is not None and not (known and platforms):
        raise ValueError(
            f"{call}: platforms must be None or a tuple of {', '.join(PLATFORMS)}; got "
            f"{platforms!r}."
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path(args):
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            raise TypeError(
                f"{call}: args{jax.tree_util.keystr(path)} must be an array or a "
                f"jax.ShapeDtypeStruct; got {type(leaf).__name__}."
            )
    inside = jax.tree.structure(args)

    def program(*args: Any) -> Any:
        return plain(function(*jax.tree.unflatten(inside, jax.tree.leaves(args))))

    with _without_paths():
        return export_jitted(jax.jit(program), platforms=platforms)(*plain(args))


def _types(call: str, params: Any, dtype: Any, causal: bool) -> tuple[Any, ...]:
    """The types of x (b, t, I), of lengths (b,) and of the state, b and t symbolic."""
    size, _ = check_params(call, params, causal)
    dtype = result_dtype(params) if dtype is None else jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"{call}: dtype must be floating; got {dtype}.")
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    b, t = symbolic_shape("b, t")
    rows: Any = (b,)
    state = jax.eval_shape(lambda: zero_state(params, rows, dtype))
    x = jax.ShapeDtypeStruct((b, t, size), dtype)
    return x, jax.ShapeDtypeStruct((b,), jnp.int32), state


def export_step(
    params: Params, *, dtype: Any = None, platforms: Sequence[str] | None = None
) -> Exported:
    """Exports one step of a network, for streams that arrive step by step.

    The program, for any B from 1::

        y, state = program.call(x, state)

    with x (B, I), y (B, H or P), and the state of plain tuples: (h, c) for
    `LSTMParams`, a tuple of these for a `Stack`.

    Args:
        params: `LSTMParams`, or a `Stack` or `Residual` of such; part of the program.
        dtype: of x and h, floating; None for the parameters'. c is float32 where that
            has 16 bits.
        platforms: as for `export`.

    Returns:
        A `jax.export.Exported`: `.call` runs it, `save` writes it.

    Raises:
        ValueError: params that contradict themselves; platforms that are not known.
        TypeError: dtypes or kinds that disagree.
        NotImplementedError: params need the whole sequence (Reverse, Bidirectional).

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5, dtype="float32")
        >>> program = export_step(params)
        >>> state = plain(lstm_jax.zero_state(params, (2,)))
        >>> y, (h, c) = program.call(jnp.ones((2, 3), "float32"), state)
        >>> y.shape, c.shape
        ((2, 5), (2, 5))
    """
    x, _, state = _types("export_step", params, dtype, causal=True)
    x_t = jax.ShapeDtypeStruct((x.shape[0], x.shape[-1]), x.dtype)

    def step(x: Any, state: State) -> tuple[Any, State]:
        state, y = lstm_step(params, state, x)
        return y, state

    return _export("export_step", step, (x_t, state), platforms)


def export_sequence(
    params: Params,
    *,
    dtype: Any = None,
    mask: bool = False,
    platforms: Sequence[str] | None = None,
    implementation: Implementation | None = None,
) -> Exported:
    """Exports a network over whole sequences.

    The program, for any B and T from 1::

        y, state = program.call(x, lengths, state)

    with x (B, T, I), lengths (B,) int32, clipped to [0, T], y (B, T, H, P or twice as
    much), and the state of plain tuples; zeros to begin with.

    Args:
        params: parameters of any kind; part of the program.
        dtype: as for `export_step`.
        mask: the program takes a mask (B, T) of booleans in place of lengths.
        platforms: as for `export`.
        implementation: as for `apply`; None for `Scan()`, as sizes have no numbers.
            `Scan(window=8)` is faster on a CPU where B and T are large.

    Returns:
        A `jax.export.Exported`: `.call` runs it, `save` writes it.

    Raises:
        ValueError: as `export_step`.
        TypeError: as `export_step`.
        NotImplementedError: the implementation cannot run this without numbers.

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax
        >>> params = lstm_jax.init_cell(jax.random.key(0), 3, 5, dtype="float32")
        >>> program = export_sequence(lstm_jax.Reverse(params))
        >>> state = plain(lstm_jax.zero_state(params, (2,)))
        >>> x, lengths = jnp.ones((2, 7, 3), "float32"), jnp.array([7, 4], "int32")
        >>> program.call(x, lengths, state)[0].shape
        (2, 7, 5)
    """
    x, lengths, state = _types("export_sequence", params, dtype, causal=False)
    valid = jax.ShapeDtypeStruct(x.shape[:-1], bool) if mask else lengths

    def sequence(x: Any, valid: Any, state: State) -> tuple[Any, State]:
        given = {"mask" if mask else "lengths": valid}
        return apply(params, x, state, implementation=implementation, **given)

    return _export("export_sequence", sequence, (x, valid, state), platforms)


def save(path: str | os.PathLike[str], program: Exported) -> None:
    """Writes a program to a file, whole or not at all.

    A file of that name is replaced at once: who reads it meanwhile has the old one or
    the new one. `pip install 'lstm_jax[serving]'` brings what writing and reading need.

    Args:
        path: of the file; its folder must exist.
        program: what `export`, `export_step`, `export_sequence` or `jax.export` gave.

    Raises:
        TypeError: program was not exported.
        ValueError: program takes or gives containers that JAX alone does not know.

    Example:
        >>> import jax, lstm_jax, pathlib, tempfile
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5, dtype="float32")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "lstm.jax"
        ...     save(path, export_step(params))
        ...     program = jax.export.deserialize(bytearray(path.read_bytes()))
        >>> program.platforms
        ('cpu',)
    """
    if not isinstance(program, Exported):
        kind = type(program).__name__
        raise TypeError(f"save: program must be a jax.export.Exported; got {kind}.")
    path = Path(path).absolute()
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with part.open("xb") as file:
            file.write(program.serialize())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
