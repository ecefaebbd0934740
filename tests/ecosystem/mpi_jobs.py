"""What the ranks of a test's job run: mpiexec -n 3 python mpi_jobs.py CASE FOLDER ARGUMENTS.

Each rank leaves what it found in FOLDER; test_mpi.py compares it with one process's.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import mlpkern as mk
from mlpkern import mpi

EPOCHS = 3
ROWS = 60
HELD_OUT = 12


def problem(spec: dict[str, Any]) -> tuple[Any, ...]:
    """The network, its loss, its optimizer, samples, held-out samples and weights of a test."""
    rng = np.random.default_rng(7)
    dtype = np.dtype(spec.get("dtype", "float64"))
    labels = spec["loss"] == "CrossEntropy"
    net = mk.MLP([5, 9, 3], output="softargmax" if labels else "identity", dtype=dtype)
    if "dropout" in spec:
        net = mk.Chain(*net.layers[:2], mk.Dropout(0.5), *net.layers[2:]).copy()
    x = rng.normal(size=(ROWS + HELD_OUT, 5)).astype(dtype)
    y = rng.integers(0, 3, len(x)) if labels else np.sin(x[:, :3])
    weight = rng.uniform(0.2, 2, ROWS)
    weight[20:40] = 0  # without shuffling, some batches and a shard weigh nothing
    loss = mk.LOSSES[spec["loss"]](reduction=spec.get("reduction", "mean"))
    optimizer = mk.OPTIMIZERS[spec.get("optimizer", "SGD")](
        net, lr=spec.get("lr", 0.05), clip_norm=spec.get("clip_norm")
    )
    held_out = (x[ROWS:], y[ROWS:]) if spec.get("validation") else None
    return net, loss, optimizer, x[:ROWS], y[:ROWS], held_out, weight if "weight" in spec else None


def settings(spec: dict[str, Any]) -> dict[str, Any]:
    """The arguments of fit that one process takes too."""
    return {
        "epochs": spec.get("epochs", EPOCHS),
        "batch_size": spec.get("batch_size", 16),
        "shuffle": spec.get("shuffle", True),
        "seed": 3,
        "schedule": (lambda t: 0.7**t) if "schedule" in spec else None,
    }


def shard(array: Any, counts: list[int], rank: int) -> Any:
    """The rows of a rank that holds so many of them."""
    first = sum(counts[:rank])
    return array if array is None else array[first : first + counts[rank]]


def train(spec: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """One training of this rank's: the costs and parameters that came out."""
    rank, size = place()
    net, loss, optimizer, x, y, held_out, weight = problem(spec)
    if rank > 0:  # what it begins with is that of rank 0
        net.parameters[...] = 99
    if "shards" in spec:
        counts = (spec["shards"] + [0, 0, 0])[:size]
        counts[-1] += len(x) - sum(counts)
        x, y, weight = (shard(a, counts, rank) for a in (x, y, weight))
        if held_out is not None:
            parts = [0] * (size - 1) + [HELD_OUT]
            held_out = tuple(shard(a, parts, rank) for a in held_out)
    known = {"net": net, "x": x, "y": y, "loss": loss, "optimizer": optimizer}
    known |= {"sample_weight": weight, "validation": held_out, **settings(spec)}
    known |= {"sharded": "shards" in spec, "reproducible": spec.get("reproducible", False)}
    history = mpi.fit(**{**known, **arguments})
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
    rank, size = place()
    results = []
    for n, piece, dtype in pieces:
        array = addends(size, n, dtype)[rank].copy()
        mpi.sums.in_order(world(), array, piece)
        results.append(array.tolist())
    return results


def addends(size: int, n: int, dtype: str) -> Any:
    """Arrays, one a rank, of numbers of very different sizes."""
    rng = np.random.default_rng(n)
    return (rng.normal(size=(size, n)) * 10.0 ** rng.integers(-9, 9, (size, n))).astype(dtype)


def world() -> Any:
    from mpi4py import MPI

    return MPI.COMM_WORLD


