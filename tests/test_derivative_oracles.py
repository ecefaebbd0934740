"""The oracles of mlpkern.reference.derivatives against others, which share nothing with them.

A 2-3-1 tanh network in numbers of 400 bits, whose derivatives are plain differences with h = 2^-80
(right to 1e-40); differences of values in longdouble; closed forms. Accuracies are relative to the
largest element.
"""

from __future__ import annotations

from typing import Any

import gmpy2
import numpy as np
import pytest

from mlpkern import reference as ref
from mlpkern.reference.dense import first_difference, second_difference

Array = Any
Wide = np.longdouble
FIRST, SECOND, MIXED = 1e-12, 1e-10, 1e-8  # what is promised
BITS, STEP = 400, 80

ELEMENTWISE = [
    ref.Identity(), ref.ReLU(3.0), ref.LeakyReLU(), ref.ReLU6(), ref.ELU(), ref.SELU(),
    ref.CELU(0.5), ref.GELU(), ref.GELU("tanh"), ref.Sigmoid(), ref.LogSigmoid(), ref.Tanh(),
    ref.Softplus(2.0), ref.Softsign(), ref.SiLU(), ref.Mish(), ref.Hardsigmoid(), ref.Hardswish(),
    ref.Hardtanh(), ref.Tanhshrink(), ref.Softshrink(), ref.Hardshrink(), ref.Squareplus(),
    ref.Sine(2.0), ref.Gaussian(), ref.Exp(),
]  # fmt: skip
EVERY = [*ELEMENTWISE, ref.Softargmax(2.0), ref.LogSoftargmax()]


def assert_near(actual: Array, exact: Array, relative: float) -> None:
    """As compare.assert_close, but in longdouble throughout, and not for nothing."""
    actual, exact = np.asarray(actual, Wide), np.asarray(exact, Wide)
    assert actual.shape == exact.shape, f"{actual.shape}, {exact.shape}"
    assert not np.shares_memory(actual, exact)
    scale = np.abs(exact).max()
    assert scale > 0, "a comparison with nothing but zeros"
    worst = np.abs(actual - exact).max()
    assert worst <= relative * scale, f"error {worst / scale:.3g}, bound {relative:.3g}"


# --- in 400 bits ---------------------------------------------------------------------------------
def big(values: Array) -> list[Any]:
    return [gmpy2.mpfr(float(v)) for v in np.ravel(values)]


def network(p: list[Any], x: list[Any]) -> Any:
    """u of the 2-3-1 tanh network with p = (w1 row by row, b1, w2, b2)."""
    hidden = [gmpy2.tanh(x[0] * p[j] + x[1] * p[3 + j] + p[6 + j]) for j in range(3)]
    return sum((a * w for a, w in zip(hidden, p[9:12], strict=True)), p[12])


def moved(a: list[Any], i: int, by: Any) -> list[Any]:
    return [v + by if k == i else v for k, v in enumerate(a)]


def partial(f: Any, i: int) -> Any:
    """The central difference of f by the i-th entry of its list, as a function of the list."""
    h = gmpy2.mpfr(2) ** -STEP
    return lambda a: (f(moved(a, i, h)) - f(moved(a, i, -h))) / (2 * h)


def longdouble(values: Any) -> Array:
    """Numbers of 400 bits, rounded to longdouble in two parts."""
    high = np.array([float(v) for v in values], Wide)
    low = [float(v - float(v)) for v in values]
    return high + np.array(low, Wide)


