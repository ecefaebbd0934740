"""mk.Standardize: its error bound, its numbers measured on data, its place in networks, its bits.

The bound: (x - mean) (1/scale) in double takes three roundings, of at most u = 2^-53 each, and one
to float32. So float32 is within half a unit in the last place and a hair, float64 within 3u |y|.
"""

from __future__ import annotations

import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits, assert_ulp, assert_within, gamma
from mlpkern import reference
from test_bits import assert_same, both_isas, check_threads, five_steps, state_of  # noqa: F401

Array = Any

COLUMNS = [1, 3, 4, 7, 8, 9, 16, 17, 33, 70]  # registers of every ISA, and one more or fewer
ROWS = [0, 1, 3, 4, 5, 96, 200]  # turned from 128 on, where columns are few


def numbers(D: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Means near 0 and far from it, scales of either sign, small and large."""
    mean = rng.normal(size=D) * 10.0 ** rng.integers(-3, 7, D)
    return mean, rng.choice([-1, 1], D) * 10.0 ** rng.uniform(-6, 6, D)


def inputs(n: int, mean: Array, scale: Array, dtype: type, rng: np.random.Generator) -> Array:
    return (mean + scale * rng.normal(size=(n, len(mean)))).astype(dtype)


def exact(x: Array, mean: Array, scale: Array) -> Array:
    """(x - mean)/scale as fractions, rounded once to longdouble."""
    result = np.empty(x.shape, np.longdouble)
    for i in np.ndindex(x.shape):
        y = (Fraction(float(x[i])) - Fraction(mean[i[-1]])) / Fraction(scale[i[-1]])
        high = float(y)
        result[i] = np.longdouble(high) + np.longdouble(float(y - Fraction(high)))
    return result


# --- values --------------------------------------------------------------------------------------
@pytest.mark.parametrize("D", COLUMNS)
@pytest.mark.parametrize("n", ROWS)
def test_values_and_gradients(
    isa: str, dtype: type, n: int, D: int, rng: np.random.Generator
) -> None:
    mean, scale = numbers(D, rng)
    f = mk.Standardize(mean, scale)
    x, dy = inputs(n, mean, scale, dtype, rng), rng.normal(size=(n, D)).astype(dtype)
    y, y_exact = f(x), exact(x, mean, scale)
    dx, dx_exact = f.backward(dy), exact(dy, np.zeros(D), scale)
    assert dx is not None
    assert y.dtype == dx.dtype == dtype
    for actual, right in ((y, y_exact), (f.predict(x), y_exact), (dx, dx_exact)):
        if dtype == np.float32:
            assert_ulp(actual, right, 0.5 + 2.0**-27)
        else:
            assert_within(actual, right, gamma(3, dtype) * np.abs(right))


def test_a_mean_far_away_costs_no_digits(rng: np.random.Generator) -> None:
    """float32 numbers near 1e6, 0.0625 apart: in float32 the mean alone would be 0.03 off."""
    mean, scale = np.array([1e6 + 0.02, -3e7 - 0.4]), np.array([0.25, 4.0])
    x = inputs(50, mean, scale, np.float32, rng)
    assert_ulp(mk.Standardize(mean, scale).predict(x), exact(x, mean, scale), 0.5 + 2.0**-27)
    assert np.abs(((x - mean.astype(np.float32)) / scale) - exact(x, mean, scale)).max() > 0.04


@pytest.mark.parametrize("n", [3, 200])
def test_nan_and_infinity_stay_in_their_place(isa: str, dtype: type, n: int) -> None:
    x = np.ones((n, 3), dtype)
    x[0], x[2] = [np.nan, np.inf, -np.inf], [1, np.finfo(dtype).max, -np.finfo(dtype).max]
    y = mk.Standardize([0, 1, 2], [1, -2, 0.5]).predict(x)
    assert_same_bits(y[0], np.array([np.nan, -np.inf, -np.inf], dtype))
    assert_same_bits(y[1], np.array([1, -0.0, -2], dtype))
    assert (y[2, 1], y[2, 2]) == (-np.finfo(dtype).max / 2, -np.inf)  # rounded past the range


def test_a_column_may_have_no_spread_to_speak_of(dtype: type) -> None:
    f = mk.Standardize([0.0, 0.0], [2.0**-1022, 2.0**1022])
    y = f.predict(np.array([[0, 1]], dtype))
    assert_same_bits(y, np.array([[0, 2.0**-1022]], dtype))


def test_any_layout_and_shape(dtype: type, rng: np.random.Generator) -> None:
    f = mk.Standardize([1, 2, 3], [2, 3, 4])
    x = rng.normal(size=(6, 3)).astype(dtype)
    y = f.predict(x)
    assert_same_bits(f.predict(np.asfortranarray(x)), y)
    assert_same_bits(f.predict(np.repeat(x, 2, axis=0)[::2]), y)
    assert_same_bits(f.predict(x[::-1]), y[::-1].copy())
    assert_same_bits(f.predict(x.astype(x.dtype.newbyteorder())), y)
    assert_same_bits(f.predict(x[2]), y[2].copy())
    assert_same_bits(f.predict(x.reshape(2, 3, 3)), y.reshape(2, 3, 3).copy())
    assert f.predict(x[:0]).shape == (0, 3)
    assert f.predict(np.zeros((0, 2, 3), dtype)).shape == (0, 2, 3)
    out = np.empty_like(y)
    assert f.predict(x, out) is out
    assert_same_bits(out, y)


def test_no_columns() -> None:
    f = mk.Standardize([], [])
    assert f.predict(np.zeros((4, 0))).shape == (4, 0)


# --- measured ------------------------------------------------------------------------------------
def assert_measured(f: Any, x: Array) -> None:
    """The oracle's numbers, to the error of chains of up to 4096 sums of x - mean."""
    right = reference.Standardize.of(x.astype(np.float64))
    chain = gamma(min(len(x), 4096) + 4, np.float64)
    assert_within(f.mean, right.mean, chain * right.scale + 2.0**-52 * np.abs(right.mean))
    assert_within(f.scale, right.scale, 2 * chain * right.scale)


def test_of_gives_mean_0_and_deviation_1(rng: np.random.Generator) -> None:
    x = rng.normal(size=(9000, 4)) * [1, 1e-3, 1e4, 1] + [0, 1, -1e6, 1e9]
    f = mk.Standardize.of(x)
    assert_measured(f, x)
    y = f.predict(x)
    assert np.abs(y.mean(axis=0)).max() < 1e-6  # 1e9 is known to 1e-7
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-12)


