"""The numbers of a case, and what must come out, in float64 from `mlpkern.reference`.

The same case gives the same numbers in every process.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk

from . import derivative_oracles
from .cases import Case

Array = NDArray[Any]

LR = 1e-2  # of the one step whose result is checked
OPTIMIZER_ARGUMENTS: dict[str, tuple[str, dict[str, float]]] = {
    "SGD": ("SGD", {}),
    "SGD, momentum": ("SGD", {"momentum": 0.9}),
    "RMSprop": ("RMSprop", {}),
    "Adagrad": ("Adagrad", {}),
    "Adam": ("Adam", {}),
}


@dataclass(frozen=True)
class Problem:
    """A case and its arrays; those that it does not need are empty."""

    case: Case
    x: Array = field(default_factory=lambda: np.empty(0))  # (n, D), or an activation's argument
    y: Array = field(default_factory=lambda: np.empty(0))  # (n, K), or integer labels (n,)
    w: Array = field(default_factory=lambda: np.empty(0))
    b: Array = field(default_factory=lambda: np.empty(0))
    ds: Array = field(default_factory=lambda: np.empty(0))
    p: Array = field(default_factory=lambda: np.empty(0))  # parameters: by layer, w by rows, then b
    g: Array = field(default_factory=lambda: np.empty(0))  # of p's shape, or of y's for a vjp
    v: Array = field(default_factory=lambda: np.empty(0))  # of x's shape, or of p's for an hvp

    @property
    def layers(self) -> list[tuple[Array, Array]]:
        """Views of the parameters: w (D, L) and b (L,) of each layer."""
        views, start = [], 0
        for d, n in zip(self.case.sizes, self.case.sizes[1:], strict=False):
            end = start + d * n
            views.append((self.p[start:end].reshape(d, n), self.p[end : end + n]))
            start = end + n
        return views


def problem(case: Case) -> Problem:
    """Return the case with its arrays."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        numbers: Array = rng.standard_normal(shape, dtype=np.dtype(case.dtype).type)
        return numbers

    if case.group == "sklearn":
        return Problem(case)  # sklearn_rows has its samples
    if case.group == "linear":
        d, n = case.sizes
        return Problem(
            case, x=normal(case.rows, d), w=normal(d, n), b=normal(n), ds=normal(case.rows, n)
        )
    if case.group == "activation":
        return Problem(case, x=normal(case.rows, *case.sizes))
    if case.group == "loss":
        labels = rng.integers(0, case.sizes[0], case.rows)
        one_hot = np.eye(case.sizes[0], dtype=case.dtype)[labels]
        y = labels if case.what == "cross-entropy" else one_hot
        return Problem(case, x=normal(case.rows, *case.sizes), y=y)
    if case.group == "optimizer":
        return Problem(case, p=normal(*case.sizes), g=normal(*case.sizes))
    return _network(case, rng)


def _network(case: Case, rng: np.random.Generator) -> Problem:
    dtype = np.dtype(case.dtype).type
    blocks: list[Array] = []
    for d, n in zip(case.sizes, case.sizes[1:], strict=False):
        scale = (2 / d) ** 0.5 if case.hidden == "relu" else d**-0.5
        blocks += [rng.standard_normal(d * n) * scale, rng.standard_normal(n) * 0.1]
    x = rng.standard_normal((case.rows, case.sizes[0]), dtype=dtype)
    if case.output == "softargmax":
        y: Array = rng.integers(0, case.sizes[-1], case.rows)
    else:
        y = rng.standard_normal((case.rows, case.sizes[-1]), dtype=dtype)
    p = np.concatenate(blocks).astype(dtype)
    if case.group != "derivative":
        return Problem(case, x=x, y=y, p=p)
    v = rng.standard_normal(p.size if case.what == "hvp" else x.shape, dtype=dtype)
    g = rng.standard_normal((case.rows, case.sizes[-1]), dtype=dtype)
    return Problem(case, x=x, y=y, p=p, g=g, v=v)


def expected(data: Problem) -> list[Array] | None:
    """Return the results in float64; None where there is nothing to compare."""
    check = {
        "linear": _linear,
        "activation": _activation,
        "loss": _loss,
        "optimizer": _optimizer,
        "step": _step,
        "epoch": _nothing,
        "sklearn": _nothing,
        "derivative": _derivative,
    }
    return check.get(data.case.group, _inference)(data)


def _linear(data: Problem) -> list[Array]:
    if data.case.what == "x w":
        return [mk.reference.linear(data.x, data.w, data.b)]
    dx, dw, db = mk.reference.linear_backward(data.ds, data.x, data.w)
    assert dx is not None
    return [dw, db] if data.case.what == "x' ds" else [dx, dw, db]


def _activation(data: Problem) -> list[Array]:
    name, _, derivative = data.case.what.partition(", ")
    if name == "logsumexp":
        return [np.asarray(mk.reference.logsumexp(data.x))]
    f: Any = (
        mk.reference.GELU(approximate="tanh")
        if name == "gelu_tanh"
        else mk.reference.activation(name)
    )
    return [f.derivative(data.x) if derivative else f(data.x)]


def _loss(data: Problem) -> list[Array]:
    loss: Any = {
        "squared error": mk.reference.SquaredError(),
        "binary cross-entropy": mk.reference.BinaryCrossEntropy(from_logits=True),
        "cross-entropy": mk.reference.CrossEntropy(from_logits=True),
    }[data.case.what]
    return [np.asarray(loss(data.x, data.y)), loss.gradient(data.x, data.y)]


def _optimizer(data: Problem) -> list[Array]:
    """The change of the parameters in the first step."""
    name, arguments = OPTIMIZER_ARGUMENTS[data.case.what]
    net = mk.reference.Linear(data.p.size, 1, bias=False)
    net.parameters[...] = data.p
    net.gradients[...] = data.g
    getattr(mk.reference, name)(net, lr=LR, **arguments).step()
    return [net.parameters - data.p]


def _reference_net(data: Problem) -> mk.reference.MLP:
    case = data.case
    net = mk.reference.MLP(case.sizes, hidden=case.hidden, output=case.output)
    net.parameters[...] = data.p
    return net


def _reference_loss(case: Case) -> Any:
    softargmax = case.output == "softargmax"
    return mk.reference.CrossEntropy() if softargmax else mk.reference.SquaredError()


def _step(data: Problem) -> list[Array]:
    """The change of the parameters in the first step."""
    net = _reference_net(data)
    optimizer = getattr(mk.reference, data.case.what)(net, lr=LR)
    mk.reference.train_step(net, _reference_loss(data.case), optimizer, data.x, data.y)
    return [net.parameters - data.p]


def _inference(data: Problem) -> list[Array]:
    return [_reference_net(data).predict(data.x)]


def _derivative(data: Problem) -> list[Array]:
    return derivative_oracles.expected(data, LR)


def _nothing(data: Problem) -> list[Array] | None:
    return None
