"""Networks against the oracles: passes, flat arrays, who owns what, copies, configs.

The bound: a number that went through N roundings is off by a walk of N steps of u, about sqrt(N) u,
and sums of terms of both signs cancel by about as much again: gamma(N) of the largest exact value.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_close, assert_same_bits, gamma
from mlpkern import reference

Array = Any


@dataclass(frozen=True)
class Named:
    """A network of math.md, section 1: its activations, and the cost that it is trained with."""

    hidden: str
    output: str
    loss: str
    parameters: dict[str, float] = field(default_factory=dict)

    def net(self, lib: ModuleType, sizes: list[int], dtype: Any = np.float32) -> Any:
        hidden = lib.activation(self.hidden, **self.parameters)
        return lib.MLP(sizes, hidden=hidden, output=self.output, dtype=dtype)

    def cost(self, lib: ModuleType, **arguments: Any) -> Any:
        return getattr(lib, self.loss)(**arguments)

    def targets(self, rng: np.random.Generator, n: int, K: int, dtype: Any) -> Array:
        if self.loss == "CrossEntropy":
            return rng.integers(0, K, n)
        if self.loss == "BinaryCrossEntropy":
            return rng.integers(0, 2, (n, K)).astype(dtype)
        return rng.uniform(size=(n, K)).astype(dtype)


FIVE = {
    "regression": Named("relu", "identity", "SquaredError", {"scale": 3.0}),
    "squashed_regression": Named("tanh", "sigmoid", "SquaredError"),
    "classification": Named("tanh", "sigmoid", "BinaryCrossEntropy"),
    "classification_rectified": Named("relu", "sigmoid", "BinaryCrossEntropy"),
    "multi_class": Named("tanh", "softargmax", "CrossEntropy"),
}


@pytest.fixture(params=FIVE.values(), ids=FIVE)
def named(request: pytest.FixtureRequest) -> Named:
    return request.param


def roundings(net: mk.Map, n: int) -> int:
    """Of the longest path: forward and backward through every layer, then the sum over the rows."""
    return sum(2 * (f.inputs + f.outputs + 8) for f in net._linears()) + n + 16


def assert_passes(
    net: mk.Map, oracle: Any, x: Array, dy: Array, bound: float, parameters: bool = True
) -> None:
    """Forward, predict, backward and both flat gradients are the oracle's."""
    exact = oracle(x.astype(np.float64))
    assert_close(net.predict(x), exact, bound)
    assert_close(net(x), exact, bound)
    dx = net.backward(dy)
    exact_dx = oracle.backward(dy.astype(np.float64))
    assert dx is not None
    assert dx.dtype == x.dtype
    assert_close(dx, exact_dx, bound)
    if parameters:
        assert_close(net.gradients, oracle.gradients, bound)


def pair(build: Callable[[ModuleType], Any], seed: int = 1) -> tuple[Any, Any]:
    """The same network twice, of the package and of the oracles, with equal parameters."""
    net, oracle = build(mk), build(reference)
    size = net.parameters.size
    assert oracle.parameters.shape == (size,)
    net.parameters[...] = np.random.default_rng(seed).normal(0, 0.6, size)
    oracle.parameters[...] = net.parameters
    return net, oracle


@pytest.mark.parametrize("sizes", [[4, 2], [5, 7, 3], [3, 17, 9, 2], [6, 5, 5, 5, 4]], ids=str)
@pytest.mark.parametrize("n", [1, 7, 300])
def test_five_networks(
    named: Named, dtype: type, sizes: list[int], n: int, rng: np.random.Generator
) -> None:
    net, oracle = pair(lambda lib: named.net(lib, sizes, dtype))
    x = rng.normal(size=(n, sizes[0])).astype(dtype)
    dy = rng.normal(size=(n, sizes[-1])).astype(dtype)
    assert_passes(net, oracle, x, dy, gamma(roundings(net, n), dtype))


def shared_in_chain(lib: ModuleType, dtype: Any) -> Any:
    f = lib.Linear(4, 4, dtype=dtype)
    return lib.Chain(f, lib.Tanh(), f, lib.Sigmoid(), f)


