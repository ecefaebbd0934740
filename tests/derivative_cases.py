"""Networks, inputs, oracles and tolerances for the tests of derivatives.

Tolerances, relative to the largest exact element. In float64, first derivatives to 1e-11, second
and third ones (backward of second ones) to 1e-9. In float32, from a model: a number on the longest
path goes through N roundings (each layer's products forward and backward, its activation, the sum
over the rows), each of which moves it by u, and a derivative of order k walks that path k + 1
times; sums of terms of both signs cancel by as much again: gamma(4 k N).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import compare
import mlpkern as mk
from mlpkern import reference as ref

Array = Any

ACTIVATIONS: dict[str, Any] = {
    **{name: cls() for name, cls in mk.ACTIVATIONS.items()},
    "GELU tanh": mk.GELU("tanh"),
    "ReLU 3": mk.ReLU(3.0),
    "Softplus 2.5": mk.Softplus(2.5),
    "CELU 0.3": mk.CELU(0.3),
    "Sine 2": mk.Sine(2.0),
    "Softargmax 2.5": mk.Softargmax(2.5),
}
ELEMENTWISE = {name: f for name, f in ACTIVATIONS.items() if not f.by_rows}
SMOOTH = (
    mk.Identity, mk.GELU, mk.Sigmoid, mk.LogSigmoid, mk.Tanh, mk.Softplus, mk.SiLU, mk.Mish,
    mk.Tanhshrink, mk.Squareplus, mk.Sine, mk.Gaussian, mk.Exp, mk.Softargmax, mk.LogSoftargmax,
)  # fmt: skip
KINKS = np.array([0, 0.5, 1, 3, 6])  # of all the others, up to the sign
MOST = 8  # of any s: the error model is for numbers that are not huge

LOSSES: dict[str, dict[str, Any]] = {
    **{name: {} for name in mk.LOSSES},
    "Huber-0.3": {"delta": 0.3},
    "Quantile-0.1": {"q": 0.1},
    "PoissonNLL-rate": {"log_input": False},
    "BinaryCrossEntropy-logits": {"from_logits": True},
    "CrossEntropy-logits": {"from_logits": True},
    "CrossEntropy-smooth": {"label_smoothing": 0.1},
}
# What a loss takes predictions from; several of them, where one is the pair of math.md.
OUTPUTS: dict[str, tuple[str, ...]] = {
    "PoissonNLL-rate": ("softplus",),
    "BinaryCrossEntropy": ("sigmoid", "softargmax"),
    "CrossEntropy": ("softargmax", "softplus"),
    "CrossEntropy-smooth": ("softargmax", "sigmoid"),
}
COSTS = [(name, output) for name in LOSSES for output in OUTPUTS.get(name, ("identity", "tanh"))]


def make_loss(name: str, reduction: str = "mean", lib: Any = mk) -> Any:
    return getattr(lib, name.split("-")[0])(**LOSSES[name], reduction=reduction)


def targets(name: str, rng: np.random.Generator, n: int, K: int, dtype: Any) -> Array:
    """Targets that a loss is defined for: labels, or probabilities."""
    if name == "CrossEntropy":
        return rng.integers(0, K, n)
    y = rng.uniform(0.1, 0.9, (n, K))
    return (y / y.sum(axis=1, keepdims=True)).astype(dtype)


def targets_off_kinks(name: str, net: Any, x: Array, rng: np.random.Generator) -> Array:
    """Targets (n, K) that keep costs made of pieces away from where those meet."""
    p = net.predict(x)
    if name.split("-")[0] in ("AbsoluteError", "Huber", "Quantile"):
        return p + rng.choice([-2, -0.6, -0.15, 0.15, 0.6, 2], p.shape).astype(p.dtype)
    return targets(name, rng, *p.shape, p.dtype)


# --- networks ------------------------------------------------------------------------------------
def small_net(f: Any, dtype: Any, g: Any = None) -> Any:
    """A Sum in a Chain, a layer that occurs twice, one without a bias, f inside and behind."""
    shared = mk.Linear(3, 3, dtype=dtype, seed=1)
    inner = mk.Sum(shared, mk.Chain(mk.Linear(3, 3, False, dtype, seed=2), f, shared))
    return mk.Chain(inner, f, mk.Linear(3, 2, dtype=dtype, seed=3), g or mk.Identity())


def shared_in_chain(dtype: Any) -> Any:
    f = mk.Linear(4, 4, dtype=dtype, seed=1)
    return mk.Chain(f, mk.Tanh(), f, mk.Sigmoid(), f)


def shared_in_sum(dtype: Any) -> Any:
    f = mk.Linear(4, 3, dtype=dtype, seed=1)
    return mk.Sum(f, f)


def residual(dtype: Any) -> Any:
    f, g = mk.Linear(4, 6, dtype=dtype, seed=1), mk.Linear(6, 4, False, dtype, seed=2)
    return mk.Sum(mk.Chain(f, mk.Tanh(), g), mk.Identity())


def nested(dtype: Any) -> Any:
    f, g = (mk.Linear(4, 4, dtype=dtype, seed=i) for i in (1, 2))
    inner = mk.Sum(f, mk.Chain(g, mk.Softplus(), f))
    return mk.Chain(mk.Sine(), inner, mk.Tanh(), mk.Sum(g, inner, mk.Identity()), mk.Sigmoid())


def by_rows(dtype: Any) -> Any:
    """Softargmax and LogSoftargmax inside and at the end."""
    f, g = (mk.Linear(4, 4, dtype=dtype, seed=i) for i in (1, 2))
    h = mk.Linear(4, 3, False, dtype, seed=3)
    return mk.Chain(
        mk.Softargmax(2.0), f, mk.LogSoftargmax(), mk.Sum(g, mk.Softargmax()), h, mk.Softargmax()
    )


def no_bias(dtype: Any) -> Any:
    return mk.Chain(
        mk.Linear(4, 5, False, dtype, seed=1), mk.SiLU(), mk.Linear(5, 2, False, dtype, seed=2)
    )


def alone(dtype: Any) -> Any:
    return mk.Linear(4, 3, dtype=dtype, seed=1)


def one_by_one(dtype: Any) -> Any:
    return mk.MLP([4, 1, 1, 2], "gelu", dtype=dtype, seed=1)


def standardized(dtype: Any) -> Any:
    """Standardize first, last, twice in a Sum, behind what is curved, and where gradients meet."""
    f, g = (mk.Linear(4, 4, dtype=dtype, seed=i) for i in (1, 2))
    before = mk.Standardize([0.1, -0.2, 0.3, 0], [0.8, 1.3, -0.9, 1])
    inner = mk.Standardize([0, 0.5, 0.1, 0.2], [1.2, 0.7, 1, -1.1])
    return mk.Chain(
        before,
        mk.Sum(before, mk.Chain(f, mk.Tanh(), inner), inner),
        mk.Chain(g, mk.Sine(), mk.Sum(inner, mk.Identity(), f)),
        inner,
        mk.Linear(4, 2, dtype=dtype, seed=3),
        mk.Standardize([0.3, -1], [0.6, 1.4]),
    )


STRUCTURES = [
    shared_in_chain, shared_in_sum, residual, nested, by_rows, no_bias, alone, one_by_one,
    standardized,
]  # fmt: skip


# --- oracles -------------------------------------------------------------------------------------
def oracle(net: Any) -> Any:
    """The network of mlpkern.reference with the same architecture and parameters."""
    twin = _part(net.config(), [])
    linears = twin.linears() if isinstance(twin, ref.models.Map) else []
    for f, g in zip(net._linears(), linears, strict=True):
        g.w[...] = f.w
        if f.b is not None:
            g.b[...] = f.b
    return twin


def _part(config: dict[str, Any], seen: list[Any]) -> Any:
    rest = {key: value for key, value in config.items() if key != "type"}
    kind = config["type"]
    if kind == "Shared":
        return seen[rest["index"]]
    if kind == "Linear":
        seen.append(ref.Linear(rest["inputs"], rest["outputs"], rest["bias"]))
        return seen[-1]
    if kind in ("Chain", "Sum"):
        place = len(seen)
        seen.append(None)
        seen[place] = getattr(ref, kind)(*[_part(inner, seen) for inner in rest["maps"]])
        return seen[place]
    return getattr(ref, kind)(**rest)


def points(net: Any, n: int, D: int, dtype: Any, clearance: float = 0.03, seed: int = 5) -> Array:
    """Inputs (n, D) that lead every s past the kinks at a distance, and to no huge number."""
    rng, twin, found = np.random.default_rng(seed), oracle(net), np.zeros((0, D), dtype)
    for _ in range(100):
        x = (1.5 * rng.normal(size=(2 * n + 20, D))).astype(dtype)
        _, good = _clear(twin, x.astype(np.float64), clearance)
        found = np.concatenate([found, x[good]])
        if len(found) >= n:
            return found[:n].copy()
    raise AssertionError("no inputs away from kinks")


def _clear(part: Any, x: Array, clearance: float) -> tuple[Array, Array]:
    """The value, and which rows came through."""
    good = (np.abs(x) < MOST).all(axis=1)
    if isinstance(part, ref.Chain):
        for inner in part.layers:
            x, fine = _clear(inner, x, clearance)
            good &= fine
        return x, good
    if isinstance(part, ref.Sum):
        results = [_clear(branch, x, clearance) for branch in part.layers]
        return sum(y for y, _ in results), np.all([good, *(fine for _, fine in results)], axis=0)
    if type(part).__name__ not in {cls.__name__ for cls in SMOOTH} | {"Linear", "Standardize"}:
        good &= np.abs(np.abs(x)[..., None] - KINKS).min(axis=(1, 2)) > clearance
    return part(x), good


# --- tolerances ----------------------------------------------------------------------------------
def tolerance(net: Any, dtype: Any, order: int, n: int = 1) -> float:
    """As the head of this file says."""
    if np.dtype(dtype) == np.float64:
        return {1: 1e-11, 2: 1e-9, 3: 1e-9}[order]
    N = sum(2 * (f.inputs + f.outputs + 8) for f in net._linears()) + n + 16
    return compare.gamma(4 * order * N, dtype)


def check(actual: Array, exact: Array, bound: float, dtype: Any) -> None:
    """Right to the bound, and of the dtype that went in."""
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == dtype
    compare.assert_close(actual, exact, bound)


@contextlib.contextmanager
def untouched(net: Any, *arrays: Array) -> Iterator[None]:
    """Parameters, gradients (of all maps inside) and arrays keep their bits."""
    mine = [a for f in net._linears() for a in (f.w, f.b, f.dw, f.db) if a is not None]
    for f in net._linears():
        f.dw[...] = 0.5
    kept = [np.array(a) for a in (*mine, *arrays)]
    yield
    for a, before in zip((*mine, *arrays), kept, strict=True):
        compare.assert_same_bits(np.asarray(a), before)
