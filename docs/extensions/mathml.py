# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Mathematics as MathML, written at build time, in a font that the site brings.

Browsers set MathML themselves: no script, nothing from another host, and formulae that
can be selected and read aloud. They need a font that has a table of mathematics.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from fontTools import subset
from latex2mathml.converter import convert
from sphinx.application import Sphinx

# Latin, Greek, letter-like symbols, arrows, operators, and the mathematical alphabets.
CHARACTERS = [
    *range(0x20, 0x7F),
    *range(0xA0, 0x100),
    *range(0x370, 0x400),
    *range(0x2010, 0x2070),
    *range(0x2100, 0x2150),
    *range(0x2190, 0x2300),
    *range(0x1D434, 0x1D468),
    *range(0x1D6E2, 0x1D71C),
]


def font(app: Sphinx, config: Any) -> None:
    """Writes what formulae need of STIX Two Math, which the package ziamath has."""
    path = Path(app.srcdir, "_static", "math.woff")
    spec = find_spec("ziamath")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the site needs lstm_jax[docs]: ziamath is missing.")
    whole = Path(spec.origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"
    options = subset.Options(flavor="woff", layout_features=[], hinting=False)
    options.notdef_outline = True
    loaded = subset.load_font(str(whole), options)
    reduced = subset.Subsetter(options)
    reduced.populate(unicodes=CHARACTERS)
    reduced.subset(loaded)
    subset.save_font(loaded, str(path), options)


def inline(translator: Any, node: nodes.math) -> None:
    """A formula within a line."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """A formula that stands alone; wider than the page, it scrolls by itself."""
    text = node.astext().replace("{aligned}", "{align*}")  # what latex2mathml knows
    translator.body.append('<div class="formula" tabindex="0">')
    translator.body.append(convert(text, display="block"))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the renderer `mathml`."""
    app.connect("config-inited", font)
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
