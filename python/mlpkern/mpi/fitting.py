"""`fit` on several ranks: its arguments, checked and compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import training
from mlpkern._arguments import flag, integer
from mlpkern.callbacks import Callback, History
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.mpi import sums
from mlpkern.mpi.loop import FirstRanks, RanksFitting
from mlpkern.mpi.ranks import agreement, check_same, checksum, library
from mlpkern.mpi.shares import Data, SamplesOfAll, Share, own_samples
from mlpkern.mpi.steps import WHO, RanksCore
from mlpkern.optimizers import Optimizer

if TYPE_CHECKING:
    from mlpkern.checkpoints import Checkpoint, TrainingState


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
    schedule, stop_on_nan
        As in :func:`mlpkern.fit`.
    checkpoint : Checkpoint or path, optional
        As in :func:`mlpkern.fit`; rank 0 writes it.
    resume : path, TrainingState or True, optional
        As in :func:`mlpkern.fit`; rank 0 reads it, for all. The checkpoint may be that of another
        number of ranks, or of one process.
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
    FloatingPointError
        On all ranks, at a cost that is NaN or infinite.
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
            schedule=schedule,
            stop_on_nan=stop_on_nan,
            checkpoint=checkpoint,
            resume=resume,
        )
    with agreement(comm, WHO):
        _check(net, loss, optimizer, callbacks, schedule)
        settings = {
            "epochs": integer(WHO, "epochs", epochs, 0),
            "batch_size": integer(WHO, "batch_size", batch_size, 1),
            "shuffle": flag(WHO, "shuffle", shuffle),
            "seed": None if seed is None else integer(WHO, "seed", seed, 0),
            "stop_on_nan": flag(WHO, "stop_on_nan", stop_on_nan),
            "sharded": flag(WHO, "sharded", sharded),
            "reproducible": flag(WHO, "reproducible", reproducible),
            "net": repr(net),
            "loss": repr(loss),
            "optimizer": repr(optimizer),
            "dtype": str(net.dtype),
        }
        own, held_out = own_samples(x, y, sample_weight, validation, sharded)
    check_same(comm, WHO, {**settings, **_descriptions(own, held_out, sharded)})

    core = RanksCore(
        comm, net, loss, optimizer, sums.in_order if reproducible else sums.as_it_comes
    )
    core.share = _share(core, "", own, sharded)
    if held_out is not None:
        core.held_out = _share(core, "validation ", held_out, sharded)
    fitting = RanksFitting(
        net=net,
        loss=loss,
        optimizer=optimizer,
        samples=SamplesOfAll(comm, core.share, core.held_out),
        batch_size=min(batch_size, core.share.n),
        shuffle=shuffle,
        generator=np.random.default_rng(
            comm.bcast(np.random.SeedSequence().entropy if seed is None else seed)
        ),
        schedule=schedule,
        callbacks=callbacks,
        checkpoint=None,
        stop_on_nan=stop_on_nan,
    )
    fitting.core = fitting.predicting = core
    saved = None
    with agreement(comm, WHO):
        if comm.rank == 0:
            written = training._checkpoint(checkpoint)
            saved = training._saved(resume, written)
            fitting.checkpoint = None if written is None else FirstRanks(written, core)
    return fitting.fit(epochs, comm.bcast(saved), progress)


def _check(net: Any, loss: Any, optimizer: Any, callbacks: Any, schedule: Any) -> None:
    training._check_training(WHO, net, loss, optimizer)
    for name, called in [("callbacks", c) for c in callbacks] + [("schedule", schedule)]:
        if called is not None and not callable(called):
            raise TypeError(f"fit: {name} must be callable; got {type(called).__name__}")


def _descriptions(data: Data, held_out: Data | None, sharded: bool) -> dict[str, str]:
    """What must be the same on all ranks: the data; whether there are weights and held-out ones."""
    x, y, weight = data
    held_out_x, held_out_y, _ = held_out or (None, None, None)
    if sharded:
        return {
            "sample_weight": "None" if weight is None else "an array",
            "validation": "None" if held_out is None else "samples",
        }
    named = {"x": x, "y": y, "sample_weight": weight}
    named |= {"validation x": held_out_x, "validation y": held_out_y}
    return {name: _description(array) for name, array in named.items()}


def _description(array: NDArray[Any] | None) -> str:
    if array is None:
        return "None"
    return f"{array.dtype} {array.shape} of checksum {checksum(array):08x}"


def _share(core: RanksCore, what: str, data: Data, sharded: bool) -> Share:
    """This rank's share of the samples, once all ranks have looked at their own."""
    with agreement(core.comm, WHO):
        try:
            core.check(*data)
        except (TypeError, ValueError) as error:
            raise type(error)(f"fit: {what}{str(error).removeprefix('fit: ')}") from None
    share = Share(core.comm, data, sharded)
    if share.n == 0:
        raise ValueError(f"fit: {what}x must have at least one sample on one of the ranks; got 0")
    if share.weights is not None and core.mean:
        if not share.weights.any():
            raise ValueError("fit: the weighted mean needs a positive weight on one of the ranks")
        if np.isinf(sum(share.weights.tolist())):
            raise ValueError("fit: the sum of sample_weight must be finite; got inf")
    return share
