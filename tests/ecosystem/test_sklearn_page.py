"""docs/sklearn.md: its code prints what stands there.

To write that anew: ``cd tests && python -c "import pages; pages.rewrite('docs/sklearn.md')"``.
"""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("scipy")

import pages


def test_code_prints_what_stands_below_it():
    blocks = list(pages.outputs("docs/sklearn.md"))
    assert sum(bool(block["output"]) for block, _ in blocks) == 2
    for block, printed in blocks:
        assert pages.differences(block["output"] or "", printed) == []
