"""The same training in NumPy, as a person who knows NumPy writes it: what the timings compare with.

All parameters in one array, every buffer made once, `out=` wherever NumPy takes it, and
the cost taken together with the activation that it is made for.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # float32 or float64, all alike
Forward = Callable[[Array, Array], object]  # (s, a): fill a, which may be s
Backward = Callable[[Array, Array, Array], object]  # (a, da, scratch): da *= f'(s), from the output


def identity(s: Array, a: Array) -> None:
    """a = s."""
    np.copyto(a, s)


def relu(s: Array, a: Array) -> None:
    """a = max(s, 0)."""
    np.maximum(s, 0, out=a)


def relu3(s: Array, a: Array) -> None:
    """a = 3 max(s, 0)."""
    np.maximum(s, 0, out=a)
    a *= 3


def sigmoid(s: Array, a: Array) -> None:
    """a = 1/(1 + exp(-s)) = (1 + tanh(s/2))/2, which cannot overflow."""
    np.multiply(s, 0.5, out=a)
    np.tanh(a, out=a)
    a += 1
    a *= 0.5


def softargmax(s: Array, a: Array) -> None:
    """a = exp(s)/sum exp(s), the maximum taken off first."""
    np.subtract(s, s.max(axis=1, keepdims=True), out=a)
    np.exp(a, out=a)
    a /= a.sum(axis=1, keepdims=True)


def _relu_backward(a: Array, da: Array, t: Array) -> None:
    np.greater(a, 0, out=t)
    da *= t


def _relu3_backward(a: Array, da: Array, t: Array) -> None:
    _relu_backward(a, da, t)
    da *= 3


def _tanh_backward(a: Array, da: Array, t: Array) -> None:
    np.multiply(a, a, out=t)
    np.subtract(1, t, out=t)
    da *= t


def _sigmoid_backward(a: Array, da: Array, t: Array) -> None:
    np.subtract(1, a, out=t)
    t *= a
    da *= t


ACTIVATIONS: dict[str, tuple[Forward, Backward]] = {
    "identity": (identity, lambda a, da, t: None),
    "relu": (relu, _relu_backward),
    "relu3": (relu3, _relu3_backward),
    "tanh": (lambda s, a: np.tanh(s, out=a), _tanh_backward),
    "sigmoid": (sigmoid, _sigmoid_backward),
    "softargmax": (softargmax, lambda a, da, t: None),  # only with its cost, which gives ds
}


def squared_error(s: Array, p: Array, y: Array, dy: Array) -> tuple[float, bool]:
    """Return sum (p - y)^2/n; dy becomes its derivative by p."""
    np.subtract(p, y, out=dy)
    cost = float(np.vdot(dy, dy)) / len(p)
    dy *= 2 / len(p)
    return cost, False


def binary_cross_entropy(s: Array, p: Array, y: Array, dy: Array) -> tuple[float, bool]:
    """Return the cost from the logits s; dy becomes its derivative by them."""
    np.abs(s, out=dy)
    np.negative(dy, out=dy)
    np.exp(dy, out=dy)
    np.log1p(dy, out=dy)
    dy += np.maximum(s, 0)
    cost = float(dy.sum() - np.vdot(s, y)) / len(p)
    np.subtract(p, y, out=dy)
    dy *= 1 / len(p)
    return cost, True


def cross_entropy(s: Array, p: Array, y: NDArray[Any], dy: Array) -> tuple[float, bool]:
    """Return the cost of the labels y (n,) from the logits s; dy becomes its derivative by them."""
    rows = np.arange(len(p))
    np.subtract(s, s.max(axis=1, keepdims=True), out=dy)
    picked = dy[rows, y].sum()
    np.exp(dy, out=dy)
    cost = float(np.log(dy.sum(axis=1)).sum() - picked) / len(p)
    np.copyto(dy, p)
    dy[rows, y] -= 1
    dy *= 1 / len(p)
    return cost, True


COSTS = {
    "squared error": squared_error,
    "binary cross-entropy": binary_cross_entropy,
    "cross-entropy": cross_entropy,
}


class SGD:
    """torch.optim.SGD's step on one flat array, in place."""

    def __init__(self, p: Array, g: Array, lr: float = 0.1) -> None:
        self.p, self.g, self.lr, self.s = p, g, lr, np.zeros_like(p)

    def step(self) -> None:
        """Move the parameters."""
        np.multiply(self.g, self.lr, out=self.s)
        self.p -= self.s


