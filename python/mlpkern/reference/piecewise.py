"""Activations made of straight or quadratic pieces.

At a kink the derivative is the one that torch.autograd returns, and those after it are 0.
"""

from dataclasses import dataclass

import numpy as np

from .base import Elementwise
from .numeric import Array, damped


@dataclass(frozen=True)
class PiecewiseLinear(Elementwise):
    """An activation whose second derivative is zero."""

    def ddf(self, s: Array) -> Array:
        return np.zeros_like(s)

    def dddf(self, s: Array) -> Array:
        return np.zeros_like(s)


@dataclass(frozen=True)
class Identity(PiecewiseLinear):
    """``f(s) = s``."""

    def f(self, s: Array) -> Array:
        return s

    def df(self, s: Array) -> Array:
        return np.ones_like(s)


@dataclass(frozen=True)
class ReLU(PiecewiseLinear):
    """``f(s) = scale max(s, 0)``.

    The derivative at 0 is 0; ``f(-0.0) = +0.0``.
    """

    scale: float = 1.0

    def f(self, s: Array) -> Array:
        return np.where(s > 0, damped(s, self.scale), 0)

    def df(self, s: Array) -> Array:
        return np.where(s > 0, self.scale, np.zeros_like(s))


@dataclass(frozen=True)
class LeakyReLU(PiecewiseLinear):
    """``f(s) = s if s > 0 else negative_slope s``.

    The derivative at 0 is negative_slope.
    """

    negative_slope: float = 0.01

    def f(self, s: Array) -> Array:
        return np.where(s > 0, s, damped(s, self.negative_slope))

    def df(self, s: Array) -> Array:
        return np.where(s > 0, np.ones_like(s), self.negative_slope)


@dataclass(frozen=True)
class ReLU6(PiecewiseLinear):
    """``f(s) = min(max(s, 0), 6)``.

    The derivative is 1 strictly between 0 and 6.
    """

    def f(self, s: Array) -> Array:
        return np.where(s > 0, np.minimum(s, 6), 0)

    def df(self, s: Array) -> Array:
        return np.where((s > 0) & (s < 6), np.ones_like(s), 0)


@dataclass(frozen=True)
class Hardtanh(PiecewiseLinear):
    """``f(s) = min(max(s, min_val), max_val)``.

    The derivative is 1 strictly inside.
    """

    min_val: float = -1.0
    max_val: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.min_val < self.max_val, "min_val must be below max_val")

    def f(self, s: Array) -> Array:
        return np.where(s < self.min_val, self.min_val, np.where(s > self.max_val, self.max_val, s))

    def df(self, s: Array) -> Array:
        return np.where((s > self.min_val) & (s < self.max_val), np.ones_like(s), 0)


@dataclass(frozen=True)
class Hardsigmoid(PiecewiseLinear):
    """``f(s) = min(max(s + 3, 0), 6)/6``.

    The derivative is 1/6 strictly inside (-3, 3).
    """

    def f(self, s: Array) -> Array:
        return np.clip(s + 3, 0, 6) / 6

    def df(self, s: Array) -> Array:
        return np.where(np.abs(s) < 3, np.ones_like(s), 0) / 6


@dataclass(frozen=True)
class Hardswish(Elementwise):
    """``f(s) = s min(max(s + 3, 0), 6)/6``.

    The derivative is 0 for s <= -3, s/3 + 1/2 for -3 < s < 3, and 1 for s >= 3.
    """

    def f(self, s: Array) -> Array:
        return damped(s, np.clip(s + 3, 0, 6) / 6)

    def df(self, s: Array) -> Array:
        return np.where(s <= -3, 0, np.where(s < 3, (2 * s + 3) / 6, 1))

    def ddf(self, s: Array) -> Array:
        return np.where(np.abs(s) < 3, np.ones_like(s), 0) / 3

    def dddf(self, s: Array) -> Array:
        return np.zeros_like(s)


@dataclass(frozen=True)
class Softshrink(PiecewiseLinear):
    """``f(s) = s - lambd if s > lambd, s + lambd if s < -lambd, else 0``.

    The derivative is 1, 1, 0.
    """

    lambd: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.lambd >= 0, "lambd must not be negative")

    def f(self, s: Array) -> Array:
        return np.where(np.abs(s) > self.lambd, s - np.copysign(self.lambd, s), 0)

    def df(self, s: Array) -> Array:
        return np.where(np.abs(s) > self.lambd, np.ones_like(s), 0)


@dataclass(frozen=True)
class Hardshrink(PiecewiseLinear):
    """``f(s) = s if |s| > lambd else 0``.

    The derivative is 1 or 0 alike.
    """

    lambd: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.lambd >= 0, "lambd must not be negative")

    def f(self, s: Array) -> Array:
        return np.where(np.abs(s) > self.lambd, s, 0)

    def df(self, s: Array) -> Array:
        return np.where(np.abs(s) > self.lambd, np.ones_like(s), 0)
