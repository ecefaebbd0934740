"""What the commands share: argument types, tables, the machine, threads."""

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mlpkern as mk


class UsageError(Exception):
    """Arguments that do not go together; the exit code is 2."""


def positive(text: str) -> int:
    """Return a whole number of 1 or more, for argparse."""
    with contextlib.suppress(ValueError):
        if (value := int(text)) > 0:
            return value
    raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more, not {text!r}")


def positive_float(text: str) -> float:
    """Return a finite number above 0, for argparse."""
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")


def fraction(text: str) -> float:
    """Return a number in (0, 1), for argparse."""
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < 1:
            return value
    raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, not {text!r}")


def seed(text: str) -> int:
    """Return a whole number of 0 or more, for argparse."""
    with contextlib.suppress(ValueError):
        if (value := int(text)) >= 0:
            return value
    raise argparse.ArgumentTypeError(f"must be a whole number of 0 or more, not {text!r}")


def activation(text: str) -> Any:
    """Return the activation of that name, for argparse."""
    try:
        return mk.activation(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def widths(separator: str) -> Callable[[str], tuple[int, ...]]:
    """Return a reader of layer widths such as 64-128-10, for argparse."""

    def read(text: str) -> tuple[int, ...]:
        try:
            return tuple(positive(width) for width in text.split(separator))
        except argparse.ArgumentTypeError:
            raise argparse.ArgumentTypeError(
                f"must be widths such as {separator.join(('64', '32'))}, not {text!r}"
            ) from None

    return read


def add_threads(parser: argparse._ActionsContainer) -> None:
    """Declare --threads."""
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="threads to use (default: all cores)"
    )


def threads(count: int | None) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which mlpkern uses that many threads; None leaves them as they are."""
    if count is None:
        return contextlib.nullcontext()
    context: contextlib.AbstractContextManager[Any] = mk.num_threads(count)
    return context


def can_show_progress() -> bool:
    """Return whether there is a terminal to draw a bar on, and tqdm to draw it."""
    return sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None


def to_json(data: Any) -> str:
    """Return one line of strict JSON."""
    return json.dumps(data, allow_nan=False)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    """Return lines with the first column to the left and the others to the right."""
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def counted(count: int, things: str) -> str:
    """Return 2 rows, or 1 row."""
    return f"{count} {things.removesuffix('s') if count == 1 else things}"


def duration(seconds: float) -> str:
    """Return three digits and a unit, such as 12.3 µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}" if seconds < 999.5 * size else f"{seconds:.0f} s"
    return f"{seconds / 1e-9:.3g} ns"


def machine() -> dict[str, Any]:
    """Return what a measurement depends on: processor, versions, instruction set, threads."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "mlpkern": mk.__version__,
        "isa": mk.isa(),
        "threads": mk.get_num_threads(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
