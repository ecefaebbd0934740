"""Maps with parameters, put together by composition (Chain) and sum (Sum).

`forward` returns the value and a function that takes the cost's derivative by the value back to
its derivative by the input (the pullback), and adds parameter gradients on the way. The rest of
a network is bookkeeping: all its parameters lie in one flat array, its gradients in another.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .activations import activation
from .base import Activation
from .linear import linear, linear_backward
from .numeric import Array, as_real

Pullback: TypeAlias = Callable[[Array], Array]
Part: TypeAlias = "Map | Activation"


class Map:
    """A map from x (..., D) to y (..., K)."""

    _pullback: Pullback | None = None

    def forward(self, x: Array) -> tuple[Array, Pullback]:
        """Return y and its pullback dy -> dx, which adds to the gradients."""
        raise NotImplementedError

    def linears(self) -> "list[Linear]":
        """Return the linear maps inside, each once, in the order of their first use."""
        raise NotImplementedError

    def __call__(self, x: ArrayLike) -> Array:
        """Return y, and keep what `backward` needs."""
        y, self._pullback = self.forward(as_real(x, "x"))
        return y

    def predict(self, x: ArrayLike) -> Array:
        """Return y, and keep nothing."""
        return self.forward(as_real(x, "x"))[0]

    def backward(self, dy: ArrayLike) -> Array:
        """Return dx, and add to the gradients, for the x of the last call."""
        if self._pullback is None:
            raise RuntimeError("backward needs a call of the map before it")
        return self._pullback(as_real(dy, "dy"))

    def zero_grad(self) -> None:
        """Set the gradients to zero."""
        for f in self.linears():
            f.dw[...] = 0
            if f.db is not None:
                f.db[...] = 0

    @property
    def parameters(self) -> Array:
        """All parameters, (P,): map by map, w row by row, then b."""
        return self._flat(0)

    @property
    def gradients(self) -> Array:
        """The gradients, (P,), in the same order."""
        return self._flat(1)

    def _flat(self, which: int) -> Array:
        raise NotImplementedError


class Linear(Map):
    """s = x w + b with w (D, L) and b (L,); w, b and the gradients dw, db are views.

    `dtype` is accepted and not used: the oracle computes in float64.
    """

    def __init__(
        self, D: int, L: int, bias: bool = True, dtype: Any = np.float64, seed: int = 0
    ) -> None:
        self.shape, self.bias = (D, L), bias
        self.owner: Map | None = None
        self.size = D * L + (L if bias else 0)
        bound = 1 / np.sqrt(max(D, 1))
        start = np.random.default_rng(seed).uniform(-bound, bound, self.size)
        self.bind(start, np.zeros(self.size), 0)

    def bind(self, parameters: Array, gradients: Array, start: int) -> None:
        """Make the arrays views of these two flat ones, from `start` on."""
        self.blocks, self.start = (parameters, gradients), start
        self.w, self.b = self._views(parameters)
        self.dw, self.db = self._views(gradients)

    def _views(self, block: Array) -> tuple[Array, Array | None]:
        end = self.start + self.shape[0] * self.shape[1]
        bias = block[end : end + self.shape[1]] if self.bias else None
        return block[self.start : end].reshape(self.shape), bias

    def _flat(self, which: int) -> Array:
        return self.blocks[which][self.start : self.start + self.size]

    def linears(self) -> "list[Linear]":
        return [self]

    def forward(self, x: Array) -> tuple[Array, Pullback]:
        def pullback(ds: Array) -> Array:
            dx, dw, db = linear_backward(ds, x, self.w)
            assert dx is not None
            self.dw += dw
            if self.db is not None:
                self.db += db
            return dx

        return linear(x, self.w, self.b), pullback


class Standardize(Map):
    """y = (x - mean)/scale, column by column; mean and scale (D,). Nothing of it is trained."""

    def __init__(self, mean: ArrayLike, scale: ArrayLike) -> None:
        self.mean, self.scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)

    @classmethod
    def of(cls, x: ArrayLike) -> "Standardize":
        """Return the map that gives the columns of x (n, D) mean 0 and deviation 1.

        A column that never changes is only shifted.
        """
        x = np.asarray(x, np.longdouble)
        deviation = np.std(x, axis=0)
        return cls(np.mean(x, axis=0), np.where(np.ptp(x, axis=0) == 0, 1, deviation))

    def linears(self) -> "list[Linear]":
        return []

    def _flat(self, which: int) -> Array:
        return np.zeros(0)

    def forward(self, x: Array) -> tuple[Array, Pullback]:
        return (x - self.mean) / self.scale, lambda dy: dy / self.scale


class Composite(Map):
    """Maps put together. Its `layers` are the maps, in order."""

    def __init__(self, *maps: Part) -> None:
        if not maps:
            raise ValueError(f"{type(self).__name__} needs at least one map")
        self.layers = list(maps)
        linears, inside = self.linears(), list(self._composites())
        self.owns = all(f.owner is None or f.owner in inside for f in linears)
        if self.owns:
            blocks = [
                np.concatenate([f._flat(i) for f in linears] or [np.zeros(0)]) for i in (0, 1)
            ]
            start = 0
            for f in linears:
                f.owner = self
                f.bind(blocks[0], blocks[1], start)
                start += f.size

    def _composites(self) -> "Iterator[Composite]":
        """Yield this composite and all inside it."""
        yield self
        for part in self.layers:
            if isinstance(part, Composite):
                yield from part._composites()

    def linears(self) -> list[Linear]:
        found = [f for part in self.layers if isinstance(part, Map) for f in part.linears()]
        return list(dict.fromkeys(found))

    def _flat(self, which: int) -> Array:
        linears = self.linears()
        if not linears:
            return np.zeros(0)
        first, last = linears[0], linears[-1]
        ends = [f.start + f.size for f in linears]
        adjoin = all(end == f.start for end, f in zip(ends, linears[1:], strict=False))
        if not (self.owns and adjoin and all(f.blocks[0] is first.blocks[0] for f in linears)):
            raise ValueError("this map has no flat arrays: other networks own maps inside it")
        return first.blocks[which][first.start : last.start + last.size]


class Chain(Composite):
    """The composition ``y = maps[-1](… maps[0](x))``."""

    def forward(self, x: Array) -> tuple[Array, Pullback]:
        return compose(self.layers, x)


class Sum(Composite):
    """The sum of branches: y = maps[0](x) + maps[1](x) + ..."""

    def forward(self, x: Array) -> tuple[Array, Pullback]:
        values, pullbacks = zip(*(_forward(part, x) for part in self.layers), strict=True)
        if len({y.shape for y in values}) > 1:
            raise ValueError(f"branches must agree in shape, not {[y.shape for y in values]}")
        return sum(values[1:], values[0]), lambda dy: sum(back(dy) for back in pullbacks)


def compose(parts: Sequence[Part], x: Array) -> tuple[Array, Pullback]:
    """Return the value and the pullback of `parts`, one after the other."""
    pullbacks: list[Pullback] = []
    for part in parts:
        x, pullback = _forward(part, x)
        pullbacks.append(pullback)

    def back(dy: Array) -> Array:
        for pullback in reversed(pullbacks):
            dy = pullback(dy)
        return dy

    return x, back


def _forward(part: Part, s: Array) -> tuple[Array, Pullback]:
    if isinstance(part, Map):
        return part.forward(s)
    return part(s), lambda da: part.vjp(s, da)


class MLP(Chain):
    """A Chain of Linear and activation, in turn: sizes [D, L, ..., K].

    hidden : a name, an activation, or a list of one for each hidden layer
    output : a name or an activation
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: str | Activation | Sequence[str | Activation] = "tanh",
        output: str | Activation = "identity",
        dtype: Any = np.float64,
        seed: int = 0,
    ) -> None:
        count = len(sizes) - 2
        if count < 0:
            raise ValueError("sizes needs at least an input and an output")
        names = [hidden] * count if isinstance(hidden, (str, Activation)) else list(hidden)
        if len(names) != count:
            raise ValueError(f"hidden must have {count} activations, not {len(names)}")
        parts: list[Part] = []
        for i, name in enumerate([*names, output]):
            parts.append(Linear(sizes[i], sizes[i + 1], dtype=dtype, seed=seed + i))
            parts.append(activation(name) if isinstance(name, str) else name)
        super().__init__(*parts)
