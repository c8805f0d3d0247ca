# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A run that is killed ends as if it had not been; what is not whole is noticed."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lstm_jax
from lstm_jax import training
from tests import training_run

KILLS = 24


@pytest.mark.no_cover
def test_killed_at_random_moments_it_ends_bit_for_bit_the_same(tmp_path: Path) -> None:
    """SIGKILL falls anywhere: while compiling, training, saving, deleting, logging."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["orbax.checkpoint", "tests.training_run"])
    rng = np.random.default_rng(int.from_bytes(os.urandom(4)))

    def live(folder: Path | None) -> Any:
        ours, theirs = context.Pipe()
        args = folder, str(tmp_path / "cache"), theirs
        child = context.Process(target=training_run.life, args=args)
        child.start()
        theirs.close()
        assert ours.recv() == "running"
        return child, ours

    _, ours = live(None)
    expected, folder = ours.recv(), tmp_path / "run"
    at, kills, result = [], 0, None
    while result is None:
        child, ours = live(folder)
        at.append(_newest(folder))
        if kills < KILLS:
            # Half of the lives are sure to have got as far as a save.
            while kills % 2 and _newest(folder) == at[-1] and child.is_alive():
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.3))
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            assert child.exitcode == -signal.SIGKILL, "it ended before it was killed"
            kills += 1
        else:
            result = ours.recv()
            child.join()
    assert len(set(at)) > KILLS // 3, at  # it was killed at many places
    assert result == expected
    lines = [json.loads(t) for t in (folder / "log.jsonl").read_text().splitlines()]
    every, steps = training_run.EVERY, training_run.STEPS
    assert [line["step"] for line in lines] == list(range(every, steps + 1, every))
    # What was torn is swept away: three checkpoints, the log, nothing else.
    assert len(list(folder.iterdir())) == 4


def _newest(folder: Path) -> int:
    return max(training.Checkpoints(folder).steps(), default=0)
