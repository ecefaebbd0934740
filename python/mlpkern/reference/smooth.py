# mypy: disable-error-code=no-any-return
"""Activations made of exp and its relatives.

Each formula is the definition, turned so that nothing overflows and nothing cancels except next
to a zero of a derivative. `damped` gives the products that meet 0 * infinity their limit.
"""

from dataclasses import dataclass
from math import factorial

import numpy as np

from .base import Elementwise
from .numeric import (
    Array,
    constant,
    damped,
    exact_product,
    exp_minus_square,
    sigmoid,
    sigmoid_derivative,
    softplus,
)


@dataclass(frozen=True)
class Sigmoid(Elementwise):
    """``f(s) = 1/(1 + exp(-s))``.

    ``f' = f(s) f(-s)``, ``f'' = -f' tanh(s/2)``, ``f''' = f' (1 - 6 f')``.
    """

    def f(self, s: Array) -> Array:
        return sigmoid(s)

    def df(self, s: Array) -> Array:
        return sigmoid_derivative(s)

    def ddf(self, s: Array) -> Array:
        return -sigmoid_derivative(s) * np.tanh(s / 2)

    def dddf(self, s: Array) -> Array:
        d = sigmoid_derivative(s)
        return d * (1 - 6 * d)


@dataclass(frozen=True)
class LogSigmoid(Elementwise):
    """``f(s) = log sigmoid(s) = -softplus(-s)``.

    ``f' = sigmoid(-s)``.
    """

    def f(self, s: Array) -> Array:
        return -softplus(-s)

    def df(self, s: Array) -> Array:
        return sigmoid(-s)

    def ddf(self, s: Array) -> Array:
        return -sigmoid_derivative(s)

    def dddf(self, s: Array) -> Array:
        return -Sigmoid().ddf(s)


