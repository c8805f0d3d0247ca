# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""LiteRT as an oracle: published numbers, and its interpreter on one operator."""

from collections.abc import Mapping
from pathlib import Path

import flatbuffers
import numpy as np

GATES = ("input", "forget", "cell", "output")
# The inputs of the operator in its order; x comes first, "h" and "c" are its variables.
INPUTS = (
    *(f"input_to_{gate}_weights" for gate in GATES),
    *(f"recurrent_to_{gate}_weights" for gate in GATES),
    *(f"cell_to_{gate}_weights" for gate in ("input", "forget", "output")),
    *(f"{gate}_gate_bias" for gate in GATES),
    "projection_weights",
    "projection_bias",
    "h",
    "c",
    *(f"{gate}_layer_norm_coefficients" for gate in GATES),
)


def published(test: str) -> dict[str, np.ndarray]:
    """The float32 tensors of one of LiteRT's own tests, its input and output too."""
    lines = Path(__file__).with_name("litert_numbers.txt").read_text().splitlines()
    tensors = {}
    for of, name, rows, *numbers in (line.split() for line in lines):
        if of == test:
            flat = np.asarray(numbers, np.float32)
            tensors[name] = flat if rows == "1" else flat.reshape(int(rows), -1)
    return tensors


def interpret(
    tensors: Mapping[str, np.ndarray],
    x: np.ndarray,
    activation: str = "TANH",
    cell_clip: float = 0.0,
) -> np.ndarray:
    """y (B, T, P) in float32 of the operator with these tensors on x (B, T, I)."""
    from ai_edge_litert import interpreter
    from ai_edge_litert import schema_py_generated as schema

    units = tensors["input_to_cell_weights"].shape[0]
    outputs = tensors["recurrent_to_cell_weights"].shape[1]
    graph = schema.SubGraphT()
    graph.tensors, buffers = [], [schema.BufferT()]

    def tensor(name: str, shape: tuple[int, ...], data: np.ndarray | None) -> int:
        new = schema.TensorT()
        new.name, new.shape, new.type = name, list(shape), schema.TensorType.FLOAT32
        new.isVariable = name in ("h", "c")
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.astype("<f4").tobytes(), np.uint8)
            new.buffer = len(buffers)
            buffers.append(buffer)
        graph.tensors.append(new)
        return len(graph.tensors) - 1

    entries = [tensor("x", x.shape, None)]
    for name in INPUTS:
        if name in ("h", "c"):
            size = outputs if name == "h" else units
            entries.append(tensor(name, (len(x), size), None))
        else:
            a = tensors.get(name)
            entries.append(-1 if a is None else tensor(name, a.shape, a))
    y = tensor("y", (*x.shape[:2], outputs), None)

    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    options.cellClip = cell_clip
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = entries, [y]
    operator.builtinOptionsType = (
        schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
    )
    operator.builtinOptions = options
    code = schema.OperatorCodeT()
    code.builtinCode = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
    graph.inputs, graph.outputs, graph.operators = [0], [y], [operator]
    model = schema.ModelT()
    model.version, model.operatorCodes = 3, [code]
    model.subgraphs, model.buffers = [graph], buffers
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")

    run = interpreter.Interpreter(model_content=bytes(builder.Output()), num_threads=1)
    run.allocate_tensors()
    run.set_tensor(run.get_input_details()[0]["index"], x.astype(np.float32))
    run.invoke()
    return np.array(run.get_tensor(run.get_output_details()[0]["index"]))
