"""Draw activations, a network, its Jacobians, losses, or a benchmark.

    mlpkern plot activations [NAME ...] --out activations.png
    mlpkern plot graph --sizes 64-128-10 [--loss CrossEntropy] --out graph.svg
    mlpkern plot graph --model model.npz --out graph.dot
    mlpkern plot jacobian --sizes 4-16-2 --output softargmax --out jacobian.png
    mlpkern plot soft --out soft.png
    mlpkern plot loss model.npz [model.npz ...] --out loss.png
    mlpkern plot bench bench.json [bench.json ...] --out bench.png

The suffix of FILE chooses the format. A graph is written as .svg or .dot; the
other pictures need matplotlib: pip install 'mlpkern[demo]'. An activation or a
loss of a graph may have arguments, as in --hidden 'relu(scale=3)'.
"""

import argparse
import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mlpkern as mk
from mlpkern import plots
from mlpkern.graph import graph
from mlpkern.persistence import load, load_with_metadata, write_whole

from .bench import picture, report
from .common import UsageError, seed, widths


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    kind = kinds.add_parser("activations", help="f, f' and f'' of each activation")
    kind.add_argument("names", nargs="*", metavar="NAME", help="which ones (default: all)")
    _out(kind)

    kind = kinds.add_parser("graph", help="a network's computation graph")
    _network_of(kind)
    kind.add_argument("--loss", type=_loss, metavar="NAME", help="draw this cost behind it")
    _out(kind)

    kind = kinds.add_parser("jacobian", help="the Jacobians along a network, for one sample")
    _network_of(kind)
    kind.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="of an MLP's parameters and of the sample, normal numbers (default: %(default)s)",
    )
    _out(kind)

    kind = kinds.add_parser("soft", help="soft maximum and soft argmax as beta grows")
    _out(kind, "soft.png")

    kind = kinds.add_parser("loss", help="the losses over the epochs of mlpkern train")
    kind.add_argument("models", nargs="+", metavar="FILE.npz", help="what train saved")
    _out(kind)

    kind = kinds.add_parser("bench", help="the ratios of what mlpkern bench --json wrote")
    kind.add_argument("results", nargs="+", metavar="FILE.json", help="of one machine")
    _out(kind)


def _network_of(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="FILE.npz", help="a saved network")
    source.add_argument(
        "--sizes", type=widths("-"), metavar="D-L-K", help="the widths of an MLP, as 64-128-10"
    )
    for option, usual in (("--hidden", "tanh"), ("--output", "identity")):
        parser.add_argument(
            option, type=_activation, default=usual, metavar="NAME", help="default: %(default)s"
        )


def _out(parser: argparse.ArgumentParser, usual: str | None = None) -> None:
    text = f"where to write (default: {usual})" if usual else "where to write"
    parser.add_argument("--out", required=not usual, default=usual, metavar="FILE", help=text)


def _activation(text: str) -> Any:
    return _made(text, mk.activation)


def _loss(text: str) -> Any:
    def make(name: str, **arguments: Any) -> Any:
        by_key = {key.lower(): cls for key, cls in mk.LOSSES.items()}
        cls = by_key.get(re.sub(r"[\s_-]", "", name).lower())
        if cls is None:
            raise ValueError(f"must be one of {', '.join(mk.LOSSES)}; got {name!r}")
        return cls(**arguments)

    return _made(text, make)


def _made(text: str, make: Callable[..., Any]) -> Any:
    """Return make("NAME", argument=value, ...) of "NAME" or "NAME(argument=value, ...)"."""
    name, bracket, rest = text.partition("(")
    try:
        call: Any = ast.parse(f"f({rest if bracket else ')'}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise SyntaxError
        arguments = {word.arg or "": ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError):
        raise argparse.ArgumentTypeError(
            f"must be a name, or as relu(scale=3), not {text!r}"
        ) from None
    try:
        return make(name, **arguments)
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> None:
    """Draw it."""
    if args.what == "graph":
        write_graph(_network(args), args.out, args.loss)
    elif args.what == "loss":
        plots.write(plots.losses({path: _history(path) for path in args.models}), args.out)
    elif args.what == "bench":
        plots.write(_benchmark(args.results), args.out)
    elif args.what == "jacobian":
        plots.write(_jacobians(args), args.out)
    elif args.what == "soft":
        plots.write(plots.soft(), args.out)
    else:
        plots.write(plots.activations(args.names), args.out)
    print(f"wrote {args.out}")


def _network(args: argparse.Namespace, seed: int = 0) -> Any:
    if args.model:
        return load(args.model)
    if len(args.sizes) < 2:
        raise UsageError(f"--sizes needs two widths or more, as 64-128-10, not {args.sizes[0]}")
    return mk.MLP(args.sizes, hidden=args.hidden, output=args.output, seed=seed)


def _jacobians(args: argparse.Namespace) -> Any:
    net = _network(args, args.seed)
    if net.inputs is None:
        raise ValueError(f"{args.model} has no linear map: its number of inputs is not known")
    sample = np.random.default_rng(args.seed).normal(size=net.inputs)
    return plots.jacobians(net, sample.astype(net.dtype))


def write_graph(net: Any, path: str | Path, loss: Any = None) -> None:
    """Write a network's graph, with its cost if one is given, as .svg or .dot."""
    drawn = graph(net, loss)
    texts = {".svg": drawn.svg, ".dot": drawn.dot}
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
