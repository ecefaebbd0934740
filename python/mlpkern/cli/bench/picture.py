"""The ratios as a picture: a map of networks and batches, and a line for each of the other rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlpkern.plots import BLUE, GREY, ORANGE, TIMES, blank

from . import derivative_rows
from .cases import widths_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAPS = (
    *(("step", "SGD"), ("step", "Adam"), ("inference", "predict")),
    *(("derivative", kind) for kind in derivative_rows.KINDS),
)
_SPAN = 8.0  # colours end at this ratio and at its inverse
_COLOURS = (BLUE, ORANGE, GREY)
_COLUMNS = 3
_SHORT = {"torch.compile": "compile", "onnxruntime": "onnx"}


def draw(result: Mapping[str, Any], title: str) -> Figure:
    """Return the picture of what `mlpkern bench --json` writes; ValueError without any ratio."""
    rows = [row for row in result["rows"] if "ratio" in row]
    if not rows:
        raise ValueError("nothing to draw: no row has a ratio")
    threads = sorted({row["threads"] for row in rows})
    maps = [
        found
        for count in threads
        for group, what in MAPS
        if (found := _chosen(rows, group, what, count))
    ]
    others = [row for row in rows if row["group"] not in {group for group, _ in MAPS}]
    labels = list(dict.fromkeys(_label(row) for row in others))
    lines = max(-(-len(labels) // _COLUMNS), 12)
    heights = [0.3 * _networks(maps[i : i + _COLUMNS]) + 0.9 for i in range(0, len(maps), _COLUMNS)]
    below = 0.17 * lines + 1.0 if labels else 0.0
    figure = blank(15, sum(heights) + below + 0.5)
    figure.suptitle(title, fontsize=9)
    # Apart, or else the longest label sets the margin of all.
    both = [sum(heights), below] if maps and labels else [1.0]
    parts: Any = figure.subfigures(len(both), 1, height_ratios=both, squeeze=False)
    if maps:
        grid = parts[0, 0].add_gridspec(len(heights), _COLUMNS, height_ratios=heights)
        for i, members in enumerate(maps):
            place = grid[i // _COLUMNS, i % _COLUMNS]
            _draw_map(parts[0, 0].add_subplot(place), members)
    for i in range(0, len(labels), lines):
        axes = parts[-1, 0].add_subplot(1, _COLUMNS, i // lines + 1)
        _draw_lines(axes, others, labels[i : i + lines], threads)
    return figure


def _label(row: Any) -> str:
    names = row["group"] in ("epoch", "call")  # what their rows do is not in their names
    return f"{row['group']} {row['name']}" if names else str(row["name"])


def _chosen(rows: Sequence[Any], group: str, what: str, threads: int) -> list[Any]:
    key = (group, what, threads)
    return [row for row in rows if (row["group"], row["what"], row["threads"]) == key]


def _networks(maps: Sequence[Sequence[Any]]) -> int:
    return max(len({tuple(row["sizes"]) for row in members}) for members in maps)


def _draw_map(axes: Axes, rows: Sequence[Any]) -> None:
    """Draw one cell for each network and batch: blue is faster, red slower, with a frame."""
    nets = list(dict.fromkeys(tuple(row["sizes"]) for row in rows))
    batches = sorted({row["batch"] for row in rows})
    values = np.full((len(nets), len(batches)), np.nan)
    for row in rows:
        i, j = nets.index(tuple(row["sizes"])), batches.index(row["batch"])
        ratio = row["ratio"]["median"]
        values[i, j] = np.log(ratio)
        dark = abs(np.log(ratio)) > 0.65 * np.log(_SPAN)
        axes.text(
            j,
            i,
            f"{_short(ratio)}\n{_SHORT.get(row['best'], row['best'])}",
            ha="center",
            va="center",
            fontsize=6.5,
            linespacing=0.95,
            color="white" if dark else "black",
            fontweight="bold" if ratio < 1 else "normal",
        )
        if ratio < 1:
            corner = (j - 0.48, i - 0.46)
            axes.add_patch(_frame(corner))
    limit = float(np.log(_SPAN))
    axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(batches)), [str(n) for n in batches], fontsize=8)
    axes.set_yticks(range(len(nets)), [widths_text(net) for net in nets], fontsize=8)
    axes.set_xlabel("rows in a batch", fontsize=8)
    axes.tick_params(length=0)
    first = rows[0]
    kinds = {"step": f"step, {first['what']}", "derivative": first["what"]}
    kind = kinds.get(first["group"], first["group"])
    axes.set_title(f"{kind}, {first['threads']} thread{'s' * (first['threads'] > 1)}", fontsize=9)


def _frame(corner: tuple[float, float]) -> Any:
    from matplotlib.patches import Rectangle  # here: `blank` has asked for matplotlib

    return Rectangle(corner, 0.96, 0.92, fill=False, edgecolor="black", linewidth=1.5)


def _draw_lines(
    axes: Axes, rows: Sequence[Any], labels: Sequence[str], threads: Sequence[int]
) -> None:
    """Draw a dot for each row and number of threads, with the quartiles, on a logarithmic axis."""
    axes.axvline(1, color="black", linewidth=1)
    for k, count in enumerate(threads):
        members = [row for row in rows if row["threads"] == count and _label(row) in labels]
        places = [labels.index(_label(row)) + 0.3 * (k - (len(threads) - 1) / 2) for row in members]
        values = np.array([[row["ratio"][q] for q in ("q1", "median", "q3")] for row in members])
        if not members:
            continue
        colour = _COLOURS[k % len(_COLOURS)]
        axes.hlines(places, values[:, 0], values[:, 2], color=colour, linewidth=1)
        label = f"{count} thread{'s' * (count > 1)}"
        axes.plot(values[:, 1], places, "o", color=colour, markersize=3.5, label=label)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    low, high = min(low, 0.7), max(high, 1.5)
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= high]
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{tick:g}{TIMES}" for tick in ticks], fontsize=8)
    axes.minorticks_off()
    axes.axvspan(low, 1, color="#d55e00", alpha=0.08, linewidth=0)
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel("the best other's time / mlpkern's time", fontsize=8)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
    anchor = (1.0, 1.0)  # above the axes, where no dot is
    axes.legend(fontsize=7, loc="lower right", bbox_to_anchor=anchor, ncols=3, frameon=False)


def _short(ratio: float) -> str:
    return f"{ratio:.2f}{TIMES}" if ratio < 10 else f"{ratio:.0f}{TIMES}"