def shared_in_sum(lib: ModuleType, dtype: Any) -> Any:
    f = lib.Linear(4, 3, dtype=dtype)
    return lib.Sum(f, f)


def residual(lib: ModuleType, dtype: Any) -> Any:
    f, g = lib.Linear(4, 6, dtype=dtype), lib.Linear(6, 4, bias=False, dtype=dtype)
    return lib.Sum(lib.Chain(f, lib.Tanh(), g), lib.Identity())


def nested(lib: ModuleType, dtype: Any) -> Any:
    f, g = lib.Linear(4, 4, dtype=dtype), lib.Linear(4, 4, dtype=dtype)
    inner = lib.Sum(f, lib.Chain(g, lib.Softplus(), f))
    return lib.Chain(
        lib.Sine(), inner, lib.Tanh(), lib.Sum(g, inner, lib.Identity()), lib.Softargmax()
    )


def no_bias(lib: ModuleType, dtype: Any) -> Any:
    f = lib.Linear(4, 5, bias=False, dtype=dtype)
    return lib.Chain(f, lib.SiLU(), lib.Linear(5, 2, False, dtype))


def alone(lib: ModuleType, dtype: Any) -> Any:
    return lib.Linear(4, 3, dtype=dtype)


def standardized(lib: ModuleType, dtype: Any) -> Any:
    f, g = lib.Linear(4, 4, dtype=dtype), lib.Standardize([0, 1, 0.5, -1], [2, 0.5, -0.8, 1])
    return lib.Chain(g, lib.Sum(g, lib.Chain(f, lib.Tanh(), g)), f, g)


STRUCTURES = [shared_in_chain, shared_in_sum, residual, nested, no_bias, alone, standardized]


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [1, 5, 200])
def test_structures(
    structure: Callable[..., Any], dtype: type, n: int, rng: np.random.Generator
) -> None:
    net, oracle = pair(lambda lib: structure(lib, dtype))
    x = rng.normal(size=(n, 4)).astype(dtype)
    dy = rng.normal(size=oracle(x).shape).astype(dtype)
    # a map that occurs twice is on the path twice
    assert_passes(net, oracle, x, dy, gamma(4 * roundings(net, n), dtype))


def test_without_parameters(dtype: type, rng: np.random.Generator) -> None:
    net = mk.Sum(mk.Chain(mk.Tanh(), mk.Sine(2.0)), mk.Identity())
    oracle = reference.Sum(
        reference.Chain(reference.Tanh(), reference.Sine(2.0)), reference.Identity()
    )
    for shape in [(3, 4), (2, 5)]:  # any number of columns
        x, dy = (rng.normal(size=shape).astype(dtype) for _ in range(2))
        assert_passes(net, oracle, x, dy, gamma(20, dtype), parameters=False)
    assert net.parameters.size == net.gradients.size == 0


def test_without_parameters_keeps_the_pass(rng: np.random.Generator) -> None:
    """zero_grad and predict leave what net(x) kept, as they do in a network with parameters."""
    net = mk.Chain(mk.Tanh(), mk.Tanh())
    x, dy = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    net(x)
    expected = net.backward(dy)
    net(x)
    net.zero_grad()
    assert_same_bits(net.backward(dy), expected)
    net(x)
    net.predict(rng.normal(size=(2, 7)))
    assert_same_bits(net.backward(dy), expected)


def test_a_shared_map_counts_once(dtype: type) -> None:
    net = shared_in_chain(mk, dtype)
    f = net.layers[0]
    assert net.parameters.size == f.w.size + f.b.size == 20
    assert np.shares_memory(net.parameters, f.w)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda f: f.__name__)
