# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""ONNX, in: the nodes of a model wherever they stand, and what is constant in it."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from lstm_jax._text import one_line, quoted
from lstm_jax.convert._files import UNPACKED_BYTES, on_disk
from lstm_jax.convert._onnx_external import EXTERNAL, ExternalData
from lstm_jax.convert._onnx_fold import FOLDED, Unknown, evaluated, evaluating
from lstm_jax.convert._onnx_scope import Scope, Shape, domain, opsets, shapes

# A model beyond these was made to keep its reader busy: nodes of functions, counted at
# every call; functions and graphs in one another; operators one after the other; bytes
# made, for each byte of the model.
CALLED, DEEP, FOLDS_DEEP, RATIO = 30_000, 64, 100, 64


def title(node: Any) -> str:
    """How to speak of a node: its name, or its first output's."""
    return node.name or next(filter(None, node.output), "")


class Model:
    """A model that was read: its nodes, and the values that do not depend on inputs."""

    def __init__(self, call: str, proto: Any, path: Path | None = None) -> None:
        """Of an onnx.ModelProto, which was read from a file or not."""
        self.call, self.proto, self.path = call, proto, path
        self.beside: set[Path] = set()
        self.functions = {
            (domain(f.domain), f.name, f.overload): f for f in proto.functions
        }
        self.made = self.visited = 0
        try:
            size = proto.ByteSize()
        except Exception:  # it is more than protobuf can write
            size = 2**31
        self.limit = max(UNPACKED_BYTES, RATIO * size)

    def nodes(self) -> Iterator[tuple[Scope, Any, tuple[str, ...]]]:
        """Each node with its scope and the names of the nodes that it stands in."""
        own = opsets(self.proto)
        yield from self._nodes(
            self._graph(self.proto.graph, own, None), self.proto.graph.node, ()
        )

    def _nodes(
        self,
        scope: Scope,
        nodes: Iterable[Any],
        path: tuple[str, ...],
        called: bool = False,
    ) -> Iterator[tuple[Scope, Any, tuple[str, ...]]]:
        if len(path) > DEEP:
            raise ValueError(
                f"{self.call}: graphs and functions must be nested at most {DEEP} "
                f"deep; {path[0]!r} holds more, or itself."
            )
        for node in nodes:
            self._check_node(node, called)
            yield scope, node, path
            for attribute in node.attribute:
                own = [attribute.g] if attribute.HasField("g") else []
                for graph in [*own, *attribute.graphs]:
                    inner = self._graph(graph, scope.opsets, scope)
                    where = (*path, f"{title(node)}.{attribute.name}")
                    yield from self._nodes(inner, graph.node, where, called)
            function = self.function(node)
            if function is not None:
                inner, where = self._called(function, node, scope), (*path, title(node))
                yield from self._nodes(inner, function.node, where, True)

    def _check_node(self, node: Any, called: bool) -> None:
        self.visited += called
        if self.visited > CALLED:
            raise ValueError(
                f"{self.call}: functions must have at most {CALLED} nodes, counted at "
                "every call."
            )
        names = [node.op_type, node.domain, node.name, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
        if not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"{self.call}: names must be UTF-8; those of a node are not: {names}."
            )

    def function(self, node: Any) -> Any:
        """The model's own function that a node calls, or None."""
        return self.functions.get((domain(node.domain), node.op_type, node.overload))

    def _graph(
        self, graph: Any, versions: dict[str, int], outer: Scope | None
    ) -> Scope:
        named = [(t.name, t) for t in graph.initializer]
        named += [(t.values.name, t) for t in graph.sparse_initializer]
        tensors = dict(named)
        if len(tensors) < len(named):
            raise ValueError(f"{self.call}: initializers must have names of their own.")
        return Scope(
            tensors,
            self._producers(graph.node, tensors),
            frozenset(i.name for i in graph.input),
            versions,
            shapes([*graph.input, *graph.value_info, *graph.output]),
            outer,
            attributes=outer.attributes if outer else {},
        )

    def _called(self, function: Any, node: Any, scope: Scope) -> Scope:
        given = self.attributes(scope, node)
        defaults = {a.name: a for a in function.attribute_proto}
        names = [*node.input, *[""] * (len(function.input) - len(node.input))]
        return Scope(
            {},
            self._producers(function.node, {}),
            frozenset(),
            opsets(function),
            shapes(getattr(function, "value_info", ())),
            bound={
                own: (scope, name)
                for own, name in zip(function.input, names, strict=False)
            },
            attributes=defaults | given,
        )

    def _producers(self, nodes: Iterable[Any], others: dict[str, Any]) -> dict:
        found: dict[str, Any] = {}
        for node in nodes:
            for name in filter(None, node.output):
                if name in found or name in others:
                    raise ValueError(
                        f"{self.call}: {name!r} must be made once; a second time it is "
                        f"by {node.op_type} {title(node)!r}."
                    )
                found[name] = node
        return found

    def attributes(self, scope: Scope, node: Any) -> dict[str, Any]:
        """A node's attributes by name, those of the function around it filled in."""
        found: dict[str, Any] = {}
        for attribute in node.attribute:
            if attribute.name in found:
                raise ValueError(
                    f"{self.call}: {attribute.name} of {node.op_type} {title(node)!r} "
                    "must be there once; got it again."
                )
            if attribute.ref_attr_name:
                if attribute.ref_attr_name not in scope.attributes:
                    continue
                given, name = scope.attributes[attribute.ref_attr_name], attribute.name
                attribute = type(attribute)()
                attribute.CopyFrom(given)
                attribute.name = name
            found[attribute.name] = attribute
        return found

    def constant(self, scope: Scope, name: str, depth: int = 0) -> np.ndarray:
        """The value of a name, computed from constants where it has to be.

        Raises:
            Unknown: it depends on what is fed, or on what is not folded.
            ValueError: the model is malformed.
        """
        if name not in scope.known:
            scope.known[name] = None  # which marks it as begun
            try:
                scope.known[name] = self._constant(scope, name, depth)
            except BaseException:
                del scope.known[name]
                raise
        if scope.known[name] is None:
            raise ValueError(f"{self.call}: {name!r} is computed from itself.")
        return scope.known[name]

    def _constant(self, scope: Scope, name: str, depth: int) -> np.ndarray:
        if depth > FOLDS_DEEP:
            raise Unknown(f"it takes more than {FOLDS_DEEP} operators to compute")
        if name in scope.tensors:
            return self.tensor(scope.tensors[name])
        if name in scope.producers:
            return self._folded(scope, scope.producers[name], name, depth)
        if name in scope.bound:
            outer, outside = scope.bound[name]
            if not outside:
                raise Unknown(f"the function's input {name!r} is not given")
            return self.constant(outer, outside, depth + 1)
        if name in scope.inputs:
            raise Unknown(f"{name!r} is fed as an input of a graph")
        if scope.outer is None:
            raise ValueError(f"{self.call}: {name!r} is used and nowhere made.")
        return self.constant(scope.outer, name, depth + 1)

    def _folded(self, scope: Scope, node: Any, name: str, depth: int) -> np.ndarray:
        what = f"{node.op_type} {title(node)!r}"
        if domain(node.domain) or self.function(node) is not None:
            raise Unknown(f"{what} of domain {node.domain!r} is not folded")
        if node.op_type not in {*FOLDED, "Constant"}:
            raise Unknown(f"{what} is not folded")
        attributes = self.checked_attributes(scope, node)
        if node.op_type == "Constant":
            return self._literal(what, attributes)
        named = [n for n in node.input if n]
        arrays = {n: self.constant(scope, n, depth + 1) for n in named}
        for attribute in attributes.values():
            if attribute.HasField("t"):  # onnx would open other files for it
                if _external(attribute.t):
                    raise Unknown(
                        f"{attribute.t.name!r} lies in another file (external data), "
                        f"which is not followed for {what}"
                    )
                self.tensor(attribute.t)
        with evaluating(what):
            size = FOLDED[node.op_type]([arrays[n] for n in named], attributes)
        self.spend(what, 8 * size)
        with evaluating(what):
            made = evaluated(node, attributes, scope.opsets, arrays)
        self.made += sum(a.nbytes for a in made.values()) - 8 * size
        scope.known |= made
        return made[name]

    def spend(self, what: str, size: int) -> None:
        """Refuses to make far more bytes than the model has, before they are made."""
        if self.made + size > self.limit:
            raise Unknown(
                f"{what} would take up to {size} bytes, far more than the model that "
                "it is in"
            )
        self.made += size

    def checked_attributes(self, scope: Scope, node: Any) -> dict[str, Any]:
        """As `attributes`, each known to ONNX's operator and of the right type."""
        import onnx

        what, version = f"{node.op_type} {title(node)!r}", self._opset(scope)
        try:
            known = onnx.defs.get_schema(node.op_type, version).attributes
        except Exception:
            raise Unknown(f"{what}: opset {version} has no such operator") from None
        found = self.attributes(scope, node)
        for name, attribute in found.items():
            if name not in known:
                raise Unknown(f"{what} has an unknown attribute {name!r}")
            got = onnx.AttributeProto.AttributeType.Name(attribute.type)
            wanted = str(known[name].type).rpartition(".")[2]
            if got != wanted:
                raise ValueError(
                    f"{self.call}: {name} of {what} must be of type {wanted}; got "
                    f"{got}."
                )
        return found

    def _opset(self, scope: Scope) -> int:
        """The version of ONNX's own operators."""
        import onnx

        first = 1 if self.proto.ir_version < 3 else 0  # which had only the one
        version, latest = scope.opsets.get("", first), onnx.defs.onnx_opset_version()
        if version < 1:
            raise ValueError(
                f"{self.call}: opset_import must name a version of ONNX's operators; "
                f"got {version or 'none'}, as of a file that is cut off."
            )
        if version > latest:
            raise Unknown(f"opset {version} is newer than the installed onnx: {latest}")
        return version

    def _literal(self, what: str, attributes: dict[str, Any]) -> np.ndarray:
        """The value of a Constant."""
        from onnx import helper

        if len(attributes) != 1:
            raise ValueError(
                f"{self.call}: {what} must have one value; got "
                f"{', '.join(sorted(attributes)) or 'none'}."
            )
        ((name, attribute),) = attributes.items()
        value = helper.get_attribute_value(attribute)
        if name in ("value", "sparse_value"):
            return self.tensor(value)
        if name.startswith("value_string"):
            return np.asarray(value, object)
        return np.asarray(value, np.float32 if "float" in name else np.int64)

    def tensor(self, proto: Any) -> np.ndarray:
        """An array that the model holds, dense or sparse."""
        import onnx

        if isinstance(proto, onnx.SparseTensorProto):
            return self._sparse(proto)
        name = repr(proto.name or "a constant")
        if _external(proto):
            if self.path is None:
                raise Unknown(
                    f"{name} lies in another file (external data): load it with "
                    "onnx.load, which checks where the data lie, and pass the model"
                )
            proto = self._beside(name, proto)
        else:
            self.spend(name, proto.ByteSize())
        try:
            if min(proto.dims, default=0) < 0:  # NumPy would choose one that fits
                raise ValueError("negative dims")
            if proto.data_type == onnx.TensorProto.BFLOAT16:  # float32 to older onnx
                raw = (
                    proto.raw_data
                    or np.array(proto.int32_data).astype(np.uint16).tobytes()
                )
                return np.frombuffer(raw, jnp.bfloat16).reshape(proto.dims)
            return onnx.numpy_helper.to_array(proto)
        except Exception as error:
            raise ValueError(
                f"{self.call}: {name} of dims {list(proto.dims)} cannot be read: "
                f"{quoted(error)}"
            ) from error

    def _beside(self, name: str, proto: Any) -> Any:
        """The tensor of which the bytes lie in a file beside the model."""
        there = ExternalData(self.call, self.path, name, proto)
        if there.file not in self.beside:  # its bytes are bytes of the model
            self.beside.add(there.file)
            self.limit += RATIO * on_disk(there.file)
        self.spend(name, there.length)
        return there.read()

    def shape(self, scope: Scope, name: str, fold: bool) -> Shape | None:
        """The shape of a value, where the model says it, or has it as a constant.

        Args:
            scope: that the name is seen in.
            name: of the value.
            fold: whether it is computed where it has to be.
        """
        tensor = scope.tensors.get(name)
        if tensor is not None:
            return tuple(tensor.dims)
        if scope.shapes.get(name):  # an empty one is said of what is not known, too
            return scope.shapes[name]
        if name in scope.bound:
            outer, outside = scope.bound[name]
            return self.shape(outer, outside, fold) if outside else None
        if name in scope.producers:
            try:
                return self.constant(scope, name).shape if fold else None
            except Unknown:
                return None
        return None if scope.outer is None else self.shape(scope.outer, name, fold)

    def _sparse(self, proto: Any) -> np.ndarray:
        name, dims = proto.values.name or "a constant", list(proto.dims)
        values, indices = self.tensor(proto.values), self.tensor(proto.indices)
        self.spend(repr(name), 8 * abs(math.prod(dims)))
        try:
            if indices.ndim == 2:
                indices = np.ravel_multi_index(tuple(indices.T), dims)
            if indices.size and indices.min() < 0:
                raise ValueError("negative indices")
            dense = np.zeros(math.prod(dims), values.dtype)
            dense[indices] = values
            return dense.reshape(dims)
        except (ValueError, IndexError, TypeError) as error:
            raise ValueError(
                f"{self.call}: {name!r}, sparse, of dims {dims} cannot be read: "
                f"{one_line(str(error))}"
            ) from error


def _external(proto: Any) -> bool:
    """Whether a tensor, or a part of a sparse one, lies in another file."""
    return bool(proto.external_data) or proto.data_location == EXTERNAL
