"""Every derivative of random networks against the oracles: chains, sums, layers that occur again.

A seed makes a tree of maps over a few widths, with activations of any smooth kind; float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import compare
import derivative_cases as cases
import mlpkern as mk
from derivative_cases import oracle, points
from mlpkern import reference as ref

Array = Any
FIRST, SECOND, THIRD = 1e-11, 1e-9, 1e-9
SMOOTH = [cls() for cls in cases.SMOOTH if cls is not mk.Exp]  # which grows out of all bounds


class Grower:
    """Draws a map of so many inputs and outputs."""

    def __init__(self, seed: int, by_rows: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.linears: list[Any] = []
        self.activations = [f for f in SMOOTH if by_rows or not f.by_rows]

    def linear(self, D: int, K: int) -> Any:
        fitting = [f for f in self.linears if (f.inputs, f.outputs) == (D, K)]
        if fitting and self.rng.random() < 0.4:
            return fitting[self.rng.integers(len(fitting))]
        bias, seed = bool(self.rng.random() < 0.7), int(self.rng.integers(1000))
        self.linears.append(mk.Linear(D, K, bias, np.float64, seed))
        return self.linears[-1]

    def activation(self) -> Any:
        return self.activations[self.rng.integers(len(self.activations))]

    def map(self, D: int, K: int, depth: int) -> Any:
        kind = self.rng.random()
        if depth == 0 or kind < 0.1:
            return self.linear(D, K)
        if D == K and kind < 0.3:
            return self.activation()
        if kind < 0.55:
            return mk.Sum(*[self.map(D, K, depth - 1) for _ in range(self.rng.integers(1, 4))])
        middle = int(self.rng.choice([1, 3, 4]))
        return mk.Chain(self.map(D, middle, depth - 1), self.activation(), self.map(middle, K, 1))


def grown(seed: int, by_rows: bool) -> tuple[Any, Array]:
    """A network 3 -> 2 with parameters, and a batch."""
    grower = Grower(seed, by_rows)
    net = mk.Chain(grower.map(3, 4, 2), grower.activation(), grower.map(4, 2, 2))
    if grower.rng.random() < 0.5:
        net = mk.Chain(net, grower.activation())
    return net, points(net, 4, 3, np.float64, seed=seed)


@pytest.mark.parametrize("seed", range(25))
def test_by_the_input(seed: int) -> None:
    net, x = grown(seed, by_rows=True)
    twin, rng = oracle(net), np.random.default_rng(seed)
    y = net.predict(x)
    v, g = rng.normal(size=x.shape), rng.normal(size=y.shape)
    compare.assert_close(mk.jacobian(net, x), ref.jacobian(twin, x), FIRST)
    compare.assert_close(mk.jvp(net, x, v)[1], ref.jvp(twin, x, v)[1], FIRST)
    compare.assert_close(mk.vjp(net, x, g)[1], ref.vjp(twin, x, g)[1], FIRST)
    lin = mk.linearize(net, x)
    compare.assert_close(lin.jvp(v), ref.jvp(twin, x, v)[1], FIRST)
    compare.assert_close(lin.vjp(g), ref.vjp(twin, x, g)[1], FIRST)
    lines = rng.normal(size=(2, 3))
    curved = ref.input_hessian(twin, x)
    compare.assert_close(mk.input_hessian(net, x), curved, SECOND)
    along = mk.derivatives(net, x, directions=lines).u_xx
    exact = np.einsum("nkde,md,me->nkm", curved, lines, lines)
    compare.assert_within(along, exact, SECOND * 10 * np.abs(curved).max())


@pytest.mark.parametrize("seed", range(25))
def test_by_the_parameters(seed: int) -> None:
    net, x = grown(seed, by_rows=True)
    twin, rng = oracle(net), np.random.default_rng(seed)
    compare.assert_close(mk.parameter_jacobian(net, x), ref.parameter_jacobian(twin, x), FIRST)
    y, v = rng.normal(size=(4, 2)), rng.normal(size=twin.parameters.size)
    losses, weight = (mk.SquaredError(), ref.SquaredError()), np.array([1, 0, 2, 0.5])
    rows = ref.per_sample_gradients(twin, losses[1], x, y)
    compare.assert_close(mk.per_sample_gradients(net, losses[0], x, y), rows, FIRST)
    norms = mk.per_sample_gradient_norms(net, losses[0], x, y)
    compare.assert_close(norms, np.linalg.norm(rows, axis=1), FIRST)
    for name in ("hvp", "ggnvp"):
        got = getattr(mk, name)(net, losses[0], x, y, v, weight)
        exact = getattr(ref, name)(twin, losses[1], x, y, v, weight)
        compare.assert_close(got, exact, SECOND)


@pytest.mark.parametrize("seed", range(100, 112))
@pytest.mark.parametrize("along", [False, True])
def test_back_from_second_derivatives(seed: int, along: bool) -> None:
    net, x = grown(seed, by_rows=False)
    twin, rng = oracle(net), np.random.default_rng(seed)
    directions = rng.normal(size=(2, 3)) if along else None
    d, exact = (lib.derivatives(f, x, 2, directions) for lib, f in ((mk, net), (ref, twin)))
    weights = [rng.normal(size=a.shape) for a in (exact.u, exact.u_x, exact.u_xx)]
    for result, f in ((d, net), (exact, twin)):
        f.zero_grad()
        result.backward(*weights)
    compare.assert_close(net.gradients.copy(), twin.gradients, THIRD)


def test_the_networks_differ() -> None:
    """Sums, layers that occur again, layers without a bias, activations by rows: all are there."""
    texts = [repr(grown(seed, by_rows=True)[0]) for seed in range(40)]
    assert len(set(texts)) == 40
    for part in ("Sum(", "Softargmax", "LogSoftargmax", "bias=False", "Chain(Chain", "Sum(Chain"):
        assert sum(part in text for text in texts) >= 3, part
    shared = [
        net.config()
        for net, _ in (grown(seed, by_rows=True) for seed in range(40))
        if "Shared" in str(net.config())
    ]
    assert len(shared) >= 5
