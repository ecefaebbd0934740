"""The machine: instruction sets and threads."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from typing import Any

import numpy as np

from mlpkern import _core
from mlpkern._arguments import integer

__all__ = [
    "get_num_threads",
    "isa",
    "isas",
    "num_threads",
    "runtime_info",
    "set_isa",
    "set_num_threads",
    "show_config",
    "show_runtime",
]


def isas() -> list[str]:
    """The instruction sets that this build has kernels for and this machine can run, best first."""
    return _core.isas()


def isa() -> str:
    """The instruction set in use: the best one, or what MLPKERN_ISA names."""
    return _core.isa()


def set_isa(name: str) -> None:
    """Chooses the instruction set, one of :func:`isas`. Not while other threads compute.

    Results are the same to the bit, the portable baseline's apart.
    """
    if not isinstance(name, str):
        raise TypeError(f"set_isa: name must be a string; got {type(name).__name__}")
    _core.set_isa(name)


def get_num_threads() -> int:
    """The number of threads that a call may use: the processors, or MLPKERN_NUM_THREADS."""
    return _core.get_num_threads()


def set_num_threads(n: int) -> None:
    """Sets the number of threads that a call may use. Results do not depend on it."""
    n = integer("set_num_threads", "n", n, 1)
    _core.set_num_threads(min(n, 2**62))  # which has a limit of its own


@contextlib.contextmanager
def num_threads(n: int) -> Iterator[None]:
    """``with num_threads(1): …``: that many threads inside, the former number afterwards."""
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def runtime_info() -> dict[str, Any]:
    """Versions, instruction sets and threads, as :func:`show_runtime` prints them."""
    return {
        "mlpkern": _core.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "system": platform.system(),
        "isa": isa(),
        "isas": isas(),
        "isas_built": _core.all_isas(),
        "threads": get_num_threads(),
        "processors": _core.available_processors(),
        "compiler": _core.compiler(),
    }


def _show(keys: list[str]) -> None:
    info = runtime_info()
    for key in keys:
        value = info[key]
        print(f"{key:<12}{', '.join(value) if isinstance(value, list) else value}")


def show_config() -> None:
    """Prints how the package was built."""
    _show(["mlpkern", "compiler", "isas_built"])


def show_runtime() -> None:
    """Prints what it runs on."""
    _show(
        ["mlpkern", "python", "numpy", "machine", "system", "isa", "isas", "threads", "processors"]
    )