def test_adjointness(structure: Callable[..., Any], rng: np.random.Generator) -> None:
    """<J v, g> = <v, J'g>, with J v by differences: h^2 f''' and u/h are both below 1e-9."""
    net, _ = pair(lambda lib: structure(lib, np.float64))
    x, v = rng.normal(size=(2, 6, 4))
    p = rng.normal(size=net.parameters.size)
    g = rng.normal(size=net.predict(x).shape)
    h = 1e-5
    net(x)
    dx = net.backward(g)
    along_x = (net.predict(x + h * v) - net.predict(x - h * v)) / (2 * h)
    np.testing.assert_allclose(np.vdot(along_x, g), np.vdot(v, dx), rtol=1e-7)
    start = net.parameters.copy()
    net.parameters[...] = start + h * p
    ahead = net.predict(x)
    net.parameters[...] = start - h * p
    along_p = (ahead - net.predict(x)) / (2 * h)
    np.testing.assert_allclose(np.vdot(along_p, g), np.vdot(p, net.gradients), rtol=1e-7)


def test_flat_arrays_are_views_in_order(dtype: type) -> None:
    net = mk.MLP([3, 4, 2], dtype=dtype)
    f, g = net.layers[0], net.layers[2]
    numbers = np.arange(net.parameters.size)
    net.parameters[...] = numbers
    parts = [f.w.ravel(), f.b, g.w.ravel(), g.b]
    np.testing.assert_array_equal(np.concatenate(parts), numbers)
    assert [f.w.shape, f.b.shape, g.w.shape, g.b.shape] == [(3, 4), (4,), (4, 2), (2,)]
    net.gradients[...] = -numbers
    parts = [f.dw.ravel(), f.db, g.dw.ravel(), g.db]
    np.testing.assert_array_equal(np.concatenate(parts), -numbers)
    for f_, name in ((f, "w"), (f, "b"), (g, "w"), (g, "b")):
        assert np.shares_memory(getattr(f_, name), net.parameters)
        assert np.shares_memory(getattr(f_, "d" + name), net.gradients)
    assert net.parameters.flags.c_contiguous
    assert net.parameters.dtype == net.gradients.dtype == net.dtype == dtype


def test_without_bias() -> None:
    f = mk.Linear(3, 2, bias=False)
    assert f.b is None
    assert f.db is None
    assert f.parameters.size == 6
    with pytest.raises(ValueError, match="bias=False"):
        f.b = np.zeros(2)


def test_writing_into_w_changes_the_network_at_once(rng: np.random.Generator) -> None:
    net = mk.MLP([3, 4, 2], output="sigmoid")
    x = rng.normal(size=(5, 3)).astype(np.float32)
    before = net.predict(x)
    net(x)
    f = net.layers[2]
    f.w[...] = 0
    f.b[...] = 0
    assert (before != 0.5).all()
    assert (net.predict(x) == 0.5).all()
    assert (net(x) == 0.5).all()
    f.b = [100, -100]
    assert (net.predict(x) == np.float32([1, mk.Sigmoid()(np.float32([-100]))[0]])).all()


def test_w_is_read_anew_after_composing(rng: np.random.Generator) -> None:
    f = mk.Linear(3, 3)
    f.dw[...] = 2
    old, values = f.w, f.w.copy()
    net = mk.Chain(f, mk.Tanh(), mk.Linear(3, 1))
    assert_same_bits(f.w, values)
    assert (f.dw == 2).all()  # gradients move along
    assert np.shares_memory(f.w, net.parameters)
    assert not np.shares_memory(old, net.parameters)
    x = rng.normal(size=(4, 3)).astype(np.float32)
    before = net.predict(x)
    old[...] = 0
    assert_same_bits(net.predict(x), before)
    f.w[...] = 0
    assert (net.predict(x) != before).any()


def test_backward_after_composing_reaches_the_gradients(rng: np.random.Generator) -> None:
    """Composing moves the arrays; a pass kept before must not add to those left behind."""
    net = mk.Linear(3, 2)
    x = rng.normal(size=(4, 3)).astype(np.float32)
    dy = np.ones((4, 2), np.float32)
    net(x)
    outer = mk.Chain(net, mk.Tanh())
    try:
        net.backward(dy)
    except RuntimeError:
        return
    assert (outer.gradients[-2:] == 4).all()


