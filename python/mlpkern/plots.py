"""Pictures with matplotlib, an optional package (the extra `demo`).

Each function returns a matplotlib Figure, which a notebook shows and `write` saves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import mlpkern as mk
from mlpkern._figure import BLUE, GREEN, GREY, LIGHT, ORANGE, RED, TIMES, blank, write
from mlpkern._plot_jacobians import jacobians
from mlpkern._plot_soft import soft
from mlpkern.activations import ACTIVATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["activations", "digits", "jacobians", "losses", "soft", "write"]
__all__ += ["BLUE", "GREY", "ORANGE", "TIMES", "blank"]  # for the benchmark's picture

_COMPARED_FIRST = ("ReLU", "LeakyReLU", "Softplus", "GELU")


def activations(names: Sequence[str] = (), span: float = 4.0) -> Figure:
    """Return every elementwise activation f with f' and f'', a small picture each.

    Parameters
    ----------
    names : the activations to draw, as `mk.activation` knows them; all of them where it is empty
    span : the axis goes from -span to span

    Raises
    ------
    ValueError
        There is no activation of that name, or it works by rows.
    """
    chosen = [mk.activation(name) for name in names] or _every_activation()
    for f in chosen:
        if f.by_rows:
            raise ValueError(f"{f!r} works by rows: it has no derivative to draw over one axis")
    columns = min(5, len(chosen))
    rows = -(-len(chosen) // columns)
    width, height = 2.5 * columns + 0.4, 1.9 * rows + 0.7
    figure = blank(width, height, layout=None)
    axes = figure.subplots(
        rows,
        columns,
        sharex=True,
        sharey=True,
        squeeze=False,
        gridspec_kw={  # in inches; the constrained layout takes seconds for so many axes
            "left": 0.4 / width,
            "right": 1 - 0.15 / width,
            "bottom": 0.45 / height,
            "top": 1 - 0.65 / height,
            "wspace": 0.1,
            "hspace": 0.25,
        },
    ).ravel()
    for axis, f in zip(axes, chosen, strict=False):
        _draw_activation(axis, f, span)
    for axis in axes[len(chosen) :]:
        axis.axis("off")
    for axis in axes[max(len(chosen) - columns, 0) : len(chosen)]:
        axis.tick_params(labelbottom=True)
        axis.set_xlabel("s")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="upper center", ncols=3, frameon=False)
    return figure


def losses(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Return the loss over the epochs, a picture for each network.

    Parameters
    ----------
    histories : for each network's name what `mk.fit` returned
    """
    columns = min(3, len(histories))
    rows = -(-len(histories) // columns)
    figure = blank(3.6 * columns, 2.6 * rows + 0.4)
    from matplotlib.ticker import LogLocator, MaxNLocator  # here: `blank` has asked for it

    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, history) in zip(axes, histories.items(), strict=False):
        for key, label, colour in (
            ("loss", "training", BLUE),
            ("val_loss", "held out", ORANGE),
        ):
            if values := history.get(key):
                marker = "o" if len(values) == 1 else ""
                axis.plot(range(1, len(values) + 1), values, marker, color=colour, label=label)
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("epoch")
        axis.set_ylabel("loss")
        axis.grid(alpha=0.25, linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    for axis in axes[len(histories) :]:
        axis.axis("off")
    return figure


def digits(images: NDArray[Any], labels: ArrayLike, found: ArrayLike, title: str = "") -> Figure:
    """Return pictures of digits with what a network takes them for; its mistakes are red.

    Parameters
    ----------
    images : (n, 64), from 0 for paper to 1 for ink
    labels : (n,), what they are
    found : (n,), what the network says
    title : what stands above
    """
    pairs = list(zip(np.asarray(labels).tolist(), np.asarray(found).tolist(), strict=True))
    columns = min(12, len(pairs))
    rows = -(-len(pairs) // columns)
    sheet = np.zeros((11 * rows, 10 * columns))  # 8 x 8 pixels, one around, two more for the text
    figure = blank(0.75 * columns, 0.85 * rows + 0.3)
    figure.suptitle(title, fontsize=10)
    axis = figure.subplots()
    axis.axis("off")
    for place, (image, (label, answer)) in enumerate(zip(images, pairs, strict=True)):
        row, column = divmod(place, columns)
        y, x = 11 * row + 2, 10 * column + 1
        sheet[y : y + 8, x : x + 8] = image.reshape(8, 8)
        right = label == answer
        text = f"{answer}" if right else f"{answer}, not {label}"
        axis.text(x + 3.5, y - 1, text, fontsize=9, color=GREEN if right else RED, ha="center")
    axis.imshow(sheet, cmap="gray_r", vmin=0, vmax=1)
    return figure


def _every_activation() -> list[Any]:
    """Return one of each, those that people compare first before the others."""
    names = [name for name, cls in ACTIVATIONS.items() if not cls.by_rows]
    names.sort(key=lambda name: name not in _COMPARED_FIRST)
    first = [name for name in _COMPARED_FIRST if name in names]
    return [mk.activation(name) for name in first + names[len(first) :]]


def _draw_activation(axis: Axes, f: Any, span: float) -> None:
    s = np.linspace(-span, span, 1601)
    axis.axhline(0, color=GREY, linewidth=0.5)
    axis.axvline(0, color=GREY, linewidth=0.5)
    for (
        values,
        label,
        colour,
        width,
    ) in (  # the wide ones first: where curves coincide, all are seen
        (f.second_derivative(s), "f″(s)", LIGHT, 4.5),
        (f.derivative(s), "f′(s)", ORANGE, 2.2),  # noqa: RUF001
        (f(s), "f(s)", BLUE, 1.2),
    ):
        axis.plot(
            s,
            _parted_at_jumps(values),
            label=label,
            color=colour,
            linewidth=width,
            solid_capstyle="butt",
        )
    axis.set_xlim(-span, span)
    axis.set_ylim(-2.1, 2.6)
    axis.set_title(repr(f).removesuffix("()"), fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _parted_at_jumps(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values with NaN for one at each jump, so that no line is drawn across it."""
    steps = np.abs(np.diff(values))
    around = np.lib.stride_tricks.sliding_window_view(np.pad(steps, 3, mode="edge"), 7)
    jumps = steps > 0.05 + 5 * np.median(around, axis=1)
    parted = values.copy()
    parted[1:][jumps] = np.nan
    return parted