def test_of_numbers_that_cancel() -> None:
    """Deviation 1 about 2^52: squares of the numbers would keep none of it."""
    x = 2.0**52 + np.array([[0], [2], [0], [2]])
    f = mk.Standardize.of(x)
    assert (f.mean.item(), f.scale.item()) == (2.0**52 + 1, 1.0)


@pytest.mark.parametrize("size", [2.0**1022, 2.0**-1000, 2.0**-500, 1e300])
def test_of_the_largest_and_the_smallest(size: float) -> None:
    f = mk.Standardize.of(size * np.array([[-1.0, 1.0], [1.0, 0.5]]))
    np.testing.assert_allclose(f.mean, [0, 0.75 * size], rtol=1e-15)
    np.testing.assert_allclose(f.scale, [size, 0.25 * size], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float16, np.float32, ">f8"])
def test_of_any_real_numbers(dtype: Any) -> None:
    x = np.array([[-128, 1], [127, 2], [0, 9]]).astype(dtype)
    assert_measured(mk.Standardize.of(x), x)


def test_of_a_constant_column_is_exactly_0(dtype: type) -> None:
    x = np.full((1000, 2), 0.1, dtype)
    x[0, 1] = 0.2
    f = mk.Standardize.of(x)
    assert (f.mean[0], f.scale[0]) == (x[0, 0], 1)
    assert (f.predict(x)[:, 0] == 0).all()
    one = mk.Standardize.of(x[:1])
    assert (one.mean.tolist(), one.scale.tolist()) == (x[0].tolist(), [1, 1])


def test_of_does_not_depend_on_the_layout(rng: np.random.Generator) -> None:
    x = rng.normal(size=(5000, 3))
    f = mk.Standardize.of(x)
    for same in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        other = mk.Standardize.of(same)
        assert_same_bits(other.mean, f.mean)
        assert_same_bits(other.scale, f.scale)


def test_inverse(rng: np.random.Generator) -> None:
    mean, scale = numbers(20, rng)
    f = mk.Standardize(mean, scale)
    x = inputs(30, mean, scale, np.float64, rng)
    back = mk.Chain(f, f.inverse()).predict(x)
    # each way rounds thrice, and so do the inverse's numbers; mean and spread cancel in neither
    assert_within(back, x, gamma(9, np.float64) * (np.abs(mean) + np.abs(x - mean)))


# --- a map ---------------------------------------------------------------------------------------
def test_it_is_immutable() -> None:
    mean = np.array([1.0, 2.0])
    f = mk.Standardize(mean, [3, 4])
    mean[0] = 9
    assert f.mean.tolist() == [1, 2]
    for array in (f.mean, f.scale):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5
    assert f.copy() is f


