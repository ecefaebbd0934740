"""Compare with NumPy: operation by operation, and training step by training step.

Both give their results first, and these are compared. Then both are timed in
turns, and each turn gives a ratio: NumPy's time by mlpkern's, above 1 where
mlpkern is faster. The table has the medians, and the quartiles of the ratio.
"""

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import mlpkern as mk
from mlpkern import plots
from mlpkern.persistence import write_whole

from .cases import BATCHES, SIZES, Case, cases
from .common import UsageError, add_threads, duration, machine, positive, table, to_json, widths

_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
_COLUMNS = (35, 8, 8, 7, 14)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--sizes",
        type=widths("-"),
        nargs="+",
        default=SIZES,
        metavar="D-L-K",
        help="networks to train (default: 4-16-2 17-256-256-6 784-128-10)",
    )
    parser.add_argument(
        "--batches",
        type=positive,
        nargs="+",
        default=BATCHES,
        metavar="N",
        help="rows in a batch (default: 1 32 256 4096)",
    )
    parser.add_argument(
        "--only",
        choices=("linear", "activation", "loss", "optimizer", "step"),
        help="measure one group",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    parser.add_argument("--json", metavar="FILE", help="write the results; - for the terminal")
    parser.add_argument("--picture", metavar="FILE.png", help="draw the ratios")
    add_threads(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, print, write."""
    for size in args.sizes:
        if len(size) < 2:
            raise UsageError(f"--sizes needs two widths or more, as 4-16-2, not {size[0]}")
    if args.threads and any(os.environ.get(name) != str(args.threads) for name in _BLAS_THREADS):
        _run_again_with_threads(args)
        return
    report = sys.stderr if args.json == "-" else sys.stdout
    if args.threads:
        mk.set_num_threads(args.threads)
    facts = machine()
    title = (
        f"{facts['processor']}, {facts['cores']} cores\n"
        f"mlpkern {facts['mlpkern']} ({facts['isa']}, {facts['threads']} threads), float32\n"
        f"NumPy {facts['numpy']} ({facts['blas']}, "
        f"{os.environ.get(_BLAS_THREADS[0]) or 'all'} threads)"
    )
    print(f"{title}\n", file=report)
    header = ("operation", "mlpkern", "NumPy", "ratio", "quartiles")
    print(table(header, [], _COLUMNS), file=report, flush=True)
    rounds, seconds = (5, 2e-4) if args.quick else (21, 5e-3)
    rows = []
    for case in cases(args.sizes, args.batches):
        if args.only in (None, case.group):
            rows.append(_measure(case, rounds, seconds))
            print(_line(rows[-1]), file=report, flush=True)
    slower = sum(row["ratio"]["median"] < 1 for row in rows)
    print(f"\nmlpkern is faster in {len(rows) - slower} of {len(rows)} rows", file=report)
    if args.picture:
        plots.write(plots.ratios(rows, title), args.picture)
        print(f"wrote {args.picture}", file=report)
    result = to_json({"machine": facts, "rows": rows})
    if args.json == "-":
        report.flush()
        print(result)
    elif args.json:
        write_whole(args.json, lambda file: file.write(result.encode()))
        print(f"wrote {args.json}", file=report)


def _run_again_with_threads(args: argparse.Namespace) -> None:
    """Run the same in a new process: NumPy's BLAS takes its threads as it is loaded."""
    count = str(args.threads)
    command = [sys.executable, "-m", "mlpkern", "bench", "--threads", count]
    command += ["--sizes", *("-".join(map(str, size)) for size in args.sizes)]
    command += ["--batches", *map(str, args.batches)]
    for name in ("only", "json", "picture"):
        if value := getattr(args, name):
            command += [f"--{name}={value}"]
    if args.quick:
        command += ["--quick"]
    sys.stdout.flush()
    code = subprocess.run(
        command, env=os.environ | dict.fromkeys(_BLAS_THREADS, count), check=False
    ).returncode
    if code:
        raise RuntimeError(f"the measurement with {count} threads ended with exit code {code}")


def _measure(case: Case, rounds: int, seconds: float) -> dict[str, Any]:
    """Return medians and quartiles of both times and of their ratio."""
    _compare(case)
    functions = (case.ours, case.theirs)
    counts = [_repetitions(function, seconds) for function in functions]
    times = np.empty((rounds, 2))
    collecting = gc.isenabled()
    gc.disable()
    try:
        for i in range(rounds):
            for which in (0, 1) if i % 2 else (1, 0):
                times[i, which] = _time(functions[which], counts[which])
    finally:
        if collecting:
            gc.enable()
    return {
        "group": case.group,
        "name": case.name,
        "mlpkern": _quartiles(times[:, 0]),
        "numpy": _quartiles(times[:, 1]),
        "ratio": _quartiles(times[:, 1] / times[:, 0]),
    }


def _compare(case: Case) -> None:
    """Hold the results against each other; RuntimeError where they differ by more than rounding."""
    ours, theirs = case.ours(), case.theirs()
    if not isinstance(ours, tuple):
        ours, theirs = (ours,), (theirs,)
    for a, b in zip(ours, theirs, strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        error = float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(b))), 1e-30))
        if not error < 1e-4:
            raise RuntimeError(f"{case.name}: mlpkern and NumPy differ by {error:.1e}")


def _repetitions(function: Callable[[], Any], seconds: float) -> int:
    """Return how many calls take about so long; the calls warm up as well."""
    count = 1
    while (took := _time(function, count) * count) < seconds:
        count = max(count + 1, min(10 * count, int(1.2 * count * seconds / max(took, 1e-9))))
    return count


def _time(function: Callable[[], Any], count: int) -> float:
    """Return the seconds of one call, the mean of `count`."""
    start = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - start) / count


def _quartiles(values: Any) -> dict[str, float]:
    q1, median, q3 = np.percentile(values, (25, 50, 75))
    return {"q1": float(q1), "median": float(median), "q3": float(q3)}


def _line(row: dict[str, Any]) -> str:
    ratio = row["ratio"]
    cells = (
        row["name"],
        duration(row["mlpkern"]["median"]),
        duration(row["numpy"]["median"]),
        f"{ratio['median']:.2f}x",
        f"{ratio['q1']:.2f} - {ratio['q3']:.2f}",
    )
    return table(cells, [], _COLUMNS).partition("\n")[0]
