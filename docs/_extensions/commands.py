"""The directive ``commands``: each command of ``mlpkern`` with what its --help says."""

from __future__ import annotations

import contextlib
import io
import os
from unittest import mock

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from mlpkern import cli


def help_of(*command: str) -> str:
    """What a command prints with --help, on lines of 90 columns."""
    out = io.StringIO()
    with mock.patch.dict(os.environ, COLUMNS="90"), contextlib.redirect_stdout(out):
        cli.main([*command, "--help"])
    return out.getvalue()


class Commands(SphinxDirective):
    """A section a command."""

    def run(self) -> list[nodes.Node]:
        """The sections, in the order of ``mlpkern --help``."""
        sections: list[nodes.Node] = []
        for module in cli._COMMANDS:
            name = module.__name__.rpartition(".")[2]
            section = nodes.section(ids=[nodes.make_id(f"mlpkern-{name}")], names=[name])
            section += nodes.title(text=name)
            section += nodes.literal_block(text=help_of(name), language="none")
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