def test_sub_composites_are_slices() -> None:
    inner = mk.MLP([3, 4, 3])
    net = mk.Chain(mk.Linear(2, 3), inner, mk.Linear(3, 1, bias=False))
    assert inner.parameters.size == 31
    assert_same_bits(inner.parameters.copy(), net.parameters[9:40])
    inner.parameters[...] = 5
    assert (net.parameters[9:40] == 5).all()
    inner.gradients[...] = 7
    assert (net.gradients[9:40] == 7).all()
    assert (net.gradients[:9] == 0).all()
    assert (net.gradients[40:] == 0).all()


def test_maps_of_other_networks(rng: np.random.Generator) -> None:
    """They compute, without flat arrays; who asks for those is told who owns what."""
    f, g = mk.Linear(3, 3), mk.Linear(3, 3, seed=1)
    owner = mk.Chain(f, mk.Tanh())
    guest = mk.Chain(f, mk.Sigmoid(), g)
    oracle = reference.Chain(reference.Linear(3, 3), reference.Sigmoid(), reference.Linear(3, 3))
    oracle.parameters[...] = np.concatenate([f.parameters, g.parameters])
    x, dy = rng.normal(size=(2, 5, 3)).astype(np.float32)
    bound = gamma(roundings(guest, 5), np.float32)
    assert_passes(guest, oracle, x, dy, bound, parameters=False)
    assert_close(np.concatenate([f.gradients, g.gradients]), oracle.gradients, bound)
    assert_close(owner.gradients, oracle.gradients[:12], bound)
    guest.zero_grad()
    assert (f.gradients == 0).all()
    assert (g.gradients == 0).all()
    told = r"Linear\(3, 3\) belongs to Chain\(Linear\(3, 3\), Tanh\(\)\)"
    for ask in (lambda: guest.parameters, lambda: guest.gradients, lambda: mk.SGD(guest)):
        with pytest.raises(ValueError, match=told + r".*copy\(\) makes a map of one's own"):
            ask()
    own = guest.copy()
    assert_same_bits(own.parameters, np.concatenate([f.parameters, g.parameters]))
    assert_same_bits(own.predict(x), guest.predict(x))
    own.parameters[...] = 0
    assert (f.w != 0).all()
    cost, gradient = mk.value_and_gradient(guest, mk.SquaredError(), x, dy)
    assert np.isfinite(cost)
    assert gradient.shape == (24,)


def test_a_map_of_a_network_that_is_gone_is_free() -> None:
    f = mk.Linear(3, 3)
    net = mk.Chain(f, mk.Tanh())
    del net
    gc.collect()
    assert mk.Chain(f, mk.Sigmoid()).parameters.shape == (12,)


def test_a_map_that_two_networks_share(rng: np.random.Generator) -> None:
    f = mk.Linear(3, 3)
    first = mk.Chain(f, mk.Tanh())
    second = mk.Chain(f, mk.Identity())
    x = rng.normal(size=(2, 3)).astype(np.float32)
    first.parameters[...] = 0
    assert (second.predict(x) == 0).all()
    first(x), second(x)
    first.backward(np.ones((2, 3), np.float32))
    second.backward(np.ones((2, 3), np.float32))
    assert (f.db == 4).all()  # tanh'(0) = 1: two rows of each


def test_gradients_add_up_until_they_are_cleared(dtype: type, rng: np.random.Generator) -> None:
    net, oracle = pair(lambda lib: lib.MLP([4, 6, 3], output="sigmoid", dtype=dtype))
    bound = gamma(2 * roundings(net, 40), dtype)
    for n in (40, 11):
        x, dy = rng.normal(size=(n, 4)).astype(dtype), rng.normal(size=(n, 3)).astype(dtype)
        net(x), oracle(x)
        net.backward(dy), oracle.backward(dy)
        assert_close(net.gradients, oracle.gradients, bound)
    net.backward(dy), oracle.backward(dy)  # the same pass once more
    assert_close(net.gradients, oracle.gradients, bound)
    net.zero_grad()
    assert (net.gradients == 0).all()
    net.backward(dy)
    oracle.zero_grad(), oracle.backward(dy)
    assert_close(net.gradients, oracle.gradients, bound)


