# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""The site: Sphinx with the book theme, pages executed by MyST-NB at every build."""

import os
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER / "extensions")]
# Kernels of the pages inherit these.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)

import lstm_jax  # noqa: E402

project = "lstm_jax"
author = "The lstm_jax authors"
copyright = "2026, The lstm_jax authors"
version = release = lstm_jax.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "generated",  # pages and figures made from results.json
    "public",  # the reference
    "mathml",  # mathematics without a script
    "tidy",  # what the theme leaves unnamed
]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
exclude_patterns = ["build", "extensions", "README.md"]
suppress_warnings: list[str] = []  # a warning fails the build: none is hidden

# Pages: everything runs at every build, and an exception fails it.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_ipywidgets_js: dict[str, Any] = {}
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

# Reference.
default_role = "py:obj"  # single backticks: a link where the name is known, else code
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 72
python_use_unqualified_type_names = True
autosummary_generate = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_title = "lstm_jax"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["lstm_jax.css"]
html_context = {"default_mode": "auto"}  # light or dark as the system has it
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
# A host says where it serves the site; files that are opened need no address.
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": False,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "search_bar_text": "Search",
    "navbar_persistent": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
