"""Second derivatives of the activations by rows, and the derivatives that outputs give.

The bindings are those that networks' second derivatives are made of; no class shows them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import compare
import mlpkern as mk
from mlpkern import reference as ref

ROWS = [mk.Softargmax(), mk.Softargmax(0.3), mk.Softargmax(5.0), mk.LogSoftargmax()]
by_rows = pytest.mark.parametrize("f", ROWS, ids=repr)
products = pytest.mark.parametrize("which", ["second_jvp", "second_vjp"])
INF, NAN = np.inf, np.nan


def wide(s: Any) -> Any:
    return np.asarray(s).astype(np.longdouble)


def oracle_of(f: Any) -> Any:
    return getattr(ref, type(f).__name__)(*f._parameters.values())


def product(f: Any, which: str, *arguments: Any) -> Any:
    return getattr(f._kernel, which)(*arguments)


def sizes(f: Any, which: str, s: Any, v: Any, w: Any) -> Any:
    """The magnitudes that are added up, of v and w moved by their value at the largest entry."""
    beta = getattr(f, "_parameters", {}).get("beta", 1.0)
    a = ref.Softargmax(beta)(s)
    if which == "second_vjp" and not f._parameters:  # (sum v) a (w - <w>)
        return np.abs(v).sum(-1, keepdims=True) * a * spread(w, a)
    both = spread(v, a) * spread(w, a)
    mean = np.sum(a * both, axis=-1, keepdims=True)
    return beta**2 * a * (both + mean) if f._parameters else mean + 0 * a


def spread(v: Any, a: Any) -> Any:
    top = np.take_along_axis(v, np.argmax(a, axis=-1, keepdims=True), axis=-1)
    return np.abs(v - top) + np.sum(a * np.abs(v - top), axis=-1, keepdims=True)


@products
@by_rows
def test_rows_against_the_reference(isa: str, dtype: type, f: Any, which: str) -> None:
    """One rounding to the dtype, and the wider number's: exp right to 2^-36, or 2^-64.

    The reference's exp multiplies its argument's rounding, 2^-64, by the argument, below 200.
    """
    rng = np.random.default_rng(21)
    work = {np.float32: 32 * 2.0**-36, np.float64: 200 * 2.0**-63}[dtype]
    for rows, cols in [*((7, k) for k in (1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 33, 600)), (0, 4)]:
        s, v, w = (3 * rng.normal(size=(rows, cols)).astype(dtype) for _ in range(3))
        exact = getattr(oracle_of(f), which)(wide(s), wide(v), wide(w))
        got = product(f, which, s, v, w)
        assert got.dtype == dtype
        tiny = 2 * np.finfo(dtype).smallest_subnormal
        bound = compare.gamma(1, dtype) * np.abs(exact) + tiny
        compare.assert_within(got, exact, bound + work * sizes(f, which, *map(wide, (s, v, w))))


@products
@by_rows
def test_rows_against_differences(f: Any, which: str, rng: np.random.Generator) -> None:
    """Central differences of the reference's jvp and vjp along w: 2^-64/h and h^2 beta^4 < 1e-9."""
    s, v, w = (rng.normal(size=(4, 6)) for _ in range(3))
    once = getattr(oracle_of(f), which.removeprefix("second_"))
    h = np.longdouble(1e-6)
    upper, lower = (once(wide(s) + step * wide(w), wide(v)) for step in (h, -h))
    compare.assert_within(product(f, which, s, v, w), (upper - lower) / (2 * h), 1e-8)


@by_rows
def test_the_two_are_adjoint(isa: str, dtype: type, f: Any, rng: np.random.Generator) -> None:
    """<g, D2(v, w)> = <g D2 w, v>, and D2(v, w) = D2(w, v)."""
    s, v, w, g = (rng.normal(size=(6, 13)).astype(dtype) for _ in range(4))
    left = np.sum(wide(g) * wide(product(f, "second_jvp", s, v, w)))
    right = np.sum(wide(product(f, "second_vjp", s, g, w)) * wide(v))
    size = sum(np.sum(np.abs(g)) * np.max(np.abs(v)) * np.max(np.abs(w)) for _ in range(4))
    beta = f._parameters.get("beta", 1.0)
    assert abs(left - right) <= 8 * np.finfo(dtype).eps * beta**2 * size
    compare.assert_close(
        product(f, "second_jvp", s, v, w),
        product(f, "second_jvp", s, w, v).astype(np.float64),
        4 * np.finfo(dtype).eps,
    )


@by_rows
def test_a_confident_row_keeps_its_accuracy(isa: str, dtype: type, f: Any) -> None:
    """Where one weight is next to 1, all entries are about the others' share, however small."""
    beta = f._parameters.get("beta", 1.0)
    for gap in (20.0, 60.0):
        s = np.array([[gap / beta, 0, -1, 0.5]], dtype)
        v, w = np.array([[100, 101, 103, 99]], dtype), np.array([[-7, 1, 2, -3]], dtype)
        exact = oracle_of(f).second_jvp(wide(s), wide(v), wide(w))
        got = product(f, "second_jvp", s, v, w)
        compare.assert_within(got, exact, 8 * np.finfo(dtype).eps * np.abs(exact).max())


