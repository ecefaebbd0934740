"""CSV files with a header. Errors name the line of the file and the column."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4096  # rows converted at once: as text, a large table would not fit into memory


def read_csv(
    path: Path,
    target: str | None = None,
    inputs: Sequence[str] | None = None,
    need_target: bool = True,
) -> tuple[tuple[str, ...], NDArray[np.float64], str, NDArray[Any] | None]:
    """Return (names of the inputs, inputs (n, D), name of the target, target (n,)).

    `target` None is the last column, `inputs` None every other one. The target is an array of
    float64 where all of it are numbers, of text otherwise, and None where it is not needed and not
    there. Commas, semicolons or tabs part the columns; the file may be gzipped.
    """
    try:
        with _open(path) as file:
            return _read(file, target, inputs, need_target)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file in UTF-8") from None
    except (csv.Error, EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _open(path: Path) -> IO[str]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    if zipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read(
    file: IO[str], target: str | None, inputs: Sequence[str] | None, need_target: bool
) -> tuple[tuple[str, ...], NDArray[np.float64], str, NDArray[Any] | None]:
    first = file.readline()
    delimiter = max(",;\t", key=first.count)
    header = _header(next(csv.reader([first], delimiter=delimiter), []))
    name = header[-1] if target is None else target
    if need_target and name not in header:
        raise ValueError(f"there is no column {name!r}; the columns are {', '.join(header)}")
    names = tuple(column for column in header if column != name) if inputs is None else (*inputs,)
    missing = [column for column in names if column not in header]
    if missing:
        raise ValueError(f"line 1: there is no column {missing[0]!r}")
    if not names:
        raise ValueError("line 1: there must be at least one column beside the target")

    places = [header.index(column) for column in names]
    y_place = header.index(name) if name in header else None
    blocks: list[NDArray[np.float64]] = []
    texts: list[str] = []
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    for lines, rows in _blocks(reader, len(header)):
        blocks.append(_numbers([[row[p] for p in places] for row in rows], lines, names))
        if y_place is not None:
            for row, line in zip(rows, lines, strict=True):
                texts.append(_filled(row[y_place].strip(), line, name))
    if not blocks:
        raise ValueError("there are no rows below the header")
    return names, np.concatenate(blocks), name, None if y_place is None else _target(texts, name)


def _header(names: list[str]) -> tuple[str, ...]:
    header = tuple(name.strip() for name in names)
    if not any(header):
        raise ValueError("line 1 must name the columns, and is empty")
    if all(_number(name) is not None for name in header):
        raise ValueError(f"line 1 must name the columns, and holds numbers: {', '.join(header)}")
    for i, name in enumerate(header):
        if not name or name in header[:i]:
            what = f"the name {name!r} a second time" if name else "no name"
            raise ValueError(f"line 1: column {i + 1} has {what}")
    return header


def _blocks(reader: Any, width: int) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Yield the numbers of the lines and their cells, a block at a time, without empty lines."""
    lines: list[int] = []
    rows: list[list[str]] = []
    for row in reader:
        line = reader.line_num + 1  # the header was read before
        if not row:
            continue
        if len(row) != width:
            raise ValueError(f"line {line} must have {width} cells as line 1 has, not {len(row)}")
        lines.append(line)
        rows.append(row)
        if len(rows) == _BLOCK:
            yield lines, rows
            lines, rows = [], []
    if rows:
        yield lines, rows


def _numbers(cells: list[list[str]], lines: list[int], names: Sequence[str]) -> NDArray[np.float64]:
    try:
        block = np.array(cells, dtype=np.float64)
        if np.isfinite(block).all():
            return block
    except ValueError:
        pass
    for row, line in zip(cells, lines, strict=True):  # find the cell that is to blame
        for cell, name in zip(row, names, strict=True):
            value = _number(_filled(cell, line, name))
            if value is None or not math.isfinite(value):
                raise ValueError(
                    f"line {line}, column {name!r}: an input must be a finite number, not {cell!r}"
                )
    return np.array([[float(cell) for cell in row] for row in cells])


def _filled(cell: str, line: int, name: str) -> str:
    if not cell.strip():
        raise ValueError(f"line {line}, column {name!r}: the cell is empty")
    return cell


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _target(texts: list[str], name: str) -> NDArray[Any]:
    """Return numbers where all of them are, text otherwise."""
    numbers = [_number(text) for text in texts]
    if any(number is None for number in numbers):
        return np.array(texts)
    values = np.array(numbers, dtype=np.float64)
    if not np.isfinite(values).all():
        line = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"column {name!r}: a target must be finite, not {texts[line]!r}")
    return values
