"""`trace`: every name and shape, against math.md, section 3, written out here in float64.

Nothing of the package is used to compute what is expected: the formulas of activations, costs and
derivatives stand in this file as the mathematics has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_close, assert_same_bits, gamma
from test_models import FIVE, Named

Array = Any
DEPTHS = {1: [4, 3], 2: [4, 5, 3], 3: [4, 6, 5, 3], 4: [4, 6, 5, 2, 3]}


@pytest.fixture(params=FIVE)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=DEPTHS)
def depth(request: pytest.FixtureRequest) -> int:
    return request.param


def relu3(s: Array) -> Array:
    return 3 * np.maximum(s, 0)


def diagonal(d: Array) -> Array:
    """Matrices with the rows of d on their diagonals."""
    return d[:, :, None] * np.eye(d.shape[1])


def sigmoid(s: Array) -> Array:
    return 1 / (1 + np.exp(-s))


def softargmax(s: Array) -> Array:
    e = np.exp(s - s.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


# name: f(s), and its Jacobian from s and a
FUNCTIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "3relu": (relu3, lambda s, a: diagonal(np.where(s > 0, 3.0, 0.0))),
    "relu": (lambda s: np.maximum(s, 0), lambda s, a: diagonal(np.where(s > 0, 1.0, 0.0))),
    "tanh": (np.tanh, lambda s, a: diagonal(1 - a**2)),
    "identity": (lambda s: s + 0, lambda s, a: diagonal(np.ones_like(s))),
    "sigmoid": (sigmoid, lambda s, a: diagonal(a * (1 - a))),
    "softargmax": (softargmax, lambda s, a: diagonal(a) - a[:, :, None] * a[:, None, :]),
}
# C of one sample and its gradient; targets (n, K)
COSTS: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    "SquaredError": (lambda p, y: ((y - p) ** 2).sum(1), lambda p, y: 2 * (p - y)),
    "BinaryCrossEntropy": (
        lambda p, y: -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(1),
        lambda p, y: (1 - y) / (1 - p) - y / p,
    ),
    "CrossEntropy": (lambda p, y: -(y * np.log(p)).sum(1), lambda p, y: -y / p),
}


def expected_trace(
    net: mk.Map, hidden: str, output: str, cost: str, x: Array, y: Array, mean: bool
) -> dict[str, Array]:
    """Every value of a pass by its name, in float64."""
    t: dict[str, Array] = {"x": x.astype(np.float64), "y": y}
    linears = net._linears()
    depth, value = len(linears), t["x"]
    for i, f in enumerate(linears, 1):
        t[f"W{i}"] = f.w.astype(np.float64)
        t[f"b{i}"] = f.b.astype(np.float64)
        t[f"s{i}"] = value @ t[f"W{i}"] + t[f"b{i}"]
        function, jacobian = FUNCTIONS[output if i == depth else hidden]
        value = function(t[f"s{i}"])
        a = "y_pred" if i == depth else f"a{i}"
        t[a] = value
        t[f"d{a}/ds{i}"] = jacobian(t[f"s{i}"], value)
    one_hot = np.eye(value.shape[1])[y] if y.ndim == 1 else y.astype(np.float64)
    share = 1 / len(x) if mean else 1.0
    t["C"] = COSTS[cost][0](value, one_hot).sum() * share
    delta = t["dC/dy_pred"] = COSTS[cost][1](value, one_hot) * share
    a = "y_pred"
    for i in range(depth, 0, -1):
        delta = t[f"dC/ds{i}"] = np.einsum("nk,nkl->nl", delta, t[f"d{a}/ds{i}"])
        a = f"a{i - 1}" if i > 1 else "x"
        t[f"dC/dW{i}"] = t[a].T @ delta
        t[f"dC/db{i}"] = delta.sum(0)
        t[f"ds{i}/d{a}"] = t[f"W{i}"].T
        delta = t[f"dC/d{a}"] = delta @ t[f"W{i}"].T
    return t


class Given:
    def __init__(
        self, kind: str, depth: int, dtype: Any = np.float32, n: int = 6, reduction: str = "mean"
    ) -> None:
        self.named: Named = FIVE[kind]
        rng = np.random.default_rng(depth)
        sizes = DEPTHS[depth]
        self.net = self.named.net(mk, sizes, dtype)
        self.loss = self.named.cost(mk, reduction=reduction)
        self.x = rng.normal(size=(n, sizes[0])).astype(dtype)
        self.y = self.named.targets(rng, n, sizes[-1], dtype)
        hidden = "3relu" if kind == "regression" else self.named.hidden
        self.expected = expected_trace(
            self.net,
            hidden,
            self.named.output,
            self.named.loss,
            self.x,
            self.y,
            reduction == "mean",
        )
        self.t = self.net.trace(self.x, self.y, self.loss)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_every_value(kind: str, depth: int, reduction: str, dtype: type) -> None:
    given = Given(kind, depth, dtype, reduction=reduction)
    assert set(given.t) == set(given.expected)
    # the longest path: forward and backward through every layer (widths to 6), 1/y_pred of 1/0.05
    bound = gamma(depth * 2 * (6 + 20) + 20 * 8, dtype)
    for name, exact in given.expected.items():
        if name != "y":
            assert_close(np.asarray(given.t[name]), np.asarray(exact), bound)


def test_names_and_shapes(kind: str, depth: int) -> None:
    """The list of the issue, for any depth: n rows, D inputs, L hidden units, K outputs."""
    given, n = Given(kind, depth), 6
    D, *hidden, K = DEPTHS[depth]
    shapes: dict[str, tuple[int, ...]] = {
        "x": (n, D),
        "y": (n,) if kind == "multi_class" else (n, K),
        "y_pred": (n, K),
        "C": (),
        "dC/dy_pred": (n, K),
        f"dy_pred/ds{depth}": (n, K, K),
        "dC/dx": (n, D),
        "ds1/dx": (DEPTHS[depth][1], D),
    }
    sizes = DEPTHS[depth]
    for i, L in enumerate(sizes[1:], 1):
        shapes |= {f"W{i}": (sizes[i - 1], L), f"dC/dW{i}": (sizes[i - 1], L)}
        shapes |= {f"b{i}": (L,), f"dC/db{i}": (L,), f"s{i}": (n, L), f"dC/ds{i}": (n, L)}
    for i, L in enumerate(hidden, 1):
        shapes |= {f"a{i}": (n, L), f"da{i}/ds{i}": (n, L, L), f"dC/da{i}": (n, L)}
        shapes |= {f"ds{i + 1}/da{i}": (sizes[i + 1], L)}
    assert {name: np.shape(value) for name, value in given.t.items()} == shapes
    assert len(given.t) == len(shapes)
    assert isinstance(given.t["C"], float)


def test_products_along_the_chain(kind: str, depth: int) -> None:
    """Each dC/d... is the one behind it times the Jacobian between them."""
    given = Given(kind, depth, np.float64)
    t, bound = given.t, gamma(400, np.float64)
    a = "y_pred"
    for i in range(depth, 0, -1):
        ds = np.einsum("nk,nkl->nl", t[f"dC/d{a}"], t[f"d{a}/ds{i}"])
        assert_close(t[f"dC/ds{i}"], ds, bound)
        a = f"a{i - 1}" if i > 1 else "x"
        assert_close(t[f"dC/d{a}"], t[f"dC/ds{i}"] @ t[f"ds{i}/d{a}"], bound)
        assert_close(t[f"dC/dW{i}"], t[a].T @ t[f"dC/ds{i}"], bound)
        assert_close(t[f"dC/db{i}"], t[f"dC/ds{i}"].sum(0), bound)


def test_gradients_are_those_of_backward(kind: str, depth: int, dtype: type) -> None:
    given = Given(kind, depth, dtype)
    y_pred = given.net(given.x)
    assert_same_bits(given.t["y_pred"], y_pred)
    assert given.t["C"] == given.loss(y_pred, given.y)
    dx = given.net.backward(given.loss.gradient(y_pred, given.y))
    bound = gamma(depth * 2 * (6 + 20), dtype)
    assert_close(given.t["dC/dx"], dx, bound)
    parts = [given.t[f"dC/d{p}{i}"].ravel() for i in range(1, depth + 1) for p in "Wb"]
    assert_close(np.concatenate(parts), given.net.gradients, bound)


def test_the_network_stays_as_it_is(kind: str) -> None:
    given = Given(kind, 3)
    net = given.net
    y_pred = net(given.x)
    net.gradients[...] = 5
    parameters, copies = net.parameters.copy(), (given.x.copy(), given.y.copy())
    t = net.trace(given.x[:2], given.y[:2], given.loss)
    assert (net.gradients == 5).all()
    assert_same_bits(net.parameters.copy(), parameters)
    assert_same_bits(given.x, copies[0])
    np.testing.assert_array_equal(given.y, copies[1])
    assert net.backward(np.ones_like(y_pred)).shape == given.x.shape  # what was kept is still there
    for name in ("W1", "b1", "ds1/dx"):
        t[name][...] = 7  # copies
    assert_same_bits(net.parameters.copy(), parameters)


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows(kind: str, n: int) -> None:
    given = Given(kind, 2, n=n, reduction="sum")
    assert given.t["da1/ds1"].shape == (n, 5, 5)
    assert_close(given.t["dC/dW1"], given.expected["dC/dW1"], gamma(300, np.float32))


def test_saturated_pairs() -> None:
    """The pair's form gives the cost and dC/ds where y_pred alone no longer can."""
    for kind, y in (("classification", np.float32([[1, 0, 0]])), ("multi_class", np.array([0]))):
        net = FIVE[kind].net(mk, [1, 3])
        net.layers[0].w[...] = [[-1e4, 1e4, -1e4]]
        net.layers[0].b[...] = 0
        t = net.trace(np.ones((1, 1), np.float32), y, FIVE[kind].cost(mk))
        assert t["y_pred"].tolist() == [[0, 1, 0]]
        assert t["dC/ds1"].tolist() == [[-1, 1, 0]]
        assert t["C"] == 2e4


