"""Every intermediate and derivative of a pass, by the names of the mathematics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import _core, pairs
from mlpkern.activations import Activation, Identity, activation
from mlpkern.graph import settings
from mlpkern.linear import linear, linear_backward
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.models import Chain, Linear

Layer = tuple[Linear, Activation]


class Trace(Mapping[str, Any]):
    """A pass forward and backward: ``t["s1"]``, ``t["dC/dW1"]``; printed, a table.

    Rows are samples. For a network x -> Linear1 -> s1 -> f -> a1 -> ... -> y_pred -> C:

    ==================  ==============  ============================================
    name                shape           value
    ==================  ==============  ============================================
    x, y                (n, D), (n, K)  what came in
    W1, b1              (D, L), (L,)    parameters
    s1                  (n, L)          x W1 + b1
    a1                  (n, L)          f(s1)
    y_pred              (n, K)          the last activation
    C                   number          the cost of the batch, as the loss reduces it
    dC/dy_pred          (n, K)          of that cost
    dy_pred/ds2         (n, K, K)       Jacobian of the last activation
    dC/ds2              (n, K)          (dC/dy_pred) (dy_pred/ds2)
    dC/dW2, dC/db2      as W2, b2       a1' (dC/ds2); the sum of dC/ds2 over the rows
    ds2/da1             (K, L)          W2'
    dC/da1              (n, L)          (dC/ds2) (ds2/da1)
    da1/ds1             (n, L, L)       Jacobian of the activation, diagonal
    dC/ds1              (n, L)          (dC/da1) (da1/ds1)
    dC/dW1, dC/db1      as W1, b1       x' (dC/ds1); the sum over the rows
    ds1/dx              (L, D)          W1'
    dC/dx               (n, D)          (dC/ds1) (ds1/dx)
    ==================  ==============  ============================================

    Where cost and last activation are a stable pair (sigmoid with binary cross-entropy, softargmax
    with cross-entropy), C and dC/ds of the last layer are computed by the form made for the pair.
    Every derivative is taken from s; the network's own backward takes those of tanh, sigmoid and
    exp from the output, and may differ by a unit in the last place of 1.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._formulas: dict[str, str] = {}

    def _add(self, name: str, formula: str, value: Any) -> Any:
        self._values[name], self._formulas[name] = value, formula
        return value

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise KeyError(f"trace: name must be one of {', '.join(self._values)}; got {name!r}")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def formula(self, name: str) -> str:
        """What a value is, as the table says it: ``t.formula("s1")`` is ``"x W1 + b1"``."""
        self[name]  # the error of a name that there is not
        return self._formulas[name]

    def __str__(self) -> str:
        """A table of names, formulas, shapes and first entries, 80 columns wide."""
        widths = [max(len(name) for name in self._values), max(map(len, self._formulas.values()))]
        lines = [f"{'name':<{widths[0]}}  {'is':<{widths[1]}}  {'shape':<12}  first entries"]
        lines.append("-" * 79)
        for name, value in self._values.items():
            line = (
                f"{name:<{widths[0]}}  {self._formulas[name]:<{widths[1]}}  {_shape(value):<12}  "
            )
            lines.append(line + _first_entries(value, 79 - len(line)))
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same table in a notebook."""
        head = "".join(
            f'<th style="text-align:left">{title}</th>'
            for title in ("name", "is", "shape", "first entries")
        )
        rows = ""
        for name, value in self._values.items():
            cells = (name, self._formulas[name], _shape(value), _first_entries(value, 40).strip())
            rows += "<tr>"
            rows += "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in cells)
            rows += "</tr>\n"
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>"


def _shape(value: Any) -> str:
    return "number" if np.ndim(value) == 0 else str(np.shape(value))


def _first_entries(value: Any, room: int) -> str:
    flat = np.ravel(value)
    text = ""
    for i, entry in enumerate(flat):
        more = f"{entry:.4g}"
        if len(text) + len(more) + 3 > room:
            return text + ("..." if i else "")
        text += more + " "
    return text


def _layers(net: Map) -> list[Layer]:
    """The network as pairs of a linear map and its activation, chains within chains unfolded."""

    def unfolded(m: Map) -> Iterator[Map]:
        if isinstance(m, Chain):
            for inner in m.layers:
                yield from unfolded(inner)
        else:
            yield m

    layers: list[Layer] = []
    bare = True  # no activation yet behind the last linear map
    for m in unfolded(net):
        if isinstance(m, Linear):
            layers.append((m, activation("identity")))
            bare = True
        elif isinstance(m, Activation) and layers and bare:
            layers[-1] = (layers[-1][0], m)
            bare = False
        else:
            raise ValueError(
                "trace: net must be a chain of linear maps, each with at most one activation "
                f"behind it; got {net!r}"
            )
    if not layers:
        raise ValueError(f"trace: net must have a linear map; got {net!r}")
    return layers


def trace(net: Map, x: ArrayLike, y: ArrayLike, loss: Loss) -> Trace:
    """A pass forward and backward, every value by its name; see :class:`Trace`.

    The gradients that the network holds stay as they are.

    Parameters
    ----------
    net : Map
        A chain of linear maps, each with at most one activation behind it, of any depth.
    x : array, shape (n, D)
    y : array, shape (n, K), or integer labels (n,) for CrossEntropy
    loss : Loss

    Raises
    ------
    TypeError, ValueError
        If the network has another form, or the arguments do not fit.
    """
    if not isinstance(loss, Loss):
        raise TypeError(f"trace: loss must be a Loss; got {type(loss).__name__}")
    layers = _layers(net)
    x = _core.as_array("trace", "x", x)
    D = layers[0][0].inputs
    if x.ndim != 2 or x.shape[1] != D:
        raise ValueError(f"trace: x must be (n, D) with D = {D}; got {x.shape}")
    t = Trace()
    t._add("x", "input", x)
    t._add("y", "target", _core.as_array("trace", "y", y))
    _forward(t, layers, x)
    _cost(t, layers, y, loss)
    _backward(t, layers)
    return t


def _name_of_input(i: int) -> str:
    return "x" if i == 1 else f"a{i - 1}"


def _name_of_output(i: int, depth: int) -> str:
    return "y_pred" if i == depth else f"a{i}"


def _called(g: Activation, s: str, prime: str = "") -> str:
    """An activation of s, with the parameters that differ from their defaults."""
    more = ", ".join(settings(g.config(), type(g)().config()))
    if len(more) > 12:  # more would leave no room for numbers
        more = "..."
    return f"{type(g).__name__}{prime}({s}{more and ', '}{more})"


def _jacobian_of(g: Activation, s: str) -> str:
    if isinstance(g, Identity):
        return "I"
    return f"Jacobian of {type(g).__name__}" if g.by_rows else f"diag({_called(g, s, chr(39))})"


def _forward(t: Trace, layers: list[Layer], x: NDArray[Any]) -> None:
    value = x
    for i, (f, g) in enumerate(layers, 1):
        source, target = _name_of_input(i), _name_of_output(i, len(layers))
        t._add(f"W{i}", "parameters", f.w.copy())
        bias = "" if f.b is None else f" + b{i}"
        if f.b is not None:
            t._add(f"b{i}", "parameters", f.b.copy())
        s = t._add(f"s{i}", f"{source} W{i}{bias}", linear(value, f.w, f.b))
        value = t._add(target, _called(g, f"s{i}"), g(s))


def _cost(t: Trace, layers: list[Layer], y: ArrayLike, loss: Loss) -> None:
    depth = len(layers)
    last = layers[-1][1]
    s, y_pred = t[f"s{depth}"], t["y_pred"]
    stable = pairs.stable_form(loss, last)
    cost = loss(y_pred, y) if stable is None else stable.value(s, y, None)
    t._add("C", f"{type(loss).__name__}, {loss.reduction}", cost)
    dy = t._add("dC/dy_pred", "gradient of C", loss.gradient(y_pred, y))
    t._add(f"dy_pred/ds{depth}", _jacobian_of(last, f"s{depth}"), last.jacobian(s))
    if stable is None:
        t._add(f"dC/ds{depth}", f"dC/dy_pred dy_pred/ds{depth}", last.vjp(s, dy))
    else:
        t._add(f"dC/ds{depth}", "stable form of the two", stable.gradient(s, y, None))


def _backward(t: Trace, layers: list[Layer]) -> None:
    dx: Any  # always there: need_dx is True
    for i in range(len(layers), 0, -1):
        f = layers[i - 1][0]
        source = _name_of_input(i)
        dx, dw, db = linear_backward(t[f"dC/ds{i}"], t[source], f.w)
        t._add(f"dC/dW{i}", f"{source}' dC/ds{i}", dw)
        if f.b is not None:
            t._add(f"dC/db{i}", f"sum of dC/ds{i}", db)
        t._add(f"ds{i}/d{source}", f"W{i}'", f.w.T.copy())
        t._add(f"dC/d{source}", f"dC/ds{i} W{i}'", dx)
        if i > 1:
            g, s = layers[i - 2][1], t[f"s{i - 1}"]
            jacobian = f"d{source}/ds{i - 1}"
            t._add(jacobian, _jacobian_of(g, f"s{i - 1}"), g.jacobian(s))
            t._add(f"dC/ds{i - 1}", f"dC/d{source} {jacobian}", g.vjp(s, dx))
