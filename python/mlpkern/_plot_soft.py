"""The soft maximum and the soft argmax of a vector e, as the inverse temperature beta grows:

softmax_beta(e)    = (1/beta) log sum exp(beta e)          a number, tends to max(e)
softargmax_beta(e) = exp(beta e) / sum exp(beta e)         a vector, tends to one-hot
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk
from mlpkern._figure import BLUE, GREEN, GREY, ORANGE, RED, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = ((0.0, 1.0, 3.0), (0.0, 2.5, 3.0), (1.0, 3.0, 3.0))  # clear, close, a tie
COLOURS = (GREEN, ORANGE, BLUE, RED)


def soft(examples: Sequence[Sequence[float]] = EXAMPLES) -> Figure:
    """Return softmax_beta(e) above softargmax_beta(e) for beta from 0.1 to 100, a column an e.

    Parameters
    ----------
    examples : the vectors e, of up to four numbers

    Raises
    ------
    ValueError
        If there is no vector, or one has none or more than four numbers.
    """
    vectors = [np.asarray(e, np.float64) for e in examples]
    if not vectors or not all(e.ndim == 1 and 1 <= e.size <= len(COLOURS) for e in vectors):
        shapes = ", ".join(str(e.shape) for e in vectors) or "none"
        raise ValueError(f"soft: examples must be vectors of one to four numbers; got {shapes}")
    figure = blank(3.6 * len(vectors) + 0.5, 5.4)
    axes = figure.subplots(2, len(vectors), sharex=True, sharey="row", squeeze=False)
    beta = np.geomspace(0.1, 100, 301)
    for (above, below), e in zip(axes.T, vectors, strict=True):
        above.set_title(f"e = ({', '.join(f'{value:g}' for value in e)})", fontsize=10)
        _draw_maximum(above, beta, e)
        _draw_argmax(below, beta, e)
        below.set_xlabel("β", fontsize=10)
    axes[0, 0].set_ylim(bottom=min(0.0, *(float(e.min()) for e in vectors)))
    axes[0, 0].set_ylabel(r"softmax$_β$(e), a number")
    axes[1, 0].set_ylabel(r"softargmax$_β$(e), a vector")
    for axis in axes.ravel():
        axis.set_xscale("log")
        axis.set_xlim(0.1, 100)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_maximum(axis: Axes, beta: NDArray[Any], e: NDArray[Any]) -> None:
    limit = e.max()
    axis.axhline(limit, color=GREY, linestyle="--", linewidth=1)
    values = np.array([mk.logsumexp(e, b) for b in beta])
    axis.plot(beta, values, color=BLUE)
    axis.annotate(
        f"max(e) = {limit:g}",
        (100, limit),
        xytext=(0, -4),
        textcoords="offset points",
        fontsize=9,
        color=GREY,
        ha="right",
        va="top",
    )
    place = 100  # beta = 1
    axis.annotate(
        r"softmax$_β$(e)",
        (beta[place], values[place]),
        xytext=(6, 6),
        textcoords="offset points",
        fontsize=9,
        color=BLUE,
    )


def _draw_argmax(axis: Axes, beta: NDArray[Any], e: NDArray[Any]) -> None:
    values = np.array([mk.Softargmax(b)(e) for b in beta])
    limits = (e == e.max()) / np.count_nonzero(e == e.max())
    for limit in set(limits.tolist()):
        axis.axhline(limit, color=GREY, linestyle="--", linewidth=1)
    for i, curve in enumerate(values.T):  # of equal ones, the wide one first: both are seen
        again = np.count_nonzero(e[i + 1 :] == e[i])
        axis.plot(beta, curve, color=COLOURS[i], linewidth=1.5 + 2.5 * again)
    ends = values[-1]
    order = sorted(range(e.size), key=lambda i: (ends[i], e[i], i))
    heights = _apart([float(ends[i]) for i in order], 0.07)
    for i, height in zip(order, heights, strict=True):
        axis.text(
            1.03,
            height,
            f"$e_{i + 1}$ = {e[i]:g}",
            transform=axis.get_yaxis_transform(),
            fontsize=9,
            color=COLOURS[i],
            va="center",
        )
    axis.set_ylim(-0.04, 1.04)


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """Return rising heights with `least` or more between neighbours; groups keep their mean."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _span(groups[-1], least)[0] - _span(groups[-2], least)[1] < least:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_span(g, least)[0] + k * least for g in groups for k in range(len(g))]


def _span(group: Sequence[float], least: float) -> tuple[float, float]:
    middle, half = sum(group) / len(group), (len(group) - 1) * least / 2
    return middle - half, middle + half
