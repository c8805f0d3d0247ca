# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Mends in the pages what the theme and viewcode get wrong."""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

BACK = re.compile(
    r'(class="viewcode-back" href=")([^"#]*/)([^"#/]+/[^"#/]+\.html)#([^"]+)'
)


def mend(app: Sphinx, exception: Exception | None) -> None:
    """Names what opens a part of the navigation, and leads back from the source."""
    if exception is not None or app.builder.name != "html":
        return
    objects: dict[str, Any] = app.env.get_domain("py").data["objects"]

    def back(found: re.Match[str]) -> str:
        """A function that has two public names is documented on two pages."""
        start, up, page, name = found.groups()
        if name in objects:
            page = objects[name].docname + ".html"
        return f"{start}{up}{page}#{name}"

    for path in Path(app.outdir).rglob("*.html"):
        if "_static" in path.parts:
            continue
        text = path.read_text()
        new = text.replace("<summary>", '<summary aria-label="Pages within">')
        if "_modules" in path.parts:
            new = BACK.sub(back, new)
        if new != text:
            path.write_text(new)


def setup(app: Sphinx) -> dict[str, bool]:
    """Mends once all is written."""
    app.connect("build-finished", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
