"""Saving and loading: what comes back, what damaged and hostile files do, and atomic writes."""

import io
import json
import os
import zipfile

import numpy as np
import pytest

import mlpkern as mk
from mlpkern import persistence


def shared_network():
    f = mk.Linear(3, 3)
    return mk.Chain(f, mk.Tanh(), mk.Sum(f, mk.Linear(3, 3, bias=False)), mk.ELU(alpha=0.5))


NETWORKS = {
    "mlp": lambda: mk.MLP([4, 5, 3], hidden="gelu", output="softargmax", seed=3),
    "float64": lambda: mk.MLP([4, 5, 3], dtype=np.float64),
    "one layer": lambda: mk.Linear(4, 2, bias=False),
    "empty": lambda: mk.Chain(mk.Linear(4, 0), mk.Linear(0, 2)),
    "shared": shared_network,
    "parameters of activations": lambda: mk.Chain(
        mk.ReLU(scale=3.0), mk.Hardtanh(-2.0, 0.5), mk.GELU(approximate="tanh"), mk.Linear(4, 1)
    ),
    "standardized": lambda: mk.Chain(
        mk.Standardize([0.1, 1e-300, -1 / 3, 1e6], [1 / 7, 3, 1e300, -1]), mk.Linear(4, 2)
    ),
    "no parameters": lambda: mk.Chain(mk.Tanh(), mk.Softplus(beta=2.0)),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
def test_a_network_comes_back_bit_for_bit(tmp_path, make):
    net = make()
    mk.save(tmp_path / "net.npz", net)
    again = mk.load(tmp_path / "net.npz")
    assert again.config() == net.config()
    assert again.parameters.dtype == net.parameters.dtype
    assert again.parameters.tobytes() == net.parameters.tobytes()
    assert not np.shares_memory(again.parameters, net.parameters)
    x = np.random.default_rng(0).normal(size=(6, net.inputs or 4)).astype(net.parameters.dtype)
    assert again.predict(x).tobytes() == net.predict(x).tobytes()


def test_nan_and_infinity_are_parameters_like_others(tmp_path):
    net = mk.MLP([2, 2, 1])
    net.parameters[:3] = np.nan, np.inf, -0.0
    mk.save(tmp_path / "net.npz", net)
    assert mk.load(tmp_path / "net.npz").parameters.tobytes() == net.parameters.tobytes()


def test_metadata_comes_back(tmp_path):
    metadata = {"classes": ["ä", "b"], "scale": 1 / 3, "none": None, "nested": {"n": [1, 2]}}
    mk.save(tmp_path / "net.npz", mk.MLP([2, 2]), metadata)
    net, again = persistence.load_with_metadata(tmp_path / "net.npz")
    assert again == metadata
    assert net.parameters.size == 6


def test_the_same_network_gives_the_same_bytes(tmp_path):
    for name in "ab":
        mk.save(tmp_path / name, mk.MLP([2, 2]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_numpy_reads_the_file_without_pickle(tmp_path):
    net = mk.MLP([2, 3])
    mk.save(tmp_path / "net.npz", net)
    with np.load(tmp_path / "net.npz", allow_pickle=False) as arrays:
        model = json.loads(arrays["model"].tobytes())
        np.testing.assert_array_equal(arrays["parameters"], net.parameters)
    assert (model["format"], model["version"], model["dtype"]) == ("mlpkern", 1, "float32")


@pytest.mark.parametrize(
    ("net", "metadata", "error", "text"),
    [
        (3, None, TypeError, "save needs a network such as an MLP, not int"),
        ("mlp", {"x": object()}, TypeError, "metadata must be what JSON can hold"),
        ("mlp", {"x": float("nan")}, TypeError, "metadata must be what JSON can hold"),
    ],
)
def test_what_cannot_be_saved(tmp_path, net, metadata, error, text):
    with pytest.raises(error, match=text):
        mk.save(tmp_path / "net.npz", NETWORKS["mlp"]() if net == "mlp" else net, metadata)
    assert not list(tmp_path.iterdir())


def test_a_network_of_others_maps_is_not_saved(tmp_path):
    f = mk.Linear(2, 2)
    owner = mk.Chain(f)
    with pytest.raises(ValueError, match=r"copy\(\)"):
        mk.save(tmp_path / "net.npz", mk.Chain(f, mk.Linear(2, 2)))
    assert owner.layers
    assert not list(tmp_path.iterdir())


def test_too_many_maps_are_not_saved(tmp_path):
    net = mk.Tanh()
    for _ in range(14):
        net = mk.Sum(net, net)
    with pytest.raises(ValueError, match="a network in a file may have 10000 maps, not 32767"):
        mk.save(tmp_path / "net.npz", net)


@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("place", ["np.savez", "os.fsync"])
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, error, place):
    path = tmp_path / "net.npz"
    mk.save(path, mk.MLP([2, 2]))
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise error

    module, name = place.split(".")
    monkeypatch.setattr({"np": np, "os": os}[module], name, fail)
    with pytest.raises(type(error) if isinstance(error, OSError) else error):
        mk.save(path, mk.MLP([5, 5]))
    assert [file.name for file in tmp_path.iterdir()] == ["net.npz"]
    assert path.read_bytes() == before


def test_saving_follows_a_link_and_keeps_it(tmp_path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "net.npz")
    mk.save(tmp_path / "link.npz", mk.MLP([2, 2]))
    assert (tmp_path / "link.npz").is_symlink()
    assert mk.load(tmp_path / "net.npz").parameters.size == 6


def test_a_missing_file_or_folder_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        mk.load(tmp_path / "net.npz")
    with pytest.raises(FileNotFoundError):
        mk.save(tmp_path / "none" / "net.npz", mk.MLP([2, 2]))
    with pytest.raises(IsADirectoryError):
        mk.load(tmp_path)


def test_every_truncated_file_is_refused(tmp_path):
    mk.save(tmp_path / "net.npz", mk.MLP([2, 2]))
    data = (tmp_path / "net.npz").read_bytes()
    path = tmp_path / "cut.npz"
    for length in range(0, len(data), 3):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"cut\.npz is not a model that can be read: "):
            mk.load(path)


def test_a_changed_byte_is_refused_or_harmless(tmp_path):
    net = mk.MLP([2, 2])
    mk.save(tmp_path / "net.npz", net)
    data = (tmp_path / "net.npz").read_bytes()
    path = tmp_path / "changed.npz"
    texts = []
    for place in range(0, len(data), 2):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            again = mk.load(path)
        except ValueError as error:
            texts.append(str(error))
        else:  # a date, say
            assert again.parameters.tobytes() == net.parameters.tobytes()
    assert len(texts) > len(data) / 4
    assert all(text.startswith(f"{path} is not a model that can be read: ") for text in texts)


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0))
    return file.getvalue()


