"""mlpkern itself."""

from functools import partial
from typing import Any

import numpy as np

import mlpkern as mk

from .. import sklearn_rows
from ..problems import LR, OPTIMIZER_ARGUMENTS, Problem
from . import SETTLED_LR, Prepared, mlpkern_derivative


def start(threads: int) -> str:
    """Set the number of threads; return the version."""
    mk.set_num_threads(threads)
    return str(mk.__version__)


def _net(data: Problem) -> Any:
    case = data.case
    net = mk.MLP(list(case.sizes), hidden=case.hidden, output=case.output, dtype=case.dtype)
    net.parameters[...] = data.p
    return net


def _loss(data: Problem) -> Any:
    return mk.CrossEntropy() if data.case.output == "softargmax" else mk.SquaredError()


def step(data: Problem) -> Prepared:
    """One call of train_step."""
    net = _net(data)
    optimizer = getattr(mk, data.case.what)(net, lr=LR)
    return Prepared(
        partial(mk.train_step, net, _loss(data), optimizer, data.x, data.y),
        lambda _: (net.parameters - data.p,),
        lambda: setattr(optimizer, "lr", SETTLED_LR),
    )


def inference(data: Problem) -> Prepared:
    """The call of a frozen network."""
    out = np.empty((data.case.rows, data.case.sizes[-1]), data.case.dtype)
    return Prepared(partial(_net(data).freeze().predict, data.x, out=out))


memory = inference


def call(data: Problem) -> Prepared:
    """The call of a frozen network with one sample, (D,)."""
    return Prepared(partial(_net(data).freeze(), data.x[0]), lambda y: (y[None],))


def epoch(data: Problem) -> Prepared:
    """One epoch of fit."""
    net = _net(data)
    optimizer = mk.Adam(net, lr=1e-3)
    fit = partial(mk.fit, net, data.x, data.y, loss=_loss(data), optimizer=optimizer)
    return Prepared(partial(fit, epochs=1, batch_size=128), lambda _: ())


def linear(data: Problem) -> Prepared:
    """`linear` and `linear_backward`, into arrays that exist."""
    if data.case.what == "x w":
        return Prepared(partial(mk.linear, data.x, data.w, data.b, out=np.empty_like(data.ds)))
    dx = data.case.what != "x' ds"
    out = (np.empty_like(data.x) if dx else None, np.empty_like(data.w), np.empty_like(data.b))
    backward = partial(mk.linear_backward, data.ds, data.x, data.w, need_dx=dx, out=out)
    return Prepared(backward, lambda gradients: gradients if dx else gradients[1:])


def activation(data: Problem) -> Prepared:
    """A value or a derivative, into an array that exists where the call takes one."""
    name, _, derivative = data.case.what.partition(", ")
    if name == "logsumexp":
        return Prepared(partial(mk.logsumexp, data.x))
    f: Any = mk.GELU(approximate="tanh") if name == "gelu_tanh" else mk.activation(name)
    if derivative:
        return Prepared(partial(f.derivative, data.x))
    return Prepared(partial(f, data.x, out=np.empty_like(data.x)))


def loss(data: Problem) -> Prepared:
    """A cost from logits, and its gradient."""
    f: Any = {
        "squared error": mk.SquaredError(),
        "binary cross-entropy": mk.BinaryCrossEntropy(from_logits=True),
        "cross-entropy": mk.CrossEntropy(from_logits=True),
    }[data.case.what]
    return Prepared(partial(f.value_and_gradient, data.x, data.y), lambda both: both)


def optimizer(data: Problem) -> Prepared:
    """One step of an optimizer."""
    name, arguments = OPTIMIZER_ARGUMENTS[data.case.what]
    net = mk.Linear(data.p.size, 1, bias=False)
    net.parameters[...] = data.p
    net.gradients[...] = data.g
    steps = getattr(mk, name)(net, lr=LR, **arguments)
    return Prepared(
        steps.step,
        lambda _: (net.parameters - data.p,),
        lambda: setattr(steps, "lr", SETTLED_LR),
    )


def derivative(data: Problem) -> Prepared:
    """A derivative, a product with one, or a step on second derivatives."""
    return mlpkern_derivative.derivative(data, _net(data), _loss(data))


def sklearn(data: Problem) -> Prepared:
    """A fit of an estimator with its default settings."""
    import mlpkern.sklearn

    return sklearn_rows.fitted(mlpkern.sklearn, data.case)
