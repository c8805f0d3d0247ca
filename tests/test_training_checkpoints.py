# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""A run that is killed ends as if it had not been; what is not whole is noticed."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lstm_jax
from lstm_jax import training
from lstm_jax._compat import enable_x64
from lstm_jax.training import _leaves
from tests import training_run
from tests.training_run import EVERY


@pytest.mark.parametrize(
    "kills, seed", [(4, 0), pytest.param(20, None, marks=pytest.mark.nightly)]
)
def test_killed_at_random_moments_it_ends_bit_for_bit_the_same(
    kills: int, seed: int | None, tmp_path: Path
) -> None:
    """SIGKILL falls anywhere: while compiling, training, saving, deleting, logging."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["orbax.checkpoint", "tests.training_run"])
    rng = np.random.default_rng(seed)

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
    at, killed, result = [], 0, None
    while result is None:
        child, ours = live(folder)
        at.append(_newest(folder))
        if killed < kills:
            # Half of the lives are sure to have got as far as a save.
            while killed % 2 and _newest(folder) == at[-1] and child.is_alive():
                time.sleep(0.001)
            # On a fast machine, before it is through: six stretches a life at most.
            end, furthest = time.monotonic() + rng.uniform(0, 0.3), at[-1] + 6 * EVERY
            while time.monotonic() < end and _newest(folder) < furthest:
                time.sleep(0.001)
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            assert child.exitcode == -signal.SIGKILL, "it ended before it was killed"
            killed += 1
        else:
            result = ours.recv()
            child.join()
    assert len(set(at)) > kills // 3, at  # it was killed at many places
    assert result == expected
    lines = [json.loads(t) for t in (folder / "log.jsonl").read_text().splitlines()]
    every_step = list(range(EVERY, training_run.STEPS + 1, EVERY))
    assert [line["step"] for line in lines] == every_step
    # What was torn is swept away: three checkpoints, the log, nothing else.
    assert len(list(folder.iterdir())) == 4


def _newest(folder: Path) -> int:
    return max(training.Checkpoints(folder).steps(), default=0)


def state(**more: Any) -> training.TrainState:
    """A state with all dtypes that are saved."""
    made = training_run.start()
    extra = {"half": jnp.arange(3, dtype=jnp.bfloat16) / 3, "flag": jnp.array([True])}
    return made.replace(step=made.step + 7, carry=(made.carry, extra), **more)


def same(a: Any, b: Any) -> bool:
    return training_run.dump(a) == training_run.dump(b) and all(
        x.dtype == y.dtype and x.shape == y.shape
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    checkpoints = training.Checkpoints(tmp_path, config={"a": [1, None]})
    saved = state()
    assert checkpoints.restore(saved) is None
    checkpoints.save(saved)
    for like in (saved, jax.tree.map(jnp.zeros_like, saved.replace(key=None))):
        read = checkpoints.restore(like.replace(key=jax.random.key(5)))
        assert read is not None and read.step == 7 and not read.refused
        assert same(read.state, saved)
        assert jax.tree.structure(read.state) == jax.tree.structure(saved)
    again = training.Checkpoints(tmp_path, config={"a": (1, None)})  # as JSON has it
    again.save(saved.replace(step=saved.step * 0 + 9))
    assert again.steps() == [7, 9]


def test_only_the_newest_stay(tmp_path: Path) -> None:
    checkpoints = training.Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3, 4):
        checkpoints.save(state().replace(step=jnp.int32(step)))
        assert checkpoints.steps() == [*range(max(1, step - 1), step + 1)]
    with pytest.raises(ValueError, match="keep must be at least 2; got 1"):
        training.Checkpoints(tmp_path, keep=1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: Any) -> tuple[Path, dict[int, training.TrainState]]:
    """A folder with two checkpoints."""
    folder = tmp_path_factory.mktemp("two")
    states = {7: state(), 8: state(key=jax.random.key(3))}
    states[8] = states[8].replace(step=jnp.int32(8))
    for each in states.values():
        training.Checkpoints(folder).save(each)
    return folder, states


def files(checkpoint: Path) -> list[Path]:
    return sorted(p for p in checkpoint.rglob("*") if p.is_file())


# Orbax closes its event loop while other reads of the same damaged file still fail.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_torn_or_corrupt_checkpoint_is_noticed(
    two: tuple[Path, dict[int, training.TrainState]], tmp_path: Path, damage: str
) -> None:
    """Each file of the newest in turn: what is read is right, or is the one before."""
    folder, states = two
    newest = "00000008"
    refused = 0
    for k, name in enumerate(p.relative_to(folder) for p in files(folder / newest)):
        copy = tmp_path / str(k)
        shutil.copytree(folder, copy)
        content = (copy / name).read_bytes()
        if damage == "remove":
            (copy / name).unlink()
        elif damage == "cut":
            (copy / name).write_bytes(content[: len(content) // 2])
        elif content:
            flipped = bytearray(content)
            flipped[len(content) * 2 // 3] ^= 4
            (copy / name).write_bytes(flipped)
        checkpoints = training.Checkpoints(copy)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read = checkpoints.restore(states[7])
        assert read is not None and same(read.state, states[read.step]), name
        if read.step == 7:
            refused += 1
            assert list(read.refused) == [8]
            assert any("00000008 is not whole" in str(w.message) for w in caught)
    assert refused >= 3


def test_a_flipped_bit_is_named(tmp_path: Path) -> None:
    """Orbax reads it without a word; the SHA-256 of the leaf differs."""
    checkpoints = training.Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(state().replace(step=jnp.int32(step)))
    about = json.loads((checkpoints.path(2) / "about" / "metadata").read_text())
    about["leaves"]["params/lstm/w_h"]["sha256"] = "0" * 64
    about.pop("sha256")
    about["sha256"] = _leaves.digest_json(about)
    (checkpoints.path(2) / "about" / "metadata").write_text(json.dumps(about))
    with pytest.warns(UserWarning, match="leaf params/lstm/w_h differs from its SHA"):
        read = checkpoints.restore(state())
    assert read is not None and read.step == 1
    shutil.rmtree(checkpoints.path(1))
    with (
        pytest.warns(UserWarning, match="not whole"),
        pytest.raises(ValueError, match=r"no checkpoint in .* is whole \(2: leaf"),
    ):
        checkpoints.restore(state())


def test_another_run_s_checkpoint_is_an_error_not_passed_over(tmp_path: Path) -> None:
    saved = state()
    training.Checkpoints(tmp_path, config={"width": 5}).save(saved)

    def refuse(match: str, like: Any = saved, config: Any = {"width": 5}) -> None:  # noqa: B006
        with pytest.raises(ValueError, match=match):
            training.Checkpoints(tmp_path, config=config).restore(like)

    refuse(r"config \{'width': 5\}; got \{'width': 6\}", config={"width": 6})
    clipped = saved.params["lstm"].replace(options=lstm_jax.CellOptions(clip=3.0))
    refuse("clip", saved.replace(params=saved.params | {"lstm": clipped}))
    refuse("params/w ", saved.replace(params=saved.params | {"w": jnp.ones((5, 2))}))
    momentum = optax.sgd(0.1, momentum=0.9)
    refuse("opt_state", saved.replace(opt_state=momentum.init(saved.params)))
    refuse("key .*absent", saved.replace(key=None))


def test_numbers_of_numpy_and_python_go_on(tmp_path: Path) -> None:
    """What jit makes of them is saved, and found again by the next start."""

    def loss(params: Any, carry: Any, x: Any, key: Any) -> Any:
        return params["w"].sum() * params["s"] * x, (carry + 1, ())

    def run(steps: int, name: str) -> Any:
        params = {"w": np.ones(3), "s": 1.5}
        made = training.create(params, optax.sgd(0.1), carry=np.zeros((0, 2)))
        checkpoints = training.Checkpoints(tmp_path / name)
        kept = dict(steps=steps, every=2, checkpoints=checkpoints)
        return training.fit(training.train_step(loss), made, np.float32, **kept)

    with enable_x64(False):
        run(2, "twice")
        assert same(run(4, "twice"), run(4, "once"))


def test_a_step_over_several_devices_goes_on(tmp_path: Path) -> None:
    """An array that nobody placed comes back as free to move as it was."""
    auto = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((4,), ("data",), axis_types=auto, devices=jax.devices()[:4])
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))

    def loss(params: Any, carry: Any, x: Any, key: Any) -> Any:
        x = jax.lax.with_sharding_constraint(x, rows)
        return jnp.mean((x @ params) ** 2), (carry, ())

    def run(steps: int, name: str) -> Any:
        made = training.create(np.ones((3, 2), np.float32), optax.sgd(0.1))
        batch = np.arange(24, dtype=np.float32).reshape(8, 3) / 9
        checkpoints = training.Checkpoints(tmp_path / name)
        kept = dict(steps=steps, every=2, checkpoints=checkpoints)
        return training.fit(training.train_step(loss), made, lambda s: batch, **kept)

    run(2, "twice")
    assert same(run(4, "twice"), run(4, "once"))


def test_shapes_alone_will_do(tmp_path: Path) -> None:
    checkpoints = training.Checkpoints(tmp_path, config={2: "a", 10: "b"})
    saved = state()
    checkpoints.save(saved)
    read = checkpoints.restore(jax.eval_shape(lambda: saved))
    assert read is not None and same(read.state, saved)


def test_two_leaves_of_one_path_are_an_error(tmp_path: Path) -> None:
    params = {"a/b": jnp.ones(2), "a": {"b": jnp.ones(3)}}
    with pytest.raises(ValueError, match="two leaves have the path params/a/b"):
        training.Checkpoints(tmp_path).save(training.create(params, optax.sgd(0.1)))


def test_a_machine_in_need_says_nothing_of_a_file(
    tmp_path: Path, monkeypatch: Any
) -> None:
    checkpoints = training.Checkpoints(tmp_path)
    checkpoints.save(state())

    def full(*a: Any, **k: Any) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(checkpoints._checkpointer, "restore", full)
    with pytest.raises(OSError, match="too many open files"):
        checkpoints.restore(state())


def test_without_orbax_the_extra_is_named(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(ModuleNotFoundError, match=r"lstm_jax\[training\]"):
        training.Checkpoints(tmp_path).save(state())
    with pytest.raises(ModuleNotFoundError, match=r"lstm_jax\[training\]"):
        training.Checkpoints(tmp_path).restore(state())
