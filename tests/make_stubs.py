"""Writes python/mlpkern/activations.pyi from the compiled table: ``python tests/make_stubs.py``."""

from __future__ import annotations

import inspect
from pathlib import Path

import mlpkern as mk

STUB = Path(__file__).resolve().parent.parent / "python" / "mlpkern" / "activations.pyi"

HEAD = """\
# Written by tests/make_stubs.py from the compiled table of activations; a test holds it to that.
from typing import Any

from numpy.typing import ArrayLike, NDArray

from mlpkern.maps import Map
from mlpkern.program import ProgramBuilder

class Activation(Map):
    _name: str
    _parameters: dict[str, float]
    by_rows: bool
    def __init__(self) -> None: ...
    def __call__(self, s: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def predict(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def backward(self, dy: ArrayLike, *, need_dx: bool = True) -> NDArray[Any] | None: ...
    def derivative(self, s: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def second_derivative(self, s: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def third_derivative(self, s: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def jvp(
        self, s: ArrayLike, v: ArrayLike, out: NDArray[Any] | None = None
    ) -> NDArray[Any]: ...
    def vjp(
        self, s: ArrayLike, g: ArrayLike, out: NDArray[Any] | None = None
    ) -> NDArray[Any]: ...
    def jacobian(self, s: ArrayLike) -> NDArray[Any]: ...
    def copy(self) -> Activation: ...
    def config(self) -> dict[str, Any]: ...
    def _emit(self, builder: ProgramBuilder, value: int) -> int: ...
"""


def stub() -> str:
    """The stub's text."""
    parts = [HEAD]
    for name, cls in mk.ACTIVATIONS.items():
        parameters = inspect.signature(cls).parameters.values()
        arguments = ", ".join(
            f"{p.name}: {'str' if isinstance(p.default, str) else 'float'} = ..."
            for p in parameters
        )
        head = f"def __init__(self{', ' if arguments else ''}{arguments}) -> None: ..."
        parts.append(f"\nclass {name}(Activation):\n    {head}\n")
    parts.append("\nSoftmax = Softargmax\nLogSoftmax = LogSoftargmax\n")
    parts.append("ACTIVATIONS: dict[str, type[Activation]]\n\n")
    parts.append("def activation(name: str, **parameters: Any) -> Activation: ...\n\n")
    names = ["ACTIVATIONS", "Activation", "LogSoftmax", "Softmax", "activation", *mk.ACTIVATIONS]
    parts.append(
        "__all__ = [  # noqa: RUF022\n" + "".join(f'    "{name}",\n' for name in names) + "]\n"
    )
    return "".join(parts)


if __name__ == "__main__":
    STUB.write_text(stub())
