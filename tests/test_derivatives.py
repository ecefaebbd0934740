"""First derivatives of networks against the oracles, and against one another.

jacobian, jvp, vjp, linearize, parameter_jacobian, per_sample_gradients and their norms. What bits
they have is in test_derivative_bits.py, what they refuse in test_derivative_errors.py.
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


def random(rng: np.random.Generator, shape: Any, dtype: Any) -> Array:
    return rng.normal(size=shape).astype(dtype)


def check_products(f: Any, x: Array, bound: float) -> None:
    """jacobian, jvp, vjp, linearize at x (..., D)."""
    rng, twin, dtype = np.random.default_rng(11), oracle(f), x.dtype.newbyteorder("=")
    y = f.predict(x)
    v, g = random(rng, x.shape, dtype), random(rng, y.shape, dtype)
    with untouched(f, x, v, g):
        jacobian = mk.jacobian(f, x)
        forward, backward = mk.jvp(f, x, v), mk.vjp(f, x, g)
        lin = mk.linearize(f, x)
        products = lin.jvp(v), lin.vjp(g)
    check(jacobian, ref.jacobian(twin, x), bound, dtype)
    check(forward[1], ref.jvp(twin, x, v)[1], bound, dtype)
    check(backward[1], ref.vjp(twin, x, g)[1], bound, dtype)
    for value in (forward[0], backward[0], lin.y):
        compare.assert_same_bits(value, y)
    compare.assert_same_bits(products[0], forward[1])
    compare.assert_same_bits(products[1], backward[1])


def check_samples(net: Any, loss: Any, oracle_loss: Any, x: Array, y: Array, bound: float) -> None:
    """per_sample_gradients and their norms for x (n, D)."""
    exact = ref.per_sample_gradients(oracle(net), oracle_loss, x, y)
    with untouched(net, x, y):
        rows = mk.per_sample_gradients(net, loss, x, y)
        norms = mk.per_sample_gradient_norms(net, loss, x, y)
    check(rows, exact, bound, x.dtype)
    check(norms, np.linalg.norm(exact, axis=1), bound, x.dtype)


def check_all(net: Any, x: Array) -> None:
    bound, dtype = tolerance(net, x.dtype, 1), x.dtype
    check_products(net, x, bound)
    with untouched(net, x):
        by_p = mk.parameter_jacobian(net, x)
    check(by_p, ref.parameter_jacobian(oracle(net), x), bound, dtype)
    y = random(np.random.default_rng(12), net.predict(x).shape, dtype)
    check_samples(net, mk.SquaredError(), ref.SquaredError(), x, y, bound)


# --- against the oracles -------------------------------------------------------------------------
@pytest.mark.parametrize("f", cases.ACTIVATIONS.values(), ids=cases.ACTIVATIONS.keys())
def test_every_activation(dtype: type, f: Any) -> None:
    """Inside and behind a Sum in a Chain; and at the end."""
    net = cases.small_net(f, dtype)
    check_all(net, points(net, 5, 3, dtype, clearance=1e-3))
    net = mk.MLP([3, 4, 3], "tanh", f, dtype=dtype, seed=2)
    check_all(net, points(net, 3, 3, dtype, clearance=1e-3))


@pytest.mark.parametrize("f", cases.ACTIVATIONS.values(), ids=cases.ACTIVATIONS.keys())
def test_an_activation_alone(dtype: type, f: Any) -> None:
    s = points(f, 6, 5, dtype, clearance=1e-3)
    check_products(f, s, 1e-11 if dtype is np.float64 else compare.gamma(64, dtype))
    assert mk.parameter_jacobian(f, s).shape == (6, 5, 0)


@pytest.mark.parametrize("structure", cases.STRUCTURES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [0, 1, 7])
def test_structures(dtype: type, structure: Any, n: int) -> None:
    net = structure(dtype)
    check_all(net, points(net, n, 4, dtype))


@pytest.mark.parametrize("width", [1, 7, 8, 9, 17, 65])
def test_widths(dtype: type, width: int) -> None:
    net = mk.MLP([width, 9, width, 3], ["tanh", "gelu"], "softargmax", dtype=dtype, seed=1)
    check_all(net, points(net, 3, width, dtype))
    net = mk.MLP([3, width, 2, width], ["relu", "tanh"], dtype=dtype, seed=1)
    check_all(net, points(net, 9, 3, dtype, clearance=1e-4))


def test_more_rows_than_a_tile(dtype: type) -> None:
    net = mk.MLP([3, 9, 4, 2], "tanh", "softargmax", dtype=dtype, seed=1)
    check_all(net, points(net, 1025, 3, dtype))


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 3, 4), (2, 0, 4), (1, 1, 2, 4)], ids=str)
def test_leading_dimensions(dtype: type, shape: tuple[int, ...]) -> None:
    net = cases.nested(dtype)
    x = random(np.random.default_rng(3), shape, dtype)
    check_products(net, x, tolerance(net, dtype, 1))
    with untouched(net, x):
        by_p = mk.parameter_jacobian(net, x)
    check(by_p, ref.parameter_jacobian(oracle(net), x), tolerance(net, dtype, 1), dtype)
    check_products(mk.Tanh(), x, 1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("name", "output"), cases.COSTS, ids=str)
def test_every_loss(dtype: type, name: str, output: str, reduction: str) -> None:
    """A row is the gradient of the sample's own cost, whatever the reduction."""
    net = mk.MLP([3, 5, 4], "tanh", output, dtype=dtype, seed=1)
    x, rng = points(net, 6, 3, dtype), np.random.default_rng(4)
    y = cases.targets(name, rng, 6, 4, dtype)
    losses = [cases.make_loss(name, reduction, lib) for lib in (mk, ref)]
    check_samples(net, *losses, x, y, tolerance(net, dtype, 1))


