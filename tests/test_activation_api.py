"""Activations as objects: shapes, outputs, Jacobians and their products, special values, names.

How exact they are over the whole range is measured in accuracy.py; here every parametrization is
compared with the reference on a grid that holds the kinks.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import compare
import mlpkern as mk
from mlpkern import reference as ref

SELU_SCALE = 1.0507009873554804934193349852946
SELU_SCALE_ALPHA = 1.7580993408473768599402175208123  # times 1.6732632423543772848170429916717

# Every class with its defaults, and with other parameters where it has any.
OTHERS: dict[str, list[dict[str, Any]]] = {
    "ReLU": [{"scale": 3.0}, {"scale": 0.1}, {"scale": -2.0}],
    "LeakyReLU": [{"negative_slope": 0.2}, {"negative_slope": -0.5}, {"negative_slope": 0.0}],
    "ELU": [{"alpha": 0.3}, {"alpha": 2.5}],
    "CELU": [{"alpha": 0.3}, {"alpha": 2.5}],
    "GELU": [{"approximate": "tanh"}],
    "Softplus": [{"beta": 0.25}, {"beta": 3.7}],
    "Hardtanh": [{"min_val": -0.5, "max_val": 2.25}, {"min_val": 1.0, "max_val": 3.0}],
    "Softshrink": [{"lambd": 0.0}, {"lambd": 1.3}],
    "Hardshrink": [{"lambd": 0.0}, {"lambd": 1.3}],
    "Squareplus": [{"b": 0.5}, {"b": 30.0}],
    "Sine": [{"omega": 30.0}, {"omega": -0.7}],
    "Softargmax": [{"beta": 0.1}, {"beta": 2.5}, {"beta": 40.0}],
}
SPECS = [(name, p) for name in mk.ACTIVATIONS for p in [{}, *OTHERS.get(name, [])]]
ROWS = ("Softargmax", "LogSoftargmax")


def show(spec: tuple[str, dict[str, Any]]) -> str:
    return "-".join([spec[0], *map(str, spec[1].values())])


def make(spec: tuple[str, dict[str, Any]]) -> tuple[Any, Any]:
    """The activation and its oracle."""
    return mk.ACTIVATIONS[spec[0]](**spec[1]), ref.activation(spec[0], **spec[1])


every = pytest.mark.parametrize("spec", SPECS, ids=show)
elementwise = pytest.mark.parametrize("spec", [s for s in SPECS if s[0] not in ROWS], ids=show)
by_rows = pytest.mark.parametrize("spec", [s for s in SPECS if s[0] in ROWS], ids=show)


def grid(dtype: type) -> Any:
    """-8 to 8 by 1/16, the kinks at small integers, halves and 0 among them, and graded ones."""
    powers = 2.0 ** np.arange(-60, 4, 5)
    kinks = [0.5, 1.3, 2.25]
    kinks = [k * (1 + e) for k in kinks for e in (0, 2.0**-20, -(2.0**-20))]
    values = np.concatenate(
        [np.arange(-8, 8.01, 1 / 16), powers, -powers, kinks, np.negative(kinks)]
    )
    return values.astype(dtype)


def wide(s: Any) -> Any:
    return np.asarray(s).astype(np.longdouble)


def functions(f: Any, s: Any, v: Any) -> dict[str, Any]:
    """All that there is of an activation at s, by name."""
    result = {"value": f(s), "jvp": f.jvp(s, v), "vjp": f.vjp(s, v)}
    if not getattr(f, "by_rows", False):
        result["derivative"] = f.derivative(s)
        result["second_derivative"] = f.second_derivative(s)
        result["third_derivative"] = f.third_derivative(s)
    return result


# --- against the reference
@elementwise
def test_value_and_derivatives(isa: str, dtype: type, spec: tuple[str, dict[str, Any]]) -> None:
    """2 ULP, or, for derivatives, 2 units in the last place of 1; of omega^2 for a fast sine.

    Parameters are doubles: the function in float32 has the parameter unrounded.
    """
    f, oracle = make(spec)
    s = grid(dtype)
    compare.assert_ulp(f(s), oracle(wide(s)), 2)
    scale = max(abs(spec[1].get("omega", 1.0)), 1.0)
    compare.assert_ulp(f.derivative(s), oracle.derivative(wide(s)), 2, absolute=2 * scale)
    second = oracle.second_derivative(wide(s))
    compare.assert_ulp(f.second_derivative(s), second, 2, absolute=2 * scale**2)
    third = oracle.third_derivative(wide(s))
    compare.assert_ulp(f.third_derivative(s), third, 2, absolute=2 * scale**3)


@elementwise
def test_products(isa: str, dtype: type, spec: tuple[str, dict[str, Any]]) -> None:
    """f'(s) rounded, times v, rounded: half a unit of either, beside the error of f' itself."""
    f, oracle = make(spec)
    s = grid(dtype)
    v = np.random.default_rng(5).normal(size=s.shape).astype(dtype)
    exact = oracle.jvp(wide(s), wide(v))
    d = oracle.derivative(wide(s))
    scale = max(abs(spec[1].get("omega", 1.0)), 1.0)
    error = (2 * compare.ulp(d, dtype) + 2 * scale * np.finfo(dtype).eps) * np.abs(wide(v))
    error = error + compare.ulp(exact, dtype)
    compare.assert_within(f.jvp(s, v), exact, error)
    compare.assert_within(f.vjp(s, v), exact, error)
    compare.assert_same_bits(f.jvp(s, v), f.derivative(s) * v)  # documented: the two roundings


@by_rows
def test_rows(isa: str, dtype: type, spec: tuple[str, dict[str, Any]]) -> None:
    """Values within 2 ULP; products within 4 units in the last place of what they are sums of."""
    f, oracle = make(spec)
    rng = np.random.default_rng(6)
    for cols in (1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 33, 300):
        s, v = (3 * rng.normal(size=(9, cols)).astype(dtype) for _ in range(2))
        compare.assert_ulp(f(s), oracle(wide(s)), 2)
        p = np.exp(wide(s) * oracle.beta) if spec[0] == "Softargmax" else np.exp(wide(s))
        p /= p.sum(axis=1, keepdims=True)
        eps = np.finfo(dtype).eps
        size = np.abs(wide(v))
        mean = np.sum(p * size, axis=1, keepdims=True) + size.max(axis=1, keepdims=True)
        if spec[0] == "Softargmax":
            bound = oracle.beta * p * (size + mean)
            bounds = bound, bound
        else:
            bounds = size + mean, size + p * np.sum(size, axis=1, keepdims=True)
        for got, exact, bound in [
            (f.jvp(s, v), oracle.jvp(wide(s), wide(v)), bounds[0]),
            (f.vjp(s, v), oracle.vjp(wide(s), wide(v)), bounds[1]),
        ]:
            # a share of nearly 0 is rounded to a subnormal number before it multiplies
            tiny = np.finfo(dtype).smallest_subnormal * (1 + bound / p)
            compare.assert_within(got, exact, 4 * eps * bound + tiny)


@pytest.mark.parametrize("beta", [0.1, 1.0, 2.5])
def test_softargmax_sums_to_one_and_is_the_gradient_of_logsumexp(
    isa: str, dtype: type, beta: float, rng: np.random.Generator
) -> None:
    s = rng.normal(size=(7, 11)).astype(dtype)
    y = mk.Softargmax(beta)(s)
    assert (y > 0).all()
    ones = y.astype(np.float64).sum(axis=1)
    compare.assert_within(ones, np.ones(7), 2 * np.finfo(dtype).eps)  # 2 ULP of each, and sum y = 1
    # Differences of the oracle: h^2 beta^2 and 2^-63/h are both below 1e-11.
    h = np.longdouble(1e-6)
    for k in range(11):
        step = h * np.eye(11, dtype=np.longdouble)[k]
        upper, lower = (ref.logsumexp(wide(s) + e, beta) for e in (step, -step))
        compare.assert_within(y[:, k], (upper - lower) / (2 * h), 2 * np.finfo(dtype).eps + 1e-11)


# --- Jacobians
@every
def test_jacobian(isa: str, dtype: type, spec: tuple[str, dict[str, Any]]) -> None:
    """Its columns are the products with unit vectors; its rows those from the other side."""
    f, oracle = make(spec)
    rng = np.random.default_rng(7)
    s = rng.normal(size=(2, 3, 5)).astype(dtype)
    jacobian = f.jacobian(s)
    assert jacobian.shape == (2, 3, 5, 5)
    assert jacobian.dtype == dtype
    exact = oracle.jacobian(wide(s))
    scale = max(abs(v) for v in (1.0, *(x for x in spec[1].values() if not isinstance(x, str))))
    compare.assert_within(jacobian, exact, 4 * scale * np.finfo(dtype).eps)
    for j in range(5):
        unit = np.zeros_like(s)
        unit[..., j] = 1
        compare.assert_same_bits(f.jvp(s, unit), jacobian[..., :, j].copy())
        rows = f.vjp(s, unit).astype(np.float64)
        compare.assert_within(jacobian[..., j, :].copy(), rows, 4 * scale * np.finfo(dtype).eps)
    if not f.by_rows:
        diagonal = np.diagonal(jacobian, axis1=-2, axis2=-1)
        compare.assert_same_bits(diagonal.copy(), f.derivative(s))
        assert not jacobian[..., ~np.eye(5, dtype=bool)].any()


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_softargmax_jacobian_is_a_diagonal_minus_a_rank_one_product(
    isa: str, dtype: type, beta: float, rng: np.random.Generator
) -> None:
    """math.md, section 3: beta (diag(y) - y'y), and symmetric."""
    s = rng.normal(size=(4, 6)).astype(dtype)
    f = mk.Softargmax(beta)
    y = f(s).astype(np.float64)
    exact = beta * (np.stack([np.diag(row) for row in y]) - y[:, :, None] * y[:, None, :])
    # y is off by 2 ULP on either side, the products by a few more, all of numbers up to beta
    bound = 8 * np.finfo(dtype).eps * beta * np.maximum(y[:, :, None], y[:, None, :])
    compare.assert_within(f.jacobian(s), exact, bound)
    compare.assert_within(f.jacobian(s), f.jacobian(s).swapaxes(1, 2).astype(np.float64), bound)


@every
def test_products_are_adjoint(isa: str, dtype: type, spec: tuple[str, dict[str, Any]]) -> None:
    """<g, J v> = <g J, v>, within the error of either: 4 units in the last place of the terms."""
    f, oracle = make(spec)
    rng = np.random.default_rng(8)
    s, v, g = (rng.normal(size=(6, 13)).astype(dtype) for _ in range(3))
    left = np.sum(wide(g) * wide(f.jvp(s, v)))
    right = np.sum(wide(f.vjp(s, g)) * wide(v))
    terms = np.abs(oracle.jacobian(wide(s))) * np.abs(wide(g))[..., :, None]
    size = np.sum(terms * np.abs(wide(v))[..., None, :])
    # by rows, a mean over the row is subtracted from every element, as large as the largest
    size += np.sum(np.abs(wide(g)).max(1) * np.abs(wide(v)).max(1)) * f.by_rows
    scale = max(1.0, *(abs(x) for x in spec[1].values() if not isinstance(x, str)), 1.0)
    assert abs(left - right) <= 8 * np.finfo(dtype).eps * size * scale


@by_rows
def test_rows_have_no_derivative(spec: tuple[str, dict[str, Any]]) -> None:
    f, _ = make(spec)
    s = np.zeros((2, 3))
    for call in (f.derivative, f.second_derivative, f.third_derivative):
        with pytest.raises(TypeError, match=f"{spec[0]}: .*needs an elementwise activation"):
            call(s)
    with pytest.raises(ValueError, match=r"s must be \(..., K\); got \(\)"):
        f(np.float64(1))


def test_jacobian_of_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Tanh: s must be \(..., L\); got \(\)"):
        mk.Tanh().jacobian(np.float64(1))


# --- shapes, outputs, layouts
@every
def test_shapes(isa: str, dtype: type, spec: tuple[str, dict[str, Any]]) -> None:
    f, _ = make(spec)
    rng = np.random.default_rng(9)
    for shape in [(), (0,), (1,), (3, 0), (0, 3), (2, 3, 4), (1, 1, 1, 5)]:
        if f.by_rows and shape == ():
            continue  # rows need an axis; the refusal is tested above
        s, v = (rng.normal(size=shape).astype(dtype) for _ in range(2))
        rows = (-1, shape[-1]) if f.by_rows and shape[-1] else (-1, max(s.size, 1))
        flat = functions(f, s.reshape(rows) if s.size else s, v.reshape(rows) if s.size else v)
        for name, result in functions(f, s, v).items():
            assert result.shape == shape, name
            assert result.dtype == dtype, name
            compare.assert_same_bits(result, flat[name].reshape(shape))
        if shape:
            assert f.jacobian(s).shape == (*shape, shape[-1])


@every
def test_out_and_in_place(isa: str, dtype: type, spec: tuple[str, dict[str, Any]]) -> None:
    f, _ = make(spec)
    rng = np.random.default_rng(10)
    for shape in [(1, 1), (3, 7), (40, 13)]:
        s, v = (rng.normal(size=shape).astype(dtype) for _ in range(2))
        expected = functions(f, s, v)
        kept = s.copy(), v.copy()
        calls = {
            "value": lambda s, v, out: f(s, out=out),
            "jvp": lambda s, v, out: f.jvp(s, v, out=out),
            "vjp": lambda s, v, out: f.vjp(s, v, out=out),
        }
        if not f.by_rows:
            calls["derivative"] = lambda s, v, out: f.derivative(s, out=out)
            calls["second_derivative"] = lambda s, v, out: f.second_derivative(s, out=out)
            calls["third_derivative"] = lambda s, v, out: f.third_derivative(s, out=out)
        for name, call in calls.items():
            out = np.full(shape, np.nan, dtype)
            assert call(s, v, out) is out
            compare.assert_same_bits(out, expected[name])
            compare.assert_same_bits(s, kept[0])
            compare.assert_same_bits(v, kept[1])
            own = s.copy()
            assert call(own, v, own) is own
            compare.assert_same_bits(own, expected[name])
            if name in ("jvp", "vjp"):
                own = v.copy()
                call(s, own, own)
                compare.assert_same_bits(own, expected[name])
        compare.assert_same_bits(f.predict(s), expected["value"])
        both = s.copy()
        compare.assert_same_bits(f.jvp(both, both), f.jvp(s, s))


@every
def test_other_overlaps_are_refused(spec: tuple[str, dict[str, Any]], dtype: type) -> None:
    """Before anything is written."""
    f, _ = make(spec)
    memory = np.linspace(-1, 1, 100).astype(dtype)
    before = memory.copy()
    s, out = memory[:60].reshape(6, 10), memory[10:70].reshape(6, 10)
    other = np.ones((6, 10), dtype)
    for call in (
        lambda: f(s, out=out),
        lambda: f(out, out=s),
        lambda: f.jvp(s, other, out=out),
        lambda: f.jvp(other, s, out=out),
        lambda: f.vjp(s, other, out=out),
        lambda: f.vjp(other, s, out=out),
        lambda: f(s[::-1], out=s),
    ):
        with pytest.raises(ValueError, match="out must not overlap"):
            call()
    compare.assert_same_bits(memory, before)


def test_wrong_outputs_are_refused(dtype: type) -> None:
    s = np.ones((4, 6), dtype)
    locked = np.empty((4, 6), dtype)
    locked.flags.writeable = False
    wrong = np.float64 if dtype is np.float32 else np.float32
    for out, error, pattern in [
        (np.empty((6, 4), dtype), ValueError, r"out must have shape \(4, 6\); got \(6, 4\)"),
        (np.empty((4, 6), wrong), TypeError, "out must have dtype"),
        (np.empty((4, 12), dtype)[:, ::2], ValueError, "out must be C-contiguous"),
        (locked, ValueError, "out must be writeable"),
        ([0.0], TypeError, "out must be an array; got list"),
    ]:
        with pytest.raises(error, match=f"Tanh: {pattern}"):
            mk.Tanh()(s, out=out)
    with pytest.raises(ValueError, match="Tanh: v must have the shape of s"):
        mk.Tanh().jvp(s, s[:3])
    with pytest.raises(TypeError, match="all float32 or all float64"):
        mk.Tanh().jvp(s, s.astype(wrong))
    for bad in (np.ones(3, np.int64), np.ones(3, np.float16), np.ones(3, complex), "text"):
        with pytest.raises(TypeError, match="Tanh: s must be"):
            mk.Tanh()(bad)


@every
def test_layouts(isa: str, dtype: type, spec: tuple[str, dict[str, Any]]) -> None:
    f, _ = make(spec)
    rng = np.random.default_rng(12)
    s, v = (rng.normal(size=(6, 35)).astype(dtype) for _ in range(2))
    expected = functions(f, s, v)

    def others(a: Any) -> list[Any]:
        wider = np.full((12, 70), np.nan, dtype)
        wider[::2, ::2] = a
        locked = a.copy()
        locked.flags.writeable = False
        result = [
            np.asfortranarray(a),
            a[::-1, ::-1].copy()[::-1, ::-1],
            wider[::2, ::2],
            a.astype(a.dtype.newbyteorder()),
            locked,
        ]
        for offset in range(1, 8):
            memory = np.zeros(a.nbytes + 8, np.uint8)[offset : offset + a.nbytes]
            result.append(memory.view(dtype).reshape(a.shape))
            result[-1][...] = a
        return result

    for s2, v2 in zip(others(s), reversed(others(v)), strict=True):
        for name, result in functions(f, s2, v2).items():
            compare.assert_same_bits(result, expected[name])
    same = np.broadcast_to(s[:1], (6, 35))
    compare.assert_same_bits(f(same), f(same.copy()))


# --- kinks, typed out as math.md, PyTorch and the reference have them
KINKS: list[tuple[str, dict[str, Any], float, float]] = [  # s, f'(s)
    ("ReLU", {"scale": 3.0}, 0.0, 0.0),
    ("ReLU", {"scale": 3.0}, -0.0, 0.0),
    ("LeakyReLU", {"negative_slope": 0.25}, 0.0, 0.25),
    ("ReLU6", {}, 0.0, 0.0),
    ("ReLU6", {}, 6.0, 0.0),
    ("ELU", {"alpha": 0.5}, 0.0, 0.5),
    ("CELU", {"alpha": 0.5}, 0.0, 1.0),
    ("SELU", {}, 0.0, SELU_SCALE_ALPHA),
    ("Hardsigmoid", {}, 3.0, 0.0),
    ("Hardsigmoid", {}, -3.0, 0.0),
    ("Hardswish", {}, 3.0, 1.0),
    ("Hardswish", {}, -3.0, 0.0),
    ("Hardtanh", {}, 1.0, 0.0),
    ("Hardtanh", {}, -1.0, 0.0),
    ("Softshrink", {}, 0.5, 0.0),
    ("Softshrink", {}, -0.5, 0.0),
    ("Hardshrink", {}, 0.5, 0.0),
    ("Hardshrink", {}, -0.5, 0.0),
    ("Softsign", {}, 0.0, 1.0),
]


@pytest.mark.parametrize("kink", KINKS, ids=lambda k: f"{k[0]} {k[2]}")
def test_kinks(isa: str, dtype: type, kink: tuple[str, dict[str, Any], float, float]) -> None:
    """The derivative at the kink is the stated one, the next two are 0, in every lane."""
    name, parameters, s, slope = kink
    f, oracle = make((name, parameters))
    at = np.full(19, s, dtype)
    compare.assert_ulp(f.derivative(at), np.full(19, slope), 0.5)
    compare.assert_ulp(oracle.derivative(np.float64(s)), np.array(slope), 1)
    for order in ("second_derivative", "third_derivative"):
        assert not getattr(f, order)(at).any()
        assert not getattr(oracle, order)(np.float64(s)).any()


# --- special values: where a function ends or bends
INF, NAN = np.inf, np.nan

# f at inf, -inf, +0 and -0, f' at inf, -inf and 0.
SPECIALS: dict[str, tuple[float, ...]] = {
    "Identity": (INF, -INF, 0.0, -0.0, 1, 1, 1),
    "ReLU": (INF, 0.0, 0.0, 0.0, 1, 0, 0),
    "LeakyReLU": (INF, -INF, 0.0, -0.0, 1, 0.01, 0.01),
    "ReLU6": (6, 0.0, 0.0, 0.0, 0, 0, 0),
    "ELU": (INF, -1, 0.0, -0.0, 1, 0, 1),
    "SELU": (INF, -SELU_SCALE_ALPHA, 0.0, -0.0, SELU_SCALE, 0, SELU_SCALE_ALPHA),
    "CELU": (INF, -1, 0.0, -0.0, 1, 0, 1),
    "GELU": (INF, -0.0, 0.0, -0.0, 1, 0, 0.5),
    "Sigmoid": (1, 0.0, 0.5, 0.5, 0, 0, 0.25),
    "LogSigmoid": (-0.0, -INF, -np.log(2), -np.log(2), 0, 1, 0.5),
    "Tanh": (1, -1, 0.0, -0.0, 0, 0, 1),
    "Softplus": (INF, 0.0, np.log(2), np.log(2), 1, 0, 0.5),
    "Softsign": (1, -1, 0.0, -0.0, 0, 0, 1),
    "SiLU": (INF, -0.0, 0.0, -0.0, 1, 0, 0.5),
    "Mish": (INF, -0.0, 0.0, -0.0, 1, 0, 0.6),
    "Hardsigmoid": (1, 0.0, 0.5, 0.5, 0, 0, 1 / 6),
    "Hardswish": (INF, -0.0, 0.0, -0.0, 1, 0, 0.5),
    "Hardtanh": (1, -1, 0.0, -0.0, 0, 0, 1),
    "Tanhshrink": (INF, -INF, 0.0, -0.0, 1, 1, 0),
    "Softshrink": (INF, -INF, 0.0, 0.0, 1, 1, 0),
    "Hardshrink": (INF, -INF, 0.0, 0.0, 1, 1, 0),
    "Squareplus": (INF, 0.0, 1.0, 1.0, 1, 0, 0.5),
    "Sine": (NAN, NAN, 0.0, -0.0, NAN, NAN, 1),
    "Gaussian": (0.0, 0.0, 1.0, 1.0, 0, 0, 0),
    "Exp": (INF, 0.0, 1.0, 1.0, INF, 0, 1),
}


def test_every_activation_has_a_row() -> None:
    assert set(SPECIALS) | set(ROWS) == set(mk.ACTIVATIONS)
    assert set(OTHERS) <= set(mk.ACTIVATIONS)
    with_parameters = {n for n, f in mk.ACTIVATIONS.items() if len(f().config()) > 1}
    assert with_parameters == set(OTHERS)


@pytest.mark.parametrize("name", SPECIALS)
def test_special_values(isa: str, dtype: type, name: str) -> None:
    """In each of 19 places, and the others do not notice. Signs of zeros are those of the table."""
    f = mk.ACTIVATIONS[name]()
    at_inf, at_minus_inf, at_zero, at_minus_zero, slope_inf, slope_minus_inf, slope_zero = SPECIALS[
        name
    ]
    values = [
        (NAN, NAN),
        (INF, at_inf),
        (-INF, at_minus_inf),
        (0.0, at_zero),
        (-0.0, at_minus_zero),
    ]
    slopes = [(NAN, NAN), (INF, slope_inf), (-INF, slope_minus_inf), (0.0, slope_zero)]
    slopes.append((-0.0, slope_zero))
    ordinary = np.full(19, 0.3, dtype)
    ordinary[::2] = -0.3
    for call, table in [(f, values), (f.derivative, slopes)]:
        plain = call(ordinary)
        for place in range(19):
            for s, expected in table:
                array = ordinary.copy()
                array[place] = s
                result = call(array)
                compare.assert_ulp(result[place], np.float64(expected), 1)
                if call is f:
                    sign = np.signbit(result[place]), np.signbit(expected)
                    assert np.isnan(expected) or sign[0] == sign[1], (s, result[place])
                result[place] = plain[place]
                compare.assert_same_bits(result, plain)


@elementwise
def test_extremes_agree_with_the_reference(
    isa: str, dtype: type, spec: tuple[str, dict[str, Any]]
) -> None:
    """The largest and smallest numbers, tails down to the subnormals, infinities, NaN.

    Outside of where float's own tails end, the oracle is exact: rounding to 0 or infinity included.
    """
    f, oracle = make(spec)
    info = np.finfo(dtype)
    tails = np.array([15.0, 17, 20, 37, 50, 88, 89, 100, 103.9, 105, 500, 709, 710, 740, 746, 1e4])
    ends = np.array([info.max, info.max / 2, info.smallest_normal, info.smallest_subnormal])
    ends = np.append(ends, [3 * info.smallest_subnormal, 1e30, 1e-30, NAN, INF])
    s = np.concatenate([tails, ends, -tails, -ends]).astype(dtype)
    with np.errstate(over="ignore"):
        exact = oracle(wide(s))
        compare.assert_ulp(f(s), exact, 2)
        scale = max(abs(spec[1].get("omega", 1.0)), 1.0)
        slope = oracle.derivative(wide(s))
        compare.assert_ulp(f.derivative(s), slope, 2, absolute=2 * scale)
        curve = oracle.second_derivative(wide(s))
        compare.assert_ulp(f.second_derivative(s), curve, 2, absolute=2 * scale**2)
        bend = oracle.third_derivative(wide(s))
        compare.assert_ulp(f.third_derivative(s), bend, 2, absolute=2 * scale**3)


@by_rows
def test_special_rows(isa: str, dtype: type, spec: tuple[str, dict[str, Any]]) -> None:
    """-inf has weight 0; a row of -inf, or with +inf or NaN, is NaN; other rows do not notice."""
    f, oracle = make(spec)
    special = [
        [-INF, 0, 0, -INF, 0],
        [-INF] * 5,
        [INF, 0, 0, 0, 0],
        [0, 0, INF, INF, 0],
        [0, NAN, 0, 0, 0],
        [0, 0, -INF, 0, NAN],
    ]
    big = np.finfo(dtype).max
    special += [[big, -big, 0, 0, 0], [1e4, 9e3, -1e4, 1e4, 0], [-big] * 5]
    special += [
        [0, -87.1, -103.2, 0.5, -88.3],
        [0, -708.6, -740.3, -720.1, 0.5],
    ]  # subnormal shares
    ordinary = np.array([[0.5, -1, 2, 0, 1]] * 9, dtype)
    plain = f(ordinary)
    for row in special:
        exact = np.full(5, NAN)
        if np.isfinite(max(row)) and not np.isnan(row).any():
            exact = oracle(np.array([row], dtype).astype(np.longdouble))[0]
        for place in range(9):
            s = ordinary.copy()
            s[place] = row
            y = f(s)
            with np.errstate(over="ignore"):  # -2 big is -inf in the dtype
                compare.assert_ulp(y[place], exact, 2)
            y[place] = plain[place]
            compare.assert_same_bits(y, plain)


@every
def test_nan_stays_where_it_is(isa: str, dtype: type, spec: tuple[str, dict[str, Any]]) -> None:
    f, _ = make(spec)
    s = np.linspace(-2, 2, 60).astype(dtype).reshape(4, 15)
    v = np.ones_like(s)
    expected = functions(f, s, v)
    spoiled = s.copy()
    spoiled[2, 7] = NAN
    for name, result in functions(f, spoiled, v).items():
        there = (2, slice(None)) if f.by_rows else (2, 7)
        assert np.isnan(result[there]).all(), name
        result[there] = expected[name][there]
        compare.assert_same_bits(result, expected[name])


# --- names and objects
def test_by_name() -> None:
    assert mk.activation("relu", scale=3.0) == mk.ReLU(3.0)
    for name, cls in mk.ACTIVATIONS.items():
        for spelling in (name, name.lower(), name.upper(), f" {name} "):
            assert type(mk.activation(spelling)) is cls
        assert mk.activation(name) == cls()
    aliases = {
        "softmax": mk.Softargmax,
        "log_softmax": mk.LogSoftargmax,
        "Log-SoftMax": mk.LogSoftargmax,
        "leaky_relu": mk.LeakyReLU,
        "hard tanh": mk.Hardtanh,
        "swish": mk.SiLU,
    }
    for alias, cls in aliases.items():
        assert type(mk.activation(alias)) is cls
    assert mk.Softmax is mk.Softargmax
    assert mk.LogSoftmax is mk.LogSoftargmax
    assert mk.activation("gelu", approximate="tanh") == mk.GELU("tanh")


def test_wrong_names_and_parameters() -> None:
    with pytest.raises(ValueError, match=r"name must be one of .*relu.*; got 'rleu'"):
        mk.activation("rleu")
    with pytest.raises(ValueError, match="got ''"):
        mk.activation("")
    with pytest.raises(TypeError, match="name must be a string; got ReLU"):
        mk.activation(mk.ReLU())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"ReLU: takes \(scale=1.0\).*slope"):
        mk.activation("relu", slope=1.0)
    with pytest.raises(TypeError, match="Tanh: takes"):
        mk.Tanh(1.0)
    for call, pattern in [
        (lambda: mk.Softplus(0.0), "Softplus: beta must be finite and greater than 0; got 0.0"),
        (lambda: mk.Softplus(-1.0), "Softplus: beta must be finite and greater than 0"),
        (lambda: mk.CELU(0.0), "CELU: alpha must be finite and greater than 0"),
        (lambda: mk.Squareplus(-4.0), "Squareplus: b must be finite and greater than 0"),
        (lambda: mk.Softargmax(0.0), "Softargmax: beta must be finite and greater than 0"),
        (lambda: mk.Softshrink(-0.5), "Softshrink: lambd must be finite and at least 0"),
        (lambda: mk.Hardshrink(-0.5), "Hardshrink: lambd must be finite and at least 0"),
        (lambda: mk.Hardtanh(2.0, 1.0), "Hardtanh: min_val must not exceed max_val; got 2.0, 1.0"),
        (lambda: mk.ReLU(np.nan), "ReLU: scale must be finite; got nan"),
        (lambda: mk.ELU(np.inf), "ELU: alpha must be finite"),
        (lambda: mk.GELU("erf"), "approximate must be 'none' or 'tanh'; got 'erf'"),
    ]:
        with pytest.raises(ValueError, match=pattern):
            call()
    for call, pattern in [
        (lambda: mk.ReLU("3"), "ReLU: scale must be a number; got str"),
        (lambda: mk.ReLU(True), "ReLU: scale must be a number; got bool"),
        (lambda: mk.Sine(None), "Sine: omega must be a number; got NoneType"),
    ]:
        with pytest.raises(TypeError, match=pattern):
            call()


