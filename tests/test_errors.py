# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Each mistake gets one clear error: the call, the argument, what was expected, got."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import lstm_jax as lj
from lstm_jax import CellOptions, Regularizer, Scan

KEY = jax.random.key(0)
STACK = lj.init(KEY, 3, 5, num_layers=2, dtype=jnp.float32)
CELL = lj.init_cell(KEY, 3, 5, peephole=True, norm=lj.SplitNorm, dtype=jnp.float32)
BOTH = lj.init(KEY, 3, 5, bidirectional=True, dtype=jnp.float32)
X = np.ones((2, 7, 3), np.float32)
H = np.zeros((2, 5), np.float32)
TURNED = np.zeros((7, 5), np.float32)


def apply(params: Any = STACK, x: Any = X, *a: Any, **k: Any) -> Any:
    return lj.apply(params, x, *a, **k)


def changed(**leaves: Any) -> Any:
    return CELL.replace(**leaves)


def symbolic(implementation: Any) -> Any:
    (t,) = export.symbolic_shape("t")
    run = jax.jit(lambda x: lj.apply(CELL, x, implementation=implementation))
    return export.export(run)(jax.ShapeDtypeStruct((t, 3), jnp.float32))


def add(params: Any, state: Any, x: Any) -> Any:
    return state + x, state


MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a key that is a number": (
        lambda: apply(regularizer=Regularizer(dropout=0.1), key=0),
        TypeError,
        "apply: key must be a JAX random key, as jax.random.key(seed) makes; got 0.",
    ),
    "a clip that is no number": (
        lambda: lj.init_cell(KEY, 3, 5, options=CellOptions(clip="3")),
        ValueError,
        "init_cell: params.options.clip must be positive or None; got '3'.",
    ),
    "options that are a dict": (
        lambda: lj.init_cell(KEY, 3, 5, options={"clip": 3}),
        TypeError,
        "init_cell: options must be CellOptions; got {'clip': 3}.",
    ),
    "a template for parameters": (
        lambda: apply(lj.from_config(lj.config(CELL))),
        TypeError,
        "apply: params.w_x must be an array; got a ShapeDtypeStruct, which has no "
        "values. Under jax.eval_shape it would do.",
    ),
    "a merge without directions": (
        lambda: lj.init(KEY, 3, 5, merge="max"),
        ValueError,
        "init: merge must be one of concat, sum, mul, ave; got 'max'.",
    ),
    "a number for a batch shape": (
        lambda: lj.zero_state(CELL, 4),
        TypeError,
        "zero_state: batch_shape must be a tuple of sizes, such as (4,); got 4.",
    ),
    "input size": (
        lambda: apply(CELL, np.ones((3, 7, 10), np.float32)),
        ValueError,
        "apply: x must have shape (*B, T, I) with I=3 (the input size of params); "
        "got (3, 7, 10).",
    ),
    "input size of a stack": (
        lambda: apply(x=np.ones((7, 2, 4), np.float32), time_major=True),
        ValueError,
        "apply: x must have shape (T, *B, I) with I=3 (the input size of "
        "params.layers[0]); got (7, 2, 4).",
    ),
    "no time axis": (
        lambda: apply(x=np.ones(3, np.float32)),
        ValueError,
        "apply: x must have shape (*B, T, I) with I=3 (the input size of "
        "params.layers[0]); got (3,).",
    ),
    "integers": (
        lambda: apply(x=np.ones((2, 7, 3), int)),
        TypeError,
        "apply: x must have a floating dtype; got int64. One-hot or embed integer "
        "tokens first.",
    ),
    "complex": (
        lambda: apply(x=X.astype(complex)),
        TypeError,
        "apply: x must have a floating dtype; got complex128.",
    ),
    "swapped, seen by lengths": (
        lambda: apply(lengths=np.ones(7, int)),
        ValueError,
        "apply: lengths must have shape (2,), the batch axes of x; got (7,). If x is "
        "(T, B, I), pass time_major=True.",
    ),
    "swapped, seen by lengths, time-major": (
        lambda: apply(lengths=np.ones(2, int), time_major=True),
        ValueError,
        "apply: lengths must have shape (7,), the batch axes of x; got (2,). If x is "
        "(B, T, I), leave time_major=False.",
    ),
    "swapped, seen by the state": (
        lambda: apply(CELL, X, (TURNED, TURNED)),
        ValueError,
        "apply: state.h must have shape (2, 5), or broadcast to it over the batch axes "
        "(from x and params); got (7, 5). If x is (T, B, I), pass time_major=True.",
    ),
    "batch of the state": (
        lambda: apply(STACK, X, ((H, H), (H, H[:1].repeat(3, 0)))),
        ValueError,
        "apply: state[1].c must have shape (2, 5), or broadcast to it over the batch "
        "axes (from x and params); got (3, 5).",
    ),
    "width of the state": (
        lambda: apply(CELL, X, (H[:, :4], H)),
        ValueError,
        "apply: state.h must have shape (2, 5), or broadcast to it over the batch axes "
        "(from x and params); got (2, 4).",
    ),
    "state of a layer for a stack": (
        lambda: apply(STACK, X, lj.zero_state(STACK)[0] * 2),
        ValueError,
        "apply: state must be a tuple or list, the 2 states of Stack; got tuple of 4. "
        "lstm_jax.zero_state(params, batch_shape) makes one.",
    ),
    "state of an array": (
        lambda: apply(CELL, X, H),
        ValueError,
        "apply: state must be a tuple or list, (h, c) of LSTMParams; got ndarray. "
        "lstm_jax.zero_state(params, batch_shape) makes one.",
    ),
    "state of one direction": (
        lambda: apply(BOTH, X, ((H, H),)),
        ValueError,
        "apply: state[0][0] must be a tuple or list, (h, c) of LSTMParams; got "
        "ndarray. lstm_jax.zero_state(params, batch_shape) makes one.",
    ),
    "state of integers": (
        lambda: apply(CELL, X, (H.astype(int), H)),
        TypeError,
        "apply: state.h must have a floating dtype; got int64.",
    ),
    "reset state without resets": (
        lambda: apply(CELL, X, reset_state=(H, H)),
        ValueError,
        "apply: reset_state has no effect without resets.",
    ),
    "structure of the reset state": (
        lambda: apply(CELL, X, resets=np.zeros((2, 7), bool), reset_state=H),
        ValueError,
        "apply: reset_state must be a tuple or list, (h, c) of LSTMParams; got "
        "ndarray. lstm_jax.zero_state(params, batch_shape) makes one.",
    ),
    "shape of lengths": (
        lambda: apply(lengths=np.ones((2, 1), int)),
        ValueError,
        "apply: lengths must have shape (2,), the batch axes of x; got (2, 1).",
    ),
    "dtype of lengths": (
        lambda: apply(lengths=np.ones(2)),
        TypeError,
        "apply: lengths must have an integer dtype; got float64.",
    ),
    "lengths too long": (
        lambda: apply(lengths=[3, 8]),
        ValueError,
        "apply: lengths must lie in [0, T] with T=7 (from x); got values from 3 to 8.",
    ),
    "lengths below zero": (
        lambda: apply(lengths=jnp.array([-1, 3])),
        ValueError,
        "apply: lengths must lie in [0, T] with T=7 (from x); got values from -1 to 3.",
    ),
    "dtype of resets": (
        lambda: apply(resets=np.zeros((2, 7))),
        TypeError,
        "apply: resets must have dtype bool; got float64.",
    ),
    "shape of resets": (
        lambda: apply(resets=np.zeros((7, 2), bool)),
        ValueError,
        "apply: resets must have shape (2, 7) ((*B, T), the time and batch axes of x); "
        "got (7, 2).",
    ),
    "regularizer without key": (
        lambda: apply(regularizer=Regularizer(dropout=0.1)),
        ValueError,
        "apply: regularizer needs a key; pass key=jax.random.key(...), or "
        "regularizer.inference() for evaluation.",
    ),
    "rate": (
        lambda: apply(regularizer=Regularizer(dropout=1.0), key=KEY),
        ValueError,
        "apply: regularizer.dropout must lie in [0, 1); got 1.0.",
    ),
    "kind of regularizer": (
        lambda: apply(regularizer=0.1, key=KEY),
        TypeError,
        "apply: regularizer must be a Regularizer or None; got float.",
    ),
    "truncate": (
        lambda: apply(truncate=0),
        ValueError,
        "apply: truncate must be a positive number of steps or None; got 0.",
    ),
    "implementation": (
        lambda: apply(implementation="scan"),
        TypeError,
        "apply: implementation must be an lstm_jax.Implementation, such as "
        "Scan(...) or Loop(), or None; got 'scan'.",
    ),
    "unroll of Scan": (
        lambda: apply(implementation=Scan(unroll=0)),
        ValueError,
        "apply: Scan.unroll must be a positive number of steps; got 0.",
    ),
    "window of Scan": (
        lambda: apply(implementation=Scan(window=1.5)),
        ValueError,
        "apply: Scan.window must be a positive number of steps or None; got 1.5.",
    ),
    "checkpoint of Scan": (
        lambda: apply(implementation=Scan(checkpoint="root")),
        ValueError,
        "apply: Scan.checkpoint must be a positive number of steps or None, or "
        "\"sqrt\"; got 'root'.",
    ),
    "loop over a symbolic T": (
        lambda: symbolic(lj.Loop()),
        NotImplementedError,
        "apply: Loop() cannot run this: a Python loop needs a number of steps, and T "
        "is symbolic.",
    ),
    "unrolling a symbolic T": (
        lambda: symbolic(Scan(unroll=2)),
        NotImplementedError,
        "apply: Scan(unroll=2, window=None, checkpoint=None) cannot run this: unroll > "
        "1 needs a number of steps, and T is symbolic.",
    ),
    "coupled cell with the columns of four gates": (
        lambda: apply(
            lj.init_cell(KEY, 3, 5).replace(options=CellOptions(coupled=True))
        ),
        ValueError,
        "apply: params.w_x must have 3 columns a unit (gates i, g, o are present by"
        " options); got shape (3, 20).",
    ),
    "coupled without an input gate": (
        lambda: lj.init_cell(
            KEY, 3, 5, options=CellOptions(coupled=True, input_gate=False)
        ),
        ValueError,
        "init_cell: params.options.coupled means f = 1 - i, which needs "
        "input_gate=True and forget_gate=True; got input_gate=False, "
        "forget_gate=True.",
    ),
    "unknown activation": (
        lambda: lj.init_cell(KEY, 3, 5, options=CellOptions(gate_activation="gelu")),
        ValueError,
        "init_cell: params.options.gate_activation must be one of affine, elu, "
        "hard_sigmoid, leaky_relu, relu, scaled_tanh, sigmoid, softplus, softsign, "
        "tanh, thresholded_relu; got 'gelu'.",
    ),
    "an activation that is no name": (
        lambda: apply(changed(options=CellOptions(output_activation=jnp.tanh))),
        ValueError,
        "apply: params.options.output_activation must be one of affine, elu, ",
    ),
    "clip": (
        lambda: apply(changed(options=CellOptions(clip=-1.0))),
        ValueError,
        "apply: params.options.clip must be positive or None; got -1.0.",
    ),
    "options": (
        lambda: apply(changed(options=None)),
        TypeError,
        "apply: params.options must be CellOptions; got None.",
    ),
    "recurrent weights": (
        lambda: apply(changed(w_h=np.zeros((4, 20), np.float32))),
        ValueError,
        "apply: params.w_h must have shape (5, 20) (from w_x (3, 20); gates i, f, "
        "g, o are present by options; 5 outputs); got (4, 20).",
    ),
    "weights of three axes": (
        lambda: apply(changed(w_x=np.zeros((2, 3, 20), np.float32))),
        ValueError,
        "apply: params.w_x must have shape (I, G*H); got (2, 3, 20). Parameters with "
        "further axes go under jax.vmap.",
    ),
    "no weights": (
        lambda: apply(changed(w_h=None)),
        TypeError,
        "apply: params.w_h must be an array; got None.",
    ),
    "bias": (
        lambda: apply(changed(b=np.zeros(15, np.float32))),
        ValueError,
        "apply: params.b must have shape (20,) (from w_x (3, 20); gates i, f, g, o "
        "are present by options); got (15,).",
    ),
    "peephole": (
        lambda: apply(changed(peephole=np.zeros((4, 5), np.float32))),
        ValueError,
        "apply: params.peephole must have shape (3, 5) (from w_x (3, 20); gates i, "
        "f, g, o are present by options); got (4, 5).",
    ),
    "projection": (
        lambda: apply(changed(projection=np.zeros((4, 5), np.float32))),
        ValueError,
        "apply: params.projection must have shape (5, 5) (H=5 from w_x and 4 gates:"
        " gates i, f, g, o are present by options); got (4, 5).",
    ),
    "norm": (
        lambda: apply(changed(norm=1.0)),
        TypeError,
        "apply: params.norm must be SplitNorm, GateNorm or None; got float.",
    ),
    "gain of a norm": (
        lambda: apply(changed(norm=CELL.norm.replace(gain_c=np.ones(4, np.float32)))),
        ValueError,
        "apply: params.norm.gain_c must have shape (5,) (from w_x (3, 20); gates i,"
        " f, g, o are present by options); got (4,).",
    ),
    "missing gain": (
        lambda: apply(changed(norm=lj.GateNorm())),
        ValueError,
        "apply: params.norm.gain must have shape (20,) (gates i, f, g, o are "
        "present by options); got None.",
    ),
    "layers that do not fit": (
        lambda: apply(lj.Stack((CELL, lj.init_cell(KEY, 4, 5)))),
        ValueError,
        "apply: params.layers[1] must have an input size of 5 (the width of the "
        "output of params.layers[0]); got 4.",
    ),
    "empty stack": (
        lambda: apply(lj.Stack(())),
        ValueError,
        "apply: params.layers must be a tuple of one layer or more; got ().",
    ),
    "directions that do not fit": (
        lambda: apply(lj.Bidirectional(CELL, lj.init_cell(KEY, 4, 5))),
        ValueError,
        "apply: params.backward must have an input size of 3 (the width of the "
        "input of params.forward); got 4.",
    ),
    "sum of two widths": (
        lambda: apply(lj.Bidirectional(CELL, lj.init_cell(KEY, 3, 4), "sum")),
        ValueError,
        "apply: params.merge='sum' needs two outputs of one width; got 5 and 4.",
    ),
    "merge": (
        lambda: apply(lj.Bidirectional(CELL, CELL, "max")),
        ValueError,
        "apply: params.merge must be one of concat, sum, mul, ave; got 'max'.",
    ),
    "residual of two widths": (
        lambda: apply(lj.Residual(CELL)),
        ValueError,
        "apply: params adds its input of width 3 (the input of params.inner) to its "
        "output, which must have that width; got 5.",
    ),
    "kind of params": (
        lambda: apply({"w": X}),
        TypeError,
        "apply: params must be LSTMParams or another Cell, Stack, Bidirectional, "
        "Reverse or Residual; got dict.",
    ),
    "kind of inner params": (
        lambda: apply(lj.Stack((CELL, lj.Reverse(None)))),
        TypeError,
        "apply: params.layers[1].inner must be LSTMParams or another Cell, Stack, "
        "Bidirectional, Reverse or Residual; got None.",
    ),
    "a step of both directions": (
        lambda: lj.lstm_step(BOTH, ((H, H), (H, H)), X[:, 0]),
        NotImplementedError,
        "lstm_step: params.layers[0] is Bidirectional, which needs the whole sequence; "
        "a step goes forward only. Use lstm_jax.apply.",
    ),
    "a step backward": (
        lambda: lj.lstm_step(lj.Reverse(CELL), (H, H), X[:, 0]),
        NotImplementedError,
        "lstm_step: params is Reverse, which needs the whole sequence; a step goes "
        "forward only. Use lstm_jax.apply.",
    ),
    "input of a step": (
        lambda: lj.lstm_step(CELL, (H, H), X[:, 0, :2]),
        ValueError,
        "lstm_step: x must have shape (*B, I) with I=3 (the input size of params); "
        "got (2, 2).",
    ),
    "activations": (
        lambda: lj.activations(CELL, X[..., :2]),
        ValueError,
        "activations: x must have shape (*B, T, I) with I=3 (the input size of "
        "params); got (2, 7, 2).",
    ),
    "explain": (
        lambda: lj.explain(CELL, X, lengths=[1]),
        ValueError,
        "explain: lengths must have shape (2,), the batch axes of x; got (1,).",
    ),
    "zero_state": (
        lambda: lj.zero_state(X),
        TypeError,
        "params must be LSTMParams or another Cell, Stack, Bidirectional, Reverse "
        "or Residual; got ndarray.",
    ),
    "size in init": (
        lambda: lj.init(KEY, 3, 0),
        ValueError,
        "init_cell: hidden_size must be a positive integer; got 0.",
    ),
    "layers beside sizes": (
        lambda: lj.init(KEY, 3, [4, 5], num_layers=2),
        ValueError,
        "init: num_layers must be None where hidden_size is a sequence with one H a "
        "layer; got num_layers=2, hidden_size=[4, 5].",
    ),
    "no layers": (
        lambda: lj.init(KEY, 3, []),
        ValueError,
        "init: hidden_size must name one layer or more; got [].",
    ),
    "merge in init": (
        lambda: lj.init(KEY, 3, 5, bidirectional=True, merge="max"),
        ValueError,
        "init: merge must be one of concat, sum, mul, ave; got 'max'.",
    ),
    "norm in init": (
        lambda: lj.init_cell(KEY, 3, 5, norm="layer"),
        TypeError,
        "init_cell: norm must be SplitNorm, GateNorm, one of these with an eps, or "
        "None; got 'layer'.",
    ),
    "dtype in init": (
        lambda: lj.init_cell(KEY, 3, 5, dtype=int),
        TypeError,
        "init_cell: dtype must be floating; got int64.",
    ),
    "chrono": (
        lambda: lj.initializers.chrono(1),
        ValueError,
        "chrono: t_max must be at least 2; got 1.",
    ),
    "unroll: lengths": (
        lambda: lj.unroll(add, None, H[:, 0], X[..., 0].T, lengths=np.array([1, 9])),
        ValueError,
        "unroll: lengths must lie in [0, T] with T=7 (from xs); got values from 1 to "
        "9.",
    ),
    "unroll: T of xs": (
        lambda: lj.unroll(add, None, H, (X, X[:1])),
        ValueError,
        "unroll: xs[1] must have the leading axes (2,) (T of the first leaf and *B); "
        "got shape (1, 7, 3).",
    ),
    "unroll: xs": (
        lambda: lj.unroll(add, None, H, ()),
        ValueError,
        "unroll: xs must be a tree of arrays (T, *B, …); got ().",
    ),
    "unroll: batch of the state": (
        lambda: lj.unroll(
            add, None, np.zeros(3), X[..., 0].T, lengths=np.array([1, 2])
        ),
        ValueError,
        "unroll: state must have the leading axes (2,) (*B of lengths, mask or "
        "resets); got shape (3,).",
    ),
    "unroll: batch of lengths and resets": (
        lambda: lj.unroll(
            add,
            None,
            H[:, 0],
            X[..., 0].T,
            lengths=np.array([1]),
            resets=np.zeros((7, 2), bool),
        ),
        ValueError,
        "unroll: lengths must have shape (2,), the batch axes of xs; got (1,).",
    ),
    "unroll: reset state": (
        lambda: lj.unroll(
            add,
            None,
            H[:, 0],
            X[..., 0].T,
            resets=np.zeros((7, 2), bool),
            reset_state=(H,),
        ),
        ValueError,
        "unroll: reset_state must have the structure of state, PyTreeDef(*); got "
        "PyTreeDef((*,)).",
    ),
    "unroll: reset state without resets": (
        lambda: lj.unroll(add, None, H[:, 0], X[..., 0].T, reset_state=H[:, 0]),
        ValueError,
        "unroll: reset_state has no effect without resets.",
    ),
    "unroll: truncate": (
        lambda: lj.unroll(add, None, H[:, 0], X[..., 0].T, truncate=-1),
        ValueError,
        "unroll: truncate must be a positive number of steps or None; got -1.",
    ),
    "unroll: window": (
        lambda: lj.unroll(
            add, None, H[:, 0], X[..., 0].T, implementation=Scan(window=2)
        ),
        NotImplementedError,
        "unroll: Scan(unroll=1, window=2, checkpoint=None) cannot run this: window "
        "hoists x·W_x, which a bare step does not have.",
    ),
    "unroll: dtype of the state": (
        lambda: lj.unroll(
            lambda p, s, x: (s.astype(jnp.float16), x), None, H[:, 0], X[..., 0].T
        ),
        TypeError,
        "unroll: step must keep the shape and dtype of the state; state is float32[2] "
        "and becomes float16[2].",
    ),
    "unroll: structure of the state": (
        lambda: lj.unroll(lambda p, s, x: ((s, s), x), None, H[:, 0], X[..., 0].T),
        TypeError,
        "unroll: step must return a state of the structure it was given, "
        "PyTreeDef(*); got PyTreeDef((*, *)).",
    ),
    "config": (
        lambda: lj.config(lj.Reverse(jax.tree)),
        TypeError,
        "config: params must hold arrays; got module.",
    ),
    "kind in a config": (
        lambda: lj.from_config({"kind": "GRU"}),
        ValueError,
        "from_config: config.kind must be one of LSTMParams, GRUParams, RNNParams, "
        "FGRParams, LSTM1997Params, Stack, Bidirectional, Reverse, Residual, "
        "SplitNorm, GateNorm, CellOptions, ActivationFn; got 'GRU'. A class of your"
        " own goes into cells.",
    ),
    "fields in a config": (
        lambda: lj.from_config({"kind": "Stack", "layers": [{"kind": "Reverse"}]}),
        ValueError,
        "from_config: config.layers[0] must have the fields ['inner'] of Reverse; got "
        "[].",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake(mistake: str) -> None:
    call, kind, message = MISTAKES[mistake]
    with pytest.raises(kind, match="^" + re.escape(message)) as caught:
        call()
    assert caught.type is kind


def test_errors_come_before_any_computation() -> None:
    """Under jit too, at trace time, with the same words."""
    with pytest.raises(ValueError, match="lengths must have shape"):
        jax.jit(lambda n: apply(lengths=n))(np.ones(7, int))


def test_a_traced_length_is_no_error() -> None:
    y, _ = jax.jit(lambda n: apply(lengths=n))(np.array([9, 3]))
    assert np.isfinite(y).all()
