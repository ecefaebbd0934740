"""Standardizing columns: a map with fixed numbers, measured on data or given."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import _core
from mlpkern.maps import Map
from mlpkern.program import ProgramBuilder

__all__ = ["Standardize"]

Columns = NDArray[np.float64]
_LEAST, _MOST = 2.0**-1022, 2.0**1022  # so that 1/scale is a normal number too
_ROWS = 4096  # widened to float64 at once
_short = reprlib.Repr()
_short.maxlist = 4


class Standardize(Map):
    """``y = (x - mean) / scale``, column by column. It has no parameters to train.

    The numbers are float64 whatever the network's dtype is. The map computes in float64 too and
    rounds to the dtype once: a mean that is large beside the scale costs no digits. Standardize
    is immutable.

    Parameters
    ----------
    mean, scale : array, shape (D,)
        The size of a scale must lie between 2**-1022 and 2**1022.

    Examples
    --------
    >>> import numpy as np
    >>> import mlpkern as mk
    >>> x = np.array([[1, 10], [3, 30]], np.float32)
    >>> net = mk.Chain(mk.Standardize.of(x), mk.MLP([2, 4, 1]))
    >>> net[0]
    Standardize([2.0, 20.0], [1.0, 10.0])
    >>> net[0](x)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """

    def __init__(self, mean: ArrayLike, scale: ArrayLike) -> None:
        self._mean, self._scale = _columns("mean", mean), _columns("scale", scale)
        if self._mean.shape != self._scale.shape:
            raise ValueError(
                "Standardize: mean and scale must have one shape; "
                f"got {self._mean.shape}, {self._scale.shape}"
            )
        _check("Standardize: mean must be finite", self._mean, np.isfinite(self._mean))
        size = np.abs(self._scale)
        rule = "Standardize: scale must lie between 2**-1022 and 2**1022 in size"
        _check(rule, self._scale, (size >= _LEAST) & (size <= _MOST))

    @classmethod
    def of(cls, x: ArrayLike) -> Standardize:
        """The map that gives the columns of x mean 0 and standard deviation 1.

        The deviation is that of the population (ddof 0); a column that never changes gets scale 1.

        Parameters
        ----------
        x : array of real numbers, shape (n, D), with a row or more

        Raises
        ------
        TypeError, ValueError
            If x is no such array, or not finite.
        """
        array = _numbers("Standardize.of", "x", x)
        if array.ndim != 2 or len(array) == 0:
            raise ValueError(
                f"Standardize.of: x must be (n, D) with a row or more; got {array.shape}"
            )
        return cls(*_moments(array))

    @property
    def mean(self) -> Columns:
        """What is subtracted, shape (D,), read-only."""
        return self._mean

    @property
    def scale(self) -> Columns:
        """What is divided by, shape (D,), read-only."""
        return self._scale

    @property
    def inputs(self) -> int:
        """The number of columns D."""
        return self._mean.size

    def inverse(self) -> Standardize:
        """The way back, ``x = y scale + mean``, as a map of the same kind."""
        return Standardize(0.0 - self._mean / self._scale, 1 / self._scale)

    def copy(self) -> Standardize:
        """Itself: it cannot change."""
        return self

    def config(self) -> dict[str, Any]:
        """``{"type": "Standardize", "mean": […], "scale": […]}``."""
        return {
            "type": "Standardize",
            "mean": self._mean.tolist(),
            "scale": self._scale.tolist(),
        }

    def __repr__(self) -> str:
        mean, scale = (_short.repr(v.tolist()) for v in (self._mean, self._scale))
        return f"Standardize({mean}, {scale})"

    def _emit(self, builder: ProgramBuilder, value: int) -> int:
        return builder.standardize(value, [*self._mean.tolist(), *self._scale.tolist()])

    def _width(self, inputs: int | None) -> int:
        if inputs is not None and inputs != self.inputs:
            raise ValueError(f"{self!r} must be given {self.inputs} columns; got {inputs}")
        return self.inputs


def _numbers(who: str, name: str, value: ArrayLike) -> NDArray[Any]:
    array = _core.as_array(who, name, value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{who}: {name} must be an array of real numbers; got {array.dtype}")
    return array


def _columns(name: str, value: ArrayLike) -> Columns:
    array = _numbers("Standardize", name, value).astype(np.float64)  # a copy
    if array.ndim != 1:
        raise ValueError(f"Standardize: {name} must be (D,); got {array.shape}")
    array.flags.writeable = False
    return array


def _check(rule: str, numbers: NDArray[Any], good: NDArray[np.bool_]) -> None:
    if not good.all():
        column = int(np.argmin(good))
        raise ValueError(f"{rule}; got {float(numbers[column])!r} in column {column}")


def _moments(x: NDArray[Any]) -> tuple[Columns, Columns]:
    """Mean and deviation of each column of x (n, D); 1 for the deviation where it never changes.

    In two passes, the second one about the mean of the first. Each column is taken as a multiple
    of a power of two above its largest number, so that no sum or square leaves the range.
    """
    n = len(x)
    low, high = (x.min(axis=0), x.max(axis=0))
    for ends in (low, high):  # NaN is both
        _check("Standardize.of: x must be finite", ends, np.isfinite(ends))
    largest = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
    exponent = np.frexp(largest)[1]

    def blocks() -> Iterator[Columns]:
        for first in range(0, n, _ROWS):
            block = x[first : first + _ROWS].astype(np.float64, order="C")
            yield np.ldexp(block, -exponent)

    mean = np.zeros(x.shape[1])
    for block in blocks():
        mean += block.sum(axis=0) / n
    first, second = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for block in blocks():
        d = block - mean
        first += d.sum(axis=0)
        second += np.square(d).sum(axis=0)
    variance = np.maximum(second - np.square(first) / n, 0) / n
    mean, deviation = np.ldexp(mean + first / n, exponent), np.ldexp(np.sqrt(variance), exponent)
    constant = low == high
    return np.where(constant, low, mean), np.where(constant, 1.0, deviation)
