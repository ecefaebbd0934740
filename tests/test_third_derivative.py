"""Third derivatives of the elementwise activations against differences of their definitions.

The definitions are written here once more, in gmpy2's numbers of 700 bits, and differentiated
numerically, with no formula of a derivative. How exact the kernels are over the whole range is
measured in accuracy.py, against the reference, which is held to the same differences here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gmpy2  # type: ignore[import-untyped]
import numpy as np
import pytest

import compare
import mlpkern as mk
from mlpkern import reference as ref

PRECISION = 700  # bits
STEP = 2.0**-100


def sigmoid(s: Any) -> Any:
    return 1 / (1 + gmpy2.exp(-s))


def softplus(s: Any) -> Any:
    return gmpy2.log(1 + gmpy2.exp(s))


def exponential(alpha: float, rate: float = 1.0) -> Callable[[Any], Any]:
    return lambda s: s if s > 0 else alpha * gmpy2.expm1(s * rate)


def selu(s: Any) -> Any:
    scale, alpha = gmpy2.mpfr(ref.SELU.SCALE), gmpy2.mpfr(ref.SELU.ALPHA)
    return scale * s if s > 0 else scale * alpha * gmpy2.expm1(s)


def gelu(s: Any) -> Any:
    return s * gmpy2.erfc(-s / gmpy2.sqrt(2)) / 2


def gelu_tanh(s: Any) -> Any:
    inner = gmpy2.sqrt(2 / gmpy2.const_pi()) * (s + gmpy2.mpfr("0.044715") * s**3)
    return s * (1 + gmpy2.tanh(inner)) / 2


# Activation and f; those of straight and quadratic pieces have none but 0.
DEFINITIONS: list[tuple[Any, Callable[[Any], Any]]] = [
    (mk.ELU(), exponential(1.0)),
    (mk.ELU(0.3), exponential(0.3)),
    (mk.SELU(), selu),
    (mk.CELU(), exponential(1.0)),
    (mk.CELU(0.25), exponential(0.25, 4.0)),
    (mk.GELU(), gelu),
    (mk.GELU("tanh"), gelu_tanh),
    (mk.Sigmoid(), sigmoid),
    (mk.LogSigmoid(), lambda s: -softplus(-s)),
    (mk.Tanh(), gmpy2.tanh),
    (mk.Softplus(), softplus),
    (mk.Softplus(2.3), lambda s: softplus(gmpy2.mpfr(2.3) * s) / gmpy2.mpfr(2.3)),
    (mk.Softsign(), lambda s: s / (1 + abs(s))),
    (mk.SiLU(), lambda s: s * sigmoid(s)),
    (mk.Mish(), lambda s: s * gmpy2.tanh(softplus(s))),
    (mk.Tanhshrink(), lambda s: s - gmpy2.tanh(s)),
    (mk.Squareplus(), lambda s: (s + gmpy2.sqrt(s * s + 4)) / 2),
    (mk.Squareplus(0.3), lambda s: (s + gmpy2.sqrt(s * s + gmpy2.mpfr(0.3))) / 2),
    (mk.Sine(), gmpy2.sin),
    (mk.Sine(-30.0), lambda s: gmpy2.sin(-30 * s)),
    (mk.Gaussian(), lambda s: gmpy2.exp(-s * s)),
    (mk.Exp(), gmpy2.exp),
]
STRAIGHT = ("Identity", "ReLU", "LeakyReLU", "ReLU6", "Hardsigmoid", "Hardtanh", "Softshrink")
STRAIGHT += ("Hardshrink", "Hardswish")
smooth = pytest.mark.parametrize(
    ("f", "definition"), DEFINITIONS, ids=[repr(f) for f, _ in DEFINITIONS]
)


def oracle_of(f: Any) -> Any:
    return getattr(ref, type(f).__name__)(*f.__reduce__()[1])


def points(dtype: type) -> Any:
    """Random ones, graded ones towards 0 and tails; none nearer to a kink than two steps."""
    rng = np.random.default_rng(31)
    graded = 2.0 ** np.arange(-20, 6, 2) * rng.uniform(1, 1.01, 13)
    return np.concatenate([rng.uniform(-6, 6, 60), graded, -graded]).astype(dtype)


def differences(definition: Callable[[Any], Any], s: Any) -> Any:
    """f''' by central differences: truncation 2^-200 f^(5)/4, rounding 2^(300 - 700) f."""
    exact = []
    with gmpy2.context(gmpy2.get_context(), precision=PRECISION):
        h = gmpy2.mpfr(STEP)
        for x in map(gmpy2.mpfr, s.tolist()):
            outer = definition(x + 2 * h) - definition(x - 2 * h)
            inner = definition(x + h) - definition(x - h)
            exact.append(float((outer - 2 * inner) / (2 * h**3)))
    return np.array(exact)


@smooth
def test_against_differences(dtype: type, f: Any, definition: Callable[[Any], Any]) -> None:
    """1 ULP, the exact value's own rounding to float64 included, near zeros too; the reference's
    formula within 2^-45 of the largest value.
    """
    s = points(dtype)
    exact = differences(definition, s)
    before = mk.isa()
    try:
        for isa in mk.isas():
            mk.set_isa(isa)
            compare.assert_ulp(f.third_derivative(s), exact, 1.1, absolute=2.0)
    finally:
        mk.set_isa(before)
    oracle = oracle_of(f).third_derivative(s.astype(np.float64))
    size = np.abs(exact).max()
    compare.assert_within(oracle, exact, 2.0**-45 * size)


def test_every_activation_is_here() -> None:
    names = {type(f).__name__ for f, _ in DEFINITIONS}
    assert names | set(STRAIGHT) == {n for n, cls in mk.ACTIVATIONS.items() if not cls.by_rows}
    assert not names & set(STRAIGHT)


@pytest.mark.parametrize("name", STRAIGHT)
def test_straight_and_quadratic_pieces_have_none(isa: str, dtype: type, name: str) -> None:
    s = np.concatenate([points(dtype), np.array([0, -0.0, 1, 3, -3, 6, np.inf, -np.inf], dtype)])
    got = getattr(mk, name)().third_derivative(s)
    compare.assert_same_bits(got, np.zeros_like(s))
    assert np.isnan(getattr(mk, name)().third_derivative(np.full(9, np.nan, dtype))).all()


@smooth
def test_limits(isa: str, dtype: type, f: Any, definition: Any) -> None:
    """At both infinities 0, of Exp infinity, of Sine NaN; NaN gives NaN; others do not notice."""
    ends = {"Exp": [np.inf, 0], "Sine": [np.nan, np.nan]}.get(type(f).__name__, [0, 0])
    plain = f.third_derivative(np.full(19, 0.3, dtype))
    for place in range(19):
        for s, expected in zip((np.inf, -np.inf, np.nan), (*ends, np.nan), strict=True):
            array = np.full(19, 0.3, dtype)
            array[place] = s
            got = f.third_derivative(array)
            compare.assert_ulp(got[place], np.float64(expected), 0)
            got[place] = plain[place]
            compare.assert_same_bits(got, plain)


@smooth
def test_isas_agree(dtype: type, f: Any, definition: Any) -> None:
    rng = np.random.default_rng(32)
    bits = rng.integers(0, 2**32, 20_000, dtype=np.uint64)
    s = (bits << 32 | bits[::-1]).view(np.float64) if dtype is np.float64 else bits.astype("u4")
    s = np.concatenate([s.view(dtype), points(dtype)])
    before, results = mk.isa(), []
    try:
        for isa in [isa for isa in mk.isas() if isa != "baseline"] or mk.isas():
            mk.set_isa(isa)
            results.append(f.third_derivative(s))
    finally:
        mk.set_isa(before)
    for result in results[1:]:
        compare.assert_same_bits(result, results[0])


@pytest.mark.parametrize("f", [mk.Softargmax(), mk.LogSoftargmax()], ids=repr)
def test_rows_have_none(f: Any) -> None:
    name = type(f).__name__
    with pytest.raises(TypeError, match=f"{name}: third_derivative needs an elementwise activ"):
        f.third_derivative(np.zeros((2, 3)))
    with pytest.raises(TypeError, match=f"{name} works on rows"):
        oracle_of(f).third_derivative(np.zeros((2, 3)))


def test_refusals(dtype: type) -> None:
    s = np.ones((4, 6), dtype)
    f = mk.Tanh().third_derivative
    for call, kind, text in [
        (lambda: f(np.ones(3, int)), TypeError, "Tanh: s must be"),
        (lambda: f(None), TypeError, "Tanh: s must be an array; got None"),
        (lambda: f(s, out=np.empty((6, 4), dtype)), ValueError, "Tanh: out must have shape"),
        (lambda: f(s[::-1], out=s), ValueError, "Tanh: out must not overlap"),
    ]:
        with pytest.raises(kind, match=text):
            call()
    assert f(s, out=s) is s
