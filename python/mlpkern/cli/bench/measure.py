"""Rows: every library runs the same case, in turns, one at a time; the ratios are paired."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .cases import Case
from .derivative_rows import UNITS
from .peers import ONE_THREAD, processes
from .problems import expected, problem
from .workers import Worker, WorkerError

OURS = "mlpkern"
Row = dict[str, Any]


class Team:
    """One process a library, all with the same number of threads but for `ONE_THREAD`."""

    def __init__(self, libraries: Sequence[str], threads: int) -> None:
        self.threads = threads
        names = [OURS, *(name for library in libraries for name in processes(library))]
        self.workers = {name: self._start(name) for name in names}
        self.versions = {}
        try:
            for name, worker in self.workers.items():
                self.versions[name] = worker.answer()
        except BaseException:
            self.close()
            raise

    def _start(self, name: str) -> Worker:
        return Worker(OURS, 1) if name == ONE_THREAD else Worker(name, self.threads)

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers.values():
            worker.close()

    def revive(self) -> None:
        """Start the processes anew that have ended."""
        for name, worker in self.workers.items():
            if not worker.alive:
                self.restart(name)

    def restart(self, name: str) -> Worker:
        """Start one process anew."""
        self.workers[name].close()
        self.workers[name] = self._start(name)
        self.workers[name].answer()
        return self.workers[name]


class Limits(dict[str, float]):
    """The best that the machine has done so far: flops a second by dtype, bytes a second."""

    def __init__(self, team: Team, quick: bool) -> None:
        super().__init__()
        self._team, self._seconds = team, 0.1 if quick else 0.3
        self.measure()

    def measure(self) -> None:
        """Try again: others may have used the machine before."""
        for name, best in self._team.workers[OURS].ask("limits", self._seconds).items():
            self[name] = max(best, self.get(name, 0.0))


def measure(team: Team, case: Case, quick: bool) -> Row:
    """Return a row: who took how long, and how many times as long as mlpkern."""
    row: Row = {
        "group": case.group,
        "name": case.name,
        "what": case.what,
        "sizes": list(case.sizes),
        "batch": case.rows,
        "dtype": case.dtype,
        "threads": team.threads,
        "errors": {},
    }
    if case.group == "memory":
        return row | _memory(team, case, row["errors"])
    estimates = _prepare(team, case, row["errors"])
    times = _rounds(team, estimates, quick, row["errors"])
    team.revive()
    row["times"] = {name: quartiles(values) for name, values in times.items()}
    ours = times.get(OURS)
    peers = {name: values for name, values in times.items() if name != OURS}
    if ours is not None and case.flops:
        row["gflops"] = case.flops / float(np.median(ours)) / 1e9
    if ours is not None and case.traffic:
        row["gbytes"] = case.traffic / float(np.median(ours)) / 1e9
    if ours is not None and case.group == "call":
        tanh = np.median([team.workers[OURS].ask("tanh") for _ in range(5)])
        row["tanhs"] = float(np.median(ours) / tanh)
    if ours is not None and case.what in UNITS:
        inputs = case.sizes[0] if case.what == "laplacian" else 1
        row["units"] = team.workers[OURS].ask("units", 1e-3 if quick else 5e-3) / inputs
    if case.group == "sklearn":
        row["scores"] = {name: team.workers[name].ask("score") for name in times}
    if ours is not None and peers:
        row["ratios"] = {name: quartiles(values / ours) for name, values in peers.items()}
        row["best"] = min(peers, key=lambda name: row["times"][name]["median"])
        row["ratio"] = row["ratios"][row["best"]]
    return row


def quartiles(values: Any) -> dict[str, float]:
    """Return the median with both quartiles."""
    q1, median, q3 = np.percentile(values, (25, 50, 75))
    return {"q1": float(q1), "median": float(median), "q3": float(q3)}


def _prepare(team: Team, case: Case, errors: dict[str, str]) -> dict[str, float]:
    """Return about how long a call takes, for each library that does the case, and rightly."""
    right = expected(problem(case))
    estimates = {}
    for name, worker in team.workers.items():
        try:
            seconds = worker.ask("prepare", case, right)
        except WorkerError as error:
            errors[name] = str(error)
        else:
            if seconds is not None:
                estimates[name] = seconds
    return estimates


def _rounds(
    team: Team, estimates: dict[str, float], quick: bool, errors: dict[str, str]
) -> dict[str, Any]:
    """Return the seconds of a call, an array over the rounds, for each library."""
    block, budget, most = (1e-3, 0.15, 7) if quick else (5e-3, 0.8, 15)
    counts = {name: max(int(block / seconds), 1) for name, seconds in estimates.items()}
    each = sum(max(seconds, block) for seconds in estimates.values())
    rounds = int(np.clip(budget / max(each, 1e-9), 3, most))
    times: dict[str, list[float]] = {name: [] for name in counts}
    for i in range(rounds):
        for name in list(counts)[:: -1 if i % 2 else 1]:
            try:
                times[name].append(team.workers[name].ask("time", counts[name]))
            except WorkerError as error:
                errors[name] = str(error)
                del counts[name], times[name]
    return {name: np.array(values) for name, values in times.items()}


def _memory(team: Team, case: Case, errors: dict[str, str]) -> Row:
    """Return the bytes that each library needs, each in a fresh process."""
    sizes = {}
    for name in team.workers:
        try:
            size = team.restart(name).ask("memory", case)
        except WorkerError as error:
            errors[name] = str(error)
            team.restart(name)
        else:
            if size is not None:
                sizes[name] = size
    row: Row = {"bytes": sizes}
    if peers := {name: size for name, size in sizes.items() if name != OURS}:
        row["best"] = min(peers, key=lambda name: peers[name])
    return row