@pytest.fixture(scope="module")
def exact() -> dict[str, Array]:
    """Every derivative of the network at two points, each by plain differences."""
    rng = np.random.default_rng(1)
    p, x, y = rng.normal(size=13), rng.normal(size=(2, 2)), rng.normal(size=(2, 1))
    v, c = rng.normal(size=13), rng.normal(size=(2, 1, 2, 2))
    with gmpy2.context(gmpy2.get_context(), precision=BITS):
        P, X, Y, V = big(p), [big(row) for row in x], big(y), big(v)

        def at(row: list[Any]) -> Any:
            return lambda q: network(q, row)

        def cost(q: list[Any]) -> Any:
            return sum((network(q, r) - t) ** 2 for r, t in zip(X, Y, strict=True)) / 2

        def by_x(q: list[Any], row: list[Any], *axes: int) -> Any:
            f: Any = lambda r: network(q, r)  # noqa: E731
            for axis in axes:
                f = partial(f, axis)
            return f(row)

        def curved(q: list[Any]) -> Any:
            """sum(du_xx u_xx) + sum(du_x u_x) with c and c[..., 0]."""
            terms = [
                float(c[n, 0, d, e]) * by_x(q, X[n], d, e)
                for n in range(2)
                for d in range(2)
                for e in range(2)
            ]
            terms += [float(c[n, 0, d, 0]) * by_x(q, X[n], d) for n in range(2) for d in range(2)]
            return sum(terms)

        def along(t: list[Any]) -> list[Any]:
            return [a + t[0] * b for a, b in zip(P, V, strict=True)]

        hvp = [
            partial(lambda t, i=i: partial(cost, i)(along(t)), 0)([gmpy2.mpfr(0)])
            for i in range(13)
        ]
        return {
            "p": p, "x": x, "y": y, "v": v, "c": c,
            "jacobian": longdouble([by_x(P, r, d) for r in X for d in range(2)]),
            "parameter_jacobian": longdouble([partial(at(r), i)(P) for r in X for i in range(13)]),
            "input_hessian": longdouble(
                [by_x(P, r, d, e) for r in X for d in range(2) for e in range(2)]
            ),
            "hvp": longdouble(hvp),
            "backward": longdouble([partial(curved, i)(P) for i in range(13)]),
        }  # fmt: skip


def tanh_net(p: Array) -> Any:
    net = ref.MLP([2, 3, 1], "tanh")
    net.parameters[...] = p
    return net


def test_against_400_bits(exact: dict[str, Array]) -> None:
    net, x = tanh_net(exact["p"]), exact["x"].astype(Wide)
    loss, y, v = ref.SquaredError(), exact["y"], exact["v"]
    assert_near(ref.jacobian(net, x), exact["jacobian"].reshape(2, 1, 2), FIRST)
    by_p = exact["parameter_jacobian"].reshape(2, 1, 13)
    assert_near(ref.parameter_jacobian(net, x), by_p, FIRST)
    slopes = 2 * (net.predict(x) - y)
    assert_near(ref.per_sample_gradients(net, loss, x, y), slopes * by_p[:, 0], FIRST)
    assert_near(ref.jvp(net, x, x)[1][:, 0], (ref.jacobian(net, x)[:, 0] * x).sum(axis=1), FIRST)
    assert_near(ref.vjp(net, x, slopes)[1], slopes * ref.jacobian(net, x)[:, 0], FIRST)

    curves = exact["input_hessian"].reshape(2, 1, 2, 2)
    assert_near(ref.input_hessian(net, x), curves, SECOND)
    assert_near(ref.laplacian(net, x), curves[..., 0, 0] + curves[..., 1, 1], SECOND)
    assert_near(ref.hvp(net, loss, x, y, v), exact["hvp"], SECOND)
    assert_near(ref.hessian(net, loss, x, y) @ v, exact["hvp"], SECOND)
    flat = by_p[:, 0]
    assert_near(ref.ggnvp(net, loss, x, y, v), flat.T @ (flat @ v), SECOND)  # H is 2/n = 1

    d = ref.derivatives(net, x)
    net.zero_grad()
    d.backward(du_x=exact["c"][..., 0], du_xx=exact["c"])
    assert_near(net.gradients, exact["backward"], MIXED)


