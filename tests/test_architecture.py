# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Any cell and any way of running, each added in one place: shown by adding both."""

import ast
import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import chex
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lstm_jax
import lstm_jax.linen
import lstm_jax.nnx
from lstm_jax import Bidirectional, Loop, Residual, Reverse, Scan, Stack, _forward

ROOT = Path(__file__).parent.parent
# The cell below is written as users write theirs.
pytestmark = pytest.mark.usefixtures("as_users_have_it")
WAYS = {"Scan", "Loop", "Cudnn", "SplitUnits", "Fused", "Packed"}


class Nested(lstm_jax.Cell):
    """A state of tuples, with a counter and a start that is not zero; a trace."""

    rate: jax.Array  # (I,)
    input_size = output_size = property(lambda self: self.rate.shape[0])

    def zero_state(self, batch_shape: Any, dtype: Any) -> Any:
        ones = jnp.ones((*batch_shape, self.output_size), dtype)
        return (ones, 0 * ones), jnp.zeros(batch_shape, jnp.int32)

    def step(self, state: Any, x_t: Any, masks: Any = None) -> Any:
        (h, before), count = state
        new = jnp.tanh(self.rate * h + x_t)
        return ((new, h), count + 1), new + before

    def trace(self, state: Any, x_t: Any) -> Any:
        new, y = self.step(state, x_t)
        return new, NestedTrace(y, new[1])


class NestedTrace(NamedTuple):
    h: Any
    count: Any


class Decay(lstm_jax.Cell):
    """A leaky sum with a weight of the input; the smallest cell with all in it."""

    rate: jax.Array  # (H,)
    w_x: jax.Array  # (I, H)
    scale: float = flax.struct.field(pytree_node=False, default=1.0)

    input_size = property(lambda self: self.w_x.shape[0])
    output_size = property(lambda self: self.w_x.shape[1])

    def zero_state(self, batch_shape: Any, dtype: Any) -> Any:
        return {"sum": jnp.zeros((*batch_shape, self.output_size), dtype)}

    def step(self, state: Any, x_t: Any, masks: Any = None) -> Any:
        total = jnp.tanh(self.rate * state["sum"]) + self.scale * (x_t @ self.w_x)
        return {"sum": total}, total

    @classmethod
    def init(cls, key: Any, input_size: int, hidden_size: int, **fields: Any) -> Any:
        rate, w_x = jax.random.split(key)
        return cls(
            jax.random.uniform(rate, (hidden_size,), minval=0.3, maxval=0.9),
            jax.random.normal(w_x, (input_size, hidden_size)),
            **fields,
        )


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class While(lstm_jax.Implementation):
    """A loop over indices that puts every y where it belongs; it has no `layer`."""

    def iterate(self, body: Any, carry: Any, xs: Any, reverse: bool) -> Any:
        steps = jax.tree.leaves(xs)[0].shape[0]
        at = lambda t: jax.tree.map(lambda a: a[t], xs)  # noqa: E731
        _, like = jax.eval_shape(body, carry, at(0))
        ys = jax.tree.map(lambda a: jnp.zeros((steps, *a.shape), a.dtype), like)

        def step(k: Any, both: Any) -> Any:
            carry, ys = both
            t = steps - 1 - k if reverse else k
            carry, y = body(carry, at(t))
            return carry, jax.tree.map(lambda all, one: all.at[t].set(one), ys, y)

        return jax.lax.fori_loop(0, steps, step, (carry, ys))

    def unsupported(self, request: Any) -> list[str]:
        return ["it runs no odd T"] if request.steps == 3 else []


def network(key: Any) -> Any:
    keys = jax.random.split(key, 5)
    cell = lstm_jax.init_cell(keys[4], 4, 4, peephole=True)
    return Stack(
        (
            Decay.init(keys[0], 3, 2, scale=0.7),
            Bidirectional(Decay.init(keys[1], 2, 2), Decay.init(keys[2], 2, 2)),
            Residual(Reverse(Decay.init(keys[3], 4, 4))),
            cell,
        )
    )


