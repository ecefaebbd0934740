"""The teaching pages in docs/: their code, what it prints, the commands that draw their pictures.

A page is one session: its Python blocks run in order. A text block behind one holds what that one
prints. Indented lines that begin with `mlpkern plot` draw the page's pictures. To write both anew:

    python tests/pages.py
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from mlpkern.cli import main

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = ("docs/networks.md", "docs/softmax.md", "docs/training.md", "docs/mpi.md")

BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n*^```text\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
COMMAND = re.compile(r"^    mlpkern (plot .*)$", re.MULTILINE)


def outputs(page: str) -> Iterator[tuple[re.Match[str], str]]:
    """Run a page's blocks in order; each with what it printed."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    session = {"__name__": "__main__"}
    for block in BLOCK.finditer(text):
        printed = io.StringIO()
        lines_above = text.count("\n", 0, block.start("code"))  # a traceback names the page's line
        code = compile("\n" * lines_above + block["code"], page, "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, session)
        yield block, printed.getvalue()


def differences(expected: str, found: str) -> list[str]:
    """Return where two outputs differ: in words, or in numbers by more than the digits shown."""
    pairs = list(zip(expected.splitlines(), found.splitlines(), strict=False))
    differ = [f"{a!r} is now {b!r}" for a, b in pairs if not _alike(a, b)]
    if len(expected.splitlines()) != len(found.splitlines()):
        differ.append(f"{len(expected.splitlines())} lines are now {len(found.splitlines())}")
    return differ


def _alike(a: str, b: str) -> bool:
    expected, found = a.split(), b.split()
    return len(expected) == len(found) and all(map(_alike_words, expected, found))


def _alike_words(a: str, b: str) -> bool:
    try:
        return a == b or math.isclose(float(a), float(b), rel_tol=2e-3, abs_tol=1e-7)
    except ValueError:
        return False


def commands(page: str) -> list[list[str]]:
    """Return the arguments of a page's commands."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return [shlex.split(line) for line in COMMAND.findall(text)]


def rewrite(page: str) -> None:
    """Write what a page prints into it, and its pictures beside it."""
    path = REPOSITORY / page
    text = path.read_text(encoding="utf-8")
    for block, printed in reversed(list(outputs(page))):
        if block["output"] is not None:
            start, end = block.span("output")
            text = text[:start] + printed + text[end:]
    path.write_text(text, encoding="utf-8")
    os.chdir(REPOSITORY)
    for arguments in commands(page):
        main(arguments)


if __name__ == "__main__":
    for each in PAGES:
        rewrite(each)
