# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Pages and figures made at every build from results.json, and tables from code.

Writes docs/experiments/ and docs/benchmarks/, which git ignores, and offers the
directive `generated`, whose argument is a function of `TABLES`.
"""

import re
from pathlib import Path
from typing import Any

import matplotlib
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import benchmarks.figures
import benchmarks.report
from experiments import _figure, _registry, _report, _results
from lstm_jax.convert import _systems

matplotlib.use("Agg")
COMMENT = re.compile(r"<!--.*?-->\n")
FIGURE = re.compile(r"\]\((?:results/)?([\w-]+)\.png\)")
TABLES = {
    "convert": _systems.table,
    "experiments": lambda: _report.summary(lambda name: f"experiments/{name}.md"),
    "speed": lambda: benchmarks.report.summary(benchmarks.report.results()["peers"]),
}


class Generated(SphinxDirective):
    """A table that code makes."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parses the table where the directive stands."""
        container = nodes.container(classes=["wide"])
        text = TABLES[self.arguments[0]]()
        self.state.nested_parse(text.splitlines(), self.lineno, container)
        return [container]


def page(text: str) -> str:
    """A README as a page: without markers, its figures as SVG."""
    return FIGURE.sub(r"](\1.svg)", COMMENT.sub("", text))


def write(path: Path, text: str) -> None:
    """Writes a page if it has changed, so that a second build reads it less."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def experiments(folder: Path) -> None:
    """A page an experiment, from its README and results.json, with its figures."""
    folder.mkdir(exist_ok=True)
    for name in _registry.names():
        document = _results.committed(name)
        text = page((_registry.FOLDER / name / "README.md").read_text())
        made = f"\n## The run\n\n{_report.made_by(document)}"
        write(folder / f"{name}.md", text.rstrip() + "\n" + made)
        with _figure.as_svg():
            _registry.load(name).draw(document, folder)


def measurements(folder: Path) -> None:
    """The page of the benchmarks, with its figures."""
    folder.mkdir(exist_ok=True)
    write(folder / "index.md", page(benchmarks.report.README.read_text()))
    with _figure.as_svg():
        benchmarks.figures.draw(benchmarks.report.results(), folder)


def make(app: Sphinx, config: Any) -> None:
    """Makes all pages, before Sphinx looks which there are."""
    source = Path(app.srcdir)
    experiments(source / "experiments")
    measurements(source / "benchmarks")


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive, and what is made."""
    app.add_directive("generated", Generated)
    app.connect("config-inited", make)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
