"""Sphinx's configuration: python -m sphinx -W --keep-going -b html docs build/docs

Formulas are text, so no page needs MathJax or anything else from the network. The pictures of
the teaching pages are drawn anew by the commands that stand on them, into docs/images.
"""

from __future__ import annotations

import contextlib
import io
import sys
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent / "tests")]

project = "mlpkern"
author = "The mlpkern developers"
copyright = author
try:
    release = version = metadata.version("mlpkern")
except metadata.PackageNotFoundError:  # on the path, but not installed
    release = version = ""

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "api",
    "commands",
]
exclude_patterns = ["_*"]
source_suffix = {".md": "markdown"}
nitpicky = True
default_role = "code"  # of `x` in docstrings
smartquotes = False  # f'' is no quotation
highlight_language = "none"  # of indented blocks: formulas and commands; Python is always named

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # docstrings name types and shapes
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autosummary_generate = False  # what there is stands on the pages of api/
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = f"mlpkern {release}".strip()
html_static_path = ["_static"]
html_css_files = ["mlpkern.css"]
html_copy_source = False
pygments_style, pygments_dark_style = "friendly", "monokai"


def draw_pictures(app: Sphinx) -> None:
    """The pictures of the pages, by the commands on them."""
    import pages
    from mlpkern.cli import main

    (HERE / "images").mkdir(exist_ok=True)
    with contextlib.chdir(HERE.parent), contextlib.redirect_stdout(io.StringIO()):
        for page in pages.PAGES:
            for arguments in pages.commands(page):
                main(arguments)


def name_the_rest(app: Sphinx, docname: str, source: list[str]) -> None:
    """On the front page, "% the rest" becomes the pages that its tables do not name otherwise."""
    if docname == "index":
        named = {docname, *source[0].splitlines()}
        rest = [f"{page.stem}\n" for page in sorted(HERE.glob("*.md")) if page.stem not in named]
        source[0] = source[0].replace("% the rest\n", "".join(rest))


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", draw_pictures)
    app.connect("source-read", name_the_rest)
