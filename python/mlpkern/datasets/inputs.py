"""The inputs of a CSV file: columns of numbers as they are, columns of text as ones and zeros.

A column of text with k categories is k inputs, in the order of the sorted categories: 1 for the
cell's own, 0 for the others; all 0 where a model that has learned without the category predicts.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

MOST_CATEGORIES = 100

Categories = Mapping[str, Sequence[str]]


class Inputs:
    """The inputs so far, a block of rows at a time.

    Parameters
    ----------
    names : the columns
    known : the categories of each column of text, where a model has learned them; otherwise the
        first block says which columns hold text: those with words, and without a finite number

    Attributes
    ----------
    unknown : of each column with cells that are none of the known categories, how many there are,
        the first one, and its line
    """

    def __init__(self, names: Sequence[str], known: Categories | None) -> None:
        self.names, self._learns = names, known is None
        self._codes: dict[str, dict[str, int]] | None = None
        if known is not None:
            self._codes = {
                name: {category: i for i, category in enumerate(categories)}
                for name, categories in known.items()
            }
        self._numbers: list[NDArray[np.float64]] = []
        self._coded: dict[str, list[NDArray[np.int64]]] = {}
        self.unknown: dict[str, tuple[int, str, int]] = {}

    def add(self, rows: Sequence[Sequence[str]], lines: Sequence[int]) -> None:
        """Takes rows of cells, one a column; ValueError at a cell that does not fit."""
        if self._codes is None:
            columns = zip(self.names, zip(*rows, strict=True), strict=True)
            self._codes = {
                name: {}
                for name, cells in columns
                if any(number(cell) is None for cell in cells) and not any(map(finite, cells))
            }
        places = [p for p, name in enumerate(self.names) if name not in self._codes]
        cells = [[row[p] for p in places] for row in rows] if self._codes else rows
        self._numbers.append(_numbers(cells, lines, [self.names[p] for p in places]))
        for place, name in enumerate(self.names):
            if name in self._codes:
                column = [row[place] for row in rows]
                self._coded.setdefault(name, []).append(self._code(column, lines, name))

    def categories(self) -> dict[str, tuple[str, ...]]:
        """The categories of each column of text, sorted."""
        return {name: tuple(sorted(codes)) for name, codes in (self._codes or {}).items()}

    def array(self) -> NDArray[np.float64]:
        """All rows, (n, D)."""
        numbers = np.concatenate(self._numbers)
        if not self._codes:
            return numbers
        columns = iter(numbers.T)
        parts = [
            self._ones(name) if name in self._codes else next(columns)[:, None]
            for name in self.names
        ]
        return np.concatenate(parts, axis=1)

    def _ones(self, name: str) -> NDArray[np.float64]:
        assert self._codes is not None
        codes = self._codes[name]
        order = np.array([codes[category] for category in sorted(codes)])
        ones: NDArray[np.float64] = np.equal.outer(np.concatenate(self._coded[name]), order) * 1.0
        return ones

    def _code(self, cells: Sequence[str], lines: Sequence[int], name: str) -> NDArray[np.int64]:
        """The number of each cell's category; -1 for one that is not known."""
        assert self._codes is not None
        codes, found = self._codes[name], []
        for cell, line in zip(cells, lines, strict=True):
            text = filled(cell, line, name).strip()
            if text not in codes and self._learns:
                if finite(text):
                    raise ValueError(
                        f"line {line}, column {name!r}: an input must be text as in the lines "
                        f"before, not {cell!r}"
                    )
                codes[text] = len(codes)
            elif text not in codes:
                count, first, at = self.unknown.get(name, (0, text, line))
                self.unknown[name] = (count + 1, first, at)
            found.append(codes.get(text, -1))
        if len(codes) > MOST_CATEGORIES:
            raise ValueError(
                f"column {name!r} must have at most {MOST_CATEGORIES} different texts, and has "
                "more: ignore it, or turn it into numbers"
            )
        return np.array(found)


def number(text: str) -> float | None:
    """Return the number that a text says, None where it says none."""
    try:
        return float(text)
    except ValueError:
        return None


def finite(text: str) -> bool:
    """Whether a text says a finite number: nan and inf may be words of a column of text."""
    value = number(text)
    return value is not None and math.isfinite(value)


def filled(cell: str, line: int, name: str) -> str:
    """Return a cell as it is; ValueError where it is empty."""
    if not cell.strip():
        raise ValueError(f"line {line}, column {name!r}: the cell is empty")
    return cell


def _numbers(
    cells: Sequence[Sequence[str]], lines: Sequence[int], names: Sequence[str]
) -> NDArray[np.float64]:
    try:
        block = np.array(cells, dtype=np.float64)
        if np.isfinite(block).all():
            return block
    except ValueError:
        pass
    for row, line in zip(cells, lines, strict=True):  # find the cell that is to blame
        for cell, name in zip(row, names, strict=True):
            if not finite(filled(cell, line, name)):
                raise ValueError(
                    f"line {line}, column {name!r}: an input must be a finite number, not {cell!r}"
                )
    return np.array([[float(cell) for cell in row] for row in cells])
