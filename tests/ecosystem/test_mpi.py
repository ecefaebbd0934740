"""Training by MPI: several ranks do what one process does, and end together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits
from ecosystem import mpi_jobs
from mlpkern import mpi

pytest.importorskip("mpi4py")

JOBS = Path(mpi_jobs.__file__)
REPOSITORY = JOBS.parents[2]
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
    "batches of one": {"loss": "Huber", "batch_size": 1, "epochs": 1},
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
    "a schedule": {"loss": "SquaredError", "schedule": True, "optimizer": "Adam"},
    "clipped": {"loss": "SquaredError", "clip_norm": 0.1},
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


# What every rank must be told, by what mpi_jobs.MISTAKES has a rank of three do.
TOLD = {
    "everywhere": ("ValueError", "fit: batch_size must be at least 1; got 0"),
    "value": ("ValueError", "fit: on rank 2 of 3: batch_size must be at least 1; got -1"),
    "type": ("TypeError", "fit: on rank 1 of 3: seed must be an integer; got str"),
    "flag": ("TypeError", "fit: on rank 1 of 3: sharded must be True or False; got None"),
    "setting": (
        "ValueError",
        "fit: batch_size must be the same on all ranks; got 16 on rank 0, 17 on rank 1",
    ),
    "loss": (
        "ValueError",
        "fit: loss must be the same on all ranks; got Huber(delta=1.0, reduction='mean') on rank 0,"
        " Huber(delta=2.0, reduction='mean') on rank 1",
    ),
    "optimizer": ("ValueError", "fit: the optimizer must be made for this network; it is for "),
    "network": (
        "ValueError",
        "fit: net must be the same on all ranks; "
        "got Linear(5, 3) on rank 0, Linear(5, 3, bias=False) on rank 1",
    ),
    "data": (
        "ValueError",
        "fit: x must be the same on all ranks; got float64 (60, 5) of checksum ",
    ),
    "rows": (
        "ValueError",
        "fit: x must be the same on all ranks; got float64 (60, 5) of checksum ",
    ),
    "dtype": ("TypeError", "fit: on rank 2 of 3: x must be float64"),
    "columns": ("ValueError", "fit: on rank 1 of 3: x must be (..., D) or (D,) with D = 5"),
    "no rows": ("ValueError", "fit: x must have at least one sample on one of the ranks; got 0"),
    "one axis": ("ValueError", "fit: on rank 2 of 3: x must be (n, D); got (5,)"),
    "label": ("ValueError", "fit: on rank 2 of 3: labels must be"),
    "weights of some": (
        "ValueError",
        "fit: sample_weight must be the same on all ranks; got None on rank 0, an array on rank 1",
    ),
    "weights of nothing": (
        "ValueError",
        "fit: the weighted mean needs a positive weight on one of the ranks",
    ),
    "weights without end": (
        "ValueError",
        "fit: the sum of sample_weight must be finite; got inf",
    ),
    "weight": ("ValueError", "fit: on rank 1 of 3: sample_weight must be"),
    "validation": ("ValueError", "fit: on rank 1 of 3: validation y"),
    "validation by a number": (
        "TypeError",
        "fit: validation must be (x, y) where x is sharded, the samples of this rank; got float",
    ),
    "validation of three": ("ValueError", "fit: validation must be (x, y); got 3 items"),
    "no validation rows": ("ValueError", "fit: validation x must have at least one sample"),
    "validation of some": (
        "ValueError",
        "fit: validation x must be the same on all ranks; got None on rank 0, float64 (60, 5) of ",
    ),
    "resume": ("ValueError", "fit: on rank 0 of 3: "),
    "callbacks": ("TypeError", "fit: on rank 1 of 3: callbacks must be callable; got int"),
    "callback": ("RuntimeError", "fit: on rank 1 of 3: 'here'"),
    "callback moves": (
        "RuntimeError",
        "fit: parameters must be the same on all ranks; after epoch 1 those of rank 1 are not "
        "those of rank 0: has a callback or another thread changed them?",
    ),
    "callback moves at last": (
        "RuntimeError",
        "fit: parameters must be the same on all ranks; in the end those of rank 2 are not ",
    ),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: Any) -> list[dict[str, Any]]:
    return run(tmp_path_factory.mktemp("told"), 3, "mistakes", None)


@pytest.mark.parametrize("mistake", mpi_jobs.MISTAKES)
def test_all_ranks_raise_what_one_does(told: list[dict[str, Any]], mistake: str) -> None:
    kind, text = TOLD[mistake]
    for rank in told:
        assert rank[mistake][0] == kind
        assert rank[mistake][1].startswith(text)


def test_a_training_after_errors(told: list[dict[str, Any]], trained: list[dict[str, Any]]) -> None:
    """Nothing of a failed one is still under way."""
    for rank in told:
        np.testing.assert_allclose(rank["none"], trained[0]["squared error"]["loss"], rtol=1e-12)


def test_callbacks_stop_all_ranks(tmp_path: Path) -> None:
    found = run(tmp_path, 3, "stops", None)
    net, loss, optimizer, x, y, held_out, _ = mpi_jobs.problem(
        {"loss": "SquaredError", "validation": True, "lr": 0.5}
    )
    stop = mk.EarlyStopping(2)
    settings = mpi_jobs.settings({"epochs": 30})
    data = {"loss": loss, "optimizer": optimizer, "validation": held_out, "callbacks": [stop]}
    history = mk.fit(net, x, y, **data, **settings)
    assert history.epochs < 30
    for rank in found:
        assert len(rank["by one"]["loss"]) == 2
        assert len(rank["early"]["loss"]) == history.epochs
        assert rank["best"] == stop.best_epoch
        np.testing.assert_allclose(rank["early"]["parameters"], net.parameters, atol=1e-12)


@pytest.mark.parametrize(("ranks", "later"), [(3, 2), (2, 3), (3, 1)])
def test_another_number_of_ranks_goes_on_from_a_checkpoint(
    tmp_path: Path, ranks: int, later: int
) -> None:
    """It stands within an epoch, after 48 of 60 rows."""
    path = str(tmp_path / "checkpoint.npz")
    spec = {**SPECS["labels, Adam"], "schedule": True}
    assert run(tmp_path, ranks, "stop_within", [spec, path]) == [["enough"]] * ranks
    assert mk.load_checkpoint(path).epoch[0] == 48
    net, loss, optimizer, x, y, held_out, _ = mpi_jobs.problem(spec)
    settings = mpi_jobs.settings(spec)
    history = mk.fit(net, x, y, loss=loss, optimizer=optimizer, validation=held_out, **settings)
    for found in run(tmp_path, later, "go_on", [spec, path]):
        assert found["steps"] == optimizer.steps
        for key, numbers in history.items():
            np.testing.assert_allclose(found[key], numbers, rtol=1e-12)
        np.testing.assert_allclose(found["parameters"], net.parameters, rtol=0, atol=1e-12)


class Alone:
    """A communicator of one rank."""

    rank, size = 0, 1

    def allgather(self, value: Any) -> list[Any]:
        return [value]

    def Allgather(self, value: Any, everywhere: Any) -> None:  # noqa: N802
        everywhere[0] = value


@pytest.mark.parametrize("taken", [True, False])
def test_ctrl_c_before_or_behind_a_step(monkeypatch: pytest.MonkeyPatch, taken: bool) -> None:
    """Where the epoch stands agrees with the steps that the optimizer has taken."""
    net, loss, optimizer, x, y, _, _ = mpi_jobs.problem({"loss": "SquaredError"})
    core = mpi.steps.RanksCore(Alone(), net, loss, optimizer, lambda comm, array: None)
    core.share = mpi.shares.Share(Alone(), (x, y, None), sharded=False)
    step = core._step

    def interrupted(factor: float) -> None:
        third = optimizer.steps == 2
        if taken or not third:
            step(factor)
        if third:
            raise KeyboardInterrupt

    monkeypatch.setattr(core, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        core.train_epoch(None, None, x, y, None, None, 16, None, (0, 0.0, 0), -1, True)
    assert core.epoch[0] == core.epoch[2] == 16 * optimizer.steps == (48 if taken else 32)


def test_every_rank_drops_others(tmp_path: Path) -> None:
    """A mask is a function of the passes: no two ranks and no two steps have one in common."""
    spec = {"loss": "SquaredError", "dropout": True, "reproducible": True}
    first, again = (run(tmp_path, 3, "dropout", spec) for _ in range(2))
    assert first == again
    steps = mpi_jobs.EPOCHS * 4
    assert [rank["passes"] for rank in first] == [3 * (steps - 1) + rank + 1 for rank in range(3)]
    assert first[0]["parameters"] == first[1]["parameters"] == first[2]["parameters"]
    without = run(tmp_path, 3, "train", mpi_jobs.PLAIN)
    assert without[0]["loss"] != first[0]["loss"]


def test_all_ranks_raise_where_the_first_cannot_write(tmp_path: Path) -> None:
    for found in run(tmp_path, 2, "cannot_write", str(tmp_path)):
        assert len(found) == 2
        assert all("No such file or directory" in text for text in found)


def test_all_ranks_stop_at_a_cost_that_is_no_number(tmp_path: Path) -> None:
    found = run(tmp_path, 3, "not_a_number", [37, 35])
    assert found[0][0].startswith("fit: the cost of step 3 (epoch 1, batch 3) is nan; ")
    assert found[0][0].endswith("row 35 of x holds NaN or infinity")
    assert found == [found[0]] * 3


@pytest.mark.parametrize("how", ["killed", "before"])
def test_the_death_of_one_rank_ends_the_job(tmp_path: Path, how: str) -> None:
    start = time.monotonic()
    done = mpiexec(3, str(JOBS), "ends", str(tmp_path), json.dumps(how))
    assert time.monotonic() - start < 30
    assert done.returncode != 0
    if how == "before":
        assert "LookupError: rank 1 has lost its data" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_ranks_that_dawdle_change_no_bits(tmp_path: Path) -> None:
    spec = {"loss": "CrossEntropy", "dtype": "float32", "reproducible": True}
    quick, *slow = (run(tmp_path, 3, "train_slowly", [spec, rank])[0] for rank in (None, 0, 2))
    assert all(found == quick for found in slow)


def test_threads_are_divided_among_the_ranks_of_a_machine(tmp_path: Path) -> None:
    available = mk.machine.runtime_info()["processors"]
    assert run(tmp_path, 3, "threads", None) == [max(available // 3, 1)] * 3


@pytest.mark.parametrize(
    ("places", "threads"),
    [
        ([[0, 1, 2, 3, 4, 5, 6, 7]] * 3, 2),  # all on the same eight
        ([[0, 1, 2, 3, 4, 5, 6, 7], [8, 9], [10, 11]], 8),  # each on its own
        ([[0, 1, 2, 3, 4, 5, 6, 7]] * 9, 1),
    ],
)
def test_ranks_with_processors_of_their_own_keep_them(
    monkeypatch: pytest.MonkeyPatch, places: list[list[int]], threads: int
) -> None:
    class Here:
        rank = 0

        def Split_type(self, kind: str) -> Here:  # noqa: N802
            assert kind == "shared"
            return self

        def allgather(self, _: list[int]) -> list[list[int]]:
            return places

        def Free(self) -> None:  # noqa: N802
            pass

    shared = SimpleNamespace(COMM_TYPE_SHARED="shared")
    monkeypatch.setattr(mpi.ranks, "library", lambda: shared)
    monkeypatch.setattr(mpi.ranks._core, "available_processors", lambda: 8)
    assert mpi.threads_per_rank(Here()) == threads


def test_the_example_learns_the_digits() -> None:
    example = REPOSITORY / "docs" / "examples" / "digits_mpi.py"
    said = []
    for ranks in (1, 3):
        done = mpiexec(ranks, str(example))
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.split())
    assert [words[0] for words in said] == ["1", "3"]
    losses = [float(words[3].rstrip(",")) for words in said]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)  # float32, 240 steps
    assert all(float(words[4].rstrip("%")) > 85 for words in said)


@pytest.mark.parametrize("missing", ["mpi4py", "mpi4py.MPI"])
def test_without_mpi4py(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delattr(sys.modules["mpi4py"] or mk, "MPI", raising=False)
    net, loss, optimizer, x, y, _, _ = mpi_jobs.problem({"loss": "SquaredError"})
    cure = r"^mlpkern\.mpi needs mpi4py and an MPI library \(.*\); install them with: pip install "
    with pytest.raises(ImportError, match=cure):
        mpi.fit(net, x, y, loss=loss, optimizer=optimizer)


def test_importing_the_package_asks_for_no_mpi() -> None:
    code = "import sys, mlpkern, mlpkern.cli, mlpkern.mpi; assert 'mpi4py' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=TIMEOUT)
