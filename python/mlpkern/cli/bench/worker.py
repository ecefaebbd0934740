"""One library in a process of its own: `python -m mlpkern.cli.bench.worker NAME THREADS FD`.

The parent sends requests over the connection with that file descriptor, and gets one answer to
each. Between requests the process sleeps: what its library's threads do after a call (most spin
for a while) has ended before the answer is sent.
"""

import gc
import importlib
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from mlpkern import _core

from .cases import Case
from .peers import Prepared
from .problems import Array, problem

TOLERANCES = {"float32": 1e-4, "float64": 1e-10}
# Adam's first step is g/|g|: where g is a rounding away from zero, its sign is open. For
# 376-400-300-17 with 256 rows NumPy, PyTorch, scikit-learn and mlpkern were all off by 1.4e-2.
STEP_TOLERANCES = {"float32": 3e-2, "float64": 1e-6}


def main() -> None:
    """Answer until the parent closes the connection."""
    name, threads = sys.argv[1], int(sys.argv[2])
    connection = Connection(int(sys.argv[3]))
    library = importlib.import_module(f"{__package__}.peers.{name.replace('.', '_')}")
    connection.send(library.start(threads))
    worker = Worker(library)
    while True:
        try:
            what, *arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = getattr(worker, what)(*arguments)
        except Exception as error:
            answer = error if isinstance(error, MemoryError) else RuntimeError(_line(error))
        sleep_until_quiet()
        connection.send(answer)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


class Worker:
    """A library, and the operation that it has prepared."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.prepared: Prepared | None = None
        self.returned: Any = None  # by the first call, for its score

    def prepare(self, case: Case, expected: list[Array] | None) -> float | None:
        """Get ready; return the seconds of a call, None where the library lacks the operation.

        Raises where the result of the first call is wrong.
        """
        self.prepared = self.returned = None
        gc.collect()
        make = getattr(self.library, case.group, None)
        prepared: Prepared | None = make(problem(case)) if make else None
        if prepared is None:
            return None
        returned = prepared.run()
        self.returned = returned if prepared.score else None
        results = prepared.result(returned)
        if expected is not None and len(results):
            compare(results, expected, tolerance(case))
        prepared.settle()
        self.prepared = prepared
        return _seconds(prepared.run)

    def time(self, count: int) -> float:
        """Return the seconds of one call, the mean of `count`, after one that wakes the caches."""
        assert self.prepared is not None
        run = self.prepared.run
        if count > 1:
            run()
        return _time(run, count)

    def memory(self, case: Case) -> float | None:
        """Return the bytes that one call on the case needs beyond its input and output.

        For a fresh process: the peak never falls.
        """
        group = "memory" if case.what == "predict" else "derivative"
        make = getattr(self.library, group, None)
        small = Case(case.group, case.what, case.sizes, 1000, case.dtype)
        if make is None or (first := make(problem(small))) is None:
            return None
        first.run()  # what a library allocates once
        prepared = make(problem(case))
        before = _peak()
        y = prepared.run()
        output = y if hasattr(y, "nbytes") else np.asarray(prepared.result(y)[0])
        return max(_peak() - before - output.nbytes, 0.0)

    def units(self, seconds: float) -> float | None:
        """Return how many of its units a call takes, the median of pairs; None without a unit."""
        assert self.prepared is not None
        run, unit = self.prepared.run, self.prepared.unit
        if unit is None:
            return None
        count = max(int(seconds / _seconds(unit)), 1)
        return float(np.median([_time(run, count) / _time(unit, count) for _ in range(7)]))

    def score(self) -> float:
        """Return the held-out score of what the first call returned."""
        assert self.prepared is not None
        assert self.prepared.score is not None
        return self.prepared.score(self.returned)

    def tanh(self) -> float:
        """Return the seconds of np.tanh with one element, the least that a call costs."""
        return _time(partial(np.tanh, np.ones(1, np.float32)), 5000)

    def limits(self, seconds: float) -> dict[str, float]:
        """Return the machine's best flops and bytes a second, measured now."""
        return {
            "float32": _core.probe_fma(True, seconds),
            "float64": _core.probe_fma(False, seconds),
            "bandwidth": _core.probe_bandwidth(1 << 27, seconds),
        }


def tolerance(case: Case) -> float:
    """Return the relative error, in the 2-norm, from which a result is wrong."""
    steps = case.group in ("step", "optimizer") or case.what == "training step"
    return (STEP_TOLERANCES if steps else TOLERANCES)[case.dtype]


def compare(results: Any, expected: list[Array], limit: float) -> None:
    """Hold results against float64 ones; ValueError where a shape or a number is wrong."""
    for a, b in zip(results, expected, strict=True):
        a = np.asarray(a, np.float64)
        if a.shape != b.shape:
            raise ValueError(f"wrong shape: {a.shape}, not {b.shape}")
        scale = float(np.linalg.norm(b))
        error = float(np.linalg.norm(a - b)) / (scale or 1.0)
        if not error < limit:
            raise ValueError(f"wrong result: off by {error:.1e}, and {limit:.0e} is allowed")


def _seconds(run: Callable[[], Any]) -> float:
    """Return about how long a call takes; the calls warm up as well.

    The least of several: what interrupts a single one may take as long as a hundred.
    """
    count, spent, least = 1, 0.0, float("inf")
    while spent < 5e-3 or (count < 8 and spent < 0.1):
        took = _time(run, count)
        spent += took * count
        least = min(took, least)
        count *= 2
    return least


def _time(run: Callable[[], Any], count: int) -> float:
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(count):
            run()
        return (time.perf_counter() - start) / count
    finally:
        gc.enable()


def sleep_until_quiet(limit: float = 0.3) -> None:
    """Return once no thread of this process computes any more, or after `limit` seconds."""
    deadline = time.perf_counter() + limit
    before = time.process_time()
    while time.perf_counter() < deadline:
        time.sleep(1e-3)
        now = time.process_time()
        if now - before < 2e-4:
            return
        before = now


def _peak() -> float:
    """Return the most memory that this process has held, in bytes.

    Linux's ru_maxrss does not serve: a process starts with its parent's.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return 1024.0 * int(status.partition("VmHWM:")[2].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)


if __name__ == "__main__":
    main()