def npy_header(shape, descr="<f4"):
    """An .npy file that announces much and has nothing."""
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def text(value):
    return npy(np.frombuffer(json.dumps(value).encode(), np.uint8))


LINEAR = {"type": "Linear", "inputs": 2, "outputs": 1, "bias": True}
MODEL = {"format": "mlpkern", "version": 1, "dtype": "float32", "config": LINEAR}
GOOD = {
    "model.npy": text(MODEL),
    "metadata.npy": text({}),
    "parameters.npy": npy(np.ones(3, np.float32)),
}


def chain(*maps):
    return {"type": "Chain", "maps": list(maps)}


def model(**changes):
    return {"model.npy": text(MODEL | changes)}


def nested(depth):
    data = b'{"type":"Chain","maps":[' * depth + b'{"type":"Tanh"}' + b"]}" * depth
    whole = json.dumps(MODEL | {"config": 0}).encode().replace(b'"config": 0', b'"config": ' + data)
    return {"model.npy": npy(np.frombuffer(whole, np.uint8))}


def doubled(times):
    """Each map twice the one before: 2 ** times linear maps in a few kilobytes."""
    config = {"type": "Chain", "maps": [LINEAR]}
    for depth in range(times, 0, -1):  # a map's index is its place in the order of opening
        config = {"type": "Sum", "maps": [config, {"type": "Shared", "index": depth}]}
    return model(config=config)


