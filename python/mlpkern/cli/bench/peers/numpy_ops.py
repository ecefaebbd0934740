"""What `bench` compares with: operations in NumPy, as a person who knows NumPy writes them.

An activation is its value and its derivative. NumPy has no erf, so that the exact GELU has no row.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import numpy_peer

Array = NDArray[Any]  # float32
Function = Callable[[Array], Array]


def linear(x: Array, w: Array, b: Array, s: Array) -> Array:
    """Return s = x w + b."""
    np.matmul(x, w, out=s)
    s += b
    return s


def linear_backward(ds: Array, x: Array, w: Array, out: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return (dx, dw, db) of s = x w + b."""
    dx, dw, db = out
    np.matmul(ds, w.T, out=dx)
    np.matmul(x.T, ds, out=dw)
    np.sum(ds, axis=0, out=db)
    return out


def linear_backward_parameters(ds: Array, x: Array, out: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return (dw, db) of s = x w + b."""
    dw, db = out
    np.matmul(x.T, ds, out=dw)
    np.sum(ds, axis=0, out=db)
    return out


def sigmoid(s: Array) -> Array:
    """1/(1 + exp(-s)) = (1 + tanh(s/2))/2."""
    a: Array = np.tanh(0.5 * s)
    a += 1
    a *= 0.5
    return a


def sigmoid_derivative(s: Array) -> Array:
    """a(1 - a)."""
    a = sigmoid(s)
    a *= 1 - a
    return a


def tanh_derivative(s: Array) -> Array:
    """1 - a^2."""
    a: Array = np.tanh(s)
    np.square(a, out=a)
    return np.subtract(1, a, out=a)


def softplus(s: Array) -> Array:
    """max(s, 0) + log1p(exp(-|s|))."""
    a: Array = np.abs(s)
    np.negative(a, out=a)
    np.exp(a, out=a)
    np.log1p(a, out=a)
    a += np.maximum(s, 0)
    return a


def silu_derivative(s: Array) -> Array:
    """a + s a(1 - a) with a = sigmoid(s)."""
    a = sigmoid(s)
    slope: Array = 1 - a
    slope *= s
    slope += 1
    a *= slope
    return a


def mish_derivative(s: Array) -> Array:
    """t + s(1 - t^2) sigmoid(s) with t = tanh(softplus(s))."""
    t: Array = np.tanh(softplus(s))
    slope: Array = 1 - t * t
    slope *= s
    slope *= sigmoid(s)
    t += slope
    return t


def elu(s: Array) -> Array:
    """max(s, 0) + exp(min(s, 0)) - 1."""
    a: Array = np.minimum(s, 0)
    np.expm1(a, out=a)
    a += np.maximum(s, 0)  # cheaper than np.where, which branches
    return a


_C = np.float32((2 / np.pi) ** 0.5)


def gelu_tanh(s: Array) -> Array:
    """s/2 (1 + tanh(sqrt(2/pi) (s + 0.044715 s^3)))."""
    t: Array = s * s
    t *= np.float32(0.044715)
    t += 1
    t *= s
    t *= _C
    np.tanh(t, out=t)
    t += 1
    t *= s
    t *= 0.5
    return t


def gelu_tanh_derivative(s: Array) -> Array:
    """(1 + t)/2 + s/2 (1 - t^2) sqrt(2/pi) (1 + 3 0.044715 s^2)."""
    square: Array = s * s
    t: Array = np.tanh(_C * s * (1 + np.float32(0.044715) * square))
    square *= np.float32(3 * 0.044715)
    square += 1
    square *= s
    square *= 1 - t * t
    square *= _C
    square += t
    square += 1
    square *= 0.5
    return square


def hardswish_derivative(s: Array) -> Array:
    """s/3 + 1/2 between -3 and 3, 0 below and 1 above."""
    slope: Array = s / 3 + np.float32(0.5)
    slope *= np.abs(s) < 3
    slope += s >= 3
    return slope


def _rational(s: Array) -> Array:
    a: Array = s / (1 + np.abs(s))
    return a


ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "relu": (lambda s: np.maximum(s, 0), lambda s: (s > 0).astype(s.dtype)),
    "leaky_relu": (
        lambda s: np.maximum(s, np.float32(0.01) * s),
        lambda s: (s > 0) * np.float32(0.99) + np.float32(0.01),
    ),
    "elu": (elu, lambda s: np.exp(np.minimum(s, 0))),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "tanh": (np.tanh, tanh_derivative),
    "softplus": (softplus, sigmoid),
    "silu": (lambda s: s * sigmoid(s), silu_derivative),
    "mish": (lambda s: s * np.tanh(softplus(s)), mish_derivative),
    "softsign": (_rational, lambda s: np.square(1 / (1 + np.abs(s)))),
    "hardswish": (
        lambda s: s * np.clip(s + 3, 0, 6) / 6,
        hardswish_derivative,
    ),
    "sine": (np.sin, np.cos),
    "gaussian": (lambda s: np.exp(-s * s), lambda s: -2 * s * np.exp(-s * s)),
    "exp": (np.exp, np.exp),
    "gelu_tanh": (gelu_tanh, gelu_tanh_derivative),
}


def softargmax(s: Array) -> Array:
    """exp(s)/sum exp(s) by rows."""
    a: Array = s - s.max(axis=1, keepdims=True)
    np.exp(a, out=a)
    a /= a.sum(axis=1, keepdims=True)
    return a


def logsumexp(s: Array) -> Array:
    """Log of the sum of exp(s), by rows."""
    top = s.max(axis=1)
    sums: Array = np.exp(s - top[:, None]).sum(axis=1)
    np.log(sums, out=sums)
    sums += top
    return sums


BY_ROWS: dict[str, Function] = {"softargmax": softargmax, "logsumexp": logsumexp}


class Momentum:
    """torch.optim.SGD's step with momentum 0.9, in place."""

    def __init__(self, p: Array, g: Array, lr: float) -> None:
        self.p, self.g, self.lr = p, g, lr
        self.m, self.t = np.zeros_like(p), np.empty_like(p)

    def step(self) -> None:
        """Move the parameters."""
        np.multiply(self.m, 0.9, out=self.m)
        np.add(self.m, self.g, out=self.m)
        np.multiply(self.m, self.lr, out=self.t)
        np.subtract(self.p, self.t, out=self.p)


class RMSprop:
    """torch.optim.RMSprop's step with alpha 0.99, in place."""

    def __init__(self, p: Array, g: Array, lr: float) -> None:
        self.p, self.g, self.lr = p, g, lr
        self.v, self.t = np.zeros_like(p), np.empty_like(p)

    def step(self) -> None:
        """Move the parameters."""
        np.multiply(self.g, self.g, out=self.t)
        np.multiply(self.t, 0.01, out=self.t)
        np.multiply(self.v, 0.99, out=self.v)
        np.add(self.v, self.t, out=self.v)
        np.sqrt(self.v, out=self.t)
        np.add(self.t, 1e-8, out=self.t)
        np.divide(self.g, self.t, out=self.t)
        np.multiply(self.t, self.lr, out=self.t)
        np.subtract(self.p, self.t, out=self.p)


class Adagrad:
    """torch.optim.Adagrad's step, in place."""

    def __init__(self, p: Array, g: Array, lr: float) -> None:
        self.p, self.g, self.lr = p, g, lr
        self.v, self.t = np.zeros_like(p), np.empty_like(p)

    def step(self) -> None:
        """Move the parameters."""
        np.multiply(self.g, self.g, out=self.t)
        np.add(self.v, self.t, out=self.v)
        np.sqrt(self.v, out=self.t)
        np.add(self.t, 1e-10, out=self.t)
        np.divide(self.g, self.t, out=self.t)
        np.multiply(self.t, self.lr, out=self.t)
        np.subtract(self.p, self.t, out=self.p)


OPTIMIZERS: dict[str, Callable[[Array, Array, float], Any]] = {
    "SGD": numpy_peer.SGD,
    "SGD, momentum": Momentum,
    "RMSprop": RMSprop,
    "Adagrad": Adagrad,
    "Adam": numpy_peer.Adam,
}
