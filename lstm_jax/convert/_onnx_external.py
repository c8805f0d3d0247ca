# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX, in: bytes of a tensor that lie in a file beside the model's."""

import math
import re
from pathlib import Path
from typing import Any

from lstm_jax.convert._files import Refused, beside
from lstm_jax.convert._onnx_fold import Unknown

EXTERNAL = 1  # of TensorProto.DataLocation
BITS = {"UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2}


class ExternalData:
    """Where a tensor's bytes lie: as many as its shape and type need, and no others.

    Attributes:
        file: in the model's folder or below; no link leads to it.
        length: in bytes.
    """

    def __init__(self, call: str, model: Any, name: str, proto: Any) -> None:
        """Checks all that can be without reading.

        Raises:
            Unknown: the file is not there, or would not be the model's own.
            ValueError: offset or length are none, or not within the file.
        """
        given = {entry.key: entry.value for entry in proto.external_data}
        self._proto, self._offset = proto, _number(call, name, given, "offset", 0)
        self.length = _needed(call, name, proto)
        try:
            self.file: Path = beside(call, model, given.get("location", ""))
        except Refused as error:
            reason = str(error).removeprefix(f"{call}: ").rstrip(".")
            raise Unknown(
                f"{name} lies in another file (external data): {reason}"
            ) from error
        length = _number(call, name, given, "length", self.length)
        if length != self.length:
            raise ValueError(
                f"{call}: length of {name} must be {self.length}, by its dims "
                f"{list(proto.dims)} and type; got {length}."
            )
        size = self.file.stat().st_size
        if self._offset + length > size:
            raise ValueError(
                f"{call}: offset and length of {name} must lie within "
                f"{self.file.name}, which has {size} bytes; got {self._offset} and "
                f"{length}."
            )

    def read(self) -> Any:
        """The tensor with its bytes."""
        import onnx

        with self.file.open("rb") as file:
            file.seek(self._offset)
            data = file.read(self.length)
        proto = self._proto
        return onnx.TensorProto(
            name=proto.name, dims=proto.dims, data_type=proto.data_type, raw_data=data
        )


def _number(call: str, name: str, given: Any, key: str, default: int) -> int:
    text = given.get(key)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise ValueError(
            f"{call}: {key} of {name} must be a number of bytes; got {text[:40]!r}."
        )
    return int(text)


def _needed(call: str, name: str, proto: Any) -> int:
    """The bytes of an array of the tensor's shape and type."""
    import onnx

    try:
        kind = onnx.TensorProto.DataType.Name(proto.data_type)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(proto.data_type)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{call}: {name} must have a type that ONNX knows; got {proto.data_type}."
        ) from error
    if dtype.hasobject or min(proto.dims, default=0) < 0:
        raise ValueError(
            f"{call}: {name} must be of numbers and of sizes from 0 on; got {kind} "
            f"of dims {list(proto.dims)}."
        )
    return math.ceil(math.prod(proto.dims) * BITS.get(kind, 8 * dtype.itemsize) / 8)
