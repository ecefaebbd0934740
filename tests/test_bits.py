"""The same bits: threads, batches, positions, alignment, strides, vector widths, steps.

The portable baseline has no fused multiply-add: it agrees with itself, not with AVX2 and AVX-512.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import compare
import mlpkern as mk

Results = dict[str, Any]

ACTIVATIONS = {
    **{name: cls() for name, cls in mk.ACTIVATIONS.items()},
    "GELU tanh": mk.GELU("tanh"),
    "ReLU 3": mk.ReLU(3.0),
    "ReLU 0.1": mk.ReLU(0.1),
    "Softplus 2.5": mk.Softplus(2.5),
    "CELU 0.3": mk.CELU(0.3),
    "Sine 30": mk.Sine(30.0),
    "Softargmax 2.5": mk.Softargmax(2.5),
}
every_activation = pytest.mark.parametrize("f", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())

LOSSES = {
    **{name: {} for name in mk.LOSSES},
    "Huber-0.3": {"delta": 0.3},
    "Quantile-0.1": {"q": 0.1},
    "PoissonNLL-rate": {"log_input": False},
    "BinaryCrossEntropy-logits": {"from_logits": True},
    "CrossEntropy-logits": {"from_logits": True},
    "CrossEntropy-smooth": {"label_smoothing": 0.1},
    "CrossEntropy-logits-smooth": {"from_logits": True, "label_smoothing": 0.1},
}
every_loss = pytest.mark.parametrize("name", LOSSES)

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}],
    "Adam": [{}, {"weight_decay": 0.01}],
    "AdamW": [{}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True}],
    "Adagrad": [{"lr_decay": 0.1}],
}
OPTIMIZERS = [(name, options) for name in mk.OPTIMIZERS for options in OPTIONS[name]]


def make_loss(name: str, reduction: str = "mean") -> Any:
    return mk.LOSSES[name.split("-")[0]](**LOSSES[name], reduction=reduction)


def assert_same(actual: Results, expected: Results) -> None:
    assert actual.keys() == expected.keys()
    for name in expected:
        try:
            compare.assert_same_bits(actual[name], expected[name])
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


@pytest.fixture
def both_isas() -> Iterator[Callable[[Callable[[], Results]], None]]:
    """A check that a computation gives the same bits on AVX2 and on AVX-512."""
    if not {"avx2", "avx512"} <= set(mk.isas()):
        pytest.skip(f"needs a machine with AVX2 and AVX-512; this one has {', '.join(mk.isas())}")
    before = mk.isa()

    def check(compute: Callable[[], Results]) -> None:
        results = []
        for isa in ("avx2", "avx512"):
            mk.set_isa(isa)
            results.append(compute())
        assert_same(results[1], results[0])

    yield check
    mk.set_isa(before)


def check_threads(compute: Callable[[], Results]) -> None:
    with mk.num_threads(1):
        expected = compute()
    for n in (2, 3):
        with mk.num_threads(n):
            assert_same(compute(), expected)


# --- what is computed
def functions(f: Any, s: Any, v: Any) -> Results:
    result = {"value": f(s), "jvp": f.jvp(s, v), "vjp": f.vjp(s, v)}
    if not f.by_rows:
        result["derivative"] = f.derivative(s)
        result["second_derivative"] = f.second_derivative(s)
    return result


def linear_results(x: Any, w: Any, b: Any, ds: Any) -> Results:
    dx, dw, db = mk.linear_backward(ds, x, w)
    return {"s": mk.linear(x, w, b), "s0": mk.linear(x, w), "dx": dx, "dw": dw, "db": db}


def loss_results(loss: Any, p: Any, y: Any, weight: Any = None) -> Results:
    return {
        "per_sample": loss.per_sample(p, y),
        "value": np.array([loss(p, y), loss(p, y, weight)]),
        "gradient": loss.gradient(p, y),
        "weighted": loss.gradient(p, y, weight),
    }


def samples(name: str, rng: np.random.Generator, n: int, K: int, dtype: type) -> tuple[Any, Any]:
    """Predictions and targets that a loss is defined for."""
    if "CrossEntropy" in name and "logits" not in name:
        p = rng.uniform(0.01, 0.99, (n, K))
    else:
        p = 2 * rng.normal(size=(n, K))
    if name == "PoissonNLL-rate":
        p = np.exp(p)
    y = rng.random((n, K))
    return p.astype(dtype), (y / y.sum(axis=1, keepdims=True)).astype(dtype)


def floats(rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> Any:
    """Random bits: all exponents, subnormals, infinities and NaN; half of them within ±20."""
    integer = np.uint32 if dtype is np.float32 else np.uint64
    bits = rng.integers(0, np.iinfo(integer).max, shape, integer, endpoint=True).view(dtype)
    with np.errstate(
        invalid="ignore"
    ):  # quiet NaN only: a signalling one is no value to compute with
        bits = np.where(np.isnan(bits), dtype(np.nan), bits)
    return np.where(rng.random(shape) < 0.5, bits, rng.uniform(-20, 20, shape)).astype(dtype)


def normal(rng: np.random.Generator, dtype: type, *shapes: tuple[int, ...]) -> list[Any]:
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


# (n, D, L) around MR = 6, the vectors, NR, KC = 512; of the last b is packed.
PRODUCTS = [
    (1, 1, 1),
    (7, 5, 9),
    (13, 257, 65),
    (65, 31, 513),
    (200, 80, 97),
    (193, 300, 33),
    (66, 513, 401),
]


# --- instruction sets
def test_isas_agree_on_products(both_isas: Any, dtype: type, rng: np.random.Generator) -> None:
    for n, D, L in PRODUCTS:
        arrays = normal(rng, dtype, (n, D), (D, L), (L,), (n, L))
        both_isas(lambda arrays=arrays: linear_results(*arrays))


@every_activation
def test_isas_agree_on_activations(both_isas: Any, dtype: type, f: Any) -> None:
    rng = np.random.default_rng(1)
    if f.by_rows:
        for cols in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 100):
            s, v = (3 * a for a in normal(rng, dtype, (40, cols), (40, cols)))
            s[3:7] *= dtype(300)  # entries that decay to nothing
            s[7] = 0
            s[8, -1] = -np.inf
            s[9, 0] = np.inf
            s[10, -1] = np.nan
            both_isas(lambda s=s, v=v: functions(f, s, v))
        return
    s, v = floats(rng, (1 << 14,), dtype), normal(rng, dtype, (1 << 14,))[0]
    both_isas(lambda: functions(f, s, v))


def test_isas_agree_on_logsumexp(both_isas: Any, dtype: type, rng: np.random.Generator) -> None:
    for cols in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 100):
        (e,) = normal(rng, dtype, (40, cols))
        e[0] = 0
        e[1:9] *= dtype(300)
        for beta in (1e-3, 1.0, 40.0):
            both_isas(lambda e=e, beta=beta: {"m": mk.logsumexp(e, beta)})


@every_loss
def test_isas_agree_on_losses(both_isas: Any, dtype: type, name: str) -> None:
    rng = np.random.default_rng(2)
    for n, K in [(1, 1), (5, 3), (70, 10), (9, 33), (3, 600)]:
        p, y = samples(name, rng, n, K, dtype)
        weight = rng.random(n)
        both_isas(lambda p=p, y=y, w=weight: loss_results(make_loss(name), p, y, w))


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=str)
def test_isas_agree_on_optimizers(
    both_isas: Any, dtype: type, name: str, options: dict[str, Any]
) -> None:
    def compute() -> Results:
        rng = np.random.default_rng(3)
        net = mk.Linear(9, 11, dtype=dtype, seed=1)
        opt = mk.OPTIMIZERS[name](net, **options)
        for _ in range(5):
            net.gradients[...] = rng.normal(size=110) * 2.0 ** rng.integers(-20, 20, 110)
            opt.step()
        return {"parameters": net.parameters.copy(), **{k: v.copy() for k, v in opt.states.items()}}

    both_isas(compute)


# --- elements and rows
@pytest.mark.parametrize("f", [f for f in ACTIVATIONS.values() if not f.by_rows], ids=repr)
def test_an_element_does_not_depend_on_the_array(isa: str, dtype: type, f: Any) -> None:
    """Alone, and in arrays of every length from 1 to 70, counted from either end; body and tail."""
    rng = np.random.default_rng(4)
    s, v = floats(rng, (70,), dtype), normal(rng, dtype, (70,))[0]
    alone = [functions(f, s[i : i + 1].copy(), v[i : i + 1].copy()) for i in range(70)]
    expected = {name: np.concatenate([one[name] for one in alone]) for name in alone[0]}
    for n in range(1, 71):
        for part in (slice(0, n), slice(70 - n, 70)):
            got = functions(f, s[part], v[part])
            assert_same(got, {name: e[part].copy() for name, e in expected.items()})


@every_activation
def test_an_element_does_not_depend_on_its_lane(isa: str, dtype: type, f: Any) -> None:
    """The same number in every place of an array of 37, or the same row in each of 37."""
    rng = np.random.default_rng(5)
    for value in floats(rng, (10,), dtype) if not f.by_rows else [1.0, 2.0]:
        shape = (37,) if not f.by_rows else (37, 11)
        s = np.full(shape, value, dtype)
        if f.by_rows:
            s *= rng.normal(size=11).astype(dtype)
        for name, result in functions(f, s, np.full(shape, 0.7, dtype)).items():
            first = np.broadcast_to(result[:1], shape).copy()
            assert_same({name: result}, {name: first})


def test_linear_rows_do_not_depend_on_the_batch(
    isa: str, dtype: type, rng: np.random.Generator
) -> None:
    """Split at every point; each row alone; the rows in another order. dx is by rows as well."""
    n = 200
    for D, L in [(30, 70), (3, 5), (300, 9)]:
        x, w, b, ds = normal(rng, dtype, (n, D), (D, L), (L,), (n, L))
        s, dx = mk.linear(x, w, b), mk.linear_backward(ds, x, w)[0]
        for k in range(n + 1):
            parts = [(x[:k], ds[:k]), (x[k:], ds[k:])]
            split = np.concatenate([mk.linear(part, w, b) for part, _ in parts])
            compare.assert_same_bits(split, s)
        for k in range(0, n + 1, 7):
            split = np.concatenate(
                [
                    mk.linear_backward(g[part], x[part], w)[0]
                    for g in [ds]
                    for part in (slice(0, k), slice(k, n))
                ]
            )
            compare.assert_same_bits(split, dx)
        order = rng.permutation(n)
        compare.assert_same_bits(mk.linear(x[order], w, b), s[order])
        for i in range(n):
            compare.assert_same_bits(mk.linear(x[i], w, b), s[i].copy())


@pytest.mark.parametrize("f", [mk.Softargmax(), mk.Softargmax(2.5), mk.LogSoftargmax()], ids=repr)
def test_rows_do_not_depend_on_the_batch(isa: str, dtype: type, f: Any) -> None:
    rng = np.random.default_rng(6)
    for cols in (1, 3, 10, 33):
        s, v = normal(rng, dtype, (80, cols), (80, cols))
        whole = {**functions(f, s, v), "m": mk.logsumexp(s, 2.0)}
        for k in range(81):
            halves = [
                {**functions(f, s[part], v[part]), "m": mk.logsumexp(s[part], 2.0)}
                for part in (slice(0, k), slice(k, 80))
            ]
            assert_same({name: np.concatenate([h[name] for h in halves]) for name in whole}, whole)


@every_loss
def test_costs_do_not_depend_on_the_batch(isa: str, dtype: type, name: str) -> None:
    """A sample's cost, and its part of the gradient of a sum."""
    rng = np.random.default_rng(7)
    loss = make_loss(name, "sum")
    for n, K in [(120, 10), (12, 1), (12, 3), (4, 600)]:
        p, y = samples(name, rng, n, K, dtype)
        costs, gradient = loss.per_sample(p, y), loss.gradient(p, y)
        for k in range(n + 1):
            parts = [(p[:k], y[:k]), (p[k:], y[k:])]
            compare.assert_same_bits(
                np.concatenate([loss.per_sample(*part) for part in parts]), costs
            )
            compare.assert_same_bits(
                np.concatenate([loss.gradient(*part) for part in parts]), gradient
            )
        for i in range(n):
            compare.assert_same_bits(loss.gradient(p[i], y[i]), gradient[i].copy())


