"""Draw activations, a network, the losses of a training, or a benchmark.

    mlpkern plot activations [NAME ...] --out activations.png
    mlpkern plot graph --sizes 64-128-10 --out graph.svg
    mlpkern plot graph --model model.npz --out graph.dot
    mlpkern plot loss model.npz [model.npz ...] --out loss.png
    mlpkern plot bench bench.json [bench.json ...] --out bench.png

The suffix of FILE chooses the format. A graph is written as .svg or .dot; the
other pictures need matplotlib: pip install 'mlpkern[demo]'.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import mlpkern as mk
from mlpkern import plots
from mlpkern.persistence import load, load_with_metadata, write_whole

from .bench import picture, report
from .common import UsageError, activation, widths


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    kind = kinds.add_parser("activations", help="f, f' and f'' of each activation")
    kind.add_argument("names", nargs="*", metavar="NAME", help="which ones (default: all)")
    _out(kind)

    kind = kinds.add_parser("graph", help="a network's computation graph")
    source = kind.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="FILE.npz", help="a saved network")
    source.add_argument(
        "--sizes", type=widths("-"), metavar="D-L-K", help="the widths of an MLP, as 64-128-10"
    )
    kind.add_argument("--hidden", type=activation, default="tanh", metavar="NAME")
    kind.add_argument("--output", type=activation, default="identity", metavar="NAME")
    _out(kind)

    kind = kinds.add_parser("loss", help="the losses over the epochs of mlpkern train")
    kind.add_argument("models", nargs="+", metavar="FILE.npz", help="what train saved")
    _out(kind)

    kind = kinds.add_parser("bench", help="the ratios of what mlpkern bench --json wrote")
    kind.add_argument("results", nargs="+", metavar="FILE.json", help="of one machine")
    _out(kind)


def _out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="FILE", help="where to write")


def run(args: argparse.Namespace) -> None:
    """Draw it."""
    if args.what == "graph":
        _graph(args)
    elif args.what == "loss":
        plots.write(plots.losses({path: _history(path) for path in args.models}), args.out)
    elif args.what == "bench":
        plots.write(_benchmark(args.results), args.out)
    else:
        plots.write(plots.activations(args.names), args.out)
    print(f"wrote {args.out}")


def _graph(args: argparse.Namespace) -> None:
    if args.model:
        net = load(args.model)
    elif len(args.sizes) < 2:
        raise UsageError(f"--sizes needs two widths or more, as 64-128-10, not {args.sizes[0]}")
    else:
        net = mk.MLP(args.sizes, hidden=args.hidden, output=args.output)
    write_graph(net, args.out)


def write_graph(net: Any, path: str | Path) -> None:
    """Write a network's graph as .svg or .dot."""
    graph = net.graph()
    texts = {".svg": graph.svg, ".dot": graph.dot}
    text = texts.get(Path(path).suffix.lower())
    if text is None:
        raise UsageError(f"a graph's name must end in .svg or .dot, not {str(path)!r}")
    write_whole(path, lambda file: file.write(text.encode()))


def _benchmark(paths: list[str]) -> Any:
    results = []
    for path in paths:
        try:
            results.append(json.loads(Path(path).read_text()))
            title = report.title(results[-1]["machine"])
            rows = [row for result in results for row in result["rows"]]
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{path} was not written by mlpkern bench --json") from None
    title = title.splitlines()[0]  # whether others use the machine now says nothing
    return picture.draw({"rows": rows}, f"times as fast as the best other library; {title}")


def _history(path: str) -> dict[str, list[float]]:
    history = load_with_metadata(path)[1].get("history")
    if not isinstance(history, dict) or not history.get("loss"):
        raise ValueError(f"{path} was not saved by mlpkern train: it holds no losses")
    return history
