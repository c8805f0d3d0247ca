# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Runs the benchmarks and writes their report.

python -m benchmarks {scan-vs-loop, peers, scaling, memory, masks, device, programs,
report};
`--smoke` after a verb takes seconds and shows that it works, and instead of a verb it
runs all of them.
"""

import dataclasses
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

EXTRA = 'pip install "lstm_jax[benchmarks]"'
PROGRAM = "python -m benchmarks"
MODULES = {
    "scan-vs-loop": "loops",
    "peers": "compare",
    "scaling": "scaling",
    "memory": "memory",
    "masks": "masks",
    "device": "device",
    "programs": "programs",
}
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
    if given.smoke and given.out.resolve() == RESULTS.resolve():
        raise SystemExit(f"{PROGRAM}: --smoke needs --out: it is no measurement.")
    start = time.perf_counter()
    with Progress() as progress:
        results = module.run(given.settings, progress)
    document = report.document(
        name, given.settings, results, time.perf_counter() - start
    )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"{name}.json").write_text(report.to_json(document))
    if name in report.TABLES:
        print(report.TABLES[name](document))
    else:  # results of whatever device there is, which no README shows
        print(module.table(document))
        if wrong := module.status(document):
            raise SystemExit(wrong)


def smoke() -> None:
    """Runs every benchmark for seconds, into a folder that does not stay."""
    from benchmarks import figures, report

    with tempfile.TemporaryDirectory() as folder:
        for verb in MODULES:
            main([verb, "--smoke", "--out", folder])
        found = {
            verb: json.loads((Path(folder) / f"{verb}.json").read_text())
            for verb in MODULES
        }
        report.pages(found)
        figures.draw(found, Path(folder))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    import argparse

    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"{PROGRAM} VERB --help shows the settings of one.",
    )
    parser.add_argument("verb", nargs="?", choices=(*MODULES, "report"))
    parser.add_argument(
        "--smoke", action="store_true", help="all verbs, for seconds each"
    )
    parser.add_argument("settings", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    if given.verb in MODULES:
        module = importlib.import_module(f"benchmarks.{MODULES[given.verb]}")
        measured(given.verb, module, given.settings)
    elif given.verb == "report":
        from benchmarks import report

        report.write()
    elif given.smoke:
        smoke()
    else:
        parser.error(f"a verb is needed: {', '.join((*MODULES, 'report'))}.")


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as error:
        sys.exit(f"{PROGRAM} needs the package {error.name}: {EXTRA}")