def test_the_comparison_can_fail(exact: dict[str, Array]) -> None:
    """An error of one part in 10^11 of the largest element, of the first order; zeros."""
    right = exact["jacobian"]
    wrong = right.copy()
    wrong[np.abs(wrong).argmax()] *= 1 + Wide(1e-11)
    with pytest.raises(AssertionError, match="error 1e-11"):
        assert_near(wrong, right, FIRST)
    with pytest.raises(AssertionError, match="zeros"):
        assert_near(wrong * 0, right * 0, FIRST)
    with pytest.raises(AssertionError, match="nan"):
        assert_near(wrong * np.nan, right, FIRST)


# --- by differences of values --------------------------------------------------------------------
def small_net(f: Any, g: Any = None) -> Any:
    """A Sum in a Chain with a layer that occurs twice, and f between them."""
    shared = ref.Linear(3, 3, seed=1)
    inner = ref.Sum(shared, ref.Chain(ref.Linear(3, 3, bias=False, seed=2), f, shared))
    return ref.Chain(inner, f, ref.Linear(3, 2, seed=3), g or ref.Identity())


KINKS = np.array([0, 0.5, 1, 3, 6])  # of any activation here


def points(f: Any, n: int = 3) -> Array:
    """Inputs (n, 3) whose path through small_net(f) stays away from kinks, and is not flat."""
    net, found = small_net(f), []
    rng = np.random.default_rng(7)
    inner, *_ = net.layers
    chain = inner.layers[1]
    while len(found) < n:
        x = 2 * rng.normal(size=3)
        s = np.concatenate([chain.layers[0].predict(x), inner.predict(x)])
        if np.abs(np.abs(s)[:, None] - KINKS).min() > 0.03 and np.abs(ref.jacobian(net, x)).max():
            found.append(x)
    return np.array(found, Wide)


@pytest.mark.parametrize("f", EVERY, ids=repr)
def test_jacobians_against_differences_of_values(f: Any) -> None:
    net, x = small_net(f), points(f)
    axes = np.eye(3, dtype=Wide)
    columns = [first_difference(lambda at: net.predict(at), x, axis) for axis in axes]
    assert_near(ref.jacobian(net, x), np.stack(columns, axis=-1), FIRST)

    p = net.parameters.astype(Wide)
    twin = ref.dense.widened_net(net)

    def values(at: Array) -> Array:
        twin.parameters[...] = at
        return twin.predict(x)

    columns = [first_difference(values, p, axis) for axis in np.eye(p.size, dtype=Wide)]
    assert_near(ref.parameter_jacobian(net, x), np.stack(columns, axis=-1), FIRST)


@pytest.mark.parametrize("f", EVERY, ids=repr)
def test_second_derivatives_against_differences_of_values(f: Any) -> None:
    """The second difference of values along a line, with a step of its own; and symmetry."""
    net, x = small_net(f), points(f)
    lines = np.random.default_rng(3).normal(size=(2, 3))
    whole = ref.derivatives(net, x)
    along = ref.derivatives(net, x, directions=lines)
    for i, line in enumerate(lines):
        assert_near(along.u_x[..., i], whole.u_x @ line.astype(Wide), FIRST)
        curve = second_difference(lambda at: net.predict(at), x, line)
        scale = np.abs(whole.u_xx).max() + np.abs(whole.u).max()  # straight pieces: all zero
        assert np.abs(along.u_xx[..., i] - curve).max() <= SECOND * scale
    assert np.abs(whole.u_xx - np.swapaxes(whole.u_xx, -1, -2)).max() <= SECOND * scale


@pytest.mark.parametrize("f", ELEMENTWISE, ids=repr)
def test_second_derivatives_of_an_activation_alone(f: Any) -> None:
    s = points(f)
    expected = np.zeros((3, 3, 3, 3), Wide)
    for i in range(3):
        expected[:, i, i, i] = f.second_derivative(s)[:, i]
    assert np.abs(ref.input_hessian(f, s) - expected).max() <= SECOND
    assert np.abs(ref.laplacian(f, s) - f.second_derivative(s)).max() <= SECOND


