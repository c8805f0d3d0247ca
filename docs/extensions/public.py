# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The directive `public`: the reference of names, from their docstrings.

    .. public:: lstm_jax

       apply
       unroll

gives a table of these names with a line each, and below it each docstring in full. A
page of docs/reference/ is a group of names; adding a name is adding a line to a group.
"""

import importlib
import inspect
import re
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# What the text of a docstring has that reStructuredText would take for markup.
CODE = re.compile(r"(``.*?``|`[^`\n]*`)")
# What a generated signature spells out: where a type is from, and whole defaults.
PREFIX = re.compile(r"~(?:\w+\.)+(?=\w)")
DEFAULT = re.compile(r"\bCellOptions\((?:[^()]|\([^()]*\))*\)")
MARKUP = re.compile(r"([*|]|(?<=\w)_(?!\w))")


class Public(SphinxDirective):
    """A table of names, and what each one's docstring says."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Writes what autosummary and autodoc need, and parses that."""
        module = importlib.import_module(self.arguments[0])
        names = [line.strip() for line in self.content if line.strip()]
        text = [f".. py:currentmodule:: {module.__name__}", ""]
        text += [".. autosummary::", "   :nosignatures:", ""]
        text += [*(f"   {name}" for name in names), ""]
        for name in names:
            text += directive(module, name)
        container = nodes.section()
        container.document = self.state.document
        lines = StringList(text, source=self.get_source_info()[0])
        self.state.nested_parse(lines, 0, container)
        return container.children


def directive(module: Any, name: str) -> list[str]:
    """The autodoc directive of a name."""
    thing = getattr(module, name)
    full = f"{module.__name__}.{name}"
    if not inspect.isclass(thing):
        return [f".. autofunction:: {full}", ""]
    # Attributes stand in the docstring; methods and properties have their own.
    members = sorted(
        (key for key, value in vars(thing).items() if documented(key, value)),
        key=list(vars(thing)).index,
    )
    options = [f"   :members: {', '.join(members)}"] if members else []
    return [f".. autoclass:: {full}", *options, ""]


def documented(name: str, member: Any) -> bool:
    """Whether a member is a public method or property with text of its own."""
    if name.startswith("_") or name in ("replace", "tree_flatten", "tree_unflatten"):
        return False
    if isinstance(member, classmethod | staticmethod):
        member = member.__func__
    if not isinstance(member, property) and not inspect.isfunction(member):
        return False
    return bool(inspect.getdoc(member))


def escape(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Makes plain text of `*B`, `|x|` and `w_`; code and doctests stay."""
    literal: int | None = None
    for n, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip():
            if indent > literal:
                continue
            literal = None
        if line.lstrip().startswith((">>>", "...")):
            literal = indent - 1
            continue
        if line.rstrip().endswith("::"):
            literal = indent
        parts = CODE.split(line)
        parts[::2] = [MARKUP.sub(r"\\\1", part) for part in parts[::2]]
        lines[n] = "".join(parts)


def shorten(
    app: Sphinx,
    what: str,
    name: str,
    thing: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Takes out of signatures what `dataclasses` wrote at length."""
    if signature is not None:
        signature = DEFAULT.sub("CellOptions()", PREFIX.sub("", signature))
    return signature, returns


def resolve(app: Sphinx, env: Any, node: Any, contnode: nodes.Node) -> Any:
    """A name of the package itself, said in one of its namespaces."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or target.startswith("lstm_jax."):
        return None
    domain = env.get_domain("py")
    for prefix in ("lstm_jax.", "lstm_jax.cells."):
        found = domain.resolve_xref(
            env, node["refdoc"], app.builder, "obj", prefix + target, node, contnode
        )
        if found is not None:
            return found
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive, before napoleon reads the docstrings."""
    app.add_directive("public", Public)
    app.connect("autodoc-process-docstring", escape, priority=400)
    app.connect("autodoc-process-signature", shorten)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
