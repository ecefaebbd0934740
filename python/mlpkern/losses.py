"""Losses: the cost of predictions, and its gradient by them.

Sums run over the K outputs of a sample, as the mathematics has them; over the batch the cost is
the mean or the sum of the samples' costs, as ``reduction`` says, and a gradient always belongs to
the cost that was reported. With ``sample_weight`` a sample counts so many times: the mean divides
by the sum of the weights, and a sample of weight 0 is left out whatever its cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import _core, pairs
from mlpkern._arguments import flag, number

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Huber",
    "Loss",
    "MeanSquaredError",
    "PoissonNLL",
    "Quantile",
    "SquaredError",
]


class Loss:
    """A cost C(y_pred, y); the parameters of each kind stand with its class.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        How the samples' costs make one number.
    """

    _name: str  # the row of the compiled table
    _parameters: list[float]

    def __init__(self, *, reduction: str = "mean") -> None:
        self._setup(type(self).__name__, [], reduction)

    def _setup(self, name: str, parameters: list[float], reduction: str) -> None:
        if not isinstance(reduction, str):
            raise TypeError(
                f"{type(self).__name__}: reduction must be a string; got {type(reduction).__name__}"
            )
        self._name, self._parameters, self.reduction = name, parameters, reduction
        self._core = _core.Loss(type(self).__name__, name, parameters, reduction)

    def __call__(
        self, y_pred: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """The cost of a batch.

        Parameters
        ----------
        y_pred : array, shape (n, K), or (K,) for one sample
        y : array of the same shape and dtype; for CrossEntropy also integer labels, shape (n,)
        sample_weight : array, shape (n,), optional

        Returns
        -------
        C : float
            Added up in float64.

        Raises
        ------
        TypeError, ValueError
            If shapes or dtypes do not fit, labels are out of range, weights are negative, or the
            mean of nothing is asked for.
        """
        if pairs.is_output(id(y_pred)):
            pair = pairs.find(self, y_pred)
            if pair is not None:
                return pair.loss.value(pair.s, y, sample_weight)
        return self._core.value(y_pred, y, sample_weight)

    def gradient(
        self, y_pred: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> NDArray[Any]:
        """``dC/dy_pred`` of the cost that calling the loss reports.

        Parameters
        ----------
        y_pred, y, sample_weight
            As in calling the loss.

        Returns
        -------
        dy : array of the shape of y_pred
        """
        dy = self._core.gradient(y_pred, y, sample_weight)
        if pairs.is_output(id(y_pred)):
            pair = pairs.find(self, y_pred)
            if pair is not None and isinstance(y_pred, np.ndarray):
                ds = pair.loss.gradient(pair.s, y, sample_weight)
                pairs.remember_gradient(pair, y_pred, dy, ds)
        return dy

    def value_and_gradient(
        self, y_pred: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, NDArray[Any]]:
        """The cost and its gradient in one pass: the same bits as the two by themselves.

        Parameters
        ----------
        y_pred, y, sample_weight
            As in calling the loss.

        Returns
        -------
        C : float
        dy : array of the shape of y_pred
        """
        if pairs.is_output(id(y_pred)):
            return self(y_pred, y, sample_weight), self.gradient(y_pred, y, sample_weight)
        return self._core.value_and_gradient(y_pred, y, sample_weight)

    def per_sample(self, y_pred: ArrayLike, y: ArrayLike) -> NDArray[Any]:
        """The samples' costs.

        Parameters
        ----------
        y_pred, y
            As in calling the loss.

        Returns
        -------
        costs : array, shape (n,), in the dtype of y_pred
        """
        return self._core.per_sample(y_pred, y)

    def hvp(
        self,
        y_pred: ArrayLike,
        y: ArrayLike,
        v: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> NDArray[Any]:
        """The Hessian of the batch's cost by y_pred, times v.

        Rows do not mix, and but for ``CrossEntropy(from_logits=True)`` neither do columns.

        Parameters
        ----------
        y_pred, y, sample_weight
            As in calling the loss.
        v : array of the shape and dtype of y_pred

        Returns
        -------
        Hv : array of the shape of y_pred
            The derivative of ``gradient`` along v; 0 in rows of weight 0, and where the cost is
            made of straight pieces.

        Raises
        ------
        TypeError, ValueError
            As in calling the loss, or if v does not fit y_pred.
        """
        return self._core.hvp(y_pred, y, v, sample_weight)

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), {**self._arguments(), "reduction": self.reduction})

    def __repr__(self) -> str:
        inside = "".join(f"{k}={v!r}, " for k, v in self._arguments().items())
        return f"{type(self).__name__}({inside}reduction={self.reduction!r})"

    def _arguments(self) -> dict[str, Any]:
        return {}


class SquaredError(Loss):
    """``sum_k (y_k - y_pred_k)^2``."""


class MeanSquaredError(Loss):
    """``(1/K) sum_k (y_k - y_pred_k)^2``."""


class AbsoluteError(Loss):
    """``sum_k |y_k - y_pred_k|``; the derivative is 0 where they are equal."""


class Huber(Loss):
    """``sum_k h(y_pred_k - y_k)``, a square near 0 and straight beyond.

    ``h(d) = d^2/2`` where ``|d| <= delta``, else ``delta (|d| - delta/2)``.

    Parameters
    ----------
    delta : float
        Where the square ends, greater than 0.
    reduction : {"mean", "sum"}
    """

    def __init__(self, delta: float = 1.0, *, reduction: str = "mean") -> None:
        self.delta = number("Huber", "delta", delta, 0.0, open_=True)
        self._setup("Huber", [self.delta], reduction)

    def _arguments(self) -> dict[str, Any]:
        return {"delta": self.delta}


class Quantile(Loss):
    """``sum_k max(q (y_k - y_pred_k), (1 - q) (y_pred_k - y_k))``, the pinball loss.

    The derivative is -q below the target, 1 - q above it, and 0 where they are equal.

    Parameters
    ----------
    q : float
        The quantile that predictions aim at, between 0 and 1; 0.5 is half the absolute error.
    reduction : {"mean", "sum"}
    """

    def __init__(self, q: float = 0.5, *, reduction: str = "mean") -> None:
        self.q = number("Quantile", "q", q)
        if not 0 < self.q < 1:
            raise ValueError(f"Quantile: q must be between 0 and 1; got {self.q}")
        self._setup("Quantile", [self.q], reduction)

    def _arguments(self) -> dict[str, Any]:
        return {"q": self.q}


class PoissonNLL(Loss):
    """``sum_k exp(p_k) - y_k p_k``, without log_input ``sum_k p_k - y_k log p_k``.

    Parameters
    ----------
    log_input : bool
        Whether predictions p are the logarithms of rates, or the rates.
    reduction : {"mean", "sum"}
    """

    def __init__(self, log_input: bool = True, *, reduction: str = "mean") -> None:
        self.log_input = flag("PoissonNLL", "log_input", log_input)
        self._setup("PoissonNLL", [float(self.log_input)], reduction)

    def _arguments(self) -> dict[str, Any]:
        return {"log_input": self.log_input}


class BinaryCrossEntropy(Loss):
    """``-sum_k [y_k log p_k + (1 - y_k) log(1 - p_k)]``; from logits, p = sigmoid(y_pred).

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits: then no sigmoid stands before the cost.
    reduction : {"mean", "sum"}
    """

    def __init__(self, from_logits: bool = False, *, reduction: str = "mean") -> None:
        self.from_logits = flag("BinaryCrossEntropy", "from_logits", from_logits)
        suffix = "WithLogits" if self.from_logits else ""
        self._setup("BinaryCrossEntropy" + suffix, [], reduction)

    def _arguments(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits}


class CrossEntropy(Loss):
    """``-sum_k t_k log p_k``; from logits, p = softargmax(y_pred).

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits: then no softargmax stands before the cost.
    label_smoothing : float
        From 0 to 1: ``t = (1 - label_smoothing) y + label_smoothing / K``.
    reduction : {"mean", "sum"}

    Notes
    -----
    The targets are integer labels, shape (n,), or probabilities, shape (n, K).
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        *,
        reduction: str = "mean",
    ) -> None:
        self.from_logits = flag("CrossEntropy", "from_logits", from_logits)
        self.label_smoothing = number("CrossEntropy", "label_smoothing", label_smoothing)
        if not 0 <= self.label_smoothing <= 1:
            raise ValueError(
                f"CrossEntropy: label_smoothing must be from 0 to 1; got {self.label_smoothing}"
            )
        name = "CrossEntropyWithLogits" if self.from_logits else "CrossEntropy"
        beta = [1.0] if self.from_logits else []
        self._setup(name, [self.label_smoothing, *beta], reduction)

    def _arguments(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


def _remade(cls: type[Loss], arguments: dict[str, Any]) -> Loss:
    """What pickle calls."""
    return cls(**arguments)


# Class by name: the list that tests, benchmarks and documentation follow.
LOSSES: dict[str, type[Loss]] = {
    cls.__name__: cls
    for cls in (
        SquaredError,
        MeanSquaredError,
        AbsoluteError,
        Huber,
        Quantile,
        PoissonNLL,
        BinaryCrossEntropy,
        CrossEntropy,
    )
}
