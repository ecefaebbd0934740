"""Batches of every size, through networks that go over their rows in every way there is.

Narrow networks have their samples in the lanes, a tile of rows at a time; wide ones go row after
row; few rows pass the weights without panels; large batches add up chunks. All of them give the
oracle's gradients, and the five separate steps the bits of the one call.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mlpkern as mk
from compare import assert_close, assert_same_bits, gamma

Array = NDArray[Any]


def shared(m: Any) -> Any:
    """One layer in two places."""
    f = m.Linear(7, 7)
    return m.Chain(f, m.Tanh(), f)


NETS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "narrow": (3, lambda m: m.MLP([3, 17, 5], hidden="tanh")),
    "one output": (2, lambda m: m.MLP([2, 20, 20, 1], hidden="sigmoid")),
    "by rows inside": (4, lambda m: m.Chain(m.Linear(4, 9), m.Softargmax(), m.Linear(9, 2))),
    "by rows at the end": (4, lambda m: m.MLP([4, 8, 3], hidden="relu", output="softargmax")),
    "sum": (6, lambda m: m.Sum(m.Linear(6, 6), m.Chain(m.Linear(6, 6), m.SiLU()))),
    "shared": (7, shared),
    "no bias": (5, lambda m: m.Chain(m.Linear(5, 6, bias=False), m.Tanh(), m.Linear(6, 2))),
    "activation first": (5, lambda m: m.Chain(m.Tanh(), m.Linear(5, 3))),
    "widest in lanes": (4, lambda m: m.MLP([4, 56, 1], hidden="tanh")),
    "wider": (4, lambda m: m.MLP([4, 57, 31, 4], hidden="tanh")),
    "no inputs": (0, lambda m: m.MLP([0, 600, 300], hidden="tanh")),
    "many chunks": (33, lambda m: m.MLP([33, 200, 150, 2], hidden="tanh")),
}
ROWS = (1, 2, 3, 4, 5, 16, 31, 33, 63, 65, 127, 128, 129, 257, 300, 513, 1030, 2081)


def problem(name: str, n: int, dtype: Any) -> tuple[Any, Any, Array, Array]:
    """A network, its oracle with the same parameters, x and y."""
    inputs, build = NETS[name]
    rng = np.random.default_rng(n)
    with_dtype = _WithDtype(dtype)
    net, oracle = build(with_dtype), build(mk.reference)
    oracle.parameters[...] = net.parameters
    x = rng.normal(size=(n, inputs)).astype(dtype)
    y = rng.normal(size=net.predict(x).shape).astype(dtype)
    return net, oracle, x, y


class _WithDtype:
    """The package, whose layers are of one dtype."""

    def __init__(self, dtype: Any) -> None:
        self.MLP = lambda *a, **k: mk.MLP(*a, **k, dtype=dtype, seed=1)
        self.Linear = lambda *a, **k: mk.Linear(*a, **k, dtype=dtype, seed=1)

    def __getattr__(self, name: str) -> Any:
        return getattr(mk, name)


@pytest.mark.parametrize("n", ROWS)
@pytest.mark.parametrize("name", NETS)
def test_gradients_are_the_oracles(name: str, n: int, dtype: type, isa: str) -> None:
    net, oracle, x, y = problem(name, n, dtype)
    loss = mk.SquaredError(reduction="sum")
    cost, gradient = mk.value_and_gradient(net, loss, x, y)
    exact_cost, exact = mk.reference.value_and_gradient(
        oracle, mk.reference.SquaredError(reduction="sum"), x, y
    )
    bound = 8 * gamma(n + 250, dtype)  # a sum over the rows of products of up to 200 terms, and f
    assert_close(cost, np.float64(exact_cost), bound)
    assert_close(gradient, exact, bound)
    dy = loss.gradient(net(x), y)
    net.zero_grad()
    dx = net.backward(dy)
    oracle(x)
    assert_close(dx, oracle.backward(dy.astype(np.float64)), bound)
    assert_same_bits(net.gradients, gradient)


@pytest.mark.parametrize("name", NETS)
def test_predictions_do_not_depend_on_the_batch(name: str, dtype: type, isa: str) -> None:
    net, _, x, _ = problem(name, 300, dtype)
    whole = net.predict(x)
    for n in (1, 5, 33, 65, 127, 128, 129, 299):
        assert_same_bits(net.predict(x[-n:]), whole[-n:])
        assert_same_bits(net(x[:n]), whole[:n])


@pytest.mark.parametrize("n", [129, 143, 255, 300])
def test_lanes_without_a_sample_count_for_nothing(n: int, dtype: type) -> None:
    """There x is 0, and this network infinite."""
    net = mk.Chain(mk.Linear(1, 3, dtype=dtype), mk.Exp(), mk.Linear(3, 1, dtype=dtype), mk.Exp())
    first, second = net.layers[0], net.layers[2]
    first.w[...], first.b[...] = -1000.0, 1000.0
    second.w[...] = 0.5
    x = np.ones((n, 1), dtype)
    loss = mk.SquaredError(reduction="sum")
    assert np.isinf(net.predict(np.zeros((1, 1), dtype))).all()
    cost, gradient = mk.value_and_gradient(net, loss, x, x)
    _, alone = mk.value_and_gradient(net, loss, x[:1], x[:1])
    assert np.isfinite(cost)
    assert np.isfinite(gradient).all()
    assert_close(gradient, n * alone.astype(np.float64), 8 * gamma(n, dtype))


def test_a_step_goes_on_from_nothing_that_was_there(dtype: type) -> None:
    """Gradients start from zero, whatever they held."""
    for name in NETS:
        for n in (1, 40, 600):
            net, _, x, y = problem(name, n, dtype)
            net.gradients[...] = np.nan
            mk.train_step(net, mk.SquaredError(), mk.SGD(net, lr=0.0), x, y)
            assert np.isfinite(net.gradients).all(), (name, n)
