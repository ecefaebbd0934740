"""Files of named arrays: a zip archive of .npy members, stored uncompressed, which np.load reads.

An array has one dimension and holds bytes, float32 or float64, little-endian. What is no array is
JSON, as UTF-8 bytes; `pack` and `unpack` take apart what mixes both.

A file is written beside its place, synced and renamed, so that a reader finds the old one or the
new one. Reading trusts nothing: every size is held against the file's before memory is reserved.
"""

import contextlib
import errno
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"PK\x03\x04"

StrPath = str | os.PathLike[str]


def write_arrays(path: StrPath, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write one-dimensional arrays by name; after any failure an older file is as it was."""
    little = {
        name: array.astype(array.dtype.newbyteorder("<"), copy=False)
        for name, array in arrays.items()
    }
    members: dict[str, Any] = little  # np.savez has an argument of another type
    write_whole(path, lambda file: np.savez(file, **members))


def read(path: StrPath) -> bytes:
    """Return a file's bytes; of what is no zip archive, the first ones."""
    with open(path, "rb") as file:
        data = file.read(len(_MAGIC))
        return data + file.read() if data == _MAGIC else data


def is_archive(data: bytes) -> bool:
    """Return whether bytes begin as a zip archive does."""
    return data.startswith(_MAGIC)


def arrays_in(data: bytes, check: Callable[[list[str]], object]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name; `check` sees the members' names first, and may raise."""
    import zipfile  # here: with it, `import mlpkern` takes milliseconds more

    if not is_archive(data):
        raise ValueError("it is no zip archive")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        check(sorted(member.filename for member in members))
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its arrays must be stored uncompressed")
        if sum(member.file_size for member in members) > len(data):
            raise ValueError("it announces more bytes than it has")
        names = [member.filename for member in members]
        return {name.removesuffix(".npy"): _array(archive.read(name)) for name in names}


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


def as_bytes(text: str) -> NDArray[np.uint8]:
    """Return a text as the array that holds it."""
    return np.frombuffer(text.encode(), np.uint8)


def as_object(array: NDArray[Any], name: str) -> dict[str, Any]:
    """Return the JSON object that an array of bytes holds."""
    value = json.loads(array.tobytes()) if array.dtype == np.uint8 else None
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object")
    return value


@contextlib.contextmanager
def refusing(path: object, what: str = "model") -> Iterator[None]:
    """Turns whatever damaged or foreign bytes raise inside into one ValueError about the file."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # zipfile, numpy and json raise a dozen kinds for bad bytes
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path} is not a {what} that can be read: {why}") from None


def write_whole(path: StrPath, write: Callable[[IO[bytes]], object]) -> None:
    """Have `write` fill a file that takes the place of `path` once it is on the disk."""
    place = Path(os.path.realpath(path))
    if not place.parent.is_dir():  # or else the error would name the temporary file
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
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


def pack(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """Return what JSON can hold; arrays of floats go into the list, NaN and infinities into text.

    Raises
    ------
    TypeError
        At anything else.
    """
    if isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64):
        arrays.append(value.ravel())
        return {"$array": len(arrays) - 1, "shape": list(value.shape)}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [pack(item, arrays) for item in value]
    if isinstance(value, dict) and all(isinstance(k, str) and k[:1] != "$" for k in value):
        return {key: pack(item, arrays) for key, item in value.items()}
    raise TypeError(
        "must be made of numbers, text, None, lists, dicts by text, and arrays of float32 or "
        f"float64; got {type(value).__name__}"
    )


def unpack(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """Return what `pack` was given; tuples come back as lists."""
    if isinstance(value, list):
        return [unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$float" in value:
        return float(value["$float"])
    if "$array" in value:
        index = value["$array"]
        if type(index) is not int or not 0 <= index < len(arrays):
            raise ValueError(f"an array must be one of {len(arrays)}, not {index!r}")
        return arrays[index].reshape(value["shape"])
    return {key: unpack(item, arrays) for key, item in value.items()}
