"""Which samples are whose: all on every rank, or to each its shard."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import samples

Rows = NDArray[Any]  # of int64, (n,)
Data = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]


class Share:
    """Samples of which each rank holds all, or its shard: then all are the shards one by one.

    Attributes
    ----------
    sharded : bool
    n : int
        Samples of all ranks together.
    weights : array, shape (n,), or None
        Of all samples, on every rank.
    """

    def __init__(self, comm: Any, data: Data, sharded: bool) -> None:
        self.x, self.y, weight = data
        self._comm, self.sharded = comm, sharded
        counts = comm.allgather(len(self.x))
        self.n = sum(counts) if sharded else len(self.x)
        self._first = sum(counts[: comm.rank])
        self.weights: NDArray[np.float64] | None = None
        if weight is not None:
            own = np.asarray(weight, np.float64)
            self.weights = np.concatenate(comm.allgather(own)) if sharded else own

    def own(self, batch: Rows) -> Rows:
        """Those rows of a batch, numbered among all, that this rank works on."""
        if self.sharded:
            own: Rows = batch[(batch >= self._first) & (batch < self._first + len(self.x))]
            return own
        rank, size = self._comm.rank, self._comm.size
        return batch[len(batch) * rank // size : len(batch) * (rank + 1) // size]

    def at(self, rows: Rows) -> tuple[Any, Any]:
        """x and y of rows of this rank."""
        here = rows - self._first if self.sharded else rows
        return self.x[here], self.y[here]

    def weight(self, batch: Rows) -> float:
        """The sum of a batch's weights."""
        return float(len(batch) if self.weights is None else self.weights[batch].sum())


def own_samples(
    x: ArrayLike, y: ArrayLike, weight: ArrayLike | None, validation: Any, sharded: bool
) -> tuple[Data, Data | None]:
    """This rank's samples to train on, and its held-out ones where there are any."""
    x, y = np.asarray(x), np.asarray(y)
    if not sharded:
        given = samples.split(x, y, weight, validation)
        x, y, weight, validation = given.x, given.y, given.weight, given.held_out
    elif x.ndim != 2:
        raise ValueError(f"fit: x must be (n, D); got {x.shape}")
    elif validation is not None and not isinstance(validation, tuple | list):
        raise TypeError(
            "fit: validation must be (x, y) where x is sharded, the samples of this rank; "
            f"got {type(validation).__name__}"
        )
    elif validation is not None and len(validation) != 2:
        raise ValueError(f"fit: validation must be (x, y); got {len(validation)} items")
    data = np.ascontiguousarray(x), y, None if weight is None else np.asarray(weight)
    if validation is None:
        return data, None
    return data, (np.asarray(validation[0]), np.asarray(validation[1]), None)


class SamplesOfAll(samples.Samples):
    """What the loop of `fit` needs to know of samples that no rank need hold whole."""

    def __init__(self, comm: Any, share: Share, held_out: Share | None) -> None:
        self._comm, self._share = comm, share
        no_memory = np.broadcast_to(share.x.dtype.type(0), (share.n, *share.x.shape[1:]))
        super().__init__(no_memory, share.y, None, None if held_out is None else (None, None))

    @functools.cached_property
    def checksums(self) -> dict[str, int]:
        """Those of one process; none where no rank has all samples."""
        if self._share.sharded:
            return {}
        return samples.Samples(self._share.x, self._share.y).checksums

    def diagnosis(self, core: Any, loss: Any, rows: Rows) -> tuple[str, str]:
        """Of a batch whose cost is no number: that cost, and what may have led to it."""
        own = self._share.own(rows)
        found: list[str] = []
        for name, array in zip(("x", "y"), self._share.at(own), strict=True):
            bad = ~np.isfinite(array.reshape(len(own), -1) if len(own) else array).all(axis=-1)
            if bad.any():
                found.append(f"row {own[bad.argmax()]} of {name} holds NaN or infinity")
        for causes in self._comm.allgather(found):
            if causes:
                return str(core.cost), causes[0]
        return str(core.cost), "a smaller learning rate or clip_norm may help"
