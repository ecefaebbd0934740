"""Comparers, and the error model that their tolerances come from.

Units: u = 2^-24 (float32) or 2^-53 (float64) is the relative error of one rounding; a unit in the
last place (ULP) of a value is the distance between the numbers of the dtype around it, at least the
smallest subnormal. Oracles are float64 or wider and never share memory with what is tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

UNIT = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}


def assert_separate(actual: Array, expected: Array) -> None:
    """Expected and actual must not be the same memory: such a test cannot fail."""
    assert not np.shares_memory(actual, expected), "expected and actual share memory"


def assert_same_bits(actual: Array, expected: Array) -> None:
    """Equal shapes, dtypes and bits, but that all NaN count as one."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert_separate(actual, expected)
    assert actual.dtype == expected.dtype, f"dtypes differ: {actual.dtype}, {expected.dtype}"
    assert actual.shape == expected.shape, f"shapes differ: {actual.shape}, {expected.shape}"
    integer = np.dtype(f"u{actual.dtype.itemsize}")
    a, e = (np.ascontiguousarray(v).reshape(-1) for v in (actual, expected))
    differ = (a.view(integer) != e.view(integer)) & ~(np.isnan(a) & np.isnan(e))
    if differ.any():
        i = int(np.flatnonzero(differ)[0])
        raise AssertionError(f"{differ.sum()} of {a.size} differ, first at {i}: {a[i]!r}, {e[i]!r}")


def ulp(exact: Array, dtype: Any) -> Array:
    """One unit in the last place of each exact value in a dtype, in the exact value's own dtype."""
    info = np.finfo(dtype)
    exact = np.asarray(exact)
    magnitude = np.abs(exact)
    _, exponent = np.frexp(np.where(np.isfinite(magnitude), magnitude, 1))
    least = info.minexp - info.nmant  # the exponent of the smallest subnormal
    exponent = np.where(magnitude == 0, least, exponent)
    return np.ldexp(np.ones_like(exact), np.maximum(exponent - 1 - info.nmant, least))


def ulp_error(actual: Array, exact: Array) -> Array:
    """|actual - exact| in units of the last place; 0 where both are NaN or the same infinity.

    Where actual is infinite and exact is not, the error is infinite, unless exact rounds to it.
    """
    actual, exact = np.asarray(actual), np.asarray(exact)
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = exact.astype(actual.dtype)
        error = np.abs(actual.astype(exact.dtype) - exact) / ulp(exact, actual.dtype)
        error = np.where(np.isinf(actual) & (actual == rounded), 0, error)
    both_nan = np.isnan(actual) & np.isnan(exact)
    error = np.where(both_nan, 0, error)
    return np.where(np.isnan(error), np.inf, error)


def assert_ulp(actual: Array, exact: Array, bound: float, absolute: float = 0.0) -> None:
    """Every element within ``bound`` ULP, or within ``absolute`` units in the last place of 1."""
    actual, exact = np.asarray(actual), np.asarray(exact)
    assert_separate(actual, exact)
    assert actual.shape == exact.shape, f"shapes differ: {actual.shape}, {exact.shape}"
    if actual.size == 0:
        return
    error = ulp_error(actual, exact)
    with np.errstate(invalid="ignore"):
        near = np.abs(actual.astype(exact.dtype) - exact) <= absolute * np.finfo(actual.dtype).eps
    error = np.where(near, 0, error)
    worst = int(np.argmax(error))
    assert error.flat[worst] <= bound, (
        f"{error.flat[worst]:.3g} ULP at {np.unravel_index(worst, error.shape)}: "
        f"got {actual.flat[worst]!r}, exact {exact.flat[worst]!r}, bound {bound}"
    )


def gamma(k: int, dtype: Any) -> float:
    """The relative error of a chain of k roundings: k u / (1 - k u)."""
    u = UNIT[np.dtype(dtype)]
    return k * u / (1 - k * u)


def assert_product(actual: Array, a: Array, b: Array, c0: Array | float = 0.0) -> None:
    """actual = c0 + a b within the componentwise bound gamma(K + 2) (|a| |b| + |c0|)."""
    dtype = np.asarray(actual).dtype
    wide = np.longdouble if dtype == np.float64 else np.float64
    a, b, c0 = (np.asarray(v, wide) for v in (a, b, c0))
    exact = a @ b + c0
    bound = gamma(a.shape[-1] + 2, dtype) * (np.abs(a) @ np.abs(b) + np.abs(c0))
    bound = bound + np.finfo(dtype).smallest_subnormal * (a.shape[-1] + 1)
    assert_within(actual, exact, bound)


def assert_within(actual: Array, exact: Array, bound: Array | float) -> None:
    """|actual - exact| <= bound element by element; NaN and infinities must agree."""
    actual, exact = np.asarray(actual), np.asarray(exact)
    assert_separate(actual, exact)
    assert actual.shape == exact.shape, f"shapes differ: {actual.shape}, {exact.shape}"
    bound = np.broadcast_to(bound, exact.shape)
    same = (np.isnan(actual) & np.isnan(exact)) | (np.isinf(exact) & (actual == exact))
    with np.errstate(invalid="ignore"):
        good = same | (np.abs(actual.astype(exact.dtype) - exact) <= bound)
    if not good.all():
        i = tuple(int(k) for k in np.argwhere(~good)[0])
        raise AssertionError(
            f"{(~good).sum()} of {good.size} out of bound, first at {i}: got {actual[i]!r}, "
            f"exact {exact[i]!r}, bound {bound[i]!r}"
        )


def assert_close(actual: Any, exact: Any, relative: float) -> None:
    """The largest error is at most ``relative`` times the largest exact value, as of gradients."""
    actual, exact = np.asarray(actual), np.asarray(exact)
    assert_separate(actual, exact)
    assert actual.shape == exact.shape, f"shapes differ: {actual.shape}, {exact.shape}"
    assert np.isfinite(exact).all(), "the exact values must be finite"
    if actual.size == 0:
        return
    scale = np.abs(exact).max()
    worst = np.abs(actual - exact).max()
    assert worst <= relative * scale, f"error {worst:.3g} of {scale:.3g}, bound {relative:.3g}"
