"""The table: a line a row, the best peer of each, and the summary below."""

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..common import duration, table
from . import derivative_rows, sklearn_rows
from .cases import widths_text
from .measure import OURS, Row

_COLUMNS = (36, 7, 13, 7, 6, 9, 4, 4)
_HEADER = ("", "mlpkern", "best other", "", "ratio", "quartiles", "G/s", "peak")
BUSY = 0.3  # a load that this process does not make before it starts
TITLES = {
    "step": "training step: widths, rows in the batch, optimizer",
    "inference": "inference: widths, rows in the batch",
    "epoch": "one epoch: widths, rows, optimizer",
    "linear": "products, rows through D-L",
    "activation": "activations, float32",
    "loss": "losses with their gradients, float32",
    "optimizer": "optimizer steps, float32",
    "derivative": "derivatives, of tanh networks: widths, rows in the batch",
    "sklearn": f"estimators, {sklearn_rows.EPOCHS} epochs: samples, rows x inputs",
    "memory": "memory beyond input and output: widths, rows",
    "call": "one sample, the call included",
}


def title(facts: Mapping[str, Any]) -> str:
    """Return the machine, and a warning where others use it."""
    text = (
        f"{facts['processor']}, {facts['cores']} cores, "
        f"mlpkern {facts['mlpkern']} ({facts['isa']}), NumPy {facts['numpy']} ({facts['blas']})"
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > BUSY:
        text += f"\nwarning: others use this machine (load {load:.1f}): these numbers are rough"
    return text


def team_text(versions: Mapping[str, str], threads: int, limits: Mapping[str, float]) -> str:
    """Return what one number of threads can do at best, and the libraries."""
    others = ", ".join(f"{name} {version}" for name, version in versions.items() if name != OURS)
    best = {name: value / 1e9 for name, value in limits.items()}
    return (
        f"\n{_threads(threads)}: {best['float32']:.0f} GF/s in float32, {best['float64']:.0f} in "
        f"float64, {best['bandwidth']:.1f} GB/s at best\n{textwrap.fill(f'against {others}', 100)}"
    )


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def header(group: str, threads: int) -> str:
    """Return the lines above a group of rows."""
    note = {"derivative": derivative_rows.LEFT_OUT, "sklearn": sklearn_rows.left_out()}.get(group)
    note = f"\n({note})" if note else ""
    return f"\n{TITLES[group]}; {_threads(threads)}{note}\n{table(_HEADER, [], _COLUMNS)}"


def line(row: Row, limits: Mapping[str, float]) -> str:
    """Return a row's line, and below it what went wrong."""
    if row["group"] == "memory":
        cells = _memory_cells(row)
    else:
        cells = [_duration(row, OURS), *_peer_cells(row), *_limit_cells(row, limits)]
    lines = [table((row["name"], *cells), [], _COLUMNS).partition("\n")[0]]
    if "tanhs" in row:
        lines.append(f"  = {row['tanhs']:.2f} calls of np.tanh with one element")
    if "units" in row:
        unit, most = derivative_rows.UNITS[row["what"]]
        lines.append(f"  = {row['units']:.2f} {unit}; {most:g} are asked for")
    if "scores" in row:
        scores = ", ".join(f"{name} {score:.4f}" for name, score in row["scores"].items())
        lines.append(f"  held-out score: {scores}")
    lines += [f"  error: {text}"[:100] for text in row["errors"].values()]
    return "\n".join(lines)


def _duration(row: Row, name: str) -> str:
    return duration(row["times"][name]["median"]) if name in row["times"] else "error"


def _peer_cells(row: Row) -> list[str]:
    if "ratio" not in row:
        return ["", "", "", ""]
    ratio = row["ratio"]
    spread = f"{_short(ratio['q1'])}-{_short(ratio['q3'])}"
    return [row["best"], _duration(row, row["best"]), f"{_short(ratio['median'])}x", spread]


def _limit_cells(row: Row, limits: Mapping[str, float]) -> list[str]:
    """Return G/s, of flops or of bytes, and their share of what the machine can do."""
    if "gflops" in row:
        rate, peak = row["gflops"], limits[row["dtype"]] / 1e9
    elif "gbytes" in row and row["sizes"][0] >= 10_000_000:  # fewer stay in a cache
        rate, peak = row["gbytes"], limits["bandwidth"] / 1e9
    else:
        return ["", ""]
    return [_short(rate), f"{100 * rate / peak:.0f}%"]


def _memory_cells(row: Row) -> list[str]:
    sizes, best = row["bytes"], row.get("best")
    cells = [_megabytes(sizes[OURS]) if OURS in sizes else "error", "", "", "", "", "", ""]
    if best:
        cells[1:3] = best, _megabytes(sizes[best])
    return cells


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.3g} MB"


