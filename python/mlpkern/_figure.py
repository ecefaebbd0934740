"""What all pictures share: colours, an empty figure, files. matplotlib is an optional package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#666666"
LIGHT = "#a6dcc8"
TIMES = "\N{MULTIPLICATION SIGN}"


def write(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Save a figure; the path's suffix is the format: png, svg, pdf.

    Raises
    ------
    ValueError
        matplotlib has no such format.
    """
    known = figure.canvas.get_supported_filetypes()
    suffix = Path(path).suffix.lstrip(".").lower()
    if suffix not in known:
        raise ValueError(
            f"a picture's name must end in .{', .'.join(sorted(known))}, not {os.fspath(path)!r}"
        )
    figure.savefig(path, dpi=150)


def blank(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Return an empty figure of so many inches; ImportError where there is no matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'mlpkern[demo]'") from None
    return Figure(figsize=(width, height), layout=layout)
