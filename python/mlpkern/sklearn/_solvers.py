"""Optimizers with scikit-learn's learning rates, and one epoch of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk
from mlpkern.sklearn._network import Objective, Samples

MOST_DENSE = 1 << 22  # numbers of a sparse x that are made dense at a time
MOST_HANDED = 8
SMALLEST_RATE = 1e-6  # of the adaptive rule, from which on it gives up


class Solver:
    """An optimizer of mlpkern, driven as scikit-learn drives its own.

    Attributes
    ----------
    learning_rate : float
        The one in force.
    """

    def __init__(self, estimator: Any, net: mk.MLP) -> None:
        self._rule = estimator.learning_rate if estimator.solver == "sgd" else "constant"
        self._first, self._power = estimator.learning_rate_init, estimator.power_t
        self.steps = _optimizer(estimator, net)
        self._decays = estimator.solver != "adamw"
        self._handed: dict[tuple[float, float], Any] = {}  # hyperparameters by decay and rate

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.steps.lr)  # type: ignore[attr-defined]

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        """Velocities are steps already made: the buffer, times the rate, stays what it was."""
        buffer = self.steps.states.get("momentum_buffer")
        if buffer is not None:
            buffer *= self.learning_rate / value
        self.steps.lr = value  # type: ignore[attr-defined]

    def epoch_ends(self, samples: int) -> None:
        """After an epoch, with the number of samples seen since the first."""
        if self._rule == "invscaling":
            self.learning_rate = float(self._first) / (samples + 1) ** self._power

    def gives_up(self) -> str:
        """Why training ends now that it makes no progress; "" where it goes on, more slowly."""
        if self._rule != "adaptive":
            return "Stopping."
        if self.learning_rate <= SMALLEST_RATE:
            return "Learning rate too small. Stopping."
        self.learning_rate /= 5.0
        return ""

    def epoch(
        self, objective: Objective, samples: Samples, order: NDArray[Any] | None, batch: int
    ) -> float:
        """Steps through all samples, in that order or as they come; the mean cost before them.

        The penalty's share of a batch depends on its weights: batches where that is the same are
        one call. Its cost is taken between those of the first and the last weights.
        """
        gathers = samples.weight is not None or not samples.dense
        before, shares, total = objective.penalty(), 0.0, 0.0
        for first, last, divisor in runs(samples, order, batch, objective.alpha):
            count = last - first
            self._decay(objective.alpha / divisor)
            if gathers:
                part = samples.take(slice(first, last) if order is None else order[first:last])
                cost = self._steps(objective, part, None, batch, 0, count)
            else:
                cost = self._steps(objective, samples, order, batch, first, count)
            total += cost * count
            shares += count / divisor
        penalty = 0.5 * (before + objective.penalty()) * shares
        return (total + penalty) / len(samples)

    def _steps(
        self,
        objective: Objective,
        samples: Samples,
        order: NDArray[Any] | None,
        batch: int,
        first: int,
        count: int,
    ) -> float:
        """Steps on so many samples from the first on; their mean cost."""
        core = objective.net._core_for(samples.x).core
        return core.train_epoch(
            objective.loss._core,
            self.steps._core,
            samples.x,
            samples.y,
            samples.weight,
            order,
            batch,
            None,
            (first, 0.0, 0),
            -(-count // batch),
            False,
        )[3]

    def _decay(self, weight_decay: float) -> None:
        """Sets the decay of the weights; AdamW's alpha is what its paper decays them by.

        What is handed to the core is kept: to set the attribute takes 50 us, a fifth of a small
        epoch, and whole batches and the last one of each epoch take turns.
        """
        if not self._decays:
            return
        steps: Any = self.steps
        key = (weight_decay, steps.lr)
        if key not in self._handed:
            steps.weight_decay = weight_decay
            if len(self._handed) >= MOST_HANDED:
                self._handed.clear()
            self._handed[key] = steps._segments(steps._values, steps._groups)
        steps._core.set_groups(self._handed[key])


def runs(
    samples: Samples, order: NDArray[Any] | None, batch: int, alpha: float
) -> list[tuple[int, int, float]]:
    """Runs of batches whose weights have one sum: (first row, row behind the last, that sum)."""
    n = len(samples)
    if samples.weight is None:
        whole = n - n % batch
        most = n if samples.dense else max(MOST_DENSE // (batch * samples.x.shape[1]), 1) * batch
        starts = [*range(0, whole, most), *([whole] if whole < n else [])]
        ends = [*starts[1:], n]
        return [(a, b, float(min(batch, b - a))) for a, b in zip(starts, ends, strict=True)]
    weight = samples.weight if order is None else samples.weight[order]
    starts = list(range(0, n, batch))
    sums = np.add.reduceat(weight, starts)
    ends = [*starts[1:], n]
    return [(a, b, s) for a, b, s in zip(starts, ends, sums.tolist(), strict=True) if s > 0]


def _optimizer(estimator: Any, net: mk.MLP) -> mk.Optimizer:
    """The optimizer of an estimator's solver; only weights decay."""
    e, lr = estimator, estimator.learning_rate_init
    groups = {"b": {"weight_decay": 0.0}}
    if e.solver == "sgd":
        nesterov = e.nesterovs_momentum and e.momentum > 0
        return mk.SGD(net, lr, momentum=e.momentum, nesterov=nesterov, groups=groups)
    if e.solver == "rmsprop":
        return mk.RMSprop(net, lr, alpha=e.beta_2, eps=e.epsilon, groups=groups)
    if e.solver == "adagrad":
        return mk.Adagrad(net, lr, eps=e.epsilon, groups=groups)
    betas = (e.beta_1, e.beta_2)
    if e.solver == "adamw":
        return mk.AdamW(net, lr, betas, e.epsilon, weight_decay=e.alpha, groups=groups)
    return mk.Adam(net, lr, betas, e.epsilon, groups=groups)
