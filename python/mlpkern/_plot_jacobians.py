"""The Jacobians along a network for one sample, as the product that they are:

    dy_pred/dx = dy_pred/ds2  ds2/da1  da1/ds1  ds1/dx

A dimension is as long in every matrix that has it, so what meets in the product has one length.
Cells are square unless the network's widths differ by more than a factor of `RATIO`: then lengths
grow with a power of the widths. Colours are symmetric about 0; each matrix reaches the deepest at
its own largest entry, which stands below it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern._figure import GREY, blank
from mlpkern.losses import SquaredError
from mlpkern.maps import Map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "RdBu_r"  # blue below 0, white, red above
RATIO = 16.0
# Inches: the page, around it, between matrices; a title, a letter of it, what stands below; the
# colour bar; the largest matrix (of many), the largest cell, the smallest that a number fits into.
PAGE, MARGIN, GAP = 15.5, 0.25, 0.35
TITLE, LETTER, FOOT, BAR = 0.65, 0.07, 0.3, 0.6
LARGEST, LARGEST_OF_MANY, CELL, READABLE = 4.2, 2.6, 0.4, 0.24
MANY = 5  # matrices
FEW, FEW_ZEROS = 64, 36  # entries that are written into their cells; of a matrix with zeros


class Matrix(NamedTuple):
    """A Jacobian: its name, what it is, its values of shape (rows, columns)."""

    name: str
    formula: str
    values: NDArray[Any]


class _Place(NamedTuple):
    """Where a matrix is drawn: a row of the page, and inches from the left."""

    row: int
    left: float
    slot: float
    width: float
    height: float


def jacobians(net: Map, x: ArrayLike) -> Figure:
    """Return heat maps of every Jacobian along the network for one sample, and of their product.

    Parameters
    ----------
    net : Map
        A chain of linear maps, each with at most one activation behind it.
    x : array, shape (D,) or (1, D)
        The sample.

    Raises
    ------
    TypeError, ValueError
        If the network has another form, or x does not fit.
    """
    matrices = along(net, x)
    places, width = _places(matrices)
    heights = _heights(places)
    figure = blank(width, sum(heights) + BAR, layout=None)
    end = 0.0  # of the matrix before
    for i, (matrix, place) in enumerate(zip(matrices, places, strict=True)):
        below = BAR + sum(heights[place.row + 1 :]) + FOOT
        middle = below + (heights[place.row] - TITLE - FOOT) / 2
        start = place.left + (place.slot - place.width) / 2
        axis = _axis(figure, start, middle - place.height / 2, place.width, place.height)
        _draw(axis, matrix, min(place.width, place.height))
        if i:
            first = place.left <= MARGIN + GAP  # in its row
            across = start - GAP / 2 if first else (end + start) / 2
            _sign(figure, across, middle, "=" if i == 1 else "\N{MIDDLE DOT}")
        end = start + place.width
    _colour_bar(figure)
    return figure


def along(net: Map, x: ArrayLike) -> list[Matrix]:
    """Return the product dy_pred/dx and its factors in order, for one sample of shape (D,)."""
    x = np.asarray(x)
    if x.ndim != 1 and (x.ndim != 2 or len(x) != 1):
        raise ValueError(f"jacobians: x must be one sample, (D,) or (1, D); got {x.shape}")
    x = x.reshape(1, -1)
    t = net.trace(x, net.predict(x), SquaredError())
    factors = [
        Matrix(name, t.formula(name), value[0] if value.ndim == 3 else value)
        for name, value in t.items()
        if "/" in name and not name.startswith("dC/")
    ]
    whole = factors[0].values
    with np.errstate(all="ignore"):  # NaN and infinity of a network go where the product sends them
        for factor in factors[1:]:
            whole = whole @ factor.values
    return [Matrix("dy_pred/dx", "the product", whole), *factors]


def _places(matrices: Sequence[Matrix]) -> tuple[list[_Place], float]:
    """Return where matrices stand, rows of the page filled one after the other, and its width."""
    sides = [side for m in matrices for side in m.values.shape]
    ratio = max(sides) / min(sides)
    power = 1.0 if ratio <= RATIO else math.log(RATIO) / math.log(ratio)
    most = LARGEST if len(matrices) <= MANY else LARGEST_OF_MANY
    unit = min(most / max(sides) ** power, CELL * min(sides) ** (1 - power))
    places: list[_Place] = []
    row, left, right = 0, MARGIN, 0.0
    for m in matrices:
        height, width = (unit * side**power for side in m.values.shape)
        slot = max(width, LETTER * max(len(m.name), len(m.formula)))
        if places and left + slot > PAGE - MARGIN:
            row, left = row + 1, MARGIN + GAP
        places.append(_Place(row, left, slot, width, height))
        left += slot + GAP
        right = max(right, left - GAP)
    return places, right + MARGIN


def _heights(places: Sequence[_Place]) -> list[float]:
    """Return the height of each row of the page."""
    rows = range(places[-1].row + 1)
    return [TITLE + FOOT + max(p.height for p in places if p.row == row) for row in rows]


def _axis(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return an axis at a place that is given in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _sign(figure: Figure, across: float, up: float, sign: str) -> None:
    width, height = figure.get_size_inches()
    size = 16 if sign == "=" else 28
    figure.text(across / width, up / height, sign, fontsize=size, ha="center", va="center_baseline")


def _colour_bar(figure: Figure) -> None:
    from matplotlib.cm import ScalarMappable

    axis = _axis(figure, MARGIN + 0.3, 0.35, 1.6, 0.1)
    colours = ScalarMappable(cmap=COLOURS)
    bar = figure.colorbar(colours, cax=axis, orientation="horizontal", ticks=(0, 0.5, 1))
    bar.ax.set_xticklabels(("\N{MINUS SIGN}largest", "0", "largest"), fontsize=7.5, color=GREY)
    bar.outline.set_linewidth(0.5)


def _largest(values: NDArray[Any]) -> float:
    """Return the largest finite absolute value; 0 where there is none."""
    sizes = np.abs(values.astype(np.float64))
    return float(np.max(sizes, where=np.isfinite(sizes), initial=0.0))


def _draw(axis: Axes, matrix: Matrix, short: float) -> None:
    rows, columns = matrix.values.shape
    largest = _largest(matrix.values)
    limit = largest or 1.0
    axis.imshow(matrix.values, cmap=COLOURS, vmin=-limit, vmax=limit, aspect="auto")
    axis.set_title(f"{matrix.name}\n{matrix.formula}\n({rows}, {columns})", fontsize=8.5)
    axis.set_xlabel(f"largest {largest:.2g}", fontsize=7.5, color=GREY)
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_linewidth(0.5)
    cell = short / min(rows, columns)
    if cell >= READABLE and np.count_nonzero(matrix.values) <= FEW:
        _write_values(axis, matrix.values, limit, min(22.0 * cell, 8.0))


def _write_values(axis: Axes, values: NDArray[Any], limit: float, size: float) -> None:
    """Writes the entries into their cells; zeros, grey, where all entries are few."""
    digits = 2 if limit >= 0.095 else 3
    size *= 5 / (3 + digits)  # small enough for a sign before these
    for (row, column), value in np.ndenumerate(values):
        if value or values.size <= FEW_ZEROS:
            colour = "white" if abs(value) > 0.55 * limit else "black" if value else "#a0a0a0"
            text = _short(value, digits)
            axis.text(column, row, text, fontsize=size, color=colour, ha="center", va="center")


def _short(value: float, digits: int) -> str:
    """Return a number with as many digits behind the point, fewer from 10 on; 0 for zero alone."""
    if value == 0:
        return "0"
    size = abs(value)
    return f"{value:.{digits if size < 9.995 else 1 if size < 99.95 else 0}f}"
