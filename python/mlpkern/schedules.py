"""Schedules of the learning rate: factors of the optimizer's, as functions of the time in epochs.

Step i of the s steps of epoch e, both counted from 0, is at t = e + i/s. `fit` asks for every step;
in a loop of one's own it is ``optimizer.lr = lr * schedule(t)``. What a schedule gives depends on t
alone, but for ReduceOnPlateau, which follows the costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from mlpkern._arguments import integer, number
from mlpkern.callbacks import History, monitored

__all__ = [
    "ConstantSchedule",
    "CosineSchedule",
    "ExponentialSchedule",
    "OneCycle",
    "ReduceOnPlateau",
    "Schedule",
    "StepSchedule",
    "WarmUp",
]


class Schedule:
    """A factor of the optimizer's learning rate, called with the time in epochs."""

    def __call__(self, t: float) -> float:
        """The factor at the time ``t``."""
        raise NotImplementedError

    def begin(self, history: History) -> None:
        """Forgets what it saw before; ``fit`` calls it first."""

    def observe(self, history: History) -> None:
        """Looks at an epoch that is over; ``fit`` calls it before the callbacks."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the arguments."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave."""

    def __repr__(self) -> str:
        inside = (f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({', '.join(inside)})"


class ConstantSchedule(Schedule):
    """The same factor at all times."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = number("ConstantSchedule", "factor", factor, 0.0)

    def __call__(self, t: float) -> float:
        """``factor``."""
        return self.factor


class StepSchedule(Schedule):
    """``gamma`` times as much after every ``step_size`` epochs: ``gamma ** floor(t / step_size)``.

    Parameters
    ----------
    step_size : float
        In epochs.
    gamma : float
    """

    def __init__(self, step_size: float, gamma: float = 0.1) -> None:
        self.step_size = number("StepSchedule", "step_size", step_size, 0.0, open_=True)
        self.gamma = number("StepSchedule", "gamma", gamma, 0.0)

    def __call__(self, t: float) -> float:
        """The factor at the time ``t``."""
        return float(self.gamma ** math.floor(t / self.step_size))


class ExponentialSchedule(Schedule):
    """``gamma ** t``: in each epoch ``gamma`` times as much, falling within the epochs too."""

    def __init__(self, gamma: float) -> None:
        self.gamma = number("ExponentialSchedule", "gamma", gamma, 0.0, open_=True)

    def __call__(self, t: float) -> float:
        """The factor at the time ``t``."""
        return float(self.gamma**t)


class CosineSchedule(Schedule):
    """Half a period of the cosine, from 1 down to ``minimum`` at ``epochs``, where it stays.

    ``minimum + (1 - minimum) (1 + cos(pi t / epochs)) / 2``.

    Parameters
    ----------
    epochs : float
    minimum : float
        A factor, as all numbers here: ``lr_min / lr``.
    """

    def __init__(self, epochs: float, minimum: float = 0.0) -> None:
        self.epochs = number("CosineSchedule", "epochs", epochs, 0.0, open_=True)
        self.minimum = number("CosineSchedule", "minimum", minimum, 0.0)

    def __call__(self, t: float) -> float:
        """The factor at the time ``t``."""
        return _half_cosine(1.0, self.minimum, t / self.epochs)


class OneCycle(Schedule):
    """Up from ``start_factor`` to 1 at ``peak_at * epochs``, down to ``end_factor`` at ``epochs``.

    Both ways are half a period of the cosine; after them ``end_factor`` stays (Smith and Topin,
    2018). The optimizer's learning rate is the highest one. PyTorch's OneCycleLR has these factors.

    Parameters
    ----------
    epochs : float
    peak_at : float
        A part of ``epochs``, from 0 to 1.
    start_factor, end_factor : float
    """

    def __init__(
        self,
        epochs: float,
        peak_at: float = 0.3,
        start_factor: float = 0.04,
        end_factor: float = 4e-6,
    ) -> None:
        self.epochs = number("OneCycle", "epochs", epochs, 0.0, open_=True)
        self.peak_at = _part("OneCycle", "peak_at", peak_at)
        self.start_factor = number("OneCycle", "start_factor", start_factor, 0.0)
        self.end_factor = number("OneCycle", "end_factor", end_factor, 0.0)

    def __call__(self, t: float) -> float:
        """The factor at the time ``t``."""
        peak = self.peak_at * self.epochs
        if t < peak:
            return _half_cosine(self.start_factor, 1.0, t / peak)
        if t >= self.epochs:
            return self.end_factor
        return _half_cosine(1.0, self.end_factor, (t - peak) / (self.epochs - peak))


class WarmUp(Schedule):
    """A linear rise over the first epochs, then another schedule, which begins at its time 0.

    ``then(0) (start + (1 - start) t / epochs)`` before ``epochs``, ``then(t - epochs)`` after.

    Parameters
    ----------
    epochs : float
    then : callable, optional
        A schedule, or any function of the time in epochs; by default, 1.
    start : float
        The part of ``then(0)`` at t = 0.
    """

    def __init__(
        self, epochs: float, then: Callable[[float], float] | None = None, start: float = 0.01
    ) -> None:
        self.epochs = number("WarmUp", "epochs", epochs, 0.0, open_=True)
        self.then = ConstantSchedule() if then is None else then
        if not callable(self.then):
            raise TypeError(
                "WarmUp: then must be a schedule or another function of the time in epochs; "
                f"got {type(then).__name__}"
            )
        self.start = number("WarmUp", "start", start, 0.0)

    def __call__(self, t: float) -> float:
        """The factor at the time ``t``."""
        if t >= self.epochs:
            return self.then(t - self.epochs)
        return self.then(0.0) * (self.start + (1 - self.start) * t / self.epochs)

    def begin(self, history: History) -> None:
        """Passed on to ``then``."""
        if isinstance(self.then, Schedule):
            self.then.begin(history)

    def observe(self, history: History) -> None:
        """Passed on to ``then``, once the rise is over."""
        if isinstance(self.then, Schedule) and history.epochs > self.epochs:
            self.then.observe(history)

    def state(self) -> dict[str, Any]:
        """That of ``then``."""
        return self.then.state() if isinstance(self.then, Schedule) else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Passed on to ``then``."""
        if isinstance(self.then, Schedule):
            self.then.restore(state)


class ReduceOnPlateau(Schedule):
    """``factor`` times as much whenever a monitored number has not fallen for ``patience`` epochs.

    Parameters
    ----------
    factor : float
        Below 1.
    patience : int
        Epochs without an improvement after which the factor falls, as Keras counts them: PyTorch
        waits for one more.
    monitor : str, optional
        A key of the history; by default ``"val_loss"`` where there is one, else ``"loss"``.
    min_delta : float
        What counts as an improvement.
    cooldown : int
        Epochs after a fall that do not count.
    min_factor : float
        The least factor of the optimizer's learning rate.

    Attributes
    ----------
    current : float
        The factor now.

    Examples
    --------
    In a loop of one's own, after each epoch:

    >>> schedule = ReduceOnPlateau(factor=0.5, patience=2)
    >>> for cost in (3.0, 2.0, 2.5, 2.5):
    ...     schedule.step(cost)
    >>> schedule.current
    0.5
    """

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        monitor: str | None = None,
        min_delta: float = 0.0,
        cooldown: int = 0,
        min_factor: float = 0.0,
    ) -> None:
        self.factor = _part("ReduceOnPlateau", "factor", factor)
        self.patience = integer("ReduceOnPlateau", "patience", patience, 1)
        self.monitor = monitor
        self.min_delta = number("ReduceOnPlateau", "min_delta", min_delta)
        self.cooldown = integer("ReduceOnPlateau", "cooldown", cooldown, 0)
        self.min_factor = number("ReduceOnPlateau", "min_factor", min_factor, 0.0)
        self._forget()

    def _forget(self) -> None:
        self._current, self._best = 1.0, math.inf
        self._waited = self._cooling = 0

    @property
    def current(self) -> float:
        """The factor now."""
        return self._current

    def __call__(self, t: float = 0.0) -> float:
        """The factor now, at whatever time."""
        return self._current

    def begin(self, history: History) -> None:
        """Forgets what it saw before."""
        monitored("ReduceOnPlateau", self.monitor, history)
        self._forget()

    def observe(self, history: History) -> None:
        """Looks at an epoch that is over."""
        self.step(history[monitored("ReduceOnPlateau", self.monitor, history)][-1])

    def step(self, value: float) -> None:
        """Takes in the monitored number of one more epoch."""
        if value < self._best - self.min_delta:
            self._best, self._waited = float(value), 0
        else:
            self._waited += 1
        if self._cooling > 0:
            self._cooling -= 1
            self._waited = 0
        if self._waited >= self.patience:
            self._current = max(self._current * self.factor, self.min_factor)
            self._waited, self._cooling = 0, self.cooldown

    def state(self) -> dict[str, Any]:
        """The factor, the best number and the epochs counted."""
        return {
            "current": self._current,
            "best": self._best,
            "waited": self._waited,
            "cooling": self._cooling,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave."""
        current = number("ReduceOnPlateau", "current", state["current"], 0.0)
        waited, cooling = (
            integer("ReduceOnPlateau", name, state[name], 0) for name in ("waited", "cooling")
        )
        self._best = float(state["best"])
        self._current, self._waited, self._cooling = current, waited, cooling


def _half_cosine(start: float, end: float, part: float) -> float:
    """From ``start`` to ``end`` as ``part`` goes from 0 to 1, and there beyond it."""
    if part >= 1:
        return end
    cosine = math.cos(math.pi * part)
    return (start * (1 + cosine) + end * (1 - cosine)) / 2


def _part(who: str, name: str, value: Any) -> float:
    result = number(who, name, value, 0.0)
    if result > 1:
        raise ValueError(f"{who}: {name} must be from 0 to 1; got {result}")
    return result