@every
def test_objects(spec: tuple[str, dict[str, Any]]) -> None:
    """Equal by their parameters; repr, config, pickle and copy give an equal one back."""
    f, _ = make(spec)
    s = np.linspace(-3, 3, 21).reshape(3, 7)
    namespace = {name: getattr(mk, name) for name in mk.ACTIVATIONS}
    again = [
        eval(repr(f), namespace),
        mk.from_config(f.config()),
        pickle.loads(pickle.dumps(f)),
        copy.copy(f),
        copy.deepcopy(f),
        f.copy(),
        mk.ACTIVATIONS[spec[0]](**spec[1]),
    ]
    for g in again:
        assert type(g) is type(f)
        assert g == f
        assert hash(g) == hash(f)
        assert repr(g) == repr(f)
        compare.assert_same_bits(g(s), f(s))
    assert f.config()["type"] == spec[0]
    different = [make(other)[0] for other in SPECS if other != spec]
    assert all(g != f for g in different)
    assert f != spec[0]


def test_integer_parameters_are_numbers() -> None:
    assert mk.ReLU(3) == mk.ReLU(3.0) == mk.ReLU(np.float32(3)) == mk.ReLU(np.int64(3))


def test_parameters_are_not_rounded_to_float32(isa: str) -> None:
    """0.01 s with one rounding, though 0.01 is no float."""
    s = -np.arange(1, 2000, dtype=np.float32)
    compare.assert_same_bits(mk.LeakyReLU()(s), (s.astype(np.float64) * 0.01).astype(np.float32))


def test_the_reference_has_the_same_names() -> None:
    for name, cls in mk.ACTIVATIONS.items():
        oracle = getattr(ref, name)()
        kernel = cls()
        for parameter, value in kernel.config().items():
            if parameter != "type":
                assert getattr(oracle, parameter) == value


def test_an_activation_is_a_map(dtype: type, rng: np.random.Generator) -> None:
    f = mk.Tanh()
    assert isinstance(f, mk.Map)
    assert f.parameters.size == 0
    s = rng.normal(size=(3, 4)).astype(dtype)
    compare.assert_same_bits(mk.Chain(f, mk.Sigmoid())(s), mk.Sigmoid()(f(s)))