def mistakes(_: Any) -> dict[str, Any]:
    """What every rank is told where one is given what does not fit; and a training after all."""
    found: dict[str, Any] = {}
    for name, (spec, by_rank) in MISTAKES.items():
        arguments = by_rank(*place(), problem(spec))
        try:
            train(spec, **arguments)
        except Exception as error:
            found[name] = [type(error).__name__, str(error)]
    found["none"] = train({"loss": "SquaredError"})["loss"]
    return found


def stop_within(arguments: Any) -> list[str]:
    """A training that an error ends after an epoch; the checkpoint stands within it."""
    spec, path = arguments
    try:
        train(
            spec,
            checkpoint=mk.Checkpoint(path, steps=3),
            callbacks=[_fails(LookupError("enough"))],
        )
    except LookupError as error:
        return [str(error)]
    return []


def dropout(spec: dict[str, Any]) -> dict[str, Any]:
    """A training with dropout: what came out, and the passes that this rank has counted."""
    net, loss, optimizer, *_ = problem(spec)
    found = train(spec, net=net, loss=loss, optimizer=optimizer)
    parameters = net.parameters.tolist()
    return {"passes": net[2].passes, "loss": found["loss"], "parameters": parameters}


def cannot_write(folder: str) -> list[str]:
    """What every rank is told where rank 0 cannot write its checkpoint, early and in the end."""
    found = []
    for epochs in (1, 5):
        path = Path(folder) / "missing" / "checkpoint.npz"
        try:
            train({"loss": "SquaredError", "epochs": 1}, checkpoint=path, epochs=epochs)
        except OSError as error:
            found.append(str(error))
    return found


def go_on(arguments: Any) -> dict[str, Any]:
    """The rest of a training from its checkpoint, which rank 0 alone can read."""
    spec, path = arguments
    return train(spec, resume=path if place()[0] == 0 else None)


def not_a_number(rows: list[int]) -> list[str]:
    """What every rank is told where these rows of rank 0's shard of 40 hold NaN."""
    spec = {"loss": "SquaredError", "shards": [40, 20], "shuffle": False}
    x = problem(spec)[3][:40].copy()
    x[rows] = np.nan
    try:
        train(spec, **({"x": x} if place()[0] == 0 else {}))
    except FloatingPointError as error:
        return [str(error)]
    return []


def _fails(error: BaseException) -> Any:
    def callback(_: Any) -> None:
        raise error

    return callback


def _moves(history: Any) -> None:
    history.net.parameters[3] += 1


class _MovesAtLast:
    def __call__(self, _: Any) -> None:
        pass

    def end(self, history: Any) -> None:
        _moves(history)


PLAIN = {"loss": "SquaredError"}
SHARDS = {"loss": "SquaredError", "shards": [20, 20]}
LABELS = {"loss": "CrossEntropy", "shards": [20, 20]}

