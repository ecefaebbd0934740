"""mlpkern's derivatives, each by the call that is made for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import mlpkern as mk

from ..derivative_oracles import some
from ..problems import LR, Problem
from . import SETTLED_LR, Prepared


def derivative(data: Problem, net: Any, loss: Any) -> Prepared:
    """The row's call, into an array that there is, with the unit that its cost is also given in."""
    x, y = data.x, data.y
    make: dict[str, Callable[[], Prepared]] = {
        "jacobian": lambda: Prepared(partial(mk.jacobian, net, x, mk.jacobian(net, x)), _some),
        "jvp": lambda: Prepared(partial(mk.jvp, net, x, data.v), _some_of_both),
        "vjp": lambda: Prepared(partial(mk.vjp, net, x, data.g), _some_of_both),
        "sample gradients": lambda: Prepared(
            partial(
                mk.per_sample_gradients, net, loss, x, y, mk.per_sample_gradients(net, loss, x, y)
            ),
            _some,
        ),
        "hvp": lambda: Prepared(
            partial(mk.hvp, net, loss, x, y, data.v),
            unit=partial(mk.value_and_gradient, net, loss, x, y),
        ),
        "laplacian": lambda: Prepared(
            partial(mk.laplacian, net, x), _some, unit=partial(net.predict, x)
        ),
        "training step": lambda: _training(data, net),
    }
    return make[data.case.what]()


def _some(rows: Any) -> Any:
    return (some(rows),)


def _some_of_both(both: Any) -> Any:
    return [some(rows) for rows in both]


def _training(data: Problem, net: Any) -> Prepared:
    """The cost in NumPy; of the second derivatives those along the inputs."""
    optimizer = mk.SGD(net, lr=LR)
    x, n = data.x, data.case.rows
    inputs = np.eye(x.shape[1], dtype=x.dtype)

    def run() -> float:
        d: Any = mk.derivatives(net, x, directions=inputs)
        residual = d.u_xx.sum(axis=2) + (d.u_x**2).sum(axis=2) - d.u
        g = residual * (2 / n)
        by_u_xx = np.repeat(g[:, :, None], len(inputs), axis=2)
        net.zero_grad()
        d.backward(du=-g, du_x=2 * by_u_xx * d.u_x, du_xx=by_u_xx)
        optimizer.step()
        return float(np.sum(residual**2) / n)

    return Prepared(
        run,
        lambda _: (net.parameters - data.p,),
        lambda: setattr(optimizer, "lr", SETTLED_LR),
    )
