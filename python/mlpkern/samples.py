"""The samples of a training: what is learned from, and what is held out."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern.losses import Loss
from mlpkern.maps import Map

SAMPLED_BYTES = 2**17


@dataclass
class Samples:
    """Inputs, targets and weights to learn from, and (x, y) held out."""

    x: NDArray[Any]
    y: NDArray[Any]
    weight: ArrayLike | None = None
    held_out: tuple[Any, Any] | None = None

    def check_held_out(self, net: Map, loss: Loss) -> None:
        """Refuses held-out samples that do not fit, before any step."""
        if self.held_out is None:
            return
        try:
            net._core_for(self.x).core.value(loss._core, *self.held_out, None)
        except (TypeError, ValueError) as error:
            text = str(error).removeprefix("value: ")
            raise type(error)(f"fit: validation {text}") from None

    @functools.cached_property
    def checksums(self) -> dict[str, int]:
        """Of x and y, as far as `checksum_of_some` looks at them, when they are first asked for."""
        return {"x": checksum_of_some(self.x), "y": checksum_of_some(self.y)}

    def diagnosis(self, core: Any, loss: Loss, rows: NDArray[Any]) -> tuple[str, str]:
        """Of a batch whose cost is no number: that cost, and what may have led to it."""
        weight = None if self.weight is None else np.asarray(self.weight)[rows]
        cost = core.value(loss._core, self.x[rows], self.y[rows], weight)
        for name, array in (("x", self.x), ("y", self.y)):
            bad = ~np.isfinite(array[rows].reshape(len(rows), -1)).all(axis=1)
            if bad.any():
                return str(cost), f"row {rows[bad.argmax()]} of {name} holds NaN or infinity"
        what = "not finite" if np.isfinite(cost) else str(cost)  # without Dropout, it may be
        return what, "a smaller learning rate or clip_norm may help"


def checksum_of_some(array: NDArray[Any]) -> int:
    """CRC-32 of an array's rows, or of 128 kB of them where there is more.

    Those rows lie at even distances, the first and the last one among them, four at least: 100 MB
    take less than a millisecond, and one row in between may differ unseen. Whole numbers of any
    width that are equal have one checksum, and so have both byte orders.
    """
    import zlib  # here: with it, `import mlpkern` takes longer

    if array.ndim == 0 or array.dtype.kind not in "iubf":
        return 0  # the first step refuses them
    n = len(array)
    row = array.dtype.itemsize * max(array.size // max(n, 1), 1)
    count = min(n, max(SAMPLED_BYTES // row, 4))
    rows = array[np.linspace(0, n - 1, count).astype(np.int64)] if count < n else array
    little = np.dtype("<i8") if rows.dtype.kind in "iub" else rows.dtype.newbyteorder("<")
    return zlib.crc32(np.ascontiguousarray(rows, little).data)


def split(x: NDArray[Any], y: NDArray[Any], weight: ArrayLike | None, validation: Any) -> Samples:
    """The samples that `fit` was given, with those set aside that ``validation`` says."""
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"fit: x must be (n, D) with at least one sample; got {x.shape}")
    if validation is None:
        return Samples(np.ascontiguousarray(x), y, weight)
    if isinstance(validation, tuple | list):
        if len(validation) != 2:
            raise ValueError(f"fit: validation must be (x, y); got {len(validation)} items")
        return Samples(np.ascontiguousarray(x), y, weight, (validation[0], validation[1]))
    if isinstance(validation, bool) or not isinstance(validation, int | float | np.floating):
        raise TypeError(
            f"fit: validation must be (x, y) or a number; got {type(validation).__name__}"
        )
    if y.ndim == 0 or (weight is not None and np.asarray(weight).shape != (len(x),)):
        raise ValueError(
            f"fit: y and sample_weight must have {len(x)} rows, as x has; "
            f"got y {y.shape}, sample_weight {np.asarray(weight).shape}"
        )
    if not 0 < validation < 1:
        raise ValueError(f"fit: validation must be between 0 and 1; got {validation}")
    held_out = round(len(x) * validation)
    if not 0 < held_out < len(x) or len(x) != len(y):
        raise ValueError(
            f"fit: validation must leave samples on both sides; got {validation} of {len(x)}"
        )
    keep = len(x) - held_out
    kept_weight = None if weight is None else np.asarray(weight)[:keep]
    return Samples(np.ascontiguousarray(x[:keep]), y[:keep], kept_weight, (x[keep:], y[keep:]))
