"""What `fit` reports, and who listens to it: the history, and callbacks such as early stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpkern._arguments import flag, integer, number
from mlpkern.maps import Map
from mlpkern.optimizers import Optimizer

__all__ = ["EarlyStopping", "History"]


class History(dict[str, list[float]]):
    """What :func:`fit` saw, a number an epoch: ``history["loss"]``, ``history["val_loss"]``.

    Attributes
    ----------
    net, optimizer
        What is being trained.
    epochs : int
        Epochs done.
    seconds : float
        Time since the start.
    """

    def __init__(self, net: Map, optimizer: Optimizer) -> None:
        super().__init__(loss=[])
        self.net, self.optimizer = net, optimizer
        self.seconds = 0.0

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self["loss"])

    def __repr__(self) -> str:
        last = ", ".join(f"{key} {values[-1]:.4g}" for key, values in self.items() if values)
        return f"<History: {self.epochs} epochs, {self.seconds:.2f} s, {last}>"


# Called with the history after every epoch. It may also have begin(history) and end(history), and,
# to go on from a checkpoint as if nothing had been, state() and restore(state).
Callback = Callable[[History], Any]


def monitored(who: str, monitor: str | None, history: History) -> str:
    """The key of the history that ``monitor`` names; by default, of the held-out samples' loss."""
    key = monitor or ("val_loss" if "val_loss" in history else "loss")
    if key not in history:
        raise ValueError(f"{who}: monitor must be one of {', '.join(history)}; got {key!r}")
    return key


class EarlyStopping:
    """A callback that ends training when a monitored number has stopped falling.

    Parameters
    ----------
    patience : int
        Epochs without an improvement after which training ends.
    monitor : str
        A key of the history; by default ``"val_loss"`` where there is one, else ``"loss"``.
    min_delta : float
        What counts as an improvement.
    restore_best : bool
        Put back the parameters of the best epoch in the end.
    """

    def __init__(
        self,
        patience: int = 5,
        *,
        monitor: str | None = None,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        self.patience = integer("EarlyStopping", "patience", patience, 1)
        self.min_delta = number("EarlyStopping", "min_delta", min_delta)
        self.restore_best = flag("EarlyStopping", "restore_best", restore_best)
        self.monitor = monitor
        self._forget()

    def begin(self, history: History) -> None:
        """Forgets what it saw before; ``fit`` calls it first."""
        monitored("EarlyStopping", self.monitor, history)
        self._forget()

    def _forget(self) -> None:
        self.best = float("inf")
        self.best_epoch = 0
        self._parameters: NDArray[Any] | None = None

    def __call__(self, history: History) -> bool:
        """Whether to stop, after an epoch."""
        key = monitored("EarlyStopping", self.monitor, history)
        if history[key][-1] < self.best - self.min_delta:
            self.best, self.best_epoch = history[key][-1], history.epochs
            if self.restore_best:
                self._parameters = history.net.parameters.copy()
        return history.epochs - self.best_epoch >= self.patience

    def end(self, history: History) -> None:
        """Restores the best parameters; ``fit`` calls it last, also after an interrupt."""
        if self._parameters is not None:
            history.net.parameters[...] = self._parameters

    def state(self) -> dict[str, Any]:
        """The best epoch so far: what a checkpoint keeps."""
        return {"best": self.best, "epoch": self.best_epoch, "parameters": self._parameters}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave."""
        epoch = integer("EarlyStopping", "epoch", state["epoch"], 0)
        parameters = state["parameters"]
        if parameters is not None and not isinstance(parameters, np.ndarray):
            raise TypeError("EarlyStopping: parameters must be an array or None")
        self.best, self.best_epoch = float(state["best"]), epoch
        self._parameters = None if parameters is None else parameters.copy()


class ProgressBar:
    """A bar of epochs, with the last numbers of the history behind it."""

    def __init__(self, epochs: int, done: int = 0) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError(
                "fit: progress=True needs tqdm; install it with: pip install 'mlpkern[demo]'"
            ) from None
        self._bar = tqdm(total=epochs, initial=done, unit="epoch", dynamic_ncols=True)

    def __call__(self, history: History) -> None:
        last = {key: f"{values[-1]:.4g}" for key, values in history.items()}
        self._bar.set_postfix(last, refresh=False)
        self._bar.update()

    def close(self) -> None:
        self._bar.close()