# By name: what is trained, and the arguments that a rank of so many gives in place of its own.
MISTAKES: dict[str, tuple[dict[str, Any], Any]] = {
    "everywhere": (PLAIN, lambda rank, size, p: {"batch_size": 0}),
    "value": (PLAIN, lambda rank, size, p: {"batch_size": 16 if rank < 2 else -1}),
    "type": (PLAIN, lambda rank, size, p: {"seed": "3" if rank == 1 else 3}),
    "flag": (PLAIN, lambda rank, size, p: {"sharded": None if rank == 1 else False}),
    "setting": (PLAIN, lambda rank, size, p: {"batch_size": 16 + rank}),
    "loss": (PLAIN, lambda rank, size, p: {"loss": mk.Huber(1.0 + rank)}),
    "optimizer": (PLAIN, lambda rank, size, p: {"optimizer": mk.SGD(mk.Linear(5, 3))}),
    "network": (
        PLAIN,
        lambda rank, size, p: (
            {"net": (net := mk.Linear(5, 3, bias=rank == 0)), "optimizer": mk.SGD(net)}
        ),
    ),
    "data": (PLAIN, lambda rank, size, p: {"x": p[3] + (rank == 2)}),
    "rows": (PLAIN, lambda rank, size, p: {"x": p[3][: 60 - rank], "y": p[4][: 60 - rank]}),
    "dtype": (SHARDS, lambda rank, size, p: {"x": np.zeros((20, 5), "f4" if rank == 2 else "f8")}),
    "columns": (SHARDS, lambda rank, size, p: {"x": np.zeros((20, 5 if rank != 1 else 4))}),
    "no rows": (SHARDS, lambda rank, size, p: {"x": np.zeros((0, 5)), "y": np.zeros((0, 3))}),
    "one axis": (SHARDS, lambda rank, size, p: {"x": np.zeros(5)} if rank == 2 else {}),
    "label": (LABELS, lambda rank, size, p: {"y": np.full(20, 3)} if rank == 2 else {}),
    "weights of some": (
        SHARDS,
        lambda rank, size, p: {"sample_weight": np.ones(20)} if rank else {},
    ),
    "weights of nothing": (SHARDS, lambda rank, size, p: {"sample_weight": np.zeros(20)}),
    "weights without end": (
        SHARDS,
        lambda rank, size, p: {"sample_weight": np.full(20, 1e307)},
    ),
    "weight": (
        SHARDS,
        lambda rank, size, p: {"sample_weight": np.full(20, 1.0 - 2 * (rank == 1))},
    ),
    "validation": (
        SHARDS,
        lambda rank, size, p: {"validation": (p[3][:4], p[4][: 4 + (rank == 1)])},
    ),
    "validation by a number": (SHARDS, lambda rank, size, p: {"validation": 0.5}),
    "validation of three": (SHARDS, lambda rank, size, p: {"validation": p[3:6]}),
    "no validation rows": (
        SHARDS,
        lambda rank, size, p: {"validation": (np.zeros((0, 5)), np.zeros((0, 3)))},
    ),
    "validation of some": (
        PLAIN,
        lambda rank, size, p: {"validation": (p[3], p[4])} if rank == 1 else {},
    ),
    "resume": (PLAIN, lambda rank, size, p: {"resume": __file__}),
    "callbacks": (PLAIN, lambda rank, size, p: {"callbacks": [3] if rank == 1 else []}),
    "callback": (
        PLAIN,
        lambda rank, size, p: {"callbacks": [_fails(KeyError("here"))] if rank == 1 else []},
    ),
    "callback moves": (PLAIN, lambda rank, size, p: {"callbacks": [_moves] if rank == 1 else []}),
    "callback moves at last": (
        PLAIN,
        lambda rank, size, p: {"callbacks": [_MovesAtLast()] if rank == 2 else []},
    ),
}


def threads(_: Any) -> int:
    return mpi.threads_per_rank()


def stops(_: Any) -> dict[str, Any]:
    """Epochs done where a rank's callback stops them, and which epoch's parameters come back."""
    rank, _ = place()
    spec = {"loss": "SquaredError", "validation": True, "lr": 0.5}
    second = [lambda history: history.epochs == 2] if rank == 1 else []
    best = [mk.EarlyStopping(2)]
    return {
        "by one": train(PLAIN, epochs=9, callbacks=second),
        "early": train(spec, epochs=30, callbacks=best),
        "best": best[0].best_epoch,
    }


def train_slowly(arguments: Any) -> dict[str, Any]:
    """A training in which one rank takes its time over each step."""
    spec, slow = arguments
    net, loss, optimizer, *_ = problem(spec)
    gradients = type(loss).value_and_gradient

    def slowly(*arguments: Any) -> Any:
        time.sleep(0.02 * (place()[0] == slow))
        return gradients(*arguments)

    type(loss).value_and_gradient = slowly
    try:
        return train(spec, net=net, loss=loss, optimizer=optimizer)
    finally:
        type(loss).value_and_gradient = gradients


def ends(how: str) -> None:
    """Never comes to an end: one rank dies or raises, and the others wait for it."""
    rank, _ = place()
    if rank == 1 and how == "before":
        raise LookupError("rank 1 has lost its data")

    def die(history: Any) -> None:
        if rank == 1 and history.epochs == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    train(PLAIN, epochs=10**6, callbacks=[die])


def main() -> None:
    case, folder, arguments = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    rank, _ = place()
    found = globals()[case](arguments)
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
