"""What must come out of the group `derivative`, in NumPy and float64, from the definitions.

The networks are a = tanh(x w + b), layer by layer, and their output is the last layer's s, or its
softargmax. With a_i and a_ii for the first and second derivative by input i,

    s_i  = a_i w                    a_i  = f'(s) s_i
    s_ii = a_ii w                   a_ii = f''(s) s_i^2 + f'(s) s_ii

A product with the Hessian of the cost is the imaginary part of its gradient at p + ihv, by h: the
gradient is analytic, so that only rounding is lost. Nothing here is fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .problems import Problem

Array = NDArray[Any]
Layers = list[tuple[Array, Array]]


def expected(data: Problem, lr: float) -> list[Array]:
    """Return the results of a row; of those that have a row each, `some` of the rows."""
    what, output = data.case.what, data.case.output
    layers = [(w.astype(float), b.astype(float)) for w, b in data.layers]
    x, y = data.x.astype(float), data.y
    if what == "hvp":
        return [hvp(layers, output, x, y, data.v.astype(float))]
    if what == "training step":
        return [-lr * training_gradient(layers, x)]
    if what == "sample gradients":
        return [sample_gradients(layers, output, some(x), some(y))]
    u = network(layers, output, some(x))[0]
    results: dict[str, Callable[[], list[Array]]] = {
        "jacobian": lambda: [u.a_i.swapaxes(1, 2)],
        "jvp": lambda: [u.a, np.einsum("ndk,nd->nk", u.a_i, some(data.v))],
        "vjp": lambda: [u.a, np.einsum("ndk,nk->nd", u.a_i, some(data.g))],
        "laplacian": lambda: [u.a_ii.sum(axis=1)],
    }
    return results[what]()


def some(a: Any) -> Array:
    """Return every so many rows, 32 at most: all would be long on their way to another process."""
    return np.asarray(a)[:: stride(len(a))]


def stride(n: int) -> int:
    """Return what `some` of n rows are apart."""
    return max(-(-n // 32), 1)


class Jet(NamedTuple):
    """A value (n, L), and its first and second derivatives by each input, (n, D, L)."""

    a: Array
    a_i: Array
    a_ii: Array


def _linear(jet: Jet, w: Array, b: Array) -> Jet:
    return Jet(jet.a @ w + b, jet.a_i @ w, jet.a_ii @ w)


def _tanh(s: Jet) -> Jet:
    f, f1, f2, _ = _derivatives(s.a)
    return Jet(f, f1[:, None] * s.a_i, f2[:, None] * s.a_i**2 + f1[:, None] * s.a_ii)


def _derivatives(s: Array) -> tuple[Array, Array, Array, Array]:
    """Return tanh with three derivatives."""
    f = np.tanh(s)
    f1 = 1 - f * f
    return f, f1, -2 * f * f1, f1 * (6 * f * f - 2)


def _softargmax(s: Jet) -> Jet:
    """y_i = y (s_i - <y, s_i>), and that once more."""
    y = softargmax(s.a)[:, None]

    def mean(p: Array, q: Array) -> Array:
        return np.asarray(np.sum(p * q, axis=-1, keepdims=True))

    centred = s.a_i - mean(y, s.a_i)
    y_i = y * centred
    y_ii = y_i * centred + y * (s.a_ii - mean(y_i, s.a_i) - mean(y, s.a_ii))
    return Jet(y[:, 0], y_i, y_ii)


def softargmax(s: Array) -> Array:
    """Return exp(s)/sum exp(s), for complex s as well."""
    e: Array = np.exp(s - s.real.max(axis=1, keepdims=True))
    e /= e.sum(axis=1, keepdims=True)
    return e


def network(layers: Layers, output: str, x: Array) -> tuple[Jet, list[tuple[Jet, Jet]]]:
    """Return the output's jet, and the jets of x and s of each layer."""
    n, d = x.shape
    jet = Jet(x, np.broadcast_to(np.eye(d), (n, d, d)), np.zeros((n, d, d)))
    kept = []
    for w, b in layers:
        s = _linear(jet, w, b)
        kept.append((jet, s))
        jet = _tanh(s)
    last = kept[-1][1]
    return (_softargmax(last) if output == "softargmax" else last), kept


