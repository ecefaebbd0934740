"""One step of all ranks: the batch's rows are divided among them, its gradient is their sum.

With W the sum of the batch's weights (its rows, where there are none), the mean cost of a batch is
the sum over the ranks of their rows' costs, each times its weight over W; its gradient likewise.
A rank with many rows, few or none adds what is its own, and nothing is divided twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.mpi.ranks import agree
from mlpkern.optimizers import Optimizer

WHO = "fit"

Rows = NDArray[Any]  # of int64


class Samples:
    """Samples of which each rank holds all, or only its shard: then all are the shards in order.

    Attributes
    ----------
    n : int
        Samples of all ranks together.
    weights : array, shape (n,), or None
        Of all samples, on every rank.
    """

    def __init__(self, comm: Any, x: Any, y: Any, weight: Any, sharded: bool) -> None:
        self.x, self.y, self._sharded = x, y, sharded
        self._rank, self._size = comm.rank, comm.size
        counts = comm.allgather(len(x))
        self.n = sum(counts) if sharded else len(x)
        self._first = sum(counts[: comm.rank])
        self.weights: NDArray[np.float64] | None = None
        if weight is not None:
            own = np.asarray(weight, np.float64)
            self.weights = np.concatenate(comm.allgather(own)) if sharded else own

    def own(self, batch: Rows) -> Rows:
        """Those rows of a batch, numbered among all, that this rank works on."""
        if self._sharded:
            own: Rows = batch[(batch >= self._first) & (batch < self._first + len(self.x))]
            return own
        first, end = (len(batch) * rank // self._size for rank in (self._rank, self._rank + 1))
        return batch[first:end]

    def at(self, rows: Rows) -> tuple[Any, Any]:
        """x and y of rows of this rank."""
        here = rows - self._first if self._sharded else rows
        return self.x[here], self.y[here]


class Steps:
    """The steps of an epoch, taken by all ranks at once."""

    def __init__(
        self,
        comm: Any,
        net: Map,
        loss: Loss,
        optimizer: Optimizer,
        add: Callable[[Any, NDArray[Any]], None],
    ) -> None:
        self.comm, self.net, self.optimizer, self._add = comm, net, optimizer, add
        self.mean = loss.reduction == "mean"
        self.sum = type(loss)(**loss._arguments(), reduction="sum")

    def check(self, x: Any, y: Any, weight: Any) -> None:
        """Raises what an epoch on these samples of this rank would raise; takes no step."""
        core = self.net._core_for(x).core
        place = (0, 0.0, 0)
        core.train_epoch(
            self.sum._core, self.optimizer._core, x, y, weight, None, 1, None, place, 0, False
        )

    def epoch(self, samples: Samples, order: Rows, batch_size: int) -> float:
        """Steps on batch_size samples at a time; the mean (or the sum) of their costs."""
        total, rows = 0.0, 0
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            cost = self.step(samples, batch)
            if cost is not None:
                total += cost * len(batch) if self.mean else cost
                rows += len(batch)
        return total / rows if self.mean and rows else total

    def step(self, samples: Samples, batch: Rows) -> float | None:
        """The cost of a batch, before the step; None where its mean is that of no weight at all."""
        weights = np.ones(len(batch)) if samples.weights is None else samples.weights[batch]
        W = weights.sum() if self.mean else 1.0
        if W == 0:
            return None
        cost, error = 0.0, None
        try:
            cost = self._own_part(samples, samples.own(batch), W)
        except Exception as raised:
            error = raised
        cost = self._total(cost, error)
        self._add(self.comm, self.net.gradients)
        self.optimizer.step()
        return cost

    def _own_part(self, samples: Samples, rows: Rows, W: float) -> float:
        """The part of this rank's rows in the cost; its gradient is left in net.gradients."""
        self.net.zero_grad()
        if len(rows) == 0:
            return 0.0
        x, y = samples.at(rows)
        weight = np.full(len(rows), 1 / W) if samples.weights is None else samples.weights[rows] / W
        y_pred = self.net(x)
        cost, dy = self.sum.value_and_gradient(y_pred, y, weight)
        self.net.backward(dy, need_dx=False)
        return cost

    def _total(self, cost: float, error: Exception | None) -> float:
        """The sum of the ranks' costs, in their order; raises on all what was raised on one."""
        told = np.empty((self.comm.size, 2))
        self.comm.Allgather(np.array([cost, error is not None]), told)
        if told[:, 1].any():
            agree(self.comm, WHO, error)
        costs: list[float] = told[:, 0].tolist()
        return sum(costs)

    def value(self, samples: Samples) -> float:
        """The cost of samples, each rank's part computed by it."""
        rows = samples.own(np.arange(samples.n))
        cost, error = 0.0, None
        try:
            x, y = samples.at(rows)
            cost = self.net._core_for(x).core.value(self.sum._core, x, y, None)
        except Exception as raised:
            error = raised
        total = self._total(cost, error)
        return total / samples.n if self.mean else total
