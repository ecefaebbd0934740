"""`mlpkern train` started by mpiexec: all ranks train, one of them speaks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from ecosystem import test_mpi

pytest.importorskip("mpi4py")

mpiexec = test_mpi.mpiexec
_mpi = test_mpi._mpi  # skips where there is no MPI

OPTIONS = ["--epochs", "4", "--batch-size", "40", "--hidden", "12", "--lr", "0.05"]


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A CSV file: three classes by name, two columns that tell them apart."""
    rng = np.random.default_rng(0)
    path = tmp_path / "flowers.csv"
    with path.open("w") as file:
        file.write("length,width,kind\n")
        for i in range(150):
            length, width = rng.normal((10 * (i % 3), 500), (4, 100))
            file.write(f"{length},{width},{('rose', 'lily', 'iris')[i % 3]}\n")
    return path


def lines(text: str, *beginnings: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(beginnings)]


def train(data: Path, *options: str, ranks: int) -> subprocess.CompletedProcess[str]:
    done = mpiexec(ranks, "-m", "mlpkern", "train", "--data", str(data), *OPTIONS, *options)
    assert done.returncode == 0, done.stderr
    return done


def test_the_model_is_that_of_one_process(flowers: Path, tmp_path: Path) -> None:
    networks, reports = [], []
    for ranks in (1, 3):
        path = tmp_path / f"{ranks}.npz"
        done = train(flowers, "--save", str(path), ranks=ranks)
        assert done.stderr == ""
        networks.append(mk.load(path))
        reports.append(lines(done.stdout, "data", "network", "epoch", "quality"))
    assert len(reports[0]) == 7
    assert "test accuracy" in reports[0][-1]
    assert reports[0] == reports[1]
    # float32: some thousand roundings, of numbers below 2
    one, three = (net.parameters for net in networks)
    np.testing.assert_allclose(three, one, rtol=0, atol=2e-4)
    assert (one != three).any()  # the sums have been those of three ranks


def test_one_rank_prints_json(flowers: Path) -> None:
    done = train(flowers, "--json", "--early-stopping", "2", ranks=3)
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    assert found["epochs"] <= 4
    assert len(lines(done.stderr, "quality")) == 1


def test_an_error_is_said_once(flowers: Path, tmp_path: Path) -> None:
    done = mpiexec(3, "-m", "mlpkern", "train", "--data", str(tmp_path / "none.csv"))
    assert done.returncode == 1
    said = lines(done.stderr, "mlpkern")
    assert said == [f"mlpkern train: error: {tmp_path / 'none.csv'}: No such file or directory"]
    assert lines(done.stdout, "quality") == []


def test_wrong_usage_is_said_once(flowers: Path) -> None:
    few = flowers.with_name("few.csv")
    few.write_text("\n".join(flowers.read_text().splitlines()[:9]))
    options = ["--data", str(few), "--early-stopping", "1"]
    done = mpiexec(2, "-m", "mlpkern", "train", *options)
    assert done.returncode == 2
    assert len(lines(done.stderr, "mlpkern train: error: --early-stopping needs 10")) == 1


@pytest.mark.parametrize("option", ["--hidden=x", "--hellp"])
def test_wrong_arguments_are_said_once(option: str) -> None:
    done = mpiexec(3, "-m", "mlpkern", "train", option)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(lines(done.stderr, "mlpkern")) == len(lines(done.stderr, "usage:")) == 1


def test_a_rank_without_the_data_ends_all(flowers: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.csv"
    command = ["-m", "mlpkern", "train", *OPTIONS, "--data"]
    done = mpiexec(
        1, *command, str(flowers), ":", "-n", "1", sys.executable, *command, str(missing)
    )
    assert done.returncode == 1
    (said,) = lines(done.stderr, "mlpkern")
    assert said.startswith("mlpkern train: error: fit: on rank 1 of 2: [Errno 2] No such file")


def test_mpiexec_of_another_mpi_is_an_error(flowers: Path) -> None:
    """Each process would train by itself, and all would write one file."""
    command = [sys.executable, "-m", "mlpkern", "train", "--data", str(flowers)]
    env = {**os.environ, "OMPI_COMM_WORLD_SIZE": "5", "OMPI_COMM_WORLD_RANK": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "5 ranks were started, and MPI knows of 1: mpi4py and mpiexec must be" in done.stderr


def test_another_number_of_ranks_goes_on(flowers: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.npz"
    begin = ["--epochs", "2", "--checkpoint", str(checkpoint)]
    train(flowers, *begin, ranks=3)
    assert mk.load_checkpoint(checkpoint).epoch[0] == 0
    said = [
        lines(train(flowers, *more, ranks=2).stdout, "epoch     3", "epoch     4", "quality")
        for more in (["--resume", "--checkpoint", str(checkpoint)], [])
    ]
    assert len(said[0]) == 3
    assert said[0] == said[1]


def test_a_training_that_diverges_is_an_error_said_once(flowers: Path) -> None:
    options = ["--data", str(flowers), "--optimizer", "sgd", "--lr", "1e30"]
    done = mpiexec(3, "-m", "mlpkern", "train", *options)
    assert done.returncode == 1
    (said,) = lines(done.stderr, "mlpkern")
    assert said.startswith("mlpkern train: error: fit: the cost of step ")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_an_interrupt_is_said_once(flowers: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.npz"
    command = ["mpiexec", "-n", "2", sys.executable, "-m", "mlpkern", "train", *OPTIONS]
    command += ["--data", str(flowers), "--epochs", "1000000", "--checkpoint", str(checkpoint)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as job:
        try:
            _wait_for(checkpoint)
            job.send_signal(signal.SIGINT)
            _, said = job.communicate(timeout=30)
        finally:
            job.send_signal(signal.SIGINT)  # the second one kills a job that hangs
    assert job.returncode == 130
    pattern = rf"mlpkern train: (interrupted; {re.escape(str(checkpoint))} holds .*)"
    (found,) = re.findall(pattern, said)  # on a line that mpiexec may have begun
    assert found.endswith(": --resume goes on from it")


def _wait_for(path: Path) -> None:
    end = time.monotonic() + test_mpi.TIMEOUT
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.1)