def loop(params: Any, x: Any, mask: Any, resets: Any, reverse: bool = False) -> Any:
    """One row (T, I) of a `Decay` in NumPy, with its masked steps left out."""
    rate, w_x = np.asarray(params.rate), np.asarray(params.w_x)
    state, y = np.zeros(rate.shape), np.zeros((len(x), len(rate)))
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        boundary = t + 1 if reverse else t
        if boundary < len(x) and resets[boundary]:
            state = np.zeros(rate.shape)
        if mask[t]:
            state = np.tanh(rate * state) + params.scale * (x[t] @ w_x)
            y[t] = state
    return y, state


def sequence(key: Any) -> tuple[Any, Any, Any]:
    x = jax.random.normal(key, (3, 7, 3))
    mask = np.array([[1, 1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 1, 0, 0], [0] * 7], bool)
    resets = np.zeros((3, 7), bool)
    resets[0, [2, 4, 6]] = resets[1, [1, 6]] = True
    return x, mask, resets


def test_a_cell_against_a_loop(key: jax.Array) -> None:
    x, mask, resets = sequence(key)
    cell = Decay.init(key, 3, 5, scale=0.7)
    for params, reverse in ((cell, False), (Reverse(cell), True)):
        y, state = lstm_jax.apply(params, x, mask=mask, resets=resets)
        for row in range(3):
            own = loop(cell, np.asarray(x[row]), mask[row], resets[row], reverse)
            np.testing.assert_allclose(y[row], own[0], rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(state["sum"][row], own[1], rtol=1e-12)


@pytest.mark.parametrize("way", [Loop(), While(), Scan(window=3, checkpoint=2)])
def test_every_way_runs_a_network_of_cells(way: Any, key: jax.Array) -> None:
    params = network(key)
    x, mask, resets = sequence(key)
    poisoned = jnp.where(mask[..., None], x, jnp.nan)

    def run(params: Any, x: Any, way: Any, **steps: Any) -> Any:
        y, state = lstm_jax.apply(params, x, implementation=way, **steps)
        return jnp.sum(jnp.sin(y)) + sum(jnp.sum(a**2) for a in jax.tree.leaves(state))

    for steps in (
        {"mask": mask, "resets": resets, "truncate": 3},
        {"lengths": np.array([7, 4, 0]), "resets": resets},
    ):
        given = poisoned if "mask" in steps else x
        expected = jax.value_and_grad(run, (0, 1))(params, x, Scan(), **steps)
        got = jax.value_and_grad(run, (0, 1))(params, given, way, **steps)
        chex.assert_trees_all_close(got, expected, rtol=1e-11, atol=1e-12)
        direction = jax.tree.map(jnp.ones_like, params)
        one, two = (
            jax.jvp(partial(run, x=x, way=w, **steps), (params,), (direction,))
            for w in (way, Scan())
        )
        chex.assert_trees_all_close(one, two, rtol=1e-11)


CALLED: list[str] = []


def own_primal(static: Any, inputs: Any) -> Any:
    CALLED.append("primal")
    return _forward.scan_primal(static, inputs)


def own_residuals(static: Any, inputs: Any) -> Any:
    CALLED.append("residuals")
    return _forward.scan_with_residuals(static, inputs)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Kernel(Scan):
    """What runs the recurrence is its own; the derivative rule is the library's."""

    def static_args(self, reverse: bool, gather: Any) -> Any:
        own = {"primal": own_primal, "with_residuals": own_residuals}
        return dataclasses.replace(super().static_args(reverse, gather), **own)


def test_a_kernel_of_the_recurrence_keeps_its_derivatives(key: jax.Array) -> None:
    """jvp, gradient, hessian and vmap, of which each asks for what it needs."""
    params = lstm_jax.init(key, 3, 2, bidirectional=True)
    x = jax.random.normal(key, (2, 4, 3))

    def run(x: Any, way: Any) -> Any:
        return jnp.sum(jnp.sin(lstm_jax.apply(params, x, implementation=way)[0]))

    several = jnp.stack([x, 2 * x])
    for transformed, asked in (
        (lambda way: run(x, way), {"primal"}),
        (lambda way: jax.jvp(partial(run, way=way), (x,), (x,)), {"residuals"}),
        (lambda way: jax.grad(run)(x, way), {"residuals"}),
        (lambda way: jax.hessian(run)(x, way), {"residuals"}),
        (lambda way: jax.vmap(jax.grad(run), (0, None))(several, way), {"residuals"}),
    ):
        CALLED.clear()
        jax.clear_caches()
        got = transformed(Kernel())
        assert asked <= set(CALLED)
        chex.assert_trees_all_close(got, transformed(Scan()), rtol=1e-12)


def test_a_step_at_a_time(key: jax.Array) -> None:
    params = Stack((Decay.init(key, 3, 3), Residual(Decay.init(key, 3, 3))))
    x = jax.random.normal(key, (7, 2, 3))
    state = lstm_jax.zero_state(params, (2,))
    end, ys = jax.lax.scan(lambda s, x: lstm_jax.lstm_step(params, s, x), state, x)
    y, last = lstm_jax.apply(params, x, time_major=True)
    chex.assert_trees_all_close((ys, end), (y, last), rtol=1e-13)


def test_a_state_of_any_structure(key: jax.Array) -> None:
    """Apply is a loop of steps, from the cell's own start, also in a shard_map."""
    cell, x = Nested(jnp.linspace(0.2, 0.8, 3)), jax.random.normal(key, (2, 5, 3))
    lengths = np.array([5, 3])
    y, state = lstm_jax.apply(cell, x, lengths=lengths)
    for row, length in enumerate(lengths):
        own = lstm_jax.zero_state(cell)
        for t in range(length):
            own, y_t = lstm_jax.lstm_step(cell, own, x[row, t])
            np.testing.assert_allclose(y[row, t], y_t, rtol=1e-13)
        np.testing.assert_allclose(state[0][0][row], own[0][0], rtol=1e-13)
        assert state[1][row] == own[1] == length
    again, _ = lstm_jax.apply(cell, x, lstm_jax.zero_state(cell, (2,)), lengths=lengths)
    chex.assert_trees_all_equal(again, y)
    trace = lstm_jax.activations(cell, x)
    assert trace.count.tolist() == [[1, 2, 3, 4, 5]] * 2
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.PartitionSpec("rows")
    run = jax.shard_map(
        lambda x, lengths: lstm_jax.apply(cell, x, lengths=lengths)[0],
        mesh=mesh,
        in_specs=rows,
        out_specs=rows,
    )
    chex.assert_trees_all_close(run(x, jnp.asarray(lengths)), y, rtol=1e-13)


def test_in_both_flax_modules(key: jax.Array) -> None:
    x = jax.random.normal(key, (2, 7, 3)).astype(jnp.float32)
    way = While()
    module = lstm_jax.linen.LSTM(
        5,
        cell=Decay,
        num_layers=2,
        bidirectional=True,
        implementation=way,
        learn_state=True,
    )
    variables = module.init(key, x)
    y, state = module.apply(variables, x, seq_lengths=jnp.array([7, 4]))
    params = module.unpack(variables)
    expected = lstm_jax.apply(params, x, lengths=jnp.array([7, 4]), implementation=way)
    chex.assert_trees_all_close((y, state), expected, rtol=1e-6)

    model = lstm_jax.nnx.LSTM(3, 5, cell=Decay, rngs=nnx.Rngs(0), implementation=way)
    mask = jnp.array([[True, False] * 3 + [True]] * 2)
    expected = lstm_jax.apply(model.params, x, mask=mask, implementation=way)
    chex.assert_trees_all_close(model(x, mask=mask), expected, rtol=1e-6)
    rnn = nnx.RNN(lstm_jax.nnx.LSTMCell(3, 5, cell=Decay, rngs=nnx.Rngs(0)))
    assert rnn(x).shape == (2, 7, 5)


def test_as_plain_data(key: jax.Array) -> None:
    params = Stack((Decay.init(key, 3, 2, scale=0.5),))
    saved = lstm_jax.config(params)
    with pytest.raises(ValueError, match=r"kind must be one of .*; got 'Decay'"):
        lstm_jax.from_config(saved)
    template = lstm_jax.from_config(saved, cells={"Decay": Decay})
    assert jax.tree.structure(template) == jax.tree.structure(params)
    assert repr(params).count("\n") == 2 and "scale=0.5" in repr(params)


def test_what_is_missing_is_named(key: jax.Array) -> None:
    x = jnp.ones((2, 3, 3))
    with pytest.raises(NotImplementedError, match="it runs no odd T"):
        lstm_jax.apply(network(key), x, implementation=While())
    with pytest.raises(NotImplementedError, match="Decay must define trace"):
        lstm_jax.activations(network(key), x)
    zoneout = lstm_jax.Regularizer(zoneout_c=0.1, weight_drop=0.1)
    both = "Decay has no zoneout_c; Decay has no weight_drop"
    with pytest.raises(NotImplementedError, match=both):
        lstm_jax.apply(network(key), x, regularizer=zoneout, key=key)

    class Half(lstm_jax.LSTMParams):
        def project(self, x: Any, product: Any = jnp.matmul) -> Any:
            return x @ self.w_x

        def zero_state(self, batch_shape: Any, dtype: Any) -> Any:
            return jax.tree.map(jnp.ones_like, super().zero_state(batch_shape, dtype))

    # A subclass is run as it is written, by every way, from its own start.
    cell = lstm_jax.init_cell(key, 3, 4)
    half = Half(cell.w_x, cell.w_h, cell.b + 1.0)
    start = half.zero_state((), x.dtype)
    expected, _ = lstm_jax.apply(cell.replace(b=0 * cell.b), x, start)
    for way in (Scan(), Loop(), While()):
        got, _ = lstm_jax.apply(half, x[:, :2], implementation=way)
        chex.assert_trees_all_close(got, expected[:, :2], rtol=1e-12)

    class Wider(Decay):
        def step(self, state: Any, x_t: Any, masks: Any = None) -> Any:
            new, y = super().step(state, x_t)
            return new, jnp.concatenate([y, y], -1)

    with pytest.raises(TypeError, match=r"Wider.step: y must be float.*\[\*B, 5\]"):
        lstm_jax.apply(Wider.init(key, 3, 5), x)

    class Empty(lstm_jax.Cell):
        w: jax.Array

    missing = "Empty must define input_size, output_size, zero_state, step"
    with pytest.raises(TypeError, match=missing):
        lstm_jax.apply(Empty(x), x)


def modules(folder: str) -> Iterator[tuple[str, ast.Module]]:
    for path in (ROOT / folder).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), ast.parse(path.read_text())