def test_need_dx(rng: np.random.Generator) -> None:
    net = nested(mk, np.float32)
    x, dy = rng.normal(size=(2, 9, 4)).astype(np.float32)
    net(x)
    assert net.backward(dy) is not None
    with_dx = net.gradients.copy()
    net.zero_grad()
    assert net.backward(dy, need_dx=False) is None
    assert_same_bits(net.gradients.copy(), with_dx)


def test_leading_dimensions(dtype: type, rng: np.random.Generator) -> None:
    net = mk.MLP([4, 5, 3], dtype=dtype)
    x, dy = rng.normal(size=(6, 4)).astype(dtype), rng.normal(size=(6, 3)).astype(dtype)
    y = net(x)
    dx = net.backward(dy)
    gradients = net.gradients.copy()
    net.zero_grad()
    assert_same_bits(net(x.reshape(2, 3, 4)), y.reshape(2, 3, 3))
    assert_same_bits(net.backward(dy.reshape(2, 3, 3)), dx.reshape(2, 3, 4))
    assert_same_bits(net.gradients.copy(), gradients)
    assert_same_bits(net(x[1]), y[1])
    assert_same_bits(net.backward(dy[1]), dx[1])
    assert_same_bits(net.predict(x[1]), y[1])
    assert_same_bits(net.predict(x.reshape(3, 1, 2, 4)), y.reshape(3, 1, 2, 3))


@pytest.mark.parametrize("shape", [(0, 4), (3, 0, 4)])
def test_empty_batch(shape: tuple[int, ...]) -> None:
    net = mk.MLP([4, 5, 3], output="softargmax")
    net.gradients[...] = 3
    x = np.zeros(shape, np.float32)
    assert net(x).shape == net.predict(x).shape == (*shape[:-1], 3)
    assert net.backward(np.zeros((*shape[:-1], 3), np.float32)).shape == shape
    assert (net.gradients == 3).all()


@pytest.mark.parametrize("sizes", [[0, 3, 2], [3, 0, 2], [3, 2, 0]], ids=str)
def test_layers_of_no_units(sizes: list[int], rng: np.random.Generator) -> None:
    net, oracle = pair(lambda lib: lib.MLP(sizes))
    x = rng.normal(size=(5, sizes[0])).astype(np.float32)
    dy = rng.normal(size=(5, sizes[-1])).astype(np.float32)
    assert_passes(net, oracle, x, dy, gamma(roundings(net, 5), np.float32))


def test_out(dtype: type, rng: np.random.Generator) -> None:
    net = mk.MLP([4, 5, 3], dtype=dtype)
    x = rng.normal(size=(6, 4)).astype(dtype)
    expected = net.predict(x)
    for predict in (net.predict, net.freeze(), net.freeze().predict):
        out = np.full((6, 3), np.nan, dtype)
        assert predict(x, out=out) is out
        assert_same_bits(out, expected)


def test_inputs_of_any_layout(dtype: type, rng: np.random.Generator) -> None:
    net = mk.MLP([4, 5, 3], dtype=dtype)
    x, dy = rng.normal(size=(6, 4)).astype(dtype), rng.normal(size=(6, 3)).astype(dtype)
    y, dx = net(x), net.backward(dy)
    gradients = net.gradients.copy()
    read_only = np.ones((12, 8), dtype)[::2, ::2]
    read_only[...] = x
    read_only.flags.writeable = False
    shifted = np.zeros(x.nbytes + 1, np.uint8)[1:].view(dtype).reshape(x.shape)
    shifted[...] = x
    swapped = x.astype(x.dtype.newbyteorder())
    for other in (np.asfortranarray(x), read_only, shifted, swapped, x[::-1].copy()[::-1]):
        before = other.copy()
        net.zero_grad()
        assert_same_bits(net(other), y)
        assert_same_bits(net.backward(np.asfortranarray(dy)), dx)
        assert_same_bits(net.gradients.copy(), gradients)
        np.testing.assert_array_equal(other, before)


