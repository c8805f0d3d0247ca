# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""One page of all experiments, from their results.json and READMEs alone."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments import _registry, _results

HEADING = re.compile(r"^(#+ )", re.MULTILINE)
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
BLOCK = re.compile("(<!-- experiments -->\n).*?(<!-- /experiments -->)", re.DOTALL)
TITLE = "What the papers say about LSTMs, measured again"
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
h2 {{ margin-top: 3.5rem; border-top: 1px solid #ddd; padding-top: 1rem; }}
table {{ border-collapse: collapse; font-size: .875rem; margin: 1rem 0; display: block; overflow-x: auto; }}
th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #ddd; }}
img {{ max-width: 100%; }}
pre {{ background: #f6f6f6; padding: .7rem; overflow-x: auto; }}
</style>
{body}
</html>
"""  # noqa: E501


def summary(link: Callable[[str], str]) -> str:
    """The table of our numbers beside the published ones.

    Args:
        link: name of an experiment -> where its name leads to.
    """
    rows: list[tuple[str, ...]] = []
    for name in _registry.names():
        found = _registry.load(name).compare(_results.committed(name))
        first = [f"[{name}]({link(name)})", *[""] * (len(found) - 1)]
        rows += [(head, *row) for head, row in zip(first, found, strict=True)]
    return _results.table(("experiment", "what", "ours", "published"), rows)


def made_by(document: dict[str, Any]) -> str:
    """Command, seeds, time, machine and versions of a run, in a line."""
    machine = document["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in document["versions"].items())
    seeds = [
        f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in document["settings"].items()
        if "seed" in key
    ]
    return (
        f"`{document['command']}`: {'; '.join(seeds)}; "
        f"{_results.cost(document)}, {machine['processor']}, {machine['platform']}; "
        f"{versions}.\n"
    )


def markdown() -> str:
    """The page, with links to the figures."""
    sections = [
        f"# {TITLE}\n\nMade by `python -m experiments report` from the results of each "
        "experiment; every number of ours comes from a results.json beside its "
        f"README.\n\n{summary(lambda name: f'#{name}')}"
    ]
    for name in _registry.names():
        text = (_registry.FOLDER / name / "README.md").read_text()
        text = IMAGE.sub(rf"![\1]({name}/\2)", HEADING.sub(r"#\1", text))
        text = re.sub("<!--.*?-->\n", "", text)
        anchor = f'<a id="{name}"></a>\n\n'
        sections.append(
            anchor + text.rstrip() + "\n\n" + made_by(_results.committed(name))
        )
    return "\n".join(sections)


def html(text: str) -> str:
    """The page as one HTML file that holds the figures too."""
    from markdown_it import MarkdownIt

    def embed(found: re.Match[str]) -> str:
        data = base64.b64encode((_registry.FOLDER / found[1]).read_bytes()).decode()
        return f'<img src="data:image/png;base64,{data}"'

    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    return PAGE.format(title=TITLE, body=re.sub('<img src="([^"]+)"', embed, body))


def fill_readme(readme: str) -> str:
    """Puts the summary between the project README's markers."""
    table = summary(lambda name: f"experiments/{name}/README.md")
    return BLOCK.sub(lambda found: found[1] + table + found[2], readme)


def write() -> list[Path]:
    """Writes report.md and report.html beside the experiments, and fills READMEs.

    Tables and figures of the experiments are made again from their results.json too.

    Returns:
        The files of this page.
    """
    for name in _registry.names():
        folder, experiment = _registry.FOLDER / name, _registry.load(name)
        own = folder / "README.md"
        tables = experiment.tables(_results.committed(name))
        own.write_text(_results.fill(own.read_text(), tables))
        experiment.draw(_results.committed(name), folder)
    text = markdown()
    readme = _registry.FOLDER.parent / "README.md"
    files = {
        _registry.FOLDER / "report.md": text,
        _registry.FOLDER / "report.html": html(text),
        readme: fill_readme(readme.read_text()),
    }
    for path, content in files.items():
        path.write_text(content)
    return list(files)
