"""Networks in files: `save` and `load`, one .npz without pickle.

The file is a zip archive of three arrays, stored uncompressed, which np.load reads as well:

    model       JSON as UTF-8 bytes: format, version, dtype, and the architecture as net.config()
    metadata    JSON as UTF-8 bytes: whatever was given to save
    parameters  (P,) float32 or float64, in the order of net.parameters

A file is written beside its place, synced and renamed, so that a reader finds the old one or the
new one. Reading trusts nothing: every size is held against the file's before memory is reserved.
"""

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk

FORMAT, VERSION = "mlpkern", 1
MOST_MAPS = 10_000
_MAGIC = b"PK\x03\x04"
_MEMBERS = ("model.npy", "metadata.npy", "parameters.npy")
_DTYPES = {"float32": np.dtype("<f4"), "float64": np.dtype("<f8")}

StrPath = str | os.PathLike[str]


def save(path: StrPath, net: Any, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a network to one file: architecture, dtype and parameters.

    The file is there whole or not at all: after any failure an older file is as it was.

    Parameters
    ----------
    path : where to write, taken as it is (.npz is not appended)
    net : a network that owns its parameters
    metadata : anything JSON can hold, for `load_with_metadata`

    Raises
    ------
    TypeError
        `net` is no network, or `metadata` is nothing that JSON can hold.
    ValueError
        Other networks own maps inside `net` (save its `copy()`), or it has over 10,000 maps.
    """
    model = describe("save", net)
    parameters: NDArray[Any] = net.parameters
    texts = [json.dumps(model), checked_metadata(metadata)]
    arrays: dict[str, Any] = {
        "model": np.frombuffer(texts[0].encode(), np.uint8),
        "metadata": np.frombuffer(texts[1].encode(), np.uint8),
        "parameters": parameters.astype(parameters.dtype.newbyteorder("<"), copy=False),
    }
    write_whole(path, lambda file: np.savez(file, **arrays))


def load(path: StrPath) -> Any:
    """Return the network of a file that `save` wrote.

    Raises
    ------
    ValueError
        The file is damaged, truncated, of a newer version or no mlpkern file at all.
    FileNotFoundError
        There is no such file.
    """
    return load_with_metadata(path)[0]


def load_with_metadata(path: StrPath) -> tuple[Any, dict[str, Any]]:
    """Return the network of a file that `save` wrote, and the metadata; errors as `load` has."""
    with open(path, "rb") as file:
        data = file.read(len(_MAGIC))
        if data == _MAGIC:
            data += file.read()
    with refusing(os.fspath(path)):
        return _read(data)


@contextlib.contextmanager
def refusing(path: object) -> Iterator[None]:
    """Turns whatever damaged or foreign bytes raise inside into one ValueError about the file."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # zipfile, numpy and json raise a dozen kinds for bad bytes
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path} is not a model that can be read: {why}") from None


def describe(who: str, net: Any) -> dict[str, Any]:
    """Return the architecture of a network as files hold it; errors as `save` has."""
    if not hasattr(net, "config") or not hasattr(net, "parameters"):
        raise TypeError(f"{who} needs a network such as an MLP, not {type(net).__name__}")
    model = {
        "format": FORMAT,
        "version": VERSION,
        "dtype": net.parameters.dtype.name,
        "config": net.config(),
    }
    count_parameters(model["config"])
    return model


