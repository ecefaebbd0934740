"""Hessians of costs by their predictions, times a vector: loss.hvp against the reference, and more.

Error model: that of gradients (tests/test_losses.py): a curvature in wider numbers, a product with
v, the sample's factor, two roundings of a double, and one rounding to the dtype.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import compare
import mlpkern as mk
from mlpkern import reference as ref
from test_losses import CASES, SHAPES, Case, U, W, all_cases, label_cases, samples

INF, NAN = np.inf, np.nan


def mixing(case: Case) -> bool:
    """Whether the columns of a row mix."""
    return case.name == "CrossEntropy" and case.arguments.get("from_logits", False)


def parts(case: Case, p: Any, y: Any, v: Any, exact: Any) -> Any:
    """What is added up: where columns mix, q |v| and q <q, |v|>, of v less its value at the top."""
    if not mixing(case):
        return np.abs(exact)
    q = ref.Softargmax()(p)
    v = np.abs(v - np.take_along_axis(v, q.argmax(axis=1, keepdims=True), axis=1))
    total = y.sum(axis=1, keepdims=True) + 1
    return total * q * (v + np.sum(q * v, axis=1, keepdims=True))


def bound(case: Case, p: Any, y: Any, v: Any, exact: Any, dtype: type) -> Any:
    """8 W: exp, divisions and products; the reference's exp of 5 sigma multiplies 2^-64 by 60."""
    wider = 8 * W[dtype] + (60 * 2.0**-63 if dtype is np.float64 else 0)
    tiny = 2 * np.finfo(dtype).smallest_subnormal
    rounding = (compare.UNIT[np.dtype(dtype)] + 4 * U) * np.abs(exact)
    return rounding + wider * parts(case, p, y, v, exact) + tiny


@pytest.mark.parametrize("case", range(len(CASES)), ids=[str(c) for c in CASES])
def test_against_the_reference(isa: str, dtype: type, case: int) -> None:
    rng = np.random.default_rng(case)
    c = CASES[case]
    for shape in SHAPES:
        p, y = samples(case, shape, dtype)
        v = rng.normal(size=shape).astype(dtype)
        wide = [a.astype(np.longdouble) for a in (p, y, v)]
        exact = c.oracle("sum").hvp(*wide)
        limits = bound(c, wide[0], wide[1], wide[2], exact, dtype)
        for reduction in ("sum", "mean"):
            if shape[0] == 0 and reduction == "mean":
                with pytest.raises(ValueError, match="mean over an empty batch"):
                    c.kernel(reduction).hvp(p, y, v)
                continue
            divisor = shape[0] if reduction == "mean" else 1
            got = c.kernel(reduction).hvp(p, y, v)
            assert got.dtype == dtype
            tiny = np.finfo(dtype).smallest_subnormal
            compare.assert_within(got, exact / divisor, limits / divisor + tiny)


@all_cases
def test_against_differences_of_the_gradient(case: Case, rng: np.random.Generator) -> None:
    """Central differences of the reference's gradient in extended precision, along v.

    h = 1e-6: the truncation is h^2/6 of the third derivative of the slopes, 6/p^4 beside 1/p^2:
    h^2/p^2 < 1e-8 of it for p > 0.01. The rounding is 2^-63/h = 1e-13 of the slopes.
    """
    p, y = case.data(rng, 5, 4)
    p = np.where(p > 0, np.maximum(p, 0.01), p)
    if case.name in ("Huber", "AbsoluteError", "Quantile"):  # kept away from the kinks
        distance = np.abs(np.abs(p - y) - case.arguments.get("delta", 0.0))
        p = np.where(distance < 1e-3, p + 0.01, p)
    v = rng.uniform(-1, 1, (5, 4))
    h, oracle = np.longdouble(1e-6), case.oracle("sum")
    upper, lower = (oracle.gradient(p + step * v, y) for step in (h, -h))
    exact = (upper - lower) / (2 * h)
    compare.assert_within(case.kernel("sum").hvp(p, y, v), exact, 1e-7 * (1 + np.abs(exact)))


