"""The documentation's pages of the API leave no public name out."""

from __future__ import annotations

import importlib
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import mlpkern as mk

API = Path(__file__).resolve().parent.parent / "docs" / "api"
# ".. api:: module" takes all of a module's names, or those of its option :only:, without :but:.
DIRECTIVE = re.compile(
    r"^\.\. api:: (\S+)\n(?:   :only: (.*)\n)?(?:   :but: (.*)\n)?", re.MULTILINE
)


def documented(text: str) -> set[str]:
    """The names that a page's directives take, as module.name."""
    found = set()
    for name, only, but in DIRECTIVE.findall(text):
        try:
            module = importlib.import_module(name)
        except ImportError:  # it needs an optional library; the package has none of its names
            continue
        for public in module.__all__:
            taken = any(fnmatchcase(public, pattern) for pattern in only.split() or ["*"])
            if taken and not any(fnmatchcase(public, pattern) for pattern in but.split()):
                found.add(f"{name}.{public}")
    return found


PAGES = "".join(page.read_text() for page in sorted(API.glob("*.md")))
NAMES = {name.rpartition(".")[2] for name in documented(PAGES)}


@pytest.mark.parametrize("name", sorted(set(mk.__all__) - {"reference"}))
def test_every_public_name_has_an_entry(name: str) -> None:
    assert name in NAMES


def test_a_missing_name_is_found() -> None:
    assert documented(".. api:: mlpkern\n   :only: Map Fro*\n") == {"mlpkern.Map", "mlpkern.Frozen"}
    assert "mlpkern.losses.Huber" not in documented(".. api:: mlpkern.losses\n   :but: Huber\n")


def test_every_page_of_the_api_is_in_its_table() -> None:
    entries = (API / "index.md").read_text().split("```{toctree}\n")[1].split("```")[0].split()
    assert sorted(entries) == sorted(p.stem for p in API.glob("*.md") if p.stem != "index")
