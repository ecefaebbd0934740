"""The choice of a reader by the path, and the readers of NPZ files and folders."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .csv_file import read_csv, read_csv_inputs
from .idx import read_idx
from .table import Table


def read_table(
    path: str | os.PathLike[str], target: str | None = None, ignore: Sequence[str] = ()
) -> Table:
    """Return the samples of a CSV file, an NPZ file or a folder of IDX files.

    Parameters
    ----------
    path
        A CSV file whose first line names the columns; an NPZ file with x and y (or X and y), or
        with x_train, y_train, x_test and y_test; or a folder with train-images-idx3-ubyte,
        train-labels-idx1-ubyte and, for a test part, t10k-images-idx3-ubyte and
        t10k-labels-idx1-ubyte, each gzipped (.gz) or not.
    target
        The column of a CSV file to predict; without it, the last one.
    ignore
        Columns of a CSV file to leave out. Of the others, one without any number holds text: each
        of its categories, at most 100, becomes an input that is 0 or 1.

    Raises
    ------
    ValueError
        The file is damaged or not of that form; the text names the line and the column.
    FileNotFoundError
        There is no such file.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == "csv":
        return read_csv(path, target, ignore)
    for what, given in (("a target column", target is not None), ("columns to ignore", ignore)):
        if given:
            raise ValueError(f"{what} can be named for a CSV file only, and {path} is not one")
    return _read_folder(path) if kind == "folder" else _read_npz(path)


def read_inputs(
    path: str | os.PathLike[str],
    columns: Sequence[str] = (),
    target: str = "y",
    categories: Mapping[str, Sequence[str]] | None = None,
) -> Table:
    """Return the samples to predict: the named columns of a CSV file, or the test part.

    `categories` are those that `prepare` gave; a text that is none of them makes 0 of all, and the
    table's `unknown` tells of it. The targets are there where the file has them. A source without a
    test part is taken whole.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == "csv":
        if not columns:
            raise ValueError(
                f"{path} is a CSV file, and the model was trained on inputs without column names"
            )
        return read_csv_inputs(path, columns, target, categories or {})
    table = _read_folder(path) if kind == "folder" else _read_npz(path)
    return table if table.x_test is None else Table(table.x_test, table.y_test)


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folder"
    with path.open("rb") as file:
        return "npz" if file.read(2) == b"PK" else "csv"


def _read_folder(folder: Path) -> Table:
    def read(name: str) -> NDArray[Any] | None:
        for file in (folder / name, folder / f"{name}.gz"):
            if file.exists():
                return read_idx(file)
        return None

    x, y = read("train-images-idx3-ubyte"), read("train-labels-idx1-ubyte")
    x_test, y_test = read("t10k-images-idx3-ubyte"), read("t10k-labels-idx1-ubyte")
    if x is None:
        x, y, x_test, y_test = x_test, y_test, None, None
    if x is None:
        raise ValueError(
            f"{folder} holds neither train-images-idx3-ubyte nor t10k-images-idx3-ubyte, "
            f"gzipped or not"
        )
    return _table(folder, x, y, x_test, y_test)


def _read_npz(path: Path) -> Table:
    with path.open("rb") as file:
        try:
            with np.load(file) as data:
                arrays = {name: data[name] for name in data.files}
        except Exception as error:  # numpy and zipfile raise a dozen kinds for a damaged file
            raise ValueError(f"{path} is not an NPZ file that can be read: {error}") from None
    for names in (("x_train", "y_train", "x_test", "y_test"), ("x", "y"), ("X", "y")):
        if names[0] in arrays:
            return _table(path, *(arrays.get(name) for name in names))
    if "x_test" in arrays:
        return _table(path, arrays["x_test"], arrays.get("y_test"))
    raise ValueError(
        f"{path} must hold x and y, X and y, or x_train, y_train, x_test and y_test, "
        f"not {', '.join(arrays) or 'nothing'}"
    )


def _table(
    path: Path,
    x: NDArray[Any] | None,
    y: NDArray[Any] | None,
    x_test: NDArray[Any] | None = None,
    y_test: NDArray[Any] | None = None,
) -> Table:
    """Return the table of these arrays, a sample a row; ValueError where they do not fit."""
    assert x is not None
    parts: list[tuple[NDArray[Any] | None, NDArray[Any] | None]] = []
    for inputs, targets in ((x, y), (x_test, y_test)):
        if inputs is None:
            parts.append((None, None))
            continue
        if inputs.ndim < 2 or inputs.dtype.kind not in "fiub":
            raise ValueError(
                f"{path}: inputs must be numbers of shape (n, D) or (n, ...), "
                f"not {inputs.dtype} {inputs.shape}"
            )
        if targets is not None and (targets.ndim not in (1, 2) or len(targets) != len(inputs)):
            raise ValueError(
                f"{path}: targets must have shape ({len(inputs)},) or ({len(inputs)}, K), "
                f"not {targets.shape}"
            )
        if not np.isfinite(inputs).all():
            row = int(np.argwhere(~np.isfinite(inputs))[0][0])
            raise ValueError(f"{path}: every input must be finite, and row {row} is not")
        if targets is not None and targets.ndim == 2 and targets.shape[1] == 1:
            targets = targets[:, 0]
        parts.append((inputs.reshape(len(inputs), -1), targets))
    (x, y), (x_test, y_test) = parts
    assert x is not None
    if x_test is not None and x_test.shape[1] != x.shape[1]:
        raise ValueError(
            f"{path}: training and test part must agree in their inputs, "
            f"not {x.shape[1]} and {x_test.shape[1]}"
        )
    return Table(x, y, x_test, y_test)
