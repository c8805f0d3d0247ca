# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""HDF5 files that may be hostile: no link is followed, no size is believed."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from lstm_jax.convert._files import Refused, allowed


class Hdf5:
    """An open HDF5 file, from which nothing outside of it can be reached.

    Attributes:
        call: the public function.
        path: of the file, or of the archive that holds it, for messages.
    """

    def __init__(self, call: str, path: Path, source: Any, stored: int) -> None:
        """Opens a path or a binary file of that many bytes."""
        import h5py

        self.call, self.path = call, path
        self._h5py = h5py
        self._left = allowed(stored)
        self._stored = stored
        self._seen: set[Any] = set()
        self._listed: dict[Any, frozenset[str]] = {}
        self.root = h5py.File(source, "r")

    def __enter__(self) -> "Hdf5":
        return self

    def __exit__(self, *_: Any) -> None:
        self.root.close()

    def refused(self, what: str) -> Refused:
        """The error to raise; `what` goes on after the path."""
        return Refused(f"{self.call}: {self.path} {what}.")

    def find(self, node: Any, *names: str) -> Any:
        """What stands under the names, one in the other, or None."""
        for name in names:
            if not isinstance(node, self._h5py.Group):
                return None
            if name not in self._names(node):
                return None
            link = node.get(name, getlink=True)
            if link is None:
                raise self.refused(f"has {node.name}/{name}, which leads nowhere")
            if not isinstance(link, self._h5py.HardLink):
                raise self.refused(
                    f"has {node.name}/{name}, a link to elsewhere "
                    f"({type(link).__name__}), which is not followed"
                )
            node = node[name]
        return node

    def _names(self, group: Any) -> frozenset[str]:
        """What is listed in a group; a lookup alone misses it in a corrupt one."""
        address = self._h5py.h5o.get_info(group.id).addr
        if address not in self._listed:
            self._listed[address] = frozenset(group)
        return self._listed[address]

    def children(self, group: Any) -> Iterator[tuple[str, Any]]:
        """The groups in a group; one that contains itself is an error."""
        for name in group:
            child = self.find(group, name)
            if isinstance(child, self._h5py.Group):
                address = self._h5py.h5o.get_info(child.id).addr
                if address in self._seen:
                    raise self.refused(f"has {child.name} twice, as a loop would")
                self._seen.add(address)
                yield name, child

    def shape(self, node: Any) -> tuple[int, ...] | None:
        """The shape of a dataset, or None if it is none."""
        return node.shape if isinstance(node, self._h5py.Dataset) else None

    def array(self, node: Any, *names: str) -> np.ndarray:
        """A dataset of floating numbers."""
        where = "/".join([node.name, *names])
        data = self.find(node, *names)
        if not isinstance(data, self._h5py.Dataset):
            raise self.refused(f"must have a dataset {where}; it has none")
        if data.external or data.is_virtual:
            raise self.refused(f"keeps the data of {where} elsewhere; it is not read")
        if data.shape is None:
            raise self.refused(f"must have an array in {where}; it is empty")
        wide = self._text(data.attrs, "dtype") == "bfloat16" and data.dtype.str == "|V2"
        if not wide and (data.dtype.kind != "f" or data.dtype.itemsize > 8):
            raise self.refused(f"must have floating numbers in {where}; {data.dtype}")
        # A chunk is unpacked whole, and may be larger than what is read of it.
        chunks = data.chunks or (1,) * data.ndim
        sizes = (math.ceil(n / c) * c for n, c in zip(data.shape, chunks, strict=True))
        needed = math.prod(sizes) * data.dtype.itemsize
        self._left -= needed
        if self._left < 0 or (needed and not data.id.get_storage_size()):
            raise self.refused(
                f"has {data.id.get_storage_size()} bytes stored for {where}, which "
                f"would be {needed}, as no weights are"
            )
        if wide:
            return data[()].view(jnp.bfloat16)
        return data[()].astype(data.dtype.newbyteorder("="))

    def text(self, node: Any, name: str) -> str | None:
        """An attribute that is a text, or None."""
        return self._text(node.attrs, name)

    def _text(self, attributes: Any, name: str) -> str | None:
        value = self._attribute(attributes, name)
        if isinstance(value, bytes):
            return value.decode()
        return value if isinstance(value, str) else None

    def texts(self, node: Any, name: str) -> list[str] | None:
        """An attribute that is a list of texts, or None; Keras splits long ones."""
        parts = [name]
        if name not in node.attrs:
            numbered = (f"{name}{k}" for k in itertools.count())
            parts = list(itertools.takewhile(node.attrs.__contains__, numbered))
        if not parts:
            return None
        values = (self._attribute(node.attrs, part) for part in parts)
        return [text for value in values for text in self._list(value)]

    def _list(self, value: Any) -> Iterator[str]:
        for item in np.ravel(value):
            yield item.decode() if isinstance(item, bytes) else str(item)

    def _attribute(self, attributes: Any, name: str) -> Any:
        if name not in attributes:
            return None
        info = attributes.get_id(name)
        if math.prod(info.shape or ()) * info.dtype.itemsize > self._stored:
            raise self.refused(f"has an attribute {name} larger than itself")
        return attributes[name]