def test_a_row_does_not_depend_on_its_batch(
    named: Named, isa: str, dtype: type, rng: np.random.Generator
) -> None:
    net = named.net(mk, [13, 37, 5], dtype)
    x = rng.normal(size=(400, 13)).astype(dtype)
    whole = net.predict(x)
    assert_same_bits(net(x), whole)
    for start, stop in [(0, 1), (3, 4), (95, 97), (1, 392), (383, 385)]:
        assert_same_bits(net.predict(x[start:stop]), whole[start:stop].copy())
    with mk.num_threads(1):
        assert_same_bits(net.predict(x), whole)


@pytest.mark.parametrize("sizes", [[20, 64, 10], [200, 700, 10]], ids=["chunks", "layers"])
def test_bits_do_not_depend_on_threads(sizes: list[int], rng: np.random.Generator) -> None:
    net = mk.MLP(sizes, output="softargmax")
    x = rng.normal(size=(1000, sizes[0])).astype(np.float32)
    dy = rng.normal(size=(1000, 10)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        net.zero_grad()
        with mk.num_threads(threads):
            results.append((net(x), net.backward(dy), net.gradients.copy()))
    for result in results[1:]:
        for actual, expected in zip(result, results[0], strict=True):
            assert_same_bits(actual, expected)


@pytest.mark.skipif(not {"avx2", "avx512"} <= set(mk.isas()), reason="needs AVX2 and AVX-512")
@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda f: f.__name__)
def test_avx2_and_avx512_agree(
    structure: Callable[..., Any], dtype: type, rng: np.random.Generator
) -> None:
    net = structure(mk, dtype)
    x = rng.normal(size=(150, 4)).astype(dtype)
    dy = rng.normal(size=net.predict(x).shape).astype(dtype)
    before = mk.isa()
    results = []
    try:
        for isa in ("avx2", "avx512"):
            mk.set_isa(isa)
            net.zero_grad()
            results.append((net(x), net.backward(dy), net.gradients.copy()))
    finally:
        mk.set_isa(before)
    for actual, expected in zip(*results, strict=True):
        assert_same_bits(actual, expected)


def test_nan_stays_in_its_row(rng: np.random.Generator) -> None:
    net = mk.MLP([4, 5, 3], hidden="relu")
    x = rng.normal(size=(6, 4)).astype(np.float32)
    clean = net.predict(x)
    x[2, 1] = np.nan
    y = net.predict(x)
    assert np.isnan(y[2]).all()
    assert_same_bits(np.delete(y, 2, 0), np.delete(clean, 2, 0))


def test_freeze(named: Named, rng: np.random.Generator) -> None:
    net = named.net(mk, [4, 6, 3])
    x = rng.normal(size=(7, 4)).astype(np.float32)
    expected = net.predict(x)
    frozen = net.freeze()
    assert isinstance(frozen, mk.Frozen)
    assert_same_bits(frozen(x), expected)
    net.parameters[...] = 0
    assert_same_bits(frozen(x), expected)
    assert_same_bits(frozen.predict(x[3]), expected[3])
    assert repr(frozen) == f"Frozen({mk.Chain(*net.layers)!r})"
    for name in ("parameters", "gradients", "zero_grad", "backward"):
        assert not hasattr(frozen, name)


