"""The pages "coming from …": what stands there for another library runs, and means the same."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest

import pages

# The numbers and arrays that both sides of a page make under one name, and that must agree.
AGREE = {
    "numpy": {"s1", "a1", "s2", "y_pred", "m", "cost", "ds2", "dw2", "db2", "da1", "ds1"}
    | {"dw1", "db1", "dx"},
    "torch": {"y_pred", "cost", "answers", "jacobian"},
    "sklearn": {"good", "shape", "target"},
}
# Those of networks that were trained from other numbers: their shapes agree.
MERELY_ALIKE = {"sklearn": {"probabilities", "classes"}}


def values_of(names: dict[str, Any]) -> dict[str, Any]:
    """The numbers, shapes and arrays of a session, tensors as arrays."""
    values = {}
    for name, value in names.items():
        thing = value.detach().numpy() if hasattr(type(value), "detach") else value
        if isinstance(thing, np.ndarray | np.generic | bool | int | float | tuple):
            values[name] = thing
    return values


def first_names(page: str) -> set[str]:
    """What the first block, which both sides begin with, makes."""
    first = next(pages.BLOCK.finditer(pages.text_of(page)))
    return {node.id for node in ast.walk(ast.parse(first["code"])) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("library", AGREE)
def test_both_sides_of_a_page_agree(library: str) -> None:
    pytest.importorskip(library, reason="a page shows it")
    page = f"docs/from_{'pytorch' if library == 'torch' else library}.md"
    ours, theirs = map(values_of, pages.sessions(page))
    both = (ours.keys() & theirs.keys()) - first_names(page)
    assert both == AGREE[library] | MERELY_ALIKE.get(library, set())
    for name in both:
        assert np.shape(ours[name]) == np.shape(theirs[name]), name
    for name in AGREE[library]:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_every_page_has_another_library_beside_ours() -> None:
    """Keras's blocks are not run, but they are Python."""
    for page in filter(lambda page: "from_" in page, pages.PAGES):
        blocks = list(pages.FOREIGN.finditer(pages.text_of(page)))
        assert len(blocks) >= 3
        assert len({block["library"] for block in blocks}) == 1
        for block in blocks:
            ast.parse(block["code"])
