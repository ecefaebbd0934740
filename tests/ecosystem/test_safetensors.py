"""safetensors files: what comes back, what others read in them, and files that are refused."""

import json
import os
import sys

import numpy as np
import pytest

import mlpkern as mk
from mlpkern.formats.safetensors import load_safetensors_with_metadata

safetensors_numpy = pytest.importorskip("safetensors.numpy")


def shared_network():
    f = mk.Linear(3, 3, seed=1)
    return mk.Chain(f, mk.Tanh(), mk.Sum(f, mk.Linear(3, 3, bias=False)), mk.ELU(alpha=0.5))


NETWORKS = {
    "mlp": lambda: mk.MLP([4, 5, 3], hidden="gelu", output="softargmax", seed=3),
    "float64": lambda: mk.MLP([4, 5, 3], dtype=np.float64),
    "one layer": lambda: mk.Linear(4, 2, bias=False),
    "empty": lambda: mk.Chain(mk.Linear(4, 0), mk.Linear(0, 2)),
    "shared": shared_network,
    "no parameters": lambda: mk.Chain(mk.Tanh(), mk.Softplus(beta=2.0)),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
def test_a_network_comes_back_bit_for_bit(tmp_path, make):
    net = make()
    mk.save_safetensors(tmp_path / "net", net)
    again = mk.load_safetensors(tmp_path / "net")
    assert again.config() == net.config()
    assert again.parameters.dtype == net.parameters.dtype
    assert again.parameters.tobytes() == net.parameters.tobytes()
    assert not np.shares_memory(again.parameters, net.parameters)


def test_others_read_the_arrays_by_name(tmp_path):
    net = shared_network()
    mk.save_safetensors(tmp_path / "net", net)
    tensors = safetensors_numpy.load_file(tmp_path / "net")
    assert sorted(tensors) == ["layers.0.b", "layers.0.w", "layers.2.layers.1.w"]
    np.testing.assert_array_equal(tensors["layers.0.w"], net.layers[0].w)
    np.testing.assert_array_equal(tensors["layers.2.layers.1.w"], net.layers[2].layers[1].w)


def test_metadata_come_back(tmp_path):
    metadata = {"classes": ["ä", "b"], "scale": 1 / 3, "nested": {"n": [1, None]}}
    mk.save_safetensors(tmp_path / "net", mk.MLP([2, 2]), metadata)
    net, again = load_safetensors_with_metadata(tmp_path / "net")
    assert again == metadata
    assert net.parameters.size == 6


def test_the_same_network_gives_the_same_bytes(tmp_path):
    for name in "ab":
        mk.save_safetensors(tmp_path / name, mk.MLP([2, 3, 2]), {"a": 1, "b": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("net", "metadata", "text"),
    [
        (3, None, "save_safetensors needs a network such as an MLP, not int"),
        ("mlp", {"x": float("nan")}, "metadata must be what JSON can hold"),
    ],
)
def test_what_cannot_be_saved(tmp_path, net, metadata, text):
    with pytest.raises(TypeError, match=text):
        mk.save_safetensors(tmp_path / "n", mk.MLP([2, 2]) if net == "mlp" else net, metadata)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net"
    mk.save_safetensors(path, mk.MLP([2, 2]))
    before = path.read_bytes()

    def fail(*args):
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        mk.save_safetensors(path, mk.MLP([5, 5]))
    assert [file.name for file in tmp_path.iterdir()] == ["net"]
    assert path.read_bytes() == before


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        mk.load_safetensors(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        mk.load_safetensors(tmp_path)


def test_every_truncated_file_is_refused(tmp_path):
    mk.save_safetensors(tmp_path / "net", mk.MLP([2, 2]))
    data = (tmp_path / "net").read_bytes()
    for length in range(0, len(data), 5):
        (tmp_path / "cut").write_bytes(data[:length])
        with pytest.raises(ValueError, match="cut is not a model that can be read: "):
            mk.load_safetensors(tmp_path / "cut")


LINEAR = {"type": "Linear", "inputs": 2, "outputs": 1, "bias": True}
MODEL = {
    "format": "mlpkern",
    "version": 1,
    "dtype": "float32",
    "config": {"type": "Chain", "maps": [LINEAR]},
    "metadata": {},
}
ARRAYS = {"layers.0.w": np.ones((2, 1), np.float32), "layers.0.b": np.ones(1, np.float32)}


def doubled(times):
    """Each map twice the one before: 2 ** times linear maps in a few kilobytes."""
    config = {"type": "Chain", "maps": [LINEAR]}
    for depth in range(times, 0, -1):
        config = {"type": "Sum", "maps": [config, {"type": "Shared", "index": depth}]}
    return config


HOSTILE = {
    "foreign": (None, {}, "mlpkern did not write it"),
    "no json": ("{", {}, "Expecting property name"),
    "a list": ("[]", {}, "must be JSON objects"),
    "nested": ("[" * 100_000, {}, "nested too deeply"),
    "format": ({"format": "pt"}, {}, "its format must be 'mlpkern', not 'pt'"),
    "version": ({"version": 2}, {}, "its version must be 1, not 2"),
    "metadata": ({"metadata": 3}, {}, "must be JSON objects"),
    "dtype": ({"dtype": "float64"}, {}, "its dtype is 'float64'"),
    "half": ({}, {"layers.0.b": np.ones(1, np.float16)}, "all F32 or all F64, not F16, F32"),
    "integers": (
        {},
        {"layers.0.w": np.ones((2, 1), int), "layers.0.b": np.ones(1, int)},
        "not I64",
    ),
    "missing": ({}, {"layers.0.b": None}, "its network has 3 parameters, and it holds 2"),
    "other name": (
        {},
        {"layers.0.b": None, "layers.1.b": np.ones(1, np.float32)},
        "it differs in 'layers.0.b'",
    ),
    "shape": (
        {},
        {"layers.0.w": np.ones((1, 2), np.float32)},
        r"layers.0.w must have shape (2, 1), not (1, 2)",
    ),
    "huge": (
        {"config": LINEAR | {"inputs": 2**30, "outputs": 2**30}},
        {},
        "its network has 1152921505680588800 parameters",
    ),
    "bomb": ({"config": doubled(64)}, {}, "may have 10000 maps, not 55340232221128654847"),
}


@pytest.mark.parametrize(("model", "arrays", "why"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_one_clear_error(tmp_path, model, arrays, why):
    text = json.dumps(MODEL | model) if isinstance(model, dict) else model
    tensors = {k: v for k, v in (ARRAYS | arrays).items() if v is not None}
    path = tmp_path / "bad"
    safetensors_numpy.save_file(tensors, path, None if text is None else {"mlpkern": text})
    with pytest.raises(ValueError, match="bad is not a model that can be read: ") as caught:
        mk.load_safetensors(path)
    assert why in str(caught.value)


def test_the_file_that_the_hostile_ones_change_is_good(tmp_path):
    safetensors_numpy.save_file(ARRAYS, tmp_path / "good", {"mlpkern": json.dumps(MODEL)})
    np.testing.assert_array_equal(mk.load_safetensors(tmp_path / "good").parameters, [1, 1, 1])


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.delitem(sys.modules, "safetensors.numpy")
    with pytest.raises(ImportError, match=r"install it with: pip install 'mlpkern\[safetensors\]'"):
        mk.save_safetensors(tmp_path / "net", mk.MLP([2, 2]))
