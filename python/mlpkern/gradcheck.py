"""A check of gradients: what backward gives, against differences of the cost.

On a copy of the network in float64, for each parameter p with the step h,

    dC/dp = (8 (C(p + h) - C(p - h)) - (C(p + 2h) - C(p - 2h))) / (12 h)        + O(h^4).

There is no complex step: activations and losses are made of |s|, max and comparisons, which a
complex number has no meaning for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import _core
from mlpkern._arguments import integer, number
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.models import from_config
from mlpkern.training import value_and_gradient

__all__ = ["GradCheck", "GradCheckRow", "gradcheck"]

EPS = float(np.finfo(np.float64).eps)
STEP = EPS**0.2  # 7e-4: where h^4, the stencil's error, is EPS/h, the costs' rounding
LEAST_STEP = 1e-6  # below, the rounding of the costs hides a wrong gradient
# A gradient this much smaller than the network's largest is measured against that one.
SMALL = 1e-3
# A cost goes through many roundings, and the stencil weighs them with 3/2. Where it is the square
# of a small difference of outputs, theirs are the larger ones: 2 sqrt(C) EPS |y_pred|.
ROUNDINGS = 64
# What fails is tried again with smaller steps: a kink may lie within the first.
SHRINK = (1.0, 1 / 16, 1 / 256)

HEADER = (
    f"{'':4} {'shape':12} {'worst':12} {'analytic':>12} {'numeric':>12} "
    f"{'error':>7} {'relative':>8} {'ok':>3}"
)


@dataclass(frozen=True)
class GradCheckRow:
    """One array: how many entries were compared, and the worst of them."""

    name: str  # W1, b1, W2, ... in the order of net.parameters
    shape: tuple[int, ...]
    entries: int
    index: tuple[int, ...]
    analytic: float
    numeric: float
    absolute: float  # |analytic - numeric|
    relative: float  # absolute over the larger of the two
    ok: bool

    def __str__(self) -> str:
        return (
            f"{self.name:4} {self.shape!s:12} {self.index!s:12} {self.analytic:12.5e} "
            f"{self.numeric:12.5e} {self.absolute:7.1e} {self.relative:8.1e} "
            f"{'yes' if self.ok else 'NO':>3}"
        )


@dataclass(frozen=True)
class GradCheck:
    """What :func:`gradcheck` found: true where all gradients are right; printed, a table."""

    rows: tuple[GradCheckRow, ...]
    cost: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether every entry that was compared is right."""
        return all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        entries = sum(row.entries for row in self.rows)
        size = sum(int(np.prod(row.shape)) for row in self.rows)
        wrong = ", ".join(row.name for row in self.rows if not row.ok)
        return "\n".join(
            [
                f"cost {self.cost:.6g}, {entries} of {size} parameters compared, "
                f"tolerance {self.tolerance:.0e}",
                HEADER,
                *map(str, self.rows),
                f"wrong: {wrong}" if wrong else "all gradients are right",
            ]
        )


def gradcheck(
    net: Map,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    method: str = "central",
    step: float | None = None,
    tolerance: float = 1e-6,
    entries: int = 200,
    seed: int = 0,
) -> GradCheck:
    """Compares the gradient of a batch's cost with differences of the cost, array by array.

    Parameters
    ----------
    net : Map
        Of either dtype; what is checked is a copy of it in float64.
    loss : Loss
    x : array, shape (n, D)
    y : array, shape (n, K), or integer labels (n,) for CrossEntropy
    sample_weight : array, shape (n,), optional
    method : {"central"}
        Central differences of five points.
    step : float, optional
        7e-4 if left out; times the parameter's size where that is greater than 1.
    tolerance : float
        The largest error that counts as none, relative to the entry, or to a thousandth of the
        largest entry of all arrays where the entry is smaller than that.
    entries, seed : int
        Of a larger array, so many entries are compared, drawn with this seed.

    Returns
    -------
    GradCheck
        ``.ok`` and ``bool()``, ``.rows``, and a table when printed. The inputs are not changed.

    Raises
    ------
    TypeError, ValueError
        If the arguments do not fit, as :func:`mlpkern.value_and_gradient` has them, or the network
        has no parameters.

    Notes
    -----
    An entry that fails is measured again with smaller steps, as a kink (of ReLU, of the absolute
    error) may lie within the first. With an input exactly on a kink no difference is the stated
    derivative.
    """
    _check(net, loss, method)
    tolerance = number("gradcheck", "tolerance", tolerance, 0.0, open_=True)
    chosen = number("gradcheck", "step", STEP if step is None else step, LEAST_STEP)
    entries = integer("gradcheck", "entries", entries, 1)
    twin = _in_float64(net)
    x, y = _widened("x", x), _widened("y", y)
    weight = None if sample_weight is None else _widened("sample_weight", sample_weight)
    cost, gradient = value_and_gradient(twin, loss, x, y, weight)
    probe = _Probe(
        lambda: loss(twin(x), y, weight),
        step=chosen,
        tolerance=tolerance,
        largest=_largest(gradient),
        outputs=_largest(twin.predict(x)),
    )
    rng = np.random.default_rng(integer("gradcheck", "seed", seed, 0))
    rows, begin = [], 0
    for name, array in _arrays(twin):
        part = gradient[begin : begin + array.size].reshape(array.shape)
        begin += array.size
        if array.size:
            picked = rng.choice(array.size, min(entries, array.size), replace=False)
            rows.append(probe.row(name, array, part, np.sort(picked)))
    return GradCheck(tuple(rows), cost, tolerance)


