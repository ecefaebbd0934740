"""Sums of arrays over ranks, in place: every rank has the same sum afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpkern.mpi.ranks import library

PIECE = 2**16  # elements that are under way at a time: 256 kB of float32


def as_it_comes(comm: Any, array: NDArray[Any]) -> None:
    """The sum in the order of MPI's choice, which may depend on the number of ranks and on where
    they run.
    """
    MPI = library()
    if array.size:
        comm.Allreduce(MPI.IN_PLACE, array, MPI.SUM)


def in_order(comm: Any, array: NDArray[Any], piece: int = PIECE) -> None:
    """The sum ((a0 + a1) + a2) + … in the order of the ranks: the same bits in every run.

    Partial sums go from rank to rank a piece at a time, so that all ranks are busy at once, each
    with another piece; the last rank has the sums, and sends them to all.
    """
    before = np.empty(min(piece, array.size), array.dtype)
    for first in range(0, array.size, piece):
        mine = array[first : first + piece]
        if comm.rank > 0:
            comm.Recv(before[: mine.size], comm.rank - 1)
            np.add(before[: mine.size], mine, out=mine)
        if comm.rank < comm.size - 1:
            comm.Send(mine, comm.rank + 1)
    if array.size:
        comm.Bcast(array, comm.size - 1)
