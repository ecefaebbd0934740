"""Dropout: its masks against the generator's definition, and where it drops nothing."""

from __future__ import annotations

import copy
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits

ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24]
WORD = (1 << 32) - 1


def threefry(key: tuple[int, int], counter: tuple[int, int]) -> tuple[int, int]:
    """Threefry-2x32, 20 rounds, as the paper of Salmon and others has it."""
    keys = [*key, key[0] ^ key[1] ^ 0x1BD11BDA]
    a, b = (counter[0] + keys[0]) & WORD, (counter[1] + keys[1]) & WORD
    for i in range(20):
        a = (a + b) & WORD
        r = ROTATIONS[i % 8]
        b = ((b << r | b >> (32 - r)) & WORD) ^ a
        if i % 4 == 3:
            s = i // 4 + 1
            a, b = (a + keys[s % 3]) & WORD, (b + keys[(s + 1) % 3] + s) & WORD
    return a, b


@pytest.mark.parametrize(
    ("key", "counter", "words"),
    [  # the known answers of the authors' library
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((WORD, WORD), (WORD, WORD), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_the_oracle(key: Any, counter: Any, words: Any) -> None:
    assert threefry(key, counter) == words


def splitmix(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def mask(shape: tuple[int, int], p: float, seed: int, passes: int, place: int) -> Any:
    """The factors of a pass, from the definitions that the kernel's header states."""
    mixed = splitmix((splitmix((splitmix(seed) + place) % 2**64) + passes) % 2**64)
    key = (mixed & WORD, mixed >> 32)
    factors = np.zeros(shape)
    for i, j in np.ndindex(shape):
        words = threefry(key, (i, 16 * (j // 32) + j % 16))
        if words[j // 16 % 2] < np.floor((1 - p) * 2**32):
            factors[i, j] = 1 / (1 - p)
    return factors


@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 16), (5, 17), (4, 40), (2, 100), (130, 20), (131, 56)]
)
@pytest.mark.parametrize("p", [0.3, 0.5, 1.0])
def test_masks(shape: tuple[int, int], p: float, dtype: type, isa: str, rng: Any) -> None:
    """Row after row, and turned (many rows, narrow)."""
    x = rng.normal(size=shape).astype(dtype)
    dropout = mk.Dropout(p, seed=5)
    net = mk.Chain(mk.Identity(), dropout)
    for passes in (1, 2):
        factors = mask(shape, p, 5, passes, 1).astype(dtype)
        assert_same_bits(net(x), x * factors)
        assert dropout.passes == passes
        dy = rng.normal(size=shape).astype(dtype)
        assert_same_bits(net.backward(dy), dy * factors)


def test_masks_are_random() -> None:
    """Shares of what is kept, by row, column, pass and place: within 5 standard deviations."""
    x, p = np.ones((500, 400)), 0.25
    net = mk.Chain(mk.Dropout(p), mk.Identity(), mk.Dropout(p))  # one seed, two places
    kept = np.array([net(x) > 0 for _ in range(2)])
    both = (1 - p) ** 2
    for axes in [(0, 1), (0, 2), (1, 2), (0, 1, 2)]:
        share = kept.mean(axis=axes)
        count = kept.size / share.size
        assert np.abs(share - both).max() < 5 * np.sqrt(both * (1 - both) / count)
    together = (kept[0] & kept[1]).mean()
    assert abs(together - both**2) < 5 * np.sqrt(both**2 / kept[0].size)


def test_nothing_is_dropped_where_one_does_not_train(dtype: type, rng: Any) -> None:
    x, y = rng.normal(size=(9, 4)).astype(dtype), rng.normal(size=(9, 2)).astype(dtype)
    linears = [mk.Linear(4, 6, dtype=dtype), mk.Linear(6, 2, dtype=dtype, seed=1)]
    bare = mk.Chain(linears[0], mk.Tanh(), linears[1]).copy()
    net = mk.Chain(mk.Dropout(0.1), linears[0], mk.Tanh(), mk.Dropout(0.6), linears[1])
    loss = mk.SquaredError()
    assert_same_bits(net.predict(x), bare.predict(x))
    assert_same_bits(net.freeze()(x), bare.predict(x))
    assert_same_bits(mk.jacobian(net, x), mk.jacobian(bare, x))
    assert_same_bits(mk.laplacian(net, x), mk.laplacian(bare, x))
    for got, expected in zip(
        mk.value_and_gradient(net, loss, x, y), mk.value_and_gradient(bare, loss, x, y), strict=True
    ):
        assert_same_bits(np.asarray(got), np.asarray(expected))
    assert [m.passes for m in net._maps() if isinstance(m, mk.Dropout)] == [0, 0]
    assert not np.array_equal(net(x), bare(x))


def test_p_of_zero_is_the_identity(rng: Any) -> None:
    x = rng.normal(size=(5, 3))
    net = mk.Chain(mk.Dropout(0.0))
    assert_same_bits(net(x), x.copy())
    assert net.layers[0].passes == 0  # type: ignore[attr-defined]
    for p in (1e-17, 2.0**-34):  # 1 - p is 1, or has a bit that the masks' numbers have not
        assert_same_bits(mk.Chain(mk.Dropout(p))(x), x.copy())


def test_nan_and_infinity_show() -> None:
    net = mk.Chain(mk.Dropout(1.0))
    np.testing.assert_array_equal(net(np.array([[1.0, np.nan, np.inf]])), [[0, np.nan, np.nan]])


def trained(threads: int, one_call: bool, dtype: type, widths: list[int], n: int) -> Any:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(n, widths[0])).astype(dtype)
    y = rng.normal(size=(n, widths[-1])).astype(dtype)
    maps: list[Any] = []
    for i, (D, L) in enumerate(itertools.pairwise(widths)):
        maps += [mk.Dropout(0.2), mk.Linear(D, L, dtype=dtype, seed=i), mk.Tanh()]
    net, loss = mk.Chain(*maps), mk.SquaredError()
    opt = mk.Adam(net)
    with mk.num_threads(threads):
        for _ in range(3):
            if one_call:
                mk.train_step(net, loss, opt, x, y)
                continue
            y_pred = net(x)
            opt.zero_grad()
            net.backward(loss.gradient(y_pred, y))
            opt.step()
    return net.parameters.copy()


@pytest.mark.parametrize(
    ("widths", "n"), [([5, 33, 3], 70), ([4, 20, 2], 700), ([30, 600, 600, 5], 200)]
)
def test_same_bits(widths: list[int], n: int, dtype: type) -> None:
    """Row after row in chunks, turned, layer by layer: any threads, five steps or one call."""
    first = trained(1, True, dtype, widths, n)
    for threads, one_call in [(2, True), (3, True), (1, False), (2, False)]:
        assert_same_bits(trained(threads, one_call, dtype, widths, n), first)


def test_gradients_are_those_of_the_masked_network(rng: Any) -> None:
    """A dropout is a product with its mask, here made by the oracle, and so is its gradient."""
    x, dy = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    f, g = mk.Linear(4, 5, dtype=np.float64), mk.Linear(5, 3, dtype=np.float64, seed=1)
    net = mk.Chain(f, mk.Dropout(0.4, seed=3), g)
    y = net(x)
    dx = net.backward(dy)
    m = mask((6, 5), 0.4, 3, 1, 2)
    a = (x @ f.w + f.b) * m
    ds = (dy @ g.w.T) * m
    np.testing.assert_allclose(y, a @ g.w + g.b, rtol=1e-13)
    np.testing.assert_allclose(dx, ds @ f.w.T, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(g.dw, a.T @ dy, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(f.dw, x.T @ ds, rtol=1e-12, atol=1e-14)


def test_a_dropout_in_two_branches_draws_once(rng: Any) -> None:
    x = np.ones((4, 50))
    dropout = mk.Dropout(0.5)
    y = mk.Sum(dropout, mk.Chain(mk.Identity(), dropout))(x)
    assert dropout.passes == 1
    assert set(np.unique(y)) == {0.0, 2.0, 4.0}  # each branch has a mask of its own


def test_fit_goes_on_where_passes_say(rng: Any) -> None:
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 1))

    def made() -> Any:
        net = mk.Chain(
            mk.Linear(3, 8, dtype=np.float64), mk.Dropout(), mk.Linear(8, 1, dtype=np.float64)
        )
        return net, mk.SGD(net, lr=0.01)

    def fit(net: Any, opt: Any, epochs: int) -> Any:
        mk.fit(net, x, y, loss=mk.SquaredError(), optimizer=opt, epochs=epochs, batch_size=16,
               shuffle=False)  # fmt: skip
        return net.parameters.copy()

    whole = fit(*made(), 4)
    net, opt = made()
    fit(net, opt, 2)
    assert net.layers[1].passes == 6
    assert_same_bits(fit(net, opt, 2), whole)
    assert not np.array_equal(fit(*made(), 2), fit(net, opt, 2))


def test_mlp_drops_behind_each_hidden_activation(dtype: type, rng: Any) -> None:
    """The same parameters and passes as by hand; what keeps a network keeps the dropouts."""
    sizes, hidden = [4, 8, 6, 3], ["relu", "tanh"]
    net = mk.MLP(sizes, hidden, "softargmax", dtype, 5, dropout=0.25)
    plain = mk.MLP(sizes, hidden, "softargmax", dtype, 5)
    assert repr(net) == (
        "Chain(Linear(4, 8), ReLU(scale=1.0), Dropout(0.25, seed=5), Linear(8, 6), Tanh(), "
        "Dropout(0.25, seed=5), Linear(6, 3), Softargmax(beta=1.0))"
    )
    assert_same_bits(net.parameters.copy(), plain.parameters.copy())
    a, f, b, g, c, h = plain.copy().layers  # type: ignore[attr-defined]
    by_hand = mk.Chain(a, f, mk.Dropout(0.25, 5), b, g, mk.Dropout(0.25, 5), c, h).copy()
    others = [by_hand, net.copy(), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    assert all(other.config() == net.config() for other in others)
    x = rng.normal(size=(9, 4)).astype(dtype)
    y = net(x)
    assert not np.array_equal(y, net(x))
    assert_same_bits(net.predict(x), plain.predict(x))
    for other in others:
        assert_same_bits(other(x), y)


def test_mlp_without_dropout_and_its_seeds(tmp_path: Path) -> None:
    assert mk.MLP([4, 8, 3], dropout=0).config() == mk.MLP([4, 8, 3]).config()
    assert mk.MLP([4, 3], dropout=0.5).config() == mk.MLP([4, 3]).config()

    def seeds(seed: Any) -> set[int]:
        net = mk.MLP([4, 8, 8, 3], seed=seed, dropout=0.5)
        mk.save(tmp_path / "net.npz", net)
        assert mk.load(tmp_path / "net.npz").config() == net.config()
        return {f.seed for f in net.layers if isinstance(f, mk.Dropout)}

    assert (seeds(3), seeds(np.int64(3))) == ({3}, {3})
    assert seeds([1, 2]) == seeds([1, 2]) != seeds([1, 3])
    assert seeds(2**64) != seeds(2**64 + 1)
    assert seeds(None) != seeds(None)


def test_like_again() -> None:
    dropout = mk.Dropout(0.25, seed=9)
    dropout.passes = 4
    assert dropout.copy().passes == 4
    again = mk.from_config(dropout.config())
    assert (again.p, again.seed, again.passes) == (0.25, 9, 0)  # type: ignore[attr-defined]
    assert repr(dropout) == "Dropout(0.25, seed=9)"
    net = mk.Chain(mk.Linear(2, 3), dropout, mk.Dropout(), dropout)
    for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net), net.copy()):
        assert repr(other) == repr(net)
        assert other.layers[1] is other.layers[3]
        assert [f.passes for f in other.layers[1:]] == [4, 0, 4]
