"""The ranks of a job: errors and arguments that they agree on, and how a job ends.

A rank that raised alone would leave the others waiting in the next exchange. What can fail on one
rank therefore stands in an `agreement`, after which all ranks go on or all raise; and an exception
that nobody catches, on any rank, ends the job.
"""

from __future__ import annotations

import contextlib
import os
import sys
import zlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpkern import _core

# What an error becomes on the ranks where it did not occur: the first of these that it is.
_KINDS = (TypeError, ValueError, ImportError, OSError, MemoryError, ArithmeticError, RuntimeError)


def library() -> Any:
    """mpi4py's module MPI; the first call starts MPI."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no MPI library to load
        raise ImportError(
            f"mlpkern.mpi needs mpi4py and an MPI library ({error}); "
            "install them with: pip install 'mlpkern[mpi]' mpich"
        ) from None
    return MPI


def threads_per_rank(comm: Any = None) -> int:
    """Threads for each rank when the ranks of one machine share its processors.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        By default all ranks. Every rank must call it.

    Returns
    -------
    n : int
        The processors that this rank may use, divided by the ranks of this machine unless each is
        bound to processors of its own. For :func:`mlpkern.set_num_threads`.
    """
    MPI = library()
    here = (comm or MPI.COMM_WORLD).Split_type(MPI.COMM_TYPE_SHARED)
    try:
        affinity = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
        places = here.allgather(sorted(affinity(0)))
        sharers = sum(1 for place in places if place == places[here.rank])
    finally:
        here.Free()
    return max(_core.available_processors() // sharers, 1)


@contextlib.contextmanager
def agreement(comm: Any, who: str) -> Iterator[None]:
    """What is done inside has been done on all ranks afterwards, or all raise. Collective."""
    error = None
    try:
        yield
    except Exception as raised:
        error = raised
    agree(comm, who, error)


def agree(comm: Any, who: str, error: Exception | None) -> None:
    """Raises on every rank what the first of those that bring an error brings. Collective."""
    told = comm.allgather(None if error is None else _told(who, error))
    if not any(told):
        return
    if error is not None and all(other == told[0] for other in told):
        raise error  # the same everywhere: no rank is to blame
    rank = next(rank for rank, other in enumerate(told) if other)
    kind, text = told[rank]
    raise kind(f"{who}: on rank {rank} of {comm.size}: {text}") from error


def _told(who: str, error: Exception) -> tuple[type[Exception], str]:
    kind = next((kind for kind in _KINDS if isinstance(error, kind)), RuntimeError)
    text = str(error).removeprefix(f"{who}: ") or type(error).__name__
    return kind, text


def check_same(comm: Any, who: str, settings: Mapping[str, Any]) -> None:
    """Raises on every rank where settings differ from rank to rank. Collective."""
    everywhere = comm.allgather(settings)
    first = everywhere[0]
    for rank, other in enumerate(everywhere):
        for name, value in first.items():
            if other[name] != value:
                raise ValueError(
                    f"{who}: {name} must be the same on all ranks; "
                    f"got {value} on rank 0, {other[name]} on rank {rank}"
                )


def checksum(array: NDArray[Any]) -> int:
    """Of the bits of an array."""
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def end_the_job_on_errors() -> None:
    """Has an exception that nobody catches end all ranks: the others would wait for this one."""
    if sys.excepthook is not _end_the_job:
        global _before
        _before, sys.excepthook = sys.excepthook, _end_the_job


_before = sys.excepthook


def _end_the_job(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    _before(kind, error, trace)
    end_the_job(1)


def end_the_job(code: int) -> None:
    """Ends all ranks, with that exit code, where there are others and MPI runs."""
    MPI = getattr(sys.modules.get("mpi4py"), "MPI", None)
    if MPI is None or not MPI.Is_initialized() or MPI.Is_finalized():
        return
    if MPI.COMM_WORLD.size > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        MPI.COMM_WORLD.Abort(code)
