"""The loop of `mlpkern.fit` on every rank: where ranks wait for each other, and who writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlpkern.callbacks import History, ProgressBar
from mlpkern.fitting import Fitting
from mlpkern.mpi.ranks import agree, agreement, checksum
from mlpkern.mpi.steps import WHO, RanksCore

if TYPE_CHECKING:
    from mlpkern.checkpoints import Checkpoint, TrainingState


class FirstRanks:
    """The checkpoint of rank 0; that it cannot be written is told with the next batch."""

    def __init__(self, checkpoint: Checkpoint, core: RanksCore) -> None:
        self._checkpoint, self._core = checkpoint, core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._checkpoint, name)

    def _write(self, fitting: Fitting) -> None:
        try:
            self._checkpoint._write(fitting)
        except Exception as error:
            self._core.failure = error


class RanksFitting(Fitting):
    """One call of `fit`, in which the ranks keep together.

    Every rank goes through the loop of one process, with a core whose steps all take at once. Rank
    0 alone has a checkpoint and a bar.
    """

    core: RanksCore  # type: ignore[assignment]
    predicting: RanksCore  # type: ignore[assignment]
    checkpoint: FirstRanks | None  # type: ignore[assignment]

    def fit(self, epochs: int, saved: TrainingState | None, progress: bool) -> History:
        """From the first epoch, or from where a checkpoint stands, to the last one."""
        comm, bar = self.core.comm, None
        self._start_alike()
        with agreement(comm, WHO):
            self.begin()
            if saved is not None:
                from mlpkern.resuming import resume

                resume(saved, self)
            if progress and comm.rank == 0:
                bar = ProgressBar(epochs, self.history.epochs)
        try:
            self.run(epochs, bar or (lambda _: None))
        except BaseException:
            self._close(bar)
            raise
        with agreement(comm, WHO):
            self._close(bar)
            if self.core.failure is not None:
                raise self.core.failure
        self._check_alike("in the end")
        return self.history

    def _close(self, bar: Any) -> None:
        if bar is not None:
            bar.close()
        self.end()

    def _start_alike(self) -> None:
        """Gives all ranks the parameters and the optimizer's states of rank 0."""
        for array in (self.net.parameters, *self.optimizer.states.values()):
            if array.size:
                self.core.comm.Bcast(array)
        self.optimizer._core.steps = self.core.comm.bcast(self.optimizer.steps)

    def _epoch(self, epochs: int, report: Callable[[History], None]) -> None:
        self._told = False
        try:
            super()._epoch(epochs, report)
        except Exception as error:
            if not self.whole and not self._told:  # a listener has raised; others wait for word
                agree(self.core.comm, WHO, error)
            raise

    def _open_epoch(self) -> None:
        if self.history.epochs > 0:
            self._told = True
            agree(self.core.comm, WHO, None)
            self.stopped = any(self.core.comm.allgather(self.stopped))
            self._check_alike(f"after epoch {self.history.epochs}")
        super()._open_epoch()

    def _check_alike(self, when: str) -> None:
        sums = self.core.comm.allgather(checksum(self.net.parameters))
        for rank, other in enumerate(sums):
            if other != sums[0]:
                raise RuntimeError(
                    f"fit: parameters must be the same on all ranks; {when} those of rank {rank} "
                    "are not those of rank 0: has a callback or another thread changed them?"
                )