@dataclass(frozen=True)
class Softplus(Elementwise):
    """``f(s) = log(1 + exp(beta s))/beta``.

    ``f' = sigmoid(beta s)``. No threshold: exact everywhere.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.beta > 0, "beta must be positive")

    def f(self, s: Array) -> Array:
        return softplus(self.beta * s) / self.beta

    def df(self, s: Array) -> Array:
        return sigmoid(self.beta * s)

    def ddf(self, s: Array) -> Array:
        return self.beta * sigmoid_derivative(self.beta * s)

    def dddf(self, s: Array) -> Array:
        return self.beta * (self.beta * Sigmoid().ddf(self.beta * s))


@dataclass(frozen=True)
class Tanh(Elementwise):
    """``f(s) = tanh(s)``.

    ``f' = sech^2(s) = 4 sigmoid'(2s)``, ``f'' = -2 f f'``, ``f''' = f' (4 - 6 f')``.
    """

    def f(self, s: Array) -> Array:
        return np.tanh(s)

    def df(self, s: Array) -> Array:
        return 4 * sigmoid_derivative(2 * s)

    def ddf(self, s: Array) -> Array:
        return -2 * np.tanh(s) * self.df(s)

    def dddf(self, s: Array) -> Array:
        d = self.df(s)
        return d * (4 - 6 * d)


@dataclass(frozen=True)
class Tanhshrink(Elementwise):
    """``f(s) = s - tanh(s)``.

    ``f' = tanh^2(s)``.
    """

    def f(self, s: Array) -> Array:
        """Return s - tanh s; for |s| < 1, (s cosh s - sinh s)/cosh s with the numerator's series.

        s cosh s - sinh s = sum_{n >= 1} 2n/(2n + 1)! s^(2n + 1), whose terms have one sign.
        """
        t = np.clip(s, -1, 1)
        series = np.zeros_like(s)
        for n in range(13, 0, -1):
            series = t * t * series + constant(str(2 * n), s) / factorial(2 * n + 1)
        return np.where(np.abs(s) < 1, series * t**2 / np.cosh(t) * t, s - np.tanh(s))

    def df(self, s: Array) -> Array:
        return np.tanh(s) ** 2

    def ddf(self, s: Array) -> Array:
        return 2 * np.tanh(s) * Tanh().df(s)

    def dddf(self, s: Array) -> Array:
        return -Tanh().dddf(s)


@dataclass(frozen=True)
class Softsign(Elementwise):
    """``f(s) = s/(1 + |s|)``.

    ``f' = 1/(1 + |s|)^2``, ``f'' = -2 sign(s)/(1 + |s|)^3`` and ``f''' = 6/(1 + |s|)^4``, both
    0 at 0.
    """

    def f(self, s: Array) -> Array:
        return np.where(np.isinf(s), np.sign(s), s / (1 + np.abs(s)))

    def df(self, s: Array) -> Array:
        return 1 / (1 + np.abs(s)) ** 2

    def ddf(self, s: Array) -> Array:
        return -2 * np.sign(s) / (1 + np.abs(s)) ** 3

    def dddf(self, s: Array) -> Array:
        return 6 * np.sign(s) ** 2 / (1 + np.abs(s)) ** 4


@dataclass(frozen=True)
class SiLU(Elementwise):
    """``f(s) = s sigmoid(s)``.

    ``f' = sigmoid(s) (1 + s sigmoid(-s))``, ``f'' = sigmoid'(s) (2 - s tanh(s/2))``, ``f''' = 3
    sigmoid''(s) + s sigmoid'''(s)``.
    """

    def f(self, s: Array) -> Array:
        return damped(s, sigmoid(s))

    def df(self, s: Array) -> Array:
        return damped(1 + damped(s, sigmoid(-s)), sigmoid(s))

    def ddf(self, s: Array) -> Array:
        return damped(2 - s * np.tanh(s / 2), sigmoid_derivative(s))

    def dddf(self, s: Array) -> Array:
        d = sigmoid_derivative(s)
        return damped(s * (1 - 6 * d) - 3 * np.tanh(s / 2), d)


@dataclass(frozen=True)
class Mish(Elementwise):
    """``f(s) = s w`` with ``w = tanh(softplus(s))``.

    ``f' = w + s w'``, ``f'' = 2 w' + s w''``, ``f''' = 3 w'' + s w'''``.
    """

    @staticmethod
    def _gate(s: Array) -> tuple[Array, Array, Array]:
        """Return w, w' and w''/w'.

        With e = exp(s) and d = e^2 + 2e + 2: w = (e^2 + 2e)/d, w' = 4e(1 + e)/d^2 and
        w''/w' = 1 + sigmoid(s) - 4e(1 + e)/d. For s > 0 the same in t = exp(-s), times
        powers of t: d t^2 = 1 + 2t + 2t^2.
        """
        e = np.exp(-np.abs(s))
        d = np.where(s > 0, 1 + 2 * e + 2 * e**2, e**2 + 2 * e + 2)
        w = np.where(s > 0, 1 + 2 * e, e * (e + 2)) / d
        dw = 4 * np.where(s > 0, e**2, e) * (1 + e) / d**2
        ratio = 1 + sigmoid(s) - 4 * np.where(s > 0, 1, e) * (1 + e) / d
        return w, dw, ratio

    def f(self, s: Array) -> Array:
        return damped(s, self._gate(s)[0])

    def df(self, s: Array) -> Array:
        w, dw, _ = self._gate(s)
        return w + damped(s, dw)

    def ddf(self, s: Array) -> Array:
        _, dw, ratio = self._gate(s)
        return damped(2 + s * ratio, dw)

    def dddf(self, s: Array) -> Array:
        """Return w' (3 w''/w' + s w'''/w'), the last by the chain rule of tanh and softplus.

        With w' = (1 - w^2) p and p = sigmoid(s):
        w'''/w' = p''/p - 6 w p' + (6 w^2 - 2) p^2.
        """
        w, dw, ratio = self._gate(s)
        p, q = sigmoid(s), sigmoid(-s)
        third = q * (q - p) - 6 * w * p * q + (6 * w**2 - 2) * p**2
        return damped(3 * ratio + s * third, dw)


@dataclass(frozen=True)
class Squareplus(Elementwise):
    """``f(s) = (s + r)/2`` with ``r = sqrt(s^2 + b)``.

    ``f' = (1 + s/r)/2 = f/r``, ``f'' = b/(2 r^3)``, ``f''' = -3 b s/(2 r^5)``.
    """

    b: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.b > 0, "b must be positive")

    def _root(self, s: Array) -> Array:
        return np.hypot(s, np.sqrt(constant("1", s) * self.b))

    def f(self, s: Array) -> Array:
        """Return (s + r)/2; for negative s, b/(2 (r - s)), which is the same."""
        r = self._root(s)
        return np.where(s < 0, self.b / (2 * (r - s)), (s + r) / 2)

    def df(self, s: Array) -> Array:
        r = self._root(s)
        positive = (1 + np.where(np.isinf(s), 1, s / r)) / 2
        return np.where(s < 0, self.f(s) / r, positive)

    def ddf(self, s: Array) -> Array:
        return self.b / (2 * self._root(s) ** 3)

    def dddf(self, s: Array) -> Array:
        r = self._root(s)
        return -3 * np.where(np.isinf(s), np.sign(s), s / r) * (self.b / (2 * r**4))


@dataclass(frozen=True)
class Sine(Elementwise):
    """``f(s) = sin(omega s)``; NaN at +-infinity.

    ``f' = omega cos(omega s)``. The product is exact, hi + lo: at large s its rounding would be
    whole turns.
    """

    omega: float = 1.0

    def _angle(self, s: Array) -> tuple[Array, Array]:
        return exact_product(s, np.full_like(s, self.omega))

    def f(self, s: Array) -> Array:
        hi, lo = self._angle(s)
        return np.where(lo == 0, np.sin(hi), np.sin(hi) * np.cos(lo) + np.cos(hi) * np.sin(lo))

    def df(self, s: Array) -> Array:
        hi, lo = self._angle(s)
        return self.omega * (np.cos(hi) * np.cos(lo) - np.sin(hi) * np.sin(lo))

    def ddf(self, s: Array) -> Array:
        return -self.omega * (self.omega * self.f(s))

    def dddf(self, s: Array) -> Array:
        return -self.omega * (self.omega * self.df(s))


@dataclass(frozen=True)
class Gaussian(Elementwise):
    """``f(s) = exp(-s^2)``.

    ``f' = -2s f``, ``f'' = (4s^2 - 2) f``, ``f''' = (12s - 8s^3) f``.
    """

    def f(self, s: Array) -> Array:
        return exp_minus_square(s)

    def df(self, s: Array) -> Array:
        return damped(-2 * s, self.f(s))

    def ddf(self, s: Array) -> Array:
        return damped(4 * s**2 - 2, self.f(s))

    def dddf(self, s: Array) -> Array:
        return damped(12 * s - 8 * s**3, self.f(s))


@dataclass(frozen=True)
class Exp(Elementwise):
    """``f(s) = exp(s)``, and so are its derivatives."""

    def f(self, s: Array) -> Array:
        return np.exp(s)

    def df(self, s: Array) -> Array:
        return np.exp(s)

    def ddf(self, s: Array) -> Array:
        return np.exp(s)

    def dddf(self, s: Array) -> Array:
        return np.exp(s)
