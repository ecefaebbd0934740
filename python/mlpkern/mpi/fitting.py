"""`fit` on several ranks: what is checked, what is made equal, and the epochs."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import training
from mlpkern._arguments import flag, integer
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.mpi import sums
from mlpkern.mpi.ranks import agreement, check_same, library
from mlpkern.mpi.steps import WHO, Samples, Steps
from mlpkern.optimizers import Optimizer
from mlpkern.training import Callback, History


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
    sharded: bool = False,
    comm: Any = None,
    reproducible: bool = False,
) -> History:
    """Trains a network on all ranks of an MPI job at once, each on its part of every batch.

    The steps are those of :func:`mlpkern.fit` on one process: the same batches in the same order,
    so that costs and parameters differ from its own by rounding alone. All ranks must call it.

    Parameters
    ----------
    net, loss, optimizer, epochs, batch_size, shuffle, seed
        As in :func:`mlpkern.fit`, and the same on all ranks. The parameters and the optimizer's
        states begin as those of rank 0. ``batch_size`` counts the samples of all ranks together.
    x, y, sample_weight
        All samples on every rank, as in :func:`mlpkern.fit`; or, where ``sharded``, those that this
        rank holds, any number of them, also none: x (0, D). The shards in the order of the ranks
        are then what one process would be given.
    validation : (x, y), or a number between 0 and 1, optional
        All samples on every rank, or this rank's where ``sharded``, which takes no number.
    callbacks : sequence of callables
        Each rank calls its own; training ends when any returns True.
    progress : bool
        Show a bar on rank 0 (needs tqdm).
    sharded : bool
        Whether each rank holds samples of its own.
    comm : mpi4py.MPI.Comm, optional
        The ranks that train; by default all of them.
    reproducible : bool
        Add gradients in the order of the ranks, for the same bits in every run with as many ranks.
        Otherwise MPI chooses an order, and may choose another one elsewhere.

    Returns
    -------
    history : History
        The same on all ranks but for its ``seconds``.

    Raises
    ------
    TypeError, ValueError
        On all ranks, before any step, if the arguments of one do not fit; the error names the rank.
    RuntimeError
        If the parameters are no longer the same on all ranks after an epoch.
    ImportError
        Without mpi4py.

    Notes
    -----
    An exception in one rank's work or callbacks is raised on all ranks. One that is raised outside
    of ``fit`` and not caught ends the job: ``import mlpkern.mpi`` sees to it by ``sys.excepthook``.
    """
    comm = library().COMM_WORLD if comm is None else comm
    if comm.size == 1:
        return training.fit(
            net,
            x,
            y,
            loss=loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            sample_weight=sample_weight,
            validation=validation,
            callbacks=callbacks,
            progress=progress,
        )
    with agreement(comm, WHO):
        training._check_training(WHO, net, loss, optimizer)
        settings = {
            "epochs": (epochs := integer(WHO, "epochs", epochs, 0)),
            "batch_size": (batch_size := integer(WHO, "batch_size", batch_size, 1)),
            "shuffle": flag(WHO, "shuffle", shuffle),
            "seed": None if seed is None else integer(WHO, "seed", seed, 0),
            "sharded": flag(WHO, "sharded", sharded),
            "reproducible": flag(WHO, "reproducible", reproducible),
        }
        for callback in callbacks:
            if not callable(callback):
                raise TypeError(f"fit: callbacks must be callable; got {type(callback).__name__}")
        data, held_out = _own_samples(x, y, sample_weight, validation, sharded)
    check_same(comm, WHO, {**settings, "net": repr(net), "dtype": str(net.dtype)})
    check_same(comm, WHO, {"loss": repr(loss), "optimizer": repr(optimizer)})
    check_same(comm, WHO, _descriptions(data, held_out, sharded))

    add = sums.in_order if reproducible else sums.as_it_comes
    steps = Steps(comm, net, loss, optimizer, add)
    samples = _samples(steps, "", data, sharded)
    held = None if held_out is None else _samples(steps, "validation ", held_out, sharded)
    generator = np.random.default_rng(
        comm.bcast(np.random.SeedSequence().entropy if seed is None else seed)
    )
    _start_alike(comm, net, optimizer)
    return _Epochs(steps, samples, held, callbacks).run(
        epochs,
        lambda: steps.epoch(
            samples,
            generator.permutation(samples.n) if shuffle else np.arange(samples.n),
            batch_size,
        ),
        progress,
    )


Data = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]


def _own_samples(
    x: ArrayLike, y: ArrayLike, weight: ArrayLike | None, validation: Any, sharded: bool
) -> tuple[Data, Data | None]:
    """This rank's samples to train on, and its held-out ones where there are any."""
    x, y = np.asarray(x), np.asarray(y)
    held_out: Any = validation
    if not sharded:
        x, y, weight, held_out = training._split(x, y, weight, validation)
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
    if held_out is None:
        return data, None
    return data, (np.asarray(held_out[0]), np.asarray(held_out[1]), None)


