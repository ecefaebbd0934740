"""Steps of all ranks: each works on its part of a batch, and the batch's gradient is their sum.

With W the sum of the batch's weights (its rows, where there are none), the mean cost of a batch is
the sum over the ranks of their rows' costs, each times its weight over W; its gradient likewise.
A rank with many rows, few or none adds what is its own, and nothing is divided twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpkern.dropout import dropouts_in
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.mpi.ranks import agree
from mlpkern.mpi.shares import Rows, Share
from mlpkern.optimizers import Optimizer

WHO = "fit"


class RanksCore:
    """What the loop of `fit` asks of a network's compiled core, done by all ranks together.

    Attributes
    ----------
    epoch : tuple
        (row, total, rows), as the compiled core has it: where the epoch stands.
    cost : float
        Of the last batch.
    """

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
        self._epoch, self._after = (0, 0.0, 0), (-1, (0, 0.0, 0))
        self._dropouts = dropouts_in(net)
        self.cost = math.nan
        self.failure: Exception | None = None  # of this rank, to be told with the next batch
        self.share: Share
        self.held_out: Share | None = None

    @property
    def epoch(self) -> tuple[int, float, int]:
        """A step that was taken counts, also where Ctrl-C came right behind it."""
        steps, after = self._after
        return after if self.optimizer.steps == steps else self._epoch

    @epoch.setter
    def epoch(self, place: tuple[int, float, int]) -> None:
        self._epoch, self._after = place, (-1, place)

    def check(self, x: Any, y: Any, weight: Any) -> None:
        """Raises what an epoch on these samples of this rank would raise; takes no step."""
        core = self.net._core_for(x).core
        place = (0, 0.0, 0)
        core.train_epoch(
            self.sum._core, self.optimizer._core, x, y, weight, None, 1, None, place, 0, False
        )

    def train_epoch(
        self,
        loss: Any,
        optimizer: Any,
        x: Any,
        y: Any,
        weight: Any,
        order: Rows | None,
        batch_size: int,
        factors: NDArray[Any] | None,
        position: tuple[int, float, int],
        steps: int,
        stop: bool,
    ) -> tuple[int, float, int, float, bool]:
        """As the compiled core's; loss, optimizer and samples are those that this one has."""
        self.epoch, finite, n = position, True, self.share.n
        done = 0
        while self.epoch[0] < n and done != steps:
            row, total, rows = self.epoch
            end = min(row + batch_size, n)
            batch = np.arange(row, end) if order is None else order[row:end]
            W = self.share.weight(batch) if self.mean else 1.0
            if W == 0:  # the mean of no weight at all: no step
                self.epoch = (end, total, rows)
            else:
                self._gradient(batch, W)
                finite = finite and math.isfinite(self.cost)
                if stop and not finite:
                    break
                cost = self.cost * (end - row) if self.mean else self.cost
                after = (end, total + cost, rows + end - row)
                self._after = (self.optimizer.steps + 1, after)
                self._step(1.0 if factors is None else float(factors[done]))
                self.epoch = after
            done += 1
        row, total, rows = self.epoch
        return row, total, rows, total / rows if self.mean and rows else total, finite

    def value(self, loss: Any, x: Any, y: Any, weight: Any) -> float:
        """The cost of the held-out samples, of which each rank has its part."""
        held_out = self.held_out
        assert held_out is not None
        cost, error = 0.0, None
        try:
            mine = held_out.at(held_out.own(np.arange(held_out.n)))
            cost = self.net._core_for(mine[0]).core.value(self.sum._core, *mine, None)
        except Exception as raised:
            error = raised
        total = self._total(cost, error)
        return total / held_out.n if self.mean else total

    def _gradient(self, batch: Rows, W: float) -> None:
        """Leaves the gradient of a batch in net.gradients, and its cost in `cost`."""
        cost, error = 0.0, self.failure
        if error is None:
            try:
                cost = self._own_part(self.share.own(batch), W)
            except Exception as raised:
                error = raised
        self.cost = self._total(cost, error)
        self._add(self.comm, self.net.gradients)

    def _own_part(self, rows: Rows, W: float) -> float:
        """The part of this rank's rows in the cost; their gradient is left in net.gradients."""
        self.net.zero_grad()
        for dropout in self._dropouts:  # masks of its own for every rank and step
            dropout.passes = self.optimizer.steps * self.comm.size + self.comm.rank
        if len(rows) == 0:
            return 0.0
        x, y = self.share.at(rows)
        weights = self.share.weights
        weight = np.full(len(rows), 1 / W) if weights is None else weights[rows] / W
        y_pred = self.net(x)
        cost, dy = self.sum.value_and_gradient(y_pred, y, weight)
        self.net.backward(dy, need_dx=False)
        return cost

    def _step(self, factor: float) -> None:
        self.optimizer._check_place(WHO)
        compiled = self.net._own()
        if compiled is not None:
            compiled.core.step(self.optimizer._core, factor)

    def _total(self, cost: float, error: Exception | None) -> float:
        """The sum of the ranks' costs, in their order; raises on all what was raised on one."""
        told = np.empty((self.comm.size, 2))
        self.comm.Allgather(np.array([cost, error is not None]), told)
        if told[:, 1].any():
            agree(self.comm, WHO, error)
        costs: list[float] = told[:, 0].tolist()
        return sum(costs)