def test_repr() -> None:
    f = mk.Standardize([1, 0.1], [2, 1 / 3])
    assert repr(f) == "Standardize([1.0, 0.1], [2.0, 0.3333333333333333])"
    assert eval(repr(f), vars(mk)).config() == f.config()
    assert repr(mk.Standardize(np.zeros(9), np.ones(9))) == (
        "Standardize([0.0, 0.0, 0.0, 0.0, ...], [1.0, 1.0, 1.0, 1.0, ...])"
    )


@pytest.mark.parametrize("way", ["pickle", "config", "save", "copy", "freeze"])
def test_it_comes_back_bit_for_bit(
    tmp_path: Any, way: str, dtype: type, rng: np.random.Generator
) -> None:
    mean, scale = numbers(5, rng)
    f = mk.Standardize(mean, scale)
    net = mk.Chain(f, mk.MLP([5, 6, 5], dtype=dtype), f.inverse())
    x = inputs(7, mean, scale, dtype, rng)
    made: Any = None
    if way == "pickle":
        made = pickle.loads(pickle.dumps(net))
    elif way == "config":
        made = mk.from_config(net.config(), dtype)
        made.parameters[...] = net.parameters
    elif way == "save":
        mk.save(tmp_path / "net.npz", net)
        made = mk.load(tmp_path / "net.npz")
    else:
        made = net.copy() if way == "copy" else net.freeze()
    assert_same_bits(made.predict(x), net.predict(x))
    if way != "freeze":
        assert made.config() == net.config()


def test_a_network_without_parameters(tmp_path: Any, rng: np.random.Generator) -> None:
    f = mk.Standardize([1, 2], [3, 4])
    x = rng.normal(size=(5, 2))
    assert f.parameters.size == 0
    assert f.dtype is None
    assert f.inputs == 2
    for dtype in (np.float32, np.float64):  # any: it has none of its own
        assert f(x.astype(dtype)).dtype == dtype
    mk.save(tmp_path / "f.npz", f)
    again = mk.load(tmp_path / "f.npz")
    assert again.config() == f.config()
    assert_same_bits(again.predict(x), f.predict(x))
    assert_same_bits(pickle.loads(pickle.dumps(f)).predict(x), f.predict(x))
    cost, gradient = mk.value_and_gradient(f, mk.SquaredError(), x, x)
    assert cost == pytest.approx(mk.SquaredError()(f.predict(x), x))
    assert gradient.size == 0


def test_shapes_that_do_not_fit() -> None:
    f = mk.Standardize([1, 2], [3, 4])
    text = r"Chain: Standardize\(\[1.0, 2.0\], \[3.0, 4.0\]\) must be given 2 columns; got 3"
    with pytest.raises(ValueError, match=text):
        mk.Chain(mk.Linear(2, 3), f)
    with pytest.raises(ValueError, match=r"predict: x must be \(..., D\) or \(D,\) with D = 2"):
        f.predict(np.zeros((2, 3)))


def test_a_trace_names_what_it_gives(dtype: type, rng: np.random.Generator) -> None:
    f, g = mk.Standardize([1, 2], [3, 4]), mk.Standardize([-1], [0.5])
    net = mk.Chain(f, mk.MLP([2, 4, 1], dtype=dtype), g)
    x, y = rng.normal(size=(6, 2)).astype(dtype), rng.normal(size=(6, 1)).astype(dtype)
    t = net.trace(x, y, mk.SquaredError())
    assert_same_bits(t["h1"], f.predict(x))
    assert_same_bits(t["y_pred"], net.predict(x))
    assert_same_bits(t["y_pred"], g.predict(t["a2"]))
    assert t.formula("h1") == "Standardize(x)"
    assert t.formula("s1") == "h1 W1 + b1"
    assert t.formula("dh1/dx") == "diag(1/scale)"
    assert_same_bits(t["dh1/dx"], np.broadcast_to(np.diag(1 / f.scale), (6, 2, 2)).astype(dtype))
    assert_same_bits(t["dC/da2"], mk.vjp(g, t["a2"], t["dC/dy_pred"])[1])
    y_pred = net(x)
    dx = net.backward(mk.SquaredError().gradient(y_pred, y))
    bound = gamma(200, dtype)
    np.testing.assert_allclose(t["dC/dx"], dx, rtol=0, atol=bound * np.abs(dx).max())
    for name, gradient in (("dC/dW1", net[1][0].dw), ("dC/db2", net[1][2].db)):
        np.testing.assert_allclose(
            t[name], gradient, rtol=0, atol=bound * np.abs(gradient).max(), err_msg=name
        )