@products
@by_rows
def test_special_rows(isa: str, dtype: type, f: Any, which: str) -> None:
    """-inf has weight 0; a row of -inf, or with +inf or NaN, is NaN; other rows do not notice."""
    v, w = np.tile(np.arange(5, dtype=dtype), (5, 1)), np.ones((5, 5), dtype)
    w[:, 1] = -2
    s = np.array([[0.5, -1, 2, 0, 1]] * 5, dtype)
    plain = product(f, which, s, v, w)
    for row in ([-INF] * 5, [INF, 0, 0, 0, 0], [0, 0, 0, 0, NAN], [-INF, 0, 0, -INF, 1]):
        for place in range(5):
            spoiled = s.copy()
            spoiled[place] = row
            got = product(f, which, spoiled, v, w)
            exact = getattr(oracle_of(f), which)(wide(spoiled), wide(v), wide(w))[place]
            assert np.isnan(exact).all() == (row[-1] != 1)
            compare.assert_within(got[place], exact, 1e-5)
            got[place] = plain[place]
            compare.assert_same_bits(got, plain)
    for bad in (INF, NAN):
        spoiled = w.copy()
        spoiled[2, 3] = bad
        got = product(f, which, s, v, spoiled)
        assert np.isnan(got[2]).any()
        got[2] = plain[2]
        compare.assert_same_bits(got, plain)


@products
def test_refusals(dtype: type, which: str) -> None:
    s = np.ones((3, 4), dtype)
    other = np.float64 if dtype is np.float32 else np.float32
    for f, arguments, kind, text in [
        (mk.Tanh(), (s, s, s), TypeError, "Tanh: works element by element"),
        (mk.Softargmax(), (s, s[:2], s), ValueError, r"v must have the shape of s; got s \(3, 4\)"),
        (mk.Softargmax(), (s, s, s[0]), ValueError, r"w must have the shape of s; .* w \(4,\)"),
        (mk.Softargmax(), (s, s.astype(other), s), TypeError, "all float32 or all float64"),
        (mk.LogSoftargmax(), (s[0, 0],) * 3, ValueError, r"s must be \(..., K\); got \(\)"),
    ]:
        with pytest.raises(kind, match=text):
            product(f, which, *arguments)


# --- derivatives from outputs


@pytest.mark.parametrize("f", [mk.Tanh(), mk.Sigmoid(), mk.Exp()], ids=repr)
def test_derivatives_from_the_output(isa: str, dtype: type, f: Any) -> None:
    """Right to 1, 2 and 4 units in the last place of 1: what a derivative by a makes of a's own.

    d/da (1 - a^2) is at most 2, of -2 a f' at most 4, of (6 a^2 - 2) f' at most 8, times half a
    unit below 1, which is half that of 1.
    """
    s = np.concatenate([np.linspace(-12, 12, 4001), [0.0, -0.0, 1e-30, 100, -100]]).astype(dtype)
    eps = np.finfo(dtype).eps
    name = type(f).__name__
    e = np.exp(-np.abs(wide(s)))
    if name == "Exp":
        for order in (1, 2, 3):
            compare.assert_same_bits(f._kernel.from_output(order, f(s)), f(s))
        return
    if name == "Sigmoid":
        sign, d, m = np.sign(wide(s)), e / (1 + e) ** 2, (1 - e) / (1 + e)
        exact = [d, -sign * d * m, d * (1 - 6 * d)]
    else:
        a = np.tanh(wide(s))
        d = 4 * e**2 / (1 + e**2) ** 2
        exact = [d, -2 * a * d, d * (6 * a**2 - 2)]
    for order, want, units in zip((1, 2, 3), exact, (1, 2, 4), strict=True):
        compare.assert_within(f._kernel.from_output(order, f(s)), want, units * eps)


@pytest.mark.parametrize("f", [mk.Tanh(), mk.Sigmoid(), mk.Exp()], ids=repr)
def test_special_outputs(isa: str, dtype: type, f: Any) -> None:
    """At the ends the derivatives are 0; NaN gives NaN."""
    ends = {"Tanh": [-1.0, 1.0], "Sigmoid": [0.0, 1.0], "Exp": [0.0]}[type(f).__name__]
    for order in (1, 2, 3):
        got = f._kernel.from_output(order, np.array([*ends, NAN] * 7, dtype))
        assert not got.reshape(7, -1)[:, :-1].any()
        assert np.isnan(got.reshape(7, -1)[:, -1]).all()


def test_no_derivative_from_an_output() -> None:
    a = np.ones(3)
    for f, order in [(mk.SiLU(), 1), (mk.Tanh(), 0), (mk.Tanh(), 4), (mk.Softargmax(), 2)]:
        with pytest.raises(ValueError, match=f"has no derivative of order {order} from its output"):
            f._kernel.from_output(order, a)
