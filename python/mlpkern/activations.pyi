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
    def jvp(self, s: ArrayLike, v: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def vjp(self, s: ArrayLike, g: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def jacobian(self, s: ArrayLike) -> NDArray[Any]: ...
    def copy(self) -> Activation: ...
    def config(self) -> dict[str, Any]: ...
    def _emit(self, builder: ProgramBuilder, value: int) -> int: ...

class Identity(Activation):
    def __init__(self) -> None: ...

class ReLU(Activation):
    def __init__(self, scale: float = ...) -> None: ...

class LeakyReLU(Activation):
    def __init__(self, negative_slope: float = ...) -> None: ...

class ReLU6(Activation):
    def __init__(self) -> None: ...

class ELU(Activation):
    def __init__(self, alpha: float = ...) -> None: ...

class SELU(Activation):
    def __init__(self) -> None: ...

class CELU(Activation):
    def __init__(self, alpha: float = ...) -> None: ...

class GELU(Activation):
    def __init__(self, approximate: str = ...) -> None: ...

class Sigmoid(Activation):
    def __init__(self) -> None: ...

class LogSigmoid(Activation):
    def __init__(self) -> None: ...

class Tanh(Activation):
    def __init__(self) -> None: ...

class Softplus(Activation):
    def __init__(self, beta: float = ...) -> None: ...

class Softsign(Activation):
    def __init__(self) -> None: ...

class SiLU(Activation):
    def __init__(self) -> None: ...

class Mish(Activation):
    def __init__(self) -> None: ...

class Hardsigmoid(Activation):
    def __init__(self) -> None: ...

class Hardswish(Activation):
    def __init__(self) -> None: ...

class Hardtanh(Activation):
    def __init__(self, min_val: float = ..., max_val: float = ...) -> None: ...

class Tanhshrink(Activation):
    def __init__(self) -> None: ...

class Softshrink(Activation):
    def __init__(self, lambd: float = ...) -> None: ...

class Hardshrink(Activation):
    def __init__(self, lambd: float = ...) -> None: ...

class Squareplus(Activation):
    def __init__(self, b: float = ...) -> None: ...

class Sine(Activation):
    def __init__(self, omega: float = ...) -> None: ...

class Gaussian(Activation):
    def __init__(self) -> None: ...

class Exp(Activation):
    def __init__(self) -> None: ...

class Softargmax(Activation):
    def __init__(self, beta: float = ...) -> None: ...

class LogSoftargmax(Activation):
    def __init__(self) -> None: ...

Softmax = Softargmax
LogSoftmax = LogSoftargmax
ACTIVATIONS: dict[str, type[Activation]]

def activation(name: str, **parameters: Any) -> Activation: ...

__all__ = [  # noqa: RUF022
    "ACTIVATIONS",
    "Activation",
    "LogSoftmax",
    "Softmax",
    "activation",
    "Identity",
    "ReLU",
    "LeakyReLU",
    "ReLU6",
    "ELU",
    "SELU",
    "CELU",
    "GELU",
    "Sigmoid",
    "LogSigmoid",
    "Tanh",
    "Softplus",
    "Softsign",
    "SiLU",
    "Mish",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Tanhshrink",
    "Softshrink",
    "Hardshrink",
    "Squareplus",
    "Sine",
    "Gaussian",
    "Exp",
    "Softargmax",
    "LogSoftargmax",
]