def test_without_a_bias_and_without_activations() -> None:
    f, g = mk.Linear(3, 4, bias=False), mk.Linear(4, 2)
    x, y = np.ones((5, 3), np.float32), np.zeros((5, 2), np.float32)
    t = mk.Chain(f, mk.Chain(g)).trace(x, y, mk.SquaredError())
    assert "b1" not in t
    assert "dC/db1" not in t
    assert_same_bits(t["a1"], t["s1"])
    assert_close(t["y_pred"], x @ f.w.astype(np.float64) @ g.w + g.b, gamma(40, np.float32))
    np.testing.assert_array_equal(t["da1/ds1"], np.broadcast_to(np.eye(4), (5, 4, 4)))


def test_a_shared_map_is_traced_where_it_stands(rng: np.random.Generator) -> None:
    f = mk.Linear(3, 3, dtype=np.float64)
    net = mk.Chain(f, mk.Tanh(), f)
    x, y = rng.normal(size=(2, 5, 3))
    t = net.trace(x, y, mk.SquaredError())
    y_pred = net(x)
    net.backward(mk.SquaredError().gradient(y_pred, y))
    both = np.concatenate([(t[f"dC/d{p}1"] + t[f"dC/d{p}2"]).ravel() for p in "Wb"])
    assert_close(both, net.gradients, gamma(100, np.float64))


