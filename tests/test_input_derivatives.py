"""Second derivatives by the input: input_hessian, its diagonal, laplacian; derivatives, backward.

Backward of u, u_x and u_xx is a third derivative: differences of the oracle's second ones.
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
ELEMENTWISE_STRUCTURES = [f for f in cases.STRUCTURES if f is not cases.by_rows]
NAMES = ("u", "u_x", "u_xx")


def random(rng: np.random.Generator, shape: Any, dtype: Any) -> Array:
    return rng.normal(size=shape).astype(dtype)


def lines(D: int, m: int, dtype: Any) -> Array:
    return random(np.random.default_rng(41), (m, D), dtype)


def check_input(f: Any, x: Array, bound: float | None = None) -> None:
    """input_hessian, its diagonal and laplacian, and derivatives, at x (..., D)."""
    dtype, first = x.dtype, bound or tolerance(f, x.dtype, 1)
    bound = bound or tolerance(f, dtype, 2)
    exact = ref.derivatives(oracle(f), x.astype(float))
    diagonal = np.diagonal(exact.u_xx, axis1=-2, axis2=-1)
    directions = lines(x.shape[-1], 3, dtype)
    along = ref.derivatives(oracle(f), x.astype(float), directions=directions.astype(float))
    with untouched(f, x, directions):
        hessian, some, trace = (
            mk.input_hessian(f, x), mk.input_hessian_diagonal(f, x), mk.laplacian(f, x)
        )  # fmt: skip
        d, e = mk.derivatives(f, x), mk.derivatives(f, x, directions=directions)
        once = mk.derivatives(f, x, order=1)
    check(hessian, exact.u_xx, bound, dtype)
    check(some, diagonal.copy(), bound, dtype)
    scale = bound * np.abs(diagonal).sum(axis=-1).max(initial=0)  # the terms may cancel
    compare.assert_within(trace, diagonal.sum(axis=-1), scale)
    for result, right in ((d, exact), (e, along)):
        compare.assert_same_bits(result.u, f.predict(x))
        check(result.u_x, right.u_x, first, dtype)
        check(result.u_xx, right.u_xx, bound, dtype)
    compare.assert_same_bits(once.u, f.predict(x))
    check(once.u_x, exact.u_x, first, dtype)
    assert once.u_xx is None
    turned = np.swapaxes(hessian, -1, -2).astype(float)
    compare.assert_within(hessian, turned, bound * np.abs(exact.u_xx).max(initial=0))


def check_backward(net: Any, x: Array, directions: Array | None, order: int = 2) -> None:
    """Each of du, du_x, du_xx by itself and all together, added to what the gradients hold."""
    rng, dtype = np.random.default_rng(42), x.dtype
    wide = None if directions is None else directions.astype(float)
    twin = oracle(net)
    right = ref.derivatives(twin, x.astype(float), order, wide)
    d = mk.derivatives(net, x, order, directions)
    names = NAMES[: order + 1]
    weights = {f"d{name}": random(rng, getattr(d, name).shape, dtype) for name in names}
    exact = {}
    for name, a in weights.items():
        twin.zero_grad()
        right.backward(**{name: a.astype(float)})
        exact[name] = twin.gradients.copy()
    # straight pieces: the oracle's zeros are right to the size of the other terms alone
    bound = tolerance(net, dtype, 3, n=len(x)) * np.abs(list(exact.values())).max()
    for chosen in [*([name] for name in weights), list(weights)]:
        some = {name: weights[name] for name in chosen}
        net.gradients[...] = 0
        kept = [a.copy() for a in (net.parameters, x, *some.values(), d.u, d.u_x)]
        d.backward(**some)
        arrays = (net.parameters, x, *some.values(), d.u, d.u_x)
        for a, before in zip(arrays, kept, strict=True):
            compare.assert_same_bits(a, before)
        compare.assert_within(net.gradients, sum(exact[name] for name in chosen), bound)
    alone = net.gradients.copy()
    net.gradients[...] = 2
    d.backward(**weights)
    added = alone.astype(float) + 2
    compare.assert_within(net.gradients, added, 4 * np.finfo(dtype).eps * np.abs(added).max())


# --- by the input --------------------------------------------------------------------------------
@pytest.mark.parametrize("f", cases.ACTIVATIONS.values(), ids=cases.ACTIVATIONS.keys())
def test_every_activation(dtype: type, f: Any) -> None:
    """Inside and behind a Sum in a Chain; and at the end."""
    net = cases.small_net(f, dtype)
    check_input(net, points(net, 4, 3, dtype))
    net = mk.MLP([3, 4, 3], "tanh", f, dtype=dtype, seed=2)
    check_input(net, points(net, 3, 3, dtype))


@pytest.mark.parametrize("f", cases.ACTIVATIONS.values(), ids=cases.ACTIVATIONS.keys())
def test_an_activation_alone(dtype: type, f: Any) -> None:
    s = points(f, 6, 5, dtype)
    check_input(f, s, 1e-9 if dtype is np.float64 else compare.gamma(128, dtype))


@pytest.mark.parametrize("structure", cases.STRUCTURES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [0, 1, 7])
def test_structures(dtype: type, structure: Any, n: int) -> None:
    net = structure(dtype)
    check_input(net, points(net, n, 4, dtype))


@pytest.mark.parametrize("width", [1, 7, 8, 9, 17])
def test_widths(dtype: type, width: int) -> None:
    net = mk.MLP([width, 5, width, 3], ["tanh", "gelu"], "softargmax", dtype=dtype, seed=1)
    check_input(net, points(net, 2, width, dtype))


def test_a_width_of_many_registers(dtype: type) -> None:
    net = mk.MLP([3, 65, 2, 65], ["tanh", "softplus"], dtype=dtype, seed=1)
    check_input(net, points(net, 3, 3, dtype))
    net = mk.MLP([65, 3, 1], "tanh", dtype=dtype, seed=1)
    check_input(net, points(net, 2, 65, dtype))


def test_more_rows_than_a_tile(dtype: type) -> None:
    net = mk.MLP([2, 9, 4, 1], "tanh", dtype=dtype, seed=1)
    check_input(net, points(net, 1025, 2, dtype))


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 3, 4), (2, 0, 4)], ids=str)
def test_leading_dimensions(dtype: type, shape: tuple[int, ...]) -> None:
    net = cases.nested(dtype)
    check_input(net, random(np.random.default_rng(43), shape, dtype))


@pytest.mark.parametrize("m", [0, 1, 4, 9])
def test_numbers_of_directions(dtype: type, m: int) -> None:
    net = cases.small_net(mk.Tanh(), dtype)
    x, directions = points(net, 5, 3, dtype), lines(3, m, dtype)
    d = mk.derivatives(net, x, directions=directions)
    exact = ref.derivatives(oracle(net), x.astype(float), directions=directions.astype(float))
    check(d.u_x, exact.u_x, tolerance(net, dtype, 1), dtype)
    check(d.u_xx, exact.u_xx, tolerance(net, dtype, 2), dtype)


def test_what_is_known_in_closed_form() -> None:
    """A sine along a line; ReLU bends nowhere, and on kinks the stated derivative is 0."""
    x = np.linspace(-2, 2, 12).reshape(6, 2)
    f = mk.Chain(mk.Linear(2, 1, dtype=np.float64), mk.Sine())
    f.parameters[...] = 3, 4, 0.5
    expected = -25 * np.sin(x @ [3, 4] + 0.5)[:, None]
    compare.assert_within(mk.laplacian(f, x), expected, 25 * 1e-14)
    net = mk.Chain(mk.Linear(2, 5, dtype=np.float64), mk.ReLU(), mk.Linear(5, 2, dtype=np.float64))
    net.layers[0].b[...] = 0
    for at in (x, np.zeros((1, 2))):
        compare.assert_same_bits(mk.input_hessian(net, at) + 0, np.zeros((len(at), 2, 2, 2)))
        compare.assert_same_bits(mk.laplacian(net, at) + 0, np.zeros((len(at), 2)))
    kinks = mk.input_hessian(mk.ELU(), np.zeros((1, 1)))
    compare.assert_same_bits(kinks + 0, np.zeros((1, 1, 1, 1)))


def test_parts_agree_bit_for_bit(dtype: type) -> None:
    """The diagonal and the unit directions give the numbers of the whole, to rounding."""
    net = cases.small_net(mk.GELU(), dtype)
    x = points(net, 7, 3, dtype)
    whole = mk.input_hessian(net, x).astype(float)
    some = np.diagonal(whole, axis1=-2, axis2=-1).copy()
    bound = tolerance(net, dtype, 2) * np.abs(whole).max()
    compare.assert_within(mk.input_hessian_diagonal(net, x), some, bound)
    compare.assert_within(mk.laplacian(net, x), some.sum(axis=-1), 3 * bound)
    d = mk.derivatives(net, x, directions=np.eye(3, dtype=dtype))
    compare.assert_within(d.u_xx, some, bound)
    compare.assert_within(
        d.u_x, mk.jacobian(net, x).astype(float), bound * (1 + np.abs(d.u_x).max())
    )


# --- backward ------------------------------------------------------------------------------------
@pytest.mark.parametrize("f", cases.ELEMENTWISE.values(), ids=cases.ELEMENTWISE.keys())
@pytest.mark.parametrize("m", [None, 2], ids=["axes", "directions"])
def test_backward_through_every_activation(dtype: type, f: Any, m: int | None) -> None:
    net = cases.small_net(f, dtype)
    x = points(net, 2, 3, dtype, clearance=0.06)
    check_backward(net, x, None if m is None else lines(3, m, dtype))


@pytest.mark.parametrize("structure", ELEMENTWISE_STRUCTURES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [1, 7])
def test_backward_through_structures(dtype: type, structure: Any, n: int) -> None:
    net = structure(dtype)
    check_backward(net, points(net, n, 4, dtype), lines(4, 2, dtype))
    if n == 1:
        check_backward(net, points(net, n, 4, dtype), None)


@pytest.mark.parametrize("width", [1, 7, 8, 9, 17])
def test_backward_through_widths(dtype: type, width: int) -> None:
    net = mk.MLP([2, width, width, 1], ["tanh", "gelu"], dtype=dtype, seed=1)
    check_backward(net, points(net, 3, 2, dtype), None)
    check_backward(net, points(net, 3, 2, dtype), lines(2, 3, dtype), order=1)


def test_backward_through_more_rows_than_a_tile(dtype: type) -> None:
    net = mk.MLP([2, 5, 4, 1], "tanh", dtype=dtype, seed=1)
    check_backward(net, points(net, 1025, 2, dtype), lines(2, 1, dtype))


def test_backward_of_nothing(dtype: type) -> None:
    """No rows, no weights: the gradients keep their bits."""
    net = cases.small_net(mk.Tanh(), dtype)
    net.gradients[...] = 3
    kept = net.gradients.copy()
    d = mk.derivatives(net, np.zeros((0, 3), dtype))
    d.backward(d.u, d.u_x, d.u_xx)
    compare.assert_same_bits(net.gradients, kept)
    mk.derivatives(net, np.ones((2, 3), dtype)).backward()
    compare.assert_same_bits(net.gradients, kept)


def test_backward_with_leading_dimensions(dtype: type) -> None:
    """(D,) and (2, 3, D): the bits of the same rows in a batch."""
    net, rng = cases.small_net(mk.Tanh(), dtype), np.random.default_rng(44)
    x = random(rng, (2, 3, 3), dtype)
    d, e = mk.derivatives(net, x), mk.derivatives(net, x.reshape(6, 3))
    weights = [random(rng, a.shape, dtype) for a in (d.u, d.u_x, d.u_xx)]
    results = []
    for result, lead in ((d, (2, 3)), (e, (6,))):
        net.zero_grad()
        result.backward(*(w.reshape(*lead, *w.shape[2:]) for w in weights))
        results.append(net.gradients.copy())
    compare.assert_same_bits(*results)
    one, single = mk.derivatives(net, x[0, 0]), mk.derivatives(net, x[0, :1])
    assert one.u.shape == (2,)
    results = []
    for result, part in ((one, [w[0, 0] for w in weights]), (single, [w[0, :1] for w in weights])):
        net.zero_grad()
        result.backward(*part)
        results.append(net.gradients.copy())
    compare.assert_same_bits(*results)


def test_backward_is_the_network_s_for_u_alone(dtype: type) -> None:
    net, rng = cases.small_net(mk.GELU(), dtype), np.random.default_rng(45)
    x, dy = points(net, 9, 3, dtype), random(rng, (9, 2), dtype)
    net.zero_grad()
    net(x)
    net.backward(dy)
    exact = net.gradients.astype(float)
    net.zero_grad()
    mk.derivatives(net, x).backward(du=dy)
    compare.assert_close(net.gradients.copy(), exact, tolerance(net, dtype, 1, n=9))


def test_training_on_an_equation_brings_its_solution() -> None:
    """u'' = -u with u(0) = 0, u'(0) = 1 is sin: the whole loop of a physics-informed network."""
    net = mk.MLP([1, 16, 1], "tanh", dtype=np.float64, seed=1)
    x, start = np.linspace(0, 2, 20)[:, None], np.zeros((1, 1))
    opt = mk.Adam(net, lr=0.02)
    for _ in range(600):
        opt.zero_grad()
        d = mk.derivatives(net, x)
        residual = d.u_xx[..., 0, 0] + d.u
        d.backward(du=2 * residual / 20, du_xx=2 * residual[..., None, None] / 20)
        d = mk.derivatives(net, start, order=1)
        d.backward(du=2 * d.u, du_x=2 * (d.u_x - 1))
        opt.step()
    assert np.abs(net.predict(x) - np.sin(x)).max() < 0.05


