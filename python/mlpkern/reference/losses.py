# mypy: disable-error-code=no-any-return
"""Costs of a batch: predictions (n, K), one cost a sample, their mean or sum, and gradients.

Nothing is clamped: a probability of 0 for what happened costs infinity. 0 log 0 counts as 0.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .numeric import Array, as_real, damped, sigmoid
from .rowwise import Softargmax, complement, log_softargmax, softargmax


class Loss:
    """The mean (over the samples) or the sum of their costs. A subclass states both formulas.

    With weights, the mean divides by the sum of the weights, as np.average does. A sample of
    weight 0 does not count, even where its cost is infinite or NaN.
    """

    def __init__(self, *, reduction: Literal["mean", "sum"] = "mean") -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f'reduction must be "mean" or "sum", not {reduction!r}')
        self.reduction = reduction

    def costs(self, p: Array, y: Array) -> Array:
        """Return the samples' costs, (n,), for predictions `p` and targets `y`, (n, K)."""
        raise NotImplementedError

    def slopes(self, p: Array, y: Array) -> Array:
        """Return the derivatives of the samples' costs by `p`, (n, K)."""
        raise NotImplementedError

    def bends(self, p: Array, y: Array, v: Array) -> Array:
        """Return the Hessians of the samples' costs by `p`, times `v`, (n, K), of numbers."""
        raise NotImplementedError

    def targets(self, y: ArrayLike, p: Array) -> Array:
        """Return the targets as reals of the shape of `p`."""
        y = as_real(y, "y")
        if y.shape != p.shape:
            raise ValueError(f"y must have the shape of y_pred, {p.shape}, not {y.shape}")
        return y

    def per_sample(self, y_pred: ArrayLike, y: ArrayLike) -> Array:
        """Return the samples' costs, (n,)."""
        p = _predictions(y_pred)
        with np.errstate(all="ignore"):
            return self.costs(p, self.targets(y, p))

    def __call__(
        self, y_pred: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the cost of the batch; `sample_weight` is (n,) or None."""
        costs = self.per_sample(y_pred, y)
        weights, total = self._weights(sample_weight, len(costs))
        with np.errstate(all="ignore"):
            return float(np.sum(np.where(weights == 0, 0, weights * costs)) / total)

    def gradient(
        self, y_pred: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Array:
        """Return the derivative of the batch's cost by `y_pred`, (n, K)."""
        p = _predictions(y_pred)
        weights, total = self._weights(sample_weight, len(p))
        with np.errstate(all="ignore"):
            w = weights[:, None]
            return np.where(w == 0, 0, w / total * self.slopes(p, self.targets(y, p)))

    def hvp(
        self,
        y_pred: ArrayLike,
        y: ArrayLike,
        v: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Array:
        """Return the Hessian of the batch's cost by `y_pred`, times `v`, (n, K)."""
        p, v = _predictions(y_pred), as_real(v, "v")
        if v.shape != p.shape:
            raise ValueError(f"v must have the shape of y_pred, {p.shape}, not {v.shape}")
        weights, total = self._weights(sample_weight, len(p))
        with np.errstate(all="ignore"):
            w, t = weights[:, None], self.targets(y, p)
            bends = np.where(np.isnan(self.slopes(p, t)), np.nan, self.bends(p, t, v))
            return np.where(w == 0, 0, w / total * bends)

    def value_and_gradient(
        self, y_pred: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, Array]:
        """Return the cost of the batch and its derivative by `y_pred`."""
        return self(y_pred, y, sample_weight), self.gradient(y_pred, y, sample_weight)

    def _weights(self, sample_weight: ArrayLike | None, n: int) -> tuple[Array, float]:
        """Return the weights (n,) and what the weighted sum is divided by."""
        weights = np.ones(n) if sample_weight is None else as_real(sample_weight, "sample_weight")
        if weights.shape != (n,):
            raise ValueError(f"sample_weight must have shape ({n},), not {weights.shape}")
        if self.reduction == "sum":
            return weights, 1.0
        total = float(np.sum(weights))
        if n == 0 or total == 0:
            raise ValueError("the mean of no samples is not defined; reduction='sum' gives 0")
        return weights, total


def _predictions(y_pred: ArrayLike) -> Array:
    p = as_real(y_pred, "y_pred")
    if p.ndim != 2:
        raise ValueError(f"y_pred must have shape (n, K), not {p.shape}")
    return p


def _x_log(x: Array, log: Array) -> Array:
    """Return x * log, where x = 0 beats an infinite log, but not a NaN."""
    return np.where((x == 0) & ~np.isnan(log), 0, x * log)


def _ratio(x: Array, p: Array) -> Array:
    """Return x / p, the derivative of x log p, where x = 0 beats p = 0, but not a NaN."""
    return np.where((x == 0) & ~np.isnan(p), 0, x / p)


class SquaredError(Loss):
    """``C = sum_k (y_k - p_k)^2``.

    ``dC/dp = 2(p - y)``.
    """

    def costs(self, p: Array, y: Array) -> Array:
        return np.sum((y - p) ** 2, axis=1)

    def slopes(self, p: Array, y: Array) -> Array:
        return 2 * (p - y)

    def bends(self, p: Array, y: Array, v: Array) -> Array:
        return 2 * v


class MeanSquaredError(Loss):
    """``C = (1/K) sum_k (y_k - p_k)^2``.

    ``dC/dp = (2/K)(p - y)``.
    """

    def costs(self, p: Array, y: Array) -> Array:
        return np.mean((y - p) ** 2, axis=1)

    def slopes(self, p: Array, y: Array) -> Array:
        return 2 * (p - y) / p.shape[1]

    def bends(self, p: Array, y: Array, v: Array) -> Array:
        return 2 * v / p.shape[1]


class AbsoluteError(Loss):
    """``C = sum_k |y_k - p_k|``.

    ``dC/dp = sign(p - y)``, 0 at 0.
    """

    def costs(self, p: Array, y: Array) -> Array:
        return np.sum(np.abs(y - p), axis=1)

    def slopes(self, p: Array, y: Array) -> Array:
        return np.sign(p - y)

    def bends(self, p: Array, y: Array, v: Array) -> Array:
        return 0 * v


class Huber(Loss):
    """``C = sum_k r^2/2`` where ``r = |y_k - p_k| <= delta``, else ``delta (r - delta/2)``."""

    def __init__(self, delta: float = 1.0, *, reduction: Literal["mean", "sum"] = "mean") -> None:
        super().__init__(reduction=reduction)
        if not (delta > 0 and np.isfinite(delta)):
            raise ValueError(f"delta must be finite and positive, not {delta}")
        self.delta = delta

    def costs(self, p: Array, y: Array) -> Array:
        r = np.abs(y - p)
        return np.sum(np.where(r > self.delta, self.delta * (r - self.delta / 2), r**2 / 2), axis=1)

    def slopes(self, p: Array, y: Array) -> Array:
        return np.clip(p - y, -self.delta, self.delta)

    def bends(self, p: Array, y: Array, v: Array) -> Array:
        return np.where(np.abs(y - p) > self.delta, 0, 1) * v


class Quantile(Loss):
    """C = sum_k q r where r = y_k - p_k >= 0, else (q - 1) r; dC/dp = -q, 1 - q, and 0 at r = 0."""

    def __init__(self, q: float = 0.5, *, reduction: Literal["mean", "sum"] = "mean") -> None:
        super().__init__(reduction=reduction)
        if not 0 < q < 1:
            raise ValueError(f"q must be between 0 and 1, not {q}")
        self.q = q

    def costs(self, p: Array, y: Array) -> Array:
        r = y - p
        return np.sum(np.maximum(self.q * r, (self.q - 1) * r), axis=1)

    def slopes(self, p: Array, y: Array) -> Array:
        return np.where(p > y, 1 - self.q, np.where(p < y, -self.q, p - y))

    def bends(self, p: Array, y: Array, v: Array) -> Array:
        return 0 * v


class PoissonNLL(Loss):
    """``C = sum_k exp(p_k) - y_k p_k``; without log_input ``sum_k p_k - y_k log p_k``."""

    def __init__(
        self, log_input: bool = True, *, reduction: Literal["mean", "sum"] = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.log_input = log_input

    def costs(self, p: Array, y: Array) -> Array:
        if self.log_input:
            terms = np.exp(p) - _x_log(y, p)
            return np.sum(np.where(p == np.inf, np.inf, terms), axis=1)  # exp outgrows y p
        return np.sum(p - _x_log(y, np.log(p)), axis=1)

    def slopes(self, p: Array, y: Array) -> Array:
        return np.exp(p) - y if self.log_input else 1 - _ratio(y, p)

    def bends(self, p: Array, y: Array, v: Array) -> Array:
        return (np.exp(p) if self.log_input else _ratio(y, p**2)) * v


class BinaryCrossEntropy(Loss):
    """``C = -sum_k y_k log p_k + (1 - y_k) log(1 - p_k)``; from logits s, p = sigmoid(s)."""

    def __init__(
        self, from_logits: bool = False, *, reduction: Literal["mean", "sum"] = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.from_logits = from_logits

    def costs(self, p: Array, y: Array) -> Array:
        """From logits: softplus(s) - y s, the linear part of softplus put together with y s."""
        if self.from_logits:
            linear = np.where(p >= 0, damped(p, 1 - y), damped(-p, y))
            return np.sum(linear + np.log1p(np.exp(-np.abs(p))), axis=1)
        return -np.sum(_x_log(y, np.log(p)) + _x_log(1 - y, np.log1p(-p)), axis=1)

    def slopes(self, p: Array, y: Array) -> Array:
        """From logits: sigmoid(s) - y = (1 - y) sigmoid(s) - y sigmoid(-s), exact near y."""
        if self.from_logits:
            return (1 - y) * sigmoid(p) - y * sigmoid(-p)
        return _ratio(1 - y, 1 - p) - _ratio(y, p)

    def bends(self, p: Array, y: Array, v: Array) -> Array:
        if self.from_logits:
            return sigmoid(p) * sigmoid(-p) * v
        return (_ratio(1 - y, (1 - p) ** 2) + _ratio(y, p**2)) * v


class CrossEntropy(Loss):
    """``C = -sum_k t_k log p_k``; from logits s, p = softargmax(s).

    Labels are integers (n,) in [0, K), or probabilities (n, K). The target is
    ``t = (1 - label_smoothing) y + label_smoothing/K`` with y one-hot or the probabilities.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        *,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing must be in [0, 1], not {label_smoothing}")
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing

    def targets(self, y: ArrayLike, p: Array) -> Array:
        """Return t, (n, K)."""
        n, classes = p.shape
        labels = np.asarray(y)
        if labels.ndim == 1:
            if labels.dtype.kind not in "iu" or labels.shape != (n,):
                raise ValueError(f"labels must be {n} integers, not {labels.shape} {labels.dtype}")
            if n and not (labels.min() >= 0 and labels.max() < classes):
                raise ValueError(f"labels must be in [0, {classes})")
            one_hot: Array = np.zeros_like(p)
            one_hot[np.arange(n), labels] = 1
        else:
            one_hot = super().targets(y, p)
        smooth = self.label_smoothing
        return (1 - smooth) * one_hot + smooth / classes if smooth else one_hot

    def costs(self, p: Array, y: Array) -> Array:
        log_p = log_softargmax(p) if self.from_logits else np.log(p)
        return -np.sum(_x_log(y, log_p), axis=1)

    def slopes(self, p: Array, y: Array) -> Array:
        """From logits: p_k sum_j t_j - t_k = p_k (sum of the other t) - t_k (1 - p_k)."""
        if not self.from_logits:
            return -_ratio(y, p)
        a = softargmax(p)
        return a * (np.sum(y, axis=1, keepdims=True) - y) - y * complement(a)

    def bends(self, p: Array, y: Array, v: Array) -> Array:
        """From logits: a (v - <a, v>) sum_j t_j, the Jacobian of the slopes times `v`."""
        if not self.from_logits:
            return _ratio(y, p**2) * v
        return Softargmax().jvp(p, v) * np.sum(y, axis=1, keepdims=True)
