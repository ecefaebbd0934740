"""hvp, ggnvp and hessian: the curvature of a batch's cost by the parameters.

Second derivatives by the input are in test_input_derivatives.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import compare
import derivative_cases as cases
import mlpkern as mk
from derivative_cases import check, oracle, points, tolerance, untouched
from mlpkern import reference as ref

Array = Any
PRODUCTS = ["hvp", "ggnvp"]
each_product = pytest.mark.parametrize("product", PRODUCTS)


def random(rng: np.random.Generator, shape: Any, dtype: Any) -> Array:
    return rng.normal(size=shape).astype(dtype)


def check_curvature(
    net: Any, loss: Any, oracle_loss: Any, x: Array, y: Array, weight: Array | None = None
) -> None:
    """hvp and ggnvp against the oracles, for one direction; mk.<name> is looked up when called."""
    dtype, twin = x.dtype, oracle(net)
    v = random(np.random.default_rng(21), twin.parameters.shape, dtype)
    bound = tolerance(net, dtype, 2, n=len(x))
    for name in PRODUCTS:
        with untouched(net, x, v):
            got = getattr(mk, name)(net, loss, x, y, v, weight)
        exact = getattr(ref, name)(twin, oracle_loss, x.astype(float), y, v.astype(float), weight)
        check(got, exact, bound, dtype)


def squared(net: Any, x: Array, weight: Array | None = None) -> None:
    y = random(np.random.default_rng(22), net.predict(x).shape, x.dtype)
    check_curvature(net, mk.SquaredError(), ref.SquaredError(), x, y, weight)


# --- against the oracles -------------------------------------------------------------------------
@pytest.mark.parametrize("f", cases.ACTIVATIONS.values(), ids=cases.ACTIVATIONS.keys())
def test_every_activation(dtype: type, f: Any) -> None:
    """Inside and behind a Sum in a Chain; and at the end."""
    net = cases.small_net(f, dtype)
    squared(net, points(net, 4, 3, dtype))
    net = mk.MLP([3, 4, 3], "tanh", f, dtype=dtype, seed=2)
    squared(net, points(net, 3, 3, dtype))


@pytest.mark.parametrize("structure", cases.STRUCTURES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [1, 7])
def test_structures(dtype: type, structure: Any, n: int) -> None:
    net = structure(dtype)
    squared(net, points(net, n, 4, dtype))


@pytest.mark.parametrize("width", [1, 7, 8, 9, 17, 65])
def test_widths(dtype: type, width: int) -> None:
    net = mk.MLP([width, 5, width, 2], ["tanh", "gelu"], dtype=dtype, seed=1)
    squared(net, points(net, 3, width, dtype))


def test_more_rows_than_a_tile(dtype: type) -> None:
    net = mk.MLP([3, 9, 4, 2], "tanh", dtype=dtype, seed=1)
    squared(net, points(net, 1025, 3, dtype))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("name", "output"), cases.COSTS, ids=str)
def test_every_loss(dtype: type, name: str, output: str, reduction: str) -> None:
    """With and without weights, among them zeros: those samples do not count."""
    net = mk.MLP([3, 5, 4], "tanh", output, dtype=dtype, seed=1)
    x = points(net, 6, 3, dtype)
    y = cases.targets_off_kinks(name, net, x, np.random.default_rng(4))
    losses = [cases.make_loss(name, reduction, lib) for lib in (mk, ref)]
    for weight in (None, np.array([0, 2, 0.5, 0, 1, 3], dtype)):
        check_curvature(net, *losses, x, y, weight)


@pytest.mark.parametrize("size", [5.0, 20.0, 200.0])
@pytest.mark.parametrize("loss", ["BinaryCrossEntropy", "CrossEntropy"])
def test_pairs_that_are_saturated(dtype: type, loss: str, size: float) -> None:
    """Logits far out: the Hessian is that of the logits' form, finite and right to u of 1."""
    net = mk.MLP([2, 2], output=cases.OUTPUTS[loss][0], dtype=dtype)
    net.parameters[...] = size, 0, 0, size, 0, 0
    x = np.array([[1, -1], [-1, 1], [1, 0.5]], dtype)
    y = np.array([0, 0, 1]) if loss == "CrossEntropy" else np.array([[0, 1]] * 3, dtype)
    v = np.linspace(-1, 1, 6).astype(dtype)
    got = mk.hvp(net, getattr(mk, loss)(), x, y, v)
    exact = ref.hvp(oracle(net), getattr(ref, loss)(), x.astype(float), y, v.astype(float))
    compare.assert_within(got, exact, 64 * np.finfo(dtype).eps)


