# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The benchmarks run, compare like with like, and their tables are not stale."""

import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from benchmarks import (
    __main__,
    cases,
    compare,
    compilers,
    device,
    figures,
    hlo,
    llo,
    masks,
    memory,
    report,
    workers,
)
from benchmarks.peers import NAMES, OURS, RAGGED
from lstm_jax import Scan


def run(verb: str, folder: Path, *more: str) -> dict[str, Any]:
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        __main__.main([verb, "--smoke", "--out", str(folder), *more])
    return json.loads((folder / f"{verb}.json").read_text())


def test_scan_vs_loop(tmp_path: Path, capsys: Any) -> None:
    ways = run("scan-vs-loop", tmp_path)["results"]["ways"]
    assert {way["steps"] for way in ways} == {4, 8}
    scans = [w for w in ways if w["name"] == "Scan()" and w["what"] == "gradient"]
    loops = [w for w in ways if w["name"] == "Loop()" and w["what"] == "gradient"]
    assert len(scans) == 2 and len(loops) == 1  # a loop of 8 is too long for a smoke
    assert loops[0]["program_lines"] > scans[0]["program_lines"] > 0
    assert "Loop()" in capsys.readouterr().out


def test_peers(tmp_path: Path, capsys: Any) -> None:
    found = run("peers", tmp_path, "--rows", "smoke, ragged")
    for row in found["results"]["rows"].values():
        assert set(row["forward"]) == set(NAMES)
        assert set(row["train"]) == set(NAMES) - {"onnxruntime", *RAGGED}
        for what in ("forward", "train"):
            assert all(len(times) == 1 for times in row[what].values())
    assert "geometric mean" in capsys.readouterr().out


def test_another_checkout_is_one_more_library(tmp_path: Path, capsys: Any) -> None:
    """This checkout against itself, in a process that has read the other's files."""
    root = Path(report.__file__).parent.parent
    rows = ("--rows", "smoke")
    # Full rows have no packed way of their own.
    own = ("--libraries", "lstm_jax", *RAGGED, *rows)
    found = run("peers", tmp_path, *own, "--against", str(root))
    names = {"lstm_jax", f"lstm_jax@{root.name}"}
    for row in found["results"]["rows"].values():
        assert set(row["train"]) == set(row["forward"]) == names
    assert found["settings"]["against"] == root.name
    assert "the other checkout / this one" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="against must be a folder"):
        run("peers", tmp_path, "--libraries", "lstm_jax", "--against", str(tmp_path))


def test_memory(tmp_path: Path, capsys: Any) -> None:
    found = run("memory", tmp_path, "--libraries", *memory.OURS, "scan_by_hand")
    entries = found["results"]["lengths"]
    assert [e["name"] for e in entries] == [*memory.OURS, "scan_by_hand"]
    assert all(e["bytes"] > 0 and len(e["seconds"]) == 1 for e in entries)
    assert "checkpoint" in capsys.readouterr().out


def test_masks(tmp_path: Path, capsys: Any) -> None:
    entries = run("masks", tmp_path)["results"]["kinds"]
    assert {e["name"] for e in entries} == set(masks.KINDS)
    assert masks.over_none(entries[0], entries) == 1.0
    assert "over none" in capsys.readouterr().out


def test_scaling(tmp_path: Path, capsys: Any) -> None:
    rows = run("scaling", tmp_path, "--libraries", *OURS[:2])["results"]["rows"]
    assert [row["axis"] for row in rows] == ["T", "T", "B", "B", "H"]
    assert all(set(row["train"]) == set(OURS[:2]) for row in rows)
    assert "GFLOP/s" in capsys.readouterr().out


