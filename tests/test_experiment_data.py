# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Data files: found, downloaded, or missed in one line; what the real ones hold."""

import hashlib
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest

from experiments import __main__, _results, data
from experiments.characters import model
from experiments.odyssey import baselines, chorales
from experiments.streamflow import series

pytestmark = pytest.mark.usefixtures("as_users_have_it")

NAMES = "SHAKESPEARE", "JSB", "FORCING", "RUNOFF"
CONTENT = b"what is sent"


@pytest.fixture
def unreachable(tmp_path: Path, monkeypatch: Any) -> None:
    """No folder, an empty cache, and addresses where nothing listens."""
    monkeypatch.delenv("LSTM_JAX_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    for name in NAMES:
        source = getattr(data, name)
        there = source._replace(address=f"http://127.0.0.1:9/{source.name}")
        monkeypatch.setattr(data, name, there)


@pytest.fixture
def server() -> Iterator[str]:
    """An address that sends CONTENT, whatever is asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{found.server_port}/file"
        found.shutdown()


def output_lines(capsys: Any, *arguments: str) -> list[str]:
    """Lines of a command that exits because of missing files, of all it printed."""
    with pytest.raises(SystemExit) as left:
        __main__.main(arguments)
    assert isinstance(left.value.code, str)  # printed to stderr, with exit status 1
    printed = "".join(capsys.readouterr()) + left.value.code
    return [line for line in printed.splitlines() if line.strip()]


@pytest.mark.usefixtures("unreachable")
@pytest.mark.parametrize("folder", [None, "lacking"])
def test_each_file_that_cannot_be_had_is_a_line(
    folder: str | None, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    if folder:
        monkeypatch.setenv("LSTM_JAX_DATA", str(tmp_path))
    lines = output_lines(capsys, "fetch")
    assert len(lines) == len(NAMES) == len(data.sources())
    for line, name in zip(lines, NAMES, strict=True):
        source = getattr(data, name)
        assert line.startswith(f"{source.name} cannot be had: ")
        assert "the download failed (ConnectionError)" in line
        assert source.address in line and "LSTM_JAX_DATA" in line
        lacking = f"LSTM_JAX_DATA={tmp_path} does not have it"
        assert (lacking in line) == bool(folder)


@pytest.mark.usefixtures("unreachable")
@pytest.mark.parametrize("name", ["characters", "odyssey", "streamflow"])
def test_a_run_that_lacks_its_file_ends_in_a_line(
    name: str, tmp_path: Path, capsys: Any
) -> None:
    (line,) = output_lines(
        capsys, "run", name, "--smoke", "--out", str(tmp_path / "out")
    )
    assert "cannot be had: the download failed (ConnectionError)" in line


@pytest.mark.usefixtures("unreachable")
def test_a_file_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: Any, server: str
) -> None:
    """One in the folder, and one that was downloaded."""
    source = data.JSB._replace(address=server)
    with pytest.raises(data.Unavailable, match="downloaded does not have the SHA-256"):
        data.fetch(source)
    (tmp_path / source.name).write_bytes(b"another")
    monkeypatch.setenv("LSTM_JAX_DATA", str(tmp_path))
    with pytest.raises(data.Unavailable, match=f"has the SHA-256 .*{source.sha256}"):
        data.fetch(source)


@pytest.mark.usefixtures("unreachable")
def test_without_pooch_the_package_is_named(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(data.Unavailable, match=r"needs the package pooch \(pip inst"):
        data.fetch(data.JSB)


@pytest.mark.usefixtures("unreachable")
def test_a_file_is_downloaded_once(
    tmp_path: Path, monkeypatch: Any, server: str
) -> None:
    """Then it is found without its address; one in the folder comes before it."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    source = data.Source("file.txt", server, digest)
    found = data.fetch(source)
    assert found.read_bytes() == CONTENT
    assert data.fetch(source._replace(address="http://127.0.0.1:9/")) == found
    (tmp_path / source.name).write_bytes(CONTENT)
    monkeypatch.setenv("LSTM_JAX_DATA", str(tmp_path))
    assert data.fetch(source) == tmp_path / source.name


@pytest.mark.data
def test_shakespeare() -> None:
    text = model.split(data.shakespeare())
    assert len(text.train) + len(text.held_out) == 1_115_394
    assert len(text.alphabet) == 65
    results = _results.committed("characters")["results"]
    assert len(text.held_out) - 1 == results["held_out_characters"]


@pytest.mark.data
def test_chorales() -> None:
    """The published split; what needs no training has the committed losses."""
    pieces = chorales.chorales()
    assert [len(part) for part in pieces] == [229, 76, 77]
    results = _results.committed("odyssey")["results"]
    for name, part in pieces._asdict().items():
        assert sum(len(piece) - 1 for piece in part) == results["frames"][name]
    for baseline in (baselines.frequency, baselines.repetition):
        for name, part in (("valid", pieces.valid), ("test", pieces.test)):
            committed = results[baseline.__name__][name]
            found = baseline(pieces.train, part)
            np.testing.assert_allclose(found, committed, rtol=1e-4)


@pytest.mark.data
def test_the_basin_has_committed_run_off() -> None:
    """The hydrograph's year of what was observed and of SAC-SMA."""
    basin = series.read()
    assert str(basin.dates[0]) == "1980-01-01" and str(basin.dates[-1]) == "2014-12-31"
    shown = _results.committed("streamflow")["results"]["hydrograph"]
    year = series.days(basin.dates, (shown["year"], shown["year"]))
    for name, values in (("observed", basin.observed), ("SAC-SMA", basin.sac_sma)):
        np.testing.assert_allclose(values[year], shown[name], atol=0.00501)