def _descriptions(data: Data, held_out: Data | None, sharded: bool) -> dict[str, str]:
    """What must be the same on all ranks: the data; whether there are weights and held-out ones."""
    x, y, weight = data
    if sharded:
        return {
            "sample_weight": "None" if weight is None else "an array",
            "validation": "None" if held_out is None else "samples",
        }
    named = {"x": x, "y": y, "sample_weight": weight}
    if held_out is not None:
        named |= {"validation x": held_out[0], "validation y": held_out[1]}
    return {name: _description(array) for name, array in named.items()}


def _description(array: NDArray[Any] | None) -> str:
    if array is None:
        return "None"
    return f"{array.dtype} {array.shape} of checksum {_checksum(array):08x}"


def _checksum(array: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _samples(steps: Steps, what: str, data: Data, sharded: bool) -> Samples:
    """The samples of all ranks, once all have looked at their own."""
    x, y, weight = data
    with agreement(steps.comm, WHO):
        try:
            steps.check(x, y, weight)
        except (TypeError, ValueError) as error:
            raise type(error)(f"fit: {what}{str(error).removeprefix('fit: ')}") from None
    samples = Samples(steps.comm, x, y, weight, sharded)
    if samples.n == 0:
        raise ValueError(f"fit: {what}x must have at least one sample on one of the ranks; got 0")
    if samples.weights is not None and steps.mean:
        if not samples.weights.any():
            raise ValueError("fit: the weighted mean needs a positive weight on one of the ranks")
        if np.isinf(samples.weights.sum()):
            raise ValueError("fit: the sum of sample_weight must be finite; got inf")
    return samples


def _start_alike(comm: Any, net: Map, optimizer: Optimizer) -> None:
    """Gives all ranks the parameters and the optimizer's states of rank 0."""
    for array in (net.parameters, *optimizer.states.values()):
        if array.size:
            comm.Bcast(array)
    optimizer._core.steps = comm.bcast(optimizer.steps)


def _check_alike(comm: Any, net: Map, when: str) -> None:
    sums = comm.allgather(_checksum(net.parameters))
    for rank, other in enumerate(sums):
        if other != sums[0]:
            raise RuntimeError(
                f"fit: parameters must be the same on all ranks; {when} those of rank {rank} "
                "are not those of rank 0: has a callback or another thread changed them?"
            )


class _Epochs:
    """The loop around the epochs: what :func:`mlpkern.fit` does, and what ranks must agree on."""

    def __init__(
        self, steps: Steps, samples: Samples, held: Samples | None, callbacks: Sequence[Callback]
    ) -> None:
        self._steps, self._held, self._callbacks = steps, held, callbacks
        self._comm = steps.comm
        self._history = History(steps.net, steps.optimizer)
        if held is not None:
            self._history["val_loss"] = []

    def run(self, epochs: int, epoch: Callable[[], float], progress: bool) -> History:
        history, comm, bar = self._history, self._comm, None
        start = time.perf_counter()
        with agreement(comm, WHO):
            for callback in self._callbacks:
                getattr(callback, "begin", lambda _: None)(history)
            if progress and comm.rank == 0:
                bar = training._progress_bar(epochs)
        try:
            for _ in range(epochs):
                with agreement(comm, WHO):
                    self._steps.optimizer._check_place(WHO)
                history["loss"].append(epoch())
                if self._held is not None:
                    history["val_loss"].append(self._steps.value(self._held))
                history.seconds = time.perf_counter() - start
                _check_alike(comm, history.net, f"after epoch {history.epochs}")
                if bar is not None:
                    last = {key: f"{values[-1]:.4g}" for key, values in history.items()}
                    bar.set_postfix(last, refresh=False)
                    bar.update()
                if self._asked_to_stop():
                    break
        finally:
            if bar is not None:
                bar.close()
            for callback in self._callbacks:
                getattr(callback, "end", lambda _: None)(history)
            history.seconds = time.perf_counter() - start
        _check_alike(comm, history.net, "in the end")
        return history

    def _asked_to_stop(self) -> bool:
        """Whether a callback of any rank says so."""
        with agreement(self._comm, WHO):
            answers = [callback(self._history) for callback in self._callbacks]
        stop = any(isinstance(answer, bool | np.bool_) and answer for answer in answers)
        return any(self._comm.allgather(stop))
