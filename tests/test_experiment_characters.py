# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The characters: the run goes on, n-grams count right."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

from experiments import __main__
from experiments.characters import compression, model, ngrams, sweep
from lstm_jax import training

pytestmark = pytest.mark.usefixtures("as_users_have_it")


@pytest.mark.usefixtures("small_data")
def test_a_stopped_run_goes_on_to_the_same_parameters(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Killed after the checkpoint of step 20; other settings and reruns start anew."""
    saved: list[int] = []
    stop = True
    save = training.Checkpoints.save

    def save_and_stop(checkpoints: Any, state: Any) -> None:
        save(checkpoints, state)
        saved.append(int(state.step))
        if stop and saved[-1] == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(training.Checkpoints, "save", save_and_stop)

    def start(*arguments: str) -> Any:
        saved.clear()
        smoke = ["run", "characters", "--smoke", "--out", str(tmp_path)]
        __main__.main([*smoke, *arguments])
        results = json.loads((tmp_path / "results.json").read_text())["results"]
        del results["training_seconds"]
        return results

    for arguments in (), ("--clip", "2"):
        with pytest.raises(KeyboardInterrupt):
            start(*arguments)
        assert saved == [10, 20]
    stop = False
    went_on = start()
    assert saved == [30]
    whole = start()
    assert saved == [10, 20, 30]
    assert went_on == whole
    assert len(list(tmp_path.glob("cache/*/checkpoints"))) == 1  # of the other clip
    assert whole["step"] == [10, 20, 30]
    assert whole["train_nats"][-1] < whole["train_nats"][0]
    assert len(whole["sample"]) == 80 and whole["held_out_characters"] == 1999
    assert [n["held_out_characters"] for n in whole["ngrams"]] == [1999] * 3
    (small,) = whole["sweep"]
    curves = np.asarray(small["train_nats"])
    assert curves.shape == (2, 10) and (curves[:, -1] < curves[:, 0]).all()
    assert np.ptp(small["held_out_nats"]) > 0 < np.ptp(small["validation_nats"])


def by_hand(text: str, order: int, discounts: Any, alphabet: str, gram: str) -> float:
    """Kneser-Ney from its definition, with strings."""

    def count(gram: str, longest: bool) -> int:
        starts = range(len(text) - len(gram) + 1)
        at = [s for s in starts if text.startswith(gram, s)]
        return len(at) if longest else len({text[s - 1] for s in at if s > 0})

    p = 1 / len(alphabet)
    for n in range(1, order + 1):
        context = gram[len(gram) - n : -1]
        counts = {c: count(context + c, n == order) for c in alphabet}
        if total := sum(counts.values()):
            off = {c: discounts[min(k, 3) - 1] if k else 0 for c, k in counts.items()}
            last = gram[-1]
            p = (counts[last] - off[last] + sum(off.values()) * p) / total
    return p


def test_ngrams_of_a_text_counted_by_hand() -> None:
    """Of "abab": a and b each come after one character, ab is there twice."""
    codes, discounts = np.asarray([0, 1, 0, 1]), np.asarray([0.5, 0.7, 0.9])
    _, bigrams = ngrams.models(codes, 2, 3)
    p1 = [(0.5 + 1 / 3) / 2, (0.5 + 1 / 3) / 2, 1 / 3 / 2]
    after_a = [0.7 * p1[0] / 2, (1.3 + 0.7 * p1[1]) / 2, 0.7 * p1[2] / 2]
    for context, expected in ((0, after_a), (2, p1)):
        for last in range(3):
            found = ngrams.seen(bigrams, np.asarray([context, last]), 3)
            p = ngrams.probabilities(found, discounts, 3)
            np.testing.assert_allclose(p, [expected[last]], rtol=1e-12)
            gram = "abc"[context] + "abc"[last]
            direct = by_hand("abab", 2, discounts, "abc", gram)
            assert direct == pytest.approx(expected[last], rel=1e-12)


def test_ngrams_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    alphabet, discounts = "abcd", np.asarray([0.6, 1.1, 1.5])
    train = rng.choice(4, 150, p=[0.5, 0.3, 0.15, 0.05]).astype(np.int32)
    held_out = rng.choice(4, 20).astype(np.int32)
    text = "".join(alphabet[c] for c in train)
    whole = text + "".join(alphabet[c] for c in held_out)
    results: Any = ngrams.study(train, held_out, 4, 4, [discounts])
    for order, result in enumerate(results, 1):
        assert result["held_out_characters"] == 19
        for name, known, begin, end in (
            ("chosen_at_nats", text[:135], 135, 150),
            ("held_out_nats", text, 151, 170),
        ):
            p = [
                by_hand(known, order, discounts, alphabet, whole[t + 1 - order : t + 1])
                for t in range(begin, end)
            ]
            np.testing.assert_allclose(result[name], -np.log(p).mean(), rtol=1e-12)


def test_probabilities_of_the_alphabet_sum_to_one() -> None:
    """After contexts of the text, and after random ones that it may not have."""
    rng = np.random.default_rng(1)
    text = rng.integers(0, 65, 3000) * rng.integers(0, 2, 3000)
    near = text[rng.integers(0, 2900, 30)[:, None] + np.arange(5)]
    contexts = np.concatenate([near, rng.integers(0, 65, (30, 5))])
    last = np.broadcast_to(np.arange(65)[None, :, None], (60, 65, 1))
    before = np.broadcast_to(contexts[:, None], (60, 65, 5))
    for model_ in ngrams.models(text, 6, 65):
        found = ngrams.seen(model_, np.concatenate([before, last], -1), 65)
        p = ngrams.probabilities(found, np.asarray([0.7, 1.2, 1.9]), 65)[..., -1]
        assert p.shape == (60, 65) and p.min() > 0
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)


def test_ngrams_too_long_for_an_integer_are_refused() -> None:
    with pytest.raises(ValueError, match="65\\*\\*11"):
        ngrams.packed(np.zeros(20, int), 11, 65)


def test_xz_knows_the_training_text() -> None:
    rng = np.random.default_rng(2)
    noise = "".join(map(chr, rng.integers(64, 128, 40_000)))
    again = compression.xz(noise, noise[:10_000])
    assert again["given_training_nats"] < 0.05
    assert math.log(64) <= again["alone_nats"] < 1.05 * math.log(64)
    new = compression.xz(noise[:30_000], noise[30_000:])
    assert math.log(64) <= new["given_training_nats"] < 1.05 * math.log(64)


def test_small_networks_learn_as_optax_has_it() -> None:
    """Two chunks are Optax's Adam, with its schedule, on one window after another."""
    with jax.enable_x64(False):
        small = model.Settings(hidden_size=3, embedding_size=2, num_layers=1)
        codes = np.random.default_rng(3).integers(0, 4, 61).astype(np.int32)
        windows = training.windows(model.pairs(codes), 2, 5)
        network = model.init(small, 4, jax.random.key(0))
        begin = sweep.start(0.1, 2, network)
        shares = sweep.schedule(6)
        assert shares.max() == 1 and shares[-1] < 0.1
        chunk = jax.jit(partial(sweep.train_chunk, 0.1, np.float32(0.02)))
        learner, nats = begin, []
        for half in (slice(0, 3), slice(3, 6)):
            batches = jax.tree.map(lambda a, half=half: a[half], (windows, shares))
            learner, mean = chunk(learner, batches)
            nats.append(mean)
        tx = optax.chain(
            optax.clip_by_global_norm(0.1),
            optax.adam(lambda count: 0.02 * jax.numpy.asarray(shares)[count]),
        )
        step = training.epoch(training.train_step(lambda *a: model.loss(None, *a)))
        state, outcome = step(training.create(network, tx, carry=begin.carry), windows)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            learner.params,
            state.params,
        )
        np.testing.assert_allclose(np.mean(nats), outcome.loss.mean(), rtol=1e-5)
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), learner.params, network)
        assert min(jax.tree.leaves(moved)) > 1e-3
