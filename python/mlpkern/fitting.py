"""The loop of `fit`: epochs of steps, what is reported of each, and where it stands in between.

Where an epoch stands is the core's to say: ``core.epoch`` is (row, total, rows), the first row
still to come, the sum of the costs and the rows in it, always after the last whole step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlpkern.callbacks import Callback, History
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.optimizers import Optimizer
from mlpkern.samples import Samples

if TYPE_CHECKING:
    from mlpkern.checkpoints import Checkpoint


@dataclass
class Fitting:
    """One call of `fit`: its arguments, checked, and its state."""

    net: Map
    loss: Loss
    optimizer: Optimizer
    samples: Samples
    batch_size: int
    shuffle: bool
    generator: np.random.Generator
    schedule: Callable[[float], float] | None
    callbacks: Sequence[Callback]
    checkpoint: Checkpoint | None
    stop_on_nan: bool

    def __post_init__(self) -> None:
        compiled = self.net._core_for(self.samples.x)
        self.core, self.predicting = compiled.training.core, compiled.core
        self.history = History(self.net, self.optimizer)
        if self.samples.held_out is not None:
            self.history["val_loss"] = []
        if self.schedule is not None:
            self.history["lr"] = []
        self.stopped = False  # by a callback
        self.whole = False  # whether what there is now may be written into a checkpoint
        self.seconds_before = 0.0
        self.drawn_from: Any = None  # the generator's state before it drew this epoch's order
        self.config = self.optimizer.config()  # as it was given

    @property
    def batches(self) -> int:
        """Steps in an epoch."""
        return -(-len(self.samples.x) // self.batch_size)

    def facts(self) -> dict[str, Any]:
        """What a checkpoint says of the samples: whoever goes on from it must have the like."""
        return {
            "rows": len(self.samples.x),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "loss": repr(self.loss),
            **self.samples.checksums,
        }

    def begin(self) -> None:
        """Tells all listeners that training begins, and opens the first epoch."""
        self.start = time.perf_counter()
        if self.checkpoint is not None:
            self.samples.checksums  # noqa: B018  of the samples as they are before any callback
            self.checkpoint._begin()
        for listener in (self.schedule, *self.callbacks):
            getattr(listener, "begin", lambda _: None)(self.history)
        self._open_epoch()

    def run(self, epochs: int, report: Callable[[History], None]) -> None:
        """Trains until there have been so many epochs, or a callback has ended it.

        On Ctrl-C, and on SystemExit, which the handler of a signal may raise, a checkpoint of the
        last whole step is written.
        """
        try:
            while self.history.epochs < epochs and not self.stopped:
                self.optimizer._check_place("fit")  # a callback may have composed the network
                self._epoch(epochs, report)
        except (KeyboardInterrupt, SystemExit):
            if self.checkpoint is not None and self.whole:
                self.checkpoint._write(self)
            raise

    def end(self) -> None:
        """Tells the callbacks that training has ended."""
        for callback in self.callbacks:
            getattr(callback, "end", lambda _: None)(self.history)
        self._read_clock()

    def _open_epoch(self) -> None:
        """Nothing of the next epoch is done, and all of the last one is."""
        if self.checkpoint is not None:
            self.drawn_from = self.generator.bit_generator.state
        self.core.epoch = (0, 0.0, 0)
        self.whole = True

    def _epoch(self, epochs: int, report: Callable[[History], None]) -> None:
        numbers = {"loss": self._steps()}
        if self.samples.held_out is not None:
            numbers["val_loss"] = self.predicting.value(
                self.loss._core, *self.samples.held_out, None
            )
        if "lr" in self.history:
            numbers["lr"] = self.optimizer.lr * self._last_factor  # type: ignore[attr-defined]
        self.whole = False
        for key, value in numbers.items():
            self.history[key].append(value)
        self._read_clock()
        report(self.history)
        getattr(self.schedule, "observe", lambda _: None)(self.history)
        answers = [callback(self.history) for callback in self.callbacks]
        self.stopped = any(isinstance(a, bool | np.bool_) and bool(a) for a in answers)
        self._open_epoch()
        if self.checkpoint is not None:
            done = self.history.epochs
            if done == epochs or self.stopped or self.checkpoint._due(done, done * self.batches):
                self.checkpoint._write(self)

    def _steps(self) -> float:
        """Takes the steps of this epoch that are still to be taken; its cost."""
        order = self.generator.permutation(len(self.samples.x)) if self.shuffle else None
        factors = self._factors()
        self._last_factor = 1.0 if factors is None else float(factors[-1])
        before = self.history.epochs * self.batches
        while True:
            step = -(-self.core.epoch[0] // self.batch_size)
            row, _, _, cost, finite = self.core.train_epoch(
                self.loss._core,
                self.optimizer._core,
                self.samples.x,
                self.samples.y,
                self.samples.weight,
                order,
                self.batch_size,
                None if factors is None else factors[step:],
                self.core.epoch,
                -1 if self.checkpoint is None else self.checkpoint._steps_to(before + step),
                self.stop_on_nan,
            )
            if self.stop_on_nan and not finite:
                raise self._not_finite(order, row)
            if row == len(self.samples.x):
                return cost
            assert self.checkpoint is not None
            if self.checkpoint._due(None, before + row // self.batch_size):
                self.checkpoint._write(self)

    def _factors(self) -> NDArray[np.float64] | None:
        """A factor of the learning rate for each step of this epoch, (batches,)."""
        if self.schedule is None:
            return None
        epoch, batches, schedule = self.history.epochs, self.batches, self.schedule
        given = [schedule(epoch + step / batches) for step in range(batches)]
        factors = np.asarray(given)
        numbers = factors.ndim == 1 and factors.dtype.kind in "fiu"
        if numbers and np.isfinite(factors).all() and (factors >= 0).all():
            return factors.astype(np.float64, copy=False)
        raise _wrong_factor(given, [epoch + step / batches for step in range(batches)])

    def _not_finite(self, order: NDArray[Any] | None, row: int) -> FloatingPointError:
        rows = np.arange(len(self.samples.x)) if order is None else order
        batch = row // self.batch_size
        cost, cause = self.samples.diagnosis(
            self.core, self.loss, rows[row : row + self.batch_size]
        )
        epoch = self.history.epochs
        error = FloatingPointError(
            f"fit: the cost of step {epoch * self.batches + batch + 1} "
            f"(epoch {epoch + 1}, batch {batch + 1}) is {cost}; "
            f"the model is as it was before that step; {cause}"
        )
        error.history = self.history  # type: ignore[attr-defined]
        return error

    def _read_clock(self) -> None:
        self.history.seconds = self.seconds_before + time.perf_counter() - self.start


def _wrong_factor(factors: list[Any], times: list[float]) -> TypeError | ValueError:
    """What is wrong with the first factor that is no finite number of at least 0."""
    for factor, t in zip(factors, times, strict=True):
        if isinstance(factor, bool) or not isinstance(factor, float | int | np.number):
            return TypeError(
                f"fit: schedule must give numbers; got {type(factor).__name__} at {t:g} epochs"
            )
        if not 0 <= factor < float("inf"):
            return ValueError(
                "fit: schedule must give finite factors of at least 0; "
                f"got {factor} at {t:g} epochs"
            )
    return TypeError("fit: schedule must give numbers that fit a float64")
