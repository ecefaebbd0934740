"""The processes of the libraries, as the parent sees them."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import Pipe
from typing import Any

_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
TIMEOUT = 600.0  # seconds for one answer: compilers take a while


class WorkerError(RuntimeError):
    """A library's process failed: it answered with an error, ended, or did not answer."""


class Worker:
    """A library in a process of its own, on as many cores as it has threads."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self._connection, theirs = Pipe()
        with theirs, _cores(threads):
            command = [sys.executable, "-m", f"{__package__}.worker", name, str(threads)]
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                env=_environment(threads),
                pass_fds=[theirs.fileno()],
            )

    def answer(self, timeout: float = TIMEOUT) -> Any:
        """Return the next answer; WorkerError where there is none, or it is an error."""
        try:
            if not self._connection.poll(timeout):
                raise WorkerError(f"{self.name}: no answer after {timeout:.0f} s")
            answer = self._connection.recv()
        except (EOFError, OSError):
            raise WorkerError(f"{self.name}: {self._last_words()}") from None
        if isinstance(answer, Exception):
            raise WorkerError(f"{self.name}: {answer or type(answer).__name__}")
        return answer

    def ask(self, what: str, *arguments: Any) -> Any:
        """Send a request to `mlpkern.cli.bench.worker` and return the answer."""
        with contextlib.suppress(OSError):  # the answer will tell
            self._connection.send((what, *arguments))
        return self.answer()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        code = self._process.returncode
        return f"its process ended with exit code {code}" + (f": {said[:200]}" if said else "")


def _environment(threads: int) -> dict[str, str]:
    return os.environ | dict.fromkeys(_BLAS_THREADS, str(threads))


@contextlib.contextmanager
def _cores(count: int) -> Iterator[None]:
    """Run on that many cores only, which a new process inherits; JAX has no other switch."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