@all_cases
def test_weights(isa: str, dtype: type, case: Case, rng: np.random.Generator) -> None:
    """As in the gradient; a row of weight 0 is exactly 0, whatever stands there, v included."""
    p, y = (a.astype(dtype) for a in case.data(rng, 70, 5))
    v, weight = rng.normal(size=(70, 5)).astype(dtype), rng.random(70)
    weight[::7] = 0
    wide = [a.astype(np.longdouble) for a in (p, y, v)]
    for reduction in ("sum", "mean"):
        exact = case.oracle(reduction).hvp(*wide, weight)
        plain = case.oracle("sum").hvp(*wide)
        share = weight[:, None] / (weight.sum() if reduction == "mean" else 1)
        limits = bound(case, wide[0], wide[1], wide[2], plain, dtype) * share
        # the weights' own sum, of 70, in any order
        limits = limits + compare.gamma(80, np.float64) * np.abs(exact)
        limits = limits + np.finfo(dtype).smallest_subnormal
        spoiled = p.copy(), v.copy()
        for row, bad in [(0, NAN), (7, INF), (14, -INF)]:
            spoiled[0][row, 1] = spoiled[1][row, 2] = bad
        for predictions, tangent in [(p, v), spoiled]:
            got = case.kernel(reduction).hvp(predictions, y, tangent, weight)
            compare.assert_within(got, exact, limits)
            compare.assert_same_bits(got[::7], np.zeros((10, 5), dtype))


@label_cases
def test_labels_are_one_hot_targets(isa: str, dtype: type, case: Case) -> None:
    for n, K in [(1, 1), (5, 3), (130, 10), (3, 700)]:
        rng = np.random.default_rng([n, K])
        p = case.data(rng, n, K)[0].astype(dtype)
        v, labels, weight = (
            rng.normal(size=(n, K)).astype(dtype),
            rng.integers(0, K, n),
            rng.random(n),
        )
        one_hot = np.eye(K, dtype=dtype)[labels]
        for w in (None, weight):
            got = case.kernel().hvp(p, labels, v, w)
            compare.assert_same_bits(got, case.kernel().hvp(p, one_hot, v, w))


@all_cases
def test_it_is_symmetric_and_not_negative(case: Case, rng: np.random.Generator) -> None:
    """<w, H v> = <v, H w>, and <v, H v> >= 0: all these costs are convex in their predictions."""
    p, y = case.data(rng, 6, 5)
    v, w = rng.normal(size=(2, 6, 5))
    loss = case.kernel()
    left, right = np.sum(w * loss.hvp(p, y, v)), np.sum(v * loss.hvp(p, y, w))
    assert abs(left - right) <= 1e-13 * np.sum(np.abs(w) * np.abs(loss.hvp(p, y, np.abs(v))) + 1)
    assert (np.sum(v * loss.hvp(p, y, v), axis=1) >= 0).all()


@all_cases
def test_one_sample_and_layouts(
    isa: str, dtype: type, case: Case, rng: np.random.Generator
) -> None:
    """A row does not depend on the batch, nor any number on how it lies in memory."""
    p, y = (a.astype(dtype) for a in case.data(rng, 40, 9))
    v = rng.normal(size=(40, 9)).astype(dtype)
    loss = case.kernel("sum")
    expected = loss.hvp(p, y, v)
    for i in (0, 17, 39):
        compare.assert_same_bits(loss.hvp(p[i], y[i], v[i]), expected[i].copy())
        compare.assert_same_bits(loss.hvp(p[i:], y[i:], v[i:]), expected[i:].copy())
    before = v.copy()
    for other in (np.asfortranarray(v), v.astype(v.dtype.newbyteorder()), np.repeat(v, 2, 0)[::2]):
        compare.assert_same_bits(loss.hvp(p, y, other), expected)
    compare.assert_same_bits(v, before)