@pytest.mark.parametrize("loss", ["BinaryCrossEntropy", "CrossEntropy"])
def test_pairs_that_are_saturated(dtype: type, loss: str) -> None:
    """Logits of +-200: y_pred is 0 or 1, and the gradient by them y_pred - y all the same."""
    net = mk.MLP([2, 2], output=cases.OUTPUTS[loss][0], dtype=dtype)
    net.parameters[...] = 100, 0, 0, 100, 0, 0
    x = np.array([[2, -2], [-2, 2]], dtype)
    y = np.array([0, 0]) if loss == "CrossEntropy" else np.array([[0, 1], [0, 1]], dtype)
    check_samples(net, getattr(mk, loss)(), getattr(ref, loss)(), x, y, tolerance(net, dtype, 1))
    assert np.abs(mk.per_sample_gradients(net, getattr(mk, loss)(), x, y)).max() == 2


def test_strides_and_byte_orders(dtype: type) -> None:
    """Whatever lies how in memory, the bits are those of a plain array."""
    net, rng = cases.nested(dtype), np.random.default_rng(5)
    x, v, g, y = (random(rng, (7, 4), dtype) for _ in range(4))
    loss = mk.SquaredError()

    def results(x: Array, v: Array, g: Array, y: Array) -> list[Array]:
        lin = mk.linearize(net, x)
        return [
            mk.jacobian(net, x), *mk.jvp(net, x, v), *mk.vjp(net, x, g), lin.jvp(v), lin.vjp(g),
            mk.parameter_jacobian(net, x), mk.per_sample_gradients(net, loss, x, y),
            mk.per_sample_gradient_norms(net, loss, x, y),
        ]  # fmt: skip

    def strided(a: Array) -> Array:
        wide = np.full((14, 12), np.nan, dtype)
        wide[::2, ::3] = a
        return wide[::2, ::3]

    def backwards(a: Array) -> Array:
        return a[::-1, ::-1].copy()[::-1, ::-1]

    def swapped(a: Array) -> Array:
        return a.astype(a.dtype.newbyteorder())

    def read_only(a: Array) -> Array:
        a = a.copy()
        a.flags.writeable = False
        return a

    expected = results(x, v, g, y)
    for how in (strided, backwards, np.asfortranarray, swapped, read_only):
        for got, exact in zip(results(*map(how, (x, v, g, y))), expected, strict=True):
            compare.assert_same_bits(got, exact)