NETS = {
    "narrow": ([20, 33, 70, 5], "tanh", "softargmax"),
    "wide": ([10, 300, 7], "gelu", "sigmoid"),
    "one": ([1, 1], "relu", "identity"),
    "rows": ([6, 9, 4], "softargmax", "logsoftargmax"),
}


@pytest.mark.parametrize("net", NETS)
def test_predictions_do_not_depend_on_the_batch(isa: str, dtype: type, net: str) -> None:
    """predict and net(x), split at every point, in another order, alone, frozen."""
    model = mk.MLP(*NETS[net], dtype=dtype, seed=1)
    rng, n = np.random.default_rng(8), 200
    (x,) = normal(rng, dtype, (n, NETS[net][0][0]))
    y = model.predict(x)
    compare.assert_same_bits(model(x), y)
    compare.assert_same_bits(model.freeze()(x), y)
    for k in range(n + 1):
        compare.assert_same_bits(np.concatenate([model.predict(x[:k]), model.predict(x[k:])]), y)
    for k in range(0, n + 1, 9):
        compare.assert_same_bits(np.concatenate([model(x[:k]), model(x[k:])]), y)
    order = rng.permutation(n)
    compare.assert_same_bits(model.predict(x[order]), y[order])
    for i in range(0, n, 3):
        compare.assert_same_bits(model.predict(x[i]), y[i].copy())


