"""What is trained: a network with scikit-learn's initial weights, its loss, the penalty on weights.

    cost of a batch = mean over its samples of C(net(x), y) + alpha/2 sum w^2 / (sum of its weights)

The weights of the penalty are those of the linear maps; their biases are left alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk

# The last activation, by scikit-learn's name. The exponential stands behind the network: the
# Poisson loss takes the rate's logarithm, which neither overflows nor cancels.
OUTPUTS = {"softmax": "softargmax", "logistic": "sigmoid", "identity": "identity"}
OUTPUTS["exp"] = "identity"


def network(
    sizes: Sequence[int],
    hidden: Sequence[mk.Activation],
    output: str,
    dtype: Any,
    random_state: np.random.RandomState,
) -> mk.MLP:
    """A network with the initial weights that scikit-learn draws from the same generator.

    w and b uniform within +-sqrt(6 / (D + L)), or sqrt(2 / (D + L)) with the logistic function
    (Glorot and Bengio, 2010); of the last layer, as of the one before.
    """
    net = mk.MLP(sizes, list(hidden), OUTPUTS[output], dtype=dtype)
    behind = [*hidden, *hidden[-1:]] or [mk.Identity()]
    for f, activation, (D, L) in zip(
        net._linears(), behind, itertools.pairwise(sizes), strict=True
    ):
        factor = 2.0 if isinstance(activation, mk.Sigmoid) else 6.0
        bound = math.sqrt(factor / (D + L))
        f.w = random_state.uniform(-bound, bound, (D, L))
        f.b = random_state.uniform(-bound, bound, L)
    return net


@dataclass(frozen=True)
class Objective:
    """A network, its loss, and how strongly its weights are held down."""

    net: mk.MLP
    loss: mk.Loss
    alpha: float

    def penalty(self) -> float:
        """``alpha/2 sum w^2``."""
        return 0.5 * self.alpha * sum(float(np.vdot(f.w, f.w)) for f in self.net._linears())

    def value(self, samples: Samples) -> float:
        """The cost of samples, without the penalty."""
        core = self.net._core_for(samples.x).core
        cost = core.value(self.loss._core, samples.x, samples.y, samples.weight)
        return float(cost) + self.constant(samples)

    def constant(self, samples: Samples) -> float:
        """What scikit-learn's cost has beside the loss: of Poisson's, the mean of y log y - y."""
        if not isinstance(self.loss, mk.PoissonNLL):
            return 0.0
        y = samples.y.astype(np.float64)
        terms = np.sum(y * np.log(np.where(y > 0, y, 1.0)) - y, axis=1)
        return float(np.average(terms, weights=samples.weight))

    def add_penalty_gradient(self, gradient: NDArray[Any], divisor: float) -> None:
        """Adds ``alpha w / divisor`` to a flat gradient."""
        for f in self.net._linears():
            part = gradient[f._offset : f._offset + f.w.size]
            part += self.alpha / divisor * f.w.ravel()


@dataclass(frozen=True)
class Samples:
    """x (n, D), dense or sparse by rows; y (n,) labels or (n, K); weight (n,) or None."""

    x: Any
    y: NDArray[Any]
    weight: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def dense(self) -> bool:
        """Whether x is an array."""
        return isinstance(self.x, np.ndarray)

    def take(self, rows: Any) -> Samples:
        """Some of the samples, dense."""
        x = self.x[rows]
        weight = None if self.weight is None else self.weight[rows]
        return Samples(x if self.dense else x.toarray(), self.y[rows], weight)

    def total(self) -> float:
        """The sum of the weights, or the number of samples."""
        return len(self) if self.weight is None else float(self.weight.sum())