class Adam:
    """torch.optim.Adam's step on one flat array, in place."""

    def __init__(self, p: Array, g: Array, lr: float = 1e-3) -> None:
        self.p, self.g, self.lr, self.t = p, g, lr, 0
        self.m, self.v, self.s = (np.zeros_like(p) for _ in range(3))

    def step(self) -> None:
        """Move the parameters."""
        self.t += 1
        np.multiply(self.g, 0.1, out=self.s)
        self.m *= 0.9
        self.m += self.s
        np.multiply(self.g, self.g, out=self.s)
        self.s *= 0.001
        self.v *= 0.999
        self.v += self.s
        np.sqrt(self.v, out=self.s)
        self.s *= (1 - 0.999**self.t) ** -0.5
        self.s += 1e-8
        np.divide(self.m, self.s, out=self.s)
        self.s *= self.lr / (1 - 0.9**self.t)
        self.p -= self.s


OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"SGD": SGD, "Adam": Adam}


class Network:
    """An MLP of sizes [D, ..., K] that takes training steps on batches of at most `batch` rows.

    `parameters` starts as a copy of what is given: layer by layer, w row by row, then b. Its dtype
    is that of all arrays.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: str,
        output: str,
        cost: str,
        parameters: Array,
        batch: int,
        lr: float = 1e-3,
        optimizer: str = "Adam",
    ) -> None:
        self.parameters = parameters.copy()
        self.gradients = np.zeros_like(self.parameters)
        self.optimizer = OPTIMIZERS[optimizer](self.parameters, self.gradients, lr)
        self.cost = COSTS[cost]
        pairs = list(itertools.pairwise(sizes))
        self.activations = [ACTIVATIONS[hidden]] * (len(pairs) - 1) + [ACTIVATIONS[output]]
        arrays = (_views(block, pairs) for block in (self.parameters, self.gradients))
        self.layers = list(zip(*arrays, strict=True))
        self.s, self.a, self.da, self.scratch = (
            [np.empty((batch, width), parameters.dtype) for width in sizes[1:]] for _ in range(4)
        )

    def forward(self, x: Array) -> tuple[list[Array], Array]:
        """Return the inputs of all layers with the last one's output, and that before g."""
        n, inputs = len(x), [x]
        for i, ((w, b), _) in enumerate(self.layers):
            s, a = self.s[i][:n], self.a[i][:n]
            np.matmul(inputs[-1], w, out=s)
            s += b
            self.activations[i][0](s, a)
            inputs.append(a)
        return inputs, s

    def step(self, x: Array, y: NDArray[Any]) -> float:
        """Return the cost of a batch, after moving the parameters."""
        n, last = len(x), len(self.layers) - 1
        inputs, s = self.forward(x)
        cost, fused = self.cost(s, inputs[-1], y, self.da[last][:n])
        for i in range(last, -1, -1):
            (w, _), (dw, db) = self.layers[i]
            ds = self.da[i][:n]
            if not (fused and i == last):
                self.activations[i][1](inputs[i + 1], ds, self.scratch[i][:n])
            np.matmul(inputs[i].T, ds, out=dw)
            np.sum(ds, axis=0, out=db)
            if i:
                np.matmul(ds, w.T, out=self.da[i - 1][:n])
        self.optimizer.step()
        return cost

    def evaluate(self, x: Array, y: NDArray[Any]) -> float:
        """Return the cost, and move nothing."""
        inputs, s = self.forward(x)
        return self.cost(s, inputs[-1], y, self.da[-1][: len(x)])[0]

    def fit(
        self,
        x: Array,
        y: NDArray[Any],
        epochs: int,
        batch_size: int,
        seed: int,
        validation: tuple[Array, NDArray[Any]],
    ) -> list[tuple[float, float]]:
        """Take the steps of `epochs` shuffled passes; return each one's costs."""
        rng = np.random.default_rng(seed)
        batch_x, batch_y = np.empty_like(x[:batch_size]), np.empty_like(y[:batch_size])
        history = []
        for _ in range(epochs):
            order = rng.permutation(len(x))
            total = 0.0
            for start in range(0, len(x), batch_size):
                rows = order[start : start + batch_size]
                n = len(rows)
                np.take(x, rows, axis=0, out=batch_x[:n], mode="clip")  # clip: no buffer for out
                np.take(y, rows, axis=0, out=batch_y[:n], mode="clip")
                total += n * self.step(batch_x[:n], batch_y[:n])
            history.append((total / len(x), self.evaluate(*validation)))
        return history


def _views(block: Array, pairs: Sequence[tuple[int, int]]) -> list[tuple[Array, Array]]:
    views, start = [], 0
    for inputs, outputs in pairs:
        end = start + inputs * outputs
        views.append((block[start:end].reshape(inputs, outputs), block[end : end + outputs]))
        start = end + outputs
    return views
