"""NumPy, every buffer made once and filled with `out=`."""

from functools import partial
from typing import Any

import numpy as np

from ... import numpy_peer
from ..problems import LR, Problem
from . import SETTLED_LR, Prepared, numpy_ops


def start(threads: int) -> str:
    """Return the version; BLAS has taken its threads from the environment."""
    return np.__version__


def _network(data: Problem, optimizer: str = "Adam", rows: int = 0) -> numpy_peer.Network:
    case = data.case
    cost = "cross-entropy" if case.output == "softargmax" else "squared error"
    return numpy_peer.Network(
        case.sizes,
        case.hidden,
        case.output,
        cost,
        data.p,
        rows or case.rows,
        LR,
        optimizer,
    )


def step(data: Problem) -> Prepared:
    """Forward, backward and optimizer."""
    net = _network(data, data.case.what)
    return Prepared(
        partial(net.step, data.x, data.y),
        lambda _: (net.parameters - data.p,),
        lambda: setattr(net.optimizer, "lr", SETTLED_LR),
    )


def inference(data: Problem) -> Prepared:
    """The forward pass."""
    net = _network(data)
    return Prepared(lambda: net.forward(data.x)[0][-1])


call = inference


def memory(data: Problem) -> Prepared:
    """The forward pass; the buffers count, as they are made in the call."""
    return Prepared(lambda: _network(data).forward(data.x)[0][-1])


def epoch(data: Problem) -> Prepared:
    """One epoch over shuffled batches."""
    net = _network(data, rows=128)
    net.optimizer.lr = 1e-3
    held_out = (data.x[:128], data.y[:128])
    return Prepared(
        partial(net.fit, data.x, data.y, epochs=1, batch_size=128, seed=0, validation=held_out),
        lambda _: (),
    )


def linear(data: Problem) -> Prepared:
    """Products with `out=`."""
    if data.case.what == "x w":
        return Prepared(
            partial(numpy_ops.linear, data.x, data.w, data.b, np.empty_like(data.ds)),
        )
    out = tuple(np.empty_like(a) for a in (data.x, data.w, data.b))
    if data.case.what == "x' ds":
        return Prepared(
            partial(numpy_ops.linear_backward_parameters, data.ds, data.x, out[1:]), lambda r: r
        )
    backward = partial(numpy_ops.linear_backward, data.ds, data.x, data.w, out)
    return Prepared(backward, lambda r: r)


def activation(data: Problem) -> Prepared | None:
    """A value or a derivative; NumPy has no erf for the exact GELU."""
    name, _, derivative = data.case.what.partition(", ")
    if name in numpy_ops.BY_ROWS:
        return Prepared(partial(numpy_ops.BY_ROWS[name], data.x))
    if name not in numpy_ops.ACTIVATIONS:
        return None
    function: Any = numpy_ops.ACTIVATIONS[name][1 if derivative else 0]
    if isinstance(function, np.ufunc):
        function = partial(function, out=np.empty_like(data.x))
    return Prepared(partial(function, data.x))


_OUTPUTS = {
    "squared error": "identity",
    "binary cross-entropy": "sigmoid",
    "cross-entropy": "softargmax",
}


def loss(data: Problem) -> Prepared:
    """The output's activation, the cost, and its gradient."""
    p, dy = np.empty_like(data.x), np.empty_like(data.x)
    forward, _ = numpy_peer.ACTIVATIONS[_OUTPUTS[data.case.what]]
    cost = numpy_peer.COSTS[data.case.what]
    if forward is numpy_peer.identity:
        return Prepared(lambda: (cost(data.x, data.x, data.y, dy)[0], dy), lambda both: both)

    def run() -> tuple[float, Any]:
        forward(data.x, p)
        return cost(data.x, p, data.y, dy)[0], dy

    return Prepared(run, lambda both: both)


def optimizer(data: Problem) -> Prepared:
    """One step of an optimizer."""
    p, g = data.p.copy(), data.g
    steps = numpy_ops.OPTIMIZERS[data.case.what](p, g, LR)
    return Prepared(
        steps.step,
        lambda _: (p - data.p,),
        lambda: setattr(steps, "lr", SETTLED_LR),
    )