def test_a_way_of_running_is_asked_what_it_can_do_and_not_what_it_is() -> None:
    """No isinstance, match or type() on one outside of implementations/."""
    for name, tree in modules("lstm_jax"):
        if name.startswith("lstm_jax.implementations"):
            continue
        for node in ast.walk(tree):
            asked: list[Any] = []
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "isinstance",
                "issubclass",
            ):
                asked = node.args[1:]
            elif isinstance(node, ast.MatchClass):
                asked = [node.cls]
            elif isinstance(node, ast.Compare):
                asked = [node.left, *node.comparators]
            found = {
                getattr(part, "id", getattr(part, "attr", None))
                for one in asked
                for part in ast.walk(one)
            }
            assert not found & WAYS, (name, ast.dump(node))


def imports(tree: ast.Module, known: Any) -> Iterator[str]:
    """What a module imports, inside functions too, but not for type checkers alone.

    `from package import module` reads the module, not what the package gathers.
    """
    typing = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for one in node.body
        for part in ast.walk(one)
    }
    for node in ast.walk(tree):
        if id(node) in typing:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else node.module


@pytest.mark.parametrize("folder", ["lstm_jax", "experiments"])
def test_no_import_goes_in_a_circle(folder: str) -> None:
    trees = dict(modules(folder))
    graph = {
        name: {target for target in imports(tree, trees) if target in trees} - {name}
        for name, tree in trees.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*path, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_files_are_short() -> None:
    for path in (ROOT / "lstm_jax").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
