"""The pages in docs/: their code, what it prints, the commands that draw their pictures.

A page is one session: its Python blocks run in order. A text block behind one holds what that one
prints. Blocks marked "python torch" or so are another library's, and make a session of their own,
which begins with the page's first block. Indented lines that begin with `mlpkern plot` draw the
page's pictures. To write all that is printed, and the pictures, anew:

    python tests/pages.py
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import Any

from mlpkern.cli import main

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = (
    "docs/from_keras.md",
    "docs/from_numpy.md",
    "docs/from_pytorch.md",
    "docs/from_sklearn.md",
    "docs/index.md",
    "docs/mpi.md",
    "docs/networks.md",
    "docs/quickstart.md",
    "docs/softmax.md",
    "docs/training.md",
)

BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?::::\n)?(?:\n*^```text\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
FOREIGN = re.compile(r"^```python (?P<library>\w+)\n(?P<code>.*?)^```\n", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^    mlpkern (plot .*)$", re.MULTILINE)


def outputs(page: str) -> list[tuple[re.Match[str], str]]:
    """Run a page's blocks in order; each with what it printed."""
    blocks = list(BLOCK.finditer(text_of(page)))
    return list(zip(blocks, _session(page, blocks)[0], strict=True))


def sessions(page: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a page's blocks, and another library's behind the first; the names that both leave."""
    ours = list(BLOCK.finditer(text_of(page)))
    theirs = list(FOREIGN.finditer(text_of(page)))
    return _session(page, ours)[1], _session(page, [ours[0], *theirs])[1]


def text_of(page: str) -> str:
    """A page's text."""
    return (REPOSITORY / page).read_text(encoding="utf-8")


def _session(page: str, blocks: list[re.Match[str]]) -> tuple[list[str], dict[str, Any]]:
    """Run blocks in a folder of their own; what each printed, and the names that they leave."""
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in blocks:
            # Lines above the block, so that a traceback names the page's line.
            lines_above = block.string.count("\n", 0, block.start("code"))
            code = compile("\n" * lines_above + block["code"], page, "exec")
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(code, names)
            printed.append(out.getvalue())
    return printed, names


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
    return [shlex.split(line) for line in COMMAND.findall(text_of(page))]


def rewrite(page: str) -> None:
    """Write what a page prints into it, and its pictures beside it."""
    path = REPOSITORY / page
    text = text_of(page)
    for block, printed in reversed(outputs(page)):
        if block["output"] is not None:
            start, end = block.span("output")
            text = text[:start] + printed + text[end:]
    path.write_text(text, encoding="utf-8")
    os.chdir(REPOSITORY)
    (REPOSITORY / "docs" / "images").mkdir(exist_ok=True)
    for arguments in commands(page):
        main(arguments)


if __name__ == "__main__":
    for each in PAGES:
        rewrite(each)