def test_device(tmp_path: Path, capsys: Any) -> None:
    """On the processor, where it has to be asked for; no accelerator is needed."""
    found = run("device", tmp_path)["results"]
    assert [c["products"] for c in found["checks"]] == ["highest", "default"]
    assert all(c["right"] for c in found["checks"])
    assert [t["name"] for t in found["times"]] == [repr(Scan()), "scan_by_hand"]
    assert all(len(t["forward"]) == len(t["train"]) == 1 for t in found["times"])
    assert not found["skipped"] and not found["failed"] and not found["left_out"]
    assert "0 measurements skipped" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="nothing was compared"):
        run("device", tmp_path, "--budget", "0")
    late = json.loads((tmp_path / "device.json").read_text())["results"]
    assert "smoke, float32, scan_by_hand" in late["skipped"] and not late["times"]
    with pytest.raises(SystemExit, match="JAX finds cpu alone, and gpu is asked for"):
        run("device", tmp_path, "--platform", "gpu")


def test_programs(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the processor's compiler, which is always there; that of others is named."""
    more = ("--kinds", "cpu", "v5e")
    monkeypatch.setattr(compilers, "PACKAGES", {"tpu": "not_there"})
    results = run("programs", tmp_path, *more)["results"]
    found = {(p["way"], p["what"]) for p in results["programs"]}
    assert found == set(itertools.product(("ours", "by hand"), ("forward", "train")))
    assert all(p["kernels_a_step"] > 1 for p in results["programs"])
    assert "Left out: v5e: not_there is not installed" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="make accelerators gets it"):
        run("programs", tmp_path, "--kinds", "v5e")


PROGRAM = """
HloModule jit_f
%inner (p: s32[]) -> s32[] {
  %c = s32[] constant(5)
  ROOT %lt.1 = pred[] compare(%p, %c), direction=LT
}
%body.2 (arg: (s32[], f32[3])) -> (s32[], f32[3]) {
  %arg = (s32[], f32[3]{0:T(128)S(1)}) parameter(0)
  %x = f32[3]{0} get-tuple-element(%arg), index=1
  %f = f32[3]{0} fusion(%x), kind=kLoop, calls=%g, cost={"estimated_cycles":"7"}
  %all-gather.1 = f32[6]{0} all-gather-start(%f), channel_id=1
  ROOT %t = (s32[], f32[3]{0}) tuple(%x, %f)
}
ENTRY %main.3 (x: f32[3]) -> f32[3] {
  %x.1 = f32[3]{0} parameter(0)
  %k = (s32[], /*index=1*/f32[3]{0}) custom-call(), custom_call_target="tpu_custom_call"
  ROOT %w = (s32[], f32[3]{0}) while(%k), condition=%inner, body=%body.2
}
"""


def test_a_program_is_read() -> None:
    found = hlo.Program(PROGRAM)
    assert found.loops == [hlo.Loop("body.2", 5, "main.3")]
    assert found.kernels("body.2") == {"fusion:kLoop": 1, "all-gather-start": 1}
    assert found.kernels("main.3") == {"custom-call:tpu_custom_call": 1}
    assert found.launched_in_loops() == 10 and found.cycles() == 35
    assert found.custom_calls("tpu_custom_call") == ["k"]
    assert found.collectives() == {True: ["all-gather"], False: []}
    unknown = hlo.Program(PROGRAM.replace("direction=LT", "direction=NE"))
    with pytest.raises(ValueError, match=r"nothing says how often body\.2 runs"):
        unknown.cycles()


LISTED = """
     0   :  { %s0 = a
   0x1 LB: > { %s1 = b
   0x2 LB: >> { %s2 = c
   0x3   : >> { %s3 = d
   0x4 PF: > { %s4 = e
"""


def test_a_listing_of_a_kernel_is_read(tmp_path: Path) -> None:
    (tmp_path / "1-lstm_scan.1-35-critical-path.txt").write_text(
        "New basic block\n  Length to end: 4, %a\n  Length to end: 9, %b\n"
    )
    for name in ("70-schedule-analysis_final_bundles", "71-final_bundles"):
        (tmp_path / f"1-lstm_scan.1-{name}.txt").write_text(LISTED)
    (tmp_path / "2-fusion.1-71-final_bundles.txt").write_text("")
    found = llo.steps(tmp_path, "lstm_scan")
    assert found == {"lstm_scan.1": llo.Step(bundles=2, path=9)}
    assert not list(tmp_path.iterdir())