@pytest.mark.parametrize("f", [mk.Tanh(), mk.ReLU(), mk.Softplus()], ids=repr)
@pytest.mark.parametrize("weight", [None, np.array([0, 1, 2, 0.5])], ids=["plain", "weighted"])
def test_hessian(dtype: type, f: Any, weight: Any) -> None:
    """The oracle's; symmetric; its columns are the products with unit vectors."""
    net = cases.small_net(f, dtype)
    x, loss = points(net, 4, 3, dtype), mk.SquaredError()
    y = random(np.random.default_rng(23), (4, 2), dtype)
    with untouched(net, x, y):
        h = mk.hessian(net, loss, x, y, weight)
    exact = ref.hessian(oracle(net), ref.SquaredError(), x.astype(float), y, weight)
    bound = tolerance(net, dtype, 2, n=4)
    check(h, exact, bound, dtype)
    compare.assert_close(h, h.T.astype(float), bound)
    for i, e in enumerate(np.eye(len(h), dtype=dtype)):
        column = mk.hvp(net, loss, x, y, e, weight)
        compare.assert_within(column, h[:, i].astype(float), bound * np.abs(exact).max())


@pytest.mark.parametrize("name", ["CrossEntropy", "Huber-0.3", "BinaryCrossEntropy"])
def test_hessian_of_other_losses(dtype: type, name: str) -> None:
    net = mk.MLP([3, 3, 2], "gelu", *cases.OUTPUTS.get(name, ())[:1], dtype=dtype, seed=1)
    x = points(net, 5, 3, dtype)
    y = cases.targets_off_kinks(name, net, x, np.random.default_rng(4))
    losses = [cases.make_loss(name, "sum", lib) for lib in (mk, ref)]
    h = mk.hessian(net, losses[0], x, y)
    exact = ref.hessian(oracle(net), losses[1], x.astype(float), y)
    check(h, exact, tolerance(net, dtype, 2, n=5), dtype)


def test_kinks(dtype: type) -> None:
    """On a kink f'' counts as 0, and f' is the stated one: 2 f'^2 for both parameters, or 0."""
    x, y, v = np.ones((1, 1), dtype), np.full((1, 1), -3, dtype), np.array([1, 0], dtype)
    for f, slope in [(mk.ELU(), 1), (mk.ReLU(), 0), (mk.LeakyReLU(0.5), 0.5), (mk.Softsign(), 1)]:
        net = mk.Chain(mk.Linear(1, 1, dtype=dtype), f)
        net.parameters[...] = 1, -1  # s = 0
        exact = np.full(2, 2 * slope**2, dtype)
        compare.assert_same_bits(mk.hvp(net, mk.SquaredError(), x, y, v) + 0, exact)
        compare.assert_same_bits(mk.ggnvp(net, mk.SquaredError(), x, y, v) + 0, exact)


def test_a_network_of_others_maps(dtype: type) -> None:
    """As value_and_gradient has it: in the order of the maps' first use, the bits of a copy's."""
    f, g = (mk.Linear(3, 3, dtype=dtype, seed=i) for i in (1, 2))
    owners = mk.Chain(f, mk.Tanh()), mk.Chain(g, mk.Tanh())
    net = mk.Chain(g, mk.Tanh(), f, mk.Sigmoid(), mk.Linear(3, 2, dtype=dtype, seed=3))
    copy, rng = net.copy(), np.random.default_rng(32)
    x, y = random(rng, (5, 3), dtype), random(rng, (5, 2), dtype)
    v, loss = random(rng, copy.parameters.shape, dtype), mk.SquaredError()
    for call in (
        lambda n: mk.hvp(n, loss, x, y, v),
        lambda n: mk.ggnvp(n, loss, x, y, v),
        lambda n: mk.hessian(n, loss, x, y),
        lambda n: mk.per_sample_gradients(n, loss, x, y),
        lambda n: mk.parameter_jacobian(n, x),
    ):
        compare.assert_same_bits(call(net), call(copy))
    assert len(owners) == 2


