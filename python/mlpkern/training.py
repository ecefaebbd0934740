"""Training: one step in one call, whole epochs in C++, and the loop around them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import _core, maps
from mlpkern._arguments import flag, integer
from mlpkern.callbacks import Callback, EarlyStopping, History, ProgressBar
from mlpkern.fitting import Fitting
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.optimizers import Optimizer
from mlpkern.samples import split

if TYPE_CHECKING:
    from mlpkern.checkpoints import Checkpoint, TrainingState

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
    schedule: Callable[[float], float] | None = None,
    stop_on_nan: bool = True,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    resume: TrainingState | str | os.PathLike[str] | bool | None = None,
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
    schedule : callable, optional
        Gives the factor of the optimizer's learning rate for each step, called with the time in
        epochs: :class:`CosineSchedule` and others, or a function such as ``lambda t: 0.9**t``.
    stop_on_nan : bool
        End with an error at a cost that is NaN or infinite, before its step; False goes on.
    checkpoint : Checkpoint or path, optional
        Where to write, and how often, what is needed to go on; a path alone means every epoch.
    resume : path, TrainingState or True, optional
        Go on from a checkpoint, up to ``epochs`` in all, to the same bits as without the
        interruption. True goes on from the file of ``checkpoint`` where there is one, and begins
        where there is none. What is not in a checkpoint is the caller's to give again: the network
        and the optimizer (made alike; both get the checkpoint's numbers), the samples, the loss,
        the schedule, the callbacks. ``seed`` has no effect: what shuffles goes on as it was.

    Returns
    -------
    history : History
        ``history["loss"]`` holds the mean cost of the batches of each epoch, each before its step;
        ``history["lr"]``, with a schedule, the learning rate of each epoch's last step.

    Raises
    ------
    FloatingPointError
        At a cost that is NaN or infinite; ``error.history`` is the history.
    KeyboardInterrupt
        On Ctrl-C, within 250 ms; the model is at its last whole step, and so is the checkpoint.
    ValueError
        Before anything is written, if ``resume`` is no checkpoint or one of another network, dtype,
        optimizer, loss or number of samples, or of other samples, of which some are looked at.
    """
    _check_training("fit", net, loss, optimizer)
    epochs = integer("fit", "epochs", epochs, 0)
    batch_size = integer("fit", "batch_size", batch_size, 1)
    x, y = _core.as_array("fit", "x", x), _core.as_array("fit", "y", y)
    if sample_weight is not None:
        sample_weight = _core.as_array("fit", "sample_weight", sample_weight)
    samples = split(x, y, sample_weight, validation)
    fitting = Fitting(
        net=net,
        loss=loss,
        optimizer=optimizer,
        samples=samples,
        batch_size=min(batch_size, len(samples.x)),
        shuffle=flag("fit", "shuffle", shuffle),
        generator=np.random.default_rng(None if seed is None else integer("fit", "seed", seed, 0)),
        schedule=schedule,
        callbacks=callbacks,
        checkpoint=_checkpoint(checkpoint),
        stop_on_nan=flag("fit", "stop_on_nan", stop_on_nan),
    )
    samples.check_held_out(net, loss)
    for name, called in [("callbacks", c) for c in callbacks] + [("schedule", schedule)]:
        if called is not None and not callable(called):
            raise TypeError(f"fit: {name} must be callable; got {type(called).__name__}")
    saved = _saved(resume, fitting.checkpoint)
    fitting.begin()
    if saved is not None:
        from mlpkern.resuming import resume as put_back

        put_back(saved, fitting)
    bar = ProgressBar(epochs, fitting.history.epochs) if progress else None
    try:
        fitting.run(epochs, bar or (lambda _: None))
    finally:
        if bar is not None:
            bar.close()
        fitting.end()
    return fitting.history


def _checkpoint(given: Any) -> Checkpoint | None:
    if given is None:
        return None
    from mlpkern.checkpoints import Checkpoint  # here: with it, `import mlpkern` takes longer

    return given if isinstance(given, Checkpoint) else Checkpoint(given)


def _saved(resume: Any, checkpoint: Checkpoint | None) -> TrainingState | None:
    """What to go on from, None where training begins."""
    if resume is None or resume is False:
        return None
    from mlpkern.checkpoints import TrainingState, load_checkpoint

    if isinstance(resume, TrainingState):
        return resume
    if resume is not True:
        return load_checkpoint(resume)
    if checkpoint is None:
        raise ValueError("fit: resume=True needs a checkpoint, whose file it goes on from")
    return load_checkpoint(checkpoint.path) if os.path.exists(checkpoint.path) else None
