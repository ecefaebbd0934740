"""What every activation offers; the formulas are in piecewise.py, smooth.py and rowwise.py."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from .numeric import Array, as_real, deliver


@dataclass(frozen=True)
class Activation:
    """A map from s (..., L) to a (..., L) with its Jacobian and the two products with it."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)) and not np.isfinite(value):
                raise ValueError(f"{field.name} must be finite, not {value}")

    def _require(self, holds: bool, rule: str) -> None:
        if not holds:
            raise ValueError(f"{self!r}: {rule}")

    def __call__(self, s: ArrayLike, out: Array | None = None) -> Array:
        """Return the values a = f(s), of the shape of `s`."""
        raise NotImplementedError

    def derivative(self, s: ArrayLike) -> Array:
        """Return f'(s), of the shape of `s`."""
        raise NotImplementedError

    def second_derivative(self, s: ArrayLike) -> Array:
        """Return f''(s), of the shape of `s`."""
        raise NotImplementedError

    def third_derivative(self, s: ArrayLike) -> Array:
        """Return f'''(s), of the shape of `s`."""
        raise NotImplementedError

    def jacobian(self, s: ArrayLike) -> Array:
        """Return da/ds, shape (..., L, L), element [..., i, j] = da_i/ds_j."""
        raise NotImplementedError

    def jvp(self, s: ArrayLike, v: ArrayLike, out: Array | None = None) -> Array:
        """Return the Jacobian times the tangent `v`, all of the shape of `s`."""
        raise NotImplementedError

    def vjp(self, s: ArrayLike, g: ArrayLike, out: Array | None = None) -> Array:
        """Return the cotangent `g` times the Jacobian, all of the shape of `s`."""
        raise NotImplementedError


class Elementwise(Activation):
    """An activation of one number. A subclass states f and its derivatives df, ddf and dddf.

    Those four see a float64 or longdouble array, infinities included; NaN is put in here.
    """

    def f(self, s: Array) -> Array:
        """Return the value."""
        raise NotImplementedError

    def df(self, s: Array) -> Array:
        """Return the derivative."""
        raise NotImplementedError

    def ddf(self, s: Array) -> Array:
        """Return the second derivative."""
        raise NotImplementedError

    def dddf(self, s: Array) -> Array:
        """Return the third derivative."""
        raise NotImplementedError

    def __call__(self, s: ArrayLike, out: Array | None = None) -> Array:
        """Return the values a = f(s), of the shape of `s`."""
        s = as_real(s)
        with np.errstate(all="ignore"):
            return deliver(np.where(np.isnan(s), s, self.f(s)), out)

    def derivative(self, s: ArrayLike) -> Array:
        """Return f'(s), of the shape of `s`."""
        s = as_real(s)
        with np.errstate(all="ignore"):
            return np.where(np.isnan(s), s, self.df(s))

    def second_derivative(self, s: ArrayLike) -> Array:
        """Return f''(s), of the shape of `s`."""
        s = as_real(s)
        with np.errstate(all="ignore"):
            return np.where(np.isnan(s), s, self.ddf(s))

    def third_derivative(self, s: ArrayLike) -> Array:
        """Return f'''(s), of the shape of `s`."""
        s = as_real(s)
        with np.errstate(all="ignore"):
            return np.where(np.isnan(s), s, self.dddf(s))

    def jacobian(self, s: ArrayLike) -> Array:
        """Return diag(f'(s)), shape (..., L, L)."""
        return diagonal_matrix(self.derivative(s))

    def jvp(self, s: ArrayLike, v: ArrayLike, out: Array | None = None) -> Array:
        """Return f'(s) * v, the diagonal Jacobian product, of the shape of `s`."""
        d, v = self.derivative(s), as_real(v, "v")
        with np.errstate(all="ignore"):
            return deliver(d * like(v, d, "v"), out)

    def vjp(self, s: ArrayLike, g: ArrayLike, out: Array | None = None) -> Array:
        """Return g * f'(s): a diagonal matrix is its own transpose."""
        d, g = self.derivative(s), as_real(g, "g")
        with np.errstate(all="ignore"):
            return deliver(like(g, d, "g") * d, out)


def like(v: Array, s: Array, name: str) -> Array:
    """Return `v` if it has the shape of `s`; ValueError otherwise."""
    if v.shape != s.shape:
        raise ValueError(f"{name} must have the shape of s, {s.shape}, not {v.shape}")
    return v


def diagonal_matrix(d: Array) -> Array:
    """Return the matrices (..., L, L) with the rows of `d` (..., L) on their diagonals."""
    if d.ndim == 0:
        raise ValueError("s must have at least one axis")
    matrix = np.zeros((*d.shape, d.shape[-1]), d.dtype)
    index = np.arange(d.shape[-1])
    matrix[..., index, index] = d
    return matrix