# --- the comparison itself -----------------------------------------------------------------------
def test_a_wrong_derivative_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    net = cases.small_net(mk.Tanh(), np.float64)
    x, right = points(net, 2, 3, np.float64), mk.input_hessian
    check_input(net, x)

    def off(f: Any, x: Array) -> Array:
        h = right(f, x)
        h[np.unravel_index(np.abs(h).argmax(), h.shape)] *= 1 + 1e-8
        return h

    with monkeypatch.context() as patch:
        patch.setattr(mk, "input_hessian", off)
        with pytest.raises(AssertionError):
            check_input(net, x)
    with monkeypatch.context() as patch:
        patch.setattr(mk, "laplacian", lambda f, x: np.abs(right(f, x)[..., 0, 0]))
        with pytest.raises(AssertionError):
            check_input(net, x)


def test_a_wrong_backward_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one of its terms, in place of adding, and of other numbers than were asked for."""
    net = cases.small_net(mk.Tanh(), np.float64)
    x, right = points(net, 2, 3, np.float64), mk.derivatives
    check_backward(net, x, None)

    class Wrong:
        def __init__(self, how: str, *arguments: Any) -> None:
            self.how, self.d = how, right(*arguments)
            self.u, self.u_x, self.u_xx = self.d.u, self.d.u_x, self.d.u_xx

        def backward(self, du: Any = None, du_x: Any = None, du_xx: Any = None) -> None:
            if self.how == "forgets":
                du_x = None
            elif self.how == "assigns":
                net.gradients[...] = 0
            elif self.how == "off" and du_xx is not None:
                du_xx = du_xx * (1 + 1e-8)
            elif self.how == "turns" and du_xx is not None:
                du_xx = np.abs(du_xx)
            self.d.backward(du, du_x, du_xx)

    for how in ("forgets", "assigns", "off", "turns"):
        monkeypatch.setattr(mk, "derivatives", lambda *a, how=how: Wrong(how, *a))
        with pytest.raises(AssertionError):
            check_backward(net, x, None)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_directions_without_inputs(order: int, bias: bool) -> None:
    net = mk.Chain(mk.Linear(0, 3, bias, np.float64), mk.Tanh(), mk.Linear(3, 2, True, np.float64))
    d = mk.derivatives(net, np.zeros((4, 0)), order, np.ones((5, 0)))
    np.testing.assert_array_equal(d.u_x, np.zeros((4, 2, 5)))
    d.backward(du_x=np.ones_like(d.u_x), du_xx=None if d.u_xx is None else np.ones_like(d.u_xx))
    np.testing.assert_array_equal(net.gradients, 0)
    if order == 2:
        np.testing.assert_array_equal(d.u_xx, np.zeros((4, 2, 5)))
