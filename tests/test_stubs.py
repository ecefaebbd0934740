"""The stub of the activations says what the compiled table says."""

from __future__ import annotations

import ast

from make_stubs import STUB, stub


def test_stub_of_activations_is_up_to_date() -> None:
    written, made = ast.parse(STUB.read_text()), ast.parse(stub())
    assert ast.dump(written) == ast.dump(made), "run: python tests/make_stubs.py"
