"""What `bench` measures: pairs of functions, mlpkern's and NumPy's, that give the same results."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk

from . import numpy_ops, numpy_peer

Array = NDArray[np.float32]

SIZES = ((4, 16, 2), (17, 256, 256, 6), (784, 128, 10))
BATCHES = (1, 32, 256, 4096)
ROWS, COLUMNS = 256, 256  # what activations and optimizers work on: 256 kB, which L2 holds


@dataclass(frozen=True)
class Case:
    """One operation in both libraries. Each function returns what is compared before timing."""

    group: str
    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]


def cases(sizes: Sequence[Sequence[int]], batches: Sequence[int]) -> Iterator[Case]:
    """Yield every case; the arrays of one are freed before the next is made."""
    rng = np.random.default_rng(0)
    yield from _linear(rng, sizes, batches)
    yield from _activations(rng)
    yield from _losses(rng)
    yield from _optimizers(rng)
    for widths in sizes:
        for batch in batches:
            yield _training(rng, widths, batch)


def _normal(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return rng.standard_normal(shape, dtype=np.float32)


def _linear(
    rng: np.random.Generator, sizes: Sequence[Sequence[int]], batches: Sequence[int]
) -> Iterator[Case]:
    for inputs, outputs in (widths[:2] for widths in sizes):
        w, b = _normal(rng, inputs, outputs), _normal(rng, outputs)
        for n in batches:
            x, ds = _normal(rng, n, inputs), _normal(rng, n, outputs)
            shape = f"{inputs}-{outputs}, batch {n}"
            yield Case(
                "linear",
                f"linear {shape}",
                partial(mk.linear, x, w, b, out=np.empty_like(ds)),
                partial(numpy_ops.linear, x, w, b, np.empty_like(ds)),
            )
            out = [(np.empty_like(x), np.empty_like(w), np.empty_like(b)) for _ in range(2)]
            yield Case(
                "linear",
                f"linear_backward {shape}",
                partial(mk.linear_backward, ds, x, w, out=out[0]),
                partial(numpy_ops.linear_backward, ds, x, w, out[1]),
            )


def _activations(rng: np.random.Generator) -> Iterator[Case]:
    s = _normal(rng, ROWS, COLUMNS)
    every = [(name, mk.activation(name), f) for name, f in numpy_ops.ACTIVATIONS.items()]
    gelu = (numpy_ops.gelu_tanh, numpy_ops.gelu_tanh_derivative)
    every.append(("gelu (tanh)", mk.GELU(approximate="tanh"), gelu))
    for name, f, (value, derivative) in every:
        yield Case("activation", name, partial(f, s), partial(value, s))
        name = f"{name}, derivative"
        yield Case("activation", name, partial(f.derivative, s), partial(derivative, s))
    for name, ours, theirs in (
        ("softargmax", mk.Softargmax(), numpy_ops.softargmax),
        ("logsumexp", mk.logsumexp, numpy_ops.logsumexp),
    ):
        yield Case("activation", name, partial(ours, s), partial(theirs, s))


def _losses(rng: np.random.Generator) -> Iterator[Case]:
    s = _normal(rng, ROWS, 10)
    labels = rng.integers(0, 10, ROWS)
    one_hot = np.eye(10, dtype=np.float32)[labels]
    for name, output, loss, y in (
        ("squared error", "identity", mk.SquaredError(), one_hot),
        ("binary cross-entropy", "sigmoid", mk.BinaryCrossEntropy(from_logits=True), one_hot),
        ("cross-entropy", "softargmax", mk.CrossEntropy(from_logits=True), labels),
    ):
        theirs = partial(_their_loss, name, output, s, y, np.empty_like(s), np.empty_like(s))
        yield Case("loss", f"loss: {name}", partial(_our_loss, loss, s, y), theirs)


def _our_loss(loss: Any, s: Array, y: NDArray[Any]) -> Any:
    return loss(s, y), loss.gradient(s, y)


def _their_loss(name: str, output: str, s: Array, y: NDArray[Any], p: Array, dy: Array) -> Any:
    numpy_peer.ACTIVATIONS[output][0](s, p)
    return numpy_peer.COSTS[name](s, p, y, dy)[0], dy


def _optimizers(rng: np.random.Generator) -> Iterator[Case]:
    makers = dict(numpy_ops.OPTIMIZERS)
    makers["Adam"] = ({}, lambda p, g: numpy_peer.Adam(p, g).step)
    for name, (arguments, make) in makers.items():
        net = mk.Linear(COLUMNS, ROWS)
        net.gradients[...] = _normal(rng, net.gradients.size)
        p = net.parameters.copy()
        theirs = make(p, net.gradients.copy())
        ours = getattr(mk, name.partition(",")[0])(net, **arguments).step
        yield Case(
            "optimizer",
            f"{name}, {p.size} weights",
            partial(_stepped, ours, net.parameters),
            partial(_stepped, theirs, p),
        )


def _stepped(step: Callable[[], None], p: Array) -> Array:
    step()
    return p


def _training(rng: np.random.Generator, widths: Sequence[int], batch: int) -> Case:
    x = _normal(rng, batch, widths[0])
    y = rng.integers(0, widths[-1], batch)
    net = mk.MLP(list(widths), hidden="relu", output="softargmax")
    peer = numpy_peer.Network(widths, "relu", "softargmax", "cross-entropy", net.parameters, batch)
    loss, optimizer = mk.CrossEntropy(), mk.Adam(net)
    return Case(
        "step",
        f"step {'-'.join(map(str, widths))}, batch {batch}",
        partial(mk.train_step, net, loss, optimizer, x, y),
        partial(peer.step, x, y),
    )
