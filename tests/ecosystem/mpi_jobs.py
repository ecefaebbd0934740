"""What the ranks of a test's job run: mpiexec -n 3 python mpi_jobs.py CASE FOLDER ARGUMENTS.

Each rank leaves what it found in FOLDER; test_mpi.py compares it with one process's.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import mlpkern as mk

EPOCHS = 4
ROWS = 60
HELD_OUT = 12


def problem(spec: dict[str, Any]) -> tuple[Any, ...]:
    """The network, its loss, its optimizer, samples, held-out samples and weights of a test."""
    rng = np.random.default_rng(7)
    dtype = np.dtype(spec.get("dtype", "float64"))
    labels = spec["loss"] == "CrossEntropy"
    net = mk.MLP([5, 9, 3], output="softargmax" if labels else "identity", dtype=dtype)
    x = rng.normal(size=(ROWS + HELD_OUT, 5)).astype(dtype)
    y = rng.integers(0, 3, len(x)) if labels else np.sin(x[:, :3])
    weight = rng.uniform(0.2, 2, ROWS)
    weight[20:40] = 0  # without shuffling, some batches and a shard weigh nothing
    loss = mk.LOSSES[spec["loss"]](reduction=spec.get("reduction", "mean"))
    optimizer = mk.OPTIMIZERS[spec.get("optimizer", "SGD")](net, lr=spec.get("lr", 0.05))
    held_out = (x[ROWS:], y[ROWS:]) if spec.get("validation") else None
    return net, loss, optimizer, x[:ROWS], y[:ROWS], held_out, weight if "weight" in spec else None


def settings(spec: dict[str, Any]) -> dict[str, Any]:
    """The arguments of fit that one process takes too."""
    return {
        "epochs": EPOCHS,
        "batch_size": spec.get("batch_size", 16),
        "shuffle": spec.get("shuffle", True),
        "seed": 3,
    }


def shard(array: Any, counts: list[int], rank: int) -> Any:
    """The rows of a rank that holds so many of them."""
    first = sum(counts[:rank])
    return array if array is None else array[first : first + counts[rank]]


def train(spec: dict[str, Any]) -> dict[str, Any]:
    """One training of this rank's: the costs and parameters that came out."""
    from mlpkern import mpi

    rank, size = place()
    net, loss, optimizer, x, y, held_out, weight = problem(spec)
    if rank > 0:  # what it begins with is that of rank 0
        net.parameters[...] = 99
    sharded = "shards" in spec
    if sharded:
        counts = (spec["shards"] + [0, 0, 0])[:size]
        counts[-1] += len(x) - sum(counts)
        x, y, weight = (shard(a, counts, rank) for a in (x, y, weight))
        if held_out is not None:
            parts = [0] * (size - 1) + [HELD_OUT]
            held_out = tuple(shard(a, parts, rank) for a in held_out)
    history = mpi.fit(
        net,
        x,
        y,
        loss=loss,
        optimizer=optimizer,
        sample_weight=weight,
        validation=held_out,
        sharded=sharded,
        reproducible=spec.get("reproducible", False),
        callbacks=[lambda _: time.sleep(0.02 * (rank == spec["slow"]))] if "slow" in spec else [],
        **settings(spec),
    )
    found = {name: list(costs) for name, costs in history.items()}
    return {**found, "parameters": net.parameters.tolist(), "steps": optimizer.steps}


def trainings(specs: dict[str, Any]) -> dict[str, Any]:
    """One training after the other."""
    return {name: train(spec) for name, spec in specs.items()}


def place() -> tuple[int, int]:
    from mpi4py import MPI

    return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size


def add(pieces: list[list[Any]]) -> list[Any]:
    """Sums in order of arrays that no other order adds up to the same."""
    from mlpkern.mpi import sums

    rank, size = place()
    results = []
    for n, piece, dtype in pieces:
        array = addends(size, n, dtype)[rank].copy()
        sums.in_order(world(), array, piece)
        results.append(array.tolist())
    return results


def addends(size: int, n: int, dtype: str) -> Any:
    """Arrays, one a rank, of numbers of very different sizes."""
    rng = np.random.default_rng(n)
    return (rng.normal(size=(size, n)) * 10.0 ** rng.integers(-9, 9, (size, n))).astype(dtype)


def world() -> Any:
    from mpi4py import MPI

    return MPI.COMM_WORLD


def main() -> None:
    case, folder, arguments = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    rank, _ = place()
    found = globals()[case](arguments)
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