# --- against one another -------------------------------------------------------------------------
@pytest.mark.parametrize("structure", cases.STRUCTURES, ids=lambda f: f.__name__)
def test_adjointness(dtype: type, structure: Any) -> None:
    """<J v, g> = <v, g J>, and columns and rows of the Jacobian are products with unit vectors."""
    net, rng = structure(dtype), np.random.default_rng(6)
    x = points(net, 5, 4, dtype)
    jacobian = mk.jacobian(net, x)
    K = jacobian.shape[1]
    v, g = random(rng, (5, 4), dtype), random(rng, (5, K), dtype)
    bound = tolerance(net, dtype, 1)
    jv, gj = mk.jvp(net, x, v)[1], mk.vjp(net, x, g)[1]
    one, other = (np.sum(np.multiply(*pair, dtype=float)) for pair in ((jv, g), (v, gj)))
    size = np.abs(jv).astype(float).ravel() @ np.abs(g).astype(float).ravel()
    assert abs(one - other) <= bound * size
    assert abs(one - 1.001 * other) > bound * size or one == 0, "a bound that holds anything"
    for d, e in enumerate(np.eye(4, dtype=dtype)):
        column = mk.jvp(net, x, np.tile(e, (5, 1)))[1]
        compare.assert_close(column, jacobian[..., d].astype(float), bound)
    for k, e in enumerate(np.eye(K, dtype=dtype)):
        row = mk.vjp(net, x, np.tile(e, (5, 1)))[1]
        compare.assert_close(row, jacobian[:, k].astype(float), bound)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("name", "output"), cases.COSTS, ids=str)
def test_samples_add_up_to_the_batch(dtype: type, name: str, output: str, reduction: str) -> None:
    net = mk.MLP([3, 5, 4], "tanh", output, dtype=dtype, seed=1)
    x = points(net, 40, 3, dtype)
    y = cases.targets(name, np.random.default_rng(7), 40, 4, dtype)
    loss = cases.make_loss(name, reduction)
    rows = mk.per_sample_gradients(net, loss, x, y).astype(float)
    total = rows.sum(axis=0) if reduction == "sum" else rows.mean(axis=0)
    bound = tolerance(net, dtype, 1, n=40)
    _, gradient = mk.value_and_gradient(net, loss, x, y)
    scale = np.abs(rows).mean(axis=0) * (40 if reduction == "sum" else 1)  # of what cancels
    compare.assert_within(gradient, total, bound * (scale + scale.max()))
    norms = mk.per_sample_gradient_norms(net, loss, x, y)
    compare.assert_close(norms, np.linalg.norm(rows, axis=1), bound)
    for i in (0, 17):
        alone = mk.per_sample_gradients(net, loss, x[i : i + 1], y[i : i + 1])[0]
        _, one = mk.value_and_gradient(net, loss, x[i : i + 1], y[i : i + 1])
        compare.assert_close(alone, one.astype(float), bound)


def test_samples_are_slopes_times_the_parameter_jacobian(dtype: type) -> None:
    net, rng = cases.small_net(mk.GELU(), dtype), np.random.default_rng(8)
    x, y = points(net, 9, 3, dtype), random(rng, (9, 2), dtype)
    slopes = 2 * (net.predict(x).astype(float) - y)
    exact = np.einsum("nk,nkp->np", slopes, mk.parameter_jacobian(net, x).astype(float))
    rows = mk.per_sample_gradients(net, mk.SquaredError(), x, y)
    compare.assert_close(rows, exact, tolerance(net, dtype, 1))


def test_a_network_of_others_maps(dtype: type) -> None:
    """It has no flat arrays, and Jacobians all the same."""
    f, g = (mk.Linear(4, 4, dtype=dtype, seed=i) for i in (1, 2))
    owners = mk.Chain(f, mk.Tanh()), mk.Chain(g, mk.Tanh())
    net = mk.Chain(g, mk.Tanh(), f)
    x = random(np.random.default_rng(9), (5, 4), dtype)
    check_products(net, x, tolerance(net, dtype, 1))
    assert len(owners) == 2


