# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""from_torch on weights in several files: all parts are read, and nothing else."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lstm_jax.convert import from_torch
from tests.compare import assert_same
from tests.foreign import INPUTS, torch_state

STATE = {
    "embed.weight": np.ones((INPUTS, 2), np.float32),
    **torch_state("lstm.", layers=2, both=True),
}
NAMES = sorted(STATE, key=lambda n: ("_l1" in n, "bias" in n))


@pytest.fixture(scope="module")
def expected() -> Any:
    return from_torch(STATE, "lstm")


def save(state: dict[str, Any], path: Path) -> None:
    """As safetensors, or as torch does."""
    if path.suffix != ".bin":
        save_file(state, path)
        return
    import torch

    torch.save({name: torch.from_numpy(a) for name, a in state.items()}, path)


def cut(folder: Path, form: str = "safetensors") -> tuple[Path, Path]:
    """The state dict in two files, cut inside the first layer."""
    first, second = (folder / f"m-0000{k}-of-00002.{form}" for k in (1, 2))
    save({name: STATE[name] for name in NAMES[:4]}, first)
    save({name: STATE[name] for name in NAMES[4:]}, second)
    return first, second


def index(folder: Path, table: dict[str, str], name: str = "m") -> Path:
    path = folder / f"{name}.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": table}))
    return path


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_all_parts_are_read_from_any(form: str, expected: Any, tmp_path: Path) -> None:
    first, second = cut(tmp_path, form)
    for path in (first, second):
        assert_same(from_torch(path, "lstm"), expected)
    second.rename(tmp_path / "other")
    with pytest.raises(ValueError, match=r"one of 2, and 1 of them are there"):
        from_torch(first, "lstm")


def test_an_index_is_followed(expected: Any, tmp_path: Path) -> None:
    first, second = cut(tmp_path)
    (tmp_path / "below").mkdir()
    second = second.rename(tmp_path / "below" / "rest.safetensors")
    first = first.rename(tmp_path / "begin.safetensors")
    table = {
        name: "begin.safetensors" if k < 4 else "below/rest.safetensors"
        for k, name in enumerate(NAMES)
    }
    path = index(tmp_path, table)
    for each in (path, first):
        assert_same(from_torch(each, "lstm"), expected)
    (tmp_path / "else.index.json").write_text("{")  # not asked for
    assert_same(from_torch(first, "lstm"), expected)
    index(tmp_path, {**table, "lstm.more": "below/rest.safetensors"})
    with pytest.raises(ValueError, match=r"must have what m\.index\.json .*lstm\.more"):
        from_torch(first, "lstm")
    second.unlink()
    with pytest.raises(ValueError, match=r"'below/rest.safetensors' beside it, as a f"):
        from_torch(first, "lstm")


OUTSIDE = ["../{0}/x.safetensors", "{1}/{0}/x.safetensors", "a/../../{0}/x.safetensors"]


@pytest.mark.parametrize("name", [*OUTSIDE, "link", "hard", "folder/x.safetensors"])
def test_no_index_leads_out_of_its_folder(name: str, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "a").mkdir(parents=True)
    outside.mkdir()
    save_file(STATE, outside / "x.safetensors")
    os.symlink(outside / "x.safetensors", inside / "link")
    os.link(outside / "x.safetensors", inside / "hard")
    os.symlink(outside, inside / "folder")
    file = name.format("outside", tmp_path)
    path = index(inside, dict.fromkeys(STATE, file))
    with pytest.raises(ValueError, match=r"^from_torch: .*which is not followed"):
        from_torch(path, "lstm")


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": {"a": 3}}', "[" * 9**5])
def test_an_index_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.index.json").write_text(text)
    with pytest.raises(ValueError, match=r"must be an index of parts"):
        from_torch(tmp_path / "a.index.json")


def test_the_caller_may_name_a_link_and_whole_checkpoints_are_no_parts(
    expected: Any, tmp_path: Path
) -> None:
    save_file(STATE, tmp_path / "blob")
    os.symlink(tmp_path / "blob", tmp_path / "m-00001-of-00001.safetensors")
    assert_same(from_torch(tmp_path / "m-00001-of-00001.safetensors", "lstm"), expected)
    table = dict.fromkeys(STATE, "m-00001-of-00001.safetensors")
    index(tmp_path, table)
    assert_same(from_torch(tmp_path / "m-00001-of-00001.safetensors", "lstm"), expected)
    for epoch in (1, 2):
        save_file(STATE, tmp_path / f"epoch-{epoch}-of-9.ckpt")
    assert_same(from_torch(tmp_path / "epoch-2-of-9.ckpt", "lstm"), expected)


def test_parts_of_ranks_beside_each_other(expected: Any, tmp_path: Path) -> None:
    for rank in range(2):
        save_file(STATE, tmp_path / f"mp_rank_0{rank}_states.pt")
    with pytest.raises(ValueError, match="one part of 2, which are beside it"):
        from_torch(tmp_path / "mp_rank_00_states.pt", "lstm")
    (tmp_path / "mp_rank_01_states.pt").unlink()
    assert_same(from_torch(tmp_path / "mp_rank_00_states.pt", "lstm"), expected)
