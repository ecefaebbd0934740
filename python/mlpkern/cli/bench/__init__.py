"""Compare with NumPy, PyTorch, JAX, scikit-learn and ONNX Runtime.

Each library that is installed runs in a process of its own. Its results are
first held against float64 ones; then all are timed in turns, one at a time. A
round gives a ratio for each library: its time by mlpkern's, above 1 where
mlpkern is faster. The table has the medians, the best of the others in each
row, and the quartiles of its ratio. pip install 'mlpkern[bench]' installs what
there is to compare with.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

import mlpkern as mk
from mlpkern import plots
from mlpkern.persistence import write_whole

from ..common import UsageError, machine, positive, to_json
from . import picture, report
from .cases import GROUPS, Case, cases
from .measure import Limits, Row, Team, measure
from .peers import LIBRARIES, ONE_THREAD, installed


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--against",
        type=_libraries,
        metavar="NAME[,NAME...]",
        help=f"libraries to compare with, of {','.join(LIBRARIES)} (default: all that are there), "
        f"or {ONE_THREAD}: mlpkern on one thread, against which it then has --threads",
    )
    parser.add_argument(
        "--sizes",
        type=_widths,
        nargs="+",
        metavar="D-L-K",
        help="networks; 2-20x8-1 has eight hidden layers of 20 (default: fifteen of them)",
    )
    parser.add_argument(
        "--batches",
        type=positive,
        nargs="+",
        metavar="N",
        help="rows in a batch (default: 1 32 256 4096, and 65536 for small networks)",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        nargs="+",
        metavar="N",
        help="threads to use, one table each (default: 1, and as many as there are cores)",
    )
    parser.add_argument(
        "--only", choices=GROUPS, metavar="GROUP", help=f"measure one of {', '.join(GROUPS)}"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    parser.add_argument("--json", metavar="FILE", help="write the results; - for the terminal")
    parser.add_argument("--picture", metavar="FILE.png", help="draw the ratios")


def _libraries(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in (*LIBRARIES, ONE_THREAD):
            known = ", ".join((*LIBRARIES, ONE_THREAD))
            raise argparse.ArgumentTypeError(f"must be of {known}, not {name!r}")
    return names


def _widths(text: str) -> tuple[int, ...]:
    widths: list[int] = []
    for part in text.split("-"):
        width, _, count = part.partition("x")
        try:
            widths += [positive(width)] * (positive(count) if count else 1)
        except argparse.ArgumentTypeError:
            raise argparse.ArgumentTypeError(
                f"must be widths such as 64-32 or 2-20x8-1, not {text!r}"
            ) from None
    return tuple(widths)


def run(args: argparse.Namespace) -> None:
    """Measure, print, write."""
    for size in args.sizes or ():
        if len(size) < 2:
            raise UsageError(f"--sizes needs two widths or more, as 4-16-2, not {size[0]}")
    for name in args.against or ():
        if not installed(name):
            raise UsageError(f"{name} is not installed: pip install 'mlpkern[bench]'")
    libraries = args.against or [name for name in LIBRARIES if installed(name)]
    chosen = [
        case
        for case in cases(args.sizes, args.batches, args.quick)
        if args.only in (None, case.group) and (case.group != "sklearn" or "sklearn" in libraries)
    ]
    out = sys.stderr if args.json == "-" else sys.stdout
    facts = machine()
    print(report.title(facts), file=out)
    result: dict[str, Any] = {"machine": facts, "rows": [], "limits": {}}
    for threads in args.threads or sorted({1, mk.get_num_threads()}):
        team = Team(libraries, threads)
        try:
            facts["libraries"] = team.versions
            limits = result["limits"][threads] = Limits(team, args.quick)
            print(report.team_text(team.versions, threads, limits), file=out)
            result["rows"] += _measure_all(team, chosen, limits, args.quick, out)
        finally:
            team.close()
    result["summary"] = report.summary(result["rows"])
    print(report.summary_text(result["summary"]), file=out)
    if text := report.units_text(result["rows"]):
        print(text, file=out)
    _write(args, result, out)
    if wrong := sum(bool(row["errors"]) for row in result["rows"]):
        raise RuntimeError(f"{wrong} of {len(result['rows'])} rows have errors")


def _measure_all(
    team: Team, chosen: Sequence[Case], limits: Limits, quick: bool, out: TextIO
) -> list[Row]:
    rows: list[Row] = []
    start = time.monotonic()
    for number, case in enumerate(chosen, 1):
        if not rows or case.group != rows[-1]["group"]:
            limits.measure()
            print(report.header(case.group, team.threads), file=out)
        seconds = time.monotonic() - start
        _progress(f"{number} of {len(chosen)}, {seconds:.0f} s: {case.group} {case.name}")
        rows.append(measure(team, case, quick))
        _progress("")
        print(report.line(rows[-1], limits), file=out, flush=True)
    return rows


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _write(args: argparse.Namespace, result: dict[str, Any], out: TextIO) -> None:
    if args.picture:
        title = f"times as fast as the best other library; {report.title(result['machine'])}"
        plots.write(picture.draw(result, title), args.picture)
        print(f"wrote {args.picture}", file=out)
    text = to_json(result)
    if args.json == "-":
        out.flush()
        print(text)
    elif args.json:
        write_whole(args.json, lambda file: file.write(text.encode()))
        print(f"wrote {args.json}", file=out)