# --- against themselves --------------------------------------------------------------------------
@each_product
def test_a_product_is_symmetric_and_linear(dtype: type, product: str) -> None:
    """<v, H w> = <w, H v>; H (a v + b w) = a H v + b H w; for powers of two, bit for bit."""
    net, rng = cases.small_net(mk.GELU(), dtype), np.random.default_rng(24)
    x, y = points(net, 9, 3, dtype), random(rng, (9, 2), dtype)
    v, w = (random(rng, net.parameters.shape, dtype) for _ in range(2))

    def times(a: Array) -> Array:
        return getattr(mk, product)(net, mk.SquaredError(), x, y, a)

    hv, hw = times(v), times(w)
    bound = tolerance(net, dtype, 2, n=9)
    size = np.abs(v).sum(dtype=float) * np.abs(hw).max() + np.abs(w).sum() * np.abs(hv).max()
    one, other = (np.sum(np.multiply(*pair, dtype=float)) for pair in ((v, hw), (w, hv)))
    assert abs(one - other) <= bound * size
    assert abs(one - other * 1.01) > bound * size, "a bound that holds anything"
    mixed = times((3 * v.astype(float) - 2 * w).astype(dtype))
    compare.assert_within(mixed, 3 * hv.astype(float) - 2 * hw, bound * 5 * np.abs(hw).max())
    compare.assert_same_bits(times(-4 * v), -4 * hv)
    compare.assert_same_bits(times(v / 2), hv / 2)
    assert not times(0 * v).any()


@pytest.mark.parametrize(("name", "output"), cases.COSTS, ids=str)
def test_hvp_is_the_difference_of_gradients(name: str, output: str) -> None:
    """(g(p + h v) - g(p - h v))/(2 h): errors 4e-11 (h^2) and 1e-10 (rounding), some times over."""
    net = mk.MLP([3, 5, 4], "tanh", output, dtype=np.float64, seed=1)
    x, rng = points(net, 6, 3, np.float64), np.random.default_rng(25)
    y = cases.targets_off_kinks(name, net, x, rng)
    loss, p = cases.make_loss(name), net.parameters.copy()
    v, h = rng.normal(size=p.size), 2.0**-17
    got = mk.hvp(net, loss, x, y, v)
    slopes = []
    for sign in (1, -1):
        net.parameters[...] = p + sign * h * v
        slopes.append(mk.value_and_gradient(net, loss, x, y)[1])
    compare.assert_close(got, (slopes[0] - slopes[1]) / (2 * h), 1e-7)


def test_ggnvp_is_the_hessian_where_the_network_is_linear(dtype: type) -> None:
    net = mk.Chain(mk.Linear(3, 4, dtype=dtype, seed=1), mk.Identity())
    rng = np.random.default_rng(26)
    x, y, v = (random(rng, shape, dtype) for shape in ((9, 3), (9, 4), (16,)))
    for loss in (mk.SquaredError(), mk.CrossEntropy(from_logits=True), mk.Huber()):
        y = np.abs(y)
        full = mk.hvp(net, loss, x, y, v).astype(float)
        compare.assert_close(mk.ggnvp(net, loss, x, y, v), full, tolerance(net, dtype, 2, n=9))


@pytest.mark.parametrize(("name", "output"), cases.COSTS, ids=str)
def test_ggnvp_is_not_negative(dtype: type, name: str, output: str) -> None:
    """Every loss is convex in y_pred: v' J' H J v >= 0, for any v."""
    net = mk.MLP([3, 5, 4], "sine", output, dtype=dtype, seed=1)
    x, rng = points(net, 6, 3, dtype), np.random.default_rng(27)
    y, loss = cases.targets_off_kinks(name, net, x, rng), cases.make_loss(name)
    for _ in range(10):
        v = random(rng, net.parameters.shape, dtype)
        got = mk.ggnvp(net, loss, x, y, v)
        product = v.astype(float) @ got
        assert product >= -tolerance(net, dtype, 2) * np.abs(v).astype(float) @ np.abs(got)


@each_product
def test_weights_of_zero_leave_samples_out(dtype: type, product: str) -> None:
    """Whatever these hold, NaN included: the bits are those of weights on other numbers."""
    net, rng = cases.small_net(mk.Tanh(), dtype), np.random.default_rng(28)
    x, y = points(net, 6, 3, dtype), random(rng, (6, 2), dtype)
    v, weight = random(rng, net.parameters.shape, dtype), np.array([1, 0, 2, 0, 0, 1], dtype)
    f = getattr(mk, product)
    full = f(net, mk.SquaredError(), x, y, v, weight)
    some = weight > 0
    left = f(net, mk.SquaredError(), x[some], y[some], v, weight[some])
    compare.assert_close(left, full.astype(float), tolerance(net, dtype, 2, n=6))
    y[~some] = np.nan
    compare.assert_same_bits(f(net, mk.SquaredError(), x, y, v, weight), full)