def _short(number: float) -> str:
    """Return three digits or so, in four characters below 10,000."""
    if number < 10:
        return f"{number:.2f}"
    return f"{number:.1f}" if number < 99.95 else f"{number:.0f}"


NETWORK_GROUPS = ("step", "inference")


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return the geometric mean, the worst row and the lost rows, by threads and group.

    Of networks' groups those of each network follow, of derivatives those of each kind.
    """
    results = []
    keys = dict.fromkeys((row["threads"], row["group"], "") for row in rows)
    keys |= dict.fromkeys((row["threads"], row["group"], _part(row)) for row in rows)
    for threads, group, part in keys:
        members = [
            row
            for row in rows
            if (row["threads"], row["group"]) == (threads, group)
            and part in ("", _part(row))
            and "ratio" in row
        ]
        if not members:
            continue
        ratios = np.array([row["ratio"]["median"] for row in members])
        results.append(
            {
                "group": group,
                "part": part,
                "threads": threads,
                "rows": len(members),
                "mean": float(np.exp(np.log(ratios).mean())),
                "worst": float(ratios.min()),
                "worst_name": members[int(ratios.argmin())]["name"],
                "lost": int((ratios < 1).sum()),
            }
        )
    return results


def _part(row: Row) -> str:
    """Return what a group's rows are told apart by in the summary, if by anything."""
    if row["group"] == "derivative":
        return str(row["what"])
    if row["group"] == "sklearn":
        return str(row["dtype"])
    return widths_text(row["sizes"]) if row["group"] in NETWORK_GROUPS else ""


def summary_text(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the summary as a table."""
    columns = (33, 3, 4, 5, 4, 5, 31)
    lines = [
        (
            f"{part['group']} {part['part']}".strip(),
            str(part["threads"]),
            str(part["rows"]),
            f"{part['mean']:.2f}x",
            str(part["lost"]),
            f"{part['worst']:.2f}x",
            _without(part["worst_name"], part["part"]),
        )
        for part in results
    ]
    title = ("", "thr", "rows", "mean", "lost", "worst", "")
    return "\nagainst the best other in each row\n" + table(title, lines, columns)


def _without(name: str, part: str) -> str:
    """Return a row's name without what its line in the summary has said already."""
    return name.removeprefix(f"{part}, ").removesuffix(f", {part}") if part else name


def units_text(rows: Sequence[Row]) -> str:
    """Return what second derivatives cost in their units: the median row and the worst."""
    lines = []
    for what, (unit, most) in derivative_rows.UNITS.items():
        costs = {
            row["name"]: row["units"] for row in rows if row["what"] == what and "units" in row
        }
        if costs:
            worst = max(costs, key=lambda name: costs[name])
            lines.append(
                f"{what}: {np.median(list(costs.values())):.2f} {unit} in the median row, "
                f"{costs[worst]:.2f} in {_without(worst, what)}; {most:g} are asked for"
            )
    return "\n" + "\n".join(lines) if lines else ""
