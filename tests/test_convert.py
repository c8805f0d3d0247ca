# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What the table of systems and features says is so; and this library's own file."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file, save_file

from lstm_jax import convert
from lstm_jax._params import layers
from lstm_jax.convert._systems import FEATURES, SYSTEMS, members, table, used
from lstm_jax.testing import reference
from tests.compare import assert_same
from tests.foreign import HIDDEN, INPUTS, LENGTHS, NETWORKS, cell, sequence

README = (Path(__file__).parent.parent / "README.md").read_text()
WRITERS = {
    name: system for name, system in SYSTEMS.items() if system.writes is not None
}
# Flax's parameters do not say these; to_linen writes them where it is given a module.
IN_THE_MODULE = {("linen", f) for f in ("merge", "reverse", "activations")}


def write(system: str, params: Any, folder: Path) -> Any:
    if system == "safetensors":
        return convert.to_safetensors(params, folder / "params.safetensors")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return getattr(convert, f"to_{system}")(params)


def test_every_feature_has_a_network_and_every_network_its_feature() -> None:
    assert set(NETWORKS) == set(FEATURES)
    for feature, make in NETWORKS.items():
        assert feature in {name for name, _ in used(make())}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("system", WRITERS)
def test_it_writes_what_the_table_says(
    system: str, feature: str, tmp_path: Path
) -> None:
    """And refuses the rest by name."""
    params = NETWORKS[feature]()
    mine = {name for name, _ in used(params)}
    writes = WRITERS[system].writes or frozenset()
    if mine <= writes and (system, feature) not in IN_THE_MODULE:
        write(system, params, tmp_path)
        return
    text = "|".join(
        FEATURES[name].split("`")[0].split("(")[0] for name in mine - writes
    )
    with pytest.raises(NotImplementedError, match=f"^to_{system}: .*({text})"):
        write(system, params, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("system", WRITERS)
def test_doubles_are_not_rounded_on_the_way_out(system: str, tmp_path: Path) -> None:
    """They stay, or are refused where they would go through JAX without x64."""
    params = cell(dtype=np.float64)
    with jax.enable_x64(False):
        try:
            got = write(system, params, tmp_path)
        except TypeError as error:
            assert f"to_{system}: float64 weights would be rounded" in str(error)
            return
    if system == "safetensors":
        got = load_file(tmp_path / "params.safetensors")
    if system == "onnx":
        got = [onnx.numpy_helper.to_array(a) for a in got.graph.initializer]
        got = [a for a in got if a.dtype.kind == "f"]
    got = got.get_weights() if system == "keras" else got
    assert {str(a.dtype).rpartition(".")[2] for a in jax.tree.leaves(got)} == {
        "float64"
    }


def read_back(system: str, params: Any) -> Any:
    """What a system's own reader makes of what its writer made."""
    got = write(system, params, Path())
    match system:
        case "onnx":
            ((_, again),) = convert.from_onnx(got).items()
        case "cudnn":
            depth, biased = len(members(params)), layers(params)[0].b is not None
            ways = len(layers(params)) // depth
            again = convert.from_cudnn(
                got, INPUTS, HIDDEN, depth, ways == 2, use_bias=biased
            )
        case _:
            again = getattr(convert, f"from_{system}")(got)
    return again


READ = [
    (name, feature)
    for name, system in WRITERS.items()
    for feature in FEATURES
    if name != "safetensors" and (name, feature) not in IN_THE_MODULE
    if {f for f, _ in used(NETWORKS[feature]())}
    <= (system.writes or set()) & system.reads
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("system, feature", READ)
def test_it_reads_what_the_table_says(system: str, feature: str) -> None:
    """The same function, if not the same structure; Haiku rounds one bias."""
    params = NETWORKS[feature]()
    again = read_back(system, params)
    expected, _ = reference(params, sequence(), lengths=LENGTHS)
    got, _ = reference(again, sequence(), lengths=LENGTHS)
    bound = 2e-6 if system == "haiku" else 1e-7  # ONNX's alpha has 32 bits
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


def test_the_table_of_the_site_has_every_feature_and_system() -> None:
    header, _, *rows = table().splitlines()
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [*FEATURES.values()]
    assert all(system.title in header for system in SYSTEMS.values())


@pytest.mark.parametrize("feature", FEATURES)
def test_the_own_file_keeps_every_bit(feature: str, tmp_path: Path) -> None:
    params, path = NETWORKS[feature](), tmp_path / "params.safetensors"
    convert.to_safetensors(params, path)
    assert_same(convert.from_safetensors(path), params)


def test_the_own_file_is_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "params.safetensors"
    convert.to_safetensors(cell(), path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"^to_safetensors: .* is there already"):
        convert.to_safetensors(cell(1), path)
    assert path.read_bytes() == before
    convert.to_safetensors(cell(1), path, overwrite=True)
    assert_same(convert.from_safetensors(path), cell(1))
    assert list(tmp_path.iterdir()) == [path]


def test_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "params.safetensors"
    convert.to_safetensors(cell(), path)
    assert_same(convert.from_safetensors(path), cell())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "metadata, change, message",
    [
        (None, {}, "must have 'lstm_jax.config' in its metadata"),
        ("{", {}, "cannot be read as a safetensors file: JSONDecodeError"),
        ('{"kind": "Other"}', {}, "config.kind must be one of"),
        ("[" * 100_000, {}, "cannot be read as a safetensors file: RecursionError"),
        ("", {"w_x": np.ones((3, 20))}, "differ or are missing: w_x"),
        ("", {"other": np.ones(3)}, "differ or are missing: other"),
    ],
)
def test_own_files_that_are_not_whole(
    metadata: str | None, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    from lstm_jax import config

    good, path = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    convert.to_safetensors(cell(), good)
    text = json.dumps(config(cell())) if metadata == "" else metadata
    extra = None if text is None else {"lstm_jax.config": text}
    save_file({**load_file(good), **change}, path, metadata=extra)
    with pytest.raises(ValueError, match=f"^from_safetensors: .*{message}"):
        convert.from_safetensors(path)
    path.write_bytes(good.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"^from_safetensors: .* cannot be read as"):
        convert.from_safetensors(path)
