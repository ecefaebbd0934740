"""The directive ``api``: everything that a module makes public, first as a table, then in full.

    .. api:: mlpkern.losses

Names are those of the module's ``__all__``, so that no page misses one. ``:only:`` takes some of
them, ``:but:`` leaves some out (names, or patterns like ``*Error``); ``:brief:`` leaves out the
methods of classes. What is missing on the machine that builds, PyTorch say, is said on the page.
"""

from __future__ import annotations

import fnmatch
import importlib
import inspect
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import mlpkern


def public_names(module: Any, only: str = "*", but: str = "") -> list[str]:
    """The classes and functions of ``__all__`` that match ``only``, and not ``but``."""
    return [
        name
        for name in module.__all__
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in only.split())
        and not any(fnmatch.fnmatchcase(name, pattern) for pattern in but.split())
        and (inspect.isclass(thing := getattr(module, name)) or inspect.isroutine(thing))
    ]


class Api(SphinxDirective):
    """A table of a module's public names, and an entry for each."""

    required_arguments = 1
    option_spec: ClassVar = {
        "only": directives.unchanged_required,
        "but": directives.unchanged_required,
        "brief": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """The nodes that autosummary and autodoc make."""
        try:
            module = importlib.import_module(self.arguments[0])
        except ImportError as error:
            return [nodes.note("", nodes.paragraph(text=f"Not shown: {error}"))]
        chosen = {k: v for k, v in self.options.items() if k != "brief"}
        names = public_names(module, **chosen)
        if not names:
            return []
        things = {name: getattr(module, name) for name in names}
        own = [n for n in names if inspect.isroutine(things[n]) or things[n].__name__ == n]
        lines = [f".. currentmodule:: {home(module, names)}", "", ".. autosummary::"]
        lines += ["   :nosignatures:", "", *(f"   {name}" for name in own), ""]
        for name in sorted(names, key=lambda name: name not in own):  # aliases of classes last
            lines += entry(name, things[name], "brief" in self.options)
        return self.parse_text_to_nodes(StringList(lines, source=self.get_location()))


def home(module: Any, names: list[str]) -> str:
    """Where a user finds the names: the package, or the module."""
    shared = all(getattr(mlpkern, name, None) is getattr(module, name) for name in names)
    return "mlpkern" if shared else str(module.__name__)


def entry(name: str, thing: Any, brief: bool) -> list[str]:
    """The lines of one entry; a class with its methods, but those of its documented bases."""
    if not inspect.isclass(thing):
        return [f".. autofunction:: {name}", ""]
    lines = [f".. autoclass:: {name}"]
    if not brief:
        if methods := methods_of(thing):
            lines.append(f"   :members: {', '.join(methods)}")
        if "__call__" in vars(thing):
            lines.append("   :special-members: __call__")
    return [*lines, ""]


def methods_of(cls: type) -> list[str]:
    """Our own public methods and properties with a docstring, up to the first documented base."""
    names: list[str] = []
    for base in filter(is_ours, cls.__mro__):
        if base is not cls and getattr(mlpkern, base.__name__, None) is base:
            break
        for name, thing in vars(base).items():
            what = getattr(thing, "__func__", getattr(thing, "fget", thing))
            method = inspect.isroutine(what) and is_ours(what)
            if method and what.__doc__ and not name.startswith("_") and name not in names:
                names.append(name)
    return names


def is_ours(thing: Any) -> bool:
    """Whether a class or a function is defined in the package."""
    return str(thing.__module__).split(".")[0] == "mlpkern"


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("api", Api)
    return {"parallel_read_safe": True}
