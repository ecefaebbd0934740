"""CSV files with a header. Errors name the line of the file and the column."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .inputs import Categories, Inputs, filled, number
from .table import Table

_BLOCK = 4096  # rows converted at once: as text, a large table would not fit into memory

Choice = Callable[[tuple[str, ...]], tuple[str, tuple[str, ...]]]  # header: target, inputs


def read_csv(path: Path, target: str | None = None, ignore: Sequence[str] = ()) -> Table:
    """Return a file to learn from: every column but those to ignore and the target is an input.

    `target` None is the last column that is not ignored. The targets are an array of float64 where
    all of them are numbers, of text otherwise. Commas, semicolons or tabs part the columns; the
    file may be gzipped.
    """

    def choose(header: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        rest = [column for column in header if column not in ignore]
        if not rest:
            raise ValueError("every column is ignored: there is none to predict")
        name = target if target is not None else rest[-1]
        for wanted in (name, *ignore):
            if wanted not in header:
                raise ValueError(
                    f"there is no column {wanted!r}; the columns are {', '.join(header)}"
                )
        if name in ignore:
            raise ValueError(f"column {name!r} cannot be the target and ignored")
        return name, tuple(column for column in rest if column != name)

    return _parsed(path, choose, None)


def read_csv_inputs(
    path: Path, inputs: Sequence[str], target: str, categories: Categories
) -> Table:
    """Return what a model takes from a file: its columns and categories; targets if there are."""
    return _parsed(path, lambda header: (target, (*inputs,)), categories)


def _parsed(path: Path, choose: Choice, categories: Categories | None) -> Table:
    try:
        with _open(path) as file:
            return _read(file, choose, categories)
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


def _read(file: IO[str], choose: Choice, categories: Categories | None) -> Table:
    first = file.readline()
    delimiter = max(",;\t", key=first.count)
    header = _header(next(csv.reader([first], delimiter=delimiter), []))
    name, names = choose(header)
    missing = [column for column in names if column not in header]
    if missing:
        raise ValueError(f"line 1: there is no column {missing[0]!r}")
    if not names:
        raise ValueError("line 1: there must be at least one column beside the target")

    places = [header.index(column) for column in names]
    y_place = header.index(name) if name in header else None
    inputs = Inputs(names, categories)
    texts: list[str] = []
    rows_read = 0
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    for lines, rows in _blocks(reader, len(header)):
        rows_read += len(rows)
        inputs.add([[row[p] for p in places] for row in rows], lines)
        if y_place is not None:
            for row, line in zip(rows, lines, strict=True):
                texts.append(filled(row[y_place].strip(), line, name))
    if not rows_read:
        raise ValueError("there are no rows below the header")
    y = None if y_place is None else _target(texts, name)
    return Table(
        inputs.array(),
        y,
        columns=names,
        target=name,
        categories=inputs.categories(),
        unknown=inputs.unknown,
    )


def _header(names: list[str]) -> tuple[str, ...]:
    header = tuple(name.strip() for name in names)
    if not any(header):
        raise ValueError("line 1 must name the columns, and is empty")
    if all(number(name) is not None for name in header):
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


def _target(texts: list[str], name: str) -> NDArray[Any]:
    """Return numbers where all of them are, text otherwise."""
    numbers = [number(text) for text in texts]
    if any(value is None for value in numbers):
        return np.array(texts)
    values = np.array(numbers, dtype=np.float64)
    if not np.isfinite(values).all():
        line = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"column {name!r}: a target must be finite, not {texts[line]!r}")
    return values