@each_product
def test_no_rows(dtype: type, product: str) -> None:
    """The sum over nothing is 0, the mean does not exist."""
    net = cases.small_net(mk.Tanh(), dtype)
    x, y, v = np.zeros((0, 3), dtype), np.zeros((0, 2), dtype), np.ones_like(net.parameters)
    f = getattr(mk, product)
    compare.assert_same_bits(f(net, mk.SquaredError(reduction="sum"), x, y, v), 0 * v)
    with pytest.raises(ValueError, match=f"^{product}: .*mean"):
        f(net, mk.SquaredError(), x, y, v)


def test_one_sample_without_a_batch(dtype: type) -> None:
    """x (D,) with y (K,), as for a loss, is a batch of one."""
    net, rng = cases.small_net(mk.Tanh(), dtype), np.random.default_rng(29)
    x, y = random(rng, 3, dtype), random(rng, 2, dtype)
    v, loss = random(rng, net.parameters.shape, dtype), mk.SquaredError()
    for f in (mk.hvp, mk.ggnvp):
        compare.assert_same_bits(f(net, loss, x, y, v), f(net, loss, x[None], y[None], v))


def test_strides_and_byte_orders(dtype: type) -> None:
    net, rng = cases.small_net(mk.GELU(), dtype), np.random.default_rng(30)
    P = net.parameters.size
    x, y, v, weight = (random(rng, s, dtype) for s in ((7, 3), (7, 2), (P,), (7,)))
    weight = np.abs(weight)

    def results(*arrays: Array) -> list[Array]:
        x, y, v, weight = arrays
        loss = mk.SquaredError()
        return [f(net, loss, x, y, v, weight) for f in (mk.hvp, mk.ggnvp)] + [
            mk.hessian(net, loss, x, y, weight)
        ]

    def strided(a: Array) -> Array:
        wide = np.full((2 * len(a), *(3 * k for k in a.shape[1:])), np.nan, dtype)
        part = wide[(slice(None, None, 2), *(slice(None, None, 3) for _ in a.shape[1:]))]
        part[...] = a
        return part

    def swapped(a: Array) -> Array:
        return a.astype(a.dtype.newbyteorder())

    expected = results(x, y, v, weight)
    for how in (strided, np.asfortranarray, swapped, lambda a: a[::-1].copy()[::-1]):
        for got, exact in zip(results(*map(how, (x, y, v, weight))), expected, strict=True):
            compare.assert_same_bits(got, exact)


def test_backward_still_belongs_to_the_last_call(dtype: type) -> None:
    net, rng = cases.small_net(mk.Tanh(), dtype), np.random.default_rng(31)
    x, other, dy = (random(rng, shape, dtype) for shape in ((5, 3), (8, 3), (5, 2)))
    net(x)
    expected = net.backward(dy)
    net(x)
    mk.hvp(net, mk.SquaredError(), other, other[:, :2], net.parameters.copy())
    mk.ggnvp(net, mk.SquaredError(), other, other[:, :2], net.parameters.copy())
    mk.hessian(net, mk.SquaredError(), other, other[:, :2])
    compare.assert_same_bits(net.backward(dy), expected)


def test_v_may_be_the_parameters(dtype: type) -> None:
    net = cases.small_net(mk.Tanh(), dtype)
    x, y = points(net, 3, 3, dtype), np.ones((3, 2), dtype)
    mine = mk.hvp(net, mk.SquaredError(), x, y, net.parameters)
    compare.assert_same_bits(mine, mk.hvp(net, mk.SquaredError(), x, y, net.parameters.copy()))


# --- the comparison itself -----------------------------------------------------------------------
@each_product
def test_a_wrong_product_is_seen(monkeypatch: pytest.MonkeyPatch, product: str) -> None:
    """Off by 1e-8 in one entry; without the weights; of another loss; a gradient written."""
    net = cases.small_net(mk.Tanh(), np.float64)
    x, right = points(net, 4, 3, np.float64), getattr(mk, product)
    weight = np.array([1.0, 2, 0, 1])
    squared(net, x, weight)

    def off(*arguments: Any) -> Array:
        result = right(*arguments)
        result[np.abs(result).argmax()] *= 1 + 1e-8
        return result

    def unweighted(net: Any, loss: Any, x: Array, y: Array, v: Array, weight: Any) -> Array:
        return right(net, loss, x, y, v)

    def other(net: Any, loss: Any, *rest: Any) -> Array:
        return right(net, mk.MeanSquaredError(), *rest)

    def writes(*arguments: Any) -> Array:
        net.gradients[2] += 1
        return right(*arguments)

    for wrong in (off, unweighted, other, writes):
        monkeypatch.setattr(mk, product, wrong)
        with pytest.raises(AssertionError):
            squared(net, x, weight)