def test_a_linearization_is_of_the_moment(dtype: type) -> None:
    """Writes into f.w, steps and other calls change neither y nor the products."""
    net, rng = cases.nested(dtype), np.random.default_rng(10)
    x, v, g = (random(rng, (6, 4), dtype) for _ in range(3))
    kept = x.copy()
    lin = mk.linearize(net, x)
    expected = [a.copy() for a in (lin.y, lin.jvp(v), lin.vjp(g))]
    net.parameters[...] = 7
    x[...] = 0
    net(v)
    mk.linearize(net, v).jvp(g)
    for actual, exact in zip((lin.y, lin.jvp(v), lin.vjp(g)), expected, strict=True):
        compare.assert_same_bits(actual, exact)
    fresh = mk.linearize(net, kept).jvp(v)
    assert (fresh != expected[1]).any(), "the write must make a difference"


def test_backward_still_belongs_to_the_last_call(dtype: type) -> None:
    """Derivatives between net(x) and backward leave what the call kept."""
    net, rng = cases.small_net(mk.Tanh(), dtype), np.random.default_rng(11)
    x, other, dy = (random(rng, shape, dtype) for shape in ((5, 3), (8, 3), (5, 2)))
    net(x)
    expected = net.backward(dy)
    net(x)
    mk.jacobian(net, other)
    mk.jvp(net, other, other)
    mk.parameter_jacobian(net, other)
    mk.per_sample_gradients(net, mk.SquaredError(), other, other[:, :2])
    compare.assert_same_bits(net.backward(dy), expected)


# --- the rules of math.md, section 6 -------------------------------------------------------------
def integers(rng: np.random.Generator, shape: Any, dtype: Any) -> Array:
    return rng.integers(-8, 9, shape).astype(dtype)


def linear(w: Array) -> Any:
    f = mk.Linear(*w.shape, dtype=w.dtype)
    f.w = w
    f.b = np.arange(w.shape[1])
    return f


@pytest.mark.parametrize("D", [1, 5, 16, 33])
def test_rules_for_maps_put_together(isa: str, dtype: type, D: int) -> None:
    """W1 + W2, 2W, W2 W1, W^2 in column form: exact on small integers, and so bit for bit."""
    rng = np.random.default_rng(12)
    w1, w2 = integers(rng, (D, D), dtype), integers(rng, (D, D), dtype)
    x, v, g = (integers(rng, (3, D), dtype) for _ in range(3))
    f, g_ = linear(w1), linear(w2)
    rules = [
        (f, w1.T),
        (mk.Sum(f, g_), (w1 + w2).T),
        (mk.Sum(f, f), (2 * w1).T),
        (mk.Chain(f, g_), w2.T @ w1.T),
        (mk.Chain(f, f), w1.T @ w1.T),
        (mk.Chain(mk.Sum(f, g_), g_), w2.T @ (w1 + w2).T),
    ]
    for net, matrix in rules:
        exact = np.array(matrix, dtype)
        compare.assert_same_bits(mk.jacobian(net, x), np.tile(exact, (3, 1, 1)))
        compare.assert_same_bits(mk.jvp(net, x, v)[1] + 0, v @ exact.T + 0)
        compare.assert_same_bits(mk.vjp(net, x, g)[1] + 0, g @ exact + 0)
        lin = mk.linearize(net, x)
        compare.assert_same_bits(lin.jvp(v) + 0, v @ exact.T + 0)
        compare.assert_same_bits(lin.vjp(g) + 0, g @ exact + 0)


