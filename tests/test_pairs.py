"""Costs that follow the activation made for them.

Sigmoid with binary cross-entropy, softargmax with cross-entropy: saturated outputs cost what they
should and have the gradient y_pred - y, in the five steps as in one; whoever changes an array on
the way gets the plain product of what stands in it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_close, assert_same_bits, gamma
from mlpkern import pairs, reference

Array = Any
N, D, K = 12, 5, 3

# output activation and its parameters, loss and its arguments
PAIRS = {
    "sigmoid": (("sigmoid", {}), ("BinaryCrossEntropy", {})),
    "softargmax": (("softargmax", {}), ("CrossEntropy", {})),
    "softargmax_beta": (("softargmax", {"beta": 2.5}), ("CrossEntropy", {})),
    "smoothed": (("softargmax", {"beta": 0.5}), ("CrossEntropy", {"label_smoothing": 0.2})),
}


class Setting:
    """A pair behind a linear layer, in the package and in the oracles, and a batch."""

    def __init__(self, name: str, dtype: Any, reduction: str = "mean", scale: float = 1.0) -> None:
        (activation, parameters), (loss, arguments) = PAIRS[name]
        rng = np.random.default_rng(5)

        def net(lib: ModuleType) -> Any:
            output = lib.activation(activation, **parameters)
            return lib.Chain(
                lib.Linear(D, 4, dtype=dtype), lib.Tanh(), lib.Linear(4, K, dtype=dtype), output
            )

        self.net, self.oracle = net(mk), net(reference)
        self.net.parameters[...] = rng.normal(0, 0.5, self.net.parameters.size)
        self.net.layers[2].w[...] *= dtype(scale)
        self.oracle.parameters[...] = self.net.parameters
        self.loss = getattr(mk, loss)(reduction=reduction, **arguments)
        self.exact_loss = getattr(reference, loss)(reduction=reduction, **arguments)
        self.x = rng.normal(size=(N, D)).astype(dtype)
        labels = loss == "CrossEntropy"
        self.y = rng.integers(0, K, N) if labels else rng.integers(0, 2, (N, K)).astype(dtype)
        # every path: two layers forward and backward, the sum over the rows; scale multiplies the
        # rounding of s, which the softargmax feels as it is
        self.bound = gamma(2 * (D + 4 + K + 20) + N, dtype) * 8

    def five_steps(self) -> tuple[float, Array]:
        """Cost and gradient, each step by itself."""
        y_pred = self.net(self.x)
        cost = self.loss(y_pred, self.y)
        self.net.zero_grad()
        self.net.backward(self.loss.gradient(y_pred, self.y))
        return cost, self.net.gradients.copy()

    def exact_backward(self, dy: Array, x: Array | None = None) -> Array:
        """The oracle's gradient from some dy: the plain product."""
        self.oracle.zero_grad()
        self.oracle(self.x if x is None else x)
        self.oracle.backward(dy.astype(np.float64))
        return self.oracle.gradients.copy()


