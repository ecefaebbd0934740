"""The libraries that `bench` compares: a file each, and a process each.

A file has a function for each group of cases that its library can do, named like the group, which
takes a `Problem` and returns a `Prepared`, or None where the library lacks the operation. `start`
sets the number of threads, before anything else is called.
"""

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Prepared:
    """An operation, ready to be run as often as one likes.

    `result` makes of what `run` returned the arrays that are checked; a network's are the
    parameters after its first step. `settle` is called after that: a learning rate so small that
    the numbers stay what they are for as long as is measured. `unit` is what a row's cost is also
    given in, as the gradient for a product with the Hessian. `score` is the held-out score of an
    estimator that `run` returned.
    """

    run: Callable[[], Any]
    result: Callable[[Any], Sequence[Any]] = lambda returned: (returned,)
    settle: Callable[[], None] = lambda: None
    unit: Callable[[], Any] | None = None
    score: Callable[[Any], float] | None = None


SETTLED_LR = 1e-9

# Each library of --against: the package that it needs, and its processes.
LIBRARIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "numpy": ("numpy", ("numpy",)),
    "torch": ("torch", ("torch", "torch.compile")),
    "jax": ("jax", ("jax",)),
    "sklearn": ("sklearn", ("sklearn",)),
    "onnxruntime": ("onnxruntime", ("onnxruntime",)),
}

# mlpkern itself on one thread, to see what more of them bring; only where it is asked for.
ONE_THREAD = "one-thread"


def processes(library: str) -> tuple[str, ...]:
    """Return the names of a library's processes."""
    return (ONE_THREAD,) if library == ONE_THREAD else LIBRARIES[library][1]


def fastest(calls: Sequence[Callable[[], Any]], seconds: float = 0.05) -> Callable[[], Any]:
    """Return the fastest of calls that do the same; each is tried for so long, once at least."""
    if len(calls) == 1:
        return calls[0]

    def least(call: Callable[[], Any]) -> float:
        call()  # compiles
        best, start = float("inf"), time.perf_counter()
        while time.perf_counter() < start + seconds or best == float("inf"):
            before = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - before)
        return best

    return min(calls, key=least)


def installed(library: str) -> bool:
    """Return whether a library of `LIBRARIES` is there; onnxruntime needs onnx as well."""
    if library == ONE_THREAD:
        return True
    packages = [LIBRARIES[library][0]] + (["onnx"] if library == "onnxruntime" else [])
    return all(importlib.util.find_spec(package) is not None for package in packages)