HOSTILE = {
    "missing member": ({"metadata.npy": None}, "it must hold model.npy, metadata.npy"),
    "foreign member": ({"evil.py": b"1"}, "and nothing else"),
    "pickle": ({"parameters.npy": npy_header((3,), "|O")}, "must be bytes or floats"),
    "structure": ({"parameters.npy": npy_header((3,), "<c16")}, "must be bytes or floats"),
    "two dimensions": ({"parameters.npy": npy(np.ones((3, 1), np.float32))}, "in one dimension"),
    "announced": ({"parameters.npy": npy_header((10**12,))}, "an array of 1000000000000 float32"),
    "negative": ({"parameters.npy": npy_header((-1,))}, "an array of -1 float32 has 0 bytes"),
    "no npy": ({"parameters.npy": b"hello, world"}, "magic string is not correct"),
    "npy version": (
        {"parameters.npy": b"\x93NUMPY\x02\x00" + GOOD["parameters.npy"][8:]},
        "version 1.0 of the .npy format",
    ),
    "no json": ({"model.npy": npy(np.frombuffer(b"{", np.uint8))}, "Expecting property name"),
    "no utf-8": ({"model.npy": npy(np.full(9, 0xFF, np.uint8))}, "decode"),
    "json list": ({"metadata.npy": text([1])}, "metadata must be a JSON object"),
    "json floats": ({"model.npy": npy(np.ones(3, np.float32))}, "model must be a JSON object"),
    "format": (model(format="onnx"), "its format must be 'mlpkern', not 'onnx'"),
    "version": (model(version=2), "its version must be 1, not 2"),
    "dtype": (model(dtype="float16"), "its dtype is 'float16'"),
    "other dtype": (model(dtype="float64"), "its dtype is 'float64', and its parameters are fl"),
    "no architecture": (model(config=None), "an architecture must be a JSON object, not NoneType"),
    "no list": (model(config={"type": "Chain", "maps": 3}), "maps must be a list, not int"),
    "unknown layer": (model(config=chain(LINEAR, {"type": "Evil"})), "Evil"),
    "unknown parameter": (model(config=chain(LINEAR, {"type": "Tanh", "x": 1})), "Tanh"),
    "no map": (model(config=chain(LINEAR, chain())), "at least one map"),
    "unfit layers": (
        model(
            config=chain(
                LINEAR | {"outputs": 1, "inputs": 1, "bias": False}, LINEAR | {"bias": False}
            )
        ),
        "columns",
    ),
    "few parameters": (
        {"parameters.npy": npy(np.ones(2, np.float32))},
        "its network has 3 parameters, and it holds 2",
    ),
    "many parameters": (
        model(config=LINEAR | {"inputs": 2**30, "outputs": 2**30}),
        "its network has 1152921505680588800 parameters",
    ),
    "negative size": (model(config=LINEAR | {"inputs": -2}), "must be whole numbers, not -2"),
    "huge size": (model(config=LINEAR | {"inputs": 2**70}), "must be whole numbers, not 11805"),
    "size true": (model(config=LINEAR | {"inputs": True}), "must be whole numbers, not True"),
    "nested": (nested(100_000), "it is nested too deeply"),
    "shared nowhere": (
        model(config=chain(LINEAR, {"type": "Shared", "index": 7})),
        "a shared map must be one of 2, not 7",
    ),
    "shared in itself": (model(config=chain(LINEAR, {"type": "Shared", "index": 0})), "itself"),
    "shared bomb": (doubled(64), "may have 10000 maps, not 55340232221128654847"),
}


def write(path, changes, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in (GOOD | changes).items():
            if data is not None:
                archive.writestr(name, data)
    return path


def test_the_file_that_the_hostile_ones_change_is_good(tmp_path):
    net = mk.load(write(tmp_path / "good.npz", {}))
    np.testing.assert_array_equal(net.parameters, [1, 1, 1])


@pytest.mark.parametrize(("changes", "why"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_one_clear_error(tmp_path, changes, why):
    path = write(tmp_path / "bad.npz", changes)
    with pytest.raises(ValueError, match=r"bad\.npz is not a model that can be read: ") as caught:
        mk.load(path)
    assert why in str(caught.value)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    zeros = npy(np.zeros(10_000_000, np.float32))
    path = write(tmp_path / "bomb.npz", {"parameters.npy": zeros}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="its arrays must be stored uncompressed"):
        mk.load(path)


def test_an_announced_size_is_held_against_the_file(tmp_path):
    data = write(tmp_path / "good.npz", {}).read_bytes()
    size = len(GOOD["parameters.npy"]).to_bytes(4, "little")
    (tmp_path / "bad.npz").write_bytes(data.replace(size, (2**31).to_bytes(4, "little")))
    with pytest.raises(ValueError, match="it announces more bytes than it has"):
        mk.load(tmp_path / "bad.npz")


@pytest.mark.parametrize("data", [b"", b"x,y\n1,2\n", b"\x93NUMPY" * 20, bytes(1000)])
def test_a_foreign_file_is_refused(tmp_path, data):
    (tmp_path / "foreign").write_bytes(data)
    with pytest.raises(ValueError, match="foreign is not a model that can be read: "):
        mk.load(tmp_path / "foreign")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("net.safetensors", "a safetensors file: load_safetensors reads it"),
        ("net.onnx", "an ONNX model: from_onnx reads it"),
    ],
)
def test_files_of_other_formats_are_named(tmp_path, name, text):
    path = tmp_path / name
    with pytest.raises(FileNotFoundError):
        mk.load(path)
    path.write_bytes(b"\x08\x00\x00\x00")
    with pytest.raises(ValueError, match="load: path must be a file that save wrote") as e:
        mk.load(path)
    assert str(e.value).endswith(f"got {path}, {text}, and mlpkern convert makes an .npz of it")
    path.write_bytes(b"PK\x03\x04")  # one of its own by a wrong name is read, or named as damaged
    with pytest.raises(ValueError, match="is not a model that can be read"):
        mk.load(path)
