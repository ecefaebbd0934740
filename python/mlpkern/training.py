"""Training: one step in one call, whole epochs in C++, and the loop around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import _core, maps
from mlpkern._arguments import flag, integer, number
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.optimizers import Optimizer

__all__ = ["EarlyStopping", "History", "fit", "train_step", "value_and_gradient"]


def check_objective(who: str, net: Any, loss: Any) -> None:
    if not isinstance(net, Map):
        raise TypeError(f"{who}: net must be a network; got {type(net).__name__}")
    if not isinstance(loss, Loss):
        raise TypeError(f"{who}: loss must be a Loss; got {type(loss).__name__}")


def _check_training(who: str, net: Any, loss: Any, optimizer: Any) -> None:
    if (
        isinstance(optimizer, Optimizer)
        and optimizer.net is net
        and isinstance(loss, Loss)
        and optimizer._moves == maps.moves
    ):
        return  # all is as it must be
    check_objective(who, net, loss)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{who}: optimizer must be an Optimizer; got {type(optimizer).__name__}")
    if optimizer.net is not net:
        raise ValueError(
            f"{who}: the optimizer must be made for this network; it is for {optimizer.net!r}"
        )
    optimizer._check_place(who)


def train_step(
    net: Map,
    loss: Loss,
    optimizer: Optimizer,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Predict, cost, zero the gradients, backward, step: the same bits as the five by themselves.

    Parameters
    ----------
    net : Map
    loss : Loss
    optimizer : Optimizer
        Made for ``net``.
    x : array, shape (n, D)
    y : array, shape (n, K), or integer labels (n,) for CrossEntropy
    sample_weight : array, shape (n,), optional

    Returns
    -------
    C : float
        The cost before the step.

    Raises
    ------
    TypeError, ValueError
        Before anything is written, if the arguments do not fit.
    RuntimeError
        If another thread's call is using the network.
    """
    _check_training("train_step", net, loss, optimizer)
    return net._core_for(x).training.train_step(loss._core, optimizer._core, x, y, sample_weight)


