"""L-BFGS: SciPy's, on the cost and gradient of all samples at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from mlpkern.sklearn._network import Objective, Samples
from mlpkern.sklearn._settings import users_line


def minimized(
    objective: Objective,
    samples: Samples,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    after: Callable[[float], bool],
) -> tuple[int, float]:
    """Moves the network's parameters to where the cost is least; iterations, and that cost.

    ``after`` is called with the cost after each iteration; training ends where it returns True.
    """
    net, total = objective.net, samples.total()
    core, everything = net._core_for(samples.x).core, samples.take(slice(None))
    constant = objective.constant(samples)

    def cost(parameters: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        net.parameters[...] = parameters
        value, gradient = core.value_and_gradient(
            objective.loss._core, everything.x, everything.y, everything.weight
        )
        objective.add_penalty_gradient(gradient, total)
        value += objective.penalty() / total + constant
        return value, gradient.astype(np.float64, copy=False)

    def callback(intermediate_result: Any) -> None:
        net.parameters[...] = intermediate_result.x
        if after(float(intermediate_result.fun)):
            raise StopIteration

    options = {"maxiter": max_iter, "maxfun": max_fun, "gtol": tol}
    start = net.parameters.astype(np.float64)
    found = minimize(cost, start, jac=True, method="L-BFGS-B", options=options, callback=callback)
    net.parameters[...] = found.x
    if found.status in (1, 2):
        warnings.warn(
            f"lbfgs did not converge after {found.nit} iterations: {found.message}. Increase "
            "max_iter or max_fun, or scale the data.",
            ConvergenceWarning,
            stacklevel=users_line(),
        )
    return min(int(found.nit), max_iter), float(found.fun)