@pytest.fixture(params=PAIRS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_moderate_outputs(name: str, dtype: type, reduction: str) -> None:
    given = Setting(name, dtype, reduction)
    exact_cost, exact = reference.value_and_gradient(
        given.oracle, given.exact_loss, given.x, given.y
    )
    cost, gradient = given.five_steps()
    assert_close(cost, exact_cost, given.bound)
    assert_close(gradient, exact, given.bound)


@pytest.mark.parametrize("name", ["sigmoid", "softargmax"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_saturated_outputs(name: str, dtype: type, reduction: str) -> None:
    """|s| of about 1e4: y_pred is 0 or 1 to the last bit, and the cost is linear in s."""
    given = Setting(name, dtype, reduction, scale=1e4)
    y_pred = given.net(given.x)
    assert ((y_pred == 0) | (y_pred == 1)).mean() > 0.9
    assert not np.isfinite(given.loss(y_pred.copy(), given.y))  # what the output alone can say
    exact_cost, exact = reference.value_and_gradient(
        given.oracle, given.exact_loss, given.x, given.y
    )
    assert exact_cost > 100
    cost, gradient = given.five_steps()
    assert_close(cost, exact_cost, given.bound)
    assert_close(gradient, exact, given.bound)
    one_cost, one_gradient = mk.value_and_gradient(given.net, given.loss, given.x, given.y)
    assert one_cost == cost
    assert_same_bits(one_gradient, gradient)


@pytest.mark.parametrize("name", ["sigmoid", "softargmax"])
def test_gradient_is_the_difference(name: str, dtype: type) -> None:
    """One sample, s far out: the bias' gradient is y_pred - y, the cost |s| of the miss."""
    activation, loss = PAIRS[name][0][0], getattr(mk, PAIRS[name][1][0])()
    net = mk.Chain(mk.Linear(1, 2, dtype=dtype), mk.activation(activation))
    net.layers[0].w[...] = [[1e4, -1e4]]
    net.layers[0].b[...] = 0
    y = np.array([1]) if name == "softargmax" else np.array([[0, 1]], dtype)
    y_pred = net(np.ones((1, 1), dtype))
    assert y_pred.tolist() == [[1, 0]]
    assert loss(y_pred, y) == 2e4  # s1 - s2, and |s1| + |s2|
    net.zero_grad()
    dx = net.backward(loss.gradient(y_pred, y))
    assert net.layers[0].db.tolist() == [1, -1]
    assert net.layers[0].dw.tolist() == [[1, -1]]
    assert dx.tolist() == [[2e4]]


@pytest.mark.parametrize("optimizer", mk.OPTIMIZERS)
@pytest.mark.parametrize("scale", [1, 1e4])
def test_train_step_is_the_five_steps(name: str, optimizer: str, scale: float, dtype: type) -> None:
    five, one = Setting(name, dtype, scale=scale), Setting(name, dtype, scale=scale)
    opt_five, opt_one = (mk.OPTIMIZERS[optimizer](given.net) for given in (five, one))
    for _ in range(3):
        cost, gradient = five.five_steps()
        opt_five.step()
        assert mk.train_step(one.net, one.loss, opt_one, one.x, one.y) == cost
        assert_same_bits(one.net.gradients.copy(), gradient)
        assert_same_bits(one.net.parameters.copy(), five.net.parameters.copy())
        assert np.isfinite(one.net.parameters).all()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_sample_weights(name: str, dtype: type, reduction: str) -> None:
    given = Setting(name, dtype, reduction, scale=100)
    weight = np.random.default_rng(3).uniform(size=N)
    weight[4] = 0
    y_pred = given.net(given.x)
    cost = given.loss(y_pred, given.y, weight)
    given.net.zero_grad()
    given.net.backward(given.loss.gradient(y_pred, given.y, weight))
    one_cost, one = mk.value_and_gradient(given.net, given.loss, given.x, given.y, weight)
    assert one_cost == cost
    assert_same_bits(one, given.net.gradients.copy())
    plain_cost, plain = mk.value_and_gradient(given.net, given.loss, given.x, given.y)
    assert plain_cost != cost
    assert (plain != one).any()


def test_targets_of_probabilities(dtype: type) -> None:
    given = Setting("softargmax", dtype, scale=1e4)
    given.y = np.random.default_rng(3).dirichlet(np.ones(K), N).astype(dtype)
    exact_cost, exact = reference.value_and_gradient(
        given.oracle, given.exact_loss, given.x, given.y
    )
    cost, gradient = given.five_steps()
    assert_close(cost, exact_cost, given.bound)
    assert_close(gradient, exact, given.bound)


CHANGES: dict[str, Callable[[Array], Array]] = {
    "half": lambda dy: dy.dtype.type(0.5) * dy,
    "half in place": lambda dy: np.multiply(dy, dy.dtype.type(0.5), out=dy),
    "one element": lambda dy: np.put(dy, 4, 2) or dy,
    "reversed": lambda dy: dy[::-1],
    "copy": lambda dy: dy.copy(),
    "view": lambda dy: dy[:],
    "a list": lambda dy: np.array(dy.tolist(), dy.dtype),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_gradient_is_taken_as_it_is(
    name: str, dtype: type, change: Callable[[Array], Array]
) -> None:
    given = Setting(name, dtype)
    y_pred = given.net(given.x)
    dy = change(given.loss.gradient(y_pred, given.y))
    given.net.backward(dy)
    assert_close(given.net.gradients, given.exact_backward(dy), given.bound)


def test_scaled_gradients_are_scaled(name: str) -> None:
    given = Setting(name, np.float64)
    _, whole = given.five_steps()
    for scaled in (lambda dy: 0.5 * dy, lambda dy: np.multiply(dy, 0.5, out=dy)):
        given.net.zero_grad()
        given.net.backward(scaled(given.loss.gradient(given.net(given.x), given.y)))
        assert_close(given.net.gradients, 0.5 * whole, given.bound)
        assert np.abs(given.net.gradients - whole).max() > 0.1 * np.abs(whole).max()


def test_a_changed_output_is_taken_as_it_is(name: str, dtype: type) -> None:
    given = Setting(name, dtype)
    y_pred = given.net(given.x)
    y_pred[:, 0] = 0.25
    y_pred[:, 1:] = 0.5
    copied = y_pred.astype(np.float64)
    assert_close(given.loss(y_pred, given.y), given.exact_loss(copied, given.y), given.bound)
    dy = given.loss.gradient(y_pred, given.y)
    assert_close(dy, given.exact_loss.gradient(copied, given.y), given.bound)
    given.net.backward(dy)
    assert_close(given.net.gradients, given.exact_backward(dy), given.bound)


def test_views_and_copies_of_the_output(name: str, dtype: type) -> None:
    given = Setting(name, dtype)
    y_pred = given.net(given.x)
    exact = given.exact_loss(y_pred.astype(np.float64), given.y)
    for other in (y_pred.copy(), y_pred[:], np.asfortranarray(y_pred), y_pred.tolist()):
        if isinstance(other, list):
            other = np.array(other, dtype)
        assert_close(given.loss(other, given.y), exact, given.bound)
    part = y_pred[2:5]
    assert_close(
        given.loss(part, given.y[2:5]),
        given.exact_loss(part.astype(np.float64), given.y[2:5]),
        given.bound,
    )


def test_gradient_of_another_forward_pass(name: str, dtype: type) -> None:
    given = Setting(name, dtype)
    other_x = given.x[::-1] * dtype(1.5)
    y_pred = given.net(given.x)
    dy = given.loss.gradient(y_pred, given.y)
    later = given.net(other_x)
    given.net.backward(dy)  # belongs to the first pass; what is kept is the second
    assert_close(given.net.gradients, given.exact_backward(dy, other_x), given.bound)
    del later
    # the output of the first pass is no longer the network's last one
    exact = given.exact_loss(y_pred.astype(np.float64), given.y)
    assert_close(given.loss(y_pred, given.y), exact, given.bound)
    given.net.zero_grad()
    dy = given.loss.gradient(y_pred, given.y)
    given.net.backward(dy)
    assert_close(given.net.gradients, given.exact_backward(dy, other_x), given.bound)


def test_gradient_given_to_another_network(name: str, dtype: type) -> None:
    given, other = Setting(name, dtype), Setting(name, dtype)
    other.net.parameters[...] *= dtype(-0.7)
    other.oracle.parameters[...] = other.net.parameters
    y_pred, kept = given.net(given.x), other.net(other.x)
    dy = given.loss.gradient(y_pred, given.y)
    other.net.backward(dy)
    assert_close(other.net.gradients, other.exact_backward(dy), given.bound)
    given.net.backward(dy)  # and it still fits its own
    assert_close(given.net.gradients, given.exact_backward(dy), given.bound)
    del kept


def test_an_output_that_is_gone(name: str, dtype: type) -> None:
    given = Setting(name, dtype)
    y_pred = given.net(given.x)
    dy = given.loss.gradient(y_pred, given.y)
    del y_pred
    gc.collect()
    given.net.backward(dy)
    assert_close(given.net.gradients, given.exact_backward(dy), given.bound)


def test_a_gradient_that_is_gone(name: str, dtype: type) -> None:
    """Arrays made afterwards may stand at the same address; they are not taken for it."""
    given = Setting(name, dtype)
    y_pred = given.net(given.x)
    for _ in range(20):
        given.loss.gradient(y_pred, given.y)
        dy = np.ones((N, K), dtype)
        given.net.zero_grad()
        given.net.backward(dy)
        assert_close(given.net.gradients, given.exact_backward(dy), given.bound)


def test_the_other_loss_is_plain(dtype: type) -> None:
    """A squared error behind a sigmoid, and a loss from logits behind one, are as they say."""
    given = Setting("sigmoid", dtype)
    losses = [("SquaredError", {}), ("BinaryCrossEntropy", {"from_logits": True})]
    for kind, arguments in losses:
        loss, exact_loss = (getattr(lib, kind)(**arguments) for lib in (mk, reference))
        y_pred = given.net(given.x)
        exact = given.oracle(given.x.astype(np.float64))
        assert_close(loss(y_pred, given.y), exact_loss(exact, given.y), given.bound)
        given.net.zero_grad()
        given.net.backward(loss.gradient(y_pred, given.y))
        expected = given.exact_backward(exact_loss.gradient(exact, given.y))
        assert_close(given.net.gradients, expected, given.bound)
        _, gradient = mk.value_and_gradient(given.net, loss, given.x, given.y)
        assert_same_bits(gradient, given.net.gradients.copy())


def test_after_a_train_step_nothing_is_kept(name: str) -> None:
    given = Setting(name, np.float32)
    y_pred = given.net(given.x)
    dy = given.loss.gradient(y_pred, given.y)
    mk.train_step(given.net, given.loss, mk.SGD(given.net), given.x, given.y)
    with pytest.raises(RuntimeError, match="called first"):
        given.net.backward(dy)
    exact = given.exact_loss(y_pred.astype(np.float64), given.y)
    assert_close(given.loss(y_pred, given.y), exact, given.bound)


def test_the_pair_alone() -> None:
    """A network that is nothing but the activation: its logits are the input."""
    net, loss = mk.Chain(mk.Sigmoid()), mk.BinaryCrossEntropy(reduction="sum")
    x, y = np.array([[1e4, -1e4, 0]]), np.array([[0.0, 0.0, 1.0]])
    y_pred = net(x)
    assert loss(y_pred, y) == pytest.approx(1e4 + np.log(2), rel=1e-15)
    np.testing.assert_array_equal(net.backward(loss.gradient(y_pred, y)), [[1, 0, -0.5]])


def test_a_single_sample(name: str, dtype: type) -> None:
    given = Setting(name, dtype, scale=1e4)
    y_pred = given.net(given.x[0])
    y = given.y[0] if given.y.ndim == 2 else np.asarray(given.y[0])
    assert np.isfinite(given.loss(y_pred, y))
    given.net.backward(given.loss.gradient(y_pred, y))
    row, target = given.x[:1], given.y[:1]
    cost, gradient = mk.value_and_gradient(given.net, given.loss, row, target)
    assert given.loss(given.net(given.x[0]), y) == cost
    assert_same_bits(given.net.gradients.copy(), gradient)


@pytest.mark.parametrize("keep", [False, True])
def test_nothing_is_remembered_of_arrays_that_are_gone(keep: bool) -> None:
    given = Setting("sigmoid", np.float32)
    gc.collect()
    before = len(pairs._outputs), len(pairs._gradients)
    kept: list[Array] = []
    for _ in range(50):
        y_pred = given.net(given.x)
        dy = given.loss.gradient(y_pred, given.y)
        if keep:
            kept += [y_pred, dy]
    kept.clear()
    del y_pred, dy
    gc.collect()
    assert (len(pairs._outputs), len(pairs._gradients)) == before
