"""IDX, the format of the MNIST files: a magic number, the dimensions, the values, all big-endian.

byte 0-1  zero
byte 2    type of the values
byte 3    number of dimensions
4 bytes   each dimension
values    row by row
"""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 24  # a damaged header may announce terabytes: nothing is reserved on its word


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the array of an IDX file, gzipped or not, in the machine's byte order.

    Raises
    ------
    ValueError
        The file is no IDX file, or damaged, truncated or too long.
    """
    path = Path(path)
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            if not zipped:
                return _read(raw)
            with gzip.open(raw) as file:
                return _read(file)
        except (gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
            raise ValueError(f"{path} is not a whole IDX file: {error}") from None


def _read(file: IO[bytes] | gzip.GzipFile) -> NDArray[Any]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise ValueError(
            f"it must begin with 00 00, a type of 08 09 0b 0c 0d 0e and the number of dimensions, "
            f"not {magic.hex(' ') or 'nothing'}"
        )
    dtype = np.dtype(_DTYPES[magic[2]])
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise ValueError(f"it ends within its {magic[3]} dimensions")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    expected = math.prod(shape) * dtype.itemsize
    values = bytearray()
    while chunk := file.read(min(_CHUNK, expected + 1 - len(values))):
        values += chunk
    if len(values) != expected:
        came = "more" if len(values) > expected else len(values)
        raise ValueError(
            f"its shape {shape} needs {expected} bytes of values, and there are {came}"
        )
    return np.frombuffer(values, dtype).reshape(shape).astype(dtype.newbyteorder("="))
