"""Losses: costs, values and gradients against mlpkern.reference, differences, special values.

Error model. A kernel computes the terms of a cost and of a gradient in wider numbers: double for
float32, with exp and log right to about 2^-36 (csrc/math/exp.hpp), pairs of doubles for float64,
right to about 2^-65. A few such roundings make W below. Costs are added up in double in 8 lanes,
at most K/8 + 3 additions behind each other (csrc/kernels/row_sums.hpp), then rounded once to the
dtype. A gradient is multiplied by the sample's factor, two roundings of a double, and rounded once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import compare
import mlpkern as mk
from mlpkern import reference as ref

U = 2.0**-53
W = {np.float32: 8 * 2.0**-36, np.float64: 8 * 2.0**-65}


def data_reals(rng: np.random.Generator, n: int, K: int) -> tuple[Any, Any]:
    return 2 * rng.normal(size=(n, K)), 2 * rng.normal(size=(n, K))


def data_counts(rng: np.random.Generator, n: int, K: int) -> tuple[Any, Any]:
    return rng.normal(size=(n, K)), rng.poisson(2.0, (n, K)).astype(float)


def data_rates(rng: np.random.Generator, n: int, K: int) -> tuple[Any, Any]:
    return np.exp(rng.normal(size=(n, K))), rng.poisson(2.0, (n, K)).astype(float)


def chances(rng: np.random.Generator, n: int, K: int) -> Any:
    """Targets 0, 1 and in between."""
    return np.where(rng.random((n, K)) < 0.6, rng.integers(0, 2, (n, K)), rng.random((n, K)))


def data_chances(rng: np.random.Generator, n: int, K: int) -> tuple[Any, Any]:
    p = rng.uniform(0.001, 0.999, (n, K))
    return np.where(rng.random((n, K)) < 0.2, 2.0**-20, p), chances(rng, n, K)


def data_logits(rng: np.random.Generator, n: int, K: int) -> tuple[Any, Any]:
    return 5 * rng.normal(size=(n, K)), chances(rng, n, K)


def shares(rng: np.random.Generator, n: int, K: int) -> Any:
    weights = rng.random((n, K)) * (rng.random((n, K)) < 0.7) + 1e-3
    return weights / weights.sum(axis=1, keepdims=True)


def data_shares(rng: np.random.Generator, n: int, K: int) -> tuple[Any, Any]:
    return shares(rng, n, K), shares(rng, n, K)


def data_class_logits(rng: np.random.Generator, n: int, K: int) -> tuple[Any, Any]:
    return 5 * rng.normal(size=(n, K)), shares(rng, n, K)


class Case(NamedTuple):
    """A loss, its data, and the sizes of what its terms are made of where those may cancel."""

    name: str
    arguments: dict[str, Any]
    data: Callable[..., tuple[Any, Any]]
    cost_parts: Callable[[Any, Any], Any] | None = None  # (n, K); None: the terms are not negative
    gradient_parts: Callable[[Any, Any], Any] | None = None  # None: the gradient's own size

    def __str__(self) -> str:
        inside = "-".join(f"{k}={v}" for k, v in self.arguments.items())
        return f"{self.name}-{inside}" if inside else self.name

    def kernel(self, reduction: str = "mean") -> Any:
        return mk.LOSSES[self.name](**self.arguments, reduction=reduction)

    def oracle(self, reduction: str = "mean") -> Any:
        """Parameters in extended precision, lest 1 - label_smoothing be rounded."""
        wide = {k: np.longdouble(v) if type(v) is float else v for k, v in self.arguments.items()}
        return getattr(ref, self.name)(**wide, reduction=reduction)


def sigmoid_parts(s: Any, y: Any) -> Any:
    """What is subtracted: sigmoid(-|s|), and the part of the target on the other side."""
    return ref.Sigmoid()(-np.abs(s)) + np.where(s > 0, 1 - y, y)


def softargmax_parts(s: Any, y: Any) -> Any:
    return ref.Softargmax()(s) * y.sum(axis=1, keepdims=True) + y + 1 / s.shape[1]


CASES = [
    Case("SquaredError", {}, data_reals),
    Case("MeanSquaredError", {}, data_reals),
    Case("AbsoluteError", {}, data_reals),
    Case("Huber", {}, data_reals),
    Case("Huber", {"delta": 0.3}, data_reals),
    Case("Huber", {"delta": 2.5}, data_reals),
    Case("Quantile", {}, data_reals),
    Case("Quantile", {"q": 0.1}, data_reals),
    Case(
        "PoissonNLL",
        {},
        data_counts,
        lambda p, y: np.exp(p) + np.abs(y * p),
        lambda p, y: np.exp(p) + y,
    ),
    Case(
        "PoissonNLL",
        {"log_input": False},
        data_rates,
        lambda p, y: p + np.abs(y * np.log(p)),
        lambda p, y: 1 + y / p,
    ),
    Case("BinaryCrossEntropy", {}, data_chances),
    Case("BinaryCrossEntropy", {"from_logits": True}, data_logits, None, sigmoid_parts),
    Case("CrossEntropy", {}, data_shares),
    Case("CrossEntropy", {"label_smoothing": 0.1}, data_shares),
    Case("CrossEntropy", {"label_smoothing": 1.0}, data_shares),
    Case("CrossEntropy", {"from_logits": True}, data_class_logits, None, softargmax_parts),
    Case(
        "CrossEntropy",
        {"from_logits": True, "label_smoothing": 0.2},
        data_class_logits,
        None,
        softargmax_parts,
    ),
]
all_cases = pytest.mark.parametrize("case", CASES, ids=str)
label_cases = pytest.mark.parametrize(
    "case", [c for c in CASES if c.name == "CrossEntropy"], ids=str
)

# K: one, whole and partial vectors of 4 and 8, more than 8 lanes, longer than a piece of 512.
# n: none, one, a few; 130 and 600 rows are several pieces of 512 elements.
SHAPES = [*((5, K) for K in (1, 2, 3, 7, 8, 9, 10, 33, 700)), (0, 3), (1, 1), (1, 10)]
SHAPES += [(130, 1), (130, 3), (130, 10), (600, 1), (600, 3), (600, 10)]


@functools.cache
def samples(case: int, shape: tuple[int, int], dtype: type) -> tuple[Any, Any]:
    """Predictions and targets, read-only because they are shared."""
    rng = np.random.default_rng([case, *shape])
    p, y = (v.astype(dtype) for v in CASES[case].data(rng, *shape))
    p.flags.writeable = y.flags.writeable = False
    return p, y


class Exact(NamedTuple):
    """What the oracle says: costs (n,) and their error bound; slopes (n, K) and theirs."""

    costs: Any
    cost_error: Any  # before the rounding to the dtype
    slopes: Any
    slope_error: Any


@functools.cache
def exact(case: int, shape: tuple[int, int], dtype: type) -> Exact:
    p, y = (v.astype(np.longdouble) for v in samples(case, shape, dtype))
    c, oracle = CASES[case], CASES[case].oracle("sum")
    costs, slopes = oracle.per_sample(p, y), oracle.gradient(p, y)
    K = shape[1]
    size = np.abs(costs) if c.cost_parts is None else np.sum(c.cost_parts(p, y), axis=1)
    parts = np.abs(slopes) if c.gradient_parts is None else c.gradient_parts(p, y)
    # CrossEntropyWithLogits adds rows up in double on the way to its gradient.
    sums = (K / 8 + 12) * U if c.gradient_parts is softargmax_parts else 0.0
    return Exact(costs, (W[dtype] + (K / 8 + 8) * U) * size, slopes, (W[dtype] + sums) * parts)


# --- against the reference
@pytest.mark.parametrize("case", range(len(CASES)), ids=[str(c) for c in CASES])
def test_against_the_reference(isa: str, dtype: type, case: int) -> None:
    u = compare.UNIT[np.dtype(dtype)]
    for shape in SHAPES:
        n = shape[0]
        p, y = samples(case, shape, dtype)
        e = exact(case, shape, dtype)
        costs = CASES[case].kernel().per_sample(p, y)
        assert costs.dtype == dtype
        compare.assert_within(costs, e.costs, e.cost_error + u * np.abs(e.costs))
        for reduction in ("sum", "mean"):
            loss = CASES[case].kernel(reduction)
            if n == 0 and reduction == "mean":
                with pytest.raises(ValueError, match="mean over an empty batch"):
                    loss(p, y)
                continue
            divisor = n if reduction == "mean" else 1
            value = loss(p, y)
            assert type(value) is float
            total = np.sum(e.costs) / divisor
            # factor and product round once each, and the lanes add at most n/8 + 3 times
            spread = np.sum(np.abs(e.costs)) * (n / 8 + 6) * U
            compare.assert_within(
                np.float64(value), total, (np.sum(e.cost_error) + spread) / divisor + U * abs(total)
            )
            gradient = loss.gradient(p, y)
            assert gradient.dtype == dtype
            slopes = e.slopes / divisor
            rounding = (u + 3 * U) * np.abs(slopes)
            compare.assert_within(gradient, slopes, e.slope_error / divisor + rounding)


@all_cases
def test_the_reduction_is_of_the_samples_costs(case: Case, rng: np.random.Generator) -> None:
    """And the reference's own value and gradient are the same numbers: no mean for a sum."""
    p, y = case.data(rng, 6, 3)
    costs = ref.__dict__[case.name](**case.arguments).per_sample(p, y)
    for reduction, whole in [("sum", costs.sum()), ("mean", costs.mean())]:
        oracle = ref.__dict__[case.name](**case.arguments, reduction=reduction)
        bound = np.abs(costs).sum() * compare.gamma(20, np.float64)
        compare.assert_within(np.float64(case.kernel(reduction)(p, y)), whole, bound)
        compare.assert_within(np.float64(oracle(p, y)), whole, bound)
        gradient = case.kernel(reduction).gradient(p, y)
        compare.assert_close(gradient, oracle.gradient(p, y), 1e-14)