# (loss, arguments, prediction, target, second derivative) of one number.
BCE = {"from_logits": True}
RATE = {"log_input": False}
ELEMENTS: list[tuple[str, dict[str, Any], float, float, float]] = [
    ("SquaredError", {}, 3, 1, 2),
    ("SquaredError", {}, INF, 1, 2),
    ("SquaredError", {}, INF, INF, NAN),
    ("SquaredError", {}, NAN, 1, NAN),
    ("MeanSquaredError", {}, 1, 1, 2),
    ("MeanSquaredError", {}, 1, NAN, NAN),
    ("AbsoluteError", {}, 1, 1, 0),
    ("AbsoluteError", {}, -INF, 1, 0),
    ("AbsoluteError", {}, NAN, 1, NAN),
    ("Huber", {}, 2, 1, 1),
    ("Huber", {}, 2.5, 1, 0),
    ("Huber", {"delta": 2.0}, -1, 1, 1),
    ("Huber", {}, INF, 1, 0),
    ("Huber", {}, NAN, 1, NAN),
    ("Quantile", {}, 1, 1, 0),
    ("Quantile", {}, -INF, 1, 0),
    ("Quantile", {}, NAN, 1, NAN),
    ("PoissonNLL", {}, 0, 3, 1),
    ("PoissonNLL", {}, -INF, 3, 0),
    ("PoissonNLL", {}, INF, 3, INF),
    ("PoissonNLL", {}, 0, NAN, NAN),
    ("PoissonNLL", {}, NAN, 0, NAN),
    ("PoissonNLL", RATE, 0, 0, 0),
    ("PoissonNLL", RATE, 2, 1, 0.25),
    ("PoissonNLL", RATE, 0, 1, INF),
    ("PoissonNLL", RATE, INF, 1, 0),
    ("PoissonNLL", RATE, NAN, 0, NAN),
    ("BinaryCrossEntropy", {}, 0, 0, 1),
    ("BinaryCrossEntropy", {}, 1, 1, 1),
    ("BinaryCrossEntropy", {}, 0, 1, INF),
    ("BinaryCrossEntropy", {}, 1, 0, INF),
    ("BinaryCrossEntropy", {}, 0.5, 0.25, 4),
    ("BinaryCrossEntropy", {}, 0, 0.5, INF),
    ("BinaryCrossEntropy", {}, NAN, 1, NAN),
    ("BinaryCrossEntropy", {}, 0.5, NAN, NAN),
    ("BinaryCrossEntropy", BCE, 0, 0.25, 0.25),
    ("BinaryCrossEntropy", BCE, INF, 1, 0),
    ("BinaryCrossEntropy", BCE, -INF, 1, 0),
    ("BinaryCrossEntropy", BCE, 0, NAN, NAN),
    ("BinaryCrossEntropy", BCE, NAN, 0, NAN),
    ("CrossEntropy", {}, 0.5, 1, 4),
    ("CrossEntropy", {}, 0, 0, 0),
    ("CrossEntropy", {}, 0, 1, INF),
    ("CrossEntropy", {}, NAN, 0, NAN),
    ("CrossEntropy", {}, 0.5, NAN, NAN),
]


@pytest.mark.parametrize(
    "row", ELEMENTS, ids=lambda r: f"{r[0]}{list(r[1].values()) or ''} {r[2]} {r[3]}"
)
def test_special_elements(
    isa: str, dtype: type, row: tuple[str, dict[str, Any], float, float, float]
) -> None:
    """In each of 17 columns, beside ordinary ones: both must keep to themselves."""
    name, arguments, p, y, bend = row
    loss = mk.LOSSES[name](**arguments, reduction="sum")
    scale = 17 if name == "MeanSquaredError" else 1
    predictions, targets = np.full((2, 17), 0.5, dtype), np.zeros((2, 17), dtype)
    v = np.full((2, 17), 2, dtype)
    alone = loss.hvp(predictions, targets, v)
    for column in range(17):
        spoiled = predictions.copy(), targets.copy()
        spoiled[0][1, column], spoiled[1][1, column] = p, y
        got = loss.hvp(*spoiled, v)
        compare.assert_ulp(got[1, column], np.float64(2 * bend / scale), 0.5)
        got[1, column] = alone[1, column]
        compare.assert_same_bits(got, alone)
    tangent = v.copy()
    tangent[1, 3] = NAN
    got = loss.hvp(predictions, targets, tangent)
    assert np.isnan(got[1, 3])
    got[1, 3] = alone[1, 3]
    compare.assert_same_bits(got, alone)


ROWS: list[tuple[list[float], list[float], list[float]]] = [  # logits, targets, H (1, 2, 4)
    ([0, 0, -INF], [1, 0, 0], [-0.25, 0.25, 0]),
    ([0, 0, -INF], [0.5, 1, 0.5], [-0.5, 0.5, 0]),
    ([-INF, 3, -INF], [0, 1, 0], [0, 0, 0]),
    ([1e4, -1e4, 0], [0, 1, 0], [0, 0, 0]),
    ([-INF] * 3, [1, 0, 0], [NAN] * 3),
    ([INF, 0, 0], [1, 0, 0], [NAN] * 3),
    ([0, NAN, 0], [1, 0, 0], [NAN] * 3),
    ([0, 0, 0], [1, NAN, 0], [NAN] * 3),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r[0]} {r[1]}")
