# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The site as it was built, read from its files and opened in a browser.

`make docs-test` runs this; `make test` does not. It needs a Chromium: the package
`chromium` of Debian, or the path of another in the variable CHROMIUM.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from sphinx.util.inventory import InventoryFile

from tests.blocks import CELLS
from tests.test_docs import DOCS, PAGES
from tests.test_package import PUBLIC

SITE = DOCS / "build/html"
HTML = sorted(p for p in SITE.rglob("*.html") if "_static" not in p.parts)
NAMES = [str(path.relative_to(SITE)) for path in HTML]
WRITTEN = [name for name in NAMES if not name.startswith("_modules/")]
assert len(WRITTEN) > 40, "run make docs first"
# One page of each kind: contrast is the slow part, and a page's is its stylesheet's.
SAMPLE = [
    "benchmarks/index.html",
    "contract.html",
    "experiments/digits.html",
    "guides/convert.html",
    "index.html",
    "mathematics.html",
    "reference/serving.html",
    "search.html",
    "tutorials/digits.html",
]
RULES = """aria-valid-attr aria-valid-attr-value button-name document-title
    empty-heading heading-order html-has-lang image-alt label link-name
    page-has-heading-one summary-name svg-img-alt""".split()
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class Links(HTMLParser):
    """Where a page leads, and where it can be entered."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.places: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.targets.add(value)
            elif value and name in ("id", "name"):
                self.places.add(value)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.fail("no Chromium: apt-get install chromium, or set CHROMIUM to a path")
    with sync_playwright() as play:
        # In a container there is no sandbox, and the site is ours.
        started = play.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context.new_page()
    context.close()


def address(name: str) -> str:
    return (SITE / name).as_uri()


def violations(page: Page, rules: list[str]) -> list[str]:
    """What axe-core finds."""
    found = Axe().run(page, options={"runOnly": rules}).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {node['html'][:200]}"
        for rule in found
        for node in rule["nodes"][:3]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_and_fits(name: str, page: Page) -> None:
    """No error, nothing from elsewhere, and no sideways scroll on a phone.

    By axe-core: headings in order, and a name for all that is shown or pressed.
    """
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url))

    def local(request: Any) -> None:
        if urlsplit(request.url).scheme not in ("file", "data", "blob"):
            wrong.append(request.url)

    page.on("request", local)
    page.goto(address(name))
    assert page.title()
    if name in WRITTEN:
        told = violations(page, RULES)
        assert not told, "\n".join(told)
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= NARROW["width"], f"{width} pixels wide"
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SAMPLE)
def test_contrast(name: str, scheme: Any, page: Page) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(address(name))
    assert page.locator("html").get_attribute("data-theme") == scheme
    told = violations(page, ["color-contrast"])
    assert not told, "\n".join(told)


def test_search_finds_lengths(page: Page) -> None:
    page.goto(address("search.html") + "?q=lengths")
    page.wait_for_selector("#search-results li")
    found = page.locator("#search-results li a").all_inner_texts()
    assert any("semantic contract" in title for title in found), found


def test_the_search_of_a_page_leads_there(page: Page) -> None:
    page.goto(address("tutorials/digits.html"))
    page.keyboard.press("Control+k")
    page.locator("dialog input[type=search]").fill("lengths")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li")


def test_a_block_is_copied(page: Page) -> None:
    page.goto(address("index.html"))
    block = page.locator("div.highlight-ipython3").first
    block.hover()
    block.locator("button.copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("import jax, jax.numpy as jnp, optax\nimport lstm_jax\n")


def test_the_reader_chooses_light_or_dark(page: Page) -> None:
    page.goto(address("index.html"))
    for mode in ("dark", "light"):
        page.locator("button.theme-switch-button:visible").first.click()
        page.locator(f"button.theme-change-button[data-mode={mode}]:visible").click()
        assert page.locator("html").get_attribute("data-theme") == mode


def test_links_lead_somewhere() -> None:
    """Within pages and between them; other hosts are not asked."""
    read = {path: Links(path) for path in HTML}
    dead = []
    for path, links in read.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            aim = path
            if parts.path:
                aim = (path.parent / unquote(parts.path)).resolve()
            if not aim.exists():
                dead.append((path.name, target))
            elif parts.fragment and aim in read:
                if unquote(parts.fragment) not in read[aim].places:
                    dead.append((path.name, target))
    assert dead == []


def test_every_public_name_is_on_a_page() -> None:
    data = (SITE / "objects.inv").read_bytes()
    items = InventoryFile.loads(data, uri="").data
    shown = {
        name for kind, own in items.items() if kind.startswith("py:") for name in own
    }
    missing = [f"{module}.{name}" for module, name in PUBLIC]
    missing = [name for name in missing if name not in shown]
    assert not missing, f"make docs shows no {missing}"


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if CELLS.search(path.read_text())],
    ids=lambda path: path.stem,
)
def test_every_block_ran(path: Path) -> None:
    name = path.relative_to(DOCS).with_suffix(".ipynb")
    notebook = json.loads((DOCS / "build/jupyter_execute" / name).read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) == len(CELLS.findall(path.read_text()))
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error"]
    errors = [o for o in outputs if o.get("name") == "stderr"]
    assert not errors, errors


def test_nothing_is_asked_of_another_host() -> None:
    """Scripts, styles and fonts are in the folder."""
    loads = re.compile(r"""(?:src|href)=["'](?:https?:)?//[^"']+\.(?:js|css|woff2?)""")
    for path in HTML:
        assert not loads.search(path.read_text()), path
    for path in (SITE / "_static").rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", path.read_text()), path