@all_cases
def test_gradient_against_differences(case: Case, rng: np.random.Generator) -> None:
    """Central differences of the reference's costs in extended precision.

    h = 1e-6: the truncation is h^2/6 of the third derivative, which for log p is 2/p^3 beside a
    first of 1/p: h^2/(3 p^2) < 4e-9 of it for p > 0.01. The rounding is 2^-63/h = 1e-13.
    """
    p, y = case.data(rng, 5, 4)
    p = np.where(p > 0, np.maximum(p, 0.01), p)
    if case.name in ("Huber", "AbsoluteError", "Quantile"):  # kept away from the kinks
        distance = np.abs(np.abs(p - y) - case.arguments.get("delta", 0.0))
        p = np.where(distance < 1e-3, p + 0.01, p)
    p, y = p.astype(np.longdouble), y.astype(np.longdouble)
    h = np.longdouble(1e-6)
    oracle = case.oracle("sum")
    numeric = np.empty_like(p)
    for k in range(4):
        step = h * np.eye(4, dtype=np.longdouble)[k]
        difference = oracle.per_sample(p + step, y) - oracle.per_sample(p - step, y)
        numeric[:, k] = difference / (2 * h)
    gradient = case.kernel("sum").gradient(p.astype(np.float64), y.astype(np.float64))
    compare.assert_within(gradient, numeric, 1e-8 * (1 + np.abs(numeric)))


