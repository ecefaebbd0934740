"""The page on formats: its code runs, its table of operators is what is exported."""

import re
from pathlib import Path

import numpy as np
import pytest

import mlpkern as mk

for library in ("onnx", "onnxruntime", "safetensors", "sklearn", "torch"):
    pytest.importorskip(library)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def test_its_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    session = {"__name__": "__main__"}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), session)
    assert capsys.readouterr().out == "True\nTrue\n"


def operators(f, dtype):
    nodes = mk.to_onnx(mk.Chain(mk.Linear(2, 2, dtype=dtype), f)).graph.node
    return " ".join(dict.fromkeys(node.op_type for node in nodes[1:]))


def test_its_table_of_operators_is_what_is_exported():
    text = PAGE.read_text()
    for f in [*(cls() for cls in mk.ACTIVATIONS.values()), mk.ReLU(3.0), mk.GELU("tanh")]:
        row = f"| `{f!r}` | {operators(f, np.float32)} | {operators(f, np.float64)} |\n"
        assert row in text
