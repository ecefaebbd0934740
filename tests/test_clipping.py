"""Gradient clipping: against its definition in extended precision, the same bits everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits

SIZES = [1, 7, 8, 31, 32, 33, 1000, (1 << 14) + 5, 70_001]


def optimizer(gradients: Any, **options: Any) -> Any:
    """An SGD of rate 1 on parameters 0: after a step, they are the clipped gradients, negated."""
    net = mk.Linear(gradients.size - 1, 1, dtype=gradients.dtype)
    net.parameters[...] = 0
    net.gradients[...] = gradients
    return mk.SGD(net, lr=1.0, **options)


def clipped(gradients: Any, **options: Any) -> Any:
    opt = optimizer(gradients, **options)
    opt.step()
    np.testing.assert_array_equal(opt.net.gradients, -opt.net.parameters)
    return opt.net.gradients.copy()


def norm_of(gradients: Any) -> Any:
    """In extended precision, whose exponents hold any square."""
    return np.sqrt(np.sum(np.asarray(gradients, np.longdouble) ** 2))


@pytest.mark.parametrize("size", SIZES)
def test_norm(size: int, dtype: type, isa: str, rng: Any) -> None:
    g = rng.normal(size=size).astype(dtype)
    norm = norm_of(g)
    opt = optimizer(g, clip_norm=1e30)
    opt.step()
    assert abs(opt.gradient_norm - norm) <= 8e-16 * np.log2(size + 2) * norm
    np.testing.assert_array_equal(opt.net.gradients, g)  # nothing to clip
    unit = np.finfo(dtype).eps
    half = clipped(g, clip_norm=float(norm / 2))
    np.testing.assert_allclose(half, g.astype(np.longdouble) / 2, rtol=2 * unit, atol=0)


@pytest.mark.parametrize("size", SIZES)
def test_value(size: int, dtype: type, isa: str, rng: Any) -> None:
    g = rng.normal(size=size).astype(dtype)
    g[0] = np.nan if size > 1 else 9
    bound = dtype(0.5)
    expected = np.array([x if abs(x) <= bound or np.isnan(x) else np.sign(x) * bound for x in g])
    assert_same_bits(clipped(g, clip_value=0.5), expected.astype(dtype))


def test_both_bounds_hold(dtype: type, rng: Any) -> None:
    g = 10 * rng.normal(size=200).astype(dtype)
    both = clipped(g, clip_value=1.0, clip_norm=2.0)
    assert norm_of(both) <= 2 * (1 + np.finfo(dtype).eps)
    expected = np.clip(g.astype(np.longdouble), -1, 1)
    expected *= 2 / norm_of(expected)
    np.testing.assert_allclose(both, expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("exponent", [-1040, -600, 400, 1000])
def test_squares_out_of_range(exponent: int) -> None:
    g = np.ldexp(np.array([3.0, 4.0]), exponent)
    opt = optimizer(g, clip_norm=1e-320)
    opt.step()
    assert opt.gradient_norm == np.ldexp(5.0, exponent)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_norms_that_are_none(bad: float, dtype: type) -> None:
    """NaN and infinity go into the step as they are: nothing else is turned into 0."""
    g = np.array([1.0, bad, 2.0], dtype)
    assert_same_bits(clipped(g, clip_norm=0.5), g.copy())


def test_a_factor_smaller_than_floats() -> None:
    g = np.array([3e38, 1e30, -3e38], np.float32)
    got = clipped(g, clip_norm=1e-30)
    expected = g.astype(np.longdouble) * (1e-30 / norm_of(g))
    unit = np.finfo(np.float32)
    np.testing.assert_allclose(got, expected, rtol=unit.eps, atol=unit.smallest_subnormal)


def test_zero_gradients(dtype: type) -> None:
    assert_same_bits(clipped(np.zeros(5, dtype), clip_norm=0.5), np.zeros(5, dtype))


def test_threads(dtype: type, rng: Any) -> None:
    g = rng.normal(size=300_000).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        with mk.num_threads(threads):
            results.append(clipped(g, clip_norm=1.0, clip_value=0.7))
    assert_same_bits(results[1], results[0])
    assert_same_bits(results[2], results[0])


def test_five_steps_and_one_call(dtype: type, rng: Any) -> None:
    x = rng.normal(size=(40, 5)).astype(dtype)
    y = 9 * rng.normal(size=(40, 3)).astype(dtype)
    loss = mk.SquaredError()
    one, five = (mk.MLP([5, 7, 3], dtype=dtype) for _ in range(2))
    fast, slow = (mk.Adam(net, clip_norm=0.1, clip_value=0.05) for net in (one, five))
    for _ in range(3):
        mk.train_step(one, loss, fast, x, y)
        y_pred = five(x)
        slow.zero_grad()
        five.backward(loss.gradient(y_pred, y))
        slow.step()
        assert fast.gradient_norm == slow.gradient_norm > 0.1
    assert_same_bits(one.parameters, five.parameters)
    free = mk.MLP([5, 7, 3], dtype=dtype)
    mk.train_step(free, loss, mk.Adam(free), x, y)
    assert not np.array_equal(free.gradients, one.gradients)


def test_bounds_may_be_set() -> None:
    opt = optimizer(np.array([3.0, 4.0]))
    assert (opt.clip_norm, opt.clip_value) == (None, None)
    assert np.isnan(opt.gradient_norm)
    opt.clip_norm, opt.clip_value = 1.0, 3.0
    opt.step()
    assert opt.gradient_norm == np.sqrt(18)
    opt.net.gradients[...] = [3, 4]
    opt.clip_norm = opt.clip_value = None
    opt.step()
    assert np.isnan(opt.gradient_norm)
    np.testing.assert_array_equal(opt.net.gradients, [3, 4])
