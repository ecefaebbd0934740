# mypy: disable-error-code=no-any-return
"""What derivatives.py is made of: dense Jacobians, and differences of whatever is given.

Both in longdouble: a network is copied, with its parameters, before anything is computed.
"""

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .base import Activation
from .models import Chain, Linear, Map, Part, Standardize, Sum
from .numeric import Array

LONG: Any = np.longdouble  # to the type checker, all is float64

# For the first difference: h^6/140 f7 is 1e-15 for f7 = 1e9, rounding 2^-64/h = 2e-16.
STEP = 2.0**-12
# For the second: rounding 6 2^-64/h^2 = 9e-14, h^6/560 f8 = 1e-14 for f8 = 1e5.
STEP_OF_SECOND = 2.0**-9


class Dense(NamedTuple):
    """A value and its Jacobians."""

    y: Array  # (n, K)
    by_x: Array  # (n, K, D)
    by_p: Array  # (n, K, P)


def widened(f: Part) -> Part:
    return f if isinstance(f, Activation) else widened_net(f)


def widened_net(net: Map) -> Map:
    """Return a copy of a network over longdouble copies of its parameters, in one block."""
    twin = copy.deepcopy(net)
    blocks: list[Array] = [np.zeros(count(net), LONG) for _ in range(2)]
    start = 0
    for f in twin.linears():
        blocks[0][start : start + f.size] = f._flat(0)
        f.bind(blocks[0], blocks[1], start)
        start += f.size
    return twin


def count(net: Part) -> int:
    return 0 if isinstance(net, Activation) else sum(f.size for f in net.linears())


def rows_of(x: Array) -> Array:
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1]).astype(LONG)


def deliver(result: Array, x: Array) -> Array:
    return result.reshape(*x.shape[:-1], *result.shape[1:]).astype(x.dtype)


def flat_lead(a: ArrayLike, lead: int) -> Array:
    """Return a with its first `lead` axes as one, in longdouble."""
    wide = np.asarray(a, LONG)
    return wide.reshape(math.prod(wide.shape[:lead]), *wide.shape[lead:])


def dense(part: Part, x: Array, P: int = 0) -> Dense:
    """Return y and its Jacobians by x (n, D) and by P parameters (none of them for P = 0)."""
    n, D = x.shape
    if isinstance(part, Sum):
        branches = [dense(branch, x, P) for branch in part.layers]
        return Dense(*(sum(terms[1:], terms[0]) for terms in zip(*branches, strict=True)))
    if isinstance(part, Chain):
        at = dense(part.layers[0], x, P)
        for inner in part.layers[1:]:
            y, by_x, by_p = dense(inner, at.y, P)
            at = Dense(y, by_x @ at.by_x, by_x @ at.by_p + by_p)
        return at
    if isinstance(part, Linear):
        K = part.shape[1]
        by_p = np.zeros((n, K, P), x.dtype)
        for k in range(K if P else 0):
            by_p[:, k, part.start + k : part.start + D * K : K] = x
            if part.bias:
                by_p[:, k, part.start + D * K + k] = 1
        return Dense(part.forward(x)[0], np.broadcast_to(part.w.T, (n, K, D)), by_p)
    if isinstance(part, Standardize):
        by_x = np.broadcast_to(np.diag(1 / part.scale.astype(x.dtype)), (n, D, D))
        return Dense(part.forward(x)[0], by_x, np.zeros((n, D, P), x.dtype))
    assert isinstance(part, Activation)
    return Dense(part(x), part.jacobian(x), np.zeros((n, D, P), x.dtype))


def on_lines(x: Array, lines: Array) -> tuple[Array, Array]:
    """Return the rows x (n, D) once for each of m lines, and the lines beside them: (m n, D)."""
    return np.tile(x, (len(lines), 1)), np.repeat(lines, len(x), axis=0)


def first_difference(f: Callable[[Array], Array], at: Array, line: Array) -> Array:
    """Return the derivative of f(at + t line) by t at t = 0."""
    line = line.astype(LONG)
    size = np.abs(line).max(initial=0)
    if size == 0:
        return np.zeros_like(f(at))
    step = (STEP / size) * line
    f1, f2, f3 = (f(at + k * step) - f(at - k * step) for k in (1, 2, 3))
    return (45 * f1 - 9 * f2 + f3) * (size / (60 * STEP))


def second_difference(f: Callable[[Array], Array], at: Array, line: Array) -> Array:
    """Return the second derivative of f(at + t line) by t at t = 0."""
    line = line.astype(LONG)
    size = np.abs(line).max(initial=0)
    if size == 0:
        return np.zeros_like(f(at))
    step = (STEP_OF_SECOND / size) * line
    f1, f2, f3 = (f(at + k * step) + f(at - k * step) for k in (1, 2, 3))
    scale = (size / STEP_OF_SECOND) ** 2 / 180
    return (270 * f1 - 27 * f2 + 2 * f3 - 490 * f(at)) * scale
