"""Every intermediate and derivative of a pass, by the names of the mathematics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mlpkern import _core, pairs
from mlpkern.activations import Activation, Identity, activation
from mlpkern.derivatives import jacobian, vjp
from mlpkern.graph import settings
from mlpkern.linear import linear, linear_backward
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.models import Chain, Linear, Standardize


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

    What a Standardize gives is h1, h2, ...; its Jacobian is diag(1/scale).

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


_STABLE = "stable form of the two"


class Step(NamedTuple):
    """One map of the chain, what it is given and what it gives, by their names."""

    map: Linear | Activation | Standardize
    source: str
    target: str
    number: int  # of the linear map


def _steps(net: Map) -> list[Step]:
    """The network's maps in order, chains unfolded; behind each linear map stands an activation."""

    def unfolded(m: Map) -> Iterator[Map]:
        if isinstance(m, Chain):
            for inner in m.layers:
                yield from unfolded(inner)
        else:
            yield m

    steps: list[Step] = []
    value, i, h = "x", 0, 0
    maps = [*unfolded(net)]
    for before, m, behind in zip([None, *maps], maps, [*maps[1:], None], strict=False):
        if isinstance(m, Linear):
            i += 1
            steps.append(Step(m, value, f"s{i}", i))
            value = f"a{i}"
            f = behind if isinstance(behind, Activation) else activation("identity")
            steps.append(Step(f, f"s{i}", value, i))
        elif isinstance(m, Standardize):
            h += 1
            steps.append(Step(m, value, f"h{h}", i))
            value = f"h{h}"
        elif not isinstance(m, Activation) or not isinstance(before, Linear):
            raise ValueError(
                "trace: net must be a chain of linear maps, each with at most one activation "
                f"behind it, and of Standardize; got {net!r}"
            )
    if i == 0:
        raise ValueError(f"trace: net must have a linear map; got {net!r}")
    steps[-1] = steps[-1]._replace(target="y_pred")
    return steps


def trace(net: Map, x: ArrayLike, y: ArrayLike, loss: Loss) -> Trace:
    """A pass forward and backward, every value by its name; see :class:`Trace`.

    The gradients that the network holds stay as they are.

    Parameters
    ----------
    net : Map
        A chain of linear maps, each with at most one activation behind it, of any depth;
        Standardize may stand before, between and behind them.
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
    steps = _steps(net)
    x = _core.as_array("trace", "x", x)
    D = net.inputs
    if x.ndim != 2 or x.shape[1] != D:
        raise ValueError(f"trace: x must be (n, D) with D = {D}; got {x.shape}")
    t = Trace()
    t._add("x", "input", x)
    t._add("y", "target", _core.as_array("trace", "y", y))
    _forward(t, steps)
    _backward(t, steps, y, _cost(t, steps[-1], y, loss))
    return t


def _called(m: Activation | Standardize, s: str, prime: str = "") -> str:
    """An activation of s, with the parameters that differ from their defaults."""
    if isinstance(m, Standardize):
        return f"Standardize({s})"
    more = ", ".join(settings(m.config(), type(m)().config()))
    if len(more) > 12:  # more would leave no room for numbers
        more = "..."
    return f"{type(m).__name__}{prime}({s}{more and ', '}{more})"


def _jacobian_of(m: Activation | Standardize, s: str) -> str:
    if isinstance(m, Identity):
        return "I"
    if isinstance(m, Standardize):
        return "diag(1/scale)"
    return f"Jacobian of {type(m).__name__}" if m.by_rows else f"diag({_called(m, s, chr(39))})"


def _forward(t: Trace, steps: list[Step]) -> None:
    for m, source, target, i in steps:
        value = t[source]
        if not isinstance(m, Linear):
            t._add(target, _called(m, source), m.predict(value))
            continue
        t._add(f"W{i}", "parameters", m.w.copy())
        if m.b is not None:
            t._add(f"b{i}", "parameters", m.b.copy())
        bias = "" if m.b is None else f" + b{i}"
        t._add(target, f"{source} W{i}{bias}", linear(value, m.w, m.b))


def _cost(t: Trace, last: Step, y: ArrayLike, loss: Loss) -> _core.Loss | None:
    """The cost and its gradient; the form of the loss that is made for the last activation."""
    stable = pairs.stable_form(loss, last.map) if isinstance(last.map, Activation) else None
    y_pred = t["y_pred"]
    cost = loss(y_pred, y) if stable is None else stable.value(t[last.source], y, None)
    t._add("C", f"{type(loss).__name__}, {loss.reduction}", cost)
    t._add("dC/dy_pred", "gradient of C", loss.gradient(y_pred, y))
    return stable


def _backward(t: Trace, steps: list[Step], y: ArrayLike, stable: _core.Loss | None) -> None:
    for m, source, target, i in reversed(steps):
        at, dy = t[source], t[f"dC/d{target}"]
        if isinstance(m, Linear):
            _through_weights(t, m, source, i)
            continue
        name, formula = f"d{target}/d{source}", f"dC/d{target} d{target}/d{source}"
        if isinstance(m, Standardize):
            value, g = jacobian(m, at), vjp(m, at, dy)[1]
        elif stable is None:
            value, g = m.jacobian(at), m.vjp(at, dy)
        else:
            value, g, formula = m.jacobian(at), stable.gradient(at, y, None), _STABLE
            stable = None
        t._add(name, _jacobian_of(m, source), value)
        t._add(f"dC/d{source}", formula, g)


def _through_weights(t: Trace, f: Linear, source: str, i: int) -> None:
    dx: Any  # always there: need_dx is True
    dx, dw, db = linear_backward(t[f"dC/ds{i}"], t[source], f.w)
    t._add(f"dC/dW{i}", f"{source}' dC/ds{i}", dw)
    if f.b is not None:
        t._add(f"dC/db{i}", f"sum of dC/ds{i}", db)
    t._add(f"ds{i}/d{source}", f"W{i}'", f.w.T.copy())
    t._add(f"dC/d{source}", f"dC/ds{i} W{i}'", dx)