def test_freeze_of_any_map(rng: np.random.Generator) -> None:
    x = rng.normal(size=(7, 4)).astype(np.float32)
    f = mk.Linear(4, 4)
    for net in (f, mk.Tanh(), mk.Sum(f, f), mk.Chain(f, mk.Tanh(), f)):
        assert_same_bits(net.freeze()(x), net.predict(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_freeze_of_large_layers(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """Packed weights: more inputs than a block of them, outputs that end inside a panel."""
    net = mk.MLP([1100, 130, 65, 3], dtype=dtype, seed=0)
    frozen = net.freeze()
    for n in (0, 1, 2, 5, 6, 7, 97, 530):
        x = rng.normal(size=(n, 1100)).astype(dtype)
        assert_same_bits(frozen(x), net.predict(x))
    for other in mk.isas():
        mk.set_isa(other)  # whose panels have another width
        assert_same_bits(frozen(x), net.predict(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_products_go_by_blocks(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """Of some 6e8 multiply-adds, between which Ctrl-C is looked for; exact on small integers."""
    n, D, L = 512, 1600, 800
    x, w, b, dy = (rng.integers(-3, 4, s) * 1.0 for s in ((n, D), (D, L), (L,), (n, L)))
    f = mk.Linear(D, L, dtype=dtype)
    f.w[...], f.b[...] = w, b
    y = (x @ w + b).astype(dtype)
    with mk.num_threads(1):  # more would share out the rows
        assert_same_bits(f(x.astype(dtype)), y)
        assert_same_bits(f.backward(dy.astype(dtype)), (dy @ w.T).astype(dtype))
        assert_same_bits(f.dw, (x.T @ dy).astype(dtype))
        assert_same_bits(f.freeze()(x.astype(dtype)), y)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda f: f.__name__)
def test_copy(structure: Callable[..., Any], rng: np.random.Generator) -> None:
    net = structure(mk, np.float64)
    net.gradients[...] = 1
    other = net.copy()
    assert other.config() == net.config()
    assert other.dtype == np.float64
    assert (other.gradients == 0).all()
    x = rng.normal(size=(3, 4))
    expected = net.predict(x)
    assert_same_bits(other.parameters, net.parameters)
    assert_same_bits(other.predict(x), expected)
    other.parameters[...] = 0
    assert_same_bits(net.predict(x), expected)
    assert (net.parameters != 0).any()


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda f: f.__name__)
def test_config_round_trip(structure: Callable[..., Any], rng: np.random.Generator) -> None:
    net = structure(mk, np.float64)
    other = mk.from_config(json.loads(json.dumps(net.config())), np.float64)
    assert other.config() == net.config()
    assert repr(other) == repr(net)
    assert other.dtype == np.float64
    other.parameters[...] = net.parameters
    x = rng.normal(size=(3, 4))
    assert_same_bits(other.predict(x), net.predict(x))


def test_config_keeps_every_activation() -> None:
    for name, cls in mk.ACTIVATIONS.items():
        usual = cls()
        arguments = {k: v for k, v in usual.config().items() if k != "type"}
        changed = {k: v + 0.25 if isinstance(v, float) else "tanh" for k, v in arguments.items()}
        for f in (usual, cls(**changed)):
            back = mk.from_config(json.loads(json.dumps(f.config())))
            assert back == f
            assert type(back) is cls
            assert hash(back) == hash(f)
        assert (cls(**changed) == usual) == (not arguments), name
    net = mk.Chain(mk.Linear(2, 2), mk.ELU(0.3))
    assert mk.from_config(net.config()).layers[1] == mk.ELU(0.3)


def test_config_of_shared_maps() -> None:
    net = nested(mk, np.float32)
    other = mk.from_config(net.config())
    assert other.layers[1] is other.layers[3].layers[1]
    assert other.layers[1].layers[0] is other.layers[1].layers[1].layers[2]
    assert other.parameters.size == 40


WRONG_CONFIGS = {
    "no dict": None,
    "a list": [],
    "no type": {},
    "type is no string": {"type": 3},
    "unknown": {"type": "Convolution"},
    "missing inputs": {"type": "Linear", "outputs": 2, "bias": True},
    "inputs are no integer": {"type": "Linear", "inputs": 2.5, "outputs": 2, "bias": True},
    "negative": {"type": "Linear", "inputs": -2, "outputs": 2, "bias": True},
    "chain of nothing": {"type": "Chain", "maps": []},
    "chain of a number": {"type": "Chain", "maps": 5},
    "chain without maps": {"type": "Chain"},
    "chain that does not fit": {
        "type": "Chain",
        "maps": [
            {"type": "Linear", "inputs": 2, "outputs": 3, "bias": True},
            {"type": "Linear", "inputs": 2, "outputs": 3, "bias": True},
        ],
    },
    "shared before it is there": {"type": "Chain", "maps": [{"type": "Shared", "index": 4}]},
    "contains itself": {"type": "Chain", "maps": [{"type": "Shared", "index": 0}]},
    "negative index": {"type": "Chain", "maps": [{"type": "Shared", "index": -1}]},
    "no index": {"type": "Shared"},
    "unknown parameter": {"type": "ReLU", "slope": 2.0},
    "bad parameter": {"type": "Softplus", "beta": -1.0},
    "no scale": {"type": "Standardize", "mean": [1.0]},
    "scale of 0": {"type": "Standardize", "mean": [1.0], "scale": [0.0]},
    "means of text": {"type": "Standardize", "mean": ["a"], "scale": [1.0]},
}


@pytest.mark.parametrize("config", WRONG_CONFIGS.values(), ids=WRONG_CONFIGS)
def test_wrong_config(config: Any) -> None:
    with pytest.raises(ValueError, match=r"^from_config: "):
        mk.from_config(config)


def test_repr() -> None:
    assert repr(mk.Linear(3, 2)) == "Linear(3, 2)"
    assert repr(mk.Linear(3, 2, bias=False)) == "Linear(3, 2, bias=False)"
    net = mk.Chain(mk.Linear(3, 2), mk.Sum(mk.ELU(0.5), mk.GELU("tanh")))
    assert repr(net) == "Chain(Linear(3, 2), Sum(ELU(alpha=0.5), GELU(approximate='tanh')))"
    assert eval(repr(net), vars(mk)).config() == net.config()


def test_seeds(dtype: type) -> None:
    def draw(seed: Any) -> Array:
        return mk.MLP([30, 20, 2], dtype=dtype, seed=seed).parameters.copy()

    assert_same_bits(draw(5), draw(5))
    assert_same_bits(draw(0), mk.MLP([30, 20, 2], dtype=dtype).parameters)
    assert (draw(5) != draw(6)).mean() > 0.99
    assert (draw(None) != draw(None)).mean() > 0.99
    first = mk.Linear(100, 50, dtype=dtype, seed=3).parameters
    assert_same_bits(
        mk.Linear(100, 50, dtype=dtype, seed=np.random.default_rng(3)).parameters, first
    )
    assert (mk.Linear(100, 50, dtype=dtype, seed=[3, 1]).parameters != first).any()
    # uniform up to 1/sqrt(D), 5050 draws of variance 1/(3 D): the mean within 5 sigma
    assert np.abs(first).max() <= dtype(0.1)
    assert np.abs(first).max() > 0.099
    assert abs(first.mean()) < 5 * 0.1 / np.sqrt(3 * first.size)


def test_layers_of_an_mlp_differ() -> None:
    net = mk.MLP([8, 8, 8])
    assert (net.layers[0].w != net.layers[2].w).all()


def test_mlp_is_a_chain() -> None:
    net = mk.MLP([4, 5, 6, 2], hidden=["relu", mk.Tanh()], output="softmax")
    assert isinstance(net, mk.Chain)
    assert len(net) == 6
    assert net.layers[1] == net[1] == mk.ReLU()
    assert net[3] == mk.Tanh()
    assert net[5] == mk.Softargmax()
    assert net.inputs == 4
    net.layers.clear()  # a list of one's own
    assert len(net) == 6
    assert mk.MLP([3, 2], output="relu")[1] == mk.ReLU()
    assert mk.MLP(np.array([3, 2])).inputs == 3


def test_maps_are_reused_after_another_shape(rng: np.random.Generator) -> None:
    """Buffers that grew for a large batch serve a small one, and the other way round."""
    net, oracle = pair(lambda lib: lib.MLP([4, 6, 3]))
    for n in (2, 500, 3, 1, 700):
        net.zero_grad(), oracle.zero_grad()
        x, dy = (
            rng.normal(size=(n, 4)).astype(np.float32),
            rng.normal(size=(n, 3)).astype(np.float32),
        )
        assert_passes(net, oracle, x, dy, gamma(roundings(net, n), np.float32))


def test_flat_arrays_may_be_assigned() -> None:
    net = mk.MLP([3, 4, 2])
    before = net.parameters.copy()
    net.parameters *= 2
    np.testing.assert_array_equal(net.parameters, 2 * before)
    net.parameters = before
    net.gradients = before
    np.testing.assert_array_equal(net.layers[0].w.ravel(), before[:12])
    np.testing.assert_array_equal(net.layers[0].dw.ravel(), before[:12])
