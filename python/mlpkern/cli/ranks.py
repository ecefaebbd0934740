"""A command on the ranks that mpiexec has started: all of them work, and the first one speaks."""

import argparse
import contextlib
import functools
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import mlpkern as mk

from .common import UsageError

# How many ranks there are and which is this one, by MPICH and its kin, Open MPI, and Slurm's srun.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")

_in_fit = False  # from there on, all ranks raise what one does


def started() -> int:
    """Return how many ranks were started; 1 where this is a process like any other."""
    return int(_said(_SIZES, "1"))


def _said(names: tuple[str, ...], otherwise: str) -> str:
    """Return what the first of these variables that is there holds: a launcher's in a Slurm job."""
    values = (os.environ.get(name, "") for name in names)
    return next((value for value in values if value.isdecimal()), otherwise)


@contextlib.contextmanager
def said_once() -> Iterator[None]:
    """What is printed inside is printed by the first rank alone."""
    with _silence() if started() > 1 and _said(_RANKS, "0") != "0" else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def on_all_ranks(run: Callable[[argparse.Namespace], None]) -> Callable[[argparse.Namespace], None]:
    """Return a command that runs on all ranks, of which the others are silent."""

    @functools.wraps(run)
    def run_on_ranks(args: argparse.Namespace) -> None:
        if started() == 1:
            return run(args)
        from mlpkern import mpi

        comm = _world()
        if args.threads is None:
            args.threads = mpi.threads_per_rank(comm)
        if comm.rank == 0:
            return _run(run, args, comm)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # rank 0, which waits for this one, ends all
        with _silence():
            try:
                _run(run, args, comm)
            except Exception as error:  # rank 0 says it
                raise SystemExit(2 if isinstance(error, UsageError) else 1) from None

    return run_on_ranks


def end(code: int) -> None:
    """End the other ranks, which may wait for this one; nothing where there are none."""
    if started() > 1:
        from mlpkern.mpi.ranks import end_the_job

        end_the_job(code)


def first() -> bool:
    """Return whether this rank is the one that writes files."""
    return started() == 1 or _world().rank == 0


def fit(*args: Any, **kwargs: Any) -> mk.History:
    """Train: `mlpkern.fit`, or on several ranks `mlpkern.mpi.fit`."""
    if started() == 1:
        return mk.fit(*args, **kwargs)
    from mlpkern import mpi

    global _in_fit
    _in_fit = True
    return mpi.fit(*args, **kwargs)


def _world() -> Any:
    from mlpkern.mpi.ranks import library

    comm = library().COMM_WORLD
    if comm.size != started():
        raise RuntimeError(
            f"{started()} ranks were started, and MPI knows of {comm.size}: "
            "mpi4py and mpiexec must be of one MPI"
        )
    return comm


def _run(run: Callable[[argparse.Namespace], None], args: argparse.Namespace, comm: Any) -> None:
    """Run; an error before `fit` takes the place of this rank's in the agreement it begins with."""
    from mlpkern.mpi.ranks import agree

    try:
        run(args)
    except Exception as error:
        if not _in_fit:
            agree(comm, "fit", error)
        raise
