"""`mlpkern convert`: from each format to each, with the metadata, and how it fails."""

import itertools
import json

import numpy as np
import pytest

import mlpkern as mk
from mlpkern.cli import main
from mlpkern.persistence import load_with_metadata

onnx = pytest.importorskip("onnx")
pytest.importorskip("safetensors")

ENDINGS = [".npz", ".safetensors", ".onnx"]
SAVE = {".npz": mk.save, ".safetensors": mk.save_safetensors}
LOAD = {".npz": mk.load, ".safetensors": mk.load_safetensors, ".onnx": mk.from_onnx}


@pytest.mark.parametrize(("one", "other"), [*itertools.product(ENDINGS, ENDINGS)])
def test_each_becomes_each(tmp_path, capsys, one, other):
    net = mk.MLP([3, 4, 2], hidden="gelu", output="softargmax", dtype=np.float64)
    source, target = tmp_path / f"a{one}", tmp_path / f"b{other}"
    mk.to_onnx(net, source) if one == ".onnx" else SAVE[one](source, net)
    assert main(["convert", str(source), str(target)]) == 0
    again = LOAD[other](target)
    assert repr(again) == repr(net)
    assert again.parameters.tobytes() == net.parameters.tobytes()
    assert "26 parameters, float64" in capsys.readouterr().out


def test_metadata_go_along(tmp_path, capsys):
    a, b, c = (str(tmp_path / name) for name in ("a.npz", "b.safetensors", "c.npz"))
    mk.save(a, mk.MLP([2, 2]), {"classes": ["x", "y"]})
    assert main(["convert", a, b]) == main(["convert", b, c]) == 0
    assert load_with_metadata(c)[1] == {"classes": ["x", "y"]}
    capsys.readouterr()
    assert main(["convert", a, str(tmp_path / "d.onnx"), "--opset", "13", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"parameters": 6, "dtype": "float32", "left_out": ["classes"]}
    assert onnx.load(tmp_path / "d.onnx").opset_import[0].version == 13
    assert main(["convert", a, str(tmp_path / "e.onnx")]) == 0
    assert "metadata left out: classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["a.npz", "b.pt"], 2, "names must end in .npz, .safetensors, .onnx; got b.pt"),
        (["a.npz", "b.npz", "--opset", "13"], 2, "--opset goes with an OUT that ends in .onnx"),
        (["none.onnx", "b.npz"], 1, "No such file or directory"),
        (["bad.onnx", "b.npz"], 1, "is not a model that can be read: "),
        (["a.npz", "b.onnx", "--opset", "3"], 1, "opset must be from 13 to"),
    ],
)
def test_failures(tmp_path, monkeypatch, capsys, arguments, code, text):
    monkeypatch.chdir(tmp_path)
    mk.save("a.npz", mk.MLP([2, 2]))
    (tmp_path / "bad.onnx").write_bytes(b"hello")
    assert main(["convert", *arguments]) == code
    assert text in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "bad.onnx"]
