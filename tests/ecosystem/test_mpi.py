"""Training by MPI: several ranks do what one process does, and end together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits
from ecosystem import mpi_jobs

pytest.importorskip("mpi4py")

JOBS = Path(mpi_jobs.__file__)
TIMEOUT = 120  # seconds: the machine may be busy; a job that hangs fails
RANKS = [1, 2, 3]


def mpiexec(ranks: int, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python on so many ranks, a thread each."""
    env = {**os.environ, "MLPKERN_NUM_THREADS": "1", **environment}
    launcher = ["mpiexec", "-n", str(ranks), sys.executable]
    return subprocess.run(
        [*launcher, *command], env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


@pytest.fixture(scope="module", autouse=True)
def _mpi() -> None:
    """Skips the file where there is no mpiexec, or none of mpi4py's MPI."""
    if shutil.which("mpiexec") is None:
        pytest.skip("needs mpiexec")
    done = mpiexec(2, "-c", "from mpi4py import MPI; assert MPI.COMM_WORLD.size == 2")
    if done.returncode:
        pytest.skip(f"mpiexec and mpi4py do not fit together: {done.stderr.strip()[-200:]}")


def run(folder: Path, ranks: int, case: str, arguments: Any) -> list[Any]:
    """What each rank of a job found."""
    done = mpiexec(ranks, str(JOBS), case, str(folder), json.dumps(arguments))
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]


SPECS: dict[str, dict[str, Any]] = {
    "squared error": {"loss": "SquaredError"},
    "labels, Adam": {"loss": "CrossEntropy", "optimizer": "Adam", "lr": 0.01, "validation": True},
    "sum": {"loss": "SquaredError", "reduction": "sum", "lr": 1e-3, "validation": True},
    "batches of one": {"loss": "Huber", "batch_size": 1},
    "one batch": {"loss": "Huber", "batch_size": 1000},
    "weights": {"loss": "SquaredError", "weight": True, "validation": True},
    "weights, batches that weigh nothing": {
        "loss": "CrossEntropy",
        "weight": True,
        "shuffle": False,
        "batch_size": 7,
    },
    "weights, sum": {"loss": "SquaredError", "weight": True, "reduction": "sum", "lr": 1e-3},
    "shards": {"loss": "SquaredError", "shards": [20, 20], "validation": True},
    "uneven shards": {"loss": "CrossEntropy", "shards": [7, 50], "optimizer": "Adam"},
    "empty shards": {"loss": "SquaredError", "shards": [0, 0], "validation": True},
    "shards, in order": {"loss": "SquaredError", "shards": [20, 20], "shuffle": False},
    "shards, weights": {"loss": "SquaredError", "shards": [20, 20], "weight": True},
    "shards, weights, sum": {
        "loss": "CrossEntropy",
        "shards": [3, 30],
        "weight": True,
        "reduction": "sum",
        "lr": 1e-3,
    },
    "in the ranks' order": {"loss": "SquaredError", "reproducible": True},
    "float32": {"loss": "SquaredError", "dtype": "float32"},
}


@pytest.fixture(scope="module", params=RANKS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: Any) -> list[dict[str, Any]]:
    """What each rank found for each of SPECS, in one job."""
    folder = tmp_path_factory.mktemp("trained")
    return run(folder, request.param, "trainings", SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_costs_are_those_of_one_process(trained: list[dict[str, Any]], name: str) -> None:
    spec = SPECS[name]
    net, loss, optimizer, x, y, held_out, weight = mpi_jobs.problem(spec)
    expected = mk.fit(
        net,
        x,
        y,
        loss=loss,
        optimizer=optimizer,
        sample_weight=weight,
        validation=held_out,
        **mpi_jobs.settings(spec),
    )
    # some 300 roundings an epoch in the way of a number, each felt by the next ones
    bound = 1e-12 if net.dtype == np.float64 else 1e-4
    for rank in trained:
        found = rank[name]
        assert found["steps"] == optimizer.steps
        for key, costs in expected.items():
            np.testing.assert_allclose(found[key], costs, rtol=bound)
        np.testing.assert_allclose(found["parameters"], net.parameters, rtol=0, atol=bound)
        assert found == trained[0][name]


def test_one_rank_is_fit_itself(tmp_path: Path) -> None:
    spec = SPECS["labels, Adam"]
    net, loss, optimizer, x, y, held_out, _ = mpi_jobs.problem(spec)
    settings = mpi_jobs.settings(spec)
    history = mk.fit(net, x, y, loss=loss, optimizer=optimizer, validation=held_out, **settings)
    (found,) = run(tmp_path, 1, "train", spec)
    assert {key: found[key] for key in history} == dict(history)
    assert found["parameters"] == net.parameters.tolist()


@pytest.mark.parametrize("ranks", [2, 3])
def test_sums_in_order(tmp_path: Path, ranks: int) -> None:
    """The order shows: the numbers are such that another one would have other bits."""
    cases = [
        [n, piece, dtype]
        for n, piece in ([0, 4], [1, 4], [1000, 64], [1000, 2000], [1024, 64])
        for dtype in ("float32", "float64")
    ]
    for found in run(tmp_path, ranks, "add", cases):
        for (n, _, dtype), total in zip(cases, found, strict=True):
            arrays = mpi_jobs.addends(ranks, n, dtype)
            expected = arrays[0].copy()
            for array in arrays[1:]:
                expected = expected + array
            assert_same_bits(np.array(total, dtype), expected)
            backwards = arrays[::-1].cumsum(axis=0, dtype=dtype)[-1]
            assert ranks == 2 or n < 1000 or (backwards != expected).any()