def test_input_gradients_do_not_depend_on_the_batch(isa: str, dtype: type) -> None:
    model = mk.MLP([20, 33, 70, 5], "tanh", "softargmax", dtype=dtype, seed=1)
    rng = np.random.default_rng(9)
    x, dy = normal(rng, dtype, (200, 20), (200, 5))
    model(x)
    dx = model.backward(dy)
    for k in (0, 1, 63, 64, 65, 96, 97, 199):
        parts = []
        for part in (slice(0, k), slice(k, 200)):
            model(x[part])
            parts.append(model.backward(dy[part]))
        compare.assert_same_bits(np.concatenate(parts), dx)


# --- buffers
def at_offset(a: Any, offset: int) -> Any:
    """A copy whose first byte is `offset` bytes behind a line of 64, NaN painted around it."""
    memory = np.full(a.nbytes + 192, 0xFF, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    placed = memory[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    placed[...] = a
    assert placed.ctypes.data % 64 == offset
    return placed


def test_offsets_of_the_buffers(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """0 to 63 bytes, inputs at one offset and outputs at another where that is aligned."""
    x, w, b, ds = normal(rng, dtype, (13, 17), (17, 35), (35,), (13, 35))
    s, v = normal(rng, dtype, (5, 29), (5, 29))
    net = mk.MLP([17, 19, 3], dtype=dtype)
    item = np.dtype(dtype).itemsize
    losses = {name: (make_loss(name), *samples(name, rng, 9, 7, dtype)) for name in LOSSES}

    def compute(offset: int) -> Results:
        def put(a: Any, shift: int = 0) -> Any:
            return at_offset(a, (offset + shift) % 64)

        results = linear_results(put(x), put(w, 5), put(b, 13), put(ds, 29))
        out = at_offset(np.full((13, 35), np.nan, dtype), (3 * offset * item) % 64)
        results["out"] = mk.linear(put(x), put(w), put(b), out=out)
        results["predict"] = net.predict(put(x))
        results["m"] = mk.logsumexp(put(s))
        for name, f in ACTIVATIONS.items():
            for what, result in functions(f, put(s), put(v, 7)).items():
                results[f"{name} {what}"] = result
            out = at_offset(np.full((5, 29), np.nan, dtype), (offset * item) % 64)
            results[f"{name} out"] = f(put(s), out=out)
        for name, (loss, p, y) in losses.items():
            results[f"{name} costs"] = loss.per_sample(put(p), put(y, 3))
            results[f"{name} gradient"] = loss.gradient(put(p), put(y, 3))
        return results

    expected = compute(0)
    for offset in range(1, 64):
        assert_same(compute(offset), expected)


def test_strides_of_the_buffers(isa: str, dtype: type, rng: np.random.Generator) -> None:
    net = mk.MLP([17, 19, 3], dtype=dtype)
    x, dy = normal(rng, dtype, (150, 17), (150, 3))
    y = net(x)
    dx = net.backward(dy)
    gradients = net.gradients.copy()
    wide = np.full((300, 34), np.nan, dtype)
    wide[::2, ::2] = x
    for other in (wide[::2, ::2], np.asfortranarray(x), x[::-1].copy()[::-1], x.astype(">f8")):
        if other.dtype.itemsize != x.itemsize:
            other = x.astype(x.dtype.newbyteorder())
        compare.assert_same_bits(net.predict(other), y)
        net.zero_grad()
        compare.assert_same_bits(net(other), y)
        compare.assert_same_bits(net.backward(np.asfortranarray(dy)), dx)
        compare.assert_same_bits(net.gradients, gradients)


# --- threads
def test_threads_agree_on_products(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """Products that threads share: 10^6 multiply-adds and more, by rows or by columns."""
    for n, D, L in [(500, 60, 70), (3, 300, 1500), (200, 5, 1200), (2000, 30, 20), (1, 2000, 1030)]:
        arrays = normal(rng, dtype, (n, D), (D, L), (L,), (n, L))
        check_threads(lambda arrays=arrays: linear_results(*arrays))


@every_activation
def test_threads_agree_on_activations(isa: str, dtype: type, f: Any) -> None:
    """More than 20,000 elements, which is what threads begin at."""
    rng = np.random.default_rng(10)
    s, v = normal(rng, dtype, (2503, 11), (2503, 11))
    check_threads(lambda: functions(f, s, v))


def train(net: Any, loss: Any, opt: Any, x: Any, y: Any, steps: int = 3) -> Results:
    costs = [mk.train_step(net, loss, opt, x, y) for _ in range(steps)]
    return {"costs": np.array(costs), **state_of(net, opt)}


def state_of(net: Any, opt: Any) -> Results:
    return {
        "parameters": net.parameters.copy(),
        "gradients": net.gradients.copy(),
        **{name: state.copy() for name, state in opt.states.items()},
    }


# Sizes and rows of which threads take chunks of rows, the last of them shorter; or, where the
# parameters are too many for a copy a chunk, tiles of rows and blocks of dw.
BIG = [
    ([20, 64, 64, 4], 2000),
    ([20, 64, 4], 1025),
    ([50, 90, 30], 300),
    ([300, 700, 10], 500),
    ([700, 310, 10], 97),
]


@pytest.mark.parametrize(("sizes", "n"), BIG, ids=str)
def test_threads_agree_on_networks(
    isa: str, dtype: type, sizes: list[int], n: int, rng: np.random.Generator
) -> None:
    """predict, forward, backward, the gradient of a cost, and training steps."""
    x, dy = normal(rng, dtype, (n, sizes[0]), (n, sizes[-1]))
    labels = rng.integers(0, sizes[-1], n)
    loss = mk.CrossEntropy()

    def compute() -> Results:
        net = mk.MLP(sizes, "tanh", "softargmax", dtype=dtype, seed=1)
        results = {"predict": net.predict(x), "forward": net(x), "dx": net.backward(dy)}
        results["gradients"] = net.gradients.copy()
        net.backward(dy, need_dx=False)
        results["twice"] = net.gradients.copy()
        cost, gradient = mk.value_and_gradient(net, loss, x, labels)
        results["cost"], results["gradient"] = np.array([cost]), gradient
        trained = train(net, loss, mk.Adam(net), x, labels, 2)
        return results | {f"trained {name}": value for name, value in trained.items()}

    check_threads(compute)


def network_results(make: Callable[[], Any], loss: Any, x: Any, dy: Any, y: Any) -> Results:
    net = make()
    results = {"predict": net.predict(x), "forward": net(x), "dx": net.backward(dy)}
    results["gradients"] = net.gradients.copy()
    trained = train(net, loss, mk.Adam(net), x, y)
    return results | {f"trained {name}": value for name, value in trained.items()}


def test_isas_agree_on_networks(both_isas: Any, dtype: type, rng: np.random.Generator) -> None:
    for sizes, n in [([20, 33, 70, 5], 200), ([5, 3], 1000), ([300, 400, 10], 150)]:
        x, dy = normal(rng, dtype, (n, sizes[0]), (n, sizes[-1]))
        y = np.abs(dy) / np.abs(dy).sum(axis=1, keepdims=True)
        for hidden, output, loss in FIVE.values():
            make = functools.partial(mk.MLP, sizes, hidden, output, dtype=dtype, seed=1)
            both_isas(functools.partial(network_results, make, loss, x, dy, y))


# --- five steps and one call
# The networks of math.md, section 1, and the forms that share their code.
FIVE: dict[str, tuple[Any, Any, Any]] = {
    "regression": (mk.ReLU(3.0), "identity", mk.SquaredError()),
    "squashed regression": ("tanh", "sigmoid", mk.SquaredError()),
    "classification": ("tanh", "sigmoid", mk.BinaryCrossEntropy()),
    "classification, rectified": ("relu", "sigmoid", mk.BinaryCrossEntropy()),
    "multi-class": ("gelu", "softargmax", mk.CrossEntropy()),
}
MORE: dict[str, tuple[Any, Any, Any]] = {
    "multi-class, sum": ("silu", "softargmax", mk.CrossEntropy(reduction="sum")),
    "multi-class, beta": (
        "elu",
        mk.Softargmax(2.5),
        mk.CrossEntropy(label_smoothing=0.1),
    ),
    "multi-class, logits": ("tanh", "identity", mk.CrossEntropy(from_logits=True)),
    "classification, logits": ("tanh", "identity", mk.BinaryCrossEntropy(from_logits=True)),
    "classification, sum": ("tanh", "sigmoid", mk.BinaryCrossEntropy(reduction="sum")),
    "counts": ("softplus", "identity", mk.PoissonNLL()),
    "robust": ("mish", "identity", mk.Huber(0.5)),
}


def five_steps(net: Any, loss: Any, opt: Any, x: Any, y: Any, weight: Any = None) -> float:
    """math.md, section 4."""
    y_pred = net(x)
    cost = loss(y_pred, y, weight)
    opt.zero_grad()
    net.backward(loss.gradient(y_pred, y, weight))
    opt.step()
    return cost


def check_steps(
    which: tuple[Any, Any, Any],
    optimizer: tuple[str, dict[str, Any]],
    n: int,
    dtype: type,
    weighted: bool = False,
    labels: bool = False,
    sizes: tuple[int, ...] = (7, 9, 3),
) -> None:
    hidden, output, loss = which
    rng = np.random.default_rng(n)
    (x,) = normal(rng, dtype, (n, sizes[0]))
    y = rng.random((n, sizes[-1]))
    y = (y / y.sum(axis=1, keepdims=True)).astype(dtype)
    target = rng.integers(0, sizes[-1], n) if labels else y
    weight = rng.random(n) * (np.arange(n) % 5 != 1) if weighted else None
    results = []
    for step in (five_steps, mk.train_step):
        net = mk.MLP(sizes, hidden, output, dtype=dtype, seed=2)
        net.gradients[...] = np.nan  # what it held before must not matter
        opt = mk.OPTIMIZERS[optimizer[0]](net, **optimizer[1])
        costs = [step(net, loss, opt, x, target, weight) for _ in range(3)]
        results.append({"costs": np.array(costs), **state_of(net, opt)})
    assert np.isfinite(results[0]["parameters"]).all()
    assert_same(results[1], results[0])


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("which", FIVE)
def test_five_steps_are_one_call(
    isa: str, dtype: type, which: str, optimizer: tuple[str, dict[str, Any]]
) -> None:
    """Batches of one row, a partial tile, two chunks, five chunks; costs, states, parameters."""
    for n in (1, 7, 128, 300):
        check_steps(FIVE[which], optimizer, n, dtype)


@pytest.mark.parametrize("which", MORE)
def test_five_steps_are_one_call_in_other_networks(isa: str, dtype: type, which: str) -> None:
    for n in (1, 7, 128, 300):
        check_steps(MORE[which], ("Adam", {}), n, dtype)


@pytest.mark.parametrize("which", FIVE)
def test_five_steps_are_one_call_with_weights(isa: str, dtype: type, which: str) -> None:
    for n in (1, 7, 128, 300):
        check_steps(FIVE[which], ("SGD", {"momentum": 0.9}), n, dtype, weighted=True)


@pytest.mark.parametrize("which", ["multi-class, beta", "multi-class, logits"])
def test_five_steps_are_one_call_with_labels(isa: str, dtype: type, which: str) -> None:
    for n in (1, 7, 128, 300):
        check_steps(MORE[which], ("RMSprop", {}), n, dtype, weighted=True, labels=True)


@pytest.mark.parametrize("threads", [1, 2])
def test_five_steps_are_one_call_in_big_networks(isa: str, dtype: type, threads: int) -> None:
    """Where threads share chunks, and where they share tiles and blocks of dw."""
    with mk.num_threads(threads):
        check_steps(FIVE["multi-class"], ("AdamW", {}), 600, dtype, sizes=(20, 64, 5))
        check_steps(FIVE["classification"], ("SGD", {}), 150, dtype, sizes=(300, 500, 3))


def test_labels_and_one_hot_rows_train_alike(isa: str, dtype: type) -> None:
    rng = np.random.default_rng(12)
    (x,) = normal(rng, dtype, (130, 7))
    labels = rng.integers(0, 3, 130)
    results = []
    for y in (labels, np.eye(3, dtype=dtype)[labels], labels.astype(np.int8)):
        net = mk.MLP([7, 9, 3], "tanh", "softargmax", dtype=dtype)
        results.append(train(net, mk.CrossEntropy(), mk.SGD(net), x, y))
    assert_same(results[1], results[0])
    assert_same(results[2], results[0])


def test_value_and_gradient_is_what_the_step_computes(isa: str, dtype: type) -> None:
    rng = np.random.default_rng(13)
    for hidden, output, loss in FIVE.values():
        x, y = normal(rng, dtype, (130, 7), (130, 3))
        y = np.abs(y) / np.abs(y).sum(axis=1, keepdims=True)
        net = mk.MLP([7, 9, 3], hidden, output, dtype=dtype)
        net.gradients[...] = 5
        cost, gradient = mk.value_and_gradient(net, loss, x, y)
        compare.assert_same_bits(net.gradients, np.full_like(gradient, 5))
        assert mk.train_step(net, loss, mk.SGD(net), x, y) == cost
        compare.assert_same_bits(gradient, net.gradients)


def test_a_second_run_gives_the_same_bits(isa: str, dtype: type) -> None:
    """Buffers that are used again hold nothing that matters."""
    rng = np.random.default_rng(14)
    net = mk.MLP([20, 64, 4], "tanh", "sigmoid", dtype=dtype)
    batches = [normal(rng, dtype, (n, 20), (n, 4)) for n in (300, 7, 1025, 1)]
    first = []
    for x, dy in batches:
        net.zero_grad()
        first.append({"y": net(x), "dx": net.backward(dy), "g": net.gradients.copy()})
    for (x, dy), expected in zip(batches, first, strict=True):
        net.zero_grad()
        assert_same({"y": net(x), "dx": net.backward(dy), "g": net.gradients.copy()}, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_agree_on_a_large_layer_used_twice(dtype: type, rng: np.random.Generator) -> None:
    """More than 512 kB of parameters, more rows than a tile: tiles and layers would differ."""
    x = rng.normal(size=(200, 400)).astype(dtype)

    def compute() -> Results:
        f = mk.Linear(400, 400, dtype=dtype)
        net = mk.Chain(f, mk.Tanh(), f)
        net.backward(np.cos(net(x)))
        return {"gradients": net.gradients.copy()}

    check_threads(compute)