def residual(u: Array, u_x: Array, u_xx: Array) -> Array:
    """Return the residual (n, K) of the training step: the Laplacian + |grad u|^2 - u."""
    return np.asarray(u_xx.sum(axis=1) + (u_x**2).sum(axis=1) - u)


def training_gradient(layers: Layers, x: Array) -> Array:
    """Return the gradient (P,) of the mean over the rows of the sum of the residual's squares."""
    u, kept = network(layers, "identity", x)
    g = residual(*u)[:, None] * (2 / len(x))
    ds = Jet(-g[:, 0], 2 * g * u.a_i, np.broadcast_to(g, u.a_ii.shape))
    blocks: list[Array] = []
    for i, ((w, _), (jet, _)) in reversed(list(enumerate(zip(layers, kept, strict=True)))):
        dw = jet.a.T @ ds.a + sum(
            np.einsum("ndj,ndk->jk", p, q) for p, q in zip(jet[1:], ds[1:], strict=True)
        )
        blocks = [dw.ravel(), ds.a.sum(axis=0), *blocks]
        if i:
            da = Jet(ds.a @ w.T, ds.a_i @ w.T, ds.a_ii @ w.T)
            ds = _tanh_backward(kept[i - 1][1], da)
    return np.concatenate(blocks)


def _tanh_backward(s: Jet, da: Jet) -> Jet:
    """Of a = f, a_i = f' s_i and a_ii = f'' s_i^2 + f' s_ii."""
    _, f1, f2, f3 = (f[:, None] for f in _derivatives(s.a))
    by_s = f2 * s.a_i * da.a_i + (f3 * s.a_i**2 + f2 * s.a_ii) * da.a_ii
    by_s_i = f1 * da.a_i + 2 * f2 * s.a_i * da.a_ii
    return Jet(f1[:, 0] * da.a + by_s.sum(axis=1), by_s_i, f1 * da.a_ii)


def sample_gradients(layers: Layers, output: str, x: Array, y: Array) -> Array:
    """Return the gradient of each sample's cost, (n, P)."""
    pairs = _pairs(layers, output, x, y)
    parts = [((a[:, :, None] * ds[:, None, :]).reshape(len(x), -1), ds) for a, ds in pairs]
    return np.concatenate([part for both in parts for part in both], axis=1)


def gradient(layers: Layers, output: str, x: Array, y: Array) -> Array:
    """Return the gradient of the mean cost, (P,)."""
    parts = [((a.T @ ds).ravel(), ds.sum(axis=0)) for a, ds in _pairs(layers, output, x, y)]
    return np.concatenate([part for both in parts for part in both]) / len(x)


def _pairs(layers: Layers, output: str, x: Array, y: Array) -> list[tuple[Array, Array]]:
    """Return x and ds of each layer, for each sample's own cost; the layers may be complex."""
    inputs = [x]
    for w, b in layers[:-1]:
        inputs.append(np.tanh(inputs[-1] @ w + b))
    w, b = layers[-1]
    s = inputs[-1] @ w + b
    ds = softargmax(s) - np.eye(s.shape[1])[y] if output == "softargmax" else 2 * (s - y)
    pairs = []
    for a, (w, _) in zip(reversed(inputs), reversed(layers), strict=True):
        pairs.append((a, ds))
        ds = ds @ w.T * (1 - a * a)
    return pairs[::-1]


def hvp(layers: Layers, output: str, x: Array, y: Array, v: Array) -> Array:
    h, start, moved = 1e-30, 0, []
    for w, b in layers:
        end = start + w.size
        step = v[start:end].reshape(w.shape), v[end : end + b.size]
        moved.append((w + 1j * h * step[0], b + 1j * h * step[1]))
        start = end + b.size
    return np.asarray(gradient(moved, output, x, y).imag / h)
