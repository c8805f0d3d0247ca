# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Runs the experiments: python -m experiments {list, run, fetch, report, verify}."""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

EXTRA = 'pip install "lstm_jax[experiments]"'
PROGRAM = "python -m experiments"
OUT = (
    "Folder for results.json and the figures. Without it a run with the default "
    "settings replaces those beside its README, and the README's tables; one with "
    "other settings takes results/NAME, a smoke run a new folder."
)
SMOKE = "Seconds instead of minutes, to see that everything works."


def show() -> None:
    """Prints question, cost and data of every experiment."""
    from experiments import _registry, _results

    for name in _registry.names():
        about = _registry.about(name)
        cost = _results.cost(_results.committed(name))
        print(f"{name}\n  question: {about.question}")
        print(f"  cost:     {cost}\n  data:     {about.data}")


def parse(name: str, arguments: Sequence[str]) -> tuple[Any, Path | None]:
    """Reads the settings of an experiment from its part of the command line.

    Args:
        name: of the experiment.
        arguments: what followed the name.

    Returns:
        The settings, and the folder for what the run leaves, if one was named.
    """
    import tyro
    from tyro.conf import FlagCreatePairsOff, arg

    from experiments import _registry

    experiment = _registry.load(name)
    # A smoke run has other defaults, which --help is to show.
    default = experiment.SMOKE if "--smoke" in arguments else experiment.Settings()
    call = dataclasses.make_dataclass(
        "Call",
        [
            ("settings", Annotated[experiment.Settings, arg(name="")], default),
            ("out", Annotated[Path | None, arg(help=OUT)], None),
            ("smoke", FlagCreatePairsOff[Annotated[bool, arg(help=SMOKE)]], False),
        ],
    )
    given: Any = tyro.cli(
        call,
        prog=f"{PROGRAM} run {name}",
        description=_registry.about(name).question,
        args=arguments,
    )
    return given.settings, given.out


def without_out(arguments: Sequence[str]) -> list[str]:
    """The arguments less --out: a path belongs to one machine."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--out":
            next(rest, None)
        elif not argument.startswith("--out="):
            kept.append(argument)
    return kept


def run(name: str, arguments: Sequence[str]) -> None:
    """Runs an experiment and writes its results, figures and tables."""
    from rich.progress import (
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    from experiments import _registry, _results
    from experiments._run_cache import RunCache

    experiment = _registry.load(name)
    settings, out = parse(name, arguments)
    own = _registry.FOLDER / name
    if out is None and "--smoke" in arguments:
        out = Path(tempfile.mkdtemp())
    elif out is None:
        out = own if settings == experiment.Settings() else Path("results") / name
    out.mkdir(parents=True, exist_ok=True)
    cache = RunCache(out, name, settings)
    columns = (
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    start = time.perf_counter()
    with Progress(*columns) as progress:
        results = experiment.run(settings, progress, cache)
    seconds = time.perf_counter() - start + cache.earlier
    document = _results.document(
        name, without_out(arguments), settings, results, seconds
    )
    text = _results.to_json(document)
    (out / "results.json").write_text(text)
    document = json.loads(text)  # what is shown is what the file says, in its order
    experiment.draw(document, out)
    tables = experiment.tables(document)
    if out.resolve() == own.resolve():
        readme = own / "README.md"
        readme.write_text(_results.fill(readme.read_text(), tables))
    cache.clear()
    print(f"{tables}\n{seconds:.0f} s; results and figures are in {out}")


def fetch() -> None:
    """Finds or downloads every data file; exits with one line for each it cannot."""
    from experiments import data

    missing = []
    for source in data.sources():
        try:
            print(f"{source.name} is in {data.fetch(source).parent}")
        except data.Unavailable as error:
            missing.append(str(error))
    if missing:
        sys.exit("\n".join(missing))


def verify() -> None:
    """Holds all results against all text; exits with a line for each disagreement."""
    from experiments import _verify

    failures = 0
    for name, claims in _verify.everything():
        wrong = [what for holds, what in claims if not holds]
        for what in wrong:
            print(f"{name}: not so: {what}", file=sys.stderr)
        print(f"{name}: {len(claims) - len(wrong)} of {len(claims)} claims hold")
        failures += len(wrong)
    if failures:
        sys.exit(f"verify: {failures} claims do not hold")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    from experiments import _registry, data

    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="question, cost and data of every experiment")
    runner = verbs.add_parser("run", help="run one; run NAME --help shows its settings")
    runner.add_argument("name", choices=_registry.names())
    runner.add_argument("settings", nargs=argparse.REMAINDER)
    verbs.add_parser(
        "report", help="make all tables and figures again from the results"
    )
    verbs.add_parser("fetch", help="find or download the data files of all")
    verbs.add_parser("verify", help="hold all committed results against the text")
    given = parser.parse_args(arguments)
    if given.verb == "list":
        show()
    elif given.verb == "run":
        try:
            run(given.name, given.settings)
        except data.Unavailable as error:
            sys.exit(str(error))
    elif given.verb == "fetch":
        fetch()
    elif given.verb == "verify":
        verify()
    else:
        from experiments import _report

        for path in _report.write():
            print(path)


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as error:
        sys.exit(f"{PROGRAM} needs the package {error.name}: {EXTRA}")