def test_a_graph_has_its_box() -> None:
    net = mk.Chain(mk.Standardize([1, 2], [3, 4]), mk.MLP([2, 4, 1]))
    assert 'label="Standardize\\nmean, scale (2,)"' in net.graph().dot
    assert 'label="h1\\n(n, 2)"' in net.graph().dot
    assert ">Standardize</text>" in net.graph().svg


def test_a_cost_behind_a_pair_sees_what_is_given(rng: np.random.Generator) -> None:
    """Sigmoid is not the last operation here: no form for the pair may be used."""
    net = mk.Chain(mk.MLP([3, 4, 2], output="sigmoid"), mk.Standardize([0, 0], [1.25, 2]))
    x = rng.normal(size=(5, 3)).astype(np.float32)
    y = rng.integers(0, 2, (5, 2)).astype(np.float32)
    loss = mk.BinaryCrossEntropy()
    cost, gradient = mk.value_and_gradient(net, loss, x, y)
    twin = reference.Chain(
        reference.MLP([3, 4, 2], output="sigmoid"), reference.Standardize([0, 0], [1.25, 2])
    )
    twin.parameters[...] = net.parameters
    right = reference.value_and_gradient(twin, reference.BinaryCrossEntropy(), x, y)
    assert math.isclose(cost, right[0], rel_tol=1e-5)
    np.testing.assert_allclose(gradient, right[1], rtol=1e-4, atol=1e-6)


# --- bits ----------------------------------------------------------------------------------------
def make_net(sizes: list[int], dtype: type) -> Any:
    rng = np.random.default_rng(3)
    mean, scale = rng.normal(size=sizes[0]), rng.uniform(0.5, 3, sizes[0])
    back = mk.Standardize(rng.normal(size=sizes[-1]), rng.uniform(0.5, 3, sizes[-1]))
    return mk.Chain(mk.Standardize(mean, scale), mk.MLP(sizes, dtype=dtype, seed=1), back)


def results(sizes: list[int], n: int, dtype: type) -> dict[str, Array]:
    rng = np.random.default_rng(n)
    x, y = (rng.normal(size=(n, k)).astype(dtype) for k in (sizes[0], sizes[-1]))
    net, loss = make_net(sizes, dtype), mk.SquaredError()
    made = {"predict": net.predict(x), "forward": net(x), "dx": net.backward(y)}
    opt = mk.Adam(net)
    cost = [mk.train_step(net, loss, opt, x, y) for _ in range(2)]
    return {**made, "costs": np.array(cost), "parameters": net.parameters.copy()}


SIZES = [[5, 9, 3], [5, 70, 17], [70, 33, 2], [300, 700, 10]]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_threads(isa: str, dtype: type, sizes: list[int]) -> None:
    check_threads(lambda: results(sizes, 700, dtype))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_instruction_sets(both_isas: Any, dtype: type, sizes: list[int]) -> None:  # noqa: F811
    for n in (1, 7, 150):
        both_isas(lambda n=n: results(sizes, n, dtype))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_batches(isa: str, dtype: type, sizes: list[int], rng: np.random.Generator) -> None:
    """Split at many points, turned or not; single rows; another order."""
    net, n = make_net(sizes, dtype), 200
    x = rng.normal(size=(n, sizes[0])).astype(dtype)
    y = net.predict(x)
    for k in (0, 1, 3, 4, 7, 63, 64, 65, 127, 128, 199):
        for call in (net.predict, net):
            assert_same_bits(np.concatenate([call(x[:k]), call(x[k:])]), y)
    order = rng.permutation(n)
    assert_same_bits(net.predict(x[order]), y[order])
    for i in range(0, n, 11):
        assert_same_bits(net.predict(x[i]), y[i].copy())


@pytest.mark.parametrize("n", [1, 7, 128, 300])
def test_five_steps_are_one_call(isa: str, dtype: type, n: int, rng: np.random.Generator) -> None:
    x, y = (rng.normal(size=(n, k)).astype(dtype) for k in (5, 3))
    made = []
    for step in (five_steps, mk.train_step):
        net, loss = make_net([5, 9, 3], dtype), mk.SquaredError()
        opt = mk.Adam(net)
        costs = [step(net, loss, opt, x, y, None) for _ in range(3)]
        made.append({"costs": np.array(costs), **state_of(net, opt)})
    assert_same(made[1], made[0])