@pytest.mark.parametrize("output", ["LogSoftargmax", "Hardsigmoid", "Squareplus"])
def test_the_table(kind: str, depth: int, output: str) -> None:
    given = Given(kind, depth)
    long = mk.Chain(*given.net.layers[:-1], mk.activation(output)).copy()
    y = np.zeros((6, 3), np.float32)
    check_table(given.t)
    check_table(long.trace(given.x, y, mk.MeanSquaredError()))


def test_the_table_of_wide_layers() -> None:
    x, y = np.ones((2, 12), np.float32), np.zeros((2, 3), np.float32)
    check_table(mk.MLP([12, 1000, 1000, 3]).trace(x, y, mk.PoissonNLL(reduction="sum")))


def check_table(t: mk.Trace) -> None:
    lines = str(t).splitlines()
    assert repr(t) == str(t)
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:]] == list(t)
    assert lines[0].split()[:3] == ["name", "is", "shape"]
    assert all(line == line.rstrip() for line in lines)
    for line, (name, value) in zip(lines[2:], t.items(), strict=True):
        assert ("number" if np.ndim(value) == 0 else str(np.shape(value))) in line, name


def test_the_table_shows_values() -> None:
    given = Given("regression", 1)
    line = next(line for line in str(given.t).splitlines() if line.startswith("s1 "))
    assert f"{given.t['s1'][0, 0]:.4g}" in line.split("(6, 3)")[1]
    line = next(line for line in str(given.t).splitlines() if line.startswith("C "))
    assert f"{given.t['C']:.4g}" in line


def test_a_mapping() -> None:
    t = Given("regression", 2).t
    assert "s1" in t
    assert "s3" not in t
    assert list(t.keys()) == list(t)
    with pytest.raises(KeyError, match=r"name must be one of x, y, W1, .*; got 's9'"):
        t["s9"]


def wrong_networks() -> Iterator[Any]:
    f, g = mk.Linear(3, 3), mk.Linear(3, 3)
    yield pytest.param(mk.Sum(f, g), id="sum")
    yield pytest.param(mk.Chain(f.copy(), mk.Sum(g.copy(), mk.Identity())), id="sum inside")
    yield pytest.param(mk.Chain(f.copy(), mk.Tanh(), mk.Tanh()), id="two activations")
    yield pytest.param(mk.Chain(mk.Tanh(), f.copy()), id="activation first")
    yield pytest.param(mk.Chain(mk.Tanh()), id="no linear map")
    yield pytest.param(mk.Tanh(), id="activation")


@pytest.mark.parametrize("net", list(wrong_networks()))
def test_wrong_networks(net: mk.Map) -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"^trace: net must .*; got "):
        net.trace(x, x, mk.SquaredError())
