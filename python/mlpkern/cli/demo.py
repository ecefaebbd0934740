"""Train five small networks on the shipped handwritten digits, in seconds.

The networks are those of every textbook: two layers, as regression, squashed
regression, classification, rectified classification and multi-class. The same
steps are then taken in NumPy, and pictures are drawn.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk
from mlpkern import plots
from mlpkern.datasets import load_digits

from . import numpy_peer
from .common import (
    add_threads,
    can_show_progress,
    counted,
    duration,
    machine,
    positive,
    seed,
    table,
    threads,
)
from .plot import write_graph

HIDDEN, BATCH_SIZE, EPOCHS, LR = 128, 64, 60, 0.005


@dataclass(frozen=True)
class Network:
    """One of the five: its activations and its cost, with their names in NumPy's part."""

    name: str
    hidden: Any
    output: str
    loss: Any
    peer: tuple[str, str, str]  # hidden activation, output activation, cost


NETWORKS = (
    Network(
        "regression",
        mk.ReLU(scale=3.0),
        "identity",
        mk.SquaredError(),
        ("relu3", "identity", "squared error"),
    ),
    Network(
        "squashed regression",
        "tanh",
        "sigmoid",
        mk.SquaredError(),
        ("tanh", "sigmoid", "squared error"),
    ),
    Network(
        "classification",
        "tanh",
        "sigmoid",
        mk.BinaryCrossEntropy(),
        ("tanh", "sigmoid", "binary cross-entropy"),
    ),
    Network(
        "classification, rectified",
        "relu",
        "sigmoid",
        mk.BinaryCrossEntropy(),
        ("relu", "sigmoid", "binary cross-entropy"),
    ),
    Network(
        "multi-class",
        "tanh",
        "softargmax",
        mk.CrossEntropy(),
        ("tanh", "softargmax", "cross-entropy"),
    ),
)


@dataclass(frozen=True)
class Digits:
    """The digits, a fifth of them held out; targets are labels, or one-hot rows."""

    x: NDArray[np.float32]
    labels: NDArray[np.int64]
    x_test: NDArray[np.float32]
    labels_test: NDArray[np.int64]

    @classmethod
    def load(cls, split: int = 0) -> "Digits":
        """Return the digits, parted by the seed `split`."""
        images, labels = load_digits()
        order = np.random.default_rng(split).permutation(len(images))
        rest, held_out = order[360:], order[:360]
        return cls(images[rest], labels[rest], images[held_out], labels[held_out])

    def targets(self, network: Network) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the targets that the network's cost takes, for training and for testing."""
        if isinstance(network.loss, mk.CrossEntropy):
            return self.labels, self.labels_test
        one_hot = np.eye(10, dtype=np.float32)
        return one_hot[self.labels], one_hot[self.labels_test]


@dataclass(frozen=True)
class Result:
    """What a network reached, and in how many seconds, here and in NumPy."""

    found: NDArray[np.int64]
    accuracy: float
    history: Any
    seconds: float
    numpy_seconds: float


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--out", metavar="DIR", default="demo", help="for pictures (default: %(default)s)"
    )
    parser.add_argument(
        "--epochs", type=positive, default=EPOCHS, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="default: %(default)s")
    parser.add_argument("--no-plots", action="store_true", help="draw nothing")
    add_threads(parser)


def run(args: argparse.Namespace) -> None:
    """Train, compare, draw."""
    digits = Digits.load()
    with threads(args.threads):
        facts = machine()
        print(
            f"1,797 handwritten digits of 8 x 8 pixels: {len(digits.x)} to learn from, "
            f"{len(digits.x_test)} held out.\n"
            f"Networks 64-{HIDDEN}-10, Adam, {counted(args.epochs, 'epochs')} "
            f"of batches of {BATCH_SIZE}, float32.\n"
            f"mlpkern {facts['mlpkern']} ({facts['isa']}, {counted(facts['threads'], 'threads')}), "
            f"NumPy {facts['numpy']} ({facts['blas']})\n",
            flush=True,
        )
        results = {}
        for network in NETWORKS:
            print(f"training  {network.name}", flush=True)
            results[network.name] = train(network, digits, args.epochs, args.seed)
    print("\n" + _table(results))
    if not args.no_plots:
        _draw(results, digits, Path(args.out))


def train(network: Network, digits: Digits, epochs: int = EPOCHS, seed: int = 0) -> Result:
    """Return the result of one network: trained here, then with the same steps in NumPy."""
    sizes = [64, HIDDEN, 10]
    net = mk.MLP(sizes, hidden=network.hidden, output=network.output, seed=seed)
    optimizer = mk.Adam(net, lr=LR)
    y, y_test = digits.targets(network)
    peer = numpy_peer.Network(
        sizes, *network.peer, net.parameters, max(BATCH_SIZE, len(digits.x_test)), LR
    )
    start = time.perf_counter()
    history = mk.fit(
        net,
        digits.x,
        y,
        loss=network.loss,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        seed=seed,
        validation=(digits.x_test, y_test),
        progress=can_show_progress(),
    )
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    peer.fit(digits.x, y, epochs, BATCH_SIZE, seed, (digits.x_test, y_test))
    numpy_seconds = time.perf_counter() - start
    found = np.argmax(net.predict(digits.x_test), axis=1)
    accuracy = float(np.mean(found == digits.labels_test))
    return Result(found, accuracy, history, seconds, numpy_seconds)


def _table(results: dict[str, Result]) -> str:
    rows = [
        (
            name,
            f"{100 * result.accuracy:.1f} %",
            duration(result.seconds),
            duration(result.numpy_seconds),
            f"{result.numpy_seconds / result.seconds:.1f}x",
        )
        for name, result in results.items()
    ]
    header = ("network", "accuracy", "mlpkern", "NumPy", "times as fast")
    return table(header, rows, (27, 8, 9, 9, 13)) + (
        "\n\naccuracy: of the digits held out; mlpkern, NumPy: the time of all training steps"
    )


def _draw(results: dict[str, Result], digits: Digits, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    written = ["graph.svg", "graph.dot"]
    net = mk.MLP([64, HIDDEN, 10], hidden="tanh", output="softargmax")
    for name in written:
        write_graph(net, folder / name)
    try:
        found = results["multi-class"].found
        wrong = int(np.sum(found != digits.labels_test))
        shown = np.argsort(found == digits.labels_test, kind="stable")[:36]  # mistakes first
        pictures = {
            "loss.png": plots.losses({name: result.history for name, result in results.items()}),
            "activations.png": plots.activations(),
            "digits.png": plots.digits(
                digits.x_test[shown],
                digits.labels_test[shown],
                found[shown],
                f"Held-out digits as the multi-class network reads them: its {wrong} mistakes "
                f"of {len(found)} first",
            ),
        }
        for name, figure in pictures.items():
            plots.write(figure, folder / name)
            written.append(name)
    except ImportError as error:
        print(error)
    print(f"pictures in {folder}: {', '.join(written)}")