@all_cases
def test_value_and_gradient_are_the_two_by_themselves(
    isa: str, dtype: type, case: Case, rng: np.random.Generator
) -> None:
    """To the bit, weighted or not, and in the stable form for a network's output."""
    for n, K in [(1, 1), (7, 5), (130, 10), (3, 700)]:
        p, y = (v.astype(dtype) for v in case.data(rng, n, K))
        for weight in (None, rng.random(n)):
            loss = case.kernel()
            value, gradient = loss.value_and_gradient(p, y, weight)
            assert value == loss(p, y, weight)
            compare.assert_same_bits(gradient, loss.gradient(p, y, weight))
    last = "softargmax" if case.name == "CrossEntropy" else "sigmoid"
    net = mk.MLP([3, 4], output=last, dtype=dtype, seed=1)
    y_pred, y = net(rng.normal(size=(6, 3)).astype(dtype)), shares(rng, 6, 4).astype(dtype)
    value, gradient = case.kernel().value_and_gradient(y_pred, y)
    net.zero_grad()
    net.backward(gradient)
    both = net.gradients.copy()
    net.zero_grad()
    net.backward(case.kernel().gradient(y_pred, y))
    assert value == case.kernel()(y_pred, y)
    compare.assert_same_bits(both, net.gradients)