def fail(kind: type[Exception]) -> None:
    raise kind("why\nand where")


def named(kind: str) -> dict[str, str]:
    return {"what": kind, "why": f"{kind}: why"}


def test_what_is_wrong_on_a_device_is_said() -> None:
    log = device.Log(60.0)
    assert log.attempt("good", lambda: 1) == 1
    for kind in (NotImplementedError, ValueError):
        log.attempt(kind.__name__, partial(fail, kind))
    assert log.left_out == [named("NotImplementedError")]
    assert log.failed == [named("ValueError")]
    log.checks.append({"right": False})
    found = {"results": vars(log), "settings": {"checks": ("one",)}}
    said = "device: 1 results differ from the host's, 1 calls failed."
    assert device.status(found) == said


def test_ratios_are_taken_within_a_round() -> None:
    times = {
        "lstm_jax": [1.0, 2.0, 4.0],
        "lstm_jax_sharded": [9.0, 9.0, 9.0],
        "torch": [3.0, 6.0, 4.0],
    }
    found = compare.ratios({"train": times}, "train", OURS)
    assert found == {"lstm_jax": 1.0, "lstm_jax_sharded": 4.5, "torch": 3.0}


def test_libraries_that_differ_are_not_compared() -> None:
    expected = {"y": np.ones(3)}
    workers.check("same", {"y": np.ones(3) + 1e-6}, expected)
    for wrong in (1.001, np.nan):
        with pytest.raises(AssertionError, match="y of other differs by"):
            workers.check("other", {"y": np.full(3, wrong)}, expected)
    with pytest.raises(AssertionError, match=r"y of other has shape \(1, 3\)"):
        workers.check("other", {"y": np.ones((1, 3))}, expected)


def test_a_library_that_is_missing_is_named() -> None:
    missing = "nothing died on its start: .*No module named 'benchmarks.peers.nothing'"
    with pytest.raises(RuntimeError, match=missing), workers.started(["nothing"]):
        pass


@pytest.mark.parametrize(
    "more, message",
    [
        (("--rows", "huge"), "rows must be among .*; got"),
        (("--libraries", "lstm_jax", "tensorflow"), "libraries must be among"),
        (("--libraries", "linen"), "libraries must hold one of"),
    ],
)
def test_what_is_unknown_is_refused(more: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=message):
        run("peers", tmp_path, *more)


def test_operations_of_a_row() -> None:
    """x·W_x and h·W_h: a multiplication and an addition for every weight."""
    row = cases.Row(2, 3, 5, 7)
    assert row.flops == 2 * (2 * 3) * (5 * 28 + 7 * 28)
    both = row._replace(layers=2, directions=2)
    above = 2 * (2 * 3) * (14 * 28 + 7 * 28)
    assert both.flops == 2 * (row.flops + above)
    of_x = 2 * 2 * (2 * 3) * 5 * 28  # of both directions: its gradient is not taken
    assert both.train_flops == 3 * both.flops - of_x


def test_every_library_has_a_file() -> None:
    folder = Path(workers.__file__).parent / "peers"
    files = {path.stem for path in folder.glob("*.py") if path.stem[0] != "_"}
    assert files == {*NAMES, *memory.OURS}


def test_the_tables_are_those_of_the_results() -> None:
    for path, text in report.pages(report.results()).items():
        assert path.read_text() == text, f"python -m benchmarks report; {path.name}"


def test_figures_are_drawn(tmp_path: Path) -> None:
    figures.draw(report.results(), tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == set(figures.FIGURES)


def test_a_stale_table_is_noticed() -> None:
    found = report.results()
    first = next(iter(found["peers"]["results"]["rows"].values()))
    first["train"]["torch"] = [2 * t for t in first["train"]["torch"]]
    for path, text in report.pages(found).items():
        assert path.read_text() != text
    with pytest.raises(ValueError, match="speed must be marked once; it is 0 times"):
        report.filled("no marker", "speed", "table")


def test_a_smoke_is_no_result() -> None:
    with pytest.raises(SystemExit, match="needs --out"):
        __main__.main(["peers", "--smoke"])
