"""The comparers must fail on wrong answers: one element off, a NaN, a swapped row, an alias."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import compare


@pytest.fixture
def exact(rng: np.random.Generator) -> Any:
    return rng.normal(size=(5, 7))


def one_off(exact: Any, dtype: type, ulps: float) -> Any:
    wrong = exact.astype(dtype)
    wrong[3, 4] += dtype(ulps * compare.ulp(exact[3, 4], dtype))
    return wrong


def test_ulp_is_the_distance_between_neighbours(dtype: type) -> None:
    values = np.array([1, 1.5, 2, 3e-5, 1e30, np.finfo(dtype).smallest_normal], dtype)
    expected = np.nextafter(values, dtype(np.inf)) - values
    np.testing.assert_array_equal(compare.ulp(values.astype(np.float64), dtype), expected)
    tiny = np.array([0.0, 5e-324])
    assert (compare.ulp(tiny, dtype) == np.finfo(dtype).smallest_subnormal).all()


def test_assert_ulp(exact: Any, dtype: type) -> None:
    rounded = exact.astype(dtype)
    compare.assert_ulp(rounded, exact, 0.5)
    with pytest.raises(AssertionError, match=r"ULP at \(.*3.*4"):
        compare.assert_ulp(one_off(exact, dtype, 2.6), exact, 2)
    for bad in (np.nan, np.inf):
        wrong = rounded.copy()
        wrong[0, 0] = bad
        with pytest.raises(AssertionError, match="ULP"):
            compare.assert_ulp(wrong, exact, 1e6)
    with pytest.raises(AssertionError, match="ULP"):
        compare.assert_ulp(rounded[::-1].copy(), exact, 100)
    with pytest.raises(AssertionError, match="shapes"):
        compare.assert_ulp(rounded[:2], exact, 2)
    if dtype is np.float64:
        with pytest.raises(AssertionError, match="share memory"):
            compare.assert_ulp(exact, exact, 2)


def test_assert_ulp_knows_nan_and_infinity(dtype: type) -> None:
    special = np.array([np.nan, np.inf, -np.inf, 0.0])
    compare.assert_ulp(special.astype(dtype), special, 0)
    with pytest.raises(AssertionError):
        compare.assert_ulp(special.astype(dtype), np.array([np.nan, np.inf, np.inf, 0.0]), 2)
    with pytest.raises(AssertionError):
        compare.assert_ulp(special.astype(dtype), np.array([0.0, np.inf, -np.inf, 0.0]), 2)


def test_absolute_bound_is_in_units_of_one(dtype: type) -> None:
    eps = np.finfo(dtype).eps
    exact = np.array([1e-12])
    compare.assert_ulp((exact + 1.9 * eps).astype(dtype), exact, 1, absolute=2)
    with pytest.raises(AssertionError):
        compare.assert_ulp((exact + 2.2 * eps).astype(dtype), exact, 1, absolute=2)


def test_assert_same_bits(exact: Any, dtype: type) -> None:
    rounded = exact.astype(dtype)
    compare.assert_same_bits(rounded.copy(), rounded)
    with pytest.raises(AssertionError, match="1 of 35 differ, first at 25"):
        compare.assert_same_bits(one_off(exact, dtype, 1), rounded)
    with pytest.raises(AssertionError, match="share memory"):
        compare.assert_same_bits(rounded, rounded)
    with pytest.raises(AssertionError, match="dtypes"):
        compare.assert_same_bits(rounded.astype(np.float16), rounded)
    zeros = np.zeros(3, dtype)
    with pytest.raises(AssertionError, match="differ"):
        compare.assert_same_bits(-zeros, zeros)
    nan = np.full(2, np.nan, dtype)
    compare.assert_same_bits(-nan, nan)
    with pytest.raises(AssertionError, match="differ"):
        compare.assert_same_bits(nan, zeros[:2])


def test_assert_product(rng: np.random.Generator, dtype: type) -> None:
    a, b = rng.normal(size=(6, 40)).astype(dtype), rng.normal(size=(40, 5)).astype(dtype)
    good = (a.astype(np.longdouble) @ b.astype(np.longdouble)).astype(dtype)
    compare.assert_product(good, a, b)
    bound = compare.gamma(42, dtype) * (np.abs(a) @ np.abs(b))
    wrong = good.copy()
    wrong[5, 4] += 2 * bound[5, 4]
    with pytest.raises(AssertionError, match=r"first at \(5, 4\)"):
        compare.assert_product(wrong, a, b)
    with pytest.raises(AssertionError):
        compare.assert_product(good[::-1].copy(), a, b)
    wrong = good.copy()
    wrong[0, 0] = np.nan
    with pytest.raises(AssertionError):
        compare.assert_product(wrong, a, b)


def test_assert_within_and_close(exact: Any) -> None:
    compare.assert_within(exact + 0.9e-3, exact, 1e-3)
    compare.assert_close(exact * (1 + 1e-9), exact, 1e-8)
    wrong = exact.copy()
    wrong[2, 2] += 2e-3
    with pytest.raises(AssertionError, match=r"1 of 35 out of bound, first at \(2, 2\)"):
        compare.assert_within(wrong, exact, 1e-3)
    with pytest.raises(AssertionError, match="error"):
        compare.assert_close(wrong, exact, 1e-6)
    wrong[2, 2] = np.nan
    with pytest.raises(AssertionError):
        compare.assert_within(wrong, exact, 1e9)
    with pytest.raises(AssertionError):
        compare.assert_close(wrong, exact, 1e9)
    with pytest.raises(AssertionError, match="share memory"):
        compare.assert_close(exact, exact, 1)
    with pytest.raises(AssertionError, match="finite"):
        compare.assert_close(exact.copy(), wrong, 1)