# --- weights
@all_cases
def test_weights_count_samples(isa: str, dtype: type, case: Case, rng: np.random.Generator) -> None:
    """Weight 2 is the sample twice, weight 0 no sample; the mean divides by the weights' sum."""
    p, y = (v.astype(dtype) for v in case.data(rng, 9, 3))
    weight = np.array([1, 2, 0, 3, 1, 0, 2, 1, 1.0])
    copies = np.repeat(np.arange(9), weight.astype(int))
    for reduction in ("sum", "mean"):
        loss = case.kernel(reduction)
        value, expected = loss(p, y, weight), loss(p[copies], y[copies])
        # the same terms, added up in another order, of n = 11 at most
        size = np.abs(loss.per_sample(p, y)).astype(np.float64) @ weight
        size /= weight.sum() if reduction == "mean" else 1
        assert abs(value - expected) <= compare.gamma(2 * 11 + 4, np.float64) * size * (1 + 1e-6)
        gradient = loss.gradient(p, y, weight)
        once = loss.gradient(p[copies], y[copies])[np.searchsorted(copies, np.arange(9))]
        powers = np.isin(weight, (1, 2))  # exact factors
        twice = once * weight[:, None].astype(dtype)
        compare.assert_same_bits(gradient[powers], twice[powers])
        third = np.abs(twice[3]).astype(np.float64)
        compare.assert_within(
            gradient[3], twice[3].astype(np.float64), compare.gamma(4, dtype) * third
        )
        compare.assert_same_bits(gradient[weight == 0], np.zeros((2, 3), dtype))


@all_cases
def test_weights_against_the_reference(
    isa: str, dtype: type, case: Case, rng: np.random.Generator
) -> None:
    p, y = (v.astype(dtype) for v in case.data(rng, 70, 5))
    weight = rng.random(70)
    oracle, wide = case.oracle(), [v.astype(np.longdouble) for v in (p, y)]
    value = oracle(*wide, weight)
    parts = case.cost_parts(*wide).sum(axis=1) if case.cost_parts else oracle.per_sample(*wide)
    # 8 roundings within a cost, 70/8 + 6 outside it, the weights' own sum, and the oracle's
    bound = np.sum(parts * weight) / weight.sum() * (W[dtype] + compare.gamma(40, np.float64))
    compare.assert_within(np.float64(case.kernel()(p, y, weight)), np.float64(value), float(bound))
    slopes = oracle.gradient(*wide, weight)
    parts = np.abs(slopes)
    if case.gradient_parts:
        parts = case.gradient_parts(*wide) * weight[:, None] / weight.sum()
    error = (W[dtype] + compare.gamma(40, np.float64)) * parts + compare.gamma(1, dtype) * np.abs(
        slopes
    )
    compare.assert_within(case.kernel().gradient(p, y, weight), slopes, error)


@all_cases
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=["nan", "inf", "-inf"])
def test_weight_zero_ignores_whatever_is_there(
    isa: str, dtype: type, case: Case, bad: float, rng: np.random.Generator
) -> None:
    p, y = (v.astype(dtype) for v in case.data(rng, 12, 3))
    weight = np.ones(12)
    spoiled = p.copy()
    for row, k in [(0, 0), (5, 1), (11, 2)]:
        weight[row] = 0
        spoiled[row, k] = bad
    for reduction in ("sum", "mean"):
        loss = case.kernel(reduction)
        assert loss(spoiled, y, weight) == loss(p, y, weight)
        gradient = loss.gradient(spoiled, y, weight)
        compare.assert_same_bits(gradient, loss.gradient(p, y, weight))
        compare.assert_same_bits(gradient[weight == 0], np.zeros((3, 3), dtype))


def test_weights_of_float32_and_any_layout(dtype: type, rng: np.random.Generator) -> None:
    p, y = (rng.normal(size=(6, 2)).astype(dtype) for _ in range(2))
    weight = np.array([1, 0.5, 2, 0.25, 4, 1])
    expected = mk.SquaredError()(p, y, weight)
    swapped = weight.astype(">f8")
    for other in (
        weight.astype(np.float32),
        swapped,
        np.repeat(weight, 2)[::2],
        weight[::-1][::-1],
    ):
        assert mk.SquaredError()(p, y, other) == expected


