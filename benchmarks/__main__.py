# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Runs the benchmarks: python -m benchmarks {scan-vs-loop, peers, report}."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

EXTRA = 'pip install "lstm_jax[benchmarks]"'
PROGRAM = "python -m benchmarks"
RESULTS = Path(__file__).parent / "results"


def measured(name: str, module: Any, arguments: Sequence[str]) -> None:
    """Runs one benchmark and writes its JSON."""
    import tyro
    from rich.progress import Progress
    from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, arg

    from benchmarks import report

    default = module.SMOKE if "--smoke" in arguments else module.Settings()
    out = Annotated[Path, arg(help="Folder for the JSON.")]
    smoke = Annotated[bool, arg(help="Seconds, to see that everything works.")]
    call = dataclasses.make_dataclass(
        "Call",
        [
            ("settings", OmitArgPrefixes[module.Settings], default),  # type: ignore
            ("out", out, RESULTS),
            ("smoke", FlagCreatePairsOff[smoke], False),
        ],
    )
    given: Any = tyro.cli(
        call,
        prog=f"{PROGRAM} {name}",
        description=module.__doc__,
        args=list(arguments),
    )
    if given.smoke and given.out == RESULTS:
        raise SystemExit(f"{PROGRAM}: --smoke needs --out: it is no measurement.")
    start = time.perf_counter()
    with Progress() as progress:
        results = module.run(given.settings, progress)
    document = report.document(
        name, given.settings, results, time.perf_counter() - start
    )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"{name}.json").write_text(report.to_json(document))
    print(report.TABLES[name](document))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    import argparse

    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=__doc__,
        epilog=f"{PROGRAM} VERB --help shows the settings of one.",
    )
    parser.add_argument("verb", choices=("scan-vs-loop", "peers", "report"))
    parser.add_argument("settings", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    match given.verb:
        case "peers":
            from benchmarks import compare

            measured("peers", compare, given.settings)
        case "scan-vs-loop":
            from benchmarks import loops

            measured("scan-vs-loop", loops, given.settings)
        case "report":
            from benchmarks import report

            report.write()


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as error:
        sys.exit(f"{PROGRAM} needs the package {error.name}: {EXTRA}")