def checked_metadata(metadata: Mapping[str, Any] | None) -> str:
    """Return the metadata as JSON."""
    try:
        return json.dumps(dict(metadata or {}), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata must be what JSON can hold: {error}") from None


def write_whole(path: StrPath, write: Callable[[IO[bytes]], object]) -> None:
    """Have `write` fill a file that takes the place of `path` once it is on the disk."""
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{place.name}.{os.urandom(6).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name is on the disk too
        directory = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _read(data: bytes) -> tuple[Any, dict[str, Any]]:
    import zipfile  # here: with it, `import mlpkern` takes milliseconds more

    if not data.startswith(_MAGIC):
        raise ValueError("it is no zip archive")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sorted(member.filename for member in members) != sorted(_MEMBERS):
            raise ValueError(f"it must hold {', '.join(_MEMBERS)}, and nothing else")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its arrays must be stored uncompressed")
        if sum(member.file_size for member in members) > len(data):
            raise ValueError("it announces more bytes than it has")
        model, metadata, parameters = (_array(archive.read(name)) for name in _MEMBERS)
    return _network(_json(model, "model"), parameters), _json(metadata, "metadata")


def _array(data: bytes) -> NDArray[Any]:
    """Return the one-dimensional array of an .npy file; its header must announce what is there."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("its arrays must have version 1.0 of the .npy format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=1024)
    if dtype.hasobject or dtype.str not in ("|u1", "<f4", "<f8") or len(shape) != 1:
        raise ValueError(
            f"its arrays must be bytes or floats in one dimension, not {dtype} {shape}"
        )
    there = len(data) - file.tell()
    if shape[0] * dtype.itemsize != there:
        raise ValueError(f"an array of {shape[0]} {dtype} has {there} bytes")
    return np.frombuffer(data, dtype, offset=file.tell())


def _json(array: NDArray[Any], name: str) -> dict[str, Any]:
    value = json.loads(array.tobytes()) if array.dtype == np.uint8 else None
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object")
    return value


def _network(model: dict[str, Any], parameters: NDArray[Any]) -> Any:
    net = build(model, parameters.dtype, parameters.size)
    net.parameters[...] = parameters
    return net


def build(model: dict[str, Any], dtype: np.dtype[Any], size: int) -> Any:
    """Return the network of an architecture that `size` parameters of a dtype came with.

    Nothing is built, and no memory reserved, where the parameters are not what it needs.
    """
    if model.get("format") != FORMAT:
        raise ValueError(f"its format must be {FORMAT!r}, not {model.get('format')!r}")
    if model.get("version") != VERSION:
        raise ValueError(f"its version must be {VERSION}, not {model.get('version')!r}")
    name = model.get("dtype")
    if name not in _DTYPES or dtype != _DTYPES[name]:
        raise ValueError(f"its dtype is {name!r}, and its parameters are {dtype}")
    config: Any = model.get("config")
    count = count_parameters(config)
    if count == size:  # asked before building reserves the memory, and after it
        net = mk.from_config(config, np.dtype(name))
        count = net.parameters.size
    if count != size:
        raise ValueError(f"its network has {count} parameters, and it holds {size}")
    return net


def count_parameters(config: Any) -> int:
    """Return the number of parameters of an architecture; ValueError where it has too many maps."""
    count, maps = _measure(config, [])
    if maps > MOST_MAPS:
        raise ValueError(f"a network in a file may have {MOST_MAPS} maps, not {maps}")
    return count


def _measure(config: Any, seen: list[int]) -> tuple[int, int]:
    """Return the numbers of parameters and of maps, a shared map counted wherever it occurs.

    `seen` has the maps inside each map so far: a few shared maps may stand for billions.
    """
    if not isinstance(config, dict):
        raise ValueError(f"an architecture must be a JSON object, not {type(config).__name__}")
    kind, parts = config.get("type"), config.get("maps", [])
    if kind == "Shared":
        index = config.get("index")
        if type(index) is not int or not 0 <= index < len(seen):
            raise ValueError(f"a shared map must be one of {len(seen)}, not {index!r}")
        return 0, seen[index]
    if kind == "Linear":
        seen.append(1)
        inputs, outputs = (_size(config.get(name)) for name in ("inputs", "outputs"))
        return inputs * outputs + (outputs if config.get("bias") else 0), 1
    if not isinstance(parts, list):
        raise ValueError(f"maps must be a list, not {type(parts).__name__}")
    place, count, maps = len(seen), 0, 1
    if kind in ("Chain", "Sum"):
        seen.append(1)
    for part in parts:
        inside = _measure(part, seen)
        count, maps = count + inside[0], maps + inside[1]
    if kind in ("Chain", "Sum"):
        seen[place] = maps
    return count, maps


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise ValueError(f"a linear map's sizes must be whole numbers, not {value!r}")
    return value