class _Entry(NamedTuple):
    numeric: float
    error: float  # over what is allowed: 1 or less is right


class _Probe:
    """Moves parameters, and looks at the cost."""

    def __init__(
        self,
        cost: Callable[[], float],
        *,
        step: float,
        tolerance: float,
        largest: float,
        outputs: float,
    ) -> None:
        self.cost, self.step, self.tolerance, self.outputs = cost, step, tolerance, outputs
        self.least = SMALL * largest

    def row(
        self, name: str, array: NDArray[Any], gradient: NDArray[Any], picked: NDArray[Any]
    ) -> GradCheckRow:
        """The worst of the picked entries."""
        flat = array.reshape(-1)  # a view: the network's own numbers
        seen = [self.entry(flat, int(i), float(gradient.flat[i])) for i in picked]
        worst = int(np.argmax([e.error for e in seen]))
        at, numeric = int(picked[worst]), seen[worst].numeric
        analytic = float(gradient.flat[at])
        absolute = abs(analytic - numeric)
        size = max(abs(analytic), abs(numeric))
        return GradCheckRow(
            name,
            array.shape,
            len(picked),
            tuple(int(k) for k in np.unravel_index(at, array.shape)),
            analytic,
            numeric,
            absolute,
            absolute / size if size else 0.0,
            seen[worst].error <= 1,
        )

    def entry(self, flat: NDArray[Any], i: int, analytic: float) -> _Entry:
        """The best that any step gives; what is no number is infinitely wrong."""
        best = _Entry(float("nan"), float("inf"))
        for shrink in SHRINK:
            h = shrink * self.step * max(1.0, abs(float(flat[i])))
            numeric, noise = self.slope(flat, i, h)
            size = max(abs(analytic), abs(numeric), self.least)
            allowed = self.tolerance * size + noise
            error = abs(analytic - numeric) / allowed if analytic != numeric else 0.0
            if not np.isfinite(error):
                error = float("inf")
            if error < best.error or np.isnan(best.numeric):
                best = _Entry(numeric, error)
            if best.error <= 1:
                break
        return best

    def slope(self, flat: NDArray[Any], i: int, h: float) -> tuple[float, float]:
        """dC/dp by the stencil, and its rounding error."""
        kept, costs = float(flat[i]), []
        for k in (1, -1, 2, -2):
            flat[i] = kept + k * h
            costs.append(self.cost())
        flat[i] = kept
        c1, d1, c2, d2 = costs
        cost = max(map(abs, costs))
        noise = ROUNDINGS * EPS * (cost + cost**0.5 * self.outputs) / h
        return (8 * (c1 - d1) - (c2 - d2)) / (12 * h), noise


def _check(net: Any, loss: Any, method: Any) -> None:
    if not isinstance(net, Map):
        raise TypeError(f"gradcheck: net must be a network; got {type(net).__name__}")
    if not isinstance(loss, Loss):
        raise TypeError(f"gradcheck: loss must be a Loss; got {type(loss).__name__}")
    if method != "central":
        raise ValueError(f'gradcheck: method must be "central"; got {method!r}')
    if not sum(f._size() for f in net._linears()):
        raise ValueError(f"gradcheck: net must have parameters; got {net!r}")


def _in_float64(net: Map) -> Map:
    twin = from_config(net.config(), np.float64)
    for f, g in zip(net._linears(), twin._linears(), strict=True):
        g.w = f.w
        if f.b is not None:
            g.b = f.b
    return twin


def _widened(name: str, a: ArrayLike) -> NDArray[Any]:
    """float32 as float64; anything else as it is, for the network to take or to refuse."""
    array = _core.as_array("gradcheck", name, a)
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _arrays(net: Map) -> list[tuple[str, NDArray[Any]]]:
    found = []
    for i, f in enumerate(net._linears(), 1):
        found.append((f"W{i}", f.w))
        if f.b is not None:
            found.append((f"b{i}", f.b))
    return found


def _largest(a: NDArray[Any]) -> float:
    finite = a[np.isfinite(a)]
    return float(np.abs(finite).max(initial=0.0))