# --- labels
@label_cases
def test_labels_are_one_hot_targets(isa: str, dtype: type, case: Case) -> None:
    """To the bit, for every integer dtype."""
    for n, K in [(1, 1), (5, 3), (130, 10), (3, 700)]:
        rng = np.random.default_rng([n, K])
        p = case.data(rng, n, K)[0].astype(dtype)
        labels = rng.integers(0, K, n)
        one_hot = np.eye(K, dtype=dtype)[labels]
        weight = rng.random(n)
        for reduction in ("sum", "mean"):
            loss = case.kernel(reduction)
            assert loss(p, labels) == loss(p, one_hot)
            assert loss(p, labels, weight) == loss(p, one_hot, weight)
            compare.assert_same_bits(loss.gradient(p, labels), loss.gradient(p, one_hot))
            compare.assert_same_bits(
                loss.gradient(p, labels, weight), loss.gradient(p, one_hot, weight)
            )
        costs = loss.per_sample(p, labels)
        compare.assert_same_bits(costs, loss.per_sample(p, one_hot))
        for kind in (np.int8, np.uint8, np.int16, np.int32, np.uint64, ">i4"):
            if np.iinfo(np.dtype(kind)).max < K:
                continue
            compare.assert_same_bits(loss.per_sample(p, labels.astype(kind)), costs)
        oracle = case.oracle().per_sample(p.astype(np.longdouble), labels)
        u = compare.UNIT[np.dtype(dtype)]
        bound = (W[dtype] + (K / 8 + 8) * U + u) * np.abs(oracle)
        compare.assert_within(costs, oracle, bound)


