# mypy: disable-error-code=no-any-return
"""What the oracles share: the working precision, and a few functions in forms that never cancel.

Everything is computed in ``np.result_type(input, np.float64)``: float64, or longdouble where the
caller passes longdouble. Constants are decimal strings, read in that precision.
"""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

# longdouble passes too; to the type checker it is all float64.
Array: TypeAlias = NDArray[np.float64]

SQRT_HALF = "0.70710678118654752440084436210484904"
INV_SQRT_2PI = "0.39894228040143267793994605993438187"
SQRT_8_OVER_PI = "1.59576912160573071175978423973752747"


def as_real(x: ArrayLike, name: str = "s") -> Array:
    """Return `x` as a native float64 (or longdouble) array; TypeError unless it holds reals."""
    a = np.asarray(x)
    if a.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, not {a.dtype}")
    return a.astype(np.result_type(a.dtype, np.float64), copy=False)


def deliver(a: Array, out: Array | None) -> Array:
    """Return `a`, or `out` filled with it; `out` must have its shape."""
    if out is None:
        return a
    if out.shape != a.shape:
        raise ValueError(f"out must have shape {a.shape}, not {out.shape}")
    np.copyto(out, a, casting="same_kind")
    return out


def constant(decimal: str, like: Array) -> Any:
    """Return the decimal constant as a scalar in the precision of `like`."""
    return like.dtype.type(decimal)


def damped(a: Array, b: Any) -> Array:
    """Return a*b where a zero in `b`, the factor that decays faster, beats an infinity in `a`."""
    return np.where(np.equal(b, 0), np.copysign(b, a), a * b)


def sigmoid(s: Array) -> Array:
    """Return 1/(1 + exp(-s)), through exp(-|s|), which cannot overflow."""
    e = np.exp(-np.abs(s))
    return np.where(s >= 0, 1, e) / (1 + e)


def sigmoid_derivative(s: Array) -> Array:
    """Return sigmoid(s) sigmoid(-s)."""
    e = np.exp(-np.abs(s))
    return e / (1 + e) ** 2


def softplus(s: Array) -> Array:
    """Return log(1 + exp(s)) = max(s, 0) + log1p(exp(-|s|))."""
    return np.maximum(s, 0) + np.log1p(np.exp(-np.abs(s)))


def exact_product(a: Array, b: Array) -> tuple[Array, Array]:
    """Return (hi, lo) with hi + lo = a*b exactly and hi = a*b rounded (Dekker 1971).

    The product is made of the mantissas, so that huge arguments do not overflow on the way.
    """
    (ma, ea), (mb, eb) = np.frexp(a), np.frexp(b)
    splitter = 2.0 ** math.ceil((np.finfo(a.dtype).nmant + 1) / 2) + 1

    def halves(m: Array) -> tuple[Array, Array]:
        upper = splitter * m - (splitter * m - m)
        return upper, m - upper

    (a1, a2), (b1, b2) = halves(ma), halves(mb)
    hi = ma * mb
    lo = ((a1 * b1 - hi) + a1 * b2 + a2 * b1) + a2 * b2
    return np.ldexp(hi, ea + eb), np.ldexp(lo, ea + eb)


def exp_minus_square(s: Array, half: bool = False) -> Array:
    """Return exp(-s^2), or exp(-s^2/2), without the rounding of s^2, which exp would multiply."""
    s = np.clip(s, -200, 200)  # exp(-200^2/2) is zero even in longdouble
    hi, lo = exact_product(s, s)
    scale = 0.5 if half else 1.0
    return np.exp(-scale * hi) * np.exp(-scale * lo)


def normal_pdf(s: Array) -> Array:
    """Return exp(-s^2/2)/sqrt(2 pi), the density of the standard normal distribution."""
    return exp_minus_square(s, half=True) * constant(INV_SQRT_2PI, s)


def normal_cdf(s: Array) -> Array:
    """Return Phi(s) = erfc(-s/sqrt(2))/2; the lower tail keeps its relative accuracy."""
    if s.dtype == np.float64:
        erfc = np.frompyfunc(math.erfc, 1, 1)
        return np.asarray(erfc(-s * constant(SQRT_HALF, s)), dtype=np.float64) / 2
    t = np.abs(s)
    lower = np.where(t < 1.5, 0.5 - _centre_area(np.minimum(t, 1.5)), _tail_area(t))
    return np.where(s <= 0, lower, 1 - lower)


def _centre_area(t: Array) -> Array:
    """Return Phi(t) - 1/2 = pdf(t) (t + t^3/3 + t^5/(3*5) + ...) for 0 <= t <= 1.5."""
    series = np.zeros_like(t)
    for n in range(30, -1, -1):
        series = (1 + t * t * series) / (2 * n + 1)
    return normal_pdf(t) * t * series


def _tail_area(t: Array) -> Array:
    """Return Phi(-t) = pdf(t)/(t + 1/(t + 2/(t + 3/(t + ...)))) for t >= 1.5 (Laplace)."""
    t = np.maximum(t, 1.5)
    fraction = t
    for n in range(200, 0, -1):
        fraction = t + n / fraction
    return normal_pdf(t) / fraction