@pytest.mark.parametrize("f", ELEMENTWISE, ids=repr)
@pytest.mark.parametrize("directions", [None, [[1.0, -0.5, 0.2], [0.0, 1.0, 0.0]]], ids=repr)
def test_backward_against_differences_by_the_parameters(f: Any, directions: Any) -> None:
    """Of u, u_x and u_xx as the oracle itself gives them: the two limits change places."""
    net, x, rng = small_net(f), points(f, 2), np.random.default_rng(5)
    d = ref.derivatives(net, x, directions=directions)
    weights = [rng.normal(size=a.shape) for a in (d.u, d.u_x, d.u_xx)]
    twin = ref.dense.widened_net(net)

    def total(at: Array) -> Array:
        twin.parameters[...] = at
        e = ref.derivatives(twin, x, directions=directions)
        return sum((c * a).sum() for c, a in zip(weights, (e.u, e.u_x, e.u_xx), strict=True))

    p, lines = net.parameters.astype(Wide), rng.normal(size=(2, net.parameters.size))
    net.gradients[...] = 1
    d.backward(*weights)
    for line in lines:
        slope = first_difference(total, p, line)
        assert_near(np.dot(net.gradients - 1, line), slope, MIXED)


# --- closed forms --------------------------------------------------------------------------------
def test_a_quadratic_cost_in_closed_form() -> None:
    """A linear map with squared error: the Hessian is 2/n sum x' x for each output."""
    net, rng = ref.Linear(3, 2, bias=False), np.random.default_rng(2)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    exact = np.kron(2 / 5 * x.T @ x, np.eye(2))
    assert_near(ref.hessian(net, ref.SquaredError(), x, y), exact, SECOND)
    columns = [ref.ggnvp(net, ref.SquaredError(), x, y, e) for e in np.eye(6)]
    assert_near(np.array(columns), exact, SECOND)
    weight = np.array([0, 1, 0, 2, 0])
    exact = np.kron(2 / 3 * (x[1:2].T @ x[1:2] + 2 * x[3:4].T @ x[3:4]), np.eye(2))
    assert_near(ref.hessian(net, ref.SquaredError(), x, y, weight), exact, SECOND)
    assert_near(ref.input_hessian(ref.Sine(), np.ones(1)), np.full((1, 1, 1), -np.sin(1)), SECOND)


def test_leading_dimensions_and_nothing_changed() -> None:
    net, x = tanh_net(np.linspace(-1, 1, 13)), np.random.default_rng(4).normal(size=(2, 3, 2))
    before = net.parameters.copy()
    flat = x.reshape(6, 2)
    assert ref.jacobian(net, x).shape == (2, 3, 1, 2)
    assert ref.jacobian(net, x[0, 0]).shape == (1, 2)
    assert ref.jacobian(net, x[:0]).shape == (0, 3, 1, 2)
    assert ref.parameter_jacobian(net, x).shape == (2, 3, 1, 13)
    assert ref.laplacian(net, x).shape == (2, 3, 1)
    np.testing.assert_array_equal(
        ref.input_hessian(net, x), ref.input_hessian(net, flat).reshape(2, 3, 1, 2, 2)
    )
    d, e = ref.derivatives(net, x, order=1), ref.derivatives(net, flat)
    assert d.u_xx is None
    np.testing.assert_array_equal(d.u_x, e.u_x.reshape(2, 3, 1, 2))
    net.zero_grad()
    d.backward(du=np.ones((2, 3, 1)), du_x=np.ones((2, 3, 1, 2)))
    kept = net.gradients.copy()
    net.zero_grad()
    e.backward(du=np.ones((6, 1)), du_x=np.ones((6, 1, 2)))
    np.testing.assert_array_equal(net.gradients, kept)
    np.testing.assert_array_equal(net.parameters, before)