def test_kinks() -> None:
    """At a kink the stated derivative counts: ReLU'(0) = 0, LeakyReLU'(0) = its slope."""
    x = np.zeros((1, 2))
    compare.assert_same_bits(mk.jacobian(mk.ReLU(3.0), x), np.zeros((1, 2, 2)))
    leaky = mk.jacobian(mk.LeakyReLU(0.25), x)
    compare.assert_same_bits(leaky, 0.25 * np.eye(2)[None])
    f = linear(np.array([[2.0, 3.0], [5.0, 7.0]]))
    f.b = np.zeros(2)
    compare.assert_same_bits(mk.jvp(mk.Chain(f, mk.ReLU()), x, x + 1)[1], np.zeros((1, 2)))
    compare.assert_same_bits(mk.vjp(mk.Chain(f, mk.LeakyReLU(0.5)), x, x + 1)[1], [[2.5, 6.0]])


# --- the comparison itself -----------------------------------------------------------------------
def test_a_wrong_derivative_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry off by 1e-10, a transposed Jacobian, another dtype, a write into the gradients."""
    net = cases.small_net(mk.Tanh(), np.float64)
    x, right = points(net, 3, 3, np.float64), mk.jacobian
    check_all(net, x)

    def off(f: Any, x: Array) -> Array:
        j = right(f, x)
        j[np.unravel_index(np.abs(j).argmax(), j.shape)] *= 1 + 1e-10
        return j

    def single(f: Any, x: Array) -> Array:
        return right(f, x).astype(np.float32)

    def writes(f: Any, x: Array) -> Array:
        net.gradients[3] += 1
        return right(f, x)

    def turned(f: Any, x: Array) -> Array:
        return np.swapaxes(right(f, x), 1, 2)

    for wrong in (off, single, writes, turned):
        monkeypatch.setattr(mk, "jacobian", wrong)
        with pytest.raises(AssertionError):
            check_all(net, x)


# --- into arrays that there are -----------------------------------------------------------------
OUT = {
    "jacobian": (lambda net, x, y, out: mk.jacobian(net, x, out), (6, 2, 3)),
    "parameter_jacobian": (lambda net, x, y, out: mk.parameter_jacobian(net, x, out), (6, 2, 26)),
    "per_sample_gradients": (
        lambda net, x, y, out: mk.per_sample_gradients(net, mk.SquaredError(), x, y, out),
        (6, 26),
    ),
}


@pytest.mark.parametrize("name", OUT)
def test_out(name: str) -> None:
    call, shape = OUT[name]
    rng = np.random.default_rng(3)
    net = mk.MLP([3, 4, 2], dtype=np.float64)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    out = np.full(shape, np.nan)
    assert call(net, x, y, out) is out
    np.testing.assert_array_equal(out, call(net, x, y, None))


@pytest.mark.parametrize("name", OUT)
def test_an_out_that_does_not_fit(name: str) -> None:
    call, shape = OUT[name]
    net = mk.MLP([3, 4, 2], dtype=np.float64)
    x, y = np.ones((6, 3)), np.ones((6, 2))
    short = np.full((5, *shape[1:]), 7.0)
    with pytest.raises(ValueError, match=f"{name}: out must"):
        call(net, x, y, short)
    assert (short == 7).all()
    with pytest.raises(TypeError, match=f"{name}: out must"):
        call(net, x, y, np.empty(shape, np.float32))
    memory = np.ones(6 * 2 * 26 + 18)
    over = memory[9 : 9 + short.size // 5 * 6].reshape(shape)
    with pytest.raises(ValueError, match=f"{name}: out "):
        call(net, memory[:18].reshape(6, 3), y, over)


def test_a_map_without_parameters_in_another_byte_order() -> None:
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    want = mk.jacobian(mk.Tanh(), x)
    np.testing.assert_array_equal(mk.jacobian(mk.Tanh(), x.astype(">f8")), want)


def test_the_hessian_without_parameters() -> None:
    h = mk.hessian(mk.Tanh(), mk.SquaredError(), np.ones((2, 3)), np.ones((2, 3)))
    assert h.shape == (0, 0)
    assert h.dtype == np.float64
    with pytest.raises((TypeError, ValueError), match=r"^hessian: "):
        mk.hessian(mk.Tanh(), mk.SquaredError(), np.ones((2, 3)), "nonsense")
