"""Check a network's gradients against differences of its cost.

    mlpkern gradcheck --sizes 4-16-2 --hidden tanh --loss squared_error
    mlpkern gradcheck --model model.npz --loss cross_entropy --json

On random inputs and targets, in float64. The two cross-entropies are taken from
logits, unless the network ends in the sigmoid or the softargmax that they are
made for. Exit code 1 where a gradient is wrong.
"""

import argparse
import math
import re
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk
from mlpkern.gradcheck import GradCheck, gradcheck
from mlpkern.persistence import load

from .common import UsageError, activation, positive, positive_float, seed, to_json, widths

LOSSES = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): name for name in mk.LOSSES}
# Which output gives the probabilities that a loss wants; before any other, there are logits.
MADE_FOR = {"BinaryCrossEntropy": "Sigmoid", "CrossEntropy": "Softargmax"}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="FILE.npz", help="a saved network")
    source.add_argument(
        "--sizes", type=widths("-"), metavar="D-L-K", help="the widths of an MLP, as 4-16-2"
    )
    parser.add_argument("--hidden", type=activation, default="tanh", metavar="NAME")
    parser.add_argument("--output", type=activation, default="identity", metavar="NAME")
    parser.add_argument(
        "--loss",
        choices=LOSSES,
        default="squared_error",
        metavar="NAME",
        help=f"one of {', '.join(LOSSES)} (default: %(default)s)",
    )
    parser.add_argument(
        "--batch", type=positive, default=8, metavar="N", help="samples (default: %(default)s)"
    )
    parser.add_argument(
        "--entries",
        type=positive,
        default=200,
        metavar="N",
        help="parameters to compare of a larger array (default: %(default)s)",
    )
    parser.add_argument(
        "--tolerance",
        type=positive_float,
        default=1e-6,
        metavar="E",
        help="the largest relative error that counts as none (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="of parameters and data (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Check, print, and fail where a gradient is wrong."""
    net = _network(args)
    loss = _loss(LOSSES[args.loss], net)
    x, y = _data(net, LOSSES[args.loss], args.batch, args.seed)
    result = gradcheck(
        net, loss, x, y, tolerance=args.tolerance, entries=args.entries, seed=args.seed
    )
    print(to_json(_facts(result, net, loss)) if args.json else f"{net!r}, {loss!r}\n{result}")
    if not result:
        wrong = ", ".join(row.name for row in result.rows if not row.ok)
        raise ValueError(f"the gradient is not that of the cost in {wrong}")


def _network(args: argparse.Namespace) -> Any:
    if args.model:
        return load(args.model)
    if len(args.sizes) < 2:
        raise UsageError(f"--sizes needs two widths or more, as 4-16-2, not {args.sizes[0]}")
    return mk.MLP(args.sizes, args.hidden, args.output, dtype=np.float64, seed=args.seed)


def _loss(name: str, net: Any) -> Any:
    if name not in MADE_FOR:
        return mk.LOSSES[name]()
    last = net
    while isinstance(last, mk.Chain):
        last = last.layers[-1]
    logits = type(last).__name__ != MADE_FOR[name]
    if name == "CrossEntropy":
        return mk.CrossEntropy(from_logits=logits)
    return mk.BinaryCrossEntropy(from_logits=logits)


def _data(net: Any, name: str, n: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Random inputs (n, D), and targets that a loss may be given."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, net.inputs)).astype(net.dtype)
    K = net.predict(x[:0]).shape[1]
    if name == "CrossEntropy":
        return x, rng.integers(0, K, n)
    if name == "PoissonNLL":
        return x, rng.poisson(2, (n, K)).astype(net.dtype)
    y = rng.uniform(size=(n, K)) if name == "BinaryCrossEntropy" else rng.normal(size=(n, K))
    return x, y.astype(net.dtype)


def _facts(result: GradCheck, net: Any, loss: Any) -> dict[str, Any]:
    rows = [
        {k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in row.items()}
        for row in map(asdict, result.rows)
    ]
    cost = result.cost if math.isfinite(result.cost) else None
    return {"ok": result.ok, "cost": cost, "net": repr(net), "loss": repr(loss), "rows": rows}
