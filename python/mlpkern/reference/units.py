"""The exponential and the Gaussian-error linear units."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .base import Elementwise
from .numeric import (
    SQRT_8_OVER_PI,
    Array,
    constant,
    damped,
    normal_cdf,
    normal_pdf,
    sigmoid,
    sigmoid_derivative,
)


@dataclass(frozen=True)
class ELU(Elementwise):
    """``f(s) = s if s > 0 else alpha (exp(s) - 1)``.

    ``f' = 1`` or ``alpha exp(s)``; f'' and f''' are 0 at 0.
    """

    alpha: float = 1.0

    def f(self, s: Array) -> Array:
        return np.where(s > 0, s, self.alpha * np.expm1(s))

    def df(self, s: Array) -> Array:
        return np.where(s > 0, 1, self.alpha * np.exp(s))

    def ddf(self, s: Array) -> Array:
        return np.where(s < 0, self.alpha * np.exp(s), 0)

    def dddf(self, s: Array) -> Array:
        return self.ddf(s)


@dataclass(frozen=True)
class CELU(Elementwise):
    """``f(s) = s if s > 0 else alpha (exp(s/alpha) - 1)``.

    ``f' = 1`` or ``exp(s/alpha)``; f'' and f''' are 0 at 0.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.alpha > 0, "alpha must be positive")

    def f(self, s: Array) -> Array:
        return np.where(s > 0, s, self.alpha * np.expm1(s / self.alpha))

    def df(self, s: Array) -> Array:
        return np.where(s > 0, 1, np.exp(s / self.alpha))

    def ddf(self, s: Array) -> Array:
        return np.where(s < 0, np.exp(s / self.alpha) / self.alpha, 0)

    def dddf(self, s: Array) -> Array:
        return self.ddf(s) / self.alpha


@dataclass(frozen=True)
class SELU(Elementwise):
    """``f(s) = SCALE (s if s > 0 else ALPHA (exp(s) - 1))``, with PyTorch's constants.

    f'' and f''' are 0 at 0.
    """

    ALPHA = "1.6732632423543772848170429916717"
    SCALE = "1.0507009873554804934193349852946"

    def _constants(self, s: Array) -> tuple[Array, Array]:
        scale = constant(self.SCALE, s)
        return scale, scale * constant(self.ALPHA, s)

    def f(self, s: Array) -> Array:
        scale, scale_alpha = self._constants(s)
        return np.where(s > 0, scale * s, scale_alpha * np.expm1(s))

    def df(self, s: Array) -> Array:
        scale, scale_alpha = self._constants(s)
        return np.where(s > 0, scale, scale_alpha * np.exp(s))

    def ddf(self, s: Array) -> Array:
        return np.where(s < 0, self._constants(s)[1] * np.exp(s), 0)

    def dddf(self, s: Array) -> Array:
        return self.ddf(s)


@dataclass(frozen=True)
class GELU(Elementwise):
    """``f(s) = s Phi(s)``, or with ``approximate="tanh"`` ``s (1 + tanh(p/2))/2 = s sigmoid(p)``.

    Phi is the normal distribution, ``p = sqrt(8/pi) (s + 0.044715 s^3)``. Exact: ``f' = Phi + s
    phi``, ``f'' = (2 - s^2) phi``, ``f''' = (s^3 - 4s) phi``, with ``phi = Phi'``. Otherwise by
    the chain rule for ``g = sigmoid(p)``: ``f'' = 2 g' + s g''``, ``f''' = 3 g'' + s g'''``.
    """

    approximate: Literal["none", "tanh"] = "none"

    def __post_init__(self) -> None:
        self._require(self.approximate in ("none", "tanh"), 'approximate must be "none" or "tanh"')

    @staticmethod
    def _logit(s: Array) -> tuple[Array, Array, Array]:
        """Return p, p' and p''."""
        k, c = constant(SQRT_8_OVER_PI, s), constant("0.044715", s)
        return k * (s + c * s**3), k * (1 + 3 * c * s**2), 6 * k * c * s

    def f(self, s: Array) -> Array:
        gate = normal_cdf(s) if self.approximate == "none" else sigmoid(self._logit(s)[0])
        return damped(s, gate)

    def df(self, s: Array) -> Array:
        if self.approximate == "none":
            return normal_cdf(s) + damped(s, normal_pdf(s))
        p, dp, _ = self._logit(s)
        return damped(1 + damped(s * dp, sigmoid(-p)), sigmoid(p))

    def ddf(self, s: Array) -> Array:
        if self.approximate == "none":
            return damped(2 - s**2, normal_pdf(s))
        p, dp, ddp = self._logit(s)
        curve = 2 * dp + s * ddp - s * dp**2 * np.tanh(p / 2)
        return damped(curve, sigmoid_derivative(p))

    def dddf(self, s: Array) -> Array:
        """Return f''', with r = sigmoid''/sigmoid' and q = sigmoid'''/sigmoid' at p.

        g'' = sigmoid' (r p'^2 + p''); g''' = sigmoid' (q p'^3 + 3 r p' p'' + p''').
        """
        if self.approximate == "none":
            return damped(s**3 - 4 * s, normal_pdf(s))
        p, dp, ddp = self._logit(s)
        dddp = self._logit(np.ones_like(s))[2]  # p'' is dddp s
        slope, r = sigmoid_derivative(p), -np.tanh(p / 2)
        q = 1 - 6 * slope
        curve = 3 * (r * dp**2 + ddp) + s * (q * dp**3 + 3 * r * dp * ddp + dddp)
        return damped(curve, slope)