def test_special_rows_of_logits(
    isa: str, dtype: type, row: tuple[list[float], list[float], list[float]]
) -> None:
    loss = mk.CrossEntropy(from_logits=True, reduction="sum")
    logits, targets, expected = row
    p, y = np.tile(np.array([1, 2, -1], dtype), (9, 1)), np.tile(np.eye(3, dtype=dtype)[1], (9, 1))
    v = np.tile(np.array([1, 2, 4], dtype), (9, 1))
    plain = loss.hvp(p, y, v)
    for place in range(9):
        spoiled = p.copy(), y.copy()
        spoiled[0][place], spoiled[1][place] = logits, targets
        got = loss.hvp(*spoiled, v)
        compare.assert_within(got[place], np.array(expected), 0.0)
        got[place] = plain[place]
        compare.assert_same_bits(got, plain)


def test_tails_keep_their_relative_accuracy(isa: str, dtype: type) -> None:
    """Certain predictions: the curvature is exp(-s), down to the subnormals, not 0."""
    s = np.arange(5, 100 if dtype is np.float32 else 700, 5)
    exact = np.exp(-s.astype(np.longdouble))
    exact /= (1 + exact) ** 2
    for logits in (s[:, None].astype(dtype), -s[:, None].astype(dtype)):
        loss = mk.BinaryCrossEntropy(True, reduction="sum")
        got = loss.hvp(logits, np.ones_like(logits), np.ones_like(logits))
        compare.assert_ulp(got[:, 0], exact, 1)
        rows = np.concatenate([logits, 0 * logits], axis=1)
        v = np.tile(np.array([1, 0], dtype), (len(s), 1))
        got = mk.CrossEntropy(True, reduction="sum").hvp(rows, np.zeros(len(s), int), v)
        compare.assert_ulp(got[:, 0], exact, 1)
        compare.assert_ulp(got[:, 1], -exact, 1)


@all_cases
def test_isas_and_threads_agree(dtype: type, case: Case, rng: np.random.Generator) -> None:
    p, y = (a.astype(dtype) for a in case.data(rng, 3000, 13))
    v, before = rng.normal(size=(3000, 13)).astype(dtype), mk.isa()
    isas = [isa for isa in mk.isas() if isa != "baseline"] or mk.isas()
    results = []
    try:
        for isa in isas:
            mk.set_isa(isa)
            for threads in (1, 2):
                with mk.num_threads(threads):
                    results.append(case.kernel().hvp(p, y, v))
    finally:
        mk.set_isa(before)
    for result in results[1:]:
        compare.assert_same_bits(result, results[0])


@pytest.mark.parametrize("case", [CASES[0], CASES[-1]], ids=str)
def test_refusals(dtype: type, case: Case) -> None:
    """The rules of the gradient's arguments, and v like y_pred."""
    name, loss = case.name, case.kernel()
    p = np.full((5, 2), 0.5, dtype)
    other = np.float64 if dtype is np.float32 else np.float32
    ours, theirs = np.dtype(dtype).name, np.dtype(other).name
    alike = f"{name}: y_pred, v must be all float32 or all float64; got y_pred {ours}, v"
    shape = f"{name}: v must have the shape of y_pred; got y_pred (5, 2), v"
    calls: list[tuple[tuple[Any, ...], type[Exception], str]] = [
        ((p, p, p.astype(other)), TypeError, f"{alike} {theirs}"),
        ((p, p, p.astype(int)), TypeError, f"{alike} int64"),
        ((p, p, None), TypeError, f"{name}: v must be an array; got None"),
        ((p, p, p[0]), ValueError, f"{shape} (2,)"),
        ((p, p, p.T), ValueError, f"{shape} (2, 5)"),
        ((p, p, p.sum()), ValueError, f"{shape} ()"),
        ((p, p[:4], p), ValueError, f"{name}: y must have the shape of y_pred"),
        ((p[0, 0], p, p), ValueError, f"{name}: y_pred must be (n, K) with K at least 1; got ()"),
        ((p, p, p, np.ones(4)), ValueError, f"{name}: sample_weight must be (5,)"),
        ((p, p, p, np.zeros(5)), ValueError, f"{name}: the weighted mean needs a positive weight"),
    ]
    for arguments, kind, text in calls:
        with pytest.raises(kind, match=re.escape(text)):
            loss.hvp(*arguments)


@all_cases
def test_zero_rows(dtype: type, case: Case) -> None:
    nothing = np.zeros((0, 3), dtype)
    assert case.kernel("sum").hvp(nothing, nothing, nothing).shape == (0, 3)
    with pytest.raises(ValueError, match="the mean over an empty batch does not exist"):
        case.kernel("mean").hvp(nothing, nothing, nothing)