def test_label_smoothing_is_a_mixture(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """t = (1 - eps) y + eps/K: the cost is that mixture of the costs against y and against 1/K."""
    p = shares(rng, 6, 4).astype(dtype)
    y = shares(rng, 6, 4).astype(dtype)
    logits = np.log(p)
    even = np.full_like(y, 0.25)
    for from_logits, predictions in [(False, p), (True, logits)]:
        plain = mk.CrossEntropy(from_logits)
        smooth = mk.CrossEntropy(from_logits, label_smoothing=0.25)
        mixture = 0.75 * plain.per_sample(predictions, y) + 0.25 * plain.per_sample(
            predictions, even
        )
        # three costs rounded once each, the mixture's three roundings
        bound = compare.gamma(6, dtype) * np.abs(mixture)
        compare.assert_within(smooth.per_sample(predictions, y), mixture, bound)


# --- shapes and layouts
@all_cases
def test_one_sample(isa: str, dtype: type, case: Case, rng: np.random.Generator) -> None:
    p, y = (v.astype(dtype) for v in case.data(rng, 1, 5))
    loss = case.kernel()
    assert loss(p[0], y[0]) == loss(p, y)
    compare.assert_same_bits(loss.gradient(p[0], y[0]), loss.gradient(p, y)[0].copy())
    assert loss.per_sample(p[0], y[0]).shape == ()
    assert loss.per_sample(p[0], y[0]) == loss.per_sample(p, y)[0]


@all_cases
def test_layouts(isa: str, dtype: type, case: Case, rng: np.random.Generator) -> None:
    p, y = (v.astype(dtype) for v in case.data(rng, 7, 5))
    loss = case.kernel()
    value, gradient, costs = loss(p, y), loss.gradient(p, y), loss.per_sample(p, y)
    before = p.copy(), y.copy()

    def others(a: Any) -> list[Any]:
        wide = np.full((14, 10), np.nan, dtype)
        wide[::2, ::2] = a
        locked = a.copy()
        locked.flags.writeable = False
        memory = np.zeros(a.nbytes + 3, np.uint8)[3:].view(dtype).reshape(a.shape)
        memory[...] = a
        return [
            np.asfortranarray(a),
            a[::-1, ::-1].copy()[::-1, ::-1],
            wide[::2, ::2],
            a.astype(a.dtype.newbyteorder()),
            locked,
            memory,
        ]

    for p2, y2 in zip(others(p), reversed(others(y)), strict=True):
        assert loss(p2, y2) == value
        compare.assert_same_bits(loss.gradient(p2, y2), gradient)
        compare.assert_same_bits(loss.per_sample(p2, y2), costs)
    compare.assert_same_bits(p, before[0])
    compare.assert_same_bits(y, before[1])


# --- special values: where a function ends or bends
INF, NAN = np.inf, np.nan
BCE = {"from_logits": True}

# (loss, arguments, prediction, target, cost, gradient) of one number.
ELEMENTS: list[tuple[str, dict[str, Any], float, float, float, float]] = [
    ("BinaryCrossEntropy", BCE, INF, 1, 0, 0),
    ("BinaryCrossEntropy", BCE, -INF, 0, 0, 0),
    ("BinaryCrossEntropy", BCE, INF, 0, INF, 1),
    ("BinaryCrossEntropy", BCE, -INF, 1, INF, -1),
    ("BinaryCrossEntropy", BCE, INF, 0.25, INF, 0.75),
    ("BinaryCrossEntropy", BCE, -INF, 0.25, INF, -0.25),
    ("BinaryCrossEntropy", BCE, 1e4, 1, 0, 0),
    ("BinaryCrossEntropy", BCE, -1e4, 0, 0, 0),
    ("BinaryCrossEntropy", BCE, 1e4, 0, 1e4, 1),
    ("BinaryCrossEntropy", BCE, -1e4, 1, 1e4, -1),
    ("BinaryCrossEntropy", BCE, NAN, 1, NAN, NAN),
    ("BinaryCrossEntropy", BCE, NAN, 0, NAN, NAN),
    ("BinaryCrossEntropy", BCE, 1, NAN, NAN, NAN),
    ("BinaryCrossEntropy", {}, 0, 0, 0, 1),
    ("BinaryCrossEntropy", {}, 1, 1, 0, -1),
    ("BinaryCrossEntropy", {}, 0, 1, INF, -INF),
    ("BinaryCrossEntropy", {}, 1, 0, INF, INF),
    ("BinaryCrossEntropy", {}, NAN, 0, NAN, NAN),
    ("BinaryCrossEntropy", {}, NAN, 1, NAN, NAN),
    ("BinaryCrossEntropy", {}, 0.5, NAN, NAN, NAN),
    ("CrossEntropy", {}, 0, 0, 0, 0),
    ("CrossEntropy", {}, 0, 1, INF, -INF),
    ("CrossEntropy", {}, 1, 1, 0, -1),
    ("CrossEntropy", {}, NAN, 0, NAN, NAN),
    ("CrossEntropy", {}, NAN, 1, NAN, NAN),
    ("SquaredError", {}, INF, INF, NAN, NAN),
    ("SquaredError", {}, INF, 1, INF, INF),
    ("SquaredError", {}, -INF, 1, INF, -INF),
    ("SquaredError", {}, NAN, 1, NAN, NAN),
    ("MeanSquaredError", {}, INF, INF, NAN, NAN),
    ("MeanSquaredError", {}, INF, -INF, INF, INF),
    ("AbsoluteError", {}, INF, INF, NAN, NAN),
    ("AbsoluteError", {}, INF, 1, INF, 1),
    ("AbsoluteError", {}, -INF, 1, INF, -1),
    ("AbsoluteError", {}, NAN, 1, NAN, NAN),
    ("AbsoluteError", {}, 2, 2, 0, 0),
    ("Huber", {}, INF, INF, NAN, NAN),
    ("Huber", {"delta": 2.0}, INF, 1, INF, 2),
    ("Huber", {"delta": 2.0}, -INF, 1, INF, -2),
    ("Huber", {}, NAN, 1, NAN, NAN),
    ("Huber", {}, 3, 2, 0.5, 1),
    ("Quantile", {"q": 0.25}, INF, INF, NAN, NAN),
    ("Quantile", {"q": 0.25}, INF, 1, INF, 0.75),
    ("Quantile", {"q": 0.25}, -INF, 1, INF, -0.25),
    ("Quantile", {"q": 0.25}, NAN, 1, NAN, NAN),
    ("Quantile", {"q": 0.25}, 3, 1, 1.5, 0.75),
    ("Quantile", {"q": 0.25}, 1, 3, 0.5, -0.25),
    ("Quantile", {"q": 0.25}, 2, 2, 0, 0),
    ("PoissonNLL", {}, INF, 1, INF, INF),
    ("PoissonNLL", {}, -INF, 0, 0, 0),
    ("PoissonNLL", {}, -INF, 2, INF, -2),
    ("PoissonNLL", {}, NAN, 0, NAN, NAN),
    ("PoissonNLL", {"log_input": False}, 0, 0, 0, 1),
    ("PoissonNLL", {"log_input": False}, 0, 2, INF, -INF),
    ("PoissonNLL", {"log_input": False}, NAN, 0, NAN, NAN),
]


@pytest.mark.parametrize(
    "row", ELEMENTS, ids=lambda r: f"{r[0]}{list(r[1].values()) or ''} {r[2]} {r[3]}"
)
def test_special_elements(
    isa: str, dtype: type, row: tuple[str, dict[str, Any], float, float, float, float]
) -> None:
    """In each of 17 columns, beside ordinary ones: both must keep to themselves."""
    name, arguments, p, y, cost, gradient = row
    loss = mk.LOSSES[name](**arguments, reduction="sum")
    scale = 17 if name == "MeanSquaredError" else 1
    for column in range(17):
        predictions, targets = np.full((2, 17), 0.5, dtype), np.zeros((2, 17), dtype)
        rest = loss.per_sample(predictions[:, :16].copy(), targets[:, :16].copy())[0]
        alone = loss.gradient(predictions, targets)
        predictions[1, column], targets[1, column] = p, y
        if scale == 1 and not (np.isnan(cost) or np.isinf(cost)):
            expected = np.float64(cost) + np.float64(rest)
            compare.assert_within(
                loss.per_sample(predictions, targets)[1],
                expected,
                # `rest` and the result are rounded, the sums are of 17 terms
                compare.gamma(2, dtype) * abs(expected) + 30 * U * abs(expected),
            )
        else:
            compare.assert_same_bits(
                loss.per_sample(predictions, targets)[1:], np.array([cost], dtype)
            )
        got = loss.gradient(predictions, targets)
        # + 0: whether a zero is -0 is not promised
        expected_slope = np.array([gradient / scale], dtype) + dtype(0)
        compare.assert_same_bits(got[1, column : column + 1] + dtype(0), expected_slope)
        got[1, column] = alone[1, column]
        compare.assert_same_bits(got, alone)


# (logits, label or targets, cost, gradient) of one row.
ROWS: list[tuple[list[float], Any, float, list[float]]] = [
    ([0, -INF, 0], 0, np.log(2), [-0.5, 0, 0.5]),  # a masked class
    ([-INF, 3, -INF], 1, 0, [0, 0, 0]),
    ([0, -INF, 0], 1, INF, [0.5, -1, 0.5]),  # the label itself is masked
    ([-INF, -INF, -INF], 0, NAN, [NAN] * 3),
    ([INF, 0, 0], 0, NAN, [NAN] * 3),
    ([INF, 0, 0], 1, NAN, [NAN] * 3),
    ([NAN, 0, 0], 1, NAN, [NAN] * 3),
    ([0, 0, NAN], 1, NAN, [NAN] * 3),
    ([1e4, -1e4, 0], 0, 0, [0, 0, 0]),
    ([1e4, -1e4, 0], 1, 2e4, [1, -1, 0]),
    ([1e4, 1e4, 1e4], 2, np.log(3), [1 / 3, 1 / 3, -2 / 3]),
    ([-1e4, -1e4, 1e4], 0, 2e4, [-1, 0, 1]),
    ([0, -INF, 0], [0.5, 0, 0.5], np.log(2), [0, 0, 0]),
    ([0, -INF, 0], [0.5, 0.5, 0], INF, [0, -0.5, 0.5]),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r[0]} {r[1]}")
def test_special_rows_of_logits(
    isa: str, dtype: type, row: tuple[list[float], Any, float, list[float]]
) -> None:
    """At each place in a batch, beside ordinary rows that do not notice."""
    logits, target, cost, gradient = row
    loss = mk.CrossEntropy(from_logits=True, reduction="sum")
    hot = np.eye(3)[target] if isinstance(target, int) else np.array(target)
    u = compare.UNIT[np.dtype(dtype)]
    for place in range(12):
        p, y = np.tile(np.array([1, 2, -1], dtype), (12, 1)), np.tile(np.eye(3)[1], (12, 1))
        y = y.astype(dtype)
        ordinary = loss.per_sample(p, y), loss.gradient(p, y)
        p[place], y[place] = logits, hot
        costs, slopes = loss.per_sample(p, y), loss.gradient(p, y)
        compare.assert_within(costs[place], np.float64(cost), 2 * u * np.abs(np.nan_to_num(cost)))
        exact_slopes = np.array(gradient)
        compare.assert_within(slopes[place], exact_slopes, 2 * u * np.abs(exact_slopes) + 4 * U)
        if isinstance(target, int):
            labels = y.argmax(axis=1)
            compare.assert_same_bits(loss.per_sample(p, labels), costs)
            compare.assert_same_bits(loss.gradient(p, labels), slopes)
        costs[place], slopes[place] = ordinary[0][place], ordinary[1][place]
        compare.assert_same_bits(costs, ordinary[0])
        compare.assert_same_bits(slopes, ordinary[1])


@all_cases
def test_special_values_go_where_the_reference_sends_them(
    isa: str, dtype: type, case: Case
) -> None:
    """All pairs of special predictions and targets within the loss's domain, a row each."""
    values = [NAN, INF, -INF, 0.0, 1.0, -1.0, 0.5, 2.0]
    targets = values
    if case.name in ("BinaryCrossEntropy", "CrossEntropy"):
        targets = [NAN, 0.0, 1.0, 0.5]
        if not case.arguments.get("from_logits"):
            values = targets
    if case.name == "PoissonNLL":
        targets = [NAN, 0.0, 1.0, 0.5, 2.0]
        values = [NAN, -INF, 0.0, 1.0, -1.0] if case.kernel().log_input else [NAN, INF, *targets]
    p, y = (v.reshape(-1, 1).astype(dtype) for v in np.meshgrid(values, targets))
    pairs = np.concatenate([p, np.full_like(p, 0.5)], axis=1)
    ys = np.concatenate([y, np.full_like(y, 0.25)], axis=1)
    oracle = case.oracle("sum")
    loss = case.kernel("sum")

    def classes(a: Any) -> Any:
        return np.where(np.isnan(a), "nan", np.where(np.isinf(a), np.sign(a).astype(str), "finite"))

    np.testing.assert_array_equal(
        classes(loss.per_sample(pairs, ys)), classes(oracle.per_sample(pairs, ys))
    )
    np.testing.assert_array_equal(
        classes(loss.gradient(pairs, ys)), classes(oracle.gradient(pairs, ys))
    )


def test_tails_keep_their_relative_accuracy(isa: str, dtype: type) -> None:
    """A certain prediction costs exp(-s), down to the subnormals, not 0; its gradient likewise."""
    s = np.arange(5, 100 if dtype is np.float32 else 700, 5)
    exact = np.exp(-s.astype(np.longdouble))
    logits = s[:, None].astype(dtype)
    for loss, targets, p in [
        (mk.BinaryCrossEntropy(True, reduction="sum"), np.ones_like(logits), logits),
        (
            mk.CrossEntropy(True, reduction="sum"),
            np.tile(np.eye(2, dtype=dtype)[0], (len(s), 1)),
            np.concatenate([logits, 0 * logits], axis=1),
        ),
    ]:
        compare.assert_ulp(loss.per_sample(p, targets), np.log1p(exact), 1)
        compare.assert_ulp(loss.gradient(p, targets)[:, 0], -exact / (1 + exact), 2)


# --- what a loss is
def test_every_loss_is_tested() -> None:
    assert {c.name for c in CASES} == set(mk.LOSSES)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_math_md_gradients(dtype: type, reduction: str) -> None:
    """The formulas of the mathematics, typed out: 2(ỹ - y); (1-y)/(1-ỹ) - y/ỹ; -y/ỹ."""
    exact_p = np.array([[0.25, 0.5, 0.125], [0.5, 0.75, 0.25]])
    exact_y = np.array([[1.0, 0, 1], [0, 1, 0]])
    p, y = exact_p.astype(dtype), exact_y.astype(dtype)
    n = 2 if reduction == "mean" else 1
    expected = {
        "SquaredError": 2 * (exact_p - exact_y),
        "BinaryCrossEntropy": (1 - exact_y) / (1 - exact_p) - exact_y / exact_p,
        "CrossEntropy": -exact_y / exact_p,
    }
    for name, gradient in expected.items():
        got = mk.LOSSES[name](reduction=reduction).gradient(p, y)
        compare.assert_ulp(got, gradient / n, 2)
    squares = float(((exact_y - exact_p) ** 2).sum() / n)
    assert mk.SquaredError(reduction=reduction)(p, y) == squares
    mean = mk.MeanSquaredError(reduction=reduction)(p, y)
    assert abs(mean - squares / 3) <= compare.gamma(10, np.float64) * squares


def test_repr_names_the_arguments() -> None:
    assert repr(mk.Huber(0.5)) == "Huber(delta=0.5, reduction='mean')"
    assert repr(mk.Quantile(0.9)) == "Quantile(q=0.9, reduction='mean')"
    assert repr(mk.SquaredError(reduction="sum")) == "SquaredError(reduction='sum')"
    assert "label_smoothing=0.1" in repr(mk.CrossEntropy(label_smoothing=0.1))