def value_and_gradient(
    net: Map,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> tuple[float, NDArray[Any]]:
    """The cost of a batch and its gradient by all parameters, flat as ``net.parameters`` is.

    ``net.gradients`` stay as they are, and a :class:`Dropout` drops nothing. Arguments as in
    :func:`train_step`.
    """
    check_objective("value_and_gradient", net, loss)
    return net._core_for(x).core.value_and_gradient(loss._core, x, y, sample_weight)


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
        self._key(history)
        self._forget()

    def _key(self, history: History) -> str:
        key = self.monitor or ("val_loss" if "val_loss" in history else "loss")
        if key not in history:
            raise ValueError(
                f"EarlyStopping: monitor must be one of {', '.join(history)}; got {key!r}"
            )
        return key

    def _forget(self) -> None:
        self.best = float("inf")
        self.best_epoch = 0
        self._parameters: NDArray[Any] | None = None

    def __call__(self, history: History) -> bool:
        """Whether to stop, after an epoch."""
        key = self._key(history)
        if history[key][-1] < self.best - self.min_delta:
            self.best, self.best_epoch = history[key][-1], history.epochs
            if self.restore_best:
                self._parameters = history.net.parameters.copy()
        return history.epochs - self.best_epoch >= self.patience

    def end(self, history: History) -> None:
        """Restores the best parameters; ``fit`` calls it last, also after an interrupt."""
        if self._parameters is not None:
            history.net.parameters[...] = self._parameters


Callback = Callable[[History], Any]


def fit(
    net: Map,
    x: ArrayLike,
    y: ArrayLike,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int = 10,
    batch_size: int = 128,
    shuffle: bool = True,
    seed: int | None = 0,
    sample_weight: ArrayLike | None = None,
    validation: tuple[ArrayLike, ArrayLike] | float | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> History:
    """Trains a network: epochs of steps on batches, each epoch one call into C++.

    Parameters
    ----------
    net, loss, optimizer
        As in :func:`train_step`.
    x : array, shape (n, D)
    y : array, shape (n, K), or integer labels (n,) for CrossEntropy
    epochs, batch_size : int
        The last batch of an epoch may be smaller.
    shuffle : bool
        Draw a new order of the samples each epoch, from ``seed``.
    seed : int or None
        None draws another one each time.
    sample_weight : array, shape (n,), optional
        Where the loss takes the mean, a batch whose weights are all 0 makes no step.
    validation : (x, y), or a number between 0 and 1, optional
        Samples whose cost is reported as ``val_loss``; a number sets aside the last part of x, y.
    callbacks : sequence of callables
        Each is called with the history after every epoch; training ends when one returns True.
    progress : bool
        Show a bar (needs tqdm).

    Returns
    -------
    history : History
        ``history["loss"]`` holds the mean cost of the batches of each epoch, each before its step.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, within 250 ms; the model is at its last whole step.
    """
    _check_training("fit", net, loss, optimizer)
    epochs = integer("fit", "epochs", epochs, 0)
    batch_size = integer("fit", "batch_size", batch_size, 1)
    shuffle = flag("fit", "shuffle", shuffle)
    x, y = _core.as_array("fit", "x", x), _core.as_array("fit", "y", y)
    if sample_weight is not None:
        sample_weight = _core.as_array("fit", "sample_weight", sample_weight)
    x, y, sample_weight, held_out = _split(x, y, sample_weight, validation)
    x = np.ascontiguousarray(x)
    batch_size = min(batch_size, len(x))
    generator = np.random.default_rng(None if seed is None else integer("fit", "seed", seed, 0))
    compiled = net._core_for(x)
    core, training = compiled.core, compiled.training.core
    history = History(net, optimizer)
    if held_out is not None:
        history["val_loss"] = []
    if held_out is not None:
        _check_validation(net, loss, *held_out)
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"fit: callbacks must be callable; got {type(callback).__name__}")
    start = time.perf_counter()
    for callback in callbacks:
        getattr(callback, "begin", lambda _: None)(history)
    bar = _progress_bar(epochs) if progress else None
    try:
        for _ in range(epochs):
            optimizer._check_place("fit")  # a callback may have made the network part of another
            order = generator.permutation(len(x)) if shuffle else None
            *_, cost, _ = training.train_epoch(
                loss._core,
                optimizer._core,
                x,
                y,
                sample_weight,
                order,
                batch_size,
                None,
                (0, 0.0, 0),
                -1,
                False,
            )
            history["loss"].append(cost)
            if held_out is not None:
                history["val_loss"].append(core.value(loss._core, *held_out, None))
            history.seconds = time.perf_counter() - start
            if bar is not None:
                last = {key: f"{values[-1]:.4g}" for key, values in history.items()}
                bar.set_postfix(last, refresh=False)
                bar.update()
            answers = [callback(history) for callback in callbacks]
            if any(isinstance(a, bool | np.bool_) and a for a in answers):
                break
    finally:
        if bar is not None:
            bar.close()
        for callback in callbacks:
            getattr(callback, "end", lambda _: None)(history)
        history.seconds = time.perf_counter() - start
    return history


def _check_validation(net: Map, loss: Loss, x: Any, y: Any) -> None:
    """Refuses what does not fit, before any step."""
    try:
        net._core_for(x).core.value(loss._core, x, y, None)
    except (TypeError, ValueError) as error:
        text = str(error).removeprefix("value: ")
        raise type(error)(f"fit: validation {text}") from None


def _split(
    x: NDArray[Any], y: NDArray[Any], weight: ArrayLike | None, validation: Any
) -> tuple[NDArray[Any], NDArray[Any], ArrayLike | None, tuple[Any, Any] | None]:
    """Training samples, and the held-out ones where there are any."""
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"fit: x must be (n, D) with at least one sample; got {x.shape}")
    if validation is None:
        return x, y, weight, None
    if isinstance(validation, tuple | list):
        if len(validation) != 2:
            raise ValueError(f"fit: validation must be (x, y); got {len(validation)} items")
        return x, y, weight, (validation[0], validation[1])
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
    return x[:keep], y[:keep], kept_weight, (x[keep:], y[keep:])


def _progress_bar(epochs: int) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ImportError(
            "fit: progress=True needs tqdm; install it with: pip install 'mlpkern[demo]'"
        ) from None
    return tqdm(total=epochs, unit="epoch", dynamic_ncols=True)
